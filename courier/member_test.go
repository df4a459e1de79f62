package courier_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"souk/courier"
	"souk/identity"
	"souk/peernet"
	"souk/peernet/terms"
	"souk/store/memstore"
	"souk/transport"
	"souk/transport/memnet"
)

// country is a network of residents in towns, with virtual time.
type country struct {
	t         *testing.T
	network   *memnet.Network
	residents []*resident
	town      map[transport.ID]int
}

type resident struct {
	*courier.Members
	country *country
	key     identity.PrivateKey
	id      transport.ID
	disk    *memstore.Store
	node    *memnet.Node
	stop    func()
}

// newCountry has links of a millisecond within towns and of thirty between them.
func newCountry(t *testing.T, residents, towns int) *country {
	t.Helper()
	c := &country{t: t, town: map[transport.ID]int{}}
	c.network = memnet.New(memnet.Config{Seed: 5, Link: func(a, b transport.ID) memnet.Link {
		if c.town[a] == c.town[b] {
			return memnet.Link{Delay: time.Millisecond, Jitter: time.Millisecond / 2}
		}
		return memnet.Link{Delay: 30 * time.Millisecond, Jitter: time.Millisecond}
	}})
	t.Cleanup(func() {
		for _, r := range c.residents {
			r.stop()
		}
		_ = c.network.Close()
	})
	for i := range residents {
		key := identity.NewKey(sha256.Sum256(fmt.Append(nil, "resident ", i)))
		r := &resident{country: c, key: key, id: key.Public(), disk: memstore.New(), stop: func() {}}
		c.town[r.id] = i % towns
		c.residents = append(c.residents, r)
	}
	for _, r := range c.residents {
		r.wake()
	}
	return c
}

// wake starts a resident on its disk. It finds others by two lists.
func (r *resident) wake() {
	t := r.country.t
	t.Helper()
	node, err := r.country.network.Join(r.id, memnet.NodeConfig{})
	if err != nil {
		t.Fatal(err)
	}
	var lists [2]transport.List
	for i, o := range r.country.residents {
		lists[i%2] = append(lists[i%2], transport.Peer{ID: o.id})
	}
	own := &terms.Terms{Made: uint64(time.Now().UnixMilli()), Until: uint64(time.Now().Add(24 * time.Hour).UnixMilli())}
	own.Entries = []terms.Entry{{Kind: terms.Method, Use: terms.Both, Name: "SEPA", Currency: "EUR", Min: 1, Max: 1}}
	if err := own.Sign(r.key); err != nil {
		t.Fatal(err)
	}
	r.Members, err = courier.NewMembers(courier.MemberConfig{
		Net: node, Key: r.key, Store: r.disk, Finders: []transport.Finder{lists[0], lists[1]}, Ring: peernet.Config{Size: 6},
		Terms: func() *terms.Terms { return own }, Random: newSource(binary.BigEndian.Uint64(r.id[:])), Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	members := r.Members
	running.Go(func() {
		if err := members.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	r.node = node
	r.stop = func() {
		cancel()
		running.Wait()
		_ = node.Close()
		r.stop = func() {}
	}
}

// settle waits until all that are up sit in rings of which all members are up, or fails.
func (c *country) settle(within time.Duration, up ...*resident) {
	c.t.Helper()
	end := time.Now().Add(within)
	for {
		why := c.unsettled(up)
		if why == "" {
			return
		}
		if time.Now().After(end) {
			c.t.Fatal(why)
		}
		time.Sleep(5 * time.Second)
	}
}

func (c *country) unsettled(up []*resident) string {
	of := map[transport.ID]*resident{}
	for _, r := range up {
		of[r.id] = r
	}
	for i, r := range up {
		ring, ok := r.Ring()
		if !ok {
			return fmt.Sprintf("resident %d has no ring", i)
		}
		for _, m := range ring.Members {
			o := of[m]
			if o == nil {
				return fmt.Sprintf("the ring of resident %d has a member who is away", i)
			}
			if theirs, ok := o.Ring(); !ok || theirs.Hash() != ring.Hash() {
				return fmt.Sprintf("the ring of resident %d (epoch %d of %d) is not its members'", i, ring.Epoch, len(ring.Members))
			}
		}
	}
	return ""
}

// U-1, U-2, U-20, U-45, U-70: peers find each other by several lists, measure, form rings with
// those nearby, tell each other their terms, and heal when some go away and come back.
func TestMembership(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCountry(t, 12, 2)
		c.settle(10*time.Minute, c.residents...)
		for _, r := range c.residents {
			ring, _ := r.Ring()
			list := r.List()
			for i, p := range list[:len(ring.Members)-1] {
				if !p.Ring || !p.Neighbour || !p.Connected || p.RoundTrip == 0 || !p.Terms {
					t.Errorf("in the list at %d: %+v", i, p)
				}
				if near := c.town[p.ID] == c.town[r.id]; near != (p.RoundTrip < 10*time.Millisecond) {
					t.Errorf("a peer of the same town (%v) is %v away", near, p.RoundTrip)
				}
				if ways := r.Ways(p.ID); len(ways) != 1 || ways[0].Step != terms.Outside {
					t.Errorf("ways to pay: %v", ways)
				}
			}
		}
		gone := c.residents[0]
		before, _ := gone.Ring()
		gone.stop()
		c.settle(10*time.Minute, c.residents[1:]...)
		gone.wake()
		if after, ok := gone.Ring(); !ok || after.Hash() != before.Hash() {
			t.Error("a restart forgets the ring")
		}
		c.settle(20*time.Minute, c.residents...)
		if n := gone.Counts(); n.Found == 0 || n.Measured == 0 || n.Sent == 0 || n.Received == 0 || n.Faults != 0 {
			t.Errorf("counts: %+v", n)
		}
	})
}

// U-16, U-72: who is proven to have signed two rosters is shut out by everybody who hears of
// it, for a month, restarts included; anything else on that topic is nobody's proof.
func TestFaultsAreHeard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCountry(t, 6, 1)
		c.settle(10*time.Minute, c.residents...)
		liar, teller, hearer := c.residents[0], c.residents[1], c.residents[2]
		data := proof(liar.key)
		if _, err := peernet.ParseFault(data); err != nil {
			t.Fatal(err)
		}
		if err := teller.node.Publish(t.Context(), courier.FaultTopic, append(slices.Clone(data[:len(data)-1]), data[len(data)-1]^1)); err == nil {
			t.Error("a proof that proves nothing is passed on")
		}
		if err := teller.node.Publish(t.Context(), courier.FaultTopic, data); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		banned := func(r *resident) bool {
			return slices.ContainsFunc(r.List(), func(p courier.MemberPeer) bool { return p.ID == liar.id && p.Banned.After(time.Now()) && p.Why != "" })
		}
		for i, r := range c.residents[1:] {
			if !banned(r) || r.Counts().Faults != 1 {
				t.Errorf("resident %d has not heard of the fault: %+v", i+1, r.Counts())
			}
		}
		c.settle(10*time.Minute, c.residents[1:]...)
		hearer.stop()
		hearer.wake()
		if !banned(hearer) {
			t.Error("a restart forgets a ban")
		}
		if _, err := liar.node.Stream(t.Context(), hearer.id, courier.ProtocolRing); err == nil {
			t.Error("a banned peer is let in")
		}
	})
}

// U-71: a ban ends, or is taken back.
func TestBansEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCountry(t, 3, 1)
		c.settle(5*time.Minute, c.residents...)
		a, b := c.residents[0], c.residents[1]
		last := func() courier.MemberPeer { list := a.List(); return list[len(list)-1] }
		if err := a.Ban(b.id, time.Now().Add(time.Hour), "rude"); err != nil {
			t.Fatal(err)
		}
		if p := last(); p.ID != b.id || p.Why != "rude" {
			t.Errorf("the last of the list is %+v", p)
		}
		time.Sleep(30 * time.Minute)
		if ring, ok := a.Ring(); ok && ring.Has(b.id) {
			t.Error("a sits in a ring with b, whom it has banned")
		}
		time.Sleep(31 * time.Minute)
		if p := last(); !p.Banned.IsZero() {
			t.Errorf("after an hour: %+v", p)
		}
		if err := a.Ban(b.id, time.Now().Add(time.Hour), "rude"); err != nil {
			t.Fatal(err)
		}
		if err := a.Unban(b.id); err != nil {
			t.Fatal(err)
		}
		c.settle(30*time.Minute, c.residents...)
	})
}

// U-45, U-70: what is not well made, too long, or somebody else's is refused, and no harm done.
func TestMembersRefuse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCountry(t, 2, 1)
		c.settle(5*time.Minute, c.residents...)
		r := c.residents[0]
		key := identity.NewKey([32]byte{9})
		node, err := c.network.Join(key.Public(), memnet.NodeConfig{})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = node.Close() }()
		foreign := &terms.Terms{Made: uint64(time.Now().UnixMilli()), Until: uint64(time.Now().Add(time.Hour).UnixMilli())}
		if err := foreign.Sign(identity.NewKey([32]byte{10})); err != nil {
			t.Fatal(err)
		}
		frame := func(data []byte) []byte {
			return append(binary.BigEndian.AppendUint32(nil, uint32(len(data))), data...)
		}
		hello := peernet.Message{Kind: peernet.KindHello}
		flood := bytes.Repeat(frame(hello.Append(nil)), 700)
		for name, say := range map[string]struct {
			protocol string
			data     []byte
		}{
			"no message":        {courier.ProtocolRing, frame([]byte{99})},
			"too long a frame":  {courier.ProtocolRing, []byte{0xff, 0xff, 0xff, 0xff}},
			"a flood":           {courier.ProtocolRing, flood},
			"somebody's terms":  {courier.ProtocolTerms, frame(foreign.Append(nil))},
			"no terms":          {courier.ProtocolTerms, frame([]byte("x"))},
			"endless measuring": {courier.ProtocolPing, make([]byte, 8*17)},
		} {
			s, err := node.Stream(t.Context(), r.id, say.protocol)
			if err != nil {
				t.Fatal(name, err)
			}
			_ = s.SetDeadline(time.Now().Add(10 * time.Minute))
			go func() { _, _ = s.Write(say.data) }()
			var got []byte
			for b := make([]byte, 1024); ; {
				n, err := s.Read(b)
				if got = append(got, b[:n]...); err != nil {
					break
				}
			}
			if want := map[bool]int{true: 8 * 16}[say.protocol == courier.ProtocolPing]; len(got) != want {
				t.Errorf("%s: %d bytes come back", name, len(got))
			}
			_ = s.Close()
		}
		if _, ok := r.TermsOf(key.Public()); ok {
			t.Error("somebody else's terms are kept")
		}
		c.settle(time.Minute, c.residents...)
	})
}

// proof is two rosters of one ring and epoch that a key signed.
func proof(key identity.PrivateKey) []byte {
	p, other := key.Public(), identity.NewKey([32]byte{77}).Public()
	members := []identity.PublicKey{p, other}
	slices.SortFunc(members, func(a, b identity.PublicKey) int { return bytes.Compare(a[:], b[:]) })
	a := peernet.Body{Ring: peernet.ID{1}, Epoch: 2, Prev: peernet.Hash{1}, Members: members}
	b := peernet.Body{Ring: peernet.ID{1}, Epoch: 2, Prev: peernet.Hash{2}, Members: members}
	var rosters [2]peernet.Roster
	for i, body := range []peernet.Body{a, b} {
		rosters[i] = peernet.Roster{Body: body, Seals: []peernet.Seal{{Key: p, Signature: key.Sign("souk/peernet/roster/v1", body.Append(nil))}}}
	}
	return peernet.Conflict(&rosters[0], &rosters[1])[0].Append(nil)
}
