package comet_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	"github.com/cometbft/cometbft/types"

	"souk/consensus"
	"souk/consensus/comet"
	"souk/identity"
	"souk/internal/ports"
)

// cluster is a set of servers of one chain on loopback.
type cluster struct {
	genesis comet.Genesis
	servers []server
	profile comet.Profile
	log     *slog.Logger
	voters  int // the first of the servers
	sync    comet.StateSync
	keep    uint64
}

type server struct {
	dir       string
	key, node identity.PrivateKey
	listen    string
}

func testKey(parts ...any) identity.PrivateKey {
	return identity.NewKey(sha256.Sum256([]byte(fmt.Sprint(parts...))))
}

// freePort returns a loopback address that nothing listens on, nor will but the
// test's own servers.
func freePort(tb testing.TB) string {
	tb.Helper()
	free, err := ports.Claim(1)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { ports.Release(free...) })
	return ports.Address(free[0])
}

func newCluster(tb testing.TB, n int) *cluster {
	tb.Helper()
	c := &cluster{
		genesis: comet.Genesis{
			ID: sha256.Sum256([]byte(tb.Name())), Contract: []byte("contract of " + tb.Name()),
			Time: time.Now().Add(-time.Minute).Truncate(time.Millisecond),
		},
		log: slog.New(slog.DiscardHandler), voters: n,
	}
	if os.Getenv("SOUK_TEST_LOG") != "" {
		c.log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	dir := tb.TempDir()
	for i := range n {
		c.servers = append(c.servers, server{
			dir: filepath.Join(dir, fmt.Sprint(i)), listen: freePort(tb),
			key: testKey("consensus", tb.Name(), i), node: testKey("node", tb.Name(), i),
		})
	}
	return c
}

func (c *cluster) validators() []consensus.Validator {
	var out []consensus.Validator
	for _, s := range c.servers[:c.voters] {
		out = append(out, consensus.Validator{Key: s.key.Public(), Power: 1_000_000})
	}
	return out
}

func (c *cluster) peers() []string {
	var out []string
	for _, s := range c.servers {
		out = append(out, comet.NodeID(s.node.Public())+"@"+s.listen)
	}
	return out
}

func (c *cluster) config(i int) comet.Config {
	s := c.servers[i]
	return comet.Config{
		Dir: s.dir, Genesis: c.genesis, Profile: c.profile, Key: s.key, NodeKey: s.node, Listen: s.listen,
		Peers: slices.Delete(c.peers(), i, i+1), Logger: c.log.With(slog.Int("server", i)),
		StateSync: c.sync, Keep: c.keep,
	}
}

// Open implements consensustest.Cluster.
func (c *cluster) Open(i int, app consensus.Application) (consensus.Engine, error) {
	return comet.Open(c.config(i), app)
}

// Validators implements consensustest.Cluster.
func (c *cluster) Validators() []consensus.Validator { return c.validators() }

// signStd signs as validators do.
func signStd(seed [32]byte, message []byte) []byte {
	return ed25519.Sign(ed25519.NewKeyFromSeed(seed[:]), message)
}

type typesVote = types.Vote

// signedVote is a prevote for a block, or for nil if block is zero.
func signedVote(tb testing.TB, k identity.PrivateKey, chain string, height int64, round int32, block byte) *types.Vote {
	tb.Helper()
	pb := vote(height, round, cmtproto.PrevoteType, block, 1_700_000_000)
	pb.ValidatorAddress = comet.CometKey(k.Public()).Address()
	pb.Signature = signStd(k.Seed(), types.VoteSignBytes(chain, pb))
	v, err := types.VoteFromProto(pb)
	if err != nil {
		tb.Fatal(err)
	}
	return v
}

// forge makes another block of the height of a light block, signed by the first
// servers of the cluster in the same round.
func forge(tb testing.TB, c *cluster, raw []byte, signers int) []byte {
	tb.Helper()
	b, next, err := comet.DecodeLight(comet.ChainID(c.genesis.ID), raw)
	if err != nil {
		tb.Fatal(err)
	}
	header := *b.Header
	header.DataHash = signStd(testKey("forge").Seed(), nil)[:32]
	part := signStd(testKey("part").Seed(), nil)[:32]
	id := types.BlockID{Hash: header.Hash(), PartSetHeader: types.PartSetHeader{Total: 1, Hash: part}}
	commit := &types.Commit{Height: b.Height, Round: b.Commit.Round, BlockID: id}
	for i, v := range b.ValidatorSet.Validators {
		sig := types.NewCommitSigAbsent()
		for _, s := range c.servers[:signers] {
			if string(comet.CometKey(s.key.Public()).Address()) != string(v.Address) {
				continue
			}
			pb := &cmtproto.Vote{
				Type: cmtproto.PrecommitType, Height: b.Height, Round: commit.Round, BlockID: id.ToProto(),
				Timestamp: header.Time, ValidatorAddress: v.Address, ValidatorIndex: int32(i),
			}
			sig = types.CommitSig{
				BlockIDFlag: types.BlockIDFlagCommit, ValidatorAddress: v.Address, Timestamp: header.Time,
				Signature: signStd(s.key.Seed(), types.VoteSignBytes(header.ChainID, pb)),
			}
		}
		commit.Signatures = append(commit.Signatures, sig)
	}
	out, err := comet.EncodeLight(&types.LightBlock{
		SignedHeader: &types.SignedHeader{Header: &header, Commit: commit}, ValidatorSet: b.ValidatorSet,
	}, next)
	if err != nil {
		tb.Fatal(err)
	}
	return out
}
