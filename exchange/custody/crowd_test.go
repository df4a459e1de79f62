package custody_test

import (
	"slices"
	"testing"

	"souk/exchange/custody"
	"souk/merkle"
	"souk/script"
)

// say makes a member say its hashes at once, and of payments as many as there is
// room for; it answers those that are left.
func (w *world) say(m custody.Member, payments []custody.Payment) (left []custody.Payment) {
	w.t.Helper()
	t := w.attestation(m, 0)
	payments = append(payments, t.Payments...)
	t.Payments = nil
	for {
		room := w.s.Room(1, m)
		left = left[:0]
		for i := range payments {
			p := &payments[i]
			hash := w.chains[0].blocks[p.Height-w.chains[0].start].hash
			switch {
			case !w.s.WantsPayment(1, m, p, hash):
			case len(t.Payments) == custody.MaxPayments || !room.Takes(p, hash):
				left = append(left, *p)
			default:
				t.Payments = append(t.Payments, *p)
			}
		}
		code := custody.OK
		w.both(func(s *custody.State) any {
			code = s.Attest(m, t)
			return code
		})
		if code != custody.OK {
			w.t.Fatalf("member %d: %d hashes, %d payments: %d", m, len(t.Hashes), len(t.Payments), code)
		}
		if len(t.Payments) == 0 {
			return left
		}
		payments, t = slices.Clone(left), &custody.Attestation{Bank: 1}
	}
}

// crowd is a bank to which n payments are made in each of some blocks.
func crowd(t failer, blocks, n int) *world {
	d := definition("litecoin", 4)
	d.Start.Height = 3_000_000
	w := newWorld(t, 4, d)
	w.unchecked = true
	w.turn(0, 2)
	a := w.address(1, 0)
	left := map[custody.Member][]custody.Payment{}
	for range blocks {
		for range n {
			w.pay(0, a.Series, script.Deposits, a.Index, 20_000)
		}
		w.chains[0].mine(anything)
		for range 3 { // who was first has room when the others have followed
			for _, m := range w.members {
				left[m] = w.say(m, left[m])
			}
		}
		w.step()
	}
	return w
}

// Y-14, Y-18: however many payments wait for their depth, the chain goes on, and all
// of them are credited.
func TestCrowd(t *testing.T) {
	const blocks, n = 6, custody.MaxOpen/6 + 1
	w := crowd(t, blocks, n)
	if info, _ := w.s.Bank(1); info.Tip.Height != w.chains[0].tip() {
		t.Fatalf("the chain is at %d, agreed is %d", w.chains[0].tip(), info.Tip.Height)
	}
	w.unchecked = false
	w.reload()
	w.turn(0, 24)
	for range blocks * n / custody.MaxCredits {
		w.step()
	}
	if got := w.available[1]; got != blocks*n*20_000 {
		t.Errorf("%d are credited, of %d", got/20_000, blocks*n)
	}
	w.reload()
}

// fakes are payments that nobody made.
func fakes(height uint32, name string, n int) *custody.Attestation {
	t := &custody.Attestation{Bank: 1}
	for i := range n {
		t.Payments = append(t.Payments, custody.Payment{
			Height: height, At: script.Outpoint{Tx: hashOf("fake", name, i)}, Amount: 20_000, Branch: script.Deposits,
		})
	}
	return t
}

// Y-18: what others say too takes none of the room for what they do not; a member
// whose block is replaced says of another block what it said of that.
func TestRoom(t *testing.T) {
	w := regtest(t)
	w.turn(0, 2)
	w.twin = again(t, w.s)
	attest := func(m custody.Member, name string, n int, want custody.Code) {
		t.Helper()
		w.both(func(s *custody.State) any {
			code := s.Attest(m, fakes(502, name, n))
			if code != want {
				t.Errorf("%s: %d, want %d", name, code, want)
			}
			return code
		})
	}
	for _, name := range []string{"a", "b"} {
		attest(4, name, 1000, custody.OK)
	}
	attest(4, "c", 100, custody.TooMany)
	w.step() // a state that was loaded has counted the same
	attest(4, "c", 100, custody.TooMany)
	attest(3, "a", 1000, custody.OK)
	attest(4, "c", 100, custody.OK)
	attest(4, "d", 1000, custody.TooMany)
	w.turn(0, 1) // hashes go through
	// The member's block was another one.
	w.both(func(s *custody.State) any {
		at := fakes(503, "b", 1000)
		tip, _ := s.Block(1, 502)
		at.From, at.Parent, at.Hashes = 503, tip, []script.Hash{hashOf("fork")}
		return s.Attest(4, at)
	})
	w.both(func(s *custody.State) any {
		at := fakes(503, "b", 1000)
		at.Payments = slices.DeleteFunc(at.Payments, func(p custody.Payment) bool {
			return s.WantsPayment(1, 4, &p, hashOf("fork"))
		})
		if len(at.Payments) != 1000 {
			t.Errorf("%d of 1000 statements were replaced", len(at.Payments))
		}
		return len(at.Payments)
	})
	w.step()
}

// Y-90: what members make up is forgotten, all of it at once.
func TestForgetFakes(t *testing.T) {
	w := regtest(t)
	w.turn(0, 2)
	for _, name := range []string{"a", "b", "c"} {
		for m := custody.Member(3); m <= 4; m++ {
			if code := w.s.Attest(m, fakes(502, name, 1000)); code != custody.OK {
				t.Fatal(code)
			}
		}
	}
	w.step()
	coins := func() (n int) {
		w.s.Leaves(func(key merkle.Key, _ []byte) {
			if key[0] == custody.LeafCoin {
				n++
			}
		})
		return n
	}
	if n := coins(); n != 3000 {
		t.Fatalf("%d coins", n)
	}
	w.unchecked = true
	for range custody.Keep/custody.MaxHashes + 1 {
		for range custody.MaxHashes {
			w.chains[0].mine(anything)
		}
		w.attest(0, w.members...)
		w.step()
	}
	w.unchecked = false
	w.check()
	if n := coins(); n != 0 {
		t.Errorf("%d coins", n)
	}
	if code := w.s.Attest(4, fakes(w.chains[0].tip(), "d", 1000)); code != custody.OK {
		t.Error(code)
	}
	w.reload()
}

// BenchmarkCredit is the step that credits the first of many payments in one block.
func BenchmarkCredit(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		w := crowd(b, 1, 16_000)
		for range 10 {
			w.turn(0, 1)
		}
		w.chains[0].mine(anything)
		w.attest(0, w.members...)
		b.StartTimer()
		w.step()
		b.StopTimer()
		if w.available[1] != custody.MaxCredits*20_000 {
			b.Fatalf("%d", w.available[1])
		}
		b.StartTimer()
	}
}

// BenchmarkForget is the step that forgets what two members made up.
func BenchmarkForget(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		w := regtest(b)
		w.unchecked = true
		w.turn(0, 2)
		for i := range custody.MaxOpen / 1000 {
			for m := custody.Member(3); m <= 4; m++ {
				w.s.Attest(m, fakes(502, string(rune('a'+i)), 1000))
			}
		}
		for range custody.Keep / custody.MaxHashes {
			for range custody.MaxHashes {
				w.chains[0].mine(anything)
			}
			w.attest(0, w.members...)
			w.step()
		}
		for range custody.MaxHashes {
			w.chains[0].mine(anything)
		}
		w.attest(0, w.members...)
		b.StartTimer()
		w.step()
	}
}
