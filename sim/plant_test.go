package sim

import (
	"slices"
	"strings"
	"testing"

	"souk/consensus"
	"souk/replica"
	"souk/sim/workload"
	"souk/store/memstore"
)

// planted is a fault, and how what the simulation says of it has to begin.
type planted struct {
	seed uint64
	plant
	want string
}

// spoilOutcome is a server that finds something else once, in a block that another
// one has executed before it or, if it is to be first, that none has.
func spoilOutcome(first bool, spoil func(o *consensus.Outcome)) plant {
	return plant{outcome: func(s *server, h uint64, o *consensus.Outcome) {
		if h >= 20 && first == (h == s.f.head()+1) {
			spoil(o)
		}
	}}
}

// when does something once, at the first event at which it may; may answers a server
// for it, or none.
func when(may func(f *federation) *server, do func(f *federation, s *server)) plant {
	done := false
	return plant{before: func(f *federation) {
		if done {
			return
		}
		if s := may(f); s != nil {
			done = true
			do(f, s)
		}
	}}
}

// working is an honest server that has a state and takes part, from a height on.
func working(f *federation) *server {
	if f.head() < 20 {
		return nil
	}
	i := slices.IndexFunc(f.servers, func(s *server) bool {
		return s.up && s.m != nil && s.liar == nil && s.m.stage != closed && !s.m.key().IsZero() && !s.mute(s.m.height) && !s.m.late
	})
	if i < 0 {
		return nil
	}
	return f.servers[i]
}

// down is a server that is down and has executed blocks.
func down(f *federation) *server {
	i := slices.IndexFunc(f.servers, func(s *server) bool { return !s.up && s.disk.persist > 0 && s.liar == nil })
	if i < 0 {
		return nil
	}
	return f.servers[i]
}

// doubled lets an honest server send two votes that contradict each other, at every
// height until somebody sees both.
func doubled(f *federation) {
	s := working(f)
	if s == nil || len(s.m.votes) == 0 || s.m.votes[0].key.IsZero() {
		return
	}
	mine := s.m.votes[0]
	other := *mine
	if other.block = nil; mine.block == nil {
		other.block = f.newBlock(s.m, nil, nil)
	}
	for _, to := range f.servers {
		if to != s && to.up && to.m != nil && to.m.height == mine.height {
			to.onVote(s, mine)
			to.onVote(s, &other)
		}
	}
}

// hushed takes all evidence out of proposals that are under way.
func hushed(f *federation) {
	for _, s := range f.servers {
		if s.m == nil {
			continue
		}
		for _, rd := range s.m.rounds {
			if rd.proposal != nil {
				rd.proposal.block.evidence = nil
			}
		}
	}
}

// faults are what servers and the world must not do. Seeds are those in which there
// is an occasion early.
func faults() map[string]planted {
	flip := func(o *consensus.Outcome) { o.Root[0] ^= 1 }
	return map[string]planted{
		"a server finds another root":                 {1, spoilOutcome(false, flip), "I10: "},
		"all servers find a root that nothing caused": {1, spoilOutcome(true, flip), "I15: "},
		"a server finds other validators": {1, spoilOutcome(false, func(o *consensus.Outcome) {
			o.Validators = append(o.Validators, consensus.Validator{Key: [32]byte{1}, Power: 1})
		}), "I10: "},
		"a server comes back with an empty disk": {1, when(down, func(_ *federation, s *server) {
			s.disk.store = memstore.New()
		}), "I11: "},
		"a server acknowledges what is not in the history": {1, plant{answer: func(_ *server, a *replica.Answer) {
			if a.Receipt.Code.Burns() {
				a.Receipt.Number++
			}
		}}, "I11: "},
		"a server takes back what it acknowledged": {1, when(working, func(f *federation, _ *server) {
			f.clients.answered[0].receipt.Height++
		}), "I11: "},
		"an honest server votes twice": {1, when(working, func(_ *federation, s *server) {
			s.m.vote(prevote, nil)
			s.m.vote(prevote, nil)
		}), "I13: "},
		"commands are never passed on": {1, plant{before: func(f *federation) {
			for _, s := range f.servers {
				s.silent = f.calm
			}
		}}, "I14: "},
		"a height is decided twice":         {1, when(working, func(_ *federation, s *server) { s.disk.top++ }), "I21: "},
		"an honest server is barred":        {1, plant{before: doubled}, "I22: "},
		"evidence never comes into a block": {10, plant{before: hushed}, "I14: with all faults ended: I22: "},
	}
}

// Faults that no server may have are found out, by the invariant that they break.
func TestPlanted(t *testing.T) {
	keys := workload.NewKeys()
	for what, p := range faults() {
		t.Run(what, func(t *testing.T) {
			r, err := Run(Options{Seed: p.seed, Keys: keys, plant: p.plant})
			if err == nil {
				t.Fatalf("not caught after %d blocks", r.Blocks)
			}
			_, said, _ := strings.Cut(err.Error(), " s: ")
			for strings.HasPrefix(said, "server-") || strings.HasPrefix(said, "member-") {
				_, said, _ = strings.Cut(said, ": ")
			}
			if !strings.HasPrefix(said, p.want) {
				t.Errorf("want %s, got %v", p.want, err)
			}
			t.Log(said)
		})
	}
}
