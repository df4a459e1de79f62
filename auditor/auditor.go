// Package auditor checks from outside that a bank has what it owes. It believes
// neither the bank's servers nor its members about coins: it takes what they owe,
// and the keys of all addresses, out of leaves that are proven under a signed
// header, rebuilds the addresses, looks for their coins with a chain backend of its
// own, and compares.
//
// Who runs it needs no server. It leaves the proof of headers to whoever makes the
// Source, and checks itself that leaves stand under the root of such a header.
//
// Where to look: reading leaves in leaves.go, addresses and their coins on the chain
// in watch.go, the sums in sum.go. The rules are docs/spec/17-audit.md. Floor 3: it
// imports values, the rules of custody, and the port chain.
package auditor

import (
	"context"
	"errors"
	"time"

	"souk/asset"
	"souk/chain"
	"souk/exchange/custody"
	"souk/merkle"
	"souk/script"
)

// ErrUntold is the parent of everything that keeps an audit from an answer. It says
// nothing about the bank.
var ErrUntold = errors.New("it cannot be told whether the bank is solvent")

// Errors of an audit. Each is an ErrUntold.
var (
	// ErrProof is returned for a leaf that does not stand under the root of the header:
	// the server that gave it lies or is broken.
	ErrProof error = untold("a leaf is not proven")
	// ErrBackend is returned, with its error, if the own chain backend fails.
	ErrBackend error = untold("your chain cannot be read")
	// ErrBehind is returned if the auditor's chain ends before the block that the
	// members agree on.
	ErrBehind error = untold("your chain ends before the block that the members agree on")
	// ErrForked is returned if the auditor's chain has another block there.
	ErrForked error = untold("your chain has another block than the members agree on")
	// ErrMoving is returned if the bank changes faster than it can be read.
	ErrMoving error = untold("the bank changes faster than it can be read")
	// ErrContract is returned if the bank is not the one of the founding contract.
	ErrContract error = untold("the bank is not that of the founding contract")
)

// untold is an error whose parent is ErrUntold.
type untold string

func (e untold) Error() string { return string(e) }

// Is tells that e is an ErrUntold too.
func (e untold) Is(target error) bool { return target == ErrUntold }

// Gap is how many addresses beyond those that are used are looked at, unless Config
// says otherwise: more than members watch, so that an audit need not begin anew for
// those that come into use meanwhile.
const Gap = 4 * custody.Gap

// Source yields leaves of a virtual server's state.
type Source interface {
	// Leaves answers leaves by their keys, at most MaxKeys, all of one state, and no
	// older one than it answered before. Its root must be one that the caller trusts, as
	// a light client's.
	Leaves(ctx context.Context, keys []merkle.Key) (Leaves, error)
}

// MaxKeys is how many leaves a Source is asked for at once.
const MaxKeys = 128

// Leaves are leaves under the root that a signed header states.
type Leaves struct {
	Height uint64 // of the header
	Time   uint64 // of the header, ms
	Root   merkle.Hash
	Values [][]byte       // in the order of the keys; nil for a leaf that there is not
	Proofs []merkle.Proof // in the same order
}

// Config says what is audited, and with what.
type Config struct {
	Bank    custody.Bank
	Source  Source
	Backend chain.Backend
	// Contract is what the founding contract says of the bank. Nil if it says nothing
	// because the virtual server took its banks over from another one.
	Contract *custody.Definition
	// Gap is how many addresses beyond the used ones are looked at, at least custody.Gap;
	// zero stands for Gap.
	Gap uint32
	// Progress is told of every block that was read; nil for nobody.
	Progress func(height uint32)
	// Patience is how long the own chain is waited for if it is behind the members'.
	Patience time.Duration
}

// Report is the answer of an audit. Amounts are units of the bank's asset.
type Report struct {
	Bank    custody.Bank
	Asset   asset.ID
	Symbol  string
	Network *script.Network
	Header  uint64        // the signed header that proves what the bank owes
	Time    uint64        // of the header, ms
	Tip     custody.Point // the block that the members agree on: what they owe is as of it
	Own     chain.Point   // the end of the auditor's chain
	Halt    custody.Halt

	OnChain asset.Amount // all coins at the bank's addresses that nothing has spent
	Coins   int          // how many they are

	Free    asset.Amount // coins that no recorded transaction spends
	Change  asset.Amount // that recorded transactions bring back
	Lost    asset.Amount // of both, what the auditor's chain does not have
	Owed    asset.Amount // the books: all units of the asset on the virtual server
	Reserve asset.Amount // of them, for network fees
	Surplus asset.Amount
	Deficit asset.Amount

	Leaving asset.Amount // payouts and fees of recorded transactions that are not mined
	Waiting asset.Amount // payments that are not in the books: not deep enough, too small, or nobody's

	Missing []Missing // what makes up Lost, by outpoint
	Unknown []Unknown // what makes up Waiting, by outpoint
	Series  []Series
}

// Solvent tells whether the bank has what it owes.
func (r *Report) Solvent() bool { return r.Deficit == 0 }

// Missing is a coin that the books count and the chain does not have.
type Missing struct {
	At     script.Outpoint
	Amount asset.Amount // that is missing
	By     script.Hash  // what spent it; zero if the chain never had it, or not so much
	Height uint32       // where that stands
}

// Unknown is a coin on the chain that the books do not count.
type Unknown struct {
	At     script.Outpoint
	Amount asset.Amount
	Height uint32
}

// Series is a series of the bank as it was proven, and what it has on the chain.
type Series struct {
	custody.SeriesRecord
	Number uint32
	Coins  int
	Amount asset.Amount
	// Opens is the height from which the holders of the recovery could spend its oldest
	// coin, about; zero without coins or recovery.
	Opens uint32
}

// tries is how often the whole is begun anew because the bank, or the chain, changed
// while it was read.
const tries = 20

// doubts is how often a deficit is looked at before it is told, the second time with
// the whole chain read anew.
const doubts = 3

// pause is how long a chain that is behind is left alone.
const pause = 200 * time.Millisecond

// Auditor audits a bank as often as it is asked, and reads the chain only once. It is
// not safe for concurrent use.
type Auditor struct {
	Config
	watch *watch
}

// New returns an auditor that has read nothing yet.
func New(c Config) *Auditor {
	if c.Gap == 0 {
		c.Gap = Gap
	}
	return &Auditor{Config: c, watch: newWatch(&c)}
}

// Audit audits the bank. An error says nothing about the bank.
func (a *Auditor) Audit(ctx context.Context) (*Report, error) {
	end := time.Now().Add(a.Patience)
	doubt, walked := 0, false
	for try := 0; try < tries; {
		r, err := a.look(ctx, walked)
		walked = true
		switch {
		case (errors.Is(err, ErrBehind) || errors.Is(err, ErrForked)) && time.Now().Before(end):
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				return nil, errors.Join(err, ctx.Err())
			}
		case errors.Is(err, ErrMoving):
			try++
		case err != nil:
			return nil, err
		case !r.Solvent() && doubt < doubts-1: // perhaps something settled between two pages
			if doubt++; doubt == 1 {
				a.watch.forget()
			}
		default:
			return r, nil
		}
	}
	return nil, ErrMoving
}

// look reads what is owed and what is there, once; the chain only if it was not walked
// far enough. What is signed and mined was
// recorded before: so the leaves have to be younger than the end of the walk.
func (a *Auditor) look(ctx context.Context, walked bool) (*Report, error) {
	b, err := a.readBank(ctx)
	if err != nil {
		return nil, err
	}
	if walked && a.watch.covers(b) && a.watch.at(b.tip) == nil {
		return a.sum(ctx, b)
	}
	if err := a.watch.extend(b); err != nil {
		return nil, err
	}
	if err := a.watch.walk(ctx, b); err != nil {
		return nil, err
	}
	if err := a.watch.at(b.tip); err != nil {
		return nil, err
	}
	if b, err = a.readBank(ctx); err != nil {
		return nil, err
	}
	if !a.watch.covers(b) || a.watch.at(b.tip) != nil {
		return nil, ErrMoving
	}
	return a.sum(ctx, b)
}
