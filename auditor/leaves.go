package auditor

import (
	"context"
	"fmt"
	"slices"

	"souk/exchange/custody"
	"souk/exchange/ledger"
	"souk/merkle"
	"souk/script"
)

// bank is what is proven of a bank: all of one state.
type bank struct {
	custody.BankRecord
	network *script.Network
	tip     custody.Point
	halt    custody.Halt
	asset   ledger.Asset
	series  []custody.SeriesRecord
	header  uint64
	time    uint64
}

// same tells whether two states of a bank have the same coins, books and batches. Its
// clocks may differ.
func (b *bank) same(other *custody.BankRecord) bool {
	return b.Tip == other.Tip && b.Books == other.Books && b.LastBatch == other.LastBatch && b.Series == other.Series &&
		slices.Equal(b.Changes, other.Changes)
}

// leaves reads leaves of one state and checks their proofs.
func (a *Auditor) leaves(ctx context.Context, keys []merkle.Key) (Leaves, error) {
	l, err := a.Source.Leaves(ctx, keys)
	if err != nil {
		return l, fmt.Errorf("read leaves: %w: %w", ErrUntold, err)
	}
	if len(l.Values) != len(keys) || len(l.Proofs) != len(keys) {
		return l, fmt.Errorf("%d leaves of %d: %w", len(l.Values), len(keys), ErrProof)
	}
	for i, key := range keys {
		p := &l.Proofs[i]
		if l.Values[i] == nil && !p.Absent(l.Root, key) || l.Values[i] != nil && !p.Present(l.Root, key, l.Values[i]) {
			return l, fmt.Errorf("leaf %s under header %d: %w", key, l.Height, ErrProof)
		}
	}
	return l, nil
}

// readBank reads what is the same for all coins. Its leaf, those of its tip, of what
// halts it and of its asset are of one state; series never change but for how many
// addresses were allotted, so older states of them do not hurt.
func (a *Auditor) readBank(ctx context.Context) (*bank, error) {
	first, err := a.leaves(ctx, []merkle.Key{custody.BankKey(a.Bank)})
	if err != nil {
		return nil, err
	}
	record, err := custody.ParseBank(custody.BankKey(a.Bank), first.Values[0])
	if err != nil {
		return nil, fmt.Errorf("bank %d: %w: %w", a.Bank, ErrUntold, err)
	}
	b := &bank{BankRecord: record}
	if err := a.readSeries(ctx, b); err != nil {
		return nil, err
	}
	keys := []merkle.Key{custody.BankKey(a.Bank), custody.BlockKey(a.Bank, record.Tip), custody.Key(), ledger.AssetKey(record.Asset)}
	l, err := a.leaves(ctx, keys)
	if err != nil {
		return nil, err
	}
	if b.BankRecord, err = custody.ParseBank(keys[0], l.Values[0]); err != nil {
		return nil, fmt.Errorf("bank %d: %w: %w", a.Bank, ErrUntold, err)
	}
	if !b.same(&record) {
		return nil, ErrMoving
	}
	b.header, b.time = l.Height, l.Time
	b.tip.Height = b.Tip
	if b.tip.Hash, err = custody.ParseBlock(keys[1], l.Values[1]); err == nil {
		if b.halt, err = custody.ParseHalt(keys[2], l.Values[2]); b.Lifted {
			b.halt = custody.Halt{}
		}
	}
	if err == nil {
		b.asset, err = ledger.ParseAsset(keys[3], l.Values[3])
	}
	if err != nil {
		return nil, fmt.Errorf("bank %d: %w: %w", a.Bank, ErrUntold, err)
	}
	return b, a.check(b)
}

// readSeries reads all series of a bank.
func (a *Auditor) readSeries(ctx context.Context, b *bank) error {
	var keys []merkle.Key
	for i := range b.Series {
		keys = append(keys, custody.SeriesKey(a.Bank, i))
	}
	for page := range slices.Chunk(keys, MaxKeys) {
		l, err := a.leaves(ctx, page)
		if err != nil {
			return err
		}
		for i, key := range page {
			x, err := custody.ParseSeries(key, l.Values[i])
			if err != nil {
				return fmt.Errorf("series %d: %w: %w", len(b.series), ErrUntold, err)
			}
			b.series = append(b.series, x)
		}
	}
	return nil
}

// check compares a bank with the founding contract and the chain that is asked.
func (a *Auditor) check(b *bank) error {
	var ok bool
	if b.network, ok = script.ByName(b.Network); !ok || b.network.Name != a.Backend.Network().Name {
		return fmt.Errorf("the bank is on %s, the backend on %s: %w", b.Network, a.Backend.Network().Name, ErrContract)
	}
	c := a.Contract
	if c == nil {
		return nil
	}
	if c.Asset != b.Asset || c.Network != b.Network || c.Start != b.Start || c.Wallets != b.Wallets {
		return ErrContract
	}
	for i := range b.series {
		if !sameRecovery(b.series[i].Recovery, c.Recovery) {
			return fmt.Errorf("recovery of series %d: %w", i, ErrContract)
		}
	}
	return nil
}

func sameRecovery(a, b *script.Recovery) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.K == b.K && a.Sequence() == b.Sequence() && slices.Equal(a.Keys, b.Keys)
}

// ask reads leaves of a bank that has not changed since it was read: page by page, each
// with the bank's own leaf.
func (a *Auditor) ask(ctx context.Context, b *bank, keys []merkle.Key, each func(key merkle.Key, value []byte) error) error {
	own := custody.BankKey(a.Bank)
	for page := range slices.Chunk(keys, MaxKeys-1) {
		l, err := a.leaves(ctx, append([]merkle.Key{own}, page...))
		if err != nil {
			return err
		}
		now, err := custody.ParseBank(own, l.Values[0])
		if err != nil {
			return fmt.Errorf("bank %d: %w: %w", a.Bank, ErrUntold, err)
		}
		if !b.same(&now) {
			return ErrMoving
		}
		for i, key := range page {
			if err := each(key, l.Values[i+1]); err != nil {
				return err
			}
		}
	}
	return nil
}
