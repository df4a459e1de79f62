package cli_test

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"souk/api"
	"souk/asset"
	"souk/cli"
	"souk/exchange"
	"souk/exchange/custody"
	"souk/internal/chainnode"
	"souk/internal/cluster"
	"souk/node"
	"souk/script"
	"souk/store/sealed"
	"souk/threshold"
)

// what is wrong with the names of nodes is said, with status 2, and no secret is
// repeated.
func TestAuditFlags(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.toml")
	if err := os.WriteFile(file, []byte("http = \"x\"\n[chains.bitcoin]\nkind = \"rpc\"\nurl = \"http://127.0.0.1:1\"\n[log]\nlevel = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(t.TempDir(), "empty.toml")
	if err := os.WriteFile(empty, []byte("http = \"x\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range [][]string{
		{"no network of that name", "--chain", "dogecoin=http://127.0.0.1:1"},
		{"write NETWORK=URL", "--chain", "bitcoin"},
		{"do not belong on the command line", "--chain", "bitcoin=http://alice:hunter2@127.0.0.1:1"},
		{"a password does not belong", "--chain", "bitcoin=http://127.0.0.1:1,user=alice,password=hunter2"},
		{"none of cookie", "--chain", "bitcoin=http://127.0.0.1:1,biscuit=x"},
		{"without a value", "--chain", "bitcoin=http://127.0.0.1:1,cookie="},
		{"how the node knows", "--chains", file},
		{"there is no section", "--chains", empty},
		{"no such file", "--chains", file + ".not"},
		{"no server is known", "--chain", "bitcoin=light", "--purse", filepath.Join(t.TempDir(), "none")},
	} {
		var out strings.Builder
		status := cli.QuickMain(append([]string{"audit"}, test[1:]...), strings.NewReader(""), &out, &out)
		if status != 2 || !strings.Contains(out.String(), test[0]) || strings.Contains(out.String(), "hunter2") {
			t.Errorf("%v: status %d, %s", test, status, out.String())
		}
	}
}

// somebody with a node and no server audits a bank: solvent while all is in
// order, and untold while his node is behind or cannot be reached.
func TestAuditChain(t *testing.T) {
	if testing.Short() {
		t.Skip("starts servers and a node")
	}
	miner, err := chainnode.StartMiner(t.Context(), chainnode.Config{Kind: chainnode.Btcd, Dir: t.TempDir(), Reward: []byte{0x51}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = miner.Stop() })
	if err := miner.Mine(t.Context(), 120); err != nil {
		t.Fatal(err)
	}
	rpc := miner.Node().RPC()
	dir := t.TempDir()
	password := filepath.Join(dir, "password")
	if err := os.WriteFile(password, []byte(rpc.Password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := startShop(t, node.LocalSetup{
		Servers: 4,
		Banks:   []node.BankTerms{{Asset: "BTC", Network: "bitcoin-regtest"}},
		Chains:  map[string]node.ChainConfig{"bitcoin-regtest": {Kind: "rpc", URL: rpc.URL, User: rpc.User, PasswordFile: password}},
	})
	id := s.Founding.ID()
	ask := []string{"audit", "--id", hex.EncodeToString(id[:]), "--purse", filepath.Join(dir, "none")}
	for _, url := range s.URLs {
		ask = append(ask, "--server", url)
	}
	own := slices.Concat(ask, []string{"--chain", fmt.Sprintf("bitcoin-regtest=%s,user=%s,password-file=%s", rpc.URL, rpc.User, password)})

	first := s.must(own...)
	for _, want := range []string{"bank of BTC", "coins on chain", `solvent +yes`, "3 of 4 keys sign", "proven by"} {
		if !regexp.MustCompile(want).MatchString(first) {
			t.Errorf("the audit does not say %q:\n%s", want, first)
		}
	}
	// Somebody pays to an address of nobody's: on the chain at once, and, once the members
	// agree that it is deep, the reserve's, so that it is owed too.
	at, err := miner.Pay(t.Context(), depositScript(t, s.Founding, 7), 1_2345_0000)
	if err != nil {
		t.Fatal(err)
	}
	var b bankAudited
	for end := time.Now().Add(2 * time.Minute); b.Owed != "1.23450000"; {
		if time.Now().After(end) {
			t.Fatalf("not credited: %+v", b)
		}
		if err := miner.Mine(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		out, status := s.souk(slices.Concat(own, []string{"-o", "json"})...)
		if status == 2 && strings.Contains(out, "than the members agree on") {
			continue // it was not waited for long enough
		}
		b = audited(t, out)
		if status != 0 || b.OnChain != "1.23450000" || b.Owed == "0.00000000" && (len(b.Unknown) != 1 || b.Unknown[0].Outpoint != at.String()) {
			t.Fatalf("status %d: %s", status, out)
		}
	}
	if !b.Solvent || b.Free != b.Owed || b.Reserve != b.Owed || len(b.Unknown)+len(b.Missing) != 0 || b.Header == 0 {
		t.Errorf("%+v", b)
	}
	// The holders of three keys move the coin away, past the ledger: whether or not the
	// members have seen it yet, the audit says how much is missing.
	steal(t, s.Cluster, miner, at, 1_2345_0000)
	if err := miner.Mine(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	out, status := s.souk(own...)
	for _, want := range []string{`solvent +NO`, "MISSING +1.23450000 +" + at.String(), "insolvent: the bank of BTC lacks 1.23450000 BTC"} {
		if status != 1 || !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("status %d, the audit does not say %q:\n%s", status, want, out)
		}
	}
	// What keeps it from an answer.
	for words, args := range map[string][]string{
		"no node for bitcoin-regtest": slices.Concat(ask, []string{"--chain", "litecoin=http://127.0.0.1:1,user=a,password-file=" + password}),
		"cannot be reached":           slices.Concat(ask, []string{"--chain", "bitcoin-regtest=http://127.0.0.1:1,user=a,password-file=" + password}),
	} {
		if out, status := s.souk(args...); status != 2 || !strings.Contains(out, words) {
			t.Errorf("%s: status %d, %s", words, status, out)
		}
	}
	if out := s.must(ask...); !strings.Contains(out, "balanced") {
		t.Errorf("without a node: %s", out)
	}
}

// bankAudited is what the test reads of an audit.
type bankAudited struct {
	Solvent bool   `json:"solvent"`
	OnChain string `json:"on_chain"`
	Owed    string `json:"owed"`
	Free    string `json:"free"`
	Reserve string `json:"reserve"`
	Header  uint64 `json:"header"`
	Unknown []struct{ Outpoint, Amount string }
	Missing []struct{ Outpoint, Amount string }
}

// audited reads the audit of the one bank.
func audited(t *testing.T, out string) bankAudited {
	t.Helper()
	var v struct {
		api.Audit
		Solvent bool          `json:"solvent"`
		Banks   []bankAudited `json:"banks"`
	}
	out = out[max(strings.Index(out, "{"), 0):] // a slow machine says how far it is
	if err := json.Unmarshal([]byte(out), &v); err != nil || len(v.Banks) != 1 || !v.Balanced || len(v.Assets) == 0 || v.Solvent != v.Banks[0].Solvent {
		t.Fatalf("%v: %s", err, out)
	}
	return v.Banks[0]
}

// depositSeries is the first series, made of the founders' cards.
func depositSeries(f *exchange.Founding) *script.Series {
	series := &script.Series{K: uint8(custody.Threshold(len(f.Members)))}
	for i := range f.Members {
		for _, k := range f.Members[i].Banks {
			if k.Network == "bitcoin-regtest" {
				series.Keys = append(series.Keys, k.Key)
			}
		}
	}
	return series
}

// depositScript is the output of a deposit address.
func depositScript(t *testing.T, f *exchange.Founding, index uint32) []byte {
	t.Helper()
	out, err := depositSeries(f).Output(script.Deposits, index)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// steal signs with the keys of three homes what no ledger has recorded.
func steal(t *testing.T, c *cluster.Cluster, miner *chainnode.Miner, at script.Outpoint, amount asset.Amount) {
	t.Helper()
	network, _ := script.ByName("bitcoin-regtest")
	plan := &threshold.Plan{
		Network: network, Version: script.Version, Sequence: script.SequenceReplace,
		Inputs:  []threshold.Coin{{At: at, Amount: amount, Branch: script.Deposits, Index: 7}},
		Outputs: []script.Output{{Script: miner.Script(), Amount: amount - 10_000}},
	}
	session, err := (&threshold.Multisig{Series: []*script.Series{depositSeries(c.Founding)}}).Open(plan)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(network.Name))
	path := []uint32{script.Hardened + 8640, script.Hardened + binary.BigEndian.Uint32(sum[:4])>>1, script.Hardened}
	var said []threshold.Partial
	for _, home := range c.Homes[:3] {
		seed, err := sealed.Read(filepath.Join(string(home), "keys", "bank.key"), "bank seed", sealed.FromFile(filepath.Join(string(home), "passphrase")))
		if err != nil {
			t.Fatal(err)
		}
		key, err := script.NewPrivateMemberKey(seed, path...)
		if err != nil {
			t.Fatal(err)
		}
		some, err := session.Sign(key, nil)
		if err != nil {
			t.Fatal(err)
		}
		said = append(said, some...)
	}
	raw, _, err := session.Combine(said)
	if err != nil {
		t.Fatal(err)
	}
	backend, err := miner.Node().Backend()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = backend.Close() }()
	if err := backend.Broadcast(t.Context(), raw); err != nil {
		t.Fatal(err)
	}
}
