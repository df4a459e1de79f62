package auditor_test

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"souk/asset"
	"souk/auditor"
	"souk/chain"
	"souk/chain/memchain"
	"souk/exchange"
	"souk/exchange/custody"
	. "souk/exchange/exchangetest"
	"souk/exchange/roster"
	"souk/merkle"
	"souk/script"
	"souk/threshold"
)

// failer is what *testing.T and *rapid.T have in common here.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// world is a virtual server with a bank on a chain in memory, and its four members,
// who follow the chain, sign and broadcast when they are told to.
type world struct {
	*World
	t       failer
	chain   *memchain.Chain
	node    *memchain.Node
	keys    map[string][]script.PrivateMemberKey // by member's name
	locator chain.Locator
	filter  *chain.Filter
	watched map[string]custody.Payment
	bodies  []*exchange.Attest // what the members have to say
	made    int
	needed  int // members who sign and vote
	auditor *auditor.Auditor
}

func newWorld(t failer, recovery *script.Recovery) *world { return newWorldOf(t, 4, recovery) }

// newWorldOf is a world of so many members, as many of whom sign as have to.
func newWorldOf(t failer, members int, recovery *script.Recovery) *world {
	network, _ := script.ByName(BankNetwork)
	c := memchain.New(network, true)
	start := c.Mine(5)[4]
	f := BankFounding(members)
	f.Banks[0].Start = custody.Point{Height: start.Height, Hash: start.Hash}
	f.Banks[0].Wallets = 2
	if recovery != nil {
		SetRecovery(&f.Banks[0], *recovery, "vault")
	}
	w := &world{
		World: From(f), t: t, needed: custody.Threshold(members), chain: c, node: c.Node(), keys: map[string][]script.PrivateMemberKey{},
		locator: chain.Locator{start.Point}, filter: chain.NewFilter(), watched: map[string]custody.Payment{},
	}
	for i := range f.Members {
		name := f.Members[i].Name
		w.keys[name] = []script.PrivateMemberKey{MemberKey(name)}
	}
	w.Fund(EUR, Coin, "alice", "bob")
	return w
}

// must applies commands, all of which must be OK.
func (w *world) must(commands ...exchange.Command) *exchange.Result {
	w.t.Helper()
	return w.Must(w.t, commands...)
}

func (w *world) bank() custody.BankRecord {
	w.t.Helper()
	value, _ := w.State.Prove(custody.BankKey(Bank))
	b, err := custody.ParseBank(custody.BankKey(Bank), value)
	if err != nil {
		w.t.Fatalf("%v", err)
	}
	return b
}

// watch looks for payments to everything that members watch.
func (w *world) watch() {
	w.t.Helper()
	b := w.bank()
	for n := range b.Series {
		value, _ := w.State.Prove(custody.SeriesKey(Bank, n))
		s, err := custody.ParseSeries(custody.SeriesKey(Bank, n), value)
		if err != nil {
			w.t.Fatalf("%v", err)
		}
		add := func(branch, index uint32) {
			id := fmt.Sprint(n, branch, index)
			if _, ok := w.watched[id]; ok {
				return
			}
			out, err := s.Output(branch, index)
			if err != nil {
				w.t.Fatalf("%v", err)
			}
			w.watched[id] = custody.Payment{}
			w.watched[string(out)] = custody.Payment{Series: n, Branch: branch, Index: index}
			w.filter.Watch(out)
		}
		for i := range s.Allotted + 2 {
			add(script.Deposits, i)
		}
		for wallet, used := range b.Changes {
			for i := range used + 2 {
				index, _ := script.ChangeIndex(uint8(wallet), i)
				add(script.Change, index)
			}
		}
	}
}

// Rewind implements chain.Visitor.
func (w *world) Rewind(to chain.Point) error {
	w.bodies = slices.DeleteFunc(w.bodies, func(a *exchange.Attest) bool { return a.From > to.Height })
	return nil
}

// Connect implements chain.Visitor.
func (w *world) Connect(b chain.Block, found chain.Found) error {
	a := &exchange.Attest{Attestation: custody.Attestation{Bank: Bank, Rate: 2_000, From: b.Height, Parent: b.Parent, Hashes: []script.Hash{b.Hash}}}
	for _, p := range found.Payments {
		x := w.watched[string(p.Script)]
		x.Height, x.At, x.Amount, x.PegOut = b.Height, p.At, p.Amount, p.PegOut
		a.Payments = append(a.Payments, x)
	}
	for _, s := range found.Spends {
		a.Spends = append(a.Spends, custody.Spend{Height: b.Height, At: s.At, Tx: s.By})
	}
	w.bodies = append(w.bodies, a)
	return nil
}

// attest lets all members say what is new on the chain.
func (w *world) attest() {
	w.t.Helper()
	w.watch()
	var err error
	if w.locator, err = chain.Walk(context.Background(), w.node, w.locator, w.filter, w); err != nil {
		w.t.Fatalf("%v", err)
	}
	for _, body := range w.bodies {
		var commands []exchange.Command
		for name := range w.names {
			commands = append(commands, w.ByServer(name, body))
		}
		w.must(commands...)
	}
	w.bodies = nil
	w.must() // the next look at what waits
	w.must()
}

// names are the members' names.
func (w *world) names(yield func(string) bool) {
	for i := range w.State.Founding().Members {
		if !yield(w.State.Founding().Members[i].Name) {
			return
		}
	}
}

// plan is the transaction of a batch's newest version.
func (w *world) plan(number uint64) (threshold.Session, *custody.Batch) {
	w.t.Helper()
	batch, _ := w.State.Banks().Batch(Bank, number)
	tx, ok := w.State.Banks().Transaction(Bank, number, uint8(len(batch.Versions)))
	if !ok {
		w.t.Fatalf("no transaction of batch %d", number)
	}
	return w.open(batch.Inputs, tx.Outputs), &batch
}

func (w *world) open(inputs []custody.Input, outputs []script.Output) threshold.Session {
	w.t.Helper()
	p := &threshold.Plan{Network: w.node.Network(), Version: script.Version, Sequence: script.SequenceReplace, Outputs: outputs}
	for i := range inputs {
		in := &inputs[i]
		p.Inputs = append(p.Inputs, threshold.Coin{At: in.At, Amount: in.Amount, Series: in.Series, Branch: in.Branch, Index: in.Index})
	}
	kind := &threshold.Multisig{}
	for n := range w.bank().Series {
		s, _, _ := w.State.Banks().SeriesOf(Bank, n)
		kind.Series = append(kind.Series, &s)
	}
	s, err := kind.Open(p)
	if err != nil {
		w.t.Fatalf("%v", err)
	}
	return s
}

// partials are what some members sign.
func (w *world) partials(s threshold.Session, members int) (all []threshold.Partial) {
	w.t.Helper()
	n := 0
	for name := range w.names {
		if n++; n > members {
			break
		}
		for _, key := range w.keys[name] {
			some, err := s.Sign(key, nil)
			if err != nil && !errors.Is(err, threshold.ErrStranger) {
				w.t.Fatalf("%v", err)
			}
			all = append(all, some...)
		}
	}
	return all
}

// work lets the members sign and broadcast what there is.
func (w *world) work() {
	w.t.Helper()
	info, _ := w.State.Banks().Bank(Bank)
	for _, number := range info.Live {
		s, batch := w.plan(number)
		partials := w.partials(s, w.needed)
		raw, _, err := s.Combine(partials)
		if err != nil {
			w.t.Fatalf("combine: %v", err)
		}
		if w.State.Banks().Halted().Reason == 0 {
			var commands []exchange.Command
			for id, name := range slices.Collect(w.names)[:w.needed] {
				x := custody.Signature{Bank: Bank, Batch: number, Version: uint8(len(batch.Versions)), Signatures: make([][]byte, len(batch.Inputs))}
				some := false
				for _, p := range partials {
					_, members, _ := w.State.Banks().SeriesOf(Bank, batch.Inputs[p.Input].Series)
					if members[p.Key] == custody.Member(id+1) {
						x.Signatures[p.Input], some = p.Signature, true
					}
				}
				if some {
					commands = append(commands, w.ByServer(name, &exchange.Sign{Signature: x}))
				}
			}
			w.must(commands...)
		}
		if err := w.node.Broadcast(context.Background(), raw); err != nil && !errors.Is(err, chain.ErrRefused) {
			w.t.Fatalf("broadcast: %v", err)
		}
	}
}

// turn mines blocks which all members see.
func (w *world) turn(n int) {
	w.t.Helper()
	for range n {
		w.work()
		w.chain.Mine(1)
		w.attest()
	}
}

// deposit pays to a new address of somebody.
func (w *world) deposit(name string, amount asset.Amount) {
	w.t.Helper()
	res := w.Block(w.Command(name, &exchange.NewAddress{Bank: Bank}))
	number := res.Receipts[0].Number
	if res.Receipts[0].Code != exchange.OK {
		number = 0 // an address of somebody's will do
	}
	w.pay(uint32(number>>32), script.Deposits, uint32(number), amount)
}

// pay pays to an address of the bank.
func (w *world) pay(series, branch, index uint32, amount asset.Amount) script.Outpoint {
	w.t.Helper()
	s, _, _ := w.State.Banks().SeriesOf(Bank, series)
	out, err := s.Output(branch, index)
	if err != nil {
		w.t.Fatalf("%v", err)
	}
	return w.chain.Pay(out, amount)
}

func (w *world) withdraw(name string, amount asset.Amount) {
	w.t.Helper()
	w.made++
	ask := custody.Request{Bank: Bank, Script: Output(fmt.Sprint("out", w.made%7)), Amount: amount, MaxFee: 1e6}
	w.Block(w.Command(name, &exchange.Withdraw{Request: ask}))
}

// rotate opens a series of new keys of all members.
func (w *world) rotate() {
	w.t.Helper()
	w.made++
	var announce, votes []exchange.Command
	open := roster.OpenSeries{Bank: uint32(Bank)}
	for id, name := range slices.Collect(w.names) {
		key := MemberKey(fmt.Sprint(name, "/", w.made))
		w.keys[name] = append(w.keys[name], key)
		announce = append(announce, w.ByServer(name, w.Announce(name, key)))
		open.Members = append(open.Members, roster.ID(id+1))
	}
	w.must(announce...)
	w.Time += 200
	for _, name := range slices.Collect(w.names)[:w.needed] {
		votes = append(votes, w.Command(name, &exchange.Vote{Approve: true, Action: roster.AppendAction(nil, open, uint32(w.made))}))
	}
	w.must(votes...)
}

// steal lets the holders of three keys move a coin away that no batch spends.
func (w *world) steal() (custody.Coin, bool) {
	w.t.Helper()
	for c := range func(yield func(custody.Coin) bool) { w.State.Banks().Coins(Bank, yield) } {
		if c.Batch != 0 || c.Unmined || c.Lost {
			continue
		}
		s := w.open([]custody.Input{c.Input}, []script.Output{{Script: Output("thief"), Amount: c.Amount - 5_000}})
		raw, _, err := s.Combine(w.partials(s, w.needed))
		if err != nil {
			w.t.Fatalf("steal: %v", err)
		}
		if err := w.chain.Force(raw); err != nil {
			w.t.Fatalf("steal: %v", err)
		}
		return c, true
	}
	return custody.Coin{}, false
}

// source yields proven leaves of the world's state, or lies.
type source struct {
	w   *world
	lie func(keys []merkle.Key, l *auditor.Leaves)
	ask func() // before each answer
}

// Leaves implements auditor.Source.
func (s *source) Leaves(_ context.Context, keys []merkle.Key) (auditor.Leaves, error) {
	if s.ask != nil {
		s.ask()
	}
	l := auditor.Leaves{Height: s.w.Height + 1, Time: s.w.Time, Root: s.w.State.Root()}
	for _, key := range keys {
		value, proof := s.w.State.Prove(key)
		l.Values, l.Proofs = append(l.Values, value), append(l.Proofs, proof)
	}
	if s.lie != nil {
		s.lie(keys, &l)
	}
	return l, nil
}

// config is an audit of the world by somebody with an honest node.
func (w *world) config() auditor.Config {
	d := w.State.Founding().Banks[0].Definition
	return auditor.Config{Bank: Bank, Source: &source{w: w}, Backend: w.chain.Node(), Contract: &d, Gap: custody.Gap}
}

// audit audits by somebody who has followed from the beginning.
func (w *world) audit() *auditor.Report {
	w.t.Helper()
	if w.auditor == nil {
		w.auditor = auditor.New(w.config())
	}
	r, err := w.auditor.Audit(context.Background())
	if err != nil {
		w.t.Fatalf("audit: %v", err)
	}
	return r
}

// audited audits by somebody who comes new.
func audited(ctx context.Context, c auditor.Config) (*auditor.Report, error) {
	return auditor.New(c).Audit(ctx)
}
