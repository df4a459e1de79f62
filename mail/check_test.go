package mail_test

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"souk/mail"
)

// O-10: each fault is found, and a fault that is cheap to find hides those that are dear.
func TestCheckOrder(t *testing.T) {
	alice, bob := person(t, 1), person(t, 2)
	good := seal(t, 5, alice, bob.Reader(), at(mail.Tag{1}), letter("x"))
	stamp(t, good, cheap())
	asked := 0
	known := func(mail.Hour, mail.Tag, mail.ID) bool { asked++; return true }
	unknown := func(mail.Hour, mail.Tag, mail.ID) bool { asked++; return false }
	bad := bytes.Clone(good)
	for i := uint64(0); mail.Stamped(mail.IDOf(bad), i, mail.Target(cheap().Work(len(bad), 50, mail.Tagged))); i++ {
		mail.PutStamp(bad, i+1)
	}
	mail.PutStamp(bad, firstBad(bad))
	for _, c := range []struct {
		name  string
		data  []byte
		now   mail.Hour
		known func(mail.Hour, mail.Tag, mail.ID) bool
		want  mail.Drop
		asked int
	}{
		{"good", good, now, unknown, mail.Kept, 1},
		{"short", good[1:], now + 99, known, mail.DropSize, 0},
		{"long", append(bytes.Clone(good), 1), now, known, mail.DropSize, 0},
		{"another version", change(good, 0), now + 99, known, mail.DropForm, 0},
		{"expired this hour", bad, now + 50, known, mail.DropExpired, 0},
		{"in its last hour", good, now + 49, unknown, mail.Kept, 1},
		{"kept for 60 hours", bad, now - 10, known, mail.DropKnown, 1},
		{"kept for 61 hours", bad, now - 11, known, mail.DropFuture, 0},
		{"known, and badly stamped", bad, now, known, mail.DropKnown, 1},
		{"badly stamped", bad, now, unknown, mail.DropStamp, 1},
	} {
		asked = 0
		checked, drop := mail.Check(c.data, c.now, cheap(), c.known)
		if drop != c.want || asked != c.asked {
			t.Errorf("%s: dropped for %v, looked up %d times; want %v, %d", c.name, drop, asked, c.want, c.asked)
		}
		if drop == mail.Kept && checked.ID != mail.IDOf(c.data) {
			t.Errorf("%s: id %x", c.name, checked.ID)
		}
	}
	for d := range mail.Drops {
		if d.String() == "unknown" {
			t.Errorf("reason %d has no word", d)
		}
	}
	if mail.DropKnown.Guilty() || mail.DropExpired.Guilty() || !mail.DropStamp.Guilty() {
		t.Error("who is to blame is wrong")
	}
}

func firstBad(data []byte) uint64 {
	target := mail.Target(cheap().Work(len(data), 50, mail.Tagged))
	for i := uint64(0); ; i++ {
		if !mail.Stamped(mail.IDOf(data), i, target) {
			return i
		}
	}
}

// O-11: the formula is Bitmessage's, but for the constants: with theirs, 1,000 and 1,000,
// the object of 1,092 bytes that lives for two days and a half takes 9 million hashes.
func TestWorkIsBitmessages(t *testing.T) {
	work := mail.Price{PerByte: 1000, Extra: 1000}.Work(1092, 60, mail.Tagged)
	if work < 8_900_000 || work > 9_100_000 {
		t.Errorf("%d hashes", work)
	}
	p := mail.DefaultPrice()
	if small, hello := p.Work(mail.SizeSmall, mail.Retention, mail.Tagged), p.Work(mail.SizeSmall, mail.Retention, mail.Hello); hello != 16*small {
		t.Errorf("a first letter costs %d, another %d", hello, small)
	}
	if w := (mail.Price{PerByte: 1 << 63, Extra: 1 << 63, Hello: 1 << 63}).Work(mail.SizeLarge, 60, mail.Hello); w != 1<<64-1 {
		t.Errorf("beyond all bounds: %d", w)
	}
	if w := (mail.Price{}).Work(0, 0, mail.Tagged); w != 1 || mail.Target(w) != 1<<64-1 || mail.Target(0) != 1<<64-1 {
		t.Errorf("for nothing: %d", w)
	}
}

// O-12: who stamps for a time is believed at any later one, and a stamp is worth nothing
// for another envelope.
func TestStampAges(t *testing.T) {
	p := cheap()
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.SampledFrom([]int{mail.SizeSmall, mail.SizeMedium, mail.SizeLarge}).Draw(t, "size")
		left := mail.Hour(rapid.IntRange(1, 60).Draw(t, "left"))
		later := mail.Hour(rapid.IntRange(0, int(left)).Draw(t, "later"))
		if p.Work(size, later, mail.Tagged) > p.Work(size, left, mail.Tagged) {
			t.Fatal("it gets dearer as it gets older")
		}
	})
	alice, bob := person(t, 1), person(t, 2)
	data := seal(t, 5, alice, bob.Reader(), at(mail.Tag{1}), letter("x"))
	stamp(t, data, p)
	good := 0
	for i := range byte(50) {
		s, ok := mail.Mint(mail.ID{i}, mail.Target(1000), 0, 1<<20)
		if !ok {
			t.Fatal("no stamp")
		}
		if mail.Stamped(mail.ID{i, 1}, s, mail.Target(1000)) {
			good++
		}
	}
	if good > 2 {
		t.Errorf("%d of 50 stamps are good for other envelopes", good)
	}
	if _, ok := mail.Mint(mail.IDOf(data), 0, 0, 1000); ok {
		t.Error("an impossible stamp was found")
	}
}

// O-70: worth is work for each KiB.
func TestWorth(t *testing.T) {
	id := mail.ID{1}
	var best uint64
	for stamp := range uint64(2000) {
		worth := mail.Worth(id, stamp, mail.SizeSmall)
		if four := mail.Worth(id, stamp, mail.SizeMedium); four > worth/4 {
			t.Fatalf("four times the size is worth %d, not a quarter of %d", four, worth)
		}
		if worth > 0 && !mail.Stamped(id, stamp, mail.Target(worth)) {
			t.Fatalf("a stamp worth %d is not good for as much work", worth)
		}
		best = max(best, worth)
	}
	if best < 200 || best > 1_000_000 {
		t.Errorf("the best of 2,000 stamps is worth %d", best)
	}
}

// O-11: the average of stamps is the work that the formula says.
func TestMintTakesTheWork(t *testing.T) {
	const work, stamps = 500, 200
	from := uint64(0)
	for i := range stamps {
		id := mail.ID{byte(i)}
		s, ok := mail.Mint(id, mail.Target(work), 0, 1<<20)
		if !ok || !mail.Stamped(id, s, mail.Target(work)) {
			t.Fatal("no stamp")
		}
		from += s + 1
	}
	if mean := from / stamps; mean < work*7/10 || mean > work*13/10 {
		t.Errorf("stamps took %d hashes on average, not %d", mean, work)
	}
}
