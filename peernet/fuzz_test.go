package peernet_test

import (
	"bytes"
	"testing"

	"souk/identity"
	"souk/peernet"
)

// samples are messages of every kind.
func samples() []peernet.Message {
	k := members(4)
	first := roster(nil, k[:3]...)
	second := roster(&first, k...)
	near := []peernet.Distance{{Peer: k[0].Public(), RoundTrip: 5}, {Peer: k[1].Public(), RoundTrip: 3}}
	id, h := first.ID(), second.Hash()
	return []peernet.Message{
		{Kind: peernet.KindHello, Ring: id, Epoch: 2, Size: 4, Near: near},
		{Kind: peernet.KindJoin, Ring: id, Whom: k[1].Public()},
		{Kind: peernet.KindAsk, Roster: first},
		{Kind: peernet.KindAsk, Roster: peernet.Roster{Body: second.Body}, Prev: &first},
		{Kind: peernet.KindReady, Hash: h},
		{Kind: peernet.KindRefuse, Hash: h, Whom: k[2].Public()},
		{Kind: peernet.KindOffer, Roster: second, Prev: &first},
		{Kind: peernet.KindSigned, Hash: h, Signature: first.Seals[0].Signature},
		{Kind: peernet.KindMade, Chain: []peernet.Roster{first, second}},
		{Kind: peernet.KindLeave, Ring: id, Epoch: 2},
		{Kind: peernet.KindWant, Ring: id, Epoch: 1},
	}
}

// U-22: one encoding per message, and no message of a peer stops a Seat.
func FuzzParseMessage(f *testing.F) {
	for _, m := range samples() {
		f.Add(m.Append(nil))
	}
	k := members(4)
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := peernet.ParseMessage(data)
		if err != nil {
			return
		}
		if !bytes.Equal(m.Append(nil), data) {
			t.Errorf("%x is written as %x", data, m.Append(nil))
		}
		seat := peernet.NewSeat(k[0], peernet.Config{}, nil)
		r := roster(nil, k[:3]...)
		if err := seat.Resume(1000, r); err != nil {
			t.Fatal(err)
		}
		for _, from := range []identity.PublicKey{k[1].Public(), k[3].Public()} {
			seat.Receive(2000, from, &m)
			seat.Tick(3000, [32]byte{1})
		}
	})
}

func FuzzParseRoster(f *testing.F) {
	r := roster(nil, members(3)...)
	f.Add(r.Append(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		if r, err := peernet.ParseRoster(data); err == nil && !bytes.Equal(r.Append(nil), data) {
			t.Errorf("%x is written as %x", data, r.Append(nil))
		}
	})
}

func FuzzParseFault(f *testing.F) {
	k := members(4)
	first := roster(nil, k[:3]...)
	a, b := roster(&first, k...), roster(&first, k[:3]...)
	for _, x := range peernet.Conflict(&a, &b) {
		f.Add(x.Append(nil))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if x, err := peernet.ParseFault(data); err == nil && !bytes.Equal(x.Append(nil), data) {
			t.Errorf("%x is written as %x", data, x.Append(nil))
		}
	})
}

func FuzzParseVow(f *testing.F) {
	v := peernet.Vow{Epoch: 3}
	f.Add(v.Append(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		if v, err := peernet.ParseVow(data); err == nil && !bytes.Equal(v.Append(nil), data) {
			t.Errorf("%x is written as %x", data, v.Append(nil))
		}
	})
}
