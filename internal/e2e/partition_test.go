package e2e_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"souk/api"
	"souk/consensus/comet"
	"souk/exchange"
	"souk/merkle"
)

// probe is a payment whose sender gives up while it is undecided.
type probe struct {
	command *exchange.Command
	err     error
}

// undecided sends a payment to one server, and wants it to stay undecided for a while.
func (f *federation) undecided(name string, server int) probe {
	f.t.Helper()
	a := f.actor(name, server)
	commands, err := a.Sign(within(f.t, 10*time.Second), &exchange.Transfer{To: addressOf("sink"), Asset: eur, Amount: 1})
	if err != nil {
		f.t.Fatal(err)
	}
	c, err := f.Client(server)
	if err != nil {
		f.t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(f.t.Context(), 3*time.Second)
	defer cancel()
	_, err = c.Submit(ctx, commands...)
	return probe{commands[0], err}
}

// decided wants the payment of a probe to be made now, once.
func (f *federation) decided(p probe) {
	f.t.Helper()
	r, err := f.client.Submit(within(f.t, 40*time.Second), p.command)
	must(f.t, r, err)
	if r[0].Height == 0 {
		f.t.Errorf("the payment has no block: %+v", r[0])
	}
}

// heights are how far the servers are.
func (f *federation) heights() []uint64 {
	f.t.Helper()
	all := make([]uint64, len(f.URLs))
	for i := range all {
		s, err := f.Status(within(f.t, 10*time.Second), i)
		if err != nil {
			f.t.Fatal(err)
		}
		all[i] = s.Height
	}
	return all
}

// unforked wants all servers to have the same signed header at every recent height
// that two of them have.
func (f *federation) unforked() {
	f.t.Helper()
	ctx := within(f.t, time.Minute)
	hashes := map[uint64]merkle.Hash{}
	for i, height := range f.heights() {
		c, err := f.Client(i)
		if err != nil {
			f.t.Fatal(err)
		}
		var below []byte
		for h := max(2, height-min(height, 60)) - 1; h < height; h++ {
			block, err := c.LightBlockFrom(ctx, f.URLs[i], h)
			if err != nil {
				f.t.Fatal(err)
			}
			if below != nil {
				head, err := comet.VerifyLight(merkle.Hash(f.Founding.ID()), below, block, time.Now())
				if err != nil {
					f.t.Fatalf("server %d: header %d: %v", i+1, h, err)
				}
				if known, ok := hashes[h]; ok && known != head.Hash {
					f.t.Errorf("server %d has block %s at height %d, another one %s", i+1, head.Hash, h, known)
				}
				hashes[h] = head.Hash
			}
			below = block
		}
		c.Close()
	}
	if len(hashes) == 0 {
		f.t.Error("no headers compared")
	}
}

// Halves of a federation decide nothing, whether the links between them are cut or
// silent, and go on without a fork when they are good again.
func TestHalves(t *testing.T) {
	f := networked(t, 4)
	f.mint(1000e8, addressOf("alice"), addressOf("bob"), addressOf("carol"), addressOf("dave"), addressOf("erin"))
	for _, bad := range []struct {
		name string
		do   func(a, b int)
	}{{"cut", f.Net.Cut}, {"silent", f.Net.Hold}} {
		left, right := []int{0, 1}, []int{2, 3}
		f.Net.Between(left, right, bad.do)
		// What was on its way may still be decided; after these two nothing is.
		first := []probe{f.undecided("alice", 0), f.undecided("bob", 3)}
		before := f.heights()
		second := []probe{f.undecided("dave", 1), f.undecided("erin", 2)} // others, who cannot meet the first at a nonce
		for i, p := range second {
			if !errors.Is(p.err, api.ErrUndecided) {
				t.Errorf("%s: half %d decided alone: %v", bad.name, i, p.err)
			}
		}
		for i, h := range f.heights() {
			if h != before[i] {
				t.Errorf("%s: server %d went from block %d to %d", bad.name, i+1, before[i], h)
			}
		}
		f.Net.MendAll()
		began := time.Now()
		f.progress("carol")
		t.Logf("%s: goes on %v after the links are good again", bad.name, time.Since(began).Round(time.Millisecond))
		for _, p := range append(first, second...) {
			f.decided(p)
		}
	}
	if err := f.Ready(within(t, time.Minute)); err != nil {
		t.Fatal(err)
	}
	if got := f.balance("sink", eur); got != "0.00000010" {
		t.Errorf("ten payments of one unit came to %s", got)
	}
	f.sound()
	f.unforked()
}

// A server that is cut off or hears nothing decides nothing; the others go on, and
// it follows when its links are good again.
func TestMinority(t *testing.T) {
	f := networked(t, 4)
	f.mint(1000e8, addressOf("alice"))
	for _, bad := range []struct {
		name string
		do   func(a, b int)
	}{{"cut", f.Net.Cut}, {"silent", f.Net.Hold}} {
		s := f.trade()
		s.after(20)
		alone := 1
		f.Net.Between([]int{alone}, []int{0, 2, 3}, bad.do)
		p := f.undecided("alice", alone)
		if !errors.Is(p.err, api.ErrUndecided) {
			t.Errorf("%s: one server alone decided: %v", bad.name, p.err)
		}
		s.after(60)
		t.Logf("%s: longest pause %v", bad.name, s.longest().Round(time.Millisecond))
		f.Net.MendAll()
		began := time.Now()
		if err := f.CaughtUp(within(t, time.Minute), alone); err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: caught up after %v", bad.name, time.Since(began).Round(time.Millisecond))
		f.decided(p)
		receipts := s.end()
		f.sound()
		f.kept(alone, receipts)
	}
	f.unforked()
}

// locked wants all servers to be quiet, and makes two of four lock a block that
// nobody decides: they hear the other two, who do not hear them. It answers the
// payment in the block, and the two.
func (f *federation) locked(name string) (probe, []int) {
	f.t.Helper()
	for range 20 { // the proposer is one who is heard every other time
		muted, heard := []int{0, 1}, []int{2, 3}
		if rand.IntN(2) == 0 {
			muted, heard = heard, muted
		}
		if _, err := f.Roots(within(f.t, 30*time.Second)); err != nil {
			f.t.Fatal(err)
		}
		time.Sleep(300 * time.Millisecond) // everybody tells everybody where he is
		f.Net.Between(muted, heard, f.Net.Mute)
		p := f.undecided(name, heard[0])
		if slices.Equal(f.locks(), muted) {
			if !errors.Is(p.err, api.ErrUndecided) {
				f.t.Errorf("a block that two have locked is decided: %v", p.err)
			}
			return p, muted
		}
		// The proposer was one who is not heard, so that the others saw no block.
		f.Net.MendAll()
		f.decided(p)
	}
	f.t.Fatal("no block was ever locked by two of four")
	return probe{}, nil
}

// locks are the servers that have locked a block.
func (f *federation) locks() (all []int) {
	f.t.Helper()
	for i := range f.URLs {
		v, err := f.metric(i, "souk_locked")
		if err != nil {
			f.t.Fatal(err)
		}
		if v == 1 {
			all = append(all, i)
		}
	}
	return all
}

// A block that two of four have locked does not keep the federation from going on
// after everybody lost power: they are killed while the lock is seen to hold, and
// started again a while later.
func TestLocked(t *testing.T) {
	f := networked(t, 4)
	f.mint(1000e8, addressOf("alice"))
	pause := 2 * time.Second
	if *soak {
		pause = 10 * time.Second
	}
	var receipts []exchange.Receipt
	for range rounds(3, 20) {
		s := f.trade()
		s.after(20)
		receipts = append(receipts, s.end()...)
		p, by := f.locked("alice")
		before := f.heights()
		f.Kill(0, 1, 2, 3)
		f.Net.MendAll()
		time.Sleep(pause) // the time that everybody is down is part of the case
		for i := range f.Homes {
			if err := f.Restart(i); err != nil {
				t.Fatal(err)
			}
		}
		began := time.Now()
		f.decided(p)
		t.Logf("servers %v had locked a block above %v; it is decided %v after the start", by, before, time.Since(began).Round(time.Millisecond))
	}
	s := f.trade()
	s.after(10)
	receipts = append(receipts, s.end()...)
	if err := f.Ready(within(t, time.Minute)); err != nil {
		t.Fatal(err)
	}
	f.sound()
	f.unforked()
	f.kept(0, receipts)
}

// Halves that are cut at random moments of the voting, and in that state lose power,
// go on together. Some of these moments are such that few know of a polka or a commit.
func TestCutWhileVoting(t *testing.T) {
	f := networked(t, 4)
	random := rand.New(rand.NewPCG(1, 1))
	s := f.trade()
	for range rounds(2, 20) {
		s.after(20)
		pairs := [][2][]int{{{0, 1}, {2, 3}}, {{0, 2}, {1, 3}}, {{0, 3}, {1, 2}}}
		p := pairs[random.IntN(len(pairs))]
		for range 5 {
			f.Net.Between(p[0], p[1], f.Net.Cut)
			time.Sleep(time.Duration(random.IntN(120)) * time.Millisecond)
			f.Net.MendAll()
			time.Sleep(time.Duration(random.IntN(120)) * time.Millisecond)
		}
		f.Net.Between(p[0], p[1], f.Net.Cut)
		time.Sleep(time.Duration(random.IntN(60)) * time.Millisecond)
		f.Kill(0, 1, 2, 3)
		f.Net.MendAll()
		for i := range f.Homes {
			if err := f.Restart(i); err != nil {
				t.Fatal(err)
			}
		}
		began := time.Now()
		s.after(10)
		t.Logf("goes on %v after the start", time.Since(began).Round(time.Millisecond))
	}
	receipts := s.end()
	if err := f.Ready(within(t, time.Minute)); err != nil {
		t.Fatal(err)
	}
	f.sound()
	f.unforked()
	f.kept(0, receipts)
}
