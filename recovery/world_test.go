package recovery_test

import (
	"crypto/sha256"
	"testing"

	"souk/asset"
	"souk/chain/memchain"
	"souk/recovery"
	"souk/script"
	"souk/threshold"
)

// failer is what *testing.T and *rapid.T have in common here.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// keyOf is a key that a name stands for.
func keyOf(t failer, name string) script.PrivateMemberKey {
	t.Helper()
	seed := sha256.Sum256([]byte(name))
	k, err := script.NewPrivateMemberKey(seed[:])
	if err != nil {
		t.Fatalf("%v", err)
	}
	return k
}

func keysOf(t failer, names ...string) (private []script.PrivateMemberKey, public []script.MemberKey) {
	t.Helper()
	for _, name := range names {
		k := keyOf(t, name)
		private, public = append(private, k), append(public, k.Public())
	}
	return private, public
}

const lock = 6 // blocks

// world is a bank on a chain in memory whose members are gone.
type world struct {
	t       failer
	chain   *memchain.Chain
	node    *memchain.Node
	network *script.Network
	bank    recovery.Bank
	holders []script.PrivateMemberKey // 2 of 3
	members []script.PrivateMemberKey // of series 0
	to      []byte
}

func newWorld(t failer, network string, members ...[]string) *world {
	t.Helper()
	w := &world{t: t}
	w.network, _ = script.ByName(network)
	w.chain = memchain.New(w.network, true)
	w.node = w.chain.Node()
	start := w.chain.Mine(3)[2]
	w.bank = recovery.Bank{Network: w.network, Wallets: 2, Start: start.Point}
	var holders []script.MemberKey
	w.holders, holders = keysOf(t, "heidi", "ivan", "judy")
	for i, names := range members {
		private, public := keysOf(t, names...)
		if i == 0 {
			w.members = private
		}
		s := &script.Series{K: uint8(2*len(names)/3 + 1), Keys: public, Recovery: &script.Recovery{K: 2, Keys: holders, Blocks: lock}}
		w.bank.Series = append(w.bank.Series, recovery.Series{Number: uint32(i), Series: s})
	}
	hash := sha256.Sum256([]byte("safe"))
	w.to = append([]byte{0, 32}, hash[:]...)
	return w
}

var four = []string{"alice", "bob", "carol", "dave"}

// pay pays an address of the bank, in a block of its own.
func (w *world) pay(series int, branch, index uint32, amount asset.Amount) script.Outpoint {
	w.t.Helper()
	out, err := w.bank.Series[series].Output(branch, index)
	if err != nil {
		w.t.Fatalf("%v", err)
	}
	at := w.chain.Pay(out, amount)
	w.chain.Mine(1)
	return at
}

func (w *world) config() recovery.Config {
	return recovery.Config{Bank: w.bank, Backend: w.node, DepositGap: 10, ChangeGap: 5}
}

// spend has the members of series 0 spend coins of it.
func (w *world) spend(coins ...threshold.Coin) {
	w.t.Helper()
	w.spendTo(script.Output{Script: append([]byte{0, 20}, make([]byte, 20)...)}, coins...)
}

// spendTo has them spend coins to an output, of all but a fee if it says no amount.
func (w *world) spendTo(out script.Output, coins ...threshold.Coin) {
	w.t.Helper()
	var sum asset.Amount
	for i := range coins {
		sum += coins[i].Amount
	}
	if out.Amount == 0 {
		out.Amount = sum - 100_000
	}
	p := &threshold.Plan{
		Network: w.network, Version: script.Version, Sequence: script.SequenceReplace, Inputs: coins, Outputs: []script.Output{out},
	}
	session, err := (&threshold.Multisig{Series: []*script.Series{w.bank.Series[0].Series}}).Open(p)
	if err != nil {
		w.t.Fatalf("%v", err)
	}
	var said []threshold.Partial
	for _, k := range w.members {
		own, err := session.Sign(k, nil)
		if err != nil {
			w.t.Fatalf("%v", err)
		}
		said = append(said, own...)
	}
	raw, _, err := session.Combine(said)
	if err == nil {
		err = w.chain.Broadcast(raw)
	}
	if err != nil {
		w.t.Fatalf("%v", err)
	}
	w.chain.Mine(1)
}

// again writes a file and reads it.
func (w *world) again(f *recovery.File) *recovery.File {
	w.t.Helper()
	data, err := f.Encode()
	if err != nil {
		w.t.Fatalf("%v", err)
	}
	g, err := recovery.Parse(data)
	if err != nil {
		w.t.Fatalf("%v\n%s", err, data)
	}
	return g
}

func (w *world) sign(f *recovery.File, holder int) {
	w.t.Helper()
	if n, err := f.Sign(w.holders[holder]); err != nil || n != len(f.Transactions) {
		w.t.Fatalf("signed %d of %d: %v", n, len(f.Transactions), err)
	}
}

func mustFind(t *testing.T, w *world) *recovery.Findings {
	t.Helper()
	f, err := recovery.Find(t.Context(), w.config())
	if err != nil {
		t.Fatal(err)
	}
	return f
}
