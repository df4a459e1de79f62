package market_test

import (
	"encoding/binary"
	"maps"
	"testing"

	"golang.org/x/crypto/cryptobyte"

	"souk/asset"
	"souk/exchange/market"
	"souk/merkle"
)

// FuzzAuction reads blocks of orders from bytes, six for each, and plays them
// against the model with all of audit's checks.
func FuzzAuction(f *testing.F) {
	f.Add([]byte("\x00\x01\x10\x05\x00\x00\xff\x00\x12\x09\x05\x00\x00\x01"))
	f.Add([]byte("buy low, sell high; and then once more, from the beginning"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 6*64 || len(data) < 6 {
			return
		}
		terms := market.Terms{
			Tick: 1 + price(uint64(data[0]%3)), Lot: 1 + amount(uint64(data[1]%5)), MakerPPM: uint32(data[2]) * 100, TakerPPM: uint32(data[3]) * 200,
		}
		terms.Reference = 40 * terms.Tick
		w := newWorld(t, terms, data[4]%4)
		w.seed[0] = data[5]
		w.open()
		for at := 6; at+6 <= len(data); at += 6 {
			w.fuzzStep(terms, data[at:at+6])
		}
		w.auction()
		if _, err := restore(leaves(w.s)); err != nil {
			t.Fatal(err)
		}
	})
}

// fuzzStep does what six bytes say: place, cancel, reduce, or end the block.
func (w *world) fuzzStep(terms market.Terms, b []byte) {
	w.t.Helper()
	at := func(v byte) uint64 { return uint64(terms.Tick) * (30 + uint64(v%20)) }
	n := market.New{
		Owner: market.Owner(b[0] >> 5), Side: market.Side(1 + b[0]&1), Kind: market.LimitOrder, TIF: market.TIF(1 + b[0]>>1&3),
		PostOnly: b[0]&8 != 0, Price: price(at(b[1])), Quantity: amount(uint64(b[2])) * terms.Lot, Nonce: uint64(b[3]),
	}
	switch b[4] % 8 {
	case 0:
		w.auction()
		w.open()
		return
	case 1:
		w.cancel(market.OrderID(b[5]), market.Cancelled)
		return
	case 2:
		w.reduce(market.OrderID(b[5]), uint64(n.Quantity))
		return
	case 3:
		n.Kind = market.MarketOrder
		n.Quote, n.Quantity = amount(uint64(b[5])<<3), 0
	case 4:
		n.Kind, n.Trigger = market.Kind(3+b[5]&3), price(at(b[5]>>2))
	case 5:
		n.Expiry = w.now + uint64(b[5])
	case 6:
		stop := n
		stop.Kind, stop.Trigger, stop.PostOnly, stop.Price = market.StopOrder, price(at(b[5])), false, price(at(b[3]))
		w.placePair(n, stop)
		return
	}
	w.place(n)
}

// FuzzLoad offers leaves to a fresh state: it must refuse them, or be a state
// that writes the same leaves.
func FuzzLoad(f *testing.F) {
	for seed := range uint64(6) {
		g := newMaker(seed)
		w := newWorld(f, g.terms, g.dec)
		g.block(w, 6)
		g.block(w, 6)
		var data []byte
		w.s.Leaves(func(k merkle.Key, v []byte) {
			data = append(data, k[0])
			data = append(data, k[1:9]...)
			data = append(binary.BigEndian.AppendUint16(data, uint16(len(v))), v...)
		})
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s := market.NewState()
		all := map[merkle.Key]string{}
		in := cryptobyte.String(data)
		for !in.Empty() {
			var k merkle.Key
			var v cryptobyte.String
			if !in.CopyBytes(k[:9]) || !in.ReadUint16LengthPrefixed(&v) {
				return
			}
			if _, twice := all[k]; twice || s.Load(k, v) != nil {
				return
			}
			all[k] = string(v)
		}
		if s.Finish() != nil {
			return
		}
		if got := leaves(s); !maps.Equal(got, all) {
			t.Fatalf("loaded %x, writes %x", all, got)
		}
		// It must also bear an auction, if a ledger could have held what it holds.
		supply := map[asset.ID]asset.Amount{}
		for o := range s.Orders() {
			sum, ok := supply[o.Hold.Asset].Add(o.Hold.Amount)
			if !ok || sum > asset.MaxSupply {
				return
			}
			supply[o.Hold.Asset] = sum
		}
		var out market.Result
		s.Expired(1_000, &out)
		s.Trigger(&out)
		for _, id := range s.Staged(nil) {
			s.Auction(id, [32]byte{}, 1_000, &out)
		}
		s.Changes(func(merkle.Key, []byte) {})
	})
}

// FuzzTerms reads terms: one encoding, and Valid never lies to Create.
func FuzzTerms(f *testing.F) {
	f.Add((&market.Terms{Tick: 1, Lot: 2, MinNotional: 3, MakerPPM: 4, TakerPPM: 5, ReservePPM: 6, BandPPM: 7, Reference: 8}).Append(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		var terms market.Terms
		in := cryptobyte.String(data)
		if !terms.Read(&in) {
			return
		}
		if got := string(terms.Append(nil)) + string(in); got != string(data) {
			t.Fatalf("%x is read as %x", data, got)
		}
		_, code := market.NewState().Create(1, 2, 8, terms)
		if (code == market.OK) != terms.Valid() {
			t.Fatalf("%+v: valid %v, code %d", terms, terms.Valid(), code)
		}
	})
}
