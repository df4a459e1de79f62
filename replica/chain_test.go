package replica_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"souk/asset"
	"souk/consensus"
	"souk/exchange"
	"souk/exchange/exchangetest"
	"souk/identity"
	"souk/merkle"
	"souk/replica"
	"souk/store/memstore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// chain is a deterministic engine for some replicas: the test says when there is
// a block and who proposes it.
type chain struct {
	tb       testing.TB
	founding *exchange.Founding
	config   replica.Config // what new nodes are opened with
	world    *exchangetest.World
	nodes    []*node
	seq      uint64
	blocks   []consensus.Block // by height-1
	roots    []merkle.Hash     // after each, as the model says
	result   *exchange.Result  // of the last, as the model says
	retained uint64            // what the last Commit answered
	bare     bool              // blocks are not applied to the model

	mu   sync.Mutex
	pool [][]byte
	drop atomic.Bool // payloads that are submitted are lost
}

// node is one server of a chain.
type node struct {
	*replica.Replica
	chain *chain
	index int
	store *memstore.Store
	tear  *rand.Rand // crash in the middle of the next block
}

// newChain founds a chain of servers whose replicas are opened with config.
func newChain(tb testing.TB, servers int, config replica.Config) *chain {
	return chainOf(tb, exchangetest.Founding(servers), config)
}

func chainOf(tb testing.TB, founding *exchange.Founding, config replica.Config) *chain {
	c := &chain{tb: tb, founding: founding, config: config}
	c.world = exchangetest.From(c.founding)
	for i := range founding.Members {
		n := &node{chain: c, index: i, store: memstore.New()}
		c.nodes = append(c.nodes, n)
		n.open()
		if _, err := n.Found(consensus.Founding{Contract: c.founding.Append(nil)}); err != nil {
			tb.Fatal(err)
		}
	}
	tb.Cleanup(func() {
		for _, n := range c.nodes {
			if n.Replica != nil {
				_ = n.Close()
			}
		}
	})
	return c
}

// member is the consensus key of the i-th server.
func (c *chain) member(i int) identity.PublicKey { return c.founding.Members[i].Consensus }

// open opens the replica on its store.
func (n *node) open() {
	n.chain.tb.Helper()
	if err := n.tryOpen(); err != nil {
		n.chain.tb.Fatal(err)
	}
}

func (n *node) tryOpen() error {
	config := n.chain.config
	config.Founding, config.Store, config.Self = n.chain.founding, n.store, n.chain.member(n.index)
	r, err := replica.Open(config)
	if err != nil {
		return err
	}
	n.Replica = r
	r.Attach(engine{n})
	return nil
}

// replay does what an engine does after a start.
func (n *node) replay() {
	c := n.chain
	c.tb.Helper()
	info := n.Info()
	if info.Height == 0 {
		if _, err := n.Found(consensus.Founding{Contract: c.founding.Append(nil)}); err != nil {
			c.tb.Fatal(err)
		}
	} else if info.Root != c.roots[info.Height-1] {
		c.tb.Fatalf("server %d answers root %s at height %d, not %s", n.index, info.Root, info.Height, c.roots[info.Height-1])
	}
	for _, b := range c.blocks[info.Height:] {
		n.execute(b)
	}
}

// execute finalizes and commits a block.
func (n *node) execute(b consensus.Block) {
	c := n.chain
	c.tb.Helper()
	out, err := n.Finalize(b)
	if err != nil {
		c.tb.Fatal(err)
	}
	if int(b.Height) > len(c.roots) {
		c.roots = append(c.roots, out.Root)
	} else if out.Root != c.roots[b.Height-1] {
		c.tb.Fatalf("server %d: root %s after block %d, not %s", n.index, out.Root, b.Height, c.roots[b.Height-1])
	}
	if rng := n.tear; rng != nil {
		n.tear = nil
		n.crash(rng)
		n.replay()
		return
	}
	retain, err := n.Commit()
	if err != nil {
		c.tb.Fatal(err)
	}
	c.retained = retain
	if retain > n.Info().Height+1 {
		c.tb.Fatalf("server %d lets go of block %d, and is at %d after a crash", n.index, retain-1, n.Info().Height)
	}
}

// crash takes the power of a server away, and starts it again. Of what was written
// without a sync, rng says how much is lost; all if it is nil. What the replica
// answered for must be there (S-11): the engine may have let go of its blocks.
func (n *node) crash(rng *rand.Rand) {
	n.chain.tb.Helper()
	durable := n.Info()
	s, err := n.store.Crash(rng)
	if err != nil {
		n.chain.tb.Fatal(err)
	}
	_ = n.Close() // it has lost its disk
	n.store = s
	n.open()
	if got := n.Info(); got.Height < durable.Height {
		n.chain.tb.Fatalf("server %d is at height %d after a crash, and answered for %d before", n.index, got.Height, durable.Height)
	}
}

// now is the time of the chain's clock.
func (c *chain) now() time.Time { return time.UnixMilli(int64(c.world.Time)) }

// block lets a server propose at a time so many ms after the last block, and all
// vote and execute. It answers false if the server proposes nothing.
func (c *chain) block(proposer int, ms uint64) bool {
	c.tb.Helper()
	c.world.Time += ms
	height := uint64(len(c.blocks) + 1)
	c.mu.Lock()
	waiting := slices.Clone(c.pool)
	c.mu.Unlock()
	payloads := c.nodes[proposer].Propose(c.now(), height, waiting)
	if payloads == nil {
		return false
	}
	c.decide(proposer, payloads)
	return true
}

// decide lets all servers verify and execute a block.
func (c *chain) decide(proposer int, payloads [][]byte) {
	c.tb.Helper()
	height := uint64(len(c.blocks) + 1)
	key := c.member(proposer)
	for _, n := range c.nodes {
		if n.Replica == nil {
			continue
		}
		p := consensus.Proposal{Height: height, Proposer: key, Payloads: payloads}
		if err := n.Verify(context.Background(), c.now(), p); err != nil {
			c.tb.Fatalf("server %d: %v", n.index, err)
		}
	}
	b := consensus.Block{Height: height, Proposer: key, Payloads: payloads}
	c.blocks = append(c.blocks, b)
	c.mu.Lock()
	c.pool = slices.DeleteFunc(c.pool, func(p []byte) bool {
		return slices.ContainsFunc(payloads, func(q []byte) bool { return string(p) == string(q) })
	})
	c.mu.Unlock()
	if !c.bare {
		c.result = c.model(b)
	}
	for _, n := range c.nodes {
		if n.Replica != nil {
			n.execute(b)
		}
	}
}

// prove stands for the proof that an engine makes of the newest block.
func (*chain) prove(height uint64) ([]byte, error) {
	return binary.BigEndian.AppendUint64(nil, height), nil
}

// verify says what the chain has decided at the height that prove was asked for.
func (c *chain) verify(_ *exchange.Founding, proof []byte) (consensus.Proven, error) {
	if len(proof) != 8 {
		return consensus.Proven{}, errors.New("no proof")
	}
	height := binary.BigEndian.Uint64(proof)
	if height < 2 || height > uint64(len(c.blocks)) {
		return consensus.Proven{}, errors.New("no such block")
	}
	return consensus.Proven{Block: c.blocks[height-1], Root: c.roots[height-2]}, nil
}

// model applies a block to the world.
func (c *chain) model(b consensus.Block) *exchange.Result {
	block := &exchange.Block{Height: b.Height, Time: c.world.State.Time(), Proposer: b.Proposer, Missed: b.Missed}
	for i, p := range b.Payloads {
		if i == 0 {
			block.Time, _ = replica.ParseClock(p)
			continue
		}
		batch, err := replica.ParseBatch(c.world.State.ID(), p)
		if err != nil {
			c.tb.Fatal(err)
		}
		block.Commands = append(block.Commands, batch.Commands...)
	}
	res := c.world.State.Apply(block)
	c.roots = append(c.roots, res.Root)
	return res
}

// resultTime is the block time of a block, which must have one.
func (c *chain) resultTime(height uint64) uint64 {
	ms, err := replica.ParseClock(c.blocks[height-1].Payloads[0])
	if err != nil {
		c.tb.Fatal(err)
	}
	return ms
}

// commands brings commands into a block, in payloads of so many at most.
func (c *chain) commands(proposer, most int, commands []exchange.Command) *exchange.Result {
	c.tb.Helper()
	for part := range slices.Chunk(commands, most) {
		c.seq++
		c.submit(replica.AppendBatch(nil, &replica.Batch{Member: 1, Seq: c.seq, Commands: part}))
	}
	if !c.block(proposer, 10) {
		c.tb.Fatal("no block")
	}
	return c.result
}

// random makes random commands of funded accounts, at the beginning of a chain.
func (c *chain) random(accounts int, seed uint64) *exchangetest.Random {
	c.tb.Helper()
	c.bare = true
	defer func() { c.bare = false }()
	twin := exchangetest.From(c.founding) // makes the very commands that NewRandom applies
	first := exchangetest.Key(exchangetest.MemberName(0) + "/consensus").Public()
	proposer := slices.IndexFunc(c.founding.Members, func(m exchange.Card) bool { return m.Consensus == first })
	for i, amount := range []asset.Amount{10 * exchangetest.Coin, 500_000 * exchangetest.Coin, 1_000 * exchangetest.Coin} {
		var mints []exchange.Command
		for j := range accounts {
			to := exchangetest.Address(fmt.Sprintf("a%d", j))
			mints = append(mints, twin.Command("issuer", &exchange.Mint{Asset: asset.ID(i + 1), Amount: amount, To: to}))
		}
		twin.Time += 10
		c.decide(proposer, [][]byte{
			replica.AppendClock(nil, twin.Time), replica.AppendBatch(nil, &replica.Batch{Seq: uint64(i), Commands: mints}),
		})
	}
	r := exchangetest.NewRandom(c.world, accounts, seed)
	if got := c.roots[len(c.roots)-1]; got != c.world.State.Root() {
		c.tb.Fatalf("root %s after funding, the model has %s", got, c.world.State.Root())
	}
	return r
}

// fund gives accounts money, so that they exist.
func (c *chain) fund(names ...string) {
	c.tb.Helper()
	var commands []exchange.Command
	for _, name := range names {
		for _, id := range []exchange.Mint{{Asset: exchangetest.BTC, Amount: 1e12}, {Asset: exchangetest.EUR, Amount: 1e16}, {Asset: exchangetest.LTC, Amount: 1e14}} {
			id.To = exchangetest.Address(name)
			commands = append(commands, c.world.Command("issuer", &id))
		}
	}
	for part := range slices.Chunk(commands, 1000) {
		for _, rc := range c.commands(0, replica.MaxBatch, part).Receipts {
			if rc.Code != exchange.OK {
				c.tb.Fatal(rc.Code)
			}
		}
	}
}

// submit puts a payload into the pool.
func (c *chain) submit(payload []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if slices.ContainsFunc(c.pool, func(p []byte) bool { return string(p) == string(payload) }) {
		return false
	}
	if !c.drop.Load() {
		c.pool = append(c.pool, payload)
	}
	return true
}

// waiting is the number of payloads in the pool.
func (c *chain) waiting() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.pool)
}

// engine is a server's view of its chain.
type engine struct{ n *node }

func (e engine) Submit(ctx context.Context, payload []byte) error {
	if err := e.n.Check(ctx, payload); err != nil {
		return err
	}
	if !e.n.chain.submit(payload) {
		return consensus.ErrKnown
	}
	return nil
}

func (engine) Status() consensus.Status          { return consensus.Status{} }
func (engine) LightBlock(uint64) ([]byte, error) { return nil, errors.New("no light blocks here") }
func (engine) Done() <-chan struct{}             { return nil }
func (engine) Close() error                      { return nil }

// run makes blocks as soon as something waits until stop is closed.
func (c *chain) run(stop <-chan struct{}) {
	for i := 0; ; i++ {
		select {
		case <-stop:
			return
		default:
		}
		if c.waiting() == 0 {
			time.Sleep(200 * time.Microsecond)
			continue
		}
		c.block(i%len(c.nodes), 1)
	}
}

// encode is commands as a client sends them.
func encode(commands ...exchange.Command) []byte {
	var data []byte
	for i := range commands {
		data = commands[i].Append(data)
	}
	return data
}

// pay is a transfer of a cent.
func (c *chain) pay(from, to string) exchange.Command {
	return c.world.Command(from, &exchange.Transfer{To: exchangetest.Address(to), Asset: exchangetest.EUR, Amount: 1e6, Memo: fmt.Sprint(len(c.blocks))})
}
