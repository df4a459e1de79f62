package e2e_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"souk/internal/chainnode"
	"souk/node"
	"souk/store/sealed"
)

// canaries are secrets and how they would look if they leaked.
type canaries map[string][][]byte

func (c canaries) add(name string, secret []byte) {
	c[name] = append(c[name], bytes.Clone(secret), []byte(hex.EncodeToString(secret)), []byte(strings.ToUpper(hex.EncodeToString(secret))),
		[]byte(base64.StdEncoding.EncodeToString(secret)), []byte(base64.RawURLEncoding.EncodeToString(secret)))
}

// in names the secrets that are in some data.
func (c canaries) in(data []byte) (leaked []string) {
	for name, forms := range c {
		for _, form := range forms {
			if bytes.Contains(data, form) {
				leaked = append(leaked, name)
				break
			}
		}
	}
	return leaked
}

// Secrets stay in sealed files: no log, no data folder, no command line, no
// environment and no response has them.
func TestSecrets(t *testing.T) {
	beside(t)
	f := start(t, 4)
	secrets := canaries{}
	for i, h := range f.Homes {
		pass, err := os.ReadFile(h.PassphraseFile())
		if err != nil {
			t.Fatal(err)
		}
		secrets[fmt.Sprintf("passphrase %d", i+1)] = [][]byte{bytes.TrimSpace(pass)}
		for _, role := range []string{node.RoleOperator, node.RoleServer, node.RoleConsensus, node.RoleNode} {
			key, err := h.Key(role, sealed.FromFile(h.PassphraseFile()))
			if err != nil {
				t.Fatal(err)
			}
			seed := key.Seed()
			secrets.add(fmt.Sprintf("%s key %d", role, i+1), seed[:])
		}
	}
	seed := f.Issuer.Seed()
	secrets.add("issuer's key", seed[:])

	// A purse made through the command line, from words on standard input.
	words := "legal winner thank year wave sausage worth useful legal winner thank yellow"
	purse, pass := filepath.Join(t.TempDir(), "purse"), filepath.Join(t.TempDir(), "pass")
	if err := os.WriteFile(pass, []byte("canary in the coal mine\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	secrets["words"] = [][]byte{[]byte("thank year wave sausage")}
	secrets["purse's passphrase"] = [][]byte{[]byte("canary in the coal mine")}
	virtual := f.Founding.ID()
	flags := []string{"--purse", purse, "--passphrase-file", pass}
	out, err := try(t, words+"\n", append([]string{"account", "recover", "--server", f.URLs[0], "--id", hex.EncodeToString(virtual[:])}, flags...)...)
	if err != nil {
		t.Fatal(err)
	}
	said := []byte(out)
	address := strings.TrimSpace(out)
	pay := souk(t, append([]string{"status", "--server", f.URLs[0]}, flags...)...)
	said = append(said, pay...)
	if !strings.HasPrefix(address, "souk1") {
		t.Fatalf("no address: %q", address)
	}
	said = append(said, souk(t, append([]string{"verify"}, flags...)...)...)
	if wrong, err := try(t, "", "serve", "--home", string(f.Homes[0]), "--passphrase-file", pass); err == nil {
		t.Errorf("a wrong passphrase opens the keys: %s", wrong)
	} else {
		said = append(said, err.Error()...)
	}
	s := f.trade()
	s.after(60)
	f.Kill(1) // lines about the dead, and a replay
	if err := f.Restart(1); err != nil {
		t.Fatal(err)
	}
	s.after(40)
	s.end()
	if err := f.Ready(within(t, time.Minute)); err != nil {
		t.Fatal(err)
	}
	if leaked := secrets.in(said); leaked != nil {
		t.Errorf("the command line printed: %v", leaked)
	}
	for i := range f.Homes {
		f.spoken(t, secrets, i)
	}
	if err := f.Stop(0, 1, 2, 3); err != nil {
		t.Error(err)
	}
	roots := []string{purse}
	for _, h := range f.Homes {
		roots = append(roots, string(h))
	}
	for _, root := range roots {
		f.stored(t, secrets, root)
	}
}

// The same of the seeds of keys for banks, of servers that sign with them.
func TestBankSecrets(t *testing.T) {
	beside(t)
	b := withBanks(t, false, chainnode.Btcd)
	secrets := canaries{}
	for i, h := range b.Homes {
		seed, err := sealed.Read(filepath.Join(string(h), "keys", "bank.key"), "bank seed", sealed.FromFile(h.PassphraseFile()))
		if err != nil {
			t.Fatal(err)
		}
		secrets.add(fmt.Sprintf("bank seed %d", i+1), seed)
	}
	for name, forms := range secrets { // what would be there is found
		for _, form := range forms {
			if !slices.Contains(secrets.in(slices.Concat([]byte("before"), form, []byte("after"))), name) {
				t.Fatalf("%s is not found", name)
			}
		}
	}
	alice := b.saver("alice")
	alice.pay("BTC", 2e8)
	b.mine("BTC", 3)
	eventually(t, time.Minute, "it is credited", func() error { return alice.has("BTC", "2.00000000") })
	id, to := alice.withdraw("BTC", 1e8)
	alice.paid("BTC", id, to)
	for i := range b.Homes {
		b.spoken(t, secrets, i)
	}
	if err := b.Stop(0, 1, 2, 3); err != nil {
		t.Error(err)
	}
	for _, h := range b.Homes {
		b.stored(t, secrets, string(h)) // logs, too
	}
}

// spoken looks at what a running server shows of itself.
func (f *federation) spoken(t *testing.T, secrets canaries, i int) {
	t.Helper()
	for _, name := range []string{"cmdline", "environ"} {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", f.PID(i), name))
		if err != nil {
			t.Logf("no /proc here: %v", err)
			continue
		}
		if leaked := secrets.in(data); leaked != nil {
			t.Errorf("%s of server %d: %v", name, i+1, leaked)
		}
	}
	for _, path := range []string{
		"/v1/status", "/v1/founding", "/v1/assets", "/v1/markets", "/v1/audit", "/v1/votes", "/v1/trades?market=1", "/v1/book/1", "/v1/light/0",
		"/v1/banks", "/v1/banks/BTC", "/v1/banks/BTC/coins", "/v1/banks/BTC/series/0", "/metrics", "/livez", "/readyz", "/v1/nonce", "/v1/openapi.json", "/openapi.json", "/debug/pprof/cmdline", "/debug/vars", "/config.toml", "/v1/none",
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.URLs[i]+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, body := send(t, req); secrets.in(body) != nil {
			t.Errorf("%s of server %d: %v", path, i+1, secrets.in(body))
		}
	}
}

// stored looks into all files of a folder, besides the passphrase file of the test itself.
func (f *federation) stored(t *testing.T, secrets canaries, root string) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Base(path) == "passphrase" {
			return err
		}
		files++
		data, err := os.ReadFile(path)
		if err == nil && secrets.in(data) != nil {
			t.Errorf("%s: %v", path, secrets.in(data))
		}
		info, ierr := d.Info()
		if ierr == nil && strings.HasSuffix(path, ".age") && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("others may read %s", path)
		}
		return err
	})
	if err != nil || files == 0 {
		t.Errorf("%d files in %s: %v", files, root, err)
	}
}
