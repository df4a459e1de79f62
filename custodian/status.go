package custodian

import (
	"errors"
	"log/slog"
	"maps"
	"slices"

	"souk/exchange/custody"
)

// Status is what there is to tell people of a custodian.
type Status struct {
	Bank    custody.Bank
	Network string

	Member   custody.Member // zero if the server is no member, or barred
	Node     uint32         // height of the node's chain
	Height   uint32         // up to which its blocks were read
	Agreed   uint32         // height that the members agree on
	Attested uint32         // height that this member has said
	Rate     uint64         // that it says, in units per 1,000 virtual bytes; zero for none
	HasKey   bool           // the bank knows a key of this member
	OtherKey bool           // and it is not the signer's, which will not sign for series that are opened now
	Busy     bool           // blocks are to be read or addresses to be derived: the next step goes on at once
	Halted   bool

	Waiting int      // withdrawals that no transaction pays yet
	Live    []Payout // transactions that are not settled
	Faults  []Fault  // of other members, by member
	Problem string   // what is wrong now, for people; "" for nothing
}

// Payout is a transaction that is not settled.
type Payout struct {
	Batch   uint64
	Version int // the newest
	Signed  int // members whose signatures of it are good
	Sent    int // the newest version that was broadcast; zero for none
	Mined   bool
	Problem string
}

// Fault is what a member did wrong by what this custodian could verify.
type Fault struct {
	Member custody.Member
	Count  uint64 // bad signatures
	Batch  uint64 // of the last one
	Last   string
}

// Status returns what there was to tell after the last step.
func (c *Custodian) Status() Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.status
	s.Live, s.Faults = slices.Clone(s.Live), slices.Clone(s.Faults)
	return s
}

// blame notes a bad signature.
func (c *Custodian) blame(m custody.Member, batch uint64, err error) {
	f := c.faults[m]
	if f == nil {
		f = &Fault{Member: m}
		c.faults[m] = f
	}
	f.Count, f.Batch, f.Last = f.Count+1, batch, err.Error()
	c.log.Warn("bad signature", slog.Uint64("member", uint64(m)), slog.Uint64("batch", batch), slog.Any("error", err))
}

// report makes the status of a step that has ended, with an error or none.
func (c *Custodian) report(err error) {
	p, o := &c.seen, &c.own
	s := Status{
		Bank: c.cfg.Bank, Network: c.cfg.Network.Name, Member: p.me, Node: o.end.Height, Height: o.tip().Height,
		Agreed: p.info.Tip.Height, Attested: p.own.Height, Rate: uint64(c.rate), HasKey: p.own.HasKey, Halted: p.halted, Waiting: p.info.Pending,
	}
	key, ok := c.key()
	s.OtherKey = ok && s.HasKey && key != p.own.Key
	s.Busy = err == nil && (c.signed || o.tip() != o.end || c.watch.again != nil) || errors.Is(err, errDeriving)
	switch {
	case err != nil:
		s.Problem = err.Error()
	case c.unsure != nil:
		s.Problem = "fee rate: " + c.unsure.Error()
	case s.OtherKey:
		s.Problem = "the bank knows another key of this member than the signer has"
	}
	for _, number := range slices.Sorted(maps.Keys(c.works)) {
		w := c.works[number]
		newest := w.versions[len(w.versions)-1]
		x := Payout{Batch: number, Version: len(w.versions), Sent: w.sent, Problem: w.problem, Mined: o.spent[w.versions[len(w.versions)-1].inputs[0].At]}
		for m := range newest.given {
			if !newest.bad[m] {
				x.Signed++
			}
		}
		s.Live = append(s.Live, x)
	}
	for _, m := range slices.Sorted(maps.Keys(c.faults)) {
		s.Faults = append(s.Faults, *c.faults[m])
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.Problem != "" && s.Problem != c.status.Problem {
		c.log.Warn("custodian waits", slog.String("problem", s.Problem))
	}
	c.status = s
}
