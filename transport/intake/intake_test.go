package intake_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"souk/transport"
	"souk/transport/intake"
)

var start = time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)

func peer(i int) transport.ID { return transport.ID{byte(i >> 8), byte(i), 1} }

func TestInboxKeepsTheLatest(t *testing.T) { // F-23
	closed := 0
	b := intake.NewInbox(func() { closed++ })
	for i := range intake.Queue + 10 {
		b.Put(transport.Message{Data: fmt.Append(nil, i)})
	}
	if b.Dropped() != 10 {
		t.Errorf("%d dropped", b.Dropped())
	}
	for i := range intake.Queue {
		if m, err := b.Next(t.Context()); err != nil || string(m.Data) != fmt.Sprint(i+10) {
			t.Fatalf("%q, %v", m.Data, err)
		}
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Next(gone); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	ends := make(chan error)
	for range 3 { // several readers end
		go func() {
			_, err := b.Next(context.Background())
			ends <- err
		}()
	}
	_ = b.Close()
	_ = b.Close()
	for range 3 {
		if err := <-ends; !errors.Is(err, transport.ErrClosed) {
			t.Error(err)
		}
	}
	b.Put(transport.Message{})
	if _, err := b.Next(t.Context()); !errors.Is(err, transport.ErrClosed) || closed != 1 {
		t.Errorf("%v, closed %d times", err, closed)
	}
}

// TestSharesAndPool: whatever one neighbour does, another has its share (F-31).
func TestSharesAndPool(t *testing.T) {
	limits := intake.Default()
	m, now := intake.NewMeter(limits), start
	let := func(from transport.ID, count int, known bool) (n int) {
		for range count {
			if m.Admit(from, known, now) == intake.Let {
				n++
			}
		}
		return n
	}
	for i, want := range []int{40, 40, 32, 4, 4} { // 4 of each share, and 100 of the pool
		if n := let(peer(i), 200, false); n != want {
			t.Errorf("neighbour %d brought %d at once", i, n)
		}
	}
	if m.Refused() != 1000-120 {
		t.Errorf("%d refused", m.Refused())
	}
	now = now.Add(time.Second)
	if n := let(peer(9), 200, true); n != 200 {
		t.Errorf("%d known ones of 200 were read", n)
	}
	if n := let(peer(3), 100, false); n != 40 {
		t.Errorf("a second later it brought %d", n)
	}
	now = now.Add(time.Second)
	for i := range 3 {
		let(peer(i), 100, false)
	}
	m.Forget(peer(1))
	if n := let(peer(1), 10, false); n != 4 {
		t.Errorf("who comes back brought %d", n)
	}
}

// TestFlood: 1,000 a second are cut in half of one; who keeps the limits is never (F-31, F-32).
func TestFlood(t *testing.T) {
	limits := intake.Default()
	m := intake.NewMeter(limits)
	for i := range 1000 {
		now := start.Add(time.Duration(i) * time.Millisecond)
		if m.Admit(peer(1), false, now) == intake.Flood {
			if now.Sub(start) > 500*time.Millisecond {
				t.Errorf("cut after %v", now.Sub(start))
			}
			break
		}
		if i == 999 {
			t.Error("who floods is not cut")
		}
	}
	all := float64(limits.Peers)
	if limits.Share.Second*all+limits.Pool.Second > limits.Flood.Second || limits.Share.Burst*all+limits.Pool.Burst > limits.Flood.Burst {
		t.Error("who keeps the limits may pass on more than a neighbour bears")
	}
	honest := intake.NewMeter(limits)
	for second := range 60 {
		for range 196 {
			if e := honest.Admit(peer(1), true, start.Add(time.Duration(second)*time.Second)); e != intake.Let {
				t.Fatalf("in second %d: %v", second, e)
			}
		}
	}
}

func TestSeen(t *testing.T) { // F-20, F-21
	s, id := intake.NewSeen(), intake.IDOf("topic", []byte("data"))
	if id == intake.IDOf("topicd", []byte("ata")) {
		t.Error("topic and data run into each other")
	}
	if s.Has(id) || !s.Add(id, start) || s.Add(id, start) || !s.Has(id) {
		t.Error("a new message")
	}
	if s.Add(id, start.Add(intake.Memory)) {
		t.Error("forgotten too early")
	}
	if !s.Add(id, start.Add(3*intake.Memory)) {
		t.Error("never forgotten")
	}
}

func TestBans(t *testing.T) { // F-34
	b := intake.NewBans()
	add := func(i int, after time.Duration) {
		b.Add(transport.Ban{ID: peer(i), Until: start.Add(after), Why: fmt.Sprint(after)}, start)
	}
	add(1, time.Hour)
	add(1, time.Minute) // never shorter
	add(2, time.Second)
	add(3, time.Minute)
	add(3, 0) // lets in
	want := []transport.Ban{
		{ID: peer(2), Until: start.Add(time.Second), Why: "1s"},
		{ID: peer(1), Until: start.Add(time.Hour), Why: "1h0m0s"},
	}
	if diff := cmp.Diff(want, b.List(start)); diff != "" {
		t.Error(diff)
	}
	if !b.Has(peer(2), start) || b.Has(peer(2), start.Add(time.Second)) || b.Has(peer(3), start) {
		t.Error("who is shut out until when")
	}
	for i := range intake.MaxBans {
		add(100+i, time.Hour+time.Duration(i)*time.Second)
	}
	if n := len(b.List(start)); n != intake.MaxBans {
		t.Errorf("%d bans", n)
	}
	if b.Has(peer(2), start) || !b.Has(peer(100+intake.MaxBans-1), start) {
		t.Error("not the one that ends first was let in")
	}
}

func TestConduct(t *testing.T) { // F-33
	c := intake.NewConduct()
	for i := range 6 {
		if c.Bad(peer(1), start) {
			t.Fatalf("cut after %d bad messages", i+1)
		}
	}
	if !c.Bad(peer(1), start) {
		t.Error("not cut after seven")
	}
	if s := c.Score(peer(1), start.Add(6*time.Second)); s != -10*3.5*3.5 {
		t.Errorf("six seconds later the score is %v", s)
	}
	c.Forget(start)
	if s := c.Score(peer(1), start); s != -490 {
		t.Errorf("the score is %v", s)
	}
	if s := c.Score(peer(1), start.Add(5*time.Minute)); s != 0 {
		t.Errorf("five minutes later the score is %v", s)
	}
	for i := range 600 { // one in five seconds is never too many
		if c.Bad(peer(2), start.Add(time.Duration(i)*5*time.Second)) {
			t.Fatal("cut for a bad message now and then")
		}
	}
}
