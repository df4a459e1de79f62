package node_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"souk/api"
	"souk/exchange"
	"souk/exchange/custody"
	"souk/exchange/roster"
	"souk/node"
	"souk/script"
	"souk/store/sealed"
)

// restored backs a home up, loses it, and makes another one of the backup.
func (v *vault) restored(ctx context.Context, t *testing.T, i int) exchange.Card {
	t.Helper()
	var file bytes.Buffer
	h := v.Homes[i]
	if _, err := h.Backup(&file, time.Now()); err != nil {
		t.Fatal(err)
	}
	data := file.Bytes()
	setup := node.RestoreSetup{Pass: sealed.FromFile(h.PassphraseFile()), Work: sealed.TestWork, Now: time.Now()}
	again := node.Home(filepath.Join(t.TempDir(), "again"))
	if _, err := node.Restore(ctx, again, bytes.NewReader(data), setup); !errors.Is(err, node.ErrRunning) {
		t.Fatalf("while it runs: %v", err)
	}
	v.close(t, i)
	passphrase, err := os.ReadFile(h.PassphraseFile())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(string(h)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.MkdirAll(string(again), 0o700), os.WriteFile(again.PassphraseFile(), passphrase, 0o600)); err != nil {
		t.Fatal(err)
	}
	setup.Pass = sealed.FromFile(again.PassphraseFile())
	var r node.Restored
	await(ctx, t, "the others notice that it is gone", func() bool {
		r, err = node.Restore(ctx, again, bytes.NewReader(data), setup)
		if err != nil && !errors.Is(err, node.ErrRunning) {
			t.Fatal(err)
		}
		return err == nil
	})
	if len(r.Joined) != 1 || len(r.Cards) != 1 {
		t.Fatalf("%+v", r)
	}
	v.Homes[i] = again
	return r.Cards[0].Card
}

// vote has members approve of an action with their operators' keys.
func (v *vault) vote(ctx context.Context, t *testing.T, action roster.Action, members ...int) {
	t.Helper()
	for _, i := range members {
		key, err := v.Homes[i].Key(node.RoleOperator, sealed.FromFile(v.Homes[i].PassphraseFile()))
		if err != nil {
			t.Fatal(err)
		}
		r, err := v.client.As(api.OwnerOf(key)).Do(ctx, &exchange.Vote{Approve: true, Action: roster.AppendAction(nil, action, 0)})
		must(t, r, err)
	}
}

func (v *vault) member(t *testing.T, name string) (id roster.ID) {
	t.Helper()
	v.state(t, func(s *exchange.State) {
		for m := range s.Roster().Members {
			if m.Name == name {
				id = m.ID
			}
		}
	})
	return id
}

// The drill of docs/operations.md: a server's disk is lost, and its home is made anew out
// of a backup. The others vote for its new card, and it signs for the bank with its old
// key: with another server down, nothing could be paid without it.
func TestDrillLostDisk(t *testing.T) {
	v := startVault(t, 4, 4)
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	v.greet(ctx, t)
	v.deposit(ctx, t, 3e8)
	v.withdraw(ctx, t, output(7), 5e7) // so that there is a journal

	card := v.restored(ctx, t, 3)
	id := v.member(t, card.Name)
	v.vote(ctx, t, roster.ReplaceMember{Member: id, Server: card.Server, Consensus: card.Consensus, P2P: card.P2P, URL: card.URL}, 0, 1, 2)
	v.open(t, 3)
	v.nodes[3].SetChain(v.chain.Node())
	await(ctx, t, "it attests again", func() bool {
		behind := uint32(1)
		v.chain.Mine(1)
		time.Sleep(200 * time.Millisecond)
		v.state(t, func(s *exchange.State) {
			for _, m := range s.Banks().Members(1) {
				if m.Member == custody.Member(id) {
					behind = v.chain.Tip().Height - min(v.chain.Tip().Height, m.Height)
				}
			}
		})
		return behind <= 1
	})
	await(ctx, t, "full power", func() bool {
		full := 0
		v.state(t, func(s *exchange.State) {
			for m := range s.Roster().Members {
				if !m.Demoted {
					full++
				}
			}
		})
		return full == 4
	})
	v.close(t, 2)
	v.withdraw(ctx, t, output(8), 5e7)
}

// A member alone cannot be restored by a vote: its backup says what else to keep.
func TestBackupOfOne(t *testing.T) {
	local := foundVault(t, 1)
	var file bytes.Buffer
	b, err := local.Homes[0].Backup(&file, time.Now())
	if err != nil || len(b.Alone) != 1 {
		t.Fatalf("%+v, %v", b, err)
	}
	again := node.Home(filepath.Join(t.TempDir(), "again"))
	r, err := node.Restore(t.Context(), again, bytes.NewReader(file.Bytes()), node.RestoreSetup{
		Pass: sealed.FromFile(local.Homes[0].PassphraseFile()), Work: sealed.TestWork, Now: time.Now(),
	})
	if err != nil || len(r.Lost) != 1 || len(r.Joined) != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	// A file that was changed, or is none, is refused before anything is written.
	for _, data := range [][]byte{nil, []byte("x"), bytes.Replace(file.Bytes(), []byte("[http]"), []byte("[hptt]"), 1)} {
		to := node.Home(filepath.Join(t.TempDir(), "bad"))
		if _, err := node.Restore(t.Context(), to, bytes.NewReader(data), node.RestoreSetup{Pass: sealed.FromFile(local.Homes[0].PassphraseFile()), Gone: true}); !errors.Is(err, node.ErrBackup) {
			t.Errorf("%.10q: %v", data, err)
		}
		if _, err := os.Stat(string(to)); !errors.Is(err, fs.ErrNotExist) {
			t.Error("something was written")
		}
	}
	// What is not sealed is not copied.
	if err := os.WriteFile(filepath.Join(string(local.Homes[0]), "keys", "bank.key"), []byte("plain"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := local.Homes[0].Backup(&file, time.Now()); !errors.Is(err, node.ErrBackup) || !strings.Contains(err.Error(), "is not sealed") {
		t.Error(err)
	}
}

// Whoever steals a home and its backup, without the passphrase, finds no secret in
// any form, whatever the server did.
func TestStolenHome(t *testing.T) {
	v := startVault(t, 4, 4)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	v.greet(ctx, t)
	v.deposit(ctx, t, 3e8)
	v.withdraw(ctx, t, output(7), 5e7)
	v.close(t, 1)
	h := v.Homes[1]
	file, err := os.Create(filepath.Join(string(h), "backup.tar"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Backup(file, time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	secrets := secretsOf(t, h)
	if err := os.Remove(h.PassphraseFile()); err != nil { // which a trial has in the home
		t.Fatal(err)
	}
	found, files := search(t, string(h), secrets)
	for _, f := range found {
		t.Error(f)
	}
	if files < 15 {
		t.Errorf("%d files", files)
	}
	// What would be there is found: every secret, in every form, in the middle of a file.
	for name, secret := range secrets {
		path := filepath.Join(string(h), "vs", "planted")
		if err := os.WriteFile(path, slices.Concat([]byte("before"), secret, []byte("after")), 0o600); err != nil {
			t.Fatal(err)
		}
		if found, _ := search(t, string(h), secrets); !slices.Contains(found, path+" holds "+name) {
			t.Errorf("%s is not found: %v", name, found)
		}
	}
	path := filepath.Join(string(h), "vs", "planted")
	text := "tprv8ZgxMBicQKsPd7Uf69XL1XwhmjHopUGep8GuEiJDZmbQz6o58LninorQAfcKZWARbtRtfnLcJ5MQ2AtHcQJCCRUcMRvmDUjyEmNUWwx8UbK" // of an example
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if found, _ := search(t, string(h), nil); !slices.Equal(found, []string{path + " holds an extended private key"}) {
		t.Errorf("an extended private key is not found: %v", found)
	}
}

// extended is how an extended private key looks, of any network here.
var extended = regexp.MustCompile(`(?:[xtyzuv]prv|Ltpv|ttpv)[1-9A-HJ-NP-Za-km-z]{60,}`)

// search looks for secrets in all files of a folder.
func search(t *testing.T, root string, secrets map[string][]byte) (found []string, files int) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		data, err := os.ReadFile(path)
		for name, secret := range secrets {
			if bytes.Contains(data, secret) {
				found = append(found, path+" holds "+name)
			}
		}
		if extended.Match(data) {
			found = append(found, path+" holds an extended private key")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found, files
}

// secretsOf are a home's secrets in the forms in which somebody might write them.
func secretsOf(t *testing.T, h node.Home) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	plant := func(name string, secret []byte) {
		all[name] = bytes.Clone(secret)
		all[name+", hexadecimal"] = []byte(hex.EncodeToString(secret))
		all[name+", base64"] = []byte(strings.TrimRight(base64.StdEncoding.EncodeToString(secret), "="))
	}
	pass := sealed.FromFile(h.PassphraseFile())
	text, err := os.ReadFile(h.PassphraseFile())
	if err != nil {
		t.Fatal(err)
	}
	plant("the passphrase", bytes.TrimSpace(text))
	for _, role := range []string{node.RoleOperator, node.RoleServer, node.RoleConsensus, node.RoleNode} {
		key, err := h.Key(role, pass)
		if err != nil {
			t.Fatal(err)
		}
		seed := key.Seed()
		plant("the "+role+" key", seed[:])
	}
	seed, err := sealed.Read(filepath.Join(string(h), "keys", "bank.key"), "bank seed", pass)
	if err != nil {
		t.Fatal(err)
	}
	plant("the bank seed", seed)
	keys, err := node.OpenBankKeys(h, "keys", []string{"bitcoin-regtest"}, pass)
	if err != nil {
		t.Fatal(err)
	}
	for branch := range uint32(2) {
		for index := range uint32(3) {
			child, err := keys["bitcoin-regtest"].Child(branch, index)
			if err != nil {
				t.Fatal(err)
			}
			plant("a signing key", child.Serialize())
		}
	}
	if _, err := script.ParseMemberKey(keys["bitcoin-regtest"].Public().String()); err != nil {
		t.Fatal(err)
	}
	return all
}

// A home knows whether its keys for banks were in a backup, and the doctor reminds of one
// until they were, and again when they are others.
func TestDoctorBackup(t *testing.T) {
	v := startVault(t, 4, 1)
	v.close(t, 0)
	h := v.Homes[0]
	reminds := func() bool {
		return slices.ContainsFunc(node.Doctor(t.Context(), h), func(f node.Finding) bool { return f.What == "backup" && f.Note })
	}
	if !reminds() {
		t.Error("no reminder before the first backup")
	}
	b, err := h.Backup(io.Discard, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if !reminds() {
		t.Error("no reminder although nobody kept the backup")
	}
	if err := h.NoteBackup(&b); err != nil || reminds() {
		t.Errorf("a reminder after a backup, %v", err)
	}
	key := filepath.Join(string(h), "keys", "bank.key")
	data, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(key, append(data, '\n'), 0o600); err != nil || !reminds() {
		t.Errorf("no reminder for other keys, %v", err)
	}
}
