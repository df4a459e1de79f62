package replica

import (
	"sync/atomic"

	"souk/exchange"
)

// Metrics are counters since the replica was opened, and gauges. They are for
// reading only.
type Metrics struct {
	// Commands of clients.
	Submitted atomic.Uint64 // taken in
	Refused   atomic.Uint64 // answered without a block
	Busy      atomic.Uint64 // turned away
	Resent    atomic.Uint64 // that were waiting or executed already

	// Batches of this server.
	Batches       atomic.Uint64
	BatchCommands atomic.Uint64
	Resubmitted   atomic.Uint64 // that the engine had lost

	// Payloads from anywhere.
	Checked       atomic.Uint64 // verified
	Known         atomic.Uint64 // asked for again
	Verified      atomic.Uint64 // signatures
	BadSignatures atomic.Uint64

	// Committed blocks.
	Blocks       atomic.Uint64
	ActiveBlocks atomic.Uint64
	Commands     atomic.Uint64 // in blocks
	Burnt        atomic.Uint64 // of them, that burnt their nonce
	Rejected     atomic.Uint64 // of them, that had another result than OK
	Trades       atomic.Uint64
	ApplyNano    atomic.Uint64 // ns spent executing

	// Writing.
	Flushes       atomic.Uint64
	FlushBytes    atomic.Uint64
	FlushNano     atomic.Uint64 // ns spent writing
	Journals      atomic.Uint64 // writes that were too large for one batch
	LagWaits      atomic.Uint64 // times a block had to wait for the store
	SnapshotsMade atomic.Uint64

	SlowSubscribers atomic.Uint64 // cut off

	// Gauges.
	Waiting   atomic.Int64 // commands of clients without a fate
	InFlight  atomic.Int64 // batches under way
	LagBlocks atomic.Int64 // committed and not stored
	Persisted atomic.Uint64
}

// block counts a committed block.
func (m *Metrics) block(res *exchange.Result) {
	m.Blocks.Add(1)
	if !res.Active {
		return
	}
	m.ActiveBlocks.Add(1)
	burnt, rejected := 0, 0
	for i := range res.Receipts {
		if code := res.Receipts[i].Code; code != exchange.OK {
			rejected++
			if !code.Burns() {
				continue
			}
		}
		burnt++
	}
	m.Commands.Add(uint64(len(res.Receipts)))
	m.Burnt.Add(uint64(burnt))
	m.Rejected.Add(uint64(rejected))
	rec := record{result: res}
	m.Trades.Add(uint64(rec.firstAuction() - rec.firstTrade()))
}

// Metrics are counters and gauges of this replica.
func (r *Replica) Metrics() *Metrics { return &r.metrics }
