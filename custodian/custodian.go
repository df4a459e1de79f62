// Package custodian owns what a member's server does for one bank: it follows the
// bank's chain with the member's own backend, says what it sees, has the ledger's
// transactions signed, combines what the members signed, and passes it on until it is
// mined.
//
// It decides nothing. What counts is counted by exchange/custody, what is signed is
// the signer's to judge. It has no goroutine, clock or randomness: its owner calls
// Step from time to time and submits what it answers. Whatever is lost on the way is
// answered again, and what the ledger has already is not, so that an idle bank makes
// no commands.
//
// Where to look: one step in custodian.go, the chain in follow.go, scripts and coins
// to look for in watch.go, statements in say.go, transactions in payout.go and keep.go, what it
// tells people in status.go, what it remembers in disk.go. The rules are
// docs/spec/16-custodian.md. Floor 3: it imports values, exchange and what is below
// it, and the port chain; never an adapter or signer.
package custodian

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"souk/asset"
	"souk/chain"
	"souk/exchange"
	"souk/exchange/custody"
	"souk/identity"
	"souk/script"
)

// Errors.
var (
	// ErrNetwork is returned by Open for a backend of another network than the bank's.
	ErrNetwork = errors.New("the chain is not the bank's")
	// ErrBank is returned by Step while the virtual server has no such bank.
	ErrBank = errors.New("there is no such bank")
	// ErrChain is returned by Step while the member's chain is not the one that the
	// members agreed on, as far as they remember it: nothing is attested.
	ErrChain = errors.New("the member's chain is not the agreed one")
	// ErrBehind is returned by Step while the member's node has not read so far as
	// to be of use: nothing is attested.
	ErrBehind = errors.New("the member's node is behind")
	// ErrClosed is returned after Close.
	ErrClosed = errors.New("custodian is closed")
)

// Limits of one step.
const (
	// scanBlocks is how many blocks are read.
	scanBlocks = 64
	// deriveScripts is how many scripts are derived.
	deriveScripts = 1000
	// rateWithin is in how many blocks a transaction is to be mined at the rate said.
	rateWithin = 6
	// lateBlocks is how far behind the end of the chain blocks are read again for new
	// addresses, and lateEvery after how many blocks for those that nobody has been
	// given yet (W-24). For those that somebody has been given it is lateApart blocks
	// after the last time, for all of them at once, or a few accounts that ask for
	// many would have everybody read all the time.
	lateBlocks = 144
	lateEvery  = 36
	lateApart  = 12
	// patience is how many steps later something is answered again that the ledger
	// does not have; twice as many each further time, up to patienceMost.
	patience     = 4
	patienceMost = 256
	// again is after how many steps a transaction that is not mined is broadcast again.
	again = 20
	// stale is the age in seconds of a node's last block, by the virtual server's
	// clock, above which the node is held for one that is still reading (W-27).
	stale = 24 * 60 * 60
	// maxSignatures bounds the signatures in one step's answer.
	maxSignatures = 64 << 10
)

// Signer signs versions of batches and knows the keys to be announced. *signer.Signer is one.
type Signer interface {
	// Prepare reads and checks what signing a version of a batch needs, and returns what
	// signs; signer.Signer says which errors there are.
	Prepare(view *custody.State, me custody.Member, id custody.Bank, batch uint64, version uint8) (sign func() (*custody.Signature, error), err error)
	// Announce returns the member's public key for a network; false if there is none.
	Announce(network string) (script.MemberKey, bool)
	// Possess proves that the member has the key for a claim's network.
	Possess(claim script.Claim) (script.Possession, error)
}

// Config says whose custodian it is and of what.
type Config struct {
	Bank    custody.Bank
	Network *script.Network
	Backend chain.Backend // not closed by Close
	Signer  Signer        // not closed by Close
	// View reads the member's copy of the state, which does not change meanwhile. It
	// is held for a moment, never while the chain is asked.
	View func(func(*exchange.State)) error
	// Server is the server key of the member.
	Server identity.PublicKey
	// Dir is a folder of the custodian's own; "" to remember nothing over a restart,
	// which costs reading up to custody.Keep blocks again.
	Dir string
	// Rate is said while the node has no estimate. Zero says nothing then, but on a regression test network, where nobody competes, the least that is relayed.
	Rate asset.Amount
	Log  *slog.Logger // nil for none
}

// Custodian works for one member and bank. Step and Close are called by one
// goroutine at a time; Status by any at any time.
type Custodian struct {
	cfg   Config
	log   *slog.Logger
	steps uint64

	seen   picture
	watch  watch
	own    own
	rate   asset.Amount // that is said; zero for none
	rated  chain.Point  // the tip when the node was asked for it
	unsure error        // why there was no answer

	estimated uint32 // the tip's height when there was one

	saying outstanding
	said   *custody.Attestation // the last one answered, until the ledger has it
	quiet  moment               // when there was nothing to say
	keying outstanding
	public *script.MemberKey // the signer's, once it was asked for
	works  map[uint64]*work
	kept   []*kept     // ascending by batch
	coins  chain.Point // the tip when coins were compared with the ledger's

	loaded  []whole // out of the file, of batches of which the state has not told yet
	keptNew bool    // something of kept, or of what is whole, is not saved yet
	signed  bool    // the last step answered signatures and did not ask the chain

	mu     sync.Mutex
	status Status
	faults map[custody.Member]*Fault
	closed bool
}

// Open makes a custodian, which goes on where the one before it in the same folder stopped.
func Open(cfg Config) (*Custodian, error) {
	if cfg.Backend.Network() != cfg.Network {
		return nil, fmt.Errorf("bank %d is on %s, the backend on %s: %w", cfg.Bank, cfg.Network.Name, cfg.Backend.Network().Name, ErrNetwork)
	}
	c := &Custodian{cfg: cfg, log: cfg.Log, works: map[uint64]*work{}, faults: map[custody.Member]*Fault{}}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	c.log = c.log.With(slog.Uint64("bank", uint64(cfg.Bank)), slog.String("network", cfg.Network.Name))
	if c.cfg.Rate == 0 && isRegtest(cfg.Network) {
		c.cfg.Rate = cfg.Network.MinRelay
	}
	c.status = Status{Bank: cfg.Bank, Network: cfg.Network.Name}
	c.watch.places, c.watch.scripts = map[string]place{}, map[place]string{}
	c.watch.filter = chain.NewFilter()
	if err := c.load(); err != nil {
		return nil, fmt.Errorf("open custodian: %w", err)
	}
	return c, nil
}

// Close ends the custodian.
func (c *Custodian) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	return nil
}

// picture is what a step reads of the state before it asks the chain.
type picture struct {
	me       custody.Member // zero if the server is no member, or barred
	info     custody.Info
	floor    chain.Point // the oldest block that is remembered, as agreed
	own      custody.MemberInfo
	allotted []uint32 // deposit addresses, by series
	changes  []uint32 // change addresses, by wallet
	halted   bool
	height   uint64 // of the virtual server
	time     uint64 // ms
}

// Step looks at the ledger and at the chain, passes on what is signed, and answers
// what the member's server should submit now, in this order. What it answers is good
// also if there is an error, which says what could not be done. It takes as long as
// reading scanBlocks blocks takes, or until ctx ends; signatures are answered at
// once, and the chain is asked by the next step. While Status says Busy the next step
// has something to do without anything having happened.
func (c *Custodian) Step(ctx context.Context) ([]exchange.Body, error) {
	c.mu.Lock()
	closed := c.closed
	c.mu.Unlock()
	if closed {
		return nil, ErrClosed
	}
	c.steps++
	bodies, err := c.pay(ctx)
	if err == nil {
		if c.signed = len(bodies) > 0 && !c.signed; !c.signed {
			var more []exchange.Body
			more, err = c.attest(ctx)
			bodies = append(bodies, more...)
		}
	}
	c.report(err)
	return bodies, err
}

// pay has transactions signed, and passes on what is.
func (c *Custodian) pay(ctx context.Context) (bodies []exchange.Body, err error) {
	var problem error
	var orders []order
	err = c.cfg.View(func(s *exchange.State) {
		if problem = c.look(s); problem == nil && c.seen.me != 0 {
			orders = c.readBatches(s)
		}
	})
	if err := errors.Join(err, problem); err != nil {
		return nil, err
	}
	for _, o := range orders {
		if x := c.sign(o); x != nil {
			bodies = append(bodies, &exchange.Sign{Signature: *x})
		}
	}
	c.passOn(ctx)
	return bodies, nil
}

// attest reads the chain, and says what is new.
func (c *Custodian) attest(ctx context.Context) (bodies []exchange.Body, err error) {
	failed := c.follow(ctx)
	var problem error
	err = c.cfg.View(func(s *exchange.State) {
		if c.seen.me != 0 {
			bodies, problem = c.say(s, failed == nil)
		}
	})
	return bodies, errors.Join(err, failed, problem, c.save(), c.saveKept())
}

// look reads what the state says before the chain is asked.
func (c *Custodian) look(s *exchange.State) error {
	banks := s.Banks()
	if banks == nil {
		return fmt.Errorf("bank %d: %w", c.cfg.Bank, ErrBank)
	}
	info, ok := banks.Bank(c.cfg.Bank)
	if !ok || info.Network != c.cfg.Network.Name {
		return fmt.Errorf("bank %d: %w", c.cfg.Bank, ErrBank)
	}
	p := picture{info: info, height: s.Height(), time: s.Time(), halted: banks.HaltOf(c.cfg.Bank).Reason != custody.Running}
	if id, ok := s.Roster().ByServer(c.cfg.Server); ok {
		if m, _ := s.Roster().Member(id); !m.Barred {
			p.me = custody.Member(id)
		}
	}
	hash, _ := banks.Block(c.cfg.Bank, info.Floor)
	p.floor = chain.Point{Height: info.Floor, Hash: hash}
	for n := range info.Series {
		p.allotted = append(p.allotted, banks.Allotted(c.cfg.Bank, n))
		if int(n) < len(c.watch.series) {
			continue
		}
		series, members, _ := banks.SeriesOf(c.cfg.Bank, n)
		c.watch.series = append(c.watch.series, &watched{series: &series, members: members})
	}
	p.changes = banks.ChangesUsed(c.cfg.Bank)
	c.seen = p
	c.readOwn(banks)
	c.readCoins(banks)
	return nil
}

// readOwn reads what the bank knows of this member.
func (c *Custodian) readOwn(banks *custody.State) {
	c.seen.own = custody.MemberInfo{}
	for _, m := range banks.Members(c.cfg.Bank) {
		if m.Member == c.seen.me {
			c.seen.own = m
		}
	}
}

func isRegtest(n *script.Network) bool {
	const suffix = "-regtest"
	return len(n.Name) > len(suffix) && n.Name[len(n.Name)-len(suffix):] == suffix
}

// outstanding is something that was answered and that the ledger does not have yet.
type outstanding struct {
	since uint64 // the step when it was answered; zero for nothing
	tries uint
}

// due tells whether it is time to answer it, again or for the first time.
func (o *outstanding) due(step uint64) bool {
	return o.since == 0 || step >= o.since+min(uint64(patience)<<min(o.tries-1, 16), patienceMost)
}

func (o *outstanding) answered(step uint64) { o.since, o.tries = step, o.tries+1 }
