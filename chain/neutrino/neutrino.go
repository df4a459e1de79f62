// Package neutrino is the adapter of the chain port to Bitcoin without a node: a
// light client that asks peers of Bitcoin's network for headers, for the compact
// filters of blocks (BIP-157 and 158), and for the blocks in which a filter says
// that there may be something. It verifies proof of work, and that blocks belong to their
// headers and filters to the filter headers that its peers agree on; a majority of
// bad peers could hide a payment from it, but not invent one.
//
// It sees nothing of what waits for a block, has no data to estimate fees from, and
// learns of few refusals. Floor 2; the only package that links neutrino.
package neutrino

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/btcsuite/btcd/btcutil/v2/gcs/builder"
	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
	"github.com/btcsuite/btcwallet/walletdb"
	_ "github.com/btcsuite/btcwallet/walletdb/bdb" // the database of headers
	"github.com/lightninglabs/neutrino"
	"github.com/lightninglabs/neutrino/pushtx"

	"souk/asset"
	"souk/chain"
	"souk/chain/bitcoin"
	"souk/script"
)

const (
	defaultTimeout = 60 * time.Second
	// filterCache holds what is fetched at once when a chain is read from far back:
	// a thousand filters of 20 to 40 kB.
	filterCache = 64 << 20
	blockCache  = 32 << 20
)

// Config says how to reach the network.
type Config struct {
	// Dir is the folder of headers, made if missing. One process has it at a time.
	Dir string
	// Peers are host:port of the only peers to ask. Without any, peers are found by
	// Bitcoin's seeds.
	Peers []string
	// Timeout is for what is asked of peers; 0 stands for a minute.
	Timeout time.Duration
	// BroadcastTimeout is how long peers are given to ask for a transaction; 0 stands
	// for the library's 5 seconds.
	BroadcastTimeout time.Duration
}

// Client is a chain.Backend.
type Client struct {
	network *script.Network
	timeout time.Duration
	db      walletdb.DB
	service *neutrino.ChainService
	synced  atomic.Bool

	mu     sync.RWMutex
	closed bool
	calls  sync.WaitGroup
	quit   chan struct{}
}

var _ chain.Backend = (*Client)(nil)

// Open starts a light client. Until it has read the headers that its peers have,
// calls fail with chain.ErrWarmup.
func Open(network *script.Network, c Config) (*Client, error) {
	params, err := parameters(network)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("folder of the light client: %w", err)
	}
	db, err := openDB(filepath.Join(c.Dir, "neutrino.db"))
	if err != nil {
		return nil, fmt.Errorf("database of the light client: %w", err)
	}
	service, err := neutrino.NewChainService(neutrino.Config{
		DataDir:          c.Dir,
		Database:         db,
		ChainParams:      *params,
		ConnectPeers:     c.Peers,
		FilterCacheSize:  filterCache,
		BlockCacheSize:   blockCache,
		BroadcastTimeout: c.BroadcastTimeout,
	})
	if err == nil {
		err = service.Start(context.Background())
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start the light client: %w", err), db.Close())
	}
	client := &Client{network: network, timeout: c.Timeout, db: db, service: service, quit: make(chan struct{})}
	if client.timeout == 0 {
		client.timeout = defaultTimeout
	}
	return client, nil
}

func parameters(network *script.Network) (*chaincfg.Params, error) {
	for name, params := range map[string]*chaincfg.Params{
		"bitcoin":          &chaincfg.MainNetParams,
		"bitcoin-testnet4": &chaincfg.TestNet4Params,
		"bitcoin-signet":   &chaincfg.SigNetParams,
		"bitcoin-regtest":  &chaincfg.RegressionNetParams,
	} {
		if name == network.Name && script.Hash(*params.GenesisHash) == network.Genesis {
			return params, nil
		}
	}
	return nil, fmt.Errorf("the light client does not know %s", network.Name)
}

func openDB(file string) (walletdb.DB, error) {
	const (
		driver = "bdb"
		wait   = 2 * time.Second // for another process to let go of it
	)
	if _, err := os.Stat(file); errors.Is(err, os.ErrNotExist) {
		return walletdb.Create(driver, file, true, wait, false)
	}
	return walletdb.Open(driver, file, true, wait, false)
}

// Network returns the network that the client follows.
func (c *Client) Network() *script.Network { return c.network }

// Tip is as the port says.
func (c *Client) Tip(ctx context.Context) (chain.Block, error) {
	return ask(ctx, c, func() (chain.Block, error) { return again(c.tip) })
}

// Follow is as the port says.
func (c *Client) Follow(ctx context.Context, from chain.Locator, limit int) (chain.Step, error) {
	return ask(ctx, c, func() (chain.Step, error) {
		return again(func() (chain.Step, error) { return c.follow(from, min(max(limit, 1), chain.MaxStep)) })
	})
}

// errMoved says that a reorganisation is on its way.
var errMoved = errors.New("chain has moved")

// again asks until the chain stands still for the time of an answer.
func again[T any](answer func() (T, error)) (result T, err error) {
	const (
		tries = 20
		pause = 10 * time.Millisecond
	)
	for range tries {
		if result, err = answer(); !errors.Is(err, errMoved) {
			return result, err
		}
		time.Sleep(pause)
	}
	return result, fmt.Errorf("%w: the chain moves too fast", chain.ErrUnavailable)
}

// Scan is as the port says.
func (c *Client) Scan(ctx context.Context, at chain.Point, filter *chain.Filter) (chain.Found, error) {
	scripts := filter.Scripts()
	transactions, err := ask(ctx, c, func() ([]chain.Transaction, error) { return c.read(at, scripts) })
	if err != nil {
		return chain.Found{}, err
	}
	return filter.Match(transactions), nil
}

// Coin is as the port says. The pool is not seen.
func (c *Client) Coin(ctx context.Context, coin chain.Coin) (chain.Fate, error) {
	at := func(ctx context.Context, height uint32) (chain.Point, error) {
		b, err := ask(ctx, c, func() (chain.Block, error) {
			return again(func() (chain.Block, error) { return c.block(height) })
		})
		return b.Point, err
	}
	return chain.Trace(ctx, c, at, coin)
}

// FeeRate never has data.
func (c *Client) FeeRate(ctx context.Context, _ uint32) (asset.Amount, error) {
	return ask(ctx, c, func() (asset.Amount, error) { return 0, chain.ErrNoEstimate })
}

// Broadcast offers a transaction to all peers, and to those of later blocks again
// until the client is closed.
func (c *Client) Broadcast(ctx context.Context, raw []byte) error {
	_, err := ask(ctx, c, func() (struct{}, error) {
		in := bytes.NewReader(raw)
		msg := &wire.MsgTx{}
		if err := msg.Deserialize(in); err != nil || in.Len() > 0 || len(raw) > chain.MaxTransaction {
			return struct{}{}, fmt.Errorf("%w: not a transaction", chain.ErrRefused)
		}
		if c.service.ConnectedCount() == 0 {
			return struct{}{}, fmt.Errorf("%w: no peers", chain.ErrUnavailable)
		}
		return struct{}{}, refusal(c.service.SendTransaction(msg))
	})
	return err
}

// refusal says in the port's words what peers answered.
func refusal(err error) error {
	var said *pushtx.BroadcastError
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &said):
		return fmt.Errorf("%w: %v", chain.ErrUnavailable, err) //nolint:errorlint // the library's text
	}
	switch said.Code {
	case pushtx.Mempool, pushtx.Confirmed:
		return nil
	case pushtx.InsufficientFee:
		return fmt.Errorf("%w: %s", chain.ErrFeeTooLow, said.Reason)
	case pushtx.Invalid, pushtx.Unknown:
	}
	return fmt.Errorf("%w: %s", chain.ErrRefused, said.Reason)
}

// Close ends the client and every call.
func (c *Client) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil
	}
	c.closed = true
	close(c.quit)
	c.mu.Unlock()
	err := c.service.Stop()
	c.calls.Wait()
	return errors.Join(err, c.db.Close())
}

// ask lets the library answer, which knows no contexts, and waits no longer than
// the caller does.
func ask[T any](ctx context.Context, c *Client, answer func() (T, error)) (result T, err error) {
	c.mu.RLock()
	if c.closed {
		c.mu.RUnlock()
		return result, chain.ErrClosed
	}
	if ctx.Err() != nil {
		c.mu.RUnlock()
		return result, fmt.Errorf("%w: %w", chain.ErrUnavailable, ctx.Err())
	}
	c.calls.Add(1)
	c.mu.RUnlock()
	type outcome struct {
		result T
		err    error
	}
	done := make(chan outcome, 1)
	go func() {
		defer c.calls.Done()
		result, err := answer()
		done <- outcome{result, err}
	}()
	timer := time.NewTimer(c.timeout)
	defer timer.Stop()
	select {
	case o := <-done:
		return o.result, o.err
	case <-c.quit:
		return result, chain.ErrClosed
	case <-ctx.Done():
		return result, fmt.Errorf("%w: %w", chain.ErrUnavailable, ctx.Err())
	case <-timer.C:
		return result, fmt.Errorf("%w: no answer of a peer in time", chain.ErrUnavailable)
	}
}

// height is how far headers and filter headers go.
func (c *Client) height() (uint32, error) {
	if !c.synced.Load() {
		if !c.service.IsCurrent() {
			return 0, fmt.Errorf("%w: it reads headers", chain.ErrWarmup)
		}
		c.synced.Store(true)
	}
	best, err := c.service.BestBlock()
	if err != nil {
		return 0, fmt.Errorf("%w: best block: %v", chain.ErrUnavailable, err) //nolint:errorlint // the library's text
	}
	return uint32(best.Height), nil
}

func (c *Client) tip() (chain.Block, error) {
	height, err := c.height()
	if err != nil {
		return chain.Block{}, err
	}
	b, err := c.block(height)
	if errors.Is(err, chain.ErrUnknownBlock) {
		return chain.Block{}, errMoved
	}
	return b, err
}

// block returns the block of the best chain at a height.
func (c *Client) block(height uint32) (chain.Block, error) {
	top, err := c.height()
	if err != nil {
		return chain.Block{}, err
	}
	if height > top {
		return chain.Block{}, chain.ErrUnknownBlock
	}
	header, err := c.service.BlockHeaders.FetchHeaderByHeight(height)
	if err != nil { // it was there a moment ago
		return chain.Block{}, errMoved
	}
	return chain.Block{
		Point:  chain.Point{Height: height, Hash: script.Hash(header.BlockHash())},
		Parent: script.Hash(header.PrevBlock),
		Time:   uint32(header.Timestamp.Unix()),
	}, nil
}

// follow fails with errMoved if a reorganisation comes between.
func (c *Client) follow(from chain.Locator, limit int) (chain.Step, error) {
	tip, err := c.tip()
	if err != nil {
		return chain.Step{}, err
	}
	step := chain.Step{Fork: chain.Point{Hash: c.network.Genesis}, Tip: tip.Point}
	for i := len(from) - 1; i >= 0; i-- {
		if from[i].Height <= tip.Height {
			b, err := c.block(from[i].Height)
			if errors.Is(err, chain.ErrUnknownBlock) {
				return chain.Step{}, errMoved
			}
			if err != nil {
				return chain.Step{}, err
			}
			if b.Point == from[i] {
				step.Fork = b.Point
				break
			}
		}
		if i == 0 {
			return chain.Step{}, chain.ErrForked
		}
	}
	for parent := step.Fork; parent.Height < tip.Height && len(step.Blocks) < limit; {
		b, err := c.block(parent.Height + 1)
		if errors.Is(err, chain.ErrUnknownBlock) || err == nil && b.Parent != parent.Hash {
			return chain.Step{}, errMoved
		}
		if err != nil {
			return chain.Step{}, err
		}
		step.Blocks = append(step.Blocks, b)
		parent = b.Point
	}
	return step, nil
}

// read returns the transactions of a block, or none if its filter says that none
// of the scripts is in it.
func (c *Client) read(at chain.Point, scripts [][]byte) ([]chain.Transaction, error) {
	b, err := again(func() (chain.Block, error) { return c.block(at.Height) })
	if err != nil {
		return nil, err
	}
	if b.Point != at {
		return nil, chain.ErrUnknownBlock
	}
	if at.Height == 0 || len(scripts) == 0 {
		return nil, nil
	}
	hash := chainhash.Hash(at.Hash)
	filter, err := c.service.GetCFilter(hash, wire.GCSFilterRegular, neutrino.OptimisticBatch())
	if err != nil {
		return nil, c.unavailable(at, err)
	}
	if filter.N() == 0 {
		return nil, nil
	}
	some, err := filter.MatchAny(builder.DeriveKey(&hash), scripts)
	if err != nil {
		return nil, fmt.Errorf("filter of %v: %w: %w", at, chain.ErrMalformed, err)
	}
	if !some {
		return nil, nil
	}
	block, err := c.service.GetBlock(hash)
	if err != nil {
		return nil, c.unavailable(at, err)
	}
	return bitcoin.Transactions(block.MsgBlock(), at)
}

// unavailable says why a block could not be had: perhaps it has gone meanwhile.
func (c *Client) unavailable(at chain.Point, err error) error {
	b, now := again(func() (chain.Block, error) { return c.block(at.Height) })
	if now == nil && b.Point != at || errors.Is(now, chain.ErrUnknownBlock) {
		return chain.ErrUnknownBlock
	}
	return fmt.Errorf("%v: %w: %v", at, chain.ErrUnavailable, err) //nolint:errorlint // the library's text
}
