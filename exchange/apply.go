package exchange

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"

	"golang.org/x/crypto/cryptobyte"

	"souk/asset"
	"souk/exchange/ledger"
	"souk/exchange/market"
	"souk/identity"
	"souk/merkle"
)

// maxAhead is how far ahead of block time a command's expiry may be, in ms (B-6).
const maxAhead = 600_000

// scratch is memory that blocks use one after the other.
type scratch struct {
	tasks   []task
	keys    []sortKey
	placed  []int32
	staged  []market.ID
	orders  []market.OrderID
	changes []merkle.Change

	admission admission
}

// task is a command on its way through the phases of a block.
type task struct {
	cmd        *Command
	at         int32 // its place in Block.Commands
	code       Code
	live       bool  // admitted: its phase is to come, or has come
	same       bool  // the command before it in sorted order is the same one
	taken      int32 // how many commands of the block take this place back
	takenByAll bool  // a cancel-all is among them
	cancelled  bool  // a cancel that names it is among them
	lastAmend  int   // of the amends among them, the last in naming.named
	account    ledger.Number
	order      market.OrderID // what it placed; the limit leg of an OCO
	number     uint64         // what it made or found, for the receipt
}

// blockWork is one block being applied. Its methods are the phases.
type blockWork struct {
	s       *State
	in      *Block
	now     uint64
	version uint32
	seed    merkle.Hash
	res     *Result
	out     *market.Result
	tasks   []task
	opened  []market.Order // records that events point to
	names   naming
	credits []credit // phase 7

	cancelled  int            // orders that cancel-alls have ended
	firstOrder market.OrderID // the first order placed in this block
	placed     []int32        // by order id from firstOrder: its task
	closed     int            // how many of out.Closed are posted
}

// Apply executes a block and answers everything it did. It is the only way in
// which a State changes. A command that cannot be executed gets a code; an invariant that does not
// hold panics, which must halt the replica (docs/spec/03-block.md).
func (s *State) Apply(in *Block) *Result {
	w := s.begin(in)
	w.consensus()
	if w.res.Active {
		w.banksBegin()
		w.due()
		w.admit()
		w.phase(PhaseKeys)
		w.phase(PhaseCancel)
		w.phase(PhaseDebit)
		w.names.resolve(w)
		w.phase(PhaseOrder)
		w.auctions()
		w.banksStep()
		w.post()
		w.report()
		s.height, s.time, s.ticked = in.Height, in.Time, true
	}
	s.commitLeaves(w.res)
	return w.res
}

func (s *State) begin(in *Block) *blockWork {
	w := &blockWork{
		s: s, in: in, now: in.Time, seed: s.Root(), version: s.roster.Version(in.Height),
		res: &Result{Height: in.Height, Time: in.Time, Active: in.Time > s.time},
		out: &market.Result{},
	}
	if !w.res.Active {
		if len(in.Commands) > 0 || in.Time != s.time {
			panic("exchange: block time does not go forward") //nolint:forbidigo // consensus let a bad block through
		}
		return w
	}
	n := len(in.Commands)
	w.res.Receipts = make([]Receipt, n)
	w.res.Events = make([]Event, 0, 2*n+8)
	w.opened = make([]market.Order, 0, n)
	w.tasks = s.sorted(in.Commands)
	w.placed = s.scratch.placed[:0]
	return w
}

// sortKey sorts most pairs of commands by one comparison.
type sortKey struct {
	account uint64 // first bytes of the address
	at      int32
}

// sorted makes the block's tasks in the order of K-1.
func (s *State) sorted(commands []Command) []task {
	keys := s.scratch.keys[:0]
	for i := range commands {
		keys = append(keys, sortKey{binary.BigEndian.Uint64(commands[i].Account[:8]), int32(i)})
	}
	slices.SortFunc(keys, func(x, y sortKey) int {
		if x.account != y.account {
			return cmp.Compare(x.account, y.account)
		}
		a, b := &commands[x.at], &commands[y.at]
		return cmp.Or(bytes.Compare(a.Account[:], b.Account[:]), bytes.Compare(a.Key[:], b.Key[:]),
			cmp.Compare(a.Nonce, b.Nonce), bytes.Compare(a.ID[:], b.ID[:]))
	})
	tasks := s.scratch.tasks[:0]
	for _, k := range keys {
		tasks = append(tasks, task{cmd: &commands[k.at], at: k.at})
	}
	s.scratch.keys, s.scratch.tasks = keys, tasks
	return tasks
}

// consensus takes note of turns and evidence.
func (w *blockWork) consensus() {
	r := w.s.roster
	if id := r.Turns(w.in.Height, max(w.now, w.s.time), w.in.Missed, w.in.Proposer, w.s.params.MissedTurns); id != 0 {
		w.event(Event{Kind: EventMemberDemoted, Number: uint64(id)})
	}
	for _, key := range w.in.Evidence {
		if id, ok := r.Evidence(key); ok {
			w.event(Event{Kind: EventMemberBarred, Number: uint64(id)})
		}
	}
}

// Precheck tells what admission would say of a command at block time now,
// before consensus. It is advice and changes nothing; the signature is the caller's.
func (s *State) Precheck(c *Command, now uint64) Code {
	if code := checkExpiry(c, now); code != OK {
		return code
	}
	n, ok := s.ledger.Find(c.Account)
	if !ok {
		return UnknownAccount
	}
	if code := s.ledger.CheckNonce(n, c.Key, c.Nonce); code != ledger.OK {
		return ledgerCodes[code]
	}
	if !s.entitled(c, n, now, s.roster.Version(s.height+1)) {
		return NotEntitled
	}
	if s.uncovered(c, n) {
		return FeeUnpaid
	}
	return OK
}

func checkExpiry(c *Command, now uint64) Code {
	switch {
	case c.Expiry <= now:
		return Expired
	case c.Expiry > now+maxAhead:
		return ExpiryTooFar
	}
	return OK
}

// admit is phase 1: expiry, account, key, nonce, power and fee of every command.
func (w *blockWork) admit() {
	var last identity.Address
	var number ledger.Number
	used := &w.s.scratch.admission
	for i := range w.tasks {
		t := &w.tasks[i]
		if i > 0 && t.cmd.ID == w.tasks[i-1].cmd.ID {
			t.same = true
			continue
		}
		if i == 0 || t.cmd.Account != last {
			last = t.cmd.Account
			used.reset()
			number, _ = w.s.ledger.Find(last)
		}
		t.account = number
		t.code = w.admitOne(t, used)
		t.live = t.code == OK
	}
}

func (w *blockWork) admitOne(t *task, used *admission) Code {
	if code := checkExpiry(t.cmd, w.now); code != OK {
		return code
	}
	if t.account == 0 {
		return UnknownAccount
	}
	// The owner counts apart, or a delegate could crowd out the command that removes it.
	by := 0
	owner := w.s.ownedBy(t.account, t.cmd.Key)
	if owner {
		by = 1
	}
	member := memberOnly(t.cmd.Kind)
	if used.count[by] >= w.s.params.AccountCommands || member && used.member[by] >= freeByMember {
		return AccountBusy
	}
	if large := t.cmd.Kind.MaxBody() > MaxBody; large && used.bytes[by]+len(t.cmd.Body) > MaxMemberBody {
		return AccountBusy
	}
	fee := w.s.params.Fee
	if !owner || member || fee != 0 || t.cmd.Kind.ofBank() { // else there is nothing to ask
		if code := w.s.ledger.CheckNonce(t.account, t.cmd.Key, t.cmd.Nonce); code != ledger.OK {
			return ledgerCodes[code]
		}
		if !w.s.entitled(t.cmd, t.account, w.now, w.version) {
			return NotEntitled
		}
	}
	pays := false
	if fee != 0 {
		var covered bool
		if pays, covered = w.pays(t, used); covered && w.s.ledger.Available(t.account, w.s.params.FeeAsset) < fee {
			return FeeUnpaid
		}
	}
	if code := w.s.ledger.UseNonce(t.account, t.cmd.Key, t.cmd.Nonce); code != ledger.OK {
		return ledgerCodes[code]
	}
	used.count[by]++
	if member {
		used.member[by]++
	}
	if t.cmd.Kind.MaxBody() > MaxBody {
		used.bytes[by] += len(t.cmd.Body)
	}
	if pays {
		w.payFee(t)
	}
	return OK
}

// phase runs the live commands of one phase in sorted order.
func (w *blockWork) phase(p Phase) {
	for i := range w.tasks {
		if t := &w.tasks[i]; t.live && t.cmd.Kind.Phase() == p {
			t.code = w.run(i, t)
		}
	}
}

// run executes a command in its phase.
func (w *blockWork) run(i int, t *task) Code {
	switch t.cmd.Kind {
	case KindPlace:
		return w.place(i, t)
	case KindPlaceOCO:
		return w.placeOCO(i, t)
	case KindCancel:
		return w.cancel(i, t)
	case KindCancelAll:
		return w.cancelAll(t)
	case KindCancelAllAfter:
		return w.cancelAllAfter(t)
	case KindAmend:
		return w.amend(i, t)
	case KindTransfer:
		return w.transfer(t)
	case KindIssue:
		return w.issue(t)
	case KindMint:
		return w.mint(t)
	case KindBurn:
		return w.burn(t)
	case KindLock:
		return w.lock(t)
	case KindClaim:
		return w.claim(t)
	case KindRefund:
		return w.refund(t)
	case KindDispute:
		return w.dispute(t)
	case KindResolve:
		return w.resolve(t)
	case KindAddDelegate:
		return w.addDelegate(t)
	case KindRemoveDelegate:
		return w.removeDelegate(t)
	case KindRotate:
		return w.rotate(t)
	case KindCancelRotation:
		return w.cancelRotation(t)
	case KindVote:
		return w.vote(t)
	case KindReturn:
		return w.memberReturn(t)
	case KindAttest:
		return w.attest(t)
	case KindSign:
		return w.sign(t)
	case KindAnnounceKey:
		return w.announceKey(t)
	case KindSetWithdrawals:
		return w.setWithdrawals(t)
	case KindCancelWithdrawal:
		return w.cancelWithdrawal(t)
	case KindNewAddress:
		return w.newAddress(t)
	case KindWithdraw:
		return w.withdraw(t)
	case KindDonate:
		return w.donate(t)
	case KindAdmit:
		return w.admitAccount(t)
	}
	panic("exchange: command of unknown kind") //nolint:forbidigo // Parse lets none through
}

// may tells whether the command's key has the power it needs now (K-3).
func (w *blockWork) may(t *task, scope ledger.Scope, m market.ID) Code {
	code := w.s.ledger.Authorize(t.account, t.cmd.Key, scope, uint32(m), w.now)
	if code == ledger.UnknownKey {
		return KeyRevoked
	}
	return ledgerCodes[code]
}

// asked reads the body of a command about an account as a whole, and says whether its
// key may send it: BadBody before what is wrong with the key.
func asked[T any](w *blockWork, t *task, body *T, read func(*T, *cryptobyte.String) bool, scope ledger.Scope) Code {
	if !whole(body, read, t.cmd.Body) {
		return BadBody
	}
	return w.may(t, scope, 0)
}

func (w *blockWork) event(e Event) { w.res.Events = append(w.res.Events, e) }

// due is phase 0: what time alone brings about. What is beyond the bounds waits for
// the next block, which NextDue asks for at once (K-12).
func (w *blockWork) due() {
	for left := w.s.bounds.due; left > 0; left-- {
		d, ok := w.s.ledger.TakeDue(w.now)
		if !ok {
			break
		}
		address := w.s.ledger.Address(d.Account)
		if d.Kind == ledger.Rotated {
			w.event(Event{Kind: EventRotated, Account: address})
			continue
		}
		w.event(Event{Kind: EventTimerFired, Account: address})
		left -= w.closeOwned(w.owned(d.Account, 0), market.TimerFired)
	}
	w.s.markets.Expired(w.now, w.out)
	w.postClosed()
	for range w.s.bounds.due {
		p, ok := w.s.escrows.TakeDue(w.now)
		if !ok {
			break
		}
		w.postPayout(&p)
	}
	from := len(w.out.Triggered)
	w.s.markets.Trigger(w.out)
	w.postClosed()
	for _, id := range w.out.Triggered[from:] {
		w.orderEvent(EventStopTriggered, id)
	}
}

// auctions is phase 6, and posts the fills.
func (w *blockWork) auctions() {
	w.s.scratch.staged = w.s.markets.Staged(w.s.scratch.staged[:0])
	for _, id := range w.s.scratch.staged {
		from := len(w.out.Fills)
		w.s.markets.Auction(id, w.seed, w.in.Height, w.out)
		m, _ := w.s.markets.Market(id)
		for i := from; i < len(w.out.Fills); i++ {
			w.postFill(&w.out.Fills[i], &m)
		}
		w.postClosed()
	}
}

// postFill moves the money of one fill.
func (w *blockWork) postFill(f *market.Fill, m *market.Market) {
	l, buyer, seller := w.s.ledger, ledger.Number(f.Buyer), ledger.Number(f.Seller)
	l.SpendHeld(buyer, m.Quote, f.BuyerPaid)
	if f.BuyerReleased > 0 {
		l.Release(buyer, m.Quote, f.BuyerReleased)
	}
	l.SpendHeld(seller, m.Base, f.Quantity)
	l.Credit(buyer, m.Base, f.Quantity-f.BuyerFee)
	l.Credit(seller, m.Quote, f.SellerGot-f.SellerFee)
	switch {
	case f.BuyerPaid > f.SellerGot:
		l.CreditHouse(m.Quote, ledger.Dust, f.BuyerPaid-f.SellerGot)
	case f.BuyerPaid < f.SellerGot:
		if !l.DebitHouse(m.Quote, ledger.Dust, f.SellerGot-f.BuyerPaid, 0) {
			panic("exchange: dust does not cover rounding") //nolint:forbidigo // M-31 makes it impossible
		}
	}
	w.postTradeFee(m.Base, f.BuyerFee, m.ReservePPM)
	w.postTradeFee(m.Quote, f.SellerFee, m.ReservePPM)
	w.event(Event{Kind: EventTrade, Market: f.Market, Account: l.Address(buyer), Other: l.Address(seller), Fill: f})
	w.countFill(f)
}

// postTradeFee divides a fee between the bank's reserve and the fee account.
func (w *blockWork) postTradeFee(id asset.ID, fee asset.Amount, reservePPM uint32) {
	if fee == 0 {
		return
	}
	share, _, _ := asset.Mul(uint64(fee), uint64(reservePPM)).Div(1_000_000)
	if share > 0 {
		w.s.ledger.CreditHouse(id, ledger.Reserve, asset.Amount(share))
	}
	if rest := fee - asset.Amount(share); rest > 0 {
		w.s.ledger.CreditHouse(id, ledger.Fees, rest)
	}
}

// postClosed gives back what closed orders held, and the places kept for what they might bring, for all that were closed since the last call.
func (w *blockWork) postClosed() {
	for ; w.closed < len(w.out.Closed); w.closed++ {
		c := &w.out.Closed[w.closed]
		n := ledger.Number(c.Order.Owner)
		if c.Release.Amount > 0 {
			w.s.ledger.Release(n, c.Release.Asset, c.Release.Amount)
		}
		w.s.ledger.Settle(n, w.s.markets.Brings(c.Order.Market, c.Order.Side))
		w.event(Event{
			Kind: EventOrderClosed, Reason: c.Why, Market: c.Order.Market, Account: w.s.ledger.Address(n), Order: &c.Order,
			Asset: c.Release.Asset, Amount: c.Release.Amount,
		})
	}
}

// orderEvent reports an order as it stands now.
func (w *blockWork) orderEvent(kind EventKind, id market.OrderID) {
	o, _ := w.s.markets.Order(id)
	w.opened = append(w.opened, o)
	w.event(Event{Kind: kind, Market: o.Market, Account: w.s.ledger.Address(ledger.Number(o.Owner)), Order: &w.opened[len(w.opened)-1]})
}
