// Package check judges the history of a simulated federation. It keeps a state of
// its own that executes nothing but the decided blocks, and beside it a naive model
// of money and orders that knows only what blocks report as events and counts with
// big integers; it asks after every block whether the invariants hold that
// docs/simulation.md lists. Messages name the invariant (I4).
//
// It leaves to the simulation what concerns several servers: that they agree, that
// what they acknowledged is in the history, that they go on. It shares no arithmetic
// with the code that it judges. Money and orders are in model.go and order.go, what
// banks pay in banks.go. It stands beside the floors.
package check

import (
	"fmt"
	"iter"
	"math/big"
	"slices"

	"souk/asset"
	"souk/exchange"
	"souk/exchange/custody"
	"souk/exchange/ledger"
	"souk/exchange/market"
	"souk/exchange/roster"
	"souk/identity"
	"souk/merkle"
)

// fullEvery is how many blocks lie between two comparisons of everything; in the
// others only what the block touched is compared.
const fullEvery = 16

// Auditor follows one history. It is not safe for concurrent use.
type Auditor struct {
	state    *exchange.State
	model    *model
	nonces   map[nonce]exchange.CommandID
	receipts map[exchange.CommandID]exchange.Receipt
	height   uint64
	time     uint64
	counts   Counts
	payouts  *Payouts
	halted   bool // the chain has halted the banks once
}

// Counts is what a history was about.
type Counts struct {
	Blocks   int                        // all
	Active   int                        // that executed something
	Commands map[exchange.Kind]int      // that burnt their nonce, by kind
	Codes    map[exchange.Code]int      // of all receipts
	Trades   int                        // fills
	Passed   map[roster.ActionKind]int  // votes that passed
	Events   map[exchange.EventKind]int // all
	Evidence map[identity.PublicKey]int // proofs of double signing in blocks, by consensus key
}

// nonce is what may be used once (I6).
type nonce struct {
	account identity.Address
	key     identity.PublicKey
	number  uint64
}

// New begins with the state of a founding contract.
func New(f *exchange.Founding) (*Auditor, error) {
	s, err := exchange.New(f)
	if err != nil {
		return nil, err
	}
	a := &Auditor{
		state: s, model: newModel(s), time: s.Time(), payouts: NewPayouts(),
		nonces: map[nonce]exchange.CommandID{}, receipts: map[exchange.CommandID]exchange.Receipt{},
		counts: Counts{
			Commands: map[exchange.Kind]int{}, Codes: map[exchange.Code]int{}, Passed: map[roster.ActionKind]int{},
			Events: map[exchange.EventKind]int{}, Evidence: map[identity.PublicKey]int{},
		},
	}
	return a, nil
}

// State is for reading only.
func (a *Auditor) State() *exchange.State { return a.state }

// Counts is what has happened so far.
func (a *Auditor) Counts() *Counts { return &a.counts }

// Receipt is the one receipt of a command that burnt its nonce.
func (a *Auditor) Receipt(id exchange.CommandID) (exchange.Receipt, bool) {
	rc, ok := a.receipts[id]
	return rc, ok
}

// Block executes a decided block and answers what it does. The error names the
// invariant that does not hold after it.
func (a *Auditor) Block(b *exchange.Block) (*exchange.Result, error) {
	if b.Height != a.height+1 {
		return nil, fmt.Errorf("I21: block %d follows block %d", b.Height, a.height)
	}
	was := before{root: a.state.Root(), version: a.state.Roster().Version(b.Height)}
	if banks := a.state.Banks(); banks != nil {
		was.halt = banks.Halted()
	}
	return a.judge(b, a.state.Apply(b), was)
}

// before is what stood before a block.
type before struct {
	root    merkle.Hash
	version uint32
	halt    custody.Halt
}

// judge asks whether what a block reports, and the state after it, are right.
func (a *Auditor) judge(b *exchange.Block, res *exchange.Result, was before) (*exchange.Result, error) {
	a.height = b.Height
	a.counts.Blocks++
	if !res.Active {
		return res, a.idle(b, was.root, res)
	}
	if res.Time <= a.time {
		return nil, fmt.Errorf("I21: block time went from %d to %d", a.time, res.Time)
	}
	a.time = res.Time
	a.counts.Active++
	steps := []func() error{
		func() error { return a.commands(b, res, was.version) },
		func() error { return a.fees(b, res) },
		func() error { return a.results(res) },
		func() error { return a.model.block(b, res) },
		func() error { return a.barred(b, res) },
		func() error { return a.banks(b, res, was.halt) },
		func() error { return a.active(res) },
		func() error { return a.money(res) },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return nil, fmt.Errorf("after block %d: %w", b.Height, err)
		}
	}
	if a.counts.Active%fullEvery == 0 {
		return res, a.Full()
	}
	return res, nil
}

// idle checks a block without a clock: it moves nothing but turns (K-8).
func (a *Auditor) idle(b *exchange.Block, before merkle.Hash, res *exchange.Result) error {
	if len(b.Missed)+len(b.Evidence) == 0 && a.state.Root() != before && !a.resets(res) {
		return fmt.Errorf("I15: block %d has no cause and changes the root", b.Height)
	}
	return a.barred(b, res)
}

// resets tells whether nothing but members' leaves changed: the proposer's count of
// missed turns goes to zero.
func (a *Auditor) resets(res *exchange.Result) bool {
	for i := range res.Changes {
		if kind := res.Changes[i].Key[0]; kind != memberLeaf && kind != rosterLeaf {
			return false
		}
	}
	return true
}

// First bytes of the keys of members' leaves and of the roster's.
const (
	memberLeaf = 0x07
	rosterLeaf = 0x09
)

// commands checks receipts and nonces.
func (a *Auditor) commands(b *exchange.Block, res *exchange.Result, version uint32) error {
	if len(res.Receipts) != len(b.Commands) {
		return fmt.Errorf("I6: %d receipts for %d commands", len(res.Receipts), len(b.Commands))
	}
	seen := map[exchange.CommandID]exchange.Receipt{}
	for i := range b.Commands {
		c, rc := &b.Commands[i], res.Receipts[i]
		if rc.ID != c.ID || rc.Height != b.Height || rc.Time != b.Time {
			return fmt.Errorf("I6: receipt %+v is not of command %x in block %d", rc, c.ID[:4], b.Height)
		}
		if first, ok := seen[c.ID]; ok {
			if first != rc {
				return fmt.Errorf("I6: one command has two receipts in one block: %+v and %+v", first, rc)
			}
			continue
		}
		seen[c.ID] = rc
		a.counts.Codes[rc.Code]++
		if !rc.Code.Burns() {
			continue
		}
		if err := a.burnt(c, rc); err != nil {
			return err
		}
		if rc.Code == exchange.OK && c.Kind == exchange.KindRemoveDelegate && version < 2 && a.ownPower(c) {
			return fmt.Errorf("protocol version %d let a delegate give up its power", version)
		}
	}
	return nil
}

// ownPower tells whether a command is a delegate's that removes itself.
func (a *Auditor) ownPower(c *exchange.Command) bool {
	body, ok := exchange.ParseBody(c.Kind, c.Body)
	if !ok {
		return false
	}
	n, _ := a.state.Ledger().Find(c.Account)
	return body.(*exchange.RemoveDelegate).Key == c.Key && a.state.Ledger().Account(n).Owner != c.Key
}

func (a *Auditor) burnt(c *exchange.Command, rc exchange.Receipt) error {
	key := nonce{c.Account, c.Key, c.Nonce}
	if other, ok := a.nonces[key]; ok {
		return fmt.Errorf("I6: nonce %d is used by commands %x and %x", c.Nonce, other[:4], c.ID[:4])
	}
	if old, ok := a.receipts[c.ID]; ok {
		return fmt.Errorf("I6: command %x is executed at %d and at %d", c.ID[:4], old.Height, rc.Height)
	}
	if c.Expiry <= rc.Time {
		return fmt.Errorf("K-7: command %x of expiry %d is executed at %d", c.ID[:4], c.Expiry, rc.Time)
	}
	a.nonces[key], a.receipts[c.ID] = c.ID, rc
	a.counts.Commands[c.Kind]++
	return nil
}

// fees checks that an account pays at most one fee for each command that burnt its
// nonce: what is refused costs nothing (B-8, B-13).
func (a *Auditor) fees(b *exchange.Block, res *exchange.Result) error {
	burnt, seen := map[identity.Address]int{}, map[exchange.CommandID]bool{}
	for i := range b.Commands {
		if c := &b.Commands[i]; res.Receipts[i].Code.Burns() && !seen[c.ID] {
			seen[c.ID] = true
			burnt[c.Account]++
		}
	}
	for i := range res.Events {
		if e := &res.Events[i]; e.Kind == exchange.EventFee {
			if burnt[e.Account]--; burnt[e.Account] < 0 {
				return fmt.Errorf("B-8: %s pays more fees than it has commands", e.Account)
			}
		}
	}
	return nil
}

// active checks that a vote that adds a member leaves enough members with full
// power, if no vote of the block removes one.
func (a *Auditor) active(res *exchange.Result) error {
	added, removed := false, false
	for _, e := range res.Events {
		if e.Kind != exchange.EventActionPassed {
			continue
		}
		if action, _, err := roster.ParseAction(e.Action); err == nil {
			added = added || action.Kind() == roster.KindAddMember
			removed = removed || action.Kind() == roster.KindRemoveMember
		}
	}
	if !added || removed {
		return nil
	}
	n, full := 0, 0
	for m := range a.state.Roster().Members {
		n++
		if !m.Demoted && !m.Barred {
			full++
		}
	}
	least := n - 1 // of two and three
	if n > 3 {
		least = n - (n-1)/3
	}
	if full < least {
		return fmt.Errorf("R-16: a member is added, and %d of %d have full power", full, n)
	}
	return nil
}

// results checks the result list: the receipts each once, then the trades by number, then
// the auctions in the order of their trades.
func (a *Auditor) results(res *exchange.Result) error {
	var trade uint64
	var markets []market.ID               // that have trades, in their order
	inner := map[market.ID]asset.Amount{} // what inner crosses traded
	for _, entry := range res.Results {
		if rc, err := exchange.ParseReceipt(entry); err == nil {
			if trade != 0 {
				return fmt.Errorf("K-9: a receipt of %x stands behind a trade", rc.ID[:4])
			}
			continue
		}
		if t, err := exchange.ParseTrade(entry); err == nil {
			if uint64(t.ID) <= trade {
				return fmt.Errorf("K-9: trade %d follows trade %d", t.ID, trade)
			}
			trade = uint64(t.ID)
			if n := len(markets); n == 0 || markets[n-1] != t.Market {
				markets = append(markets, t.Market)
			}
			if t.Inner {
				inner[t.Market] += t.Quantity
			}
			continue
		}
		t, err := exchange.ParseAuction(entry)
		if err != nil || len(markets) == 0 || t.Market != markets[0] || t.Height != res.Height || t.Time != res.Time {
			return fmt.Errorf("K-9: %x is no auction of the markets %v: %w", entry, markets, err)
		}
		markets = markets[1:]
		m, _ := a.state.Markets().Market(t.Market)
		if inner[t.Market] != asset.Amount(t.Volume)*m.Lot || t.Volume != min(t.Demand, t.Supply) {
			return fmt.Errorf("M-90: an inner cross of %d in the auction %+v", inner[t.Market], t)
		}
	}
	if len(markets) > 0 {
		return fmt.Errorf("K-9: trades of the markets %v without an auction", markets)
	}
	return nil
}

// barred checks that exactly the members whom the block's evidence names are
// barred. A vote of the same block that gives a member a new server ends his bar.
func (a *Auditor) barred(b *exchange.Block, res *exchange.Result) error {
	replaced := map[roster.ID]bool{}
	for _, e := range res.Events {
		a.counts.Events[e.Kind]++
		if e.Kind != exchange.EventActionPassed {
			continue
		}
		if action, _, err := roster.ParseAction(e.Action); err == nil {
			if r, ok := action.(roster.ReplaceMember); ok {
				replaced[r.Member] = true
			}
		}
	}
	for _, e := range res.Events {
		id := roster.ID(e.Number)
		m, ok := a.state.Roster().Member(id)
		if e.Kind != exchange.EventMemberBarred || !ok || replaced[id] {
			continue
		}
		if !m.Barred || !slices.Contains(b.Evidence, m.Consensus) {
			return fmt.Errorf("I22: member %d is barred: %t, evidence names %x", id, m.Barred, b.Evidence)
		}
	}
	for _, key := range b.Evidence {
		a.counts.Evidence[key]++
		if id, ok := a.state.Roster().ByConsensus(key); ok {
			if m, _ := a.state.Roster().Member(id); !m.Barred {
				return fmt.Errorf("I22: member %d signed twice and is not barred", id)
			}
		}
	}
	return nil
}

// money compares every asset's terms, and the accounts that the block touched.
func (a *Auditor) money(res *exchange.Result) error {
	for _, e := range res.Events {
		if e.Kind == exchange.EventTrade {
			a.counts.Trades++
		}
		if e.Kind == exchange.EventActionPassed {
			if action, _, err := roster.ParseAction(e.Action); err == nil {
				a.counts.Passed[action.Kind()]++
			}
		}
	}
	for _, audit := range a.state.Audit() {
		if err := a.model.compareAsset(&audit); err != nil {
			return err
		}
	}
	for p := range a.model.touched {
		if err := a.compare(p); err != nil {
			return err
		}
	}
	clear(a.model.touched)
	return a.model.books()
}

// compare compares one balance with the model's.
func (a *Auditor) compare(p purse) error {
	has := new(big.Int)
	if n, ok := a.state.Ledger().Find(p.account); ok {
		l := a.state.Ledger()
		available, held := l.Available(n, p.asset), l.Held(n, p.asset)
		if available > asset.MaxSupply || held > asset.MaxSupply {
			return fmt.Errorf("I3: %s has %d and %d of asset %d", p.account, available, held, p.asset)
		}
		has.Add(number(available), number(held))
	}
	if want := a.model.of(p); has.Cmp(want) != 0 {
		return fmt.Errorf("I1: %s has %s of asset %d, events say %s", p.account, has, p.asset, want)
	}
	return nil
}

// Full compares everything, and counts the state anew from its leaves.
func (a *Auditor) Full() error {
	if err := a.state.Check(); err != nil {
		return fmt.Errorf("at %d: %w", a.height, err)
	}
	l := a.state.Ledger()
	held := a.model.holds()
	for n := ledger.Number(1); int(n) <= l.Accounts(); n++ {
		acc := l.Account(n)
		for _, b := range acc.Balances {
			p := purse{l.Address(n), b.Asset}
			if err := a.compare(p); err != nil {
				return fmt.Errorf("at %d: %w", a.height, err)
			}
			want := held[p]
			if want == nil {
				want = new(big.Int)
			}
			if number(b.Held).Cmp(want) != 0 {
				return fmt.Errorf("at %d: I1: %s has %d of asset %d held, its orders need %s", a.height, p.account, b.Held, b.Asset, want)
			}
			delete(held, p)
		}
	}
	for p, amount := range held {
		if amount.Sign() != 0 {
			return fmt.Errorf("at %d: I1: orders of %s need %s of asset %d that it has not", a.height, p.account, amount, p.asset)
		}
	}
	if err := a.model.orderStates(a.state.Markets()); err != nil {
		return fmt.Errorf("at %d: %w", a.height, err)
	}
	return nil
}

// Reload makes a state of the leaves and compares its root: what a restart and a
// snapshot do (I10).
func (a *Auditor) Reload() error { return a.reload(a.state.Leaves) }

func (a *Auditor) reload(leaves iter.Seq2[merkle.Key, []byte]) error {
	s, err := exchange.Load(a.state.Founding(), leaves)
	if err != nil {
		return fmt.Errorf("I10: %w", err)
	}
	if s.Root() != a.state.Root() {
		return fmt.Errorf("I10: the leaves have root %s, not %s", s.Root(), a.state.Root())
	}
	return nil
}

func number[T ~uint64](n T) *big.Int { return new(big.Int).SetUint64(uint64(n)) }
