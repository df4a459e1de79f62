// Package sim runs whole federations by seed in one goroutine: real replicas on
// stores in memory, a consensus driver, a clock, a network and disks of its own,
// clients that send every command until they hear of its fate, and faults. A seed
// decides everything, so that it can be run again; docs/simulation.md says what is
// simulated, what is checked and how to look into a seed that fails.
//
// Commands come from sim/workload; whether what they did is right is judged by
// sim/check. Here is what concerns several servers: that they agree at every height,
// that what they acknowledged is in the history, and that they go on when enough of
// them can. The driver is a Tendermint as in consensus/comet, but much simpler:
// it proves nothing about CometBFT. It is test support beside the floors.
//
// Where to look: events and time in loop.go, the network in network.go, one
// server's life and disk in server.go, its consensus in machine.go and ballot.go,
// payloads in pool.go, blocks and snapshots for those behind in sync.go, liars in
// liar.go, clients in client.go, votes of the members in plan.go, faults in fault.go,
// the bank that some seeds have and its chain in banks.go, and the end of a seed in
// ending.go.
package sim

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime/debug"

	"souk/consensus"
	"souk/exchange"
	"souk/exchange/exchangetest"
	"souk/identity"
	"souk/merkle"
	"souk/replica"
	"souk/sim/check"
	"souk/sim/workload"
)

// Least work of a seed: commands that clients hold the receipt of, and faults other
// than the lies of members. A seed that does less fails.
const (
	LeastCommands = 2000
	LeastFaults   = 30
)

// Options say what to run.
type Options struct {
	Seed uint64
	Keys *workload.Keys // required; shared by all seeds
	Pool *replica.Pool  // a Verifier of this goroutine; nil makes one
	// Trace gets a line for every event, if it is not nil.
	Trace io.Writer

	plant plant
}

// plant is a fault in the servers or in the world that is none of those which they
// must bear. Tests plant them to see that the checks find them out.
type plant struct {
	before  func(f *federation)                             // each event; nil: nothing
	outcome func(s *server, h uint64, o *consensus.Outcome) // what a server makes of a block
	answer  func(s *server, a *replica.Answer)              // what a server tells a client
}

// Report is what a seed did.
type Report struct {
	Seed     uint64
	Hash     [32]byte // of all events; the same for the same seed
	Servers  int      // in the founding
	Commands int      // made by clients
	Acked    int      // that clients hold a receipt of that burnt the nonce
	Blocks   int
	Faults   int
	Kinds    map[string]int // faults by kind
	Counts   *check.Counts
	Deposits int    // credited by banks
	Payouts  int    // settled by banks
	Seconds  uint64 // of simulated time
	Events   int
}

// ErrSeed is wrapped by the errors of seeds that fail.
var ErrSeed = errors.New("seed fails")

// Run runs a seed. Its error says what does not hold.
func Run(o Options) (r Report, err error) {
	defer func() {
		if broken := recover(); broken != nil {
			r.Seed = o.Seed
			err = fmt.Errorf("%w: panic: %v\n%s", ErrSeed, broken, debug.Stack())
		}
	}()
	f, err := found(o)
	if err != nil {
		return Report{Seed: o.Seed}, err
	}
	defer f.close()
	f.start()
	for f.err == nil && !f.over {
		if o.plant.before != nil {
			o.plant.before(f)
		}
		if !f.loop.next() {
			f.fail("the simulation has nothing left to do")
		}
	}
	r = f.report()
	if f.err != nil {
		return r, fmt.Errorf("%w: at %s: %w", ErrSeed, f.loop.clock(), f.err)
	}
	return r, nil
}

// federation is one virtual server and the world around it.
type federation struct {
	options  Options
	loop     *loop
	keys     *workload.Keys
	load     *workload.Workload
	pool     *replica.Pool
	founding *exchange.Founding
	shape    shape
	audit    *check.Auditor
	servers  []*server
	net      *network
	clients  *clients
	plans    *plans
	bank     *bank      // nil in most seeds
	rng      *rand.Rand // of faults

	chain []*entry      // canonical: as the first server to execute each block found it
	sets  []*validators // by height; [0] is unused

	faults  map[string]int
	faulted int
	guilty  map[identity.PublicKey]uint64 // consensus keys that have signed twice, and the height
	calm    bool                          // faults have ended
	made    int                           // blocks that were proposed
	outage  bool                          // everybody is down for long
	over    bool
	err     error
}

// shape is how a seed differs from others as a whole.
type shape struct {
	servers   int
	liars     int
	rate      int    // commands per second
	hardness  int    // 1 to 4: how many faults at a time
	delay     uint64 // us, between servers
	batch     int    // commands of a batch at most
	batchWait uint64 // us
	pause     uint64 // us between a block and the next height
	flush     int    // blocks written at once
	snapshots uint64 // blocks between snapshots; 0 for none
	keep      uint64 // blocks kept; 0 for all
	audit     bool   // signatures of decided blocks are verified
}

// entry is a decided block with what it did.
type entry struct {
	cert    *certificate
	root    merkle.Hash
	results [32]byte // hash of the result list
	time    uint64
}

func pick[T any](rng *rand.Rand, from ...T) T { return from[rng.IntN(len(from))] }

func drawShape(rng *rand.Rand) shape {
	s := shape{
		servers: pick(rng, 1, 4, 4, 4, 4, 5, 5, 6, 7), hardness: 1 + rng.IntN(3),
		delay: 1000 * pick(rng, uint64(1), 5, 20, 60), batch: pick(rng, 8, 64, 512), batchWait: 1000 * pick(rng, uint64(2), 20, 100),
		pause: 1000 * pick(rng, uint64(10), 50, 150), flush: pick(rng, 1, 2, 7, 24), audit: rng.IntN(4) == 0,
	}
	s.rate = s.hardness * (30 + rng.IntN(12))
	if s.servers >= 4 && rng.IntN(2) == 0 {
		s.liars = 1
		if s.servers == 7 {
			s.liars = 1 + rng.IntN(2)
		}
	}
	if s.servers == 1 { // nobody ever needs its blocks
		s.keep = pick(rng, uint64(0), 1, 5)
		return s
	}
	if rng.IntN(4) != 0 {
		s.snapshots = pick(rng, uint64(10), 25, 60)
		s.keep = pick(rng, uint64(0), 5, 30)
	}
	return s
}

// found makes the world of a seed before anything happens.
func found(o Options) (*federation, error) {
	rng := rand.New(rand.NewPCG(o.Seed, 0x5eed)) //nolint:gosec // reproducible by seed
	f := &federation{
		options: o, keys: o.Keys, pool: o.Pool, rng: rng, shape: drawShape(rng),
		faults: map[string]int{}, guilty: map[identity.PublicKey]uint64{},
	}
	if f.pool == nil {
		f.pool = Verifier()
	}
	f.loop = newLoop(o.Trace)
	f.founding = exchangetest.Founding(f.shape.servers)
	drawParams(rng, &f.founding.Params)
	if rng.IntN(8) == 0 {
		f.founding.Protocol = 2
	}
	var err error
	if o.Seed%banksEvery == 0 {
		if f.shape.servers > mostWithBank {
			f.shape.servers, f.shape.liars = 4, min(f.shape.liars, 1)
		}
		if f.bank, err = newBank(f, o.Seed); err != nil {
			return nil, err
		}
	}
	if f.audit, err = check.New(f.founding); err != nil {
		return nil, err
	}
	f.load = workload.New(o.Keys, f.founding, o.Seed)
	if f.bank != nil {
		f.bank.load = f.load.Banks(o.Seed)
	}
	f.net = newNetwork(f, o.Seed)
	f.clients = newClients(f, o.Seed)
	f.plans = newPlans(f, o.Seed)
	first := newValidators(nil, toUpdates(f.audit.State().Validators()))
	f.sets = []*validators{nil, first, first}
	for i := range f.shape.servers {
		f.servers = append(f.servers, newServer(f, i))
	}
	return f, nil
}

func drawParams(rng *rand.Rand, p *exchange.Params) {
	p.MissedTurns = 1 + uint32(rng.IntN(4))
	p.VoteBlocks = pick(rng, uint64(10), 40, 100_000)
	p.RotationDelay = pick(rng, uint64(0), 2_000, 10_000, p.RotationDelay)
	p.AccountCommands = pick(rng, uint32(6), 20, 1024)
	p.MarketOrders = pick(rng, uint32(5), 50, 200)
	p.AccountAssets = pick(rng, uint32(1), 3, 16)
}

// start switches everything on.
func (f *federation) start() {
	f.log("found", len(f.servers), f.shape.liars, int(f.options.Seed))
	for _, s := range f.servers {
		s.boot()
	}
	for _, i := range f.rng.Perm(len(f.servers))[:f.shape.liars] {
		f.servers[i].liar = newLiar(f, f.servers[i])
	}
	f.clients.start()
	f.plans.start()
	if f.bank != nil {
		f.bank.start()
	}
	f.loop.after(2_000_000, f.nextFault)
}

// fail ends the seed.
func (f *federation) fail(format string, args ...any) {
	if f.err == nil {
		f.err = fmt.Errorf(format, args...)
		f.loop.note("FAIL " + f.err.Error())
	}
}

// log puts an event into the log that two runs of a seed must have in common.
func (f *federation) log(what string, numbers ...int) { f.loop.log(what, numbers) }

// head is the height of the newest block that anybody executed.
func (f *federation) head() uint64 { return uint64(len(f.chain)) }

// set is the validators of a height, which is at most two above the head.
func (f *federation) set(height uint64) *validators { return f.sets[height] }

// close lets all stores and replicas go.
func (f *federation) close() {
	for _, s := range f.servers {
		s.stop()
	}
	if f.bank != nil {
		f.bank.close()
	}
}

func (f *federation) report() Report {
	return Report{
		Seed: f.options.Seed, Hash: f.loop.sum(), Servers: f.shape.servers, Commands: f.clients.made, Acked: f.clients.acked,
		Blocks: len(f.chain), Faults: f.faulted, Kinds: f.faults, Counts: f.audit.Counts(), Seconds: f.loop.now / 1_000_000,
		Events: f.loop.handled, Deposits: f.audit.Counts().Events[exchange.EventDeposited], Payouts: f.audit.Payouts().Ends(),
	}
}
