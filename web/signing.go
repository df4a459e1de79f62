package web

import (
	"crypto/sha256"
	"slices"
	"sync"

	"souk/api"
	"souk/exchange"
	"souk/exchange/custody"
	"souk/script"
	"souk/threshold"
)

// signLate is after how many ms a member's missing signature is late.
const signLate = 60_000

// check is a member's first signature of a bank's transaction, to be verified.
type check struct {
	of     *signing
	member uint32
	input  int
	key    int
	sig    []byte
}

// signing is a transaction that is being signed.
type signing struct {
	batch  uint64
	plan   threshold.Plan
	series []*script.Series  // by number; nil for those that no input is of
	opened threshold.Session // nil until there is something to verify
	failed bool
}

// batchValue is a transaction that is not settled, and the signatures of it that are
// to be verified: one of each member, for who signs wrongly does so everywhere.
func batchValue(s *exchange.State, b *custody.Info, n *script.Network, number uint64) (api.Batch, []check) {
	t, _ := s.Banks().Batch(b.ID, number)
	version := len(t.Versions)
	newest, spent := &t.Versions[version-1], t.Spends(version)
	v := api.Batch{
		Number: t.Number, Kind: api.BatchName(t.Kind), Inputs: len(spent), Payouts: len(t.Payouts), Version: version, Tx: newest.Tx.String(),
		Made: newest.Time, Rate: newest.Rate, Fee: api.FormatCoins(newest.Fee), Signed: []uint32{}, Missing: []uint32{}, Wrong: []uint32{},
	}
	if _, height, depth, required, ok := s.Banks().Mined(b.ID, number); ok {
		v.Mined, v.Depth, v.Required = height, depth, required
	}
	of := &signing{batch: number, plan: threshold.Plan{Network: n, Version: script.Version, Sequence: script.SequenceReplace}}
	of.series = make([]*script.Series, b.Series)
	if tx, ok := s.Banks().Transaction(b.ID, number, uint8(version)); ok {
		of.plan.Outputs = tx.Outputs
	}
	holders := map[custody.Member][]int{} // by member the inputs with a key of his
	for i := range spent {
		in := &spent[i]
		of.plan.Inputs = append(of.plan.Inputs, threshold.Coin{At: in.At, Amount: in.Amount, Series: in.Series, Branch: in.Branch, Index: in.Index})
		x, members, _ := s.Banks().SeriesOf(b.ID, in.Series)
		of.series[in.Series] = &x
		v.Needed = max(v.Needed, int(x.K))
		for _, m := range members {
			holders[m] = append(holders[m], i)
		}
	}
	members, given := s.Banks().Signatures(b.ID, number, uint8(version))
	var checks []check
	for m := range s.Roster().Members {
		id := custody.Member(m.ID)
		inputs := holders[id]
		if len(inputs) == 0 {
			continue
		}
		at := slices.Index(members, id)
		if at < 0 || slices.ContainsFunc(inputs, func(i int) bool { return len(given[at][i]) == 0 }) {
			v.Missing = append(v.Missing, uint32(id))
			continue
		}
		v.Signed = append(v.Signed, uint32(id))
		first := inputs[0]
		_, keys, _ := s.Banks().SeriesOf(b.ID, spent[first].Series)
		checks = append(checks, check{
			of: of, member: uint32(id), input: first, key: slices.Index(keys, id), sig: given[at][first],
		})
	}
	return v, checks
}

// judge finds the signatures that are none, and counts for each member what he has not
// signed, late, or wrongly.
func (v *virtual) judge(r *api.BankPage, checks []check) {
	for i := range checks {
		c := &checks[i]
		at := slices.IndexFunc(r.Unsettled, func(b api.Batch) bool { return b.Number == c.of.batch })
		if b := &r.Unsettled[at]; !v.signatures.good(c) {
			b.Signed = slices.DeleteFunc(b.Signed, func(id uint32) bool { return id == c.member })
			b.Wrong = append(b.Wrong, c.member)
		}
	}
	now := uint64(v.server.config.Now().UnixMilli())
	for i := range r.Attestors {
		m := &r.Attestors[i]
		for k := range r.Unsettled {
			b := &r.Unsettled[k]
			if slices.Contains(b.Wrong, m.Member) {
				m.BadSigns++
			}
			if b.Mined == 0 && len(b.Signed) < b.Needed && slices.Contains(b.Missing, m.Member) {
				m.Unsigned++
				m.SignLate = m.SignLate || b.Made+signLate < now
			}
		}
	}
}

// mostVerdicts is how many verdicts on signatures are remembered.
const mostVerdicts = 4096

// verdicts remember which signatures hold, so that to ask again costs nothing.
type verdicts struct {
	mu    sync.Mutex
	known map[[32]byte]bool
}

// good tells whether a signature holds.
func (v *verdicts) good(c *check) bool {
	h := sha256.New()
	h.Write(c.of.plan.AppendTo(nil))
	h.Write([]byte{byte(c.input), byte(c.key)})
	h.Write(c.sig)
	id := [32]byte(h.Sum(nil))
	v.mu.Lock()
	defer v.mu.Unlock()
	ok, known := v.known[id]
	if known {
		return ok
	}
	if ok = c.verify(); len(v.known) >= mostVerdicts {
		clear(v.known)
	}
	v.known[id] = ok
	return ok
}

// verify verifies a signature.
func (c *check) verify() bool {
	if c.of.opened == nil && !c.of.failed {
		var err error
		c.of.opened, err = (&threshold.Multisig{Series: c.of.series}).Open(&c.of.plan)
		c.of.failed = err != nil
	}
	return !c.of.failed && c.of.opened.Check(threshold.Partial{Input: uint32(c.input), Key: uint8(c.key), Signature: c.sig}) == nil
}
