// Package exchange owns the state machine of a virtual server: what a command is
// and how it is encoded and signed, in which phases a block executes commands, what
// each of them does, which result code it gets, and the Merkle root over the whole state. Its
// children own the parts and never meet: ledger (accounts and assets), market
// (orders and auctions), escrow, roster (members and votes), and custody (banks). Here their answers are
// put together: market says who traded, and exchange posts it to ledger.
//
// Everything is a function of the founding contract and the blocks: no clock, no
// randomness, no I/O. The rules are docs/spec/02-commands.md and 03-block.md.
//
// Where to look: the state in state.go, a block in apply.go and the files named for
// its phases (fee.go, keys.go, votes.go, orders.go and naming.go, money.go, banks.go), results in
// report.go, encodings in command.go and the body files, result codes in code.go
// and codemap.go, founding in founding.go.
//
// Floor 1.
package exchange

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"

	"golang.org/x/crypto/cryptobyte"

	"souk/asset"
	"souk/exchange/custody"
	"souk/exchange/escrow"
	"souk/exchange/ledger"
	"souk/exchange/market"
	"souk/exchange/roster"
	"souk/identity"
	"souk/merkle"
)

// Errors of New, Refound and Load.
var (
	// ErrState is returned for state leaves that do not form a state.
	ErrState = errors.New("state is not consistent")
	// ErrOrigin is returned by Refound for leaves that are not the state which the contract names.
	ErrOrigin = errors.New("state is not the origin that the founding contract names")
)

// Kinds of state leaves: the first byte of their keys (docs/spec/09-state.md).
const (
	leafClock         = 0x01
	leafAsset         = 0x02
	leafAccount       = 0x03
	leafMarket        = 0x04
	leafOrder         = 0x05
	leafEscrow        = 0x06
	leafMember        = 0x07
	leafVote          = 0x08
	leafRoster        = 0x09
	leafMarketCounter = 0x0a
	leafEscrowCounter = 0x0b
)

// State is one virtual server: everything that its replicas agree on. It is not
// safe for concurrent use.
type State struct {
	id       ID
	founding *Founding

	ledger  *ledger.State
	markets *market.State
	escrows *escrow.State
	roster  *roster.State
	banks   *custody.State // nil if there are no banks
	params  Params

	// The clock leaf: the last active block.
	height  uint64
	time    uint64
	results merkle.Hash
	ticked  bool // clock leaf must be written

	tree    *merkle.Map
	scratch scratch
	bounds  bounds
}

// bounds keep the work of the worst block small, whatever has gathered (K-12). They
// are part of the rules; only tests change them.
type bounds struct {
	// due is how many rotations and timers are carried out in a block, timers counted
	// by their orders, and how many escrows go back.
	due int
	// cancelled is after how many orders cancel-alls have to wait for another block.
	cancelled int
}

func newBounds() bounds { return bounds{due: 16_384, cancelled: 65_536} }

// New is the state of a virtual server before its first block.
func New(f *Founding) (*State, error) {
	if err := f.Check(); err != nil {
		return nil, err
	}
	if f.Origin != nil {
		return nil, fmt.Errorf("%w: it goes on from %x and needs that state", ErrFounding, f.Origin.Server[:4])
	}
	r, err := roster.Found(rosterCards(f), f.Protocol)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFounding, err)
	}
	s := &State{
		id: f.ID(), founding: f, params: f.Params, time: f.Created, ticked: true,
		ledger: ledger.New(), markets: market.NewState(), escrows: escrow.New(), roster: r, tree: merkle.New(),
		bounds: newBounds(),
	}
	if err := s.foundAccounts(); err != nil {
		return nil, err
	}
	if err := s.foundAssets(); err != nil {
		return nil, err
	}
	if s.banks, err = f.foundBanks(); err != nil {
		return nil, err
	}
	s.setLimits()
	s.commitLeaves(&Result{})
	return s, nil
}

// setLimits tells the parts what the parameters allow.
func (s *State) setLimits() {
	s.markets.SetOrderLimit(s.params.MarketOrders)
	s.ledger.SetIssueLimit(s.params.AccountAssets)
}

func rosterCards(f *Founding) []roster.Card {
	cards := make([]roster.Card, len(f.Members))
	for i := range f.Members {
		cards[i] = f.Members[i].Roster()
	}
	return cards
}

// Roster is what the roster keeps of the card.
func (c *Card) Roster() roster.Card {
	return roster.Card{
		Name: c.Name, Operator: identity.AddressOf(c.Operator), Server: c.Server, Consensus: c.Consensus, P2P: c.P2P, URL: c.URL,
	}
}

// foundAccounts opens the members' accounts and lets their servers act for them.
func (s *State) foundAccounts() error {
	for i := range s.founding.Members {
		c := &s.founding.Members[i]
		n := s.ledger.Open(identity.AddressOf(c.Operator))
		if code := s.ledger.SetDelegate(n, ledger.Delegate{Key: c.Server, Scopes: ledger.Server}, 0); code != ledger.OK {
			return fmt.Errorf("%w: server key of %s cannot act for its operator (%d)", ErrFounding, c.Name, code)
		}
	}
	return nil
}

func (s *State) foundAssets() error {
	f := s.founding
	for _, a := range f.Assets {
		_, code := s.ledger.Issue(ledger.Terms{
			Symbol: a.Symbol, Decimals: a.Decimals, Issuer: a.Issuer, MaxSupply: a.MaxSupply, Contract: sha256.Sum256([]byte(a.Contract)),
		})
		if code != ledger.OK {
			return fmt.Errorf("%w: asset %q: %s", ErrFounding, a.Symbol, ledgerCodes[code])
		}
		if !f.ofBank(a.Symbol) {
			s.ledger.Open(a.Issuer) // or the issuer could never send his first command
		}
	}
	for _, symbol := range f.Reserved {
		if code := s.ledger.Reserve(symbol, identity.Address{}); code != ledger.OK {
			return fmt.Errorf("%w: reserved symbol %q: %s", ErrFounding, symbol, ledgerCodes[code])
		}
	}
	for _, m := range f.Markets {
		base, ok1 := s.ledger.BySymbol(m.Base)
		quote, ok2 := s.ledger.BySymbol(m.Quote)
		if !ok1 || !ok2 {
			return fmt.Errorf("%w: market %s-%s needs both assets in the contract", ErrFounding, m.Base, m.Quote)
		}
		if code := s.createMarket(base, quote, m.Terms); code != OK {
			return fmt.Errorf("%w: market %s-%s: %s", ErrFounding, m.Base, m.Quote, code)
		}
	}
	if s.params.FeeAsset != 0 {
		if _, ok := s.ledger.Asset(s.params.FeeAsset); !ok {
			return fmt.Errorf("%w: the fee asset %d does not exist", ErrFounding, s.params.FeeAsset)
		}
	}
	return nil
}

func (s *State) createMarket(base, quote asset.ID, terms market.Terms) Code {
	b, ok := s.ledger.Asset(base)
	if _, ok2 := s.ledger.Asset(quote); !ok || !ok2 || base == quote {
		return UnknownAsset
	}
	_, code := s.markets.Create(base, quote, b.Decimals, terms)
	return marketCodes[code]
}

// Load is a state made of its leaves, in any order. f is the founding contract,
// whose id the leaves do not hold. The caller compares Root with the root he trusts.
func Load(f *Founding, leaves iter.Seq2[merkle.Key, []byte]) (*State, error) {
	s := &State{
		id: f.ID(), founding: f,
		ledger: ledger.New(), markets: market.NewState(), escrows: escrow.New(), roster: roster.New(), tree: merkle.New(),
		bounds: newBounds(),
	}
	var changes []merkle.Change
	for key, value := range leaves {
		if err := s.loadLeaf(key, value); err != nil {
			return nil, fmt.Errorf("leaf %s: %w: %w", key, ErrState, err)
		}
		changes = append(changes, merkle.Change{Key: key, Value: append([]byte(nil), value...)})
	}
	finishes := []func() error{s.ledger.Finish, s.markets.Finish, s.escrows.Finish, s.roster.Finish}
	if s.banks != nil {
		finishes = append(finishes, s.banks.Finish)
	}
	for _, finish := range finishes {
		if err := finish(); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrState, err)
		}
	}
	if s.time == 0 {
		return nil, fmt.Errorf("%w: the clock is missing", ErrState)
	}
	if f.Origin == nil && (s.banks != nil) != (len(f.Banks) > 0) {
		return nil, fmt.Errorf("%w: the banks are not those of the founding contract", ErrState)
	}
	s.setLimits()
	if err := s.promise(); err != nil {
		return nil, err
	}
	sortChanges(changes)
	for i := 1; i < len(changes); i++ {
		if changes[i].Key == changes[i-1].Key {
			return nil, fmt.Errorf("leaf %s is there twice: %w", changes[i].Key, ErrState)
		}
	}
	s.tree.Update(changes)
	s.roster.ValidatorUpdates() // consensus has these powers already
	return s, s.Check()
}

// promise keeps places for what orders and escrows may bring to accounts (L-34).
func (s *State) promise() (err error) {
	s.promises(func(n ledger.Number, id asset.ID) {
		_, known := s.ledger.Asset(id)
		if err != nil || n == 0 || int(n) > s.ledger.Accounts() || !known || !s.ledger.OwnRoom(n, id) {
			err = fmt.Errorf("%w: account %d cannot be given asset %d", ErrState, n, id)
			return
		}
		s.ledger.Promise(n, id)
	})
	return err
}

// promises calls yield for every promise: each live order may bring something to
// its owner, each escrow to its payee or back to its payer, each bank to the owners
// of its addresses and withdrawals.
func (s *State) promises(yield func(ledger.Number, asset.ID)) {
	for o := range s.markets.Orders() {
		yield(ledger.Number(o.Owner), s.markets.Brings(o.Market, o.Side))
	}
	for e := range s.escrows.All {
		yield(ledger.Number(e.Payee), e.Asset)
		yield(ledger.Number(e.Payer), e.Asset)
	}
	if s.banks != nil {
		s.banks.Owners(func(owner custody.Owner, id asset.ID) bool {
			yield(ledger.Number(owner), id)
			return true
		})
	}
}

func (s *State) loadLeaf(key merkle.Key, value []byte) error {
	switch key[0] {
	case leafClock:
		return s.loadClock(key, value)
	case leafAsset, leafAccount:
		return s.ledger.Load(key, value)
	case leafMarket, leafOrder, leafMarketCounter:
		return s.markets.Load(key, value)
	case leafEscrow, leafEscrowCounter:
		return s.escrows.Load(key, value)
	case leafMember, leafVote, leafRoster:
		return s.roster.Load(key, value)
	}
	if key[0] >= custody.LeafBank && key[0] <= custody.LeafCustody {
		if s.banks == nil {
			s.banks = custody.New()
		}
		return s.banks.Load(key, value)
	}
	return ErrEncoding
}

// Refound is the first state of a virtual server that goes on where another one
// ended: accounts, assets, markets, orders, escrows and banks of the origin, and the
// contract's members. leaves must have the root that the contract names.
func Refound(f *Founding, leaves iter.Seq2[merkle.Key, []byte]) (*State, error) {
	if err := f.Check(); err != nil {
		return nil, err
	}
	if f.Origin == nil {
		return nil, fmt.Errorf("%w: it names no origin", ErrFounding)
	}
	s, err := Load(f, leaves)
	if err != nil {
		return nil, err
	}
	if s.Root() != f.Origin.Root {
		return nil, fmt.Errorf("%w: root %s instead of %s", ErrOrigin, s.Root(), f.Origin.Root)
	}
	var old []merkle.Key
	s.roster.Leaves(func(key merkle.Key, _ []byte) { old = append(old, key) })
	if err := errors.Join(s.refoundRoster(old), s.refoundOrders()); err != nil {
		return nil, err
	}
	if _, ok := s.ledger.Asset(f.Params.FeeAsset); !ok && f.Params.FeeAsset != 0 {
		return nil, fmt.Errorf("%w: the fee asset %d does not exist", ErrFounding, f.Params.FeeAsset)
	}
	s.params, s.ticked = f.Params, true
	s.setLimits()
	s.time = max(s.time, f.Created)
	s.commitLeaves(&Result{})
	return s, s.Check()
}

// refoundRoster puts the contract's members in the place of the origin's.
func (s *State) refoundRoster(old []merkle.Key) error {
	operators := map[custody.Member]identity.Address{}
	for m := range s.roster.Members {
		operators[custody.Member(m.ID)] = m.Operator
		if n, ok := s.ledger.Find(m.Operator); ok {
			s.ledger.RemoveDelegate(n, m.Server)
		}
	}
	r, err := roster.Found(rosterCards(s.founding), s.founding.Protocol)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrFounding, err)
	}
	var gone []merkle.Change
	for _, key := range old {
		gone = append(gone, merkle.Change{Key: key})
	}
	s.tree.Update(gone)
	s.roster = r
	if s.banks != nil {
		s.banks.Renumber(func(old custody.Member) (custody.Member, bool) {
			address, was := operators[old]
			id, ok := r.ByOperator(address)
			return custody.Member(id), was && ok
		})
	}
	return s.foundAccounts()
}

// refoundOrders makes the origin's orders older than all that come: the new chain's
// heights begin anew, and by them orders have priority (M-50).
func (s *State) refoundOrders() (err error) {
	const placed, joined = 61, 77 // where the heights stand in an order's leaf (M-82)
	m := market.NewState()
	var changes []merkle.Change
	s.markets.Leaves(func(key merkle.Key, value []byte) {
		if key[0] == leafOrder {
			clear(value[placed : placed+8])
			clear(value[joined : joined+8])
			changes = append(changes, merkle.Change{Key: key, Value: value})
		}
		err = errors.Join(err, m.Load(key, value))
	})
	s.markets = m
	s.tree.Update(changes)
	return errors.Join(err, m.Finish())
}

// ID is the virtual server's id.
func (s *State) ID() ID { return s.id }

// Founding is the virtual server's founding contract. It must not be changed.
func (s *State) Founding() *Founding { return s.founding }

// Root is the Merkle root over all state leaves.
func (s *State) Root() merkle.Hash { return s.tree.Root() }

// Height is the height of the last block that had commands or due items.
func (s *State) Height() uint64 { return s.height }

// Time is the block time of that block, or the founding's, in ms.
func (s *State) Time() uint64 { return s.time }

// Params are the rules that votes can change.
func (s *State) Params() Params { return s.params }

// Ledger is for reading only.
func (s *State) Ledger() *ledger.State { return s.ledger }

// Markets is for reading only.
func (s *State) Markets() *market.State { return s.markets }

// Escrows is for reading only.
func (s *State) Escrows() *escrow.State { return s.escrows }

// Roster is for reading only.
func (s *State) Roster() *roster.State { return s.roster }

// Banks is for reading only; nil if there are no banks.
func (s *State) Banks() *custody.State { return s.banks }

// Solvency is what every bank has and owes, by bank from 1 (Y-73).
func (s *State) Solvency() []custody.Sums {
	if s.banks == nil {
		return nil
	}
	all := make([]custody.Sums, s.banks.Banks())
	for i := range all {
		all[i], _ = s.banks.Solvency(custody.Bank(i + 1))
	}
	return all
}

// Validators are all members' consensus keys and powers, ascending by key, as a
// chain that begins with this state needs them.
func (s *State) Validators() []roster.Validator {
	var all []roster.Validator
	for m := range s.roster.Members {
		all = append(all, roster.Validator{Key: m.Consensus, Power: m.Power()})
	}
	sortValidators(all)
	return all
}

// NextDue is the block time from which a block is needed although no command
// waits: something falls due. ok is false if nothing will.
func (s *State) NextDue() (ms uint64, ok bool) {
	if s.markets.HasTriggered() {
		return 0, true
	}
	sources := []func() (uint64, bool){s.ledger.NextDue, s.markets.NextDue, s.escrows.NextDue}
	if s.banks != nil {
		sources = append(sources, s.banks.NextDue)
	}
	for _, next := range sources {
		if due, has := next(); has && (!ok || due < ms) {
			ms, ok = due, true
		}
	}
	return ms, ok
}

// Leaves calls yield for every state leaf in ascending order of keys until it
// returns false. Values are valid during the call only.
func (s *State) Leaves(yield func(merkle.Key, []byte) bool) {
	if !yield(ClockKey(), s.clockLeaf()) {
		return
	}
	// Kinds ascend: ledger 2-3, markets 4-5, escrows 6, roster 7-9, counters 0xa-0xb, banks 0xc-0x17.
	var counters []merkle.Change
	more := true
	pass := func(key merkle.Key, value []byte) {
		if key[0] == leafMarketCounter || key[0] == leafEscrowCounter {
			counters = append(counters, merkle.Change{Key: key, Value: append([]byte(nil), value...)})
			return
		}
		more = more && yield(key, value)
	}
	for _, leaves := range []func(func(merkle.Key, []byte)){s.ledger.Leaves, s.markets.Leaves, s.escrows.Leaves, s.roster.Leaves} {
		if leaves(pass); !more {
			return
		}
	}
	for _, c := range counters {
		if !yield(c.Key, c.Value) {
			return
		}
	}
	if s.banks != nil {
		s.banks.Leaves(pass)
	}
}

// Leaf is the value of one leaf; false if there is no such leaf.
func (s *State) Leaf(key merkle.Key) ([]byte, bool) {
	switch key[0] {
	case leafClock:
		return s.clockLeaf(), key == ClockKey()
	case leafAsset, leafAccount:
		return s.ledger.Leaf(key)
	case leafMarket, leafOrder, leafMarketCounter:
		return s.markets.Leaf(key)
	case leafEscrow, leafEscrowCounter:
		return s.escrows.Leaf(key)
	case leafMember, leafVote, leafRoster:
		return s.roster.Leaf(key)
	}
	if s.banks != nil && key[0] >= custody.LeafBank && key[0] <= custody.LeafCustody {
		return s.banks.Leaf(key)
	}
	return nil, false
}

// Prove is a leaf's value with the proof that it stands under Root, or nil with
// the proof that it does not.
func (s *State) Prove(key merkle.Key) (value []byte, p merkle.Proof) {
	value, _ = s.Leaf(key)
	return value, s.tree.Prove(key)
}

// Check counts everything anew and says what does not add up. It takes time in
// proportion to the whole state.
func (s *State) Check() error {
	for _, check := range []func() error{s.ledger.Check, s.escrows.Verify, s.roster.Check, s.checkHolds, s.checkLocked, s.checkPromises, s.checkBanks} {
		if err := check(); err != nil {
			return fmt.Errorf("%w: %w", ErrState, err)
		}
	}
	return nil
}

// checkHolds compares what accounts have held with what their orders hold.
func (s *State) checkHolds() error {
	type place struct {
		owner market.Owner
		asset asset.ID
	}
	holds := map[place]asset.Amount{}
	for o := range s.markets.Orders() {
		holds[place{o.Owner, o.Hold.Asset}] += o.Hold.Amount
	}
	if s.banks != nil {
		s.banks.Owners(func(owner custody.Owner, id asset.ID) bool {
			holds[place{market.Owner(owner), id}] += s.banks.Held(owner, id)
			return true
		})
	}
	for n := ledger.Number(1); int(n) <= s.ledger.Accounts(); n++ {
		for _, b := range s.ledger.Account(n).Balances {
			if want := holds[place{market.Owner(n), b.Asset}]; want != b.Held {
				return fmt.Errorf("account %d holds %d of asset %d, its orders and withdrawals need %d", n, b.Held, b.Asset, want)
			}
			delete(holds, place{market.Owner(n), b.Asset})
		}
	}
	for _, amount := range sortedValues(holds) {
		if amount != 0 {
			return errors.New("an order holds money that its account does not have")
		}
	}
	return nil
}

func (s *State) checkLocked() error {
	for id := asset.ID(1); int(id) <= s.ledger.Assets(); id++ {
		a, _ := s.ledger.Asset(id)
		if locked := s.escrows.Locked(id); locked != a.Locked {
			return fmt.Errorf("%s: %d locked, escrows have %d", a.Symbol, a.Locked, locked)
		}
	}
	return nil
}

// checkPromises compares the places that accounts keep with their orders and escrows.
func (s *State) checkPromises() error {
	type place struct {
		account ledger.Number
		asset   asset.ID
	}
	want, sums := map[place]int{}, make([]int, s.ledger.Accounts()+1)
	s.promises(func(n ledger.Number, id asset.ID) {
		want[place{n, id}]++
		sums[n]++
	})
	for n := range sums[1:] {
		if _, has := s.ledger.Places(ledger.Number(n + 1)); has != sums[n+1] {
			return fmt.Errorf("account %d has %d promises, its orders, escrows and banks are %d", n+1, has, sums[n+1])
		}
	}
	var err error
	s.promises(func(n ledger.Number, id asset.ID) {
		if has := s.ledger.Promised(n, id); err == nil && has != want[place{n, id}] {
			err = fmt.Errorf("account %d has %d promises of asset %d, not %d", n, has, id, want[place{n, id}])
		}
	})
	return err
}

// Audit is the conservation sum of every asset, term by term.
func (s *State) Audit() []ledger.Audit {
	all := make([]ledger.Audit, s.ledger.Assets())
	for i := range all {
		all[i] = s.ledger.Audit(asset.ID(i + 1))
	}
	return all
}

// ClockKey is the key of the clock leaf.
func ClockKey() merkle.Key { return merkle.Key{leafClock} }

// AssetKey is the key of an asset's leaf.
func AssetKey(id asset.ID) merkle.Key { return numberedKey32(leafAsset, uint32(id)) }

// AccountKey is the key of an account's leaf.
func AccountKey(a identity.Address) merkle.Key {
	k := merkle.Key{leafAccount}
	copy(k[1:], a[:])
	return k
}

// MarketKey is the key of a market's leaf.
func MarketKey(id market.ID) merkle.Key { return numberedKey32(leafMarket, uint32(id)) }

// OrderKey is the key of a live order's leaf.
func OrderKey(id market.OrderID) merkle.Key { return numberedKey64(leafOrder, uint64(id)) }

// EscrowKey is the key of an escrow's leaf.
func EscrowKey(id escrow.ID) merkle.Key { return numberedKey64(leafEscrow, uint64(id)) }

// MemberKey is the key of a member's leaf.
func MemberKey(id roster.ID) merkle.Key { return numberedKey32(leafMember, uint32(id)) }

func numberedKey32(kind byte, n uint32) merkle.Key {
	k := merkle.Key{kind}
	binary.BigEndian.PutUint32(k[1:], n)
	return k
}

func numberedKey64(kind byte, n uint64) merkle.Key {
	k := merkle.Key{kind}
	binary.BigEndian.PutUint64(k[1:], n)
	return k
}

// Clock is what the clock leaf says: the last active block and the root of its results.
type Clock struct {
	Height  uint64
	Time    uint64
	Results merkle.Hash
	Params  Params
}

// ParseClock reads the value of a clock leaf.
func ParseClock(value []byte) (Clock, error) {
	var c Clock
	if !whole(&c, (*Clock).read, value) {
		return Clock{}, ErrEncoding
	}
	return c, nil
}

func (c *Clock) read(s *cryptobyte.String) bool {
	return s.ReadUint64(&c.Height) && s.ReadUint64(&c.Time) && s.CopyBytes(c.Results[:]) && c.Params.read(s)
}

func (s *State) clockLeaf() []byte {
	dst := binary.BigEndian.AppendUint64(nil, s.height)
	dst = binary.BigEndian.AppendUint64(dst, s.time)
	return s.params.Append(append(dst, s.results[:]...))
}

func (s *State) loadClock(key merkle.Key, value []byte) error {
	c, err := ParseClock(value)
	if err != nil || key != ClockKey() {
		return ErrEncoding
	}
	s.height, s.time, s.results, s.params = c.Height, c.Time, c.Results, c.Params
	return s.params.Check()
}
