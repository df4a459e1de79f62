package mail_test

import (
	"testing"

	"pgregory.net/rapid"

	"souk/mail"
)

func pair(tb testing.TB, own, other *mail.Writer) *mail.Pair {
	tb.Helper()
	p, err := mail.NewPair(own.Key, other.Key.Public())
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

// O-21: both ends form the same tags, each way others, each number others, and nobody else
// forms them.
func TestTags(t *testing.T) {
	alice, bob, carol := person(t, 1), person(t, 2), person(t, 3)
	ab, ba := pair(t, alice, bob), pair(t, bob, alice)
	seen := map[mail.Tag]bool{}
	for n := range uint64(50) {
		if ab.OutTag(n) != ba.InTag(n) || ab.InTag(n) != ba.OutTag(n) || ab.OutReceipt(n) != ba.InReceipt(n) || ab.InReceipt(n) != ba.OutReceipt(n) {
			t.Fatalf("letter %d: the ends differ", n)
		}
		for _, tag := range []mail.Tag{ab.OutTag(n), ab.InTag(n), ab.OutReceipt(n), ab.InReceipt(n), pair(t, carol, bob).OutTag(n), pair(t, alice, carol).OutTag(n)} {
			if seen[tag] {
				t.Fatalf("tag %x twice", tag)
			}
			seen[tag] = true
		}
	}
	if _, err := mail.NewPair(alice.Key, mail.PublicKey{}); err == nil {
		t.Error("a pair with nobody")
	}
	// Who writes to himself has one chain for both ways.
	if aa := pair(t, alice, alice); aa.OutTag(3) != aa.InTag(3) {
		t.Error("letters to oneself are not found")
	}
}

// O-22, O-23: whatever is lost, doubled, reordered or given up, and whichever receipts are,
// every letter that arrives is found in the reader's table, the sender never stands still for
// good, and the table does not grow.
func TestWindow(t *testing.T) {
	alice, bob := person(t, 1), person(t, 2)
	ab, ba := pair(t, alice, bob), pair(t, bob, alice)
	rapid.Check(t, func(t *rapid.T) {
		var out mail.Outgoing
		var in mail.Incoming
		table := mail.NewTable()
		table.PutPair(1, ba, in)
		var wire, pending []uint64 // letters on their way, perhaps twice; numbers without a receipt
		receipts := []uint64{}
		pick := func(list *[]uint64, name string, keep bool) uint64 {
			i := rapid.IntRange(0, len(*list)-1).Draw(t, name)
			n := (*list)[i]
			if !keep {
				*list = append((*list)[:i:i], (*list)[i+1:]...)
			}
			return n
		}
		for range rapid.IntRange(1, 300).Draw(t, "steps") {
			switch rapid.IntRange(0, 6).Draw(t, "step") {
			case 0, 1:
				if n, ok := out.Take(); ok {
					wire, pending = append(wire, n), append(pending, n)
				} else if len(pending) == 0 {
					t.Fatal("nothing is on its way, and nothing may be sent")
				}
			case 2: // sent again
				if len(pending) > 0 {
					wire = append(wire, pick(&pending, "again", true))
				}
			case 3: // lost
				if len(wire) > 0 {
					pick(&wire, "lost", false)
				}
			case 4: // given up: what is still on the wire of it expires
				if len(pending) > 0 {
					n := pick(&pending, "given up", false)
					out.Release(n)
					wire = without(wire, n)
				}
			case 5:
				if len(wire) > 0 {
					n := pick(&wire, "arrives", rapid.Bool().Draw(t, "twice"))
					if !contains(pending, n) {
						continue // acknowledged long ago: it may be forgotten
					}
					e, ok := table.Look(ab.OutTag(n))
					if !ok || e != (mail.Expected{Use: mail.UseLetter, Who: 1, Number: n}) {
						t.Fatalf("letter %d is not expected: %+v, window %+v, out %+v", n, e, in, out)
					}
					table.Arrived(1, ba, &in, n)
					receipts = append(receipts, n)
				}
			case 6:
				if len(receipts) > 0 {
					n := pick(&receipts, "receipt", false)
					if contains(pending, n) != out.Ack(n) {
						t.Fatalf("receipt for %d is judged wrongly", n)
					}
					pending = without(pending, n)
				}
			}
			if table.Len() > 2*mail.Window {
				t.Fatalf("%d tags are looked for", table.Len())
			}
		}
		table.RemovePair(ba, in)
		if table.Len() != 0 {
			t.Fatalf("%d tags are left", table.Len())
		}
	})
}

func without(list []uint64, n uint64) []uint64 {
	var rest []uint64
	for _, x := range list {
		if x != n {
			rest = append(rest, x)
		}
	}
	return rest
}

func contains(list []uint64, n uint64) bool { return len(without(list, n)) < len(list) }

// O-22
func TestOutgoing(t *testing.T) {
	var out mail.Outgoing
	for want := range uint64(mail.Window) {
		if n, ok := out.Take(); !ok || n != want {
			t.Fatalf("%d, %v", n, ok)
		}
	}
	if _, ok := out.Take(); ok {
		t.Error("a seventeenth letter is on its way")
	}
	if !out.Ack(5) || out.Ack(5) || out.Ack(99) || out.Base != 0 {
		t.Errorf("after a later letter's receipt: %+v", out)
	}
	out.Release(3)
	if n, ok := out.Take(); !ok || n != 3 {
		t.Errorf("a number that was given back is not used again: %d", n)
	}
	for _, n := range []uint64{0, 1, 2, 3, 4} {
		if !out.Ack(n) {
			t.Errorf("no receipt for %d", n)
		}
	}
	if n, ok := out.Take(); out.Base != 6 || !ok || n != 16 {
		t.Errorf("it does not slide: %+v, %d", out, n)
	}
	if out.Ack(2) {
		t.Error("a receipt counts twice")
	}
	end := mail.Outgoing{Base: 1<<64 - 8}
	if _, ok := end.Take(); ok {
		t.Error("numbers begin again")
	}
}

// O-41
func TestTableOfLists(t *testing.T) {
	list, err := mail.NewList("a name")
	if err != nil {
		t.Fatal(err)
	}
	table := mail.NewTable()
	table.PutList(4, list, now, now)
	if table.Len() != int(mail.Retention) {
		t.Errorf("%d tags", table.Len())
	}
	table.PutList(4, list, now, now+1)
	table.RemoveList(list, now, now+1)
	if table.Len() != int(mail.Retention) {
		t.Errorf("%d tags an hour later", table.Len())
	}
	if e, ok := table.Look(list.Tag(now + 61)); !ok || e.Who != 4 || e.Use != mail.UseList {
		t.Errorf("%+v, %v", e, ok)
	}
	if _, ok := table.Look(list.Tag(now + 1)); ok {
		t.Error("what nobody keeps is looked for")
	}
}
