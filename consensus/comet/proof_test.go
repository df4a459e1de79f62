package comet_test

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/cometbft/cometbft/types"

	"souk/consensus"
	"souk/consensus/comet"
	"souk/consensus/consensustest"
	"souk/identity"
	"souk/merkle"
)

// proofOf puts light blocks and a block's entries together as Prove does.
func proofOf(path, entries [][]byte) []byte {
	out := binary.AppendUvarint(nil, uint64(len(path)))
	for _, raw := range path {
		out = append(binary.AppendUvarint(out, uint64(len(raw))), raw...)
	}
	out = binary.AppendUvarint(out, uint64(len(entries)))
	for _, e := range entries {
		out = append(binary.AppendUvarint(out, uint64(len(e))), e...)
	}
	return out
}

// relay is a chain whose members are replaced one by one, at heights 10, 20, 30 and 40.
func relay(content [][]byte) *ledger {
	l := honest(time.Now().AddDate(-2, 0, 0), time.Minute) // trust periods have nothing to do with it
	l.members = func(height int64) []identity.PrivateKey {
		gone := int(min(height/10, 4))
		return slices.Concat(founders[gone:], heirs[:gone])
	}
	txs := make(types.Txs, len(content))
	for i, c := range content {
		txs[i] = c
	}
	l.content = txs.Hash()
	return l
}

// C-90: a block is proven by those whom the founding names, and by those whom they name.
func TestProof(t *testing.T) {
	payload := []byte("\x00clock")
	content := [][]byte{payload}
	l := relay(content)
	path := func(l *ledger, heights ...int64) (all [][]byte) {
		for _, h := range heights {
			all = append(all, l.raw(t, h))
		}
		return all
	}
	vs := validatorsOf(founders)
	good := path(l, 9, 19, 29, 39, 50)
	p, err := comet.VerifyProof(serverID, vs, proofOf(good, content))
	if err != nil {
		t.Fatal(err)
	}
	if b := l.block(t, 50); p.Block.Height != 50 || p.Root != merkle.Hash(b.AppHash) || !p.Time.Equal(b.Time) || len(p.Signers) != 4 ||
		len(p.Block.Payloads) != 1 || string(p.Block.Payloads[0]) != "clock" {
		t.Errorf("%+v", p)
	}
	// Three of four remain from one step to the next.
	if _, err := comet.VerifyProof(serverID, vs, proofOf(path(l, 15, 25, 35, 50), content)); err != nil {
		t.Error(err)
	}
	liars := relay(content)
	liars.mark, liars.members = 1, func(int64) []identity.PrivateKey { return heirs }
	half := relay(content)
	half.mark, half.signers = 2, func(int64) []identity.PrivateKey { return slices.Concat(founders[:2], heirs) }
	torn := slices.Clone(proofOf(good, content))
	torn = torn[:len(torn)-1]
	for name, c := range map[string]struct {
		validators []consensus.Validator
		id         merkle.Hash
		proof      []byte
	}{
		"two were replaced at once":       {vs, serverID, proofOf(path(l, 9, 25, 50), content)},
		"none of the founders has signed": {vs, serverID, proofOf(path(l, 50), content)},
		"other people sign":               {vs, serverID, proofOf(path(liars, 1), content)},
		"other people go on":              {vs, serverID, proofOf(append(path(l, 9, 19), path(liars, 30)...), content)},
		"half of them sign":               {vs, serverID, proofOf(path(half, 9), content)},
		"out of order":                    {vs, serverID, proofOf(path(l, 15, 9), content)},
		"another virtual server":          {vs, merkle.Hash(sha256.Sum256([]byte("other"))), proofOf(good, content)},
		"another founding":                {validatorsOf(heirs), serverID, proofOf(good, content)},
		"another content":                 {vs, serverID, proofOf(good, [][]byte{[]byte("\x00other")})},
		"less content":                    {vs, serverID, proofOf(good, nil)},
		"content of no block":             {vs, serverID, proofOf(path(relay([][]byte{{7}}), 9), [][]byte{{7}})},
		"no light block":                  {vs, serverID, proofOf(nil, content)},
		"cut":                             {vs, serverID, torn},
		"something behind":                {vs, serverID, append(proofOf(good, content), 0)},
		"nothing":                         {vs, serverID, nil},
	} {
		if _, err := comet.VerifyProof(c.id, c.validators, c.proof); !errors.Is(err, comet.ErrProof) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// C-90: what is archived leads to any block, also when what proofs do not need was
// forgotten, and to a server that has joined and asks for it.
func TestProofPath(t *testing.T) {
	content := [][]byte{[]byte("\x00clock")}
	l := relay(content)
	powers := l.members
	l.members = func(height int64) []identity.PrivateKey { // one is away and back again, time after time
		all := powers(height)
		if height > 50 && height%4 >= 2 {
			return all[:3]
		}
		return all
	}
	s := comet.OpenArchive(t, l.raw(t, 1))
	var changes []int64
	for h := int64(2); h <= 200; h++ {
		if setOf(l.members(h-1)).String() != setOf(l.members(h)).String() {
			changes = append(changes, h-1, h)
		}
	}
	for _, h := range slices.Compact(changes) {
		s.Add(t, h, l.raw(t, h))
	}
	vs := validatorsOf(founders)
	steps := func(target int64) int {
		t.Helper()
		path, err := s.Path(serverID, vs, l.raw(t, target))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := comet.VerifyProof(serverID, vs, proofOf(path, content)); err != nil {
			t.Fatal(err)
		}
		return len(path)
	}
	before, all := steps(201), s.Len(t)
	s.Thin(t, comet.ChainID(serverID), l.block(t, 150).Time)
	if left := s.Len(t); left > all*2/5 || left < 50/2 {
		t.Errorf("of %d light blocks %d are left", all, left)
	}
	if after := steps(201); after > before+1 {
		t.Errorf("%d steps before, %d after", before, after)
	}
	for h := range int64(4) {
		steps(198 + h)
	}
	left := s.Len(t)
	s.Thin(t, comet.ChainID(serverID), time.Now())
	if s.Len(t) >= left {
		t.Errorf("%d light blocks left of %d", s.Len(t), left)
	}
	steps(201)
	path, err := s.Fetched(t.Context(), serverID, vs, l.raw(t, 201))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := comet.VerifyProof(serverID, vs, proofOf(path, content)); err != nil {
		t.Error(err)
	}
}

// C-90: a stopped server proves its newest block, one that joined by a snapshot too.
func TestProve(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 5)
	c.voters = 4
	n := consensustest.NewNet(t, c, 4)
	for i := range 12 {
		n.Submit(i%4, fmt.Sprintf("payload %d", i))
		n.WaitLog(i + 1)
	}
	dir, engine := c.servers[0].dir, n.Nodes[0].Engine
	n.Stop(0)
	height := engine.Status().Height
	raw, err := comet.Prove(dir, c.genesis.ID, c.validators(), height)
	if err != nil {
		t.Fatal(err)
	}
	p, err := comet.VerifyProof(c.genesis.ID, c.validators(), raw)
	if err != nil || p.Block.Height != height || len(p.Signers) < 3 {
		t.Errorf("%+v, %v", p, err)
	}
	if _, err := comet.Prove(dir, c.genesis.ID, c.validators(), height-1); !errors.Is(err, comet.ErrNoProof) {
		t.Errorf("a block that is not the newest: %v", err)
	}
	if _, err := comet.Prove(t.TempDir(), c.genesis.ID, c.validators(), 1); !errors.Is(err, comet.ErrNoProof) {
		t.Errorf("no block: %v", err)
	}
}
