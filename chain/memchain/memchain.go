// Package memchain is a chain in memory, for tests and simulation: one Chain, and
// any number of Nodes that see it, honestly or not. It makes blocks when it is told
// to, reorganises to any depth, drops waiting transactions, raises what miners
// want, moves peg-outs as Litecoin does, and knows which coins there are. It keeps
// the rules that matter to a bank, scripts included if asked; proof of work is not
// among them.
//
// It has no goroutines, clock or randomness: the same calls give the same hashes.
// Floor 2.
package memchain

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"

	"souk/asset"
	"souk/chain"
	"souk/script"
)

const (
	coinbaseMaturity = 100
	reward           = 50_0000_0000
	firstTime        = 1_700_000_000
	blockWeight      = 4_000_000
	finalSequence    = wire.MaxTxInSequenceNum
)

// Chain is a chain, its pool of waiting transactions and its miner. All methods
// may be called at any time by anybody.
type Chain struct {
	network *script.Network
	verify  bool

	mu     sync.Mutex
	best   []*block // by height
	coins  map[script.Outpoint]coin
	pool   []*transaction  // in the order of arrival, parents before children
	pegs   []script.Output // peg-outs that wait for a block
	hogEx  script.Outpoint
	number uint64 // of transactions and blocks ever made, so that no two are equal
	rate   asset.Amount
	floor  asset.Amount
	payTo  []byte // what a block's reward goes to
}

type block struct {
	chain.Block
	transactions []*transaction
	spent        map[script.Outpoint]coin // what it took from coins
	pegs         []script.Output
	hogEx        script.Outpoint // before it
}

type coin struct {
	script.Output
	height   uint32 // 0 while it waits
	coinbase bool
	pegOut   bool
}

type transaction struct {
	msg    *wire.MsgTx
	id     script.Hash
	match  chain.Transaction
	fee    asset.Amount
	weight uint64
	funded bool // made by Pay out of nothing
}

// New returns a chain that has only its genesis block. If verify is set, every
// spend of a coin is checked as nodes check it; else signatures are not looked at.
func New(network *script.Network, verify bool) *Chain {
	genesis := chain.Block{Point: chain.Point{Hash: network.Genesis}, Time: firstTime}
	return &Chain{
		network: network,
		verify:  verify,
		best:    []*block{{Block: genesis}},
		coins:   map[script.Outpoint]coin{},
		floor:   network.MinRelay,
		payTo:   []byte{txscript.OP_TRUE},
	}
}

// Tip returns the last block.
func (c *Chain) Tip() chain.Block {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tip().Block
}

// Balance returns the sum of a script's coins.
func (c *Chain) Balance(out []byte) asset.Amount {
	c.mu.Lock()
	defer c.mu.Unlock()
	var sum asset.Amount
	for _, coin := range c.coins {
		if bytes.Equal(coin.Script, out) {
			sum += coin.Amount
		}
	}
	return sum
}

// Unspent tells whether a block holds an output that no block spends.
func (c *Chain) Unspent(at script.Outpoint) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.coins[at]
	return ok
}

// Pool returns the ids of the waiting transactions.
func (c *Chain) Pool() []script.Hash {
	c.mu.Lock()
	defer c.mu.Unlock()
	ids := make([]script.Hash, len(c.pool))
	for i, tx := range c.pool {
		ids[i] = tx.id
	}
	return ids
}

// Pay lets somebody outside pay to a script. The payment waits for a block.
func (c *Chain) Pay(out []byte, amount asset.Amount) script.Outpoint {
	c.mu.Lock()
	defer c.mu.Unlock()
	msg := wire.NewMsgTx(2)
	from := wire.OutPoint{Hash: chainhash.DoubleHashH(c.unique("funding")), Index: 0}
	msg.AddTxIn(wire.NewTxIn(&from, nil, nil))
	msg.AddTxOut(wire.NewTxOut(int64(amount), out))
	tx := newTransaction(msg)
	tx.funded = true
	tx.fee = chain.MaxRate
	c.pool = append(c.pool, tx)
	return script.Outpoint{Tx: tx.id}
}

// PegOut lets somebody's hidden coins pay to a script. The HogEx of the next block
// has the output; if a reorganisation takes that block out, the HogEx of a later one
// has it, under another id.
func (c *Chain) PegOut(out []byte, amount asset.Amount) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pegs = append(c.pegs, script.Output{Script: slices.Clone(out), Amount: amount})
}

// RewardTo makes the rewards of blocks to come go to a script.
func (c *Chain) RewardTo(out []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.payTo = slices.Clone(out)
}

// SetRate sets what honest nodes estimate as the fee rate. Zero means that they
// have no data.
func (c *Chain) SetRate(rate asset.Amount) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rate = rate
}

// SetFloor sets the fee rate below which miners leave a transaction waiting.
// Nodes relay from the network's minimum on, whatever it is.
func (c *Chain) SetFloor(rate asset.Amount) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.floor = rate
}

// Evict drops a waiting transaction and what spends its outputs, as nodes do whose
// pool is full. It tells whether the transaction was there.
func (c *Chain) Evict(id script.Hash) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := len(c.pool)
	c.drop(id)
	return len(c.pool) < before
}

// Broadcast is what an honest node does with a transaction, and says of it: the errors
// of the port.
func (c *Chain) Broadcast(raw []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.accept(raw, false)
}

// Force makes a transaction wait in the place of those it conflicts with, whatever
// it pays: a miner took it.
func (c *Chain) Force(raw []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.accept(raw, true)
}

// Mine makes n blocks. The first takes every waiting transaction that pays enough.
func (c *Chain) Mine(n int) []chain.Block {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mine(n, true)
}

// MineEmpty makes n blocks without transactions.
func (c *Chain) MineEmpty(n int) []chain.Block {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mine(n, false)
}

// Disconnect takes the last depth blocks out. What they held waits for a block again.
func (c *Chain) Disconnect(depth int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.disconnect(depth)
}

// Reorganise puts n new blocks in the place of the last depth ones. The transactions
// in instead are in the first of them, and whatever conflicts with those is gone;
// all else that the old blocks held is in the new ones too.
func (c *Chain) Reorganise(depth, n int, instead ...[]byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.disconnect(depth)
	var failed error
	for _, raw := range instead {
		failed = errors.Join(failed, c.accept(raw, true))
	}
	c.mine(n, true)
	return failed
}

func (c *Chain) tip() *block { return c.best[len(c.best)-1] }

// next is the height of the block to come.
func (c *Chain) next() uint32 { return uint32(len(c.best)) }

// unique returns bytes that no other call returns.
func (c *Chain) unique(what string) []byte {
	c.number++
	return binary.BigEndian.AppendUint64([]byte(what), c.number)
}

func (c *Chain) mine(n int, full bool) []chain.Block {
	made := make([]chain.Block, 0, n)
	for range n {
		b := &block{spent: map[script.Outpoint]coin{}, hogEx: c.hogEx}
		b.Height, b.Parent = c.next(), c.tip().Hash
		b.Time = firstTime + b.Height*c.network.BlockSeconds
		coinbase := wire.NewMsgTx(1)
		coinbase.AddTxIn(wire.NewTxIn(&wire.OutPoint{Index: wire.MaxPrevOutIndex}, c.unique("coinbase"), nil))
		coinbase.AddTxOut(wire.NewTxOut(reward, c.payTo))
		b.transactions = append(b.transactions, newTransaction(coinbase))
		if full {
			b.transactions = append(b.transactions, c.choose()...)
		}
		if len(c.pegs) > 0 && full {
			b.pegs, c.pegs = c.pegs, nil
			b.transactions = append(b.transactions, c.newHogEx(b.pegs))
		}
		b.Hash = hashOf(b)
		for _, tx := range b.transactions {
			c.connect(b, tx)
		}
		c.best = append(c.best, b)
		made = append(made, b.Block)
	}
	return made
}

// newHogEx makes the transaction whose outputs after the first are peg-outs. It
// spends the one before, so its id is another after every reorganisation.
func (c *Chain) newHogEx(pegs []script.Output) *transaction {
	msg := wire.NewMsgTx(2)
	from := wire.OutPoint{Hash: chainhash.Hash(c.hogEx.Tx), Index: c.hogEx.Index}
	if c.hogEx == (script.Outpoint{}) {
		from.Hash = chainhash.DoubleHashH(c.unique("hogex"))
	}
	msg.AddTxIn(wire.NewTxIn(&from, nil, nil))
	kernel := chainhash.HashB(c.unique("extension"))
	msg.AddTxOut(wire.NewTxOut(reward, append([]byte{txscript.OP_8, 32}, kernel...)))
	for _, p := range pegs {
		msg.AddTxOut(wire.NewTxOut(int64(p.Amount), p.Script))
	}
	tx := newTransaction(msg)
	tx.funded, tx.match.PegOut = true, true
	return tx
}

// choose returns what a miner takes out of the pool: all that pays the floor, also
// by way of a descendant, in the order of arrival.
func (c *Chain) choose() []*transaction {
	taken := map[script.Hash]bool{}
	weight := uint64(8000)
	for _, tx := range c.pool {
		family := c.ancestors(tx, taken)
		var fee asset.Amount
		var size uint64
		for _, member := range family {
			fee += member.fee
			size += member.weight
		}
		want, ok := script.Fee(c.floor, size)
		if !ok || fee < want || weight+size > blockWeight {
			continue
		}
		weight += size
		for _, member := range family {
			taken[member.id] = true
		}
	}
	var chosen, left []*transaction
	for _, tx := range c.pool {
		if taken[tx.id] {
			chosen = append(chosen, tx)
		} else {
			left = append(left, tx)
		}
	}
	c.pool = left
	return chosen
}

// ancestors returns tx and what waits before it, but not what is taken already.
func (c *Chain) ancestors(tx *transaction, taken map[script.Hash]bool) []*transaction {
	wanted := map[script.Hash]bool{tx.id: true}
	var family []*transaction
	for _, p := range slices.Backward(c.pool) { // children come after their parents
		if !wanted[p.id] || taken[p.id] {
			continue
		}
		family = append(family, p)
		for _, in := range p.match.Inputs {
			wanted[in.Tx] = true
		}
	}
	return family
}

// connect moves the coins of a transaction of a new block.
func (c *Chain) connect(b *block, tx *transaction) {
	for _, in := range tx.match.Inputs {
		if coin, ok := c.coins[in]; ok {
			b.spent[in] = coin
			delete(c.coins, in)
		}
	}
	for i, out := range tx.match.Outputs {
		at := script.Outpoint{Tx: tx.id, Index: uint32(i)}
		c.coins[at] = coin{out, b.Height, tx.match.Coinbase, tx.match.PegOut}
		if tx.match.PegOut && i == 0 {
			c.hogEx = at
		}
	}
}

func (c *Chain) disconnect(depth int) {
	var again []*transaction
	for range min(depth, len(c.best)-1) {
		b := c.tip()
		c.best = c.best[:len(c.best)-1]
		for _, tx := range b.transactions {
			for i := range tx.match.Outputs {
				delete(c.coins, script.Outpoint{Tx: tx.id, Index: uint32(i)})
			}
		}
		for at, coin := range b.spent {
			if coin.height <= uint32(len(c.best)-1) {
				c.coins[at] = coin
			}
		}
		waiting := slices.DeleteFunc(slices.Clone(b.transactions), func(tx *transaction) bool {
			return tx.match.Coinbase || tx.match.PegOut
		})
		again = append(waiting, again...)
		c.pegs = append(slices.Clone(b.pegs), c.pegs...)
		c.hogEx = b.hogEx
	}
	rest := c.pool
	c.pool = nil
	for _, tx := range append(again, rest...) {
		if tx.funded || c.check(tx) == nil {
			c.pool = append(c.pool, tx)
		}
	}
}

// accept makes a transaction wait, or says why not. If forced, it takes the place
// of whatever conflicts with it.
func (c *Chain) accept(raw []byte, forced bool) error {
	msg := &wire.MsgTx{}
	in := bytes.NewReader(raw)
	if err := msg.Deserialize(in); err != nil || in.Len() > 0 {
		return fmt.Errorf("%w: not a transaction", chain.ErrRefused)
	}
	tx := newTransaction(msg)
	if len(raw) > chain.MaxTransaction || tx.weight > chain.MaxTransaction {
		return fmt.Errorf("%w: too large", chain.ErrRefused)
	}
	if c.known(tx) {
		return nil
	}
	conflicts := c.conflicts(tx)
	if err := c.check(tx); err != nil {
		return err
	}
	if !forced {
		if want, ok := script.Fee(c.network.MinRelay, tx.weight); !ok || tx.fee < want {
			return fmt.Errorf("%w: %d of %d", chain.ErrFeeTooLow, tx.fee, want)
		}
		if err := c.replaces(tx, conflicts); err != nil {
			return err
		}
	}
	for _, other := range conflicts {
		c.drop(other.id)
	}
	c.pool = append(c.pool, tx)
	return nil
}

// known tells whether a transaction waits or has an unspent output in a block.
func (c *Chain) known(tx *transaction) bool {
	for i := range tx.match.Outputs {
		if _, ok := c.coins[script.Outpoint{Tx: tx.id, Index: uint32(i)}]; ok {
			return true
		}
	}
	return slices.ContainsFunc(c.pool, func(p *transaction) bool { return p.id == tx.id })
}

// conflicts returns what waits and spends an input of tx.
func (c *Chain) conflicts(tx *transaction) []*transaction {
	var list []*transaction
	for _, p := range c.pool {
		if slices.ContainsFunc(p.match.Inputs, func(in script.Outpoint) bool { return slices.Contains(tx.match.Inputs, in) }) {
			list = append(list, p)
		}
	}
	return list
}

// replaces checks the rules of replacement: everything that goes has allowed it,
// and the newcomer pays for it and for its own way.
func (c *Chain) replaces(tx *transaction, conflicts []*transaction) error {
	if len(conflicts) == 0 {
		return nil
	}
	var paid asset.Amount
	for _, other := range conflicts {
		signals := slices.ContainsFunc(other.msg.TxIn, func(in *wire.TxIn) bool { return in.Sequence < finalSequence-1 })
		if !c.network.Replace || !signals {
			return fmt.Errorf("%w: %v", chain.ErrConflict, other.id)
		}
		if uint64(tx.fee)*other.weight <= uint64(other.fee)*tx.weight {
			return fmt.Errorf("%w: fee rate is not above that of %v", chain.ErrConflict, other.id)
		}
		paid += other.fee
	}
	way, ok := script.Fee(c.network.MinRelay, tx.weight)
	if !ok || tx.fee < paid+way {
		return fmt.Errorf("%w: fee is not above %d", chain.ErrConflict, paid+way)
	}
	return nil
}

// drop takes a transaction and what spends it out of the pool.
func (c *Chain) drop(id script.Hash) {
	gone := map[script.Hash]bool{id: true}
	c.pool = slices.DeleteFunc(c.pool, func(p *transaction) bool {
		for _, in := range p.match.Inputs {
			gone[p.id] = gone[p.id] || gone[in.Tx]
		}
		return gone[p.id]
	})
}

// check sets the fee of a transaction, and says what keeps it out of the next block.
func (c *Chain) check(tx *transaction) error {
	if len(tx.match.Inputs) == 0 || len(tx.match.Outputs) == 0 {
		return fmt.Errorf("%w: no inputs or outputs", chain.ErrRefused)
	}
	var in, out asset.Amount
	spent := map[wire.OutPoint]*wire.TxOut{}
	for i, at := range tx.match.Inputs {
		coin, ok := c.find(at)
		if _, twice := spent[tx.msg.TxIn[i].PreviousOutPoint]; !ok || twice {
			return fmt.Errorf("%w: %v", chain.ErrMissingInputs, at)
		}
		if err := c.mature(tx, i, coin); err != nil {
			return err
		}
		in += coin.Amount
		spent[tx.msg.TxIn[i].PreviousOutPoint] = wire.NewTxOut(int64(coin.Amount), coin.Script)
	}
	for _, o := range tx.match.Outputs {
		if o.Amount > asset.MaxSupply || out > asset.MaxSupply {
			return fmt.Errorf("%w: output out of range", chain.ErrRefused)
		}
		if o.Amount < c.network.Dust && !bytes.HasPrefix(o.Script, []byte{txscript.OP_RETURN}) {
			return fmt.Errorf("%w: dust", chain.ErrRefused)
		}
		out += o.Amount
	}
	if out > in {
		return fmt.Errorf("%w: pays %d out of %d", chain.ErrRefused, out, in)
	}
	tx.fee = in - out
	if lock := tx.msg.LockTime; lock > 0 && (lock >= txscript.LockTimeThreshold || lock >= c.next()) {
		if slices.ContainsFunc(tx.msg.TxIn, func(in *wire.TxIn) bool { return in.Sequence != finalSequence }) {
			return fmt.Errorf("%w: non-final", chain.ErrRefused)
		}
	}
	if c.verify {
		return verify(tx.msg, spent)
	}
	return nil
}

// find looks for a coin in blocks and among what waits.
func (c *Chain) find(at script.Outpoint) (coin, bool) {
	if found, ok := c.coins[at]; ok {
		return found, true
	}
	for _, p := range c.pool {
		if p.id == at.Tx && int(at.Index) < len(p.match.Outputs) {
			return coin{Output: p.match.Outputs[at.Index]}, true
		}
	}
	return coin{}, false
}

// mature says whether an input may be spent in the next block by its age.
func (c *Chain) mature(tx *transaction, input int, from coin) error {
	height := from.height
	if height == 0 {
		height = c.next()
	}
	age := c.next() - height
	if from.coinbase && age < coinbaseMaturity || from.pegOut && age < c.network.PegOutExtra {
		return fmt.Errorf("%w: input %d is %d blocks old", chain.ErrImmature, input, age)
	}
	lock := tx.msg.TxIn[input].Sequence
	if tx.msg.Version < 2 || lock&wire.SequenceLockTimeDisabled != 0 || lock&wire.SequenceLockTimeIsSeconds != 0 {
		return nil
	}
	if age < lock&wire.SequenceLockTimeMask {
		return fmt.Errorf("%w: relative lock of input %d", chain.ErrImmature, input)
	}
	return nil
}

func verify(msg *wire.MsgTx, spent map[wire.OutPoint]*wire.TxOut) error {
	fetcher := txscript.NewMultiPrevOutFetcher(spent)
	hashes := txscript.NewTxSigHashes(msg, fetcher)
	for i, in := range msg.TxIn {
		from := spent[in.PreviousOutPoint]
		engine, err := txscript.NewEngine(from.PkScript, msg, i, txscript.StandardVerifyFlags, nil, hashes, from.Value, fetcher)
		if err == nil {
			err = engine.Execute()
		}
		if err != nil {
			return fmt.Errorf("%w: input %d: %v", chain.ErrRefused, i, err) //nolint:errorlint // text for people
		}
	}
	return nil
}

func newTransaction(msg *wire.MsgTx) *transaction {
	tx := &transaction{msg: msg, id: script.Hash(msg.TxHash())}
	tx.weight = uint64(3*msg.SerializeSizeStripped() + msg.SerializeSize())
	tx.match = chain.Transaction{ID: tx.id}
	for _, in := range msg.TxIn {
		at := script.Outpoint{Tx: script.Hash(in.PreviousOutPoint.Hash), Index: in.PreviousOutPoint.Index}
		if at.Index == wire.MaxPrevOutIndex && at.Tx.IsZero() {
			tx.match.Coinbase = true
			continue
		}
		tx.match.Inputs = append(tx.match.Inputs, at)
	}
	for _, out := range msg.TxOut {
		tx.match.Outputs = append(tx.match.Outputs, script.Output{Script: out.PkScript, Amount: asset.Amount(out.Value)})
	}
	return tx
}

func hashOf(b *block) script.Hash {
	data := binary.BigEndian.AppendUint32(slices.Clone(b.Parent[:]), b.Height)
	for _, tx := range b.transactions {
		data = append(data, tx.id[:]...)
	}
	return script.Hash(chainhash.DoubleHashH(data))
}
