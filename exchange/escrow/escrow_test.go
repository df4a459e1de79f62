package escrow_test

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/google/go-cmp/cmp"

	"souk/asset"
	"souk/exchange/escrow"
	"souk/merkle"
)

// secret is the preimage that a word stands for.
func secret(word string) []byte {
	p := make([]byte, escrow.PreimageSize)
	copy(p, word)
	return p
}

func codeName(c escrow.Code) string {
	return []string{
		"ok", "bad amount", "bad parties", "bad deadline", "bad window", "bad memo", "too many", "unknown", "not a party",
		"wrong preimage", "too early", "too late", "no arbiter", "in dispute", "not in dispute",
	}[c]
}

var people = []string{"nobody", "alice", "bob", "carol", "dave"}

func who(name string) escrow.Owner { return escrow.Owner(slices.Index(people, name)) }

func payout(p escrow.Payout) string {
	verb := "goes back"
	if p.Paid {
		verb = "is paid"
	}
	return fmt.Sprintf("escrow %d: %d of asset %d %s to %s", p.ID, p.Amount, p.Asset, verb, people[p.To])
}

func describe(e escrow.Escrow) string {
	text := fmt.Sprintf("escrow %d: %d of asset %d from %s to %s until %d", e.ID, e.Amount, e.Asset, people[e.Payer], people[e.Payee], e.Deadline)
	if e.Arbiter != 0 {
		text += fmt.Sprintf(", arbiter %s for %d", people[e.Arbiter], e.Window)
	}
	if e.Disputed {
		text += fmt.Sprintf(", in dispute until %d", e.Due())
	}
	return text
}

// script runs the commands of a file in testdata, which a person can read.
type script struct {
	s   *escrow.State
	now uint64
}

func text(d *datadriven.TestData, name, otherwise string) string {
	for _, a := range d.CmdArgs {
		if a.Key == name && len(a.Vals) > 0 {
			return strings.Join(a.Vals, ",")
		}
	}
	return otherwise
}

func num(t *testing.T, d *datadriven.TestData, name string, otherwise uint64) uint64 {
	v, err := strconv.ParseUint(text(d, name, strconv.FormatUint(otherwise, 10)), 10, 64)
	if err != nil {
		d.Fatalf(t, "%s: %v", name, err)
	}
	return v
}

func (x *script) run(t *testing.T, d *datadriven.TestData) string {
	x.now = num(t, d, "at", x.now)
	id := escrow.ID(num(t, d, "escrow", 0))
	by := who(text(d, "by", "nobody"))
	answer := func(p escrow.Payout, code escrow.Code) string {
		if code != escrow.OK {
			return codeName(code)
		}
		return payout(p)
	}
	switch d.Cmd {
	case "lock":
		terms := escrow.Terms{
			Payer: who(text(d, "from", "alice")), Payee: who(text(d, "to", "bob")), Asset: 1,
			Amount: asset.Amount(num(t, d, "amount", 100)), Hash: sha256.Sum256(secret(text(d, "secret", "sesame"))),
			Deadline: num(t, d, "until", x.now+1000), Arbiter: who(text(d, "arbiter", "nobody")), Window: num(t, d, "window", 0),
			Memo: strings.Repeat("m", int(num(t, d, "memo", 0))),
		}
		id, code := x.s.Lock(terms, x.now)
		if code != escrow.OK {
			return codeName(code)
		}
		e, _ := x.s.Get(id)
		return describe(e)
	case "claim":
		return answer(x.s.Claim(id, secret(text(d, "secret", "sesame")), x.now))
	case "refund":
		return answer(x.s.Refund(id, by, x.now))
	case "dispute":
		code := x.s.Dispute(id, by, x.now)
		if e, ok := x.s.Get(id); ok && code == escrow.OK {
			return describe(e)
		}
		return codeName(code)
	case "resolve":
		return answer(x.s.Resolve(id, by, text(d, "pay", "no") == "yes", x.now))
	case "due":
		var lines []string
		for {
			p, ok := x.s.TakeDue(x.now)
			if !ok {
				break
			}
			lines = append(lines, payout(p))
		}
		if next, ok := x.s.NextDue(); ok {
			lines = append(lines, fmt.Sprintf("next at %d", next))
		}
		return strings.Join(lines, "\n")
	case "list":
		var lines []string
		x.s.All(func(e escrow.Escrow) bool {
			lines = append(lines, describe(e))
			return true
		})
		return strings.Join(lines, "\n")
	case "reload":
		x.s = reload(t, x.s)
		return fmt.Sprintf("%d escrows, %d of asset 1", x.s.Len(), x.s.Locked(1))
	}
	d.Fatalf(t, "unknown command %s", d.Cmd)
	return ""
}

func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata/scripts", func(t *testing.T, path string) {
		x := &script{s: escrow.New()}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			out := x.run(t, d)
			if err := x.s.Verify(); err != nil {
				d.Fatalf(t, "%v", err)
			}
			return strings.TrimRight(out, "\n") + "\n"
		})
	})
}

type leaf struct {
	Key   merkle.Key
	Value []byte
}

func leaves(s *escrow.State) []leaf {
	var all []leaf
	s.Leaves(func(key merkle.Key, value []byte) { all = append(all, leaf{key, value}) })
	return all
}

// failer is what *testing.T and *rapid.T have in common here.
type failer interface {
	Fatalf(format string, args ...any)
}

// reload builds a second state from the leaves of the first, in reverse order.
func reload(t failer, s *escrow.State) *escrow.State {
	saved := leaves(s)
	loaded := escrow.New()
	for _, l := range slices.Backward(saved) {
		if err := loaded.Load(l.Key, l.Value); err != nil {
			t.Fatalf("load: %v", err)
		}
	}
	if err := loaded.Finish(); err != nil {
		t.Fatalf("finish: %v", err)
	}
	if diff := cmp.Diff(saved, leaves(loaded)); diff != "" {
		t.Fatalf("leaves differ after loading:\n%s", diff)
	}
	loaded.Changes(func(key merkle.Key, _ []byte) { t.Fatalf("leaf %s is dirty after loading", key) })
	return loaded
}
