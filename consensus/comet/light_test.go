package comet_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	cmtversion "github.com/cometbft/cometbft/proto/tendermint/version"
	"github.com/cometbft/cometbft/types"
	"github.com/cometbft/cometbft/version"

	"souk/consensus"
	"souk/consensus/comet"
	"souk/consensus/consensustest"
	"souk/identity"
	"souk/merkle"
)

// The people of these tests: servers of one chain, first alice to dave, and later
// erin to heidi in their place.
var (
	serverID = merkle.Hash(sha256.Sum256([]byte("light")))
	founders = []identity.PrivateKey{testKey("alice"), testKey("bob"), testKey("carol"), testKey("dave")}
	heirs    = []identity.PrivateKey{testKey("erin"), testKey("frank"), testKey("grace"), testKey("heidi")}
)

func validatorsOf(keys []identity.PrivateKey) []consensus.Validator {
	var out []consensus.Validator
	for _, k := range keys {
		out = append(out, consensus.Validator{Key: k.Public(), Power: 1_000_000})
	}
	return out
}

func setOf(keys []identity.PrivateKey) *types.ValidatorSet {
	var vs []*types.Validator
	for _, k := range keys {
		vs = append(vs, types.NewValidator(comet.CometKey(k.Public()), 1_000_000))
	}
	return types.NewValidatorSet(vs)
}

// ledger is a chain of signed headers made by keys of the test's choice.
type ledger struct {
	start   time.Time
	every   time.Duration
	members func(height int64) []identity.PrivateKey
	// signers are who signs; nil: all members.
	signers func(height int64) []identity.PrivateKey
	mark    byte // makes forks differ
	from    int64
	base    *ledger // below from, the same as this one
	blocks  map[int64]*types.LightBlock
	round   int32
	content []byte // hash of what is in every block; nil: any
}

func (l *ledger) data(fill func(string) []byte) []byte {
	if l.content != nil {
		return l.content
	}
	return fill("data")
}

func (l *ledger) block(t testing.TB, height int64) *types.LightBlock {
	t.Helper()
	if l.base != nil && height < l.from {
		return l.base.block(t, height)
	}
	if b := l.blocks[height]; b != nil {
		return b
	}
	set, next := setOf(l.members(height)), setOf(l.members(height+1))
	fill := func(s string) []byte {
		h := sha256.Sum256(fmt.Appendf(nil, "%s %d %d", s, height, l.mark))
		return h[:]
	}
	header := &types.Header{
		Version: cmtversion.Consensus{Block: version.BlockProtocol}, ChainID: comet.ChainID(serverID),
		Height: height, Time: l.start.Add(time.Duration(height) * l.every).UTC(), LastCommitHash: fill("commit"), DataHash: l.data(fill),
		ValidatorsHash: set.Hash(), NextValidatorsHash: next.Hash(), ConsensusHash: fill("params"), AppHash: fill("app"),
		LastResultsHash: fill("results"), EvidenceHash: fill("evidence"), ProposerAddress: set.Validators[0].Address,
	}
	if height > 1 {
		header.LastBlockID = l.id(l.block(t, height-1))
	}
	b := &types.LightBlock{SignedHeader: &types.SignedHeader{Header: header}, ValidatorSet: set}
	b.Commit = &types.Commit{Height: height, Round: l.round, BlockID: l.id(b)}
	signers := l.members(height)
	if l.signers != nil {
		signers = l.signers(height)
	}
	for i, v := range set.Validators {
		sig := types.NewCommitSigAbsent()
		for _, k := range signers {
			if !bytes.Equal(comet.CometKey(k.Public()).Address(), v.Address) {
				continue
			}
			vote := &cmtproto.Vote{
				Type: cmtproto.PrecommitType, Height: height, Round: l.round, BlockID: b.Commit.BlockID.ToProto(),
				Timestamp: header.Time, ValidatorAddress: v.Address, ValidatorIndex: int32(i),
			}
			seed := k.Seed()
			sig = types.CommitSig{
				BlockIDFlag: types.BlockIDFlagCommit, ValidatorAddress: v.Address, Timestamp: header.Time,
				Signature: signStd(seed, types.VoteSignBytes(header.ChainID, vote)),
			}
		}
		b.Commit.Signatures = append(b.Commit.Signatures, sig)
	}
	if l.blocks == nil {
		l.blocks = make(map[int64]*types.LightBlock)
	}
	l.blocks[height] = b
	return b
}

func (*ledger) id(b *types.LightBlock) types.BlockID {
	h := sha256.Sum256(b.Hash())
	return types.BlockID{Hash: b.Hash(), PartSetHeader: types.PartSetHeader{Total: 1, Hash: h[:]}}
}

func (l *ledger) raw(t testing.TB, height int64) []byte {
	t.Helper()
	members := l.members
	if l.base != nil && height+1 < l.from {
		members = l.base.members
	}
	raw, err := comet.EncodeLight(l.block(t, height), setOf(members(height+1)))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func (l *ledger) hash(t testing.TB, height int64) merkle.Hash {
	return merkle.Hash(l.block(t, height).Hash())
}

var errDown = errors.New("no answer")

// source serves a ledger up to a height.
func (l *ledger) source(t testing.TB, name string, head int64) comet.Source {
	for h := range head {
		l.block(t, h+1) // made here, since fetches run beside each other
	}
	return comet.Source{Name: name, Fetch: func(_ context.Context, height uint64) ([]byte, error) {
		if height == 0 {
			height = uint64(head)
		}
		if height > uint64(head) {
			return nil, errDown
		}
		return l.raw(t, int64(height)), nil
	}}
}

func down(name string) comet.Source {
	return comet.Source{Name: name, Fetch: func(context.Context, uint64) ([]byte, error) { return nil, errDown }}
}

func always(keys []identity.PrivateKey) func(int64) []identity.PrivateKey {
	return func(int64) []identity.PrivateKey { return keys }
}

// honest is a ledger whose members are replaced, one by one, from height 20 on.
func honest(start time.Time, every time.Duration) *ledger {
	return &ledger{start: start, every: every, members: func(h int64) []identity.PrivateKey {
		out := slices.Clone(founders)
		for i := range heirs {
			if h >= 20+10*int64(i) {
				out[i] = heirs[i]
			}
		}
		return out
	}}
}

func lightConfig(sources ...comet.Source) comet.LightConfig {
	return comet.LightConfig{ID: serverID, Trust: comet.Trust{Validators: validatorsOf(founders)}, Sources: sources}
}

func client(t testing.TB, cfg comet.LightConfig) *comet.LightClient {
	t.Helper()
	c, err := comet.NewLightClient(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// C-60, C-61: from the genesis to the newest block, past the replacement of all members.
func TestLightFollows(t *testing.T) {
	l := honest(time.Now().Add(-time.Hour), time.Second)
	c := client(t, lightConfig(l.source(t, "1", 100), l.source(t, "2", 100), l.source(t, "3", 100)))
	got, err := c.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b := l.block(t, 100)
	if got.Height != 100 || got.Hash != l.hash(t, 100) || !bytes.Equal(got.Root[:], b.AppHash) || !got.Time.Equal(b.Time) {
		t.Errorf("verified %+v", got)
	}
	for _, h := range []uint64{33, 1, 5, 99} {
		if got, err := c.At(t.Context(), h); err != nil || got.Hash != l.hash(t, int64(h)) {
			t.Errorf("height %d: %+v, %v", h, got, err)
		}
	}
	if len(c.Faulty()) > 0 {
		t.Errorf("blames %v", c.Faulty())
	}
	saved, err := c.Save()
	if err != nil {
		t.Fatal(err)
	}
	cfg := lightConfig(l.source(t, "1", 120), l.source(t, "2", 120))
	cfg.Saved, cfg.Trust = saved, comet.Trust{}
	later := client(t, cfg)
	if got, err := later.Head(t.Context()); err != nil || got.Height != 120 {
		t.Errorf("continued: %+v, %v", got, err)
	}
	if got, err := later.At(t.Context(), 80); err != nil || got.Hash != l.hash(t, 80) { // below all that it trusts
		t.Errorf("backwards: %+v, %v", got, err)
	}
	if _, err := later.At(t.Context(), 500); !errors.Is(err, comet.ErrUnverified) {
		t.Errorf("height that nobody has: %v", err)
	}
}

// C-67: what the newest signed block is, one honest source suffices to tell.
func TestLightNewest(t *testing.T) {
	start := time.Now().Add(-time.Hour)
	l := honest(start, time.Second)
	forged := &ledger{
		start: start, every: time.Second, members: l.members, mark: 1, base: l, from: 50,
		signers: func(int64) []identity.PrivateKey { return founders[:1] },
	}
	for name, sources := range map[string][]comet.Source{
		"the other is behind":  {l.source(t, "stale", 40), l.source(t, "a", 90)},
		"the other has forged": {forged.source(t, "liar", 99), l.source(t, "a", 90)},
		"the others are down":  {l.source(t, "a", 90), down("b"), down("c")},
	} {
		cfg := lightConfig(l.source(t, "1", 60), l.source(t, "2", 60))
		first := client(t, cfg)
		if _, err := first.Head(t.Context()); err != nil {
			t.Fatal(err)
		}
		saved, err := first.Save()
		if err != nil {
			t.Fatal(err)
		}
		cfg = lightConfig(sources...)
		cfg.Saved = saved
		c := client(t, cfg)
		if got, err := c.Newest(t.Context()); err != nil || got.Height != 90 || got.Hash != l.hash(t, 90) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		if got := c.Trusted(); got.Height != 60 {
			t.Errorf("%s: believes %d, which nobody has confirmed", name, got.Height)
		}
		if was, err := comet.ReadSaved(serverID, saved); err != nil || was.Height != 60 {
			t.Errorf("%s: saved %+v, %v", name, was, err)
		}
	}
	cfg := lightConfig(l.source(t, "1", 60), l.source(t, "2", 60))
	c := client(t, cfg)
	if _, err := c.Head(t.Context()); err != nil {
		t.Fatal(err)
	}
	saved, _ := c.Save()
	cfg = lightConfig(l.source(t, "1", 30), l.source(t, "2", 30))
	cfg.Saved = saved
	if got, err := client(t, cfg).Newest(t.Context()); err != nil || got.Height != 60 {
		t.Errorf("all are behind what was verified: %+v, %v", got, err)
	}
	cfg.Sources = []comet.Source{down("1"), down("2")}
	if got, err := client(t, cfg).Newest(t.Context()); !errors.Is(err, comet.ErrUnverified) {
		t.Errorf("nobody answers: %+v, %v", got, err)
	}
	if _, err := comet.ReadSaved(merkle.Hash{}, saved); err == nil {
		t.Error("what was saved for another virtual server was read")
	}
}

// C-62: a source that lies is found out and named, first or not.
func TestLightOneLies(t *testing.T) {
	start := time.Now().Add(-time.Hour)
	l := honest(start, time.Second)
	stolen := func(int64) []identity.PrivateKey { return founders[:1] } // one key of four signs
	forged := &ledger{start: start, every: time.Second, members: l.members, signers: stolen, mark: 1, base: l, from: 50}
	own := &ledger{start: start, every: time.Second, members: always(founders[:1]), mark: 2, base: l, from: 50}
	broken := comet.Source{Name: "liar", Fetch: func(context.Context, uint64) ([]byte, error) { return []byte("nonsense"), nil }}
	other := comet.Source{Name: "liar", Fetch: func(context.Context, uint64) ([]byte, error) { return l.raw(t, 2), nil }}
	for name, liar := range map[string]comet.Source{
		"too few sign": forged.source(t, "liar", 90), "its own validators": own.source(t, "liar", 90),
		"nonsense": broken, "another height": other,
	} {
		t.Run(name, func(t *testing.T) {
			for _, sources := range [][]comet.Source{
				{liar, l.source(t, "a", 90), l.source(t, "b", 90)},
				{l.source(t, "a", 90), liar, l.source(t, "b", 90)},
			} {
				c := client(t, lightConfig(sources...))
				got, err := c.Head(t.Context())
				if err != nil || got.Hash != l.hash(t, 90) {
					t.Fatalf("head: %+v, %v", got, err)
				}
				if got, err = c.At(t.Context(), 70); err != nil || got.Hash != l.hash(t, 70) {
					t.Fatalf("height 70: %+v, %v", got, err)
				}
				if _, ok := c.Faulty()["liar"]; !ok || len(c.Faulty()) != 1 {
					t.Errorf("blames %v", c.Faulty())
				}
			}
		})
	}
	t.Run("only one honest", func(t *testing.T) {
		c := client(t, lightConfig(l.source(t, "a", 90), l.source(t, "b", 40)))
		if _, err := c.At(t.Context(), 60); !errors.Is(err, comet.ErrUnconfirmed) {
			t.Errorf("believed one source: %v", err)
		}
	})
	t.Run("nobody confirms", func(t *testing.T) {
		if _, err := comet.NewLightClient(t.Context(), lightConfig(l.source(t, "a", 90), down("b"))); !errors.Is(err, comet.ErrUnconfirmed) {
			t.Errorf("believed one source: %v", err)
		}
	})
	t.Run("alone", func(t *testing.T) {
		cfg := lightConfig(l.source(t, "a", 90))
		if _, err := comet.NewLightClient(t.Context(), cfg); !errors.Is(err, comet.ErrConfig) {
			t.Errorf("one source: %v", err)
		}
		cfg.Alone = true
		if got, err := client(t, cfg).Head(t.Context()); err != nil || got.Height != 90 {
			t.Errorf("alone: %+v, %v", got, err)
		}
	})
}

// C-63: two blocks of one height, both signed by enough members, stop the client,
// and name who signed both.
func TestLightFork(t *testing.T) {
	start := time.Now().Add(-time.Hour)
	l := honest(start, time.Second)
	forked := &ledger{start: start, every: time.Second, members: l.members, mark: 1, base: l, from: 50}
	c := client(t, lightConfig(l.source(t, "a", 90), forked.source(t, "b", 90), l.source(t, "c", 90)))
	_, err := c.Head(t.Context())
	var fork *comet.ForkError
	if !errors.As(err, &fork) || !errors.Is(err, comet.ErrFork) {
		t.Fatalf("forked chain: %v", err)
	}
	for _, raw := range fork.Blocks {
		if len(raw) == 0 {
			t.Error("no evidence")
		}
	}
	if got := c.Trusted(); got.Height != 1 {
		t.Errorf("trusts %+v", got)
	}
	if _, err := c.At(t.Context(), 10); err != nil {
		t.Errorf("before the fork: %v", err)
	}
}

// C-64: the keys of members who were removed are worth nothing.
func TestLightRemovedMembers(t *testing.T) {
	start := time.Now().Add(-time.Hour)
	l := honest(start, time.Second)
	forged := &ledger{start: start, every: time.Second, members: always(founders), mark: 1, base: l, from: 15}
	t.Run("client knows the new members", func(t *testing.T) {
		cfg := lightConfig(forged.source(t, "x", 120), forged.source(t, "y", 120))
		cfg.Trust = comet.Trust{Height: 100, Hash: l.hash(t, 100)}
		cfg.Sources = []comet.Source{l.source(t, "a", 100), l.source(t, "b", 100)}
		saved, err := client(t, cfg).Save()
		if err != nil {
			t.Fatal(err)
		}
		cfg.Saved = saved
		cfg.Sources = []comet.Source{forged.source(t, "x", 120), forged.source(t, "y", 120)} // all are bought
		if _, err := client(t, cfg).Head(t.Context()); !errors.Is(err, comet.ErrUnverified) {
			t.Errorf("believed former members: %v", err)
		}
	})
	t.Run("client has slept since", func(t *testing.T) {
		// By the headers alone, both chains are right; one honest source is enough.
		c := client(t, lightConfig(forged.source(t, "x", 100), forged.source(t, "y", 100), l.source(t, "a", 100)))
		if _, err := c.Head(t.Context()); !errors.Is(err, comet.ErrFork) {
			t.Errorf("believed former members: %v", err)
		}
	})
	t.Run("client has slept for too long", func(t *testing.T) {
		cfg := lightConfig(forged.source(t, "x", 100), forged.source(t, "y", 100))
		c := client(t, cfg)
		saved, err := c.Save()
		if err != nil {
			t.Fatal(err)
		}
		cfg.Saved = saved
		cfg.Now = func() time.Time { return start.Add(comet.TrustPeriod + 2*time.Second) }
		if _, err := client(t, cfg).Head(t.Context()); !errors.Is(err, comet.ErrExpired) {
			t.Errorf("believed after the trust period: %v", err)
		}
	})
}

// C-65: trust that has expired is renewed by a checkpoint that two members confirm.
func TestLightExpired(t *testing.T) {
	start := time.Now().Add(-40 * 24 * time.Hour)
	l := honest(start, 8*time.Hour) // height 120 is now
	a, b := l.source(t, "a", 119), l.source(t, "b", 119)
	if _, err := comet.NewLightClient(t.Context(), lightConfig(a, b)); !errors.Is(err, comet.ErrExpired) {
		t.Fatalf("genesis of 40 days ago: %v", err)
	}
	cfg := lightConfig(a, b)
	cfg.Now = func() time.Time { return start.Add(24 * time.Hour) }
	c := client(t, cfg)
	cfg.Saved, _ = c.Save()
	cfg.Now = nil
	c = client(t, cfg)
	if _, err := c.Head(t.Context()); !errors.Is(err, comet.ErrExpired) {
		t.Fatalf("trust of 39 days ago: %v", err)
	}
	claims := c.Claims(t.Context())
	if len(claims) != 2 || claims[0].Hash != l.hash(t, 119) || claims[1].Source != "b" {
		t.Errorf("claims: %+v", claims)
	}
	if err := c.Reset(t.Context(), 10, l.hash(t, 10)); !errors.Is(err, comet.ErrExpired) {
		t.Errorf("checkpoint that has expired itself: %v", err)
	}
	if err := c.Reset(t.Context(), 119, l.hash(t, 118)); !errors.Is(err, comet.ErrCheckpoint) {
		t.Errorf("wrong checkpoint: %v", err)
	}
	if err := c.Reset(t.Context(), 110, l.hash(t, 110)); err != nil {
		t.Fatal(err)
	}
	if got, err := c.Head(t.Context()); err != nil || got.Height != 119 {
		t.Errorf("after reset: %+v, %v", got, err)
	}
	cfg = lightConfig(a, down("b"), down("c"))
	cfg.Trust = comet.Trust{Height: 110, Hash: l.hash(t, 110)}
	if _, err := comet.NewLightClient(t.Context(), cfg); !errors.Is(err, comet.ErrCheckpoint) {
		t.Errorf("checkpoint that one member confirms: %v", err)
	}
	forged := &ledger{start: start, every: 8 * time.Hour, members: l.members, signers: always(founders[:2]), mark: 1, base: l, from: 100}
	cfg = lightConfig(a, forged.source(t, "x", 119), forged.source(t, "y", 119))
	cfg.Trust = comet.Trust{Height: 110, Hash: forged.hash(t, 110)}
	if _, err := comet.NewLightClient(t.Context(), cfg); !errors.Is(err, comet.ErrCheckpoint) {
		t.Errorf("checkpoint that too few have signed: %v", err)
	}
}

// A server that has not heard of a block yet is asked again.
func TestLightWaits(t *testing.T) {
	l := honest(time.Now().Add(-time.Hour), time.Second)
	fast, slow := l.source(t, "fast", 50), l.source(t, "slow", 50)
	var asked atomic.Int32
	behind := comet.Source{Name: "slow", Fetch: func(ctx context.Context, h uint64) ([]byte, error) {
		if h > 49 && asked.Add(1) < 4 {
			return nil, errDown
		}
		return slow.Fetch(ctx, h)
	}}
	c := client(t, lightConfig(fast, behind))
	if got, err := c.At(t.Context(), 50); err != nil || got.Height != 50 || asked.Load() < 4 {
		t.Errorf("height 50: %+v, %v, asked %d times", got, err, asked.Load())
	}
}

// Trust may begin while the first block is still under way, but nobody waits long.
func TestLightFirstBlock(t *testing.T) {
	l := honest(time.Now().Add(-time.Hour), time.Second)
	var asked atomic.Int32
	young := func(name string) comet.Source {
		whole := l.source(t, name, 3)
		return comet.Source{Name: name, Fetch: func(ctx context.Context, h uint64) ([]byte, error) {
			if asked.Add(1) < 7 {
				return nil, errDown
			}
			return whole.Fetch(ctx, h)
		}}
	}
	if got, err := client(t, lightConfig(young("a"), young("b"))).At(t.Context(), 2); err != nil || got.Height != 2 {
		t.Errorf("%+v, %v", got, err)
	}
	began := time.Now()
	if _, err := comet.NewLightClient(t.Context(), lightConfig(down("a"), down("b"))); !errors.Is(err, comet.ErrUnverified) {
		t.Errorf("nobody has a first block: %v", err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("gave up after %v", took)
	}
}

func TestVerifyLight(t *testing.T) {
	l := honest(time.Now().Add(-time.Hour), time.Second)
	now := time.Now()
	for _, c := range []struct {
		name     string
		from, to []byte
		id       merkle.Hash
		now      time.Time
		want     error
	}{
		{"next", l.raw(t, 1), l.raw(t, 2), serverID, now, nil},
		{"far", l.raw(t, 1), l.raw(t, 35), serverID, now, nil},
		{"too far", l.raw(t, 1), l.raw(t, 99), serverID, now, comet.ErrUnverified},
		{"back", l.raw(t, 2), l.raw(t, 1), serverID, now, comet.ErrUnverified},
		{"expired", l.raw(t, 1), l.raw(t, 2), serverID, now.Add(comet.TrustPeriod), comet.ErrExpired},
		{"from the future", l.raw(t, 1), l.raw(t, 2), serverID, now.Add(-2 * time.Hour), comet.ErrUnverified},
		{"another chain", l.raw(t, 1), l.raw(t, 2), merkle.Hash{1}, now, comet.ErrLightBlock},
		{"cut short", l.raw(t, 1), l.raw(t, 2)[:100], serverID, now, comet.ErrLightBlock},
		{"too long", l.raw(t, 1), append(l.raw(t, 2), 0), serverID, now, comet.ErrLightBlock},
	} {
		got, err := comet.VerifyLight(c.id, c.from, c.to, c.now)
		if !errors.Is(err, c.want) || err == nil && got.Height < 2 {
			t.Errorf("%s: %+v, %v", c.name, got, err)
		}
	}
}

// FuzzLight: no bytes make a light client panic, and what it takes has one encoding.
func FuzzLight(f *testing.F) {
	l := honest(time.Unix(1_700_000_000, 0), time.Second)
	good := l.raw(f, 1)
	f.Add(good)
	f.Add(l.raw(f, 25))
	f.Add(binary.AppendUvarint(nil, 1<<40))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		_, _ = comet.VerifyLight(serverID, good, raw, time.Unix(1_700_000_100, 0))
		_, _ = comet.VerifyLight(serverID, raw, good, time.Unix(1_700_000_100, 0))
		again, err := comet.ReencodeLight(comet.ChainID(serverID), raw)
		if err != nil {
			return
		}
		if third, err := comet.ReencodeLight(comet.ChainID(serverID), again); err != nil || !bytes.Equal(third, again) {
			t.Errorf("encoded differently: %v", err)
		}
	})
}

// A light client against real engines: the root it proves is the application's.
func TestLightEngines(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 4)
	n := consensustest.NewNet(t, c, 4)
	for i := range 20 {
		n.Submit(i%4, fmt.Sprintf("payload %d", i))
	}
	n.WaitLog(20)
	cfg := comet.LightConfig{ID: c.genesis.ID, Trust: comet.Trust{Validators: c.validators()}}
	for i, node := range n.Nodes {
		cfg.Sources = append(cfg.Sources, comet.Source{Name: fmt.Sprint(i), Fetch: fetchFrom(node)})
	}
	lc := client(t, cfg)
	n.Wait("the block that proves", func() bool {
		got, err := lc.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return got.Root == n.Nodes[2].App.Root()
	})
	vs := c.validators()
	n.Submit(0, string(consensustest.Power(vs[3].Key, 1)))
	n.WaitLog(21)
	n.Submit(0, "more")
	n.WaitLog(22)
	if got, err := lc.Head(t.Context()); err != nil || got.Height < 3 {
		t.Errorf("after a change of powers: %+v, %v", got, err)
	}
	if _, err := n.Nodes[0].LightBlock(1_000_000); !errors.Is(err, comet.ErrNoBlock) {
		t.Errorf("height of the future: %v", err)
	}
	if len(lc.Faulty()) > 0 {
		t.Errorf("blames %v", lc.Faulty())
	}
}

func fetchFrom(node *consensustest.Node) comet.Fetch {
	return func(_ context.Context, height uint64) ([]byte, error) { return node.LightBlock(height) }
}
