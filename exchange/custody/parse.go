package custody

import (
	"fmt"
	"slices"

	"souk/asset"
	"souk/merkle"
	"souk/script"
)

// What follows reads single leaves, for those who check a proof (Y-91). Each returns
// ErrLeaf for a key or value that no State has written.

// BankRecord is a bank's leaf.
type BankRecord struct {
	Definition        // without Recovery, which stands in the series
	Next       Limits // in force from NextAt on; NextAt is zero if no change is to come
	NextAt     uint64
	Tip        uint32 // the newest agreed block
	Floor      uint32 // the oldest block that is remembered
	Books      asset.Amount
	LastBatch  uint64
	Series     uint32   // how many there are
	Changes    []uint32 // by wallet: how many change addresses were used
	Lifted     bool     // a vote has lifted the halt for this bank
}

// SeriesRecord is the leaf of a series.
type SeriesRecord struct {
	script.Series
	Opened   uint64   // ms
	Allotted uint32   // deposit addresses, with the indexes below
	Members  []Member // whose keys they are, in their order
}

// CoinState is how far a payment to a bank has come.
type CoinState uint8

// States of a coin.
const (
	CoinSeen     = CoinState(seen)     // nobody has it yet
	CoinFree     = CoinState(free)     // credited, or change that settled
	CoinPromised = CoinState(promised) // a batch spends it
	CoinGone     = CoinState(gone)     // spent for good
)

// CoinRecord is a coin's leaf: what is agreed of it.
type CoinRecord struct {
	Input
	Bank    Bank
	State   CoinState
	Batch   uint64 // that spends it; zero for none
	Unmined bool   // change that a child spends before it is mined
	Stolen  bool   // spent by a transaction that no batch knows
	Height  uint32 // where it stands; zero for nowhere
}

// BatchRecord is a batch's leaf.
type BatchRecord struct {
	Batch
	Child bool // a child spends its change
}

// Change returns the outpoint at which the change of a version stands, from 1; ok is
// false if it has none.
func (t *Batch) Change(version int) (at script.Outpoint, ok bool) {
	if version < 1 || version > len(t.Versions) || t.Versions[version-1].Change == 0 {
		return script.Outpoint{}, false
	}
	return script.Outpoint{Tx: t.Versions[version-1].Tx, Index: uint32(t.ChangeAt)}, true
}

// Back is the change that a live batch brings at least: what it counts for in the
// sums of Y-73.
func (t *BatchRecord) Back() asset.Amount {
	if t.Child {
		return 0
	}
	return t.Versions[len(t.Versions)-1].Change
}

// parseLeaf reads one leaf.
func parseLeaf[T record](k merkle.Key, value []byte) (T, error) {
	s := New()
	var none T
	if err := s.Load(k, value); err != nil {
		return none, err
	}
	r, ok := s.find(k).(T)
	if !ok {
		return none, fmt.Errorf("leaf %s is of another kind: %w", k, ErrLeaf)
	}
	return r, nil
}

// ParseBank reads a bank's leaf.
func ParseBank(k merkle.Key, value []byte) (BankRecord, error) {
	b, err := parseLeaf[*bank](k, value)
	if err != nil {
		return BankRecord{}, err
	}
	return BankRecord{
		Definition: b.Definition, Next: b.next, NextAt: b.nextAt, Tip: b.tip, Floor: b.floor, Books: b.books, LastBatch: b.lastBatch,
		Series: uint32(len(b.series)), Changes: slices.Clone(b.changes), Lifted: b.lifted, //nolint:gosec // at most maxSeries
	}, nil
}

// ParseSeries reads the leaf of a series, and checks its keys.
func ParseSeries(k merkle.Key, value []byte) (SeriesRecord, error) {
	x, err := parseLeaf[*series](k, value)
	if err != nil {
		return SeriesRecord{}, err
	}
	return SeriesRecord{Series: *x.Series, Opened: x.opened, Allotted: x.next, Members: x.members}, nil
}

// ParseBlock reads the leaf of a block of a bank's chain: the hash that is agreed,
// zero for none.
func ParseBlock(k merkle.Key, value []byte) (script.Hash, error) {
	x, err := parseLeaf[*block](k, value)
	if err != nil {
		return script.Hash{}, err
	}
	return x.agreed, nil
}

// ParseCoin reads a coin's leaf.
func ParseCoin(k merkle.Key, value []byte) (CoinRecord, error) {
	c, err := parseLeaf[*coin](k, value)
	if err != nil {
		return CoinRecord{}, err
	}
	return CoinRecord{
		Input: c.asInput(), Bank: c.bank.id, State: CoinState(c.state), Batch: c.batch, Unmined: c.unmined, Stolen: c.stolen, Height: c.height,
	}, nil
}

// ParseBatch reads a batch's leaf.
func ParseBatch(k merkle.Key, value []byte) (BatchRecord, error) {
	t, err := parseLeaf[*batch](k, value)
	if err != nil {
		return BatchRecord{}, err
	}
	return BatchRecord{t.Batch, t.child}, nil
}

// ParseHalt reads whether and why banks are halted, but for those that are lifted, out of the leaf of custody
// itself.
func ParseHalt(k merkle.Key, value []byte) (Halt, error) {
	s := New()
	if k != Key() {
		return Halt{}, fmt.Errorf("leaf %s is of another kind: %w", k, ErrLeaf)
	}
	err := s.Load(k, value)
	return s.halt, err
}

// SettingsRecord is what the leaf of an account's settings says of them.
type SettingsRecord struct {
	Set    Settings
	Next   Settings // in force from NextAt on; NextAt is zero if no change was to come
	NextAt uint64
}

// At is what is in force at a time, and what is to come from a later one on, as
// State.Account has it.
func (x *SettingsRecord) At(now uint64) (current, next Settings, from uint64) {
	switch {
	case x.NextAt > now:
		return x.Set, x.Next, x.NextAt
	case x.NextAt != 0:
		return x.Next, Settings{}, 0
	}
	return x.Set, Settings{}, 0
}

// ParseSettings reads the leaf of an account's settings. There is none where nothing
// was ever set.
func ParseSettings(k merkle.Key, value []byte) (SettingsRecord, error) {
	x, err := parseLeaf[*account](k, value)
	if err != nil {
		return SettingsRecord{}, err
	}
	return SettingsRecord{x.set, x.next, x.nextAt}, nil
}
