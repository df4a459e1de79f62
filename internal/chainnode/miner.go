package chainnode

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"souk/asset"
	"souk/chain"
	"souk/script"
)

const (
	// maturity is the number of blocks after which a reward can be spent.
	maturity = 100
	// fee is what a payment of a miner pays: 100 units for a virtual byte, the
	// minimum of Namecoin, of a transaction of up to 500.
	fee = 50_000
)

// Miner makes the blocks of a node, and pays with their rewards. It is for one goroutine.
type Miner struct {
	*Wallet
	config  Config
	node    *Node
	backend chain.Backend
	at      chain.Locator
	rewards []reward // ascending
	forker  *Node    // of ltcd, which cannot forget blocks: makes those of another branch
	forks   int
}

type reward struct {
	chain.Payment
	height uint32
	used   bool
}

// StartMiner starts a node whose rewards go to the miner, and makes its first blocks:
// so many that payments can be made and segwit is active.
func StartMiner(ctx context.Context, c Config) (*Miner, error) {
	m := &Miner{Wallet: NewWallet("miner of " + string(c.Kind)), config: c}
	m.config.Reward = m.Script()
	var err error
	if m.node, err = Start(ctx, m.config); err != nil {
		return nil, err
	}
	if m.backend, err = m.node.Backend(); err != nil {
		return nil, errors.Join(err, m.Stop())
	}
	blocks := 2 * maturity
	if first := int(c.Kind.Network().SegwitHeight); first > 1 {
		blocks = first + 8
	}
	if err := m.Mine(ctx, blocks); err != nil {
		return nil, errors.Join(err, m.Stop())
	}
	return m, nil
}

// Node returns the miner's node.
func (m *Miner) Node() *Node { return m.node }

// Reward returns the script that rewards go to.
func (m *Miner) Reward() []byte { return m.config.Reward }

// Stop ends the node.
func (m *Miner) Stop() error {
	var err error
	if m.backend != nil {
		err = m.backend.Close()
	}
	if m.forker != nil {
		err = errors.Join(err, m.forker.Stop())
	}
	return errors.Join(err, m.node.Stop())
}

// Mine makes blocks. The first has all that waits.
func (m *Miner) Mine(ctx context.Context, blocks int) error {
	for blocks > 0 {
		some := min(blocks, 50) // in the time of one request
		if err := m.node.Generate(ctx, some); err != nil {
			return err
		}
		blocks -= some
	}
	return m.follow(ctx)
}

// Tip returns the last block.
func (m *Miner) Tip(ctx context.Context) (chain.Block, error) { return m.backend.Tip(ctx) }

// Pay sends an amount to a script. It waits for a block then.
func (m *Miner) Pay(ctx context.Context, out []byte, amount asset.Amount) (script.Outpoint, error) {
	tip, err := m.Tip(ctx)
	if err != nil {
		return script.Outpoint{}, err
	}
	var coins []chain.Payment
	var sum asset.Amount
	for i := range m.rewards {
		r := &m.rewards[i]
		if r.used || r.height+maturity > tip.Height {
			continue
		}
		r.used = true
		coins = append(coins, r.Payment)
		if sum += r.Amount; sum >= amount+2*fee {
			break
		}
	}
	if sum < amount+2*fee {
		return script.Outpoint{}, fmt.Errorf("rewards of %d units do not pay %d", sum, amount)
	}
	raw, err := m.Sign(coins, []script.Output{{Script: out, Amount: amount}, {Script: m.Script(), Amount: sum - amount - fee}})
	if err != nil {
		return script.Outpoint{}, err
	}
	if err := m.backend.Broadcast(ctx, raw); err != nil {
		return script.Outpoint{}, err
	}
	id, err := idOf(raw)
	return script.Outpoint{Tx: id}, err
}

// Waiting tells whether a transaction waits for a block.
func (m *Miner) Waiting(ctx context.Context, id script.Hash) (bool, error) {
	var pool []script.Hash
	_, err := m.node.client.Call(ctx, &pool, "getrawmempool")
	return slices.Contains(pool, id), err
}

// Reorganise puts so many new blocks in the place of the last depth ones. The
// transactions of instead, which must pay more than what they conflict with, are
// in the new ones; what else the old ones held is in them or waits.
func (m *Miner) Reorganise(ctx context.Context, depth, blocks int, instead ...[]byte) error {
	tip, err := m.Tip(ctx)
	if err != nil {
		return err
	}
	if depth < 1 || uint32(depth) >= tip.Height || blocks <= depth {
		return fmt.Errorf("reorganise %d blocks into %d at height %d", depth, blocks, tip.Height)
	}
	base := tip.Height - uint32(depth)
	if m.config.Kind == Ltcd {
		err = m.fork(ctx, base, tip.Height, blocks, instead)
	} else {
		err = m.invalidate(ctx, base, blocks, instead)
	}
	return errors.Join(err, m.follow(ctx))
}

func (m *Miner) invalidate(ctx context.Context, base uint32, blocks int, instead [][]byte) error {
	hash, err := blockAt(ctx, m.node, base+1)
	if err != nil {
		return err
	}
	if _, err := m.node.client.Do(ctx, nil, "invalidateblock", hash); err != nil {
		return err
	}
	for _, raw := range instead {
		if err := m.backend.Broadcast(ctx, raw); err != nil {
			return err
		}
	}
	return m.node.Generate(ctx, blocks)
}

// fork lets a second node, which only knows the blocks up to base, make the other
// branch, and hands it to the first.
func (m *Miner) fork(ctx context.Context, base, tip uint32, blocks int, instead [][]byte) error {
	known := uint32(0)
	if m.forker != nil {
		if _, err := m.forker.client.Call(ctx, &known, "getblockcount"); err != nil {
			return err
		}
	}
	if m.forker == nil || known > base {
		if m.forker != nil {
			if err := m.forker.Stop(); err != nil {
				return err
			}
		}
		c := m.config
		m.forks++
		c.Dir = filepath.Join(c.Dir, fmt.Sprintf("fork-%d", m.forks))
		var err error
		if m.forker, err = Start(ctx, c); err != nil {
			return err
		}
		known = 0
	}
	if err := hand(ctx, m.node, m.forker, known+1, base); err != nil {
		return err
	}
	backend, err := m.forker.Backend()
	if err != nil {
		return err
	}
	defer backend.Close() //nolint:errcheck // never fails
	for _, raw := range instead {
		if err := backend.Broadcast(ctx, raw); err != nil {
			return err
		}
	}
	again, err := transactions(ctx, m.node, base+1, tip)
	if err != nil {
		return err
	}
	for _, raw := range again { // what conflicts is refused, as it should be
		_, err := m.forker.client.Call(ctx, nil, "sendrawtransaction", raw)
		if errors.Is(err, chain.ErrUnavailable) {
			return err
		}
	}
	if err := m.forker.Generate(ctx, blocks); err != nil {
		return err
	}
	return hand(ctx, m.forker, m.node, base+1, base+uint32(blocks))
}

// hand gives blocks of one node to another.
func hand(ctx context.Context, from, to *Node, first, last uint32) error {
	for height := first; height <= last; height++ {
		hash, err := blockAt(ctx, from, height)
		if err != nil {
			return err
		}
		var raw string
		if _, err := from.client.Call(ctx, &raw, "getblock", hash, 0); err != nil {
			return err
		}
		var refused string
		if _, err := to.client.Call(ctx, &refused, "submitblock", raw); err != nil || refused != "" {
			return fmt.Errorf("submit block %d: %s: %w", height, refused, err)
		}
	}
	return nil
}

// transactions returns what blocks of ltcd hold but for rewards, and what waits.
func transactions(ctx context.Context, n *Node, first, last uint32) ([]string, error) {
	var list []string
	for height := first; height <= last; height++ {
		hash, err := blockAt(ctx, n, height)
		if err != nil {
			return nil, err
		}
		var block struct {
			Transactions []struct {
				Hex string `json:"hex"`
			} `json:"rawtx"`
		}
		if _, err := n.client.Call(ctx, &block, "getblock", hash, 2); err != nil {
			return nil, err
		}
		for _, tx := range block.Transactions[1:] {
			list = append(list, tx.Hex)
		}
	}
	var pool []string
	if _, err := n.client.Call(ctx, &pool, "getrawmempool"); err != nil {
		return nil, err
	}
	for _, id := range pool {
		var raw string
		if _, err := n.client.Call(ctx, &raw, "getrawtransaction", id); err != nil {
			return nil, err
		}
		list = append(list, raw)
	}
	return list, nil
}

func blockAt(ctx context.Context, n *Node, height uint32) (hash string, err error) {
	_, err = n.client.Call(ctx, &hash, "getblockhash", height)
	return hash, err
}

// follow learns of new rewards, and forgets those that a reorganisation took.
// follow reads on. A block that was replaced while it was read is an error, after which the
// next try finds the branch that stays.
func (m *Miner) follow(ctx context.Context) error {
	for end := time.Now().Add(followAgain); ; {
		at, err := chain.Walk(ctx, m.backend, m.at, chain.NewFilter(m.config.Reward), (*ledger)(m))
		m.at = at
		if err == nil || ctx.Err() != nil || time.Now().After(end) {
			return err
		}
		select {
		case <-time.After(followPause):
		case <-ctx.Done():
		}
	}
}

const (
	followAgain = 10 * time.Second
	followPause = 50 * time.Millisecond
)

// ledger is a miner that reads the chain.
type ledger Miner

var _ chain.Visitor = (*ledger)(nil)

func (l *ledger) Rewind(to chain.Point) error {
	l.rewards = slices.DeleteFunc(l.rewards, func(r reward) bool { return r.height > to.Height })
	return nil
}

func (l *ledger) Connect(b chain.Block, found chain.Found) error {
	for _, p := range found.Payments {
		if p.Coinbase {
			l.rewards = append(l.rewards, reward{Payment: p, height: b.Height})
		}
	}
	return nil
}

// Received answers what outputs with a script hold or held, in blocks of the chain.
func (m *Miner) Received(ctx context.Context, out []byte) (sum asset.Amount, err error) {
	v := &receipts{}
	_, err = chain.Walk(ctx, m.backend, chain.Locator{}, chain.NewFilter(out), v)
	return v.sum, err
}

type receipts struct{ sum asset.Amount }

// Rewind implements chain.Visitor.
func (*receipts) Rewind(chain.Point) error { return errors.New("the chain changed meanwhile") }

// Connect implements chain.Visitor.
func (r *receipts) Connect(_ chain.Block, found chain.Found) error {
	for _, p := range found.Payments {
		r.sum += p.Amount
	}
	return nil
}
