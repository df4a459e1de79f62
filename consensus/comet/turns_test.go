package comet_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/cometbft/cometbft/types"
	"pgregory.net/rapid"

	"souk/consensus/comet"
	"souk/consensus/consensustest"
	"souk/identity"
)

// C-20: each proposer of a round that came to nothing, once, and not the one who
// got the block through in the end.
func TestMissedTurns(t *testing.T) {
	set := setOf(founders)
	var order []identity.PublicKey // of proposers, round by round
	turn := set.Copy()
	for range 8 {
		order = append(order, identity.PublicKey(turn.GetProposer().PubKey.Bytes()))
		turn.IncrementProposerPriority(1)
	}
	for round, want := range map[int32][]identity.PublicKey{
		-1: nil, 0: nil, 1: order[:1], 2: order[:2], 3: order[:3],
		4: {order[1], order[2], order[3]}, // the first one came round again
		7: {order[0], order[1], order[2]},
	} {
		if got := comet.MissedTurns(set, round); !slices.Equal(got, want) {
			t.Errorf("round %d: %v, not %v", round, got, want)
		}
	}
	if got := comet.MissedTurns(set, 1<<30); len(got) != 4 {
		t.Errorf("very many rounds: %v", got)
	}
	if got := comet.MissedTurns(types.NewValidatorSet(nil), 3); got != nil {
		t.Errorf("no validators: %v", got)
	}
}

// C-21: a server's turns are missed while it is down; all replicas are told the
// same, those that replay the chain or begin from a snapshot too.
func TestMissedReplayed(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 5)
	c.voters = 4
	n := consensustest.NewNet(t, c, 4)
	dead := c.servers[3].key.Public().String()
	n.Stop(3)
	sent := 0
	send := func(count int) {
		for range count {
			n.Submit(sent%3, fmt.Sprintf("payload %d", sent))
			sent++
			n.WaitLog(sent)
		}
	}
	for turns := 0; turns < 4; {
		send(1)
		turns = 0
		for _, k := range n.Nodes[0].App.Missed() {
			if k == dead {
				turns++
			}
		}
	}
	n.Settle()
	for i, node := range n.Nodes[:3] { // on a busy machine the living may be late for a turn too
		want, err := node.Engine.(*comet.Engine).Turns(int64(node.App.Height()) - 1)
		if got := node.App.Missed(); err != nil || !slices.Equal(got, want) {
			t.Errorf("server %d was told %v, not %v: %v", i, got, want, err)
		}
	}

	t.Log("replay from the log: persistence was behind")
	for i := range 3 {
		n.Stop(i)
	}
	for i := range 3 {
		n.Start(i)
	}
	send(3)

	t.Log("catch up by blocks from peers")
	n.Start(3)
	n.WaitLog(sent)

	t.Log("begin from a snapshot")
	for _, node := range n.Nodes[:3] {
		node.App.Snapshot()
	}
	at := n.Nodes[0].App.Height()
	n.Stop(3)
	send(4)
	n.Start(3)
	c.sync = comet.StateSync{
		Enabled: true, Validators: c.validators(),
		Fetchers: []comet.Fetch{fetchFrom(n.Nodes[0]), fetchFrom(n.Nodes[1]), fetchFrom(n.Nodes[2])},
	}
	n.Nodes = append(n.Nodes, &consensustest.Node{Disk: &consensustest.Disk{}})
	c.servers[4].key = identity.PrivateKey{} // follows without voting
	n.Start(4)
	n.WaitLog(sent)
	if _, err := n.Nodes[4].LightBlock(at - 1); err == nil {
		t.Error("the joining server has replayed the chain")
	}
	n.Stop(2)
	before := len(n.Nodes[0].App.Missed())
	for len(n.Nodes[0].App.Missed()) < before+2 {
		send1(n, &sent)
	}
	n.WaitLog(sent)
	for i, node := range n.Running() {
		if !slices.Equal(node.App.Missed(), n.Nodes[0].App.Missed()) {
			t.Errorf("running server %d was told %v", i, node.App.Missed())
		}
	}
}

func send1(n *consensustest.Net, sent *int) {
	n.Submit(0, fmt.Sprintf("payload %d", *sent))
	*sent++
	n.WaitLog(*sent)
}

// C-11, C-22: a proposal says who missed their turns, no more and no less.
func TestProposalEntries(t *testing.T) {
	c := newCluster(t, 4)
	n := consensustest.NewNet(t, c, 4)
	n.Submit(0, "something")
	n.WaitLog(1)
	e := n.Nodes[0].Engine.(*comet.Engine)
	missed := comet.MissedTurns(e.Newest().LastValidators, 2)
	right := comet.TurnsEntry(missed...)
	p := comet.PayloadEntry([]byte("payload"))
	large := comet.PayloadEntry(make([]byte, 1<<20))
	for _, c := range []struct {
		name  string
		round int32
		txs   [][]byte
		ok    bool
	}{
		{"empty", 0, nil, true},
		{"payload", 0, [][]byte{p}, true},
		{"turns", 2, [][]byte{right, p}, true},
		{"turns left out", 2, [][]byte{p}, false},
		{"turns of one only", 2, [][]byte{comet.TurnsEntry(missed[0]), p}, false},
		{"turns in another order", 2, [][]byte{comet.TurnsEntry(missed[1], missed[0]), p}, false},
		{"turns of somebody else", 2, [][]byte{comet.TurnsEntry(missed[0], testKey("x").Public())}, false},
		{"turns that nobody missed", 0, [][]byte{right}, false},
		{"turns last", 2, [][]byte{p, right}, false},
		{"turns twice", 2, [][]byte{right, right}, false},
		{"torn list", 2, [][]byte{right[:40]}, false},
		{"empty entry", 0, [][]byte{{}}, false},
		{"empty payload", 0, [][]byte{{0}}, false},
		{"unknown kind", 0, [][]byte{{9, 9}}, false},
		{"four large payloads", 0, [][]byte{large, large, large, large}, true},
		{"more than fits", 0, [][]byte{large, large, large, large, p}, false},
		{"too large a payload", 0, [][]byte{comet.PayloadEntry(make([]byte, 1<<20+1))}, false},
		{"what the application refuses", 0, [][]byte{comet.PayloadEntry([]byte("bad:x"))}, false},
	} {
		if err := e.VerifyProposal(c.round, c.txs); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// The sets that a server finds on its disk have the turns that consensus had, also
// far from where a set was stored, and after changes of power.
func TestExactSets(t *testing.T) {
	c := newCluster(t, 4)
	n := consensustest.NewNet(t, c, 4)
	vs := c.validators()
	want := make(map[int64]string)
	e := n.Nodes[0].Engine.(*comet.Engine)
	sent := 0
	for i := range 60 {
		switch i {
		case 20:
			n.Submit(0, string(consensustest.Power(vs[1].Key, 1)))
			sent++
		case 40:
			n.Submit(0, string(consensustest.Power(vs[1].Key, 700_000)))
			sent++
		}
		n.Submit(i%4, fmt.Sprintf("payload %d", i))
		sent++
		n.WaitLog(sent)
		s := e.Newest()
		want[s.LastBlockHeight+1] = s.Validators.String()
		want[s.LastBlockHeight+2] = s.NextValidators.String()
	}
	for h, set := range want {
		got, err := e.StoredSet(h)
		if err != nil || got.String() != set {
			t.Fatalf("height %d: %v\n%v\nnot\n%v", h, err, got, set)
		}
	}
	if len(want) < 60 {
		t.Errorf("looked at %d heights only", len(want))
	}
}

// FuzzEntries: what a proposer sends is read or refused, and has one form.
func FuzzEntries(f *testing.F) {
	f.Add([]byte{0, 1}, []byte{1}, []byte{2, 3})
	f.Add(comet.TurnsEntry(founders[0].Public()), comet.PayloadEntry([]byte("x")), []byte{0, 0})
	f.Fuzz(func(t *testing.T, a, b, c []byte) {
		txs := [][]byte{a, b, c}
		again, err := comet.Reencode(txs)
		if err != nil {
			return
		}
		if len(again) > len(txs) || !slices.EqualFunc(again, txs, slices.Equal[[]byte]) && len(again) == len(txs) {
			t.Errorf("%x became %x", txs, again)
		}
	})
}

// Turns depend on nothing but the set and the round.
func TestMissedTurnsPure(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 12).Draw(t, "n")
		var vs []*types.Validator
		for i := range n {
			vs = append(vs, types.NewValidator(comet.CometKey(testKey(i).Public()), rapid.SampledFrom([]int64{1, 500_000, 1_000_000}).Draw(t, "power")))
		}
		set := types.NewValidatorSet(vs)
		if k := rapid.Int32Range(0, 50).Draw(t, "turns"); k > 0 {
			set.IncrementProposerPriority(k)
		}
		before := set.String()
		round := rapid.Int32Range(0, 20).Draw(t, "round")
		a, b := comet.MissedTurns(set, round), comet.MissedTurns(set.Copy(), round)
		if !slices.Equal(a, b) || set.String() != before {
			t.Fatal("not pure")
		}
		sorted := slices.Clone(a)
		slices.SortFunc(sorted, func(a, b identity.PublicKey) int { return slices.Compare(a[:], b[:]) })
		if len(slices.Compact(sorted)) != len(a) || len(a) > n || len(a) > int(round) {
			t.Fatalf("%d missed, of %d, in %d rounds", len(a), n, round)
		}
	})
}
