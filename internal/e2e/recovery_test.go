package e2e_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"souk/api"
	"souk/asset"
	"souk/chain"
	"souk/internal/chainnode"
	"souk/node"
	"souk/recovery"
)

// recoveryPlan is what souk recovery prints of a plan.
type recoveryPlan struct {
	Transactions []struct {
		Tx, In, Paid, Fee, State string
		Coins, Missing           int
		Opens, Height            uint32
	}
}

// holder is somebody with a recovery key.
type holder struct{ key, words string }

// newHolder makes a recovery key for a network and keeps its words in a file.
func newHolder(t *testing.T, dir, name, network string) holder {
	t.Helper()
	v := soukJSON[struct {
		Words string
		Keys  []struct{ Key string }
	}](t, "recovery-key", "new", "--network", network)
	h := holder{v.Keys[0].Key, filepath.Join(dir, name)}
	if err := os.WriteFile(h.words, []byte(v.Words+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return h
}

// All servers are gone, and with them all keys of the members. Two of three holders of
// recovery keys get every coin of the bank back, those of deposits and of change, once
// the lock is open; before, the tool says from which block on, and nodes refuse.
func TestRecovery(t *testing.T) {
	beside(t)
	if skipped() {
		t.Skip("whole processes")
	}
	const lock = 40
	dir := t.TempDir()
	holders := make([]holder, 3)
	for i, name := range []string{"heidi", "ivan", "judy"} {
		holders[i] = newHolder(t, dir, name, "bitcoin-regtest")
	}
	b := withTerms(t, false, func(terms *node.BankTerms) {
		terms.Recovery = &node.RecoveryTerms{Needed: 2, Blocks: lock, Keys: []string{holders[0].key, holders[1].key, holders[2].key}}
	}, chainnode.Btcd)
	c := b.coins["BTC"]
	alice, bob, carol := b.saver("alice"), b.saver("bob"), b.saver("carol")
	alice.pay("BTC", 3e8)
	bob.pay("BTC", 2e8)
	carol.pay("BTC", 4e8)
	b.mine("BTC", 3)
	eventually(t, time.Minute, "it is credited", func() error { return alice.has("BTC", "3.00000000") })
	id, out := alice.withdraw("BTC", 1e8)
	alice.paid("BTC", id, out)
	b.mine("BTC", 4)
	var page *api.BankPage
	eventually(t, time.Minute, "the change is free", func() error {
		page = b.attested("BTC")
		if page.Coins != 3 || page.Sums.Change != "0.00000000" {
			return fmt.Errorf("%d coins, %s to come back", page.Coins, page.Sums.Change)
		}
		return nil
	})
	server := b.Founding.ID()
	known := filepath.Join(dir, "series-0.json")
	series := souk(t, "verify", "series", "BTC", "0", "--server", b.URLs[0], "--server", b.URLs[1], "--id", fmt.Sprintf("%x", server[:]), "-o", "json")
	all := filepath.Join(dir, "bank.json")
	bank := souk(t, "bank", "BTC", "--server", b.URLs[0], "-o", "json")
	if err := errors.Join(os.WriteFile(known, []byte(series), 0o600), os.WriteFile(all, []byte(bank), 0o600)); err != nil {
		t.Fatal(err)
	}
	contract := filepath.Join(filepath.Dir(string(b.Homes[0])), "founding")
	b.Kill(0, 1, 2, 3)

	safe, err := c.Network().Address(chainnode.NewWallet("safe").Script())
	if err != nil {
		t.Fatal(err)
	}
	plan := func(name string, more ...string) (string, []string) {
		file := filepath.Join(dir, name)
		args := []string{"recovery", "plan", "--to", safe, "--chains", b.chains, "--fee-rate", "2000", "--gap", "200", "--change-gap", "20", "--out", file}
		return file, append(args, more...)
	}
	_, args := plan("too-early", "--founding", contract)
	tip, err := c.Tip(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if out, err := try(t, "", args...); err == nil || !strings.Contains(err.Error(), "no coin can be spent yet") || !strings.Contains(err.Error(), fmt.Sprintf("your node is at block %d", tip.Height)) {
		t.Fatalf("too early: %v\n%s", err, out)
	}
	early, args := plan("early", "--founding", contract, "--early")
	v := soukJSON[recoveryPlan](t, args...)
	if len(v.Transactions) != 1 || v.Transactions[0].Coins != 3 || v.Transactions[0].In != page.Sums.Free {
		t.Fatalf("%+v, the bank has %s", v, page.Sums.Free)
	}
	opens := v.Transactions[0].Opens
	for _, h := range holders[:2] {
		out, err := try(t, "yes\n", "recovery", "sign", early, "--words-file", h.words)
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	if out, err := try(t, "", "recovery", "send", early, "--chains", b.chains); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("from block %d on", opens)) {
		t.Errorf("too early: %v\n%s", err, out)
	}
	b.refusesEarly(early)

	b.mine("BTC", int(opens-1-tip.Height))
	_, args = plan("early", "--series", known)
	if out, err := try(t, "", args...); err == nil || !strings.Contains(err.Error(), "already") {
		t.Errorf("a file that is there: %v\n%s", err, out)
	}
	one, args := plan("plan", "--series", known, "--series", all)
	v = soukJSON[recoveryPlan](t, args...)
	if v.Transactions[0].Coins != 3 || v.Transactions[0].In != page.Sums.Free {
		t.Fatalf("%+v, the bank has %s", v, page.Sums.Free)
	}
	data, err := os.ReadFile(one)
	if err != nil {
		t.Fatal(err)
	}
	two := filepath.Join(dir, "copy")
	if err := os.WriteFile(two, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := try(t, "no\n", "recovery", "sign", one, "--words-file", holders[2].words); err == nil || !strings.Contains(err.Error(), safe) || !strings.Contains(err.Error(), "nothing was signed") {
		t.Errorf("without a yes: %v\n%s", err, out)
	}
	souk(t, "recovery", "sign", one, "--words-file", holders[0].words, "--yes")
	souk(t, "recovery", "sign", two, "--words-file", holders[2].words, "--yes")
	if out, err := try(t, "", "recovery", "send", one, "--chains", b.chains); err == nil || !strings.Contains(err.Error(), "signatures are missing") {
		t.Errorf("with one signature: %v\n%s", err, out)
	}
	souk(t, "recovery", "send", one, two, "--chains", b.chains)
	b.mine("BTC", 1)
	v = soukJSON[recoveryPlan](t, "recovery", "send", one, two, "--chains", b.chains, "--watch")
	if v.Transactions[0].Height == 0 {
		t.Errorf("%+v", v)
	}
	var got asset.Amount
	err = c.Miner(func(m *chainnode.Miner) (err error) {
		got, err = m.Received(within(t, time.Minute), chainnode.NewWallet("safe").Script())
		return err
	})
	if want, perr := asset.Parse(v.Transactions[0].Paid, 8); err != nil || perr != nil || got != want {
		t.Errorf("%d have arrived, not %s: %v, %v", got, v.Transactions[0].Paid, err, perr)
	}
	b.wordless(dir, holders)
}

// refusesEarly has the world's node refuse a plan that is signed.
func (b *banked) refusesEarly(file string) {
	b.t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		b.t.Fatal(err)
	}
	f, err := recovery.Parse(data)
	if err != nil {
		b.t.Fatal(err)
	}
	raw, err := f.Combine(0)
	if err != nil {
		b.t.Fatal(err)
	}
	world, err := b.coins["BTC"].World().Backend()
	if err != nil {
		b.t.Fatal(err)
	}
	defer world.Close() //nolint:errcheck // nothing was sent
	if err := world.Broadcast(within(b.t, time.Minute), raw); !errors.Is(err, chain.ErrImmature) {
		b.t.Errorf("the node: %v", err)
	}
}

// wordless wants no other file of a folder to have anybody's words, and only its owner to read each.
func (b *banked) wordless(dir string, holders []holder) {
	b.t.Helper()
	for _, name := range []string{"early", "plan", "copy"} {
		file := filepath.Join(dir, name)
		data, err := os.ReadFile(file)
		if err != nil {
			b.t.Fatal(err)
		}
		info, err := os.Stat(file)
		if err != nil || info.Mode().Perm() != 0o600 {
			b.t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
		for _, h := range holders {
			words, err := os.ReadFile(h.words)
			if err != nil {
				b.t.Fatal(err)
			}
			if first := strings.Fields(string(words)); slices.ContainsFunc([]string{strings.Join(first[:2], " "), strings.Join(first[22:], " ")}, func(x string) bool { return strings.Contains(string(data), x) }) {
				b.t.Errorf("%s has words", name)
			}
		}
	}
}
