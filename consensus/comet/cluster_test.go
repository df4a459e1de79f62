package comet_test

import (
	"crypto/sha256"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"souk/consensus"
	"souk/consensus/comet"
	"souk/identity"
)

// cluster is a set of servers of one chain on loopback.
type cluster struct {
	genesis comet.Genesis
	servers []server
	profile comet.Profile
	log     *slog.Logger
}

type server struct {
	dir       string
	key, node identity.PrivateKey
	listen    string
	dead      bool // nobody is told of it
}

func testKey(parts ...any) identity.PrivateKey {
	return identity.NewKey(sha256.Sum256([]byte(fmt.Sprint(parts...))))
}

// freePort returns a loopback address that nothing listens on.
func freePort(tb testing.TB) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func newCluster(tb testing.TB, n int) *cluster {
	tb.Helper()
	c := &cluster{
		genesis: comet.Genesis{
			ID: sha256.Sum256([]byte(tb.Name())), Contract: []byte("contract of " + tb.Name()),
			Time: time.Now().Add(-time.Minute).Truncate(time.Millisecond),
		},
		log: slog.New(slog.DiscardHandler),
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
	for _, s := range c.servers {
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
		Peers: slices.Delete(c.peers(), i, i+1), Logger: c.log.With("server", i),
	}
}

// Open implements consensustest.Cluster.
func (c *cluster) Open(i int, app consensus.Application) (consensus.Engine, error) {
	return comet.Open(c.config(i), app)
}

// Validators implements consensustest.Cluster.
func (c *cluster) Validators() []consensus.Validator { return c.validators() }

