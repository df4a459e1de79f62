package escrow_test

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"souk/asset"
	"souk/exchange/escrow"
	"souk/merkle"
)

// phase is where an escrow stands, by its history and the time alone.
type phase int

const (
	open     phase = iota // before the deadline, nobody complained
	overdue               // at or after the deadline, nobody complained
	disputed              // within the arbiter's time
	lapsed                // in dispute, and the arbiter's time is over
	gone                  // never there, or closed
)

// event is what somebody tries.
type event int

const (
	claimRight event = iota
	claimWrong
	refundPayer
	refundPayee
	refundOther
	disputeParty
	disputeOther
	resolveArbiter
	resolveOther
)

// outcome is what the table says: a code, and for OK whether the escrow closes.
type outcome struct {
	code  escrow.Code
	close bool
}

var (
	paysOrReturns = outcome{escrow.OK, true}
	goesOn        = outcome{escrow.OK, false}
)

func refused(c escrow.Code) outcome { return outcome{c, false} }

// table is docs/spec/06-escrow.md, E-42 and E-45: escrows with an arbiter.
var table = map[phase][]outcome{
	open: {
		claimRight: paysOrReturns, claimWrong: refused(escrow.WrongPreimage),
		refundPayer: refused(escrow.TooEarly), refundPayee: paysOrReturns, refundOther: refused(escrow.NotParty),
		disputeParty: goesOn, disputeOther: refused(escrow.NotParty),
		resolveArbiter: refused(escrow.NotInDispute), resolveOther: refused(escrow.NotParty),
	},
	overdue: {
		claimRight: refused(escrow.TooLate), claimWrong: refused(escrow.TooLate),
		refundPayer: paysOrReturns, refundPayee: paysOrReturns, refundOther: refused(escrow.NotParty),
		disputeParty: refused(escrow.TooLate), disputeOther: refused(escrow.NotParty),
		resolveArbiter: refused(escrow.NotInDispute), resolveOther: refused(escrow.NotParty),
	},
	disputed: {
		claimRight: refused(escrow.InDispute), claimWrong: refused(escrow.InDispute),
		refundPayer: refused(escrow.InDispute), refundPayee: paysOrReturns, refundOther: refused(escrow.NotParty),
		disputeParty: refused(escrow.InDispute), disputeOther: refused(escrow.NotParty),
		resolveArbiter: paysOrReturns, resolveOther: refused(escrow.NotParty),
	},
	lapsed: {
		claimRight: refused(escrow.InDispute), claimWrong: refused(escrow.InDispute),
		refundPayer: paysOrReturns, refundPayee: paysOrReturns, refundOther: refused(escrow.NotParty),
		disputeParty: refused(escrow.InDispute), disputeOther: refused(escrow.NotParty),
		resolveArbiter: refused(escrow.TooLate), resolveOther: refused(escrow.NotParty),
	},
}

// expect looks an event up; without an arbiter three entries differ, and an
// escrow that is gone is unknown.
func expect(p phase, e event, arbiter bool) outcome {
	switch {
	case p == gone:
		return refused(escrow.Unknown)
	case !arbiter && (e == disputeParty || e == resolveArbiter || e == resolveOther):
		return refused(escrow.NoArbiter)
	}
	return table[p][e]
}

// entry is an escrow of the model.
type entry struct {
	terms    escrow.Terms
	disputed bool
	closed   bool
}

func (e *entry) due() uint64 {
	if e.disputed {
		return e.terms.Deadline + e.terms.Window
	}
	return e.terms.Deadline
}

func (e *entry) phase(now uint64) phase {
	switch {
	case e.closed:
		return gone
	case e.disputed && now >= e.due():
		return lapsed
	case e.disputed:
		return disputed
	case now >= e.due():
		return overdue
	}
	return open
}

type machine struct {
	s    *escrow.State
	all  []*entry // by id, less one
	now  uint64
	tree map[merkle.Key][]byte
}

func (x *machine) Lock(t *rapid.T) {
	terms := escrow.Terms{
		Payer: escrow.Owner(rapid.IntRange(1, 3).Draw(t, "payer")), Payee: escrow.Owner(rapid.IntRange(1, 3).Draw(t, "payee")),
		Asset: asset.ID(rapid.IntRange(1, 2).Draw(t, "asset")), Amount: asset.Amount(rapid.IntRange(1, 9).Draw(t, "amount")),
		Hash: sha256.Sum256(secret("sesame")), Deadline: x.now + rapid.Uint64Range(0, 60).Draw(t, "ahead"),
		Memo: rapid.StringMatching(`[a-z]{0,5}`).Draw(t, "memo"),
	}
	if rapid.Bool().Draw(t, "with arbiter") {
		terms.Arbiter = escrow.Owner(rapid.IntRange(3, 4).Draw(t, "arbiter"))
		terms.Window = rapid.Uint64Range(1, 40).Draw(t, "window")
	}
	want := escrow.OK
	switch {
	case terms.Payer == terms.Payee || terms.Arbiter != 0 && (terms.Arbiter == terms.Payer || terms.Arbiter == terms.Payee):
		want = escrow.BadParties
	case terms.Deadline == x.now:
		want = escrow.BadDeadline
	}
	if code := x.s.Check(terms, x.now); code != want {
		t.Fatalf("check: %s, want %s", codeName(code), codeName(want))
	}
	id, code := x.s.Lock(terms, x.now)
	if code != want {
		t.Fatalf("lock: %s, want %s", codeName(code), codeName(want))
	}
	if want == escrow.OK {
		x.all = append(x.all, &entry{terms: terms})
		if id != escrow.ID(len(x.all)) {
			t.Fatalf("lock: id %d, want %d", id, len(x.all))
		}
	}
}

func (x *machine) Act(t *rapid.T) {
	id := escrow.ID(rapid.IntRange(0, len(x.all)+1).Draw(t, "id"))
	e := &entry{closed: true}
	if id > 0 && int(id) <= len(x.all) {
		e = x.all[id-1]
	}
	what := event(rapid.IntRange(0, int(resolveOther)).Draw(t, "event"))
	pay := rapid.Bool().Draw(t, "pay")
	want := expect(e.phase(x.now), what, e.terms.Arbiter != 0)
	to := e.terms.Payer
	if what == claimRight || what == resolveArbiter && pay {
		to = e.terms.Payee
	}
	party := rapid.SampledFrom([]escrow.Owner{e.terms.Payer, e.terms.Payee}).Draw(t, "party")
	const stranger = 99
	var p escrow.Payout
	var code escrow.Code
	switch what {
	case claimRight:
		p, code = x.s.Claim(id, secret("sesame"), x.now)
	case claimWrong:
		wrong := rapid.SampledFrom([][]byte{nil, secret("sesam"), secret("sesame")[:31], append(secret("sesame"), 0)}).Draw(t, "preimage")
		p, code = x.s.Claim(id, wrong, x.now)
	case refundPayer:
		p, code = x.s.Refund(id, e.terms.Payer, x.now)
	case refundPayee:
		p, code = x.s.Refund(id, e.terms.Payee, x.now)
	case refundOther:
		p, code = x.s.Refund(id, stranger, x.now)
	case disputeParty:
		code = x.s.Dispute(id, party, x.now)
	case disputeOther:
		code = x.s.Dispute(id, stranger, x.now)
	case resolveArbiter:
		p, code = x.s.Resolve(id, e.terms.Arbiter, pay, x.now)
	case resolveOther:
		p, code = x.s.Resolve(id, party, pay, x.now)
	}
	if code != want.code {
		t.Fatalf("event %d in phase %d: %s, want %s", what, e.phase(x.now), codeName(code), codeName(want.code))
	}
	if want.close {
		e.closed = true
		if p.To != to || p.Paid != (to == e.terms.Payee) || p.ID != id || p.Terms != e.terms || p.Disputed != e.disputed {
			t.Fatalf("payout %+v of %+v", p, e)
		}
	}
	if want == goesOn {
		e.disputed = true
	}
}

func (x *machine) PassTime(t *rapid.T) { x.now += rapid.Uint64Range(1, 30).Draw(t, "ms") }

func (x *machine) TakeDue(t *rapid.T) {
	var want []escrow.ID
	for i, e := range x.all {
		if !e.closed && e.due() <= x.now {
			want = append(want, escrow.ID(i+1))
		}
	}
	slices.SortStableFunc(want, func(a, b escrow.ID) int { return cmp.Compare(x.all[a-1].due(), x.all[b-1].due()) })
	var got []escrow.ID
	for {
		p, ok := x.s.TakeDue(x.now)
		if !ok {
			break
		}
		if p.Paid || p.To != x.all[p.ID-1].terms.Payer {
			t.Fatalf("escrow %d falls due in favour of %d", p.ID, p.To)
		}
		got = append(got, p.ID)
		x.all[p.ID-1].closed = true
	}
	if !slices.Equal(got, want) {
		t.Fatalf("due: %v, want %v", got, want)
	}
}

func (x *machine) Reload(t *rapid.T) {
	x.Commit(t)
	x.s = reload(t, x.s)
}

// Commit applies the changes to a copy of the leaves, as the state tree does.
func (x *machine) Commit(t *rapid.T) {
	seen := map[merkle.Key]bool{}
	x.s.Changes(func(key merkle.Key, value []byte) {
		if seen[key] {
			t.Fatalf("leaf %s is emitted twice", key)
		}
		seen[key] = true
		if value == nil {
			if _, ok := x.tree[key]; !ok {
				t.Fatalf("leaf %s is deleted and was never there", key)
			}
			delete(x.tree, key)
			return
		}
		x.tree[key] = value
	})
	all := leaves(x.s)
	if len(all) != len(x.tree) {
		t.Fatalf("%d leaves, %d by their changes", len(all), len(x.tree))
	}
	for _, l := range all {
		one, ok := x.s.Leaf(l.Key)
		if !bytes.Equal(x.tree[l.Key], l.Value) || !ok || !bytes.Equal(one, l.Value) {
			t.Fatalf("leaf %s is stale", l.Key)
		}
	}
}

func (x *machine) Check(t *rapid.T) {
	if err := x.s.Verify(); err != nil {
		t.Fatal(err)
	}
	locked := map[asset.ID]asset.Amount{}
	next, some, n := uint64(0), false, 0
	for i, e := range x.all {
		got, ok := x.s.Get(escrow.ID(i + 1))
		if ok == e.closed || ok && (got.Terms != e.terms || got.Disputed != e.disputed || got.Due() != e.due()) {
			t.Fatalf("escrow %d: %+v, want %+v", i+1, got, e)
		}
		if e.closed {
			continue
		}
		n++
		locked[e.terms.Asset] += e.terms.Amount
		if !some || e.due() < next {
			next, some = e.due(), true
		}
	}
	due, ok := x.s.NextDue()
	if due != next || ok != some || x.s.Len() != n || x.s.Last() != escrow.ID(len(x.all)) { // E-16
		t.Fatalf("next due %d %v, want %d %v; %d locked, want %d", due, ok, next, some, x.s.Len(), n)
	}
	for _, id := range []asset.ID{1, 2, 3} { // E-50
		if got := x.s.Locked(id); got != locked[id] {
			t.Fatalf("%d of asset %d locked, want %d", got, id, locked[id])
		}
	}
}

// The state agrees with the table under random histories, across reloads.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := &machine{s: escrow.New(), now: 1000, tree: map[merkle.Key][]byte{}}
		x.Lock(t)
		t.Repeat(rapid.StateMachineActions(x))
	})
}

// E-15: one payer can lock only so many at a time.
func TestTooMany(t *testing.T) {
	s := escrow.New()
	terms := escrow.Terms{Payer: 1, Payee: 2, Asset: 1, Amount: 1, Deadline: 10}
	for range escrow.MaxPerPayer {
		if _, code := s.Lock(terms, 0); code != escrow.OK {
			t.Fatal(codeName(code))
		}
	}
	s = reload(t, s)
	if _, code := s.Lock(terms, 0); code != escrow.TooMany {
		t.Error(codeName(code))
	}
	terms.Payer = 3
	if _, code := s.Lock(terms, 0); code != escrow.OK {
		t.Error(codeName(code))
	}
	if _, code := s.Refund(1, 2, 0); code != escrow.OK {
		t.Error(codeName(code))
	}
	terms.Payer = 1
	if id, code := s.Lock(terms, 0); code != escrow.OK || id != escrow.MaxPerPayer+2 {
		t.Error(id, codeName(code))
	}
}

// E-12: times near the end of time do not wrap.
func TestFarFuture(t *testing.T) {
	s := escrow.New()
	const end = 1<<64 - 1
	terms := escrow.Terms{Payer: 1, Payee: 2, Asset: 1, Amount: 1, Deadline: end, Arbiter: 3, Window: 1}
	if code := s.Check(terms, end-10); code != escrow.BadWindow {
		t.Error(codeName(code))
	}
	terms.Deadline--
	if code := s.Check(terms, end-10); code != escrow.OK {
		t.Error(codeName(code))
	}
	if code := s.Check(terms, end); code != escrow.BadDeadline {
		t.Error(codeName(code))
	}
}

// sample is a state with everything in it.
func sample() *escrow.State {
	s := escrow.New()
	terms := escrow.Terms{Payer: 1, Payee: 2, Asset: 1, Amount: 7, Deadline: 100, Memo: "rent"}
	s.Lock(terms, 0)
	s.Lock(terms, 0)
	terms.Arbiter, terms.Window, terms.Memo = 3, 50, ""
	s.Lock(terms, 0)
	s.Dispute(3, 1, 0)
	s.Refund(1, 2, 0)
	return s
}

// FuzzLoad: two leaves are refused, or are exactly what comes out again.
func FuzzLoad(f *testing.F) {
	all := leaves(sample())
	f.Add(all[0].Key[:], all[0].Value, all[2].Key[:], all[2].Value)
	f.Add(all[1].Key[:], all[1].Value, all[2].Key[:], all[2].Value)
	f.Add(all[2].Key[:], all[2].Value, []byte{}, []byte{})
	f.Fuzz(func(t *testing.T, k1, v1, k2, v2 []byte) {
		s := escrow.New()
		var in []leaf
		for _, l := range []struct{ k, v []byte }{{k1, v1}, {k2, v2}} {
			if len(l.k) != 32 {
				continue
			}
			in = append(in, leaf{merkle.Key(l.k), l.v})
			if err := s.Load(merkle.Key(l.k), l.v); err != nil {
				if !errors.Is(err, escrow.ErrLeaf) {
					t.Fatal(err)
				}
				return
			}
		}
		if s.Finish() != nil {
			return
		}
		slices.SortFunc(in, func(a, b leaf) int { return a.Key.Compare(b.Key) })
		out := leaves(s)
		if !slices.EqualFunc(in, out, func(a, b leaf) bool { return a.Key == b.Key && bytes.Equal(a.Value, b.Value) }) {
			t.Fatalf("%x is written as %x", in, out)
		}
		for {
			if _, ok := s.TakeDue(1<<64 - 1); !ok {
				break
			}
		}
		if s.Len() != 0 {
			t.Fatalf("%d escrows never fall due", s.Len())
		}
	})
}

// E-60: leaves cut short or lengthened, and leaves that do not fit together.
func TestLoadRefuses(t *testing.T) {
	all := leaves(sample())
	for _, l := range all {
		for n := range l.Value {
			if err := escrow.New().Load(l.Key, l.Value[:n]); !errors.Is(err, escrow.ErrLeaf) {
				t.Errorf("leaf %s cut to %d bytes: %v", l.Key, n, err)
			}
		}
		if err := escrow.New().Load(l.Key, append(slices.Clone(l.Value), 0)); !errors.Is(err, escrow.ErrLeaf) {
			t.Errorf("leaf %s with a byte more: %v", l.Key, err)
		}
		key := l.Key
		key[31] = 1
		if err := escrow.New().Load(key, l.Value); !errors.Is(err, escrow.ErrLeaf) {
			t.Errorf("leaf %s: %v", key, err)
		}
	}
	huge := func(id escrow.ID) leaf {
		value := slices.Clone(all[0].Value)
		for i := range 8 {
			value[16+i] = 0xff
		}
		value[16] = 0x7f
		return leaf{escrow.Key(id), value}
	}
	for name, in := range map[string][]leaf{
		"no counter":             all[:2],
		"a counter below":        {all[0], all[1], {escrow.CounterKey(), []byte{0, 0, 0, 0, 0, 0, 0, 2}}},
		"a counter of zero":      {{escrow.CounterKey(), make([]byte, 8)}},
		"two counters":           {all[2], all[2]},
		"an escrow twice":        {all[0], all[0], all[2]},
		"more than can exist":    {huge(1), huge(2), all[2]},
		"an escrow without a id": {{escrow.Key(0), all[0].Value}},
	} {
		s := escrow.New()
		var err error
		for _, l := range in {
			if err == nil {
				err = s.Load(l.Key, l.Value)
			}
		}
		if err == nil {
			err = s.Finish()
		}
		if !errors.Is(err, escrow.ErrLeaf) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// E-61: the encoding worked out in docs/spec/06-escrow.md.
func TestLeafExample(t *testing.T) {
	s := sample()
	value, _ := s.Leaf(escrow.Key(2))
	want := slices.Concat([]byte{0, 0, 0, 1}, []byte{0, 0, 0, 2}, make([]byte, 4), []byte{0, 0, 0, 1}, []byte{0, 0, 0, 0, 0, 0, 0, 7},
		make([]byte, 32), []byte{0, 0, 0, 0, 0, 0, 0, 100}, make([]byte, 8), []byte{0}, []byte{4, 'r', 'e', 'n', 't'})
	if !bytes.Equal(value, want) {
		t.Errorf("got %x, want %x", value, want)
	}
	e, err := escrow.Parse(escrow.Key(2), value)
	known, _ := s.Get(2)
	if err != nil || e != known {
		t.Errorf("%+v, %v", e, err)
	}
}
