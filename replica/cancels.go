package replica

import (
	"bytes"
	"encoding/binary"
	"iter"
	"slices"

	"golang.org/x/crypto/cryptobyte"

	"souk/asset"
	"souk/exchange"
	"souk/exchange/custody"
	"souk/identity"
)

// Cancelled is a withdrawal that its owner took back. The state forgets it at once.
type Cancelled struct {
	ID     custody.ID
	Bank   custody.Bank
	Script []byte // the output
	Amount asset.Amount
	MaxFee asset.Amount
	Asked  uint64 // ms
	Height uint64
	Time   uint64 // ms, of the block in which it was cancelled
}

// cancels yields the withdrawals that were cancelled in the block, in the order of events.
func (rec *record) cancels(yield func(*identity.Address, Cancelled) bool) {
	for i := range rec.result.Events {
		e := &rec.result.Events[i]
		if e.Kind != exchange.EventWithdrawalCancelled {
			continue
		}
		w := e.Withdrawal
		x := Cancelled{w.ID, w.Bank, w.Script, w.Amount, w.MaxFee, w.Asked, rec.position.Height, rec.result.Time}
		if !yield(&e.Account, x) {
			return
		}
	}
}

// Cancels yields an account's withdrawals that were cancelled, newest first, as far
// back as this server keeps them. An error ends it.
func (r *Replica) Cancels(account identity.Address) iter.Seq2[Cancelled, error] {
	return func(yield func(Cancelled, error) bool) {
		recent := func(rec *record) (list []Cancelled) {
			for owner, x := range rec.cancels {
				if *owner == account {
					list = append(list, x)
				}
			}
			return list
		}
		backwards(&history{r: r, kind: keyCancels, owner: account[:]}, yield, recent, parseCancels)
	}
}

// append appends the entry of keyCancels. Height and time of the block stand before
// all entries.
func (x *Cancelled) append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, uint64(x.ID))
	dst = binary.BigEndian.AppendUint32(dst, uint32(x.Bank))
	for _, n := range []uint64{uint64(x.Amount), uint64(x.MaxFee), x.Asked} {
		dst = binary.BigEndian.AppendUint64(dst, n)
	}
	return append(append(dst, byte(len(x.Script))), x.Script...)
}

func parseCancels(value []byte) ([]Cancelled, error) {
	s := cryptobyte.String(value)
	var height, time uint64
	if !s.ReadUint64(&height) || !s.ReadUint64(&time) {
		return nil, errValue
	}
	var all []Cancelled
	for len(s) > 0 {
		x := Cancelled{Height: height, Time: time}
		var out cryptobyte.String
		if !s.ReadUint64((*uint64)(&x.ID)) || !s.ReadUint32((*uint32)(&x.Bank)) || !s.ReadUint64((*uint64)(&x.Amount)) ||
			!s.ReadUint64((*uint64)(&x.MaxFee)) || !s.ReadUint64(&x.Asked) || !s.ReadUint8LengthPrefixed(&out) {
			return nil, errValue
		}
		x.Script = bytes.Clone(out)
		all = append(all, x)
	}
	return all, nil
}

// writeCancels writes a block's cancelled withdrawals by account.
func writeCancels(b sink, rec *record) {
	type owned struct {
		account *identity.Address
		Cancelled
	}
	var all []owned
	for account, x := range rec.cancels {
		all = append(all, owned{account, x})
	}
	slices.SortStableFunc(all, func(x, y owned) int { return bytes.Compare(x.account[:], y.account[:]) })
	p := pieces{b: b}
	for i := range all {
		x := &all[i]
		if i == 0 || *all[i-1].account != *x.account {
			p.begin(cancelsKey(day(x.Time), x.account, x.Height), x.Height, x.Time)
		}
		p.next()
		p.buf = x.append(p.buf)
		if i+1 == len(all) || *all[i+1].account != *x.account {
			p.end()
		}
	}
}

func cancelsKey(day uint32, a *identity.Address, height uint64) []byte {
	return binary.BigEndian.AppendUint64(append(dayKey(keyCancels, day), a[:]...), ^height)
}
