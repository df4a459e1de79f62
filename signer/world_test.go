package signer_test

import (
	"errors"
	"slices"
	"testing"

	"souk/asset"
	"souk/exchange"
	"souk/exchange/custody"
	. "souk/exchange/exchangetest"
	"souk/exchange/roster"
	"souk/script"
	"souk/signer"
	"souk/threshold"
)

// world is a federation of four with a bank, a chain that all its members see alike,
// and the signer of the first member.
type world struct {
	*World
	t     testing.TB
	chain *Chain
	dir   string
	own   *signer.Signer
	me    custody.Member
}

func newWorld(t testing.TB) *world {
	t.Helper()
	return foundedWorld(t, BankFounding(4))
}

func foundedWorld(t testing.TB, f *exchange.Founding) *world {
	t.Helper()
	w := &world{World: From(f), t: t, dir: t.TempDir() + "/journal"}
	w.chain = NewChain(w.World)
	w.Fund(EUR, Coin, "alice", "bob")
	id, ok := w.State.Roster().ByServer(Key(MemberName(0) + "/server").Public())
	if !ok {
		t.Fatal("no member")
	}
	w.me = custody.Member(id)
	w.open()
	return w
}

// open opens the signer, and again after it was lost.
func (w *world) open() {
	w.t.Helper()
	own, err := signer.Open(w.dir, signer.Keys{BankNetwork: MemberKey(MemberName(0))})
	if err != nil {
		w.t.Fatal(err)
	}
	w.own = own
}

// fork is the same world going on by itself, with the same signer.
func (w *world) fork() *world {
	w.t.Helper()
	s, err := exchange.Load(w.State.Founding(), w.State.Leaves)
	if err != nil {
		w.t.Fatal(err)
	}
	next, inner, c := *w, *w.World, *w.chain
	inner.State = s
	next.World, next.chain = &inner, &c
	c.World = &inner
	return &next
}

func (w *world) block(commands ...exchange.Command) *exchange.Result {
	w.t.Helper()
	return w.Must(w.t, commands...)
}

// deposit gives Alice coins of these amounts.
func (w *world) deposit(amounts ...asset.Amount) (coins []script.Outpoint) {
	w.t.Helper()
	n := w.block(w.Command("alice", &exchange.NewAddress{Bank: Bank})).Receipts[0].Number
	for _, a := range amounts {
		coins = append(coins, w.chain.Pay(uint32(n>>32), uint32(n), a))
	}
	w.mine(6)
	return coins
}

// mine makes blocks of the chain and has all members attest them.
func (w *world) mine(n uint32) {
	w.t.Helper()
	w.chain.Mine(n)
	w.block(w.chain.Attest()...)
}

// withdraw asks for a withdrawal of Alice's.
func (w *world) withdraw(amount asset.Amount) custody.ID {
	w.t.Helper()
	ask := &exchange.Withdraw{Request: custody.Request{Bank: Bank, Script: Output("shop"), Amount: amount, MaxFee: 1e6}}
	return custody.ID(w.block(w.Command("alice", ask)).Receipts[0].Number)
}

// waiting asks for a withdrawal while all banks are halted, so that it is in no batch.
func (w *world) waiting(amount asset.Amount) custody.ID {
	w.t.Helper()
	w.State.Banks().HaltAll(custody.Vote)
	return w.withdraw(amount)
}

// batch makes blocks until a withdrawal is in a batch, and answers it.
func (w *world) batch(id custody.ID) uint64 {
	w.t.Helper()
	n, _ := w.State.Banks().Reasons()
	_ = w.State.Banks().Lift(Bank, n)
	for range 10 {
		if x, ok := w.State.Banks().Withdrawal(id); ok && x.Batch != 0 {
			return x.Batch
		}
		w.Time += 1000
		w.block()
	}
	w.t.Fatalf("withdrawal %d is in no batch", id)
	return 0
}

func (w *world) sign(batch uint64, version uint8) (*custody.Signature, error) {
	return w.own.Sign(w.State.Banks(), w.me, Bank, batch, version)
}

// signed signs, puts the signature into the ledger, and makes sure that it holds.
func (w *world) signed(batch uint64, version uint8) *custody.Signature {
	w.t.Helper()
	x, err := w.sign(batch, version)
	if err != nil {
		w.t.Fatal(err)
	}
	w.block(w.ByServer(MemberName(0), &exchange.Sign{Signature: *x}))
	session, _ := w.session(batch, version)
	for i, sig := range x.Signatures {
		if err := session.Check(threshold.Partial{Input: uint32(i), Key: w.position(), Signature: sig}); err != nil {
			w.t.Fatal(err)
		}
	}
	return x
}

func (w *world) position() uint8 {
	_, members, _ := w.State.Banks().SeriesOf(Bank, 0)
	return uint8(slices.Index(members, w.me))
}

// session rebuilds a version by itself: what signatures must be of.
func (w *world) session(batch uint64, version uint8) (threshold.Session, script.Transaction) {
	w.t.Helper()
	b, _ := w.State.Banks().Batch(Bank, batch)
	tx, ok := w.State.Banks().Transaction(Bank, batch, version)
	if !ok {
		w.t.Fatalf("no version %d of batch %d", version, batch)
	}
	n, _ := script.ByName(BankNetwork)
	plan := threshold.Plan{Network: n, Version: tx.Version, Sequence: tx.Sequence, LockTime: tx.LockTime, Outputs: tx.Outputs}
	for _, in := range b.Spends(int(version)) {
		plan.Inputs = append(plan.Inputs, threshold.Coin{At: in.At, Amount: in.Amount, Series: in.Series, Branch: in.Branch, Index: in.Index})
	}
	series, _, _ := w.State.Banks().SeriesOf(Bank, 0)
	session, err := (&threshold.Multisig{Series: []*script.Series{&series}}).Open(&plan)
	if err != nil {
		w.t.Fatal(err)
	}
	return session, tx
}

// lift ends a halt: somebody donates what is missing, and the members vote.
func (w *world) lift(donation asset.Amount) {
	w.t.Helper()
	w.block(w.Command("alice", &exchange.Donate{Bank: Bank, Amount: donation}))
	vote := &exchange.Vote{Approve: true, Action: roster.AppendAction(nil, Lift(w.State), 0)}
	w.block(w.Command(MemberName(0), vote), w.Command(MemberName(1), vote), w.Command(MemberName(2), vote))
	if w.State.Banks().Halted().Reason != custody.Running {
		w.t.Fatal("not lifted")
	}
}

func refused(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%v, want %v", err, want)
	}
}
