package rpc

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/btcsuite/btcd/wire/v2"

	"souk/asset"
	"souk/chain"
	"souk/script"
)

// Dialect is what differs between the chains that daemons follow.
type Dialect struct {
	// Read returns the transactions of a block, in their order.
	Read func(ctx context.Context, c *Client, at chain.Point) ([]chain.Transaction, error)
}

// Node is a chain.Backend over one daemon.
type Node struct {
	client  *Client
	network *script.Network
	dialect Dialect

	checked   atomic.Bool // the daemon follows the network; false again after a connection failed
	noSpender atomic.Bool // the daemon has no gettxspendingprevout
	noSmart   atomic.Bool // the daemon has no estimatesmartfee
}

var _ chain.Backend = (*Node)(nil)

// Open returns a backend. It does not call the daemon yet; the first call of any
// method checks that the daemon follows the network (T-60).
func Open(network *script.Network, c Config, dialect Dialect) (*Node, error) {
	client, err := NewClient(c)
	if err != nil {
		return nil, err
	}
	return &Node{client: client, network: network, dialect: dialect}, nil
}

// Network returns the network that the daemon must follow.
func (n *Node) Network() *script.Network { return n.network }

// Close ends the backend.
func (n *Node) Close() error { return n.client.Close() }

// Software is what a daemon says that it is.
type Software struct {
	Name    string `json:"subversion"` // "/LitecoinCore:0.21.5.4/"
	Version int    `json:"version"`    // 210504
}

// Software asks the daemon what it is. Not every one tells.
func (n *Node) Software(ctx context.Context) (s Software, err error) {
	if err := n.check(ctx); err != nil {
		return s, err
	}
	return s, n.call(ctx, &s, "getnetworkinfo")
}

// Tip is as the port says.
func (n *Node) Tip(ctx context.Context) (chain.Block, error) {
	return again(func() (chain.Block, error) { return n.tip(ctx) })
}

// Follow is as the port says.
func (n *Node) Follow(ctx context.Context, from chain.Locator, limit int) (chain.Step, error) {
	return again(func() (chain.Step, error) { return n.follow(ctx, from, min(max(limit, 1), chain.MaxStep)) })
}

// errMoved says that a reorganisation came between two calls.
var errMoved = errors.New("chain has moved")

// again asks until the chain stands still for the time of an answer.
func again[T any](answer func() (T, error)) (result T, err error) {
	const tries = 5
	for range tries {
		if result, err = answer(); !errors.Is(err, errMoved) {
			return result, err
		}
	}
	return result, fmt.Errorf("%w: the chain moves too fast", chain.ErrUnavailable)
}

func (n *Node) tip(ctx context.Context) (chain.Block, error) {
	if err := n.check(ctx); err != nil {
		return chain.Block{}, err
	}
	var hash script.Hash
	if err := n.call(ctx, &hash, "getbestblockhash"); err != nil {
		return chain.Block{}, err
	}
	b, err := n.header(ctx, hash)
	return b, moved(err)
}

func (n *Node) follow(ctx context.Context, from chain.Locator, limit int) (chain.Step, error) {
	tip, err := n.tip(ctx)
	if err != nil {
		return chain.Step{}, err
	}
	fork, err := n.fork(ctx, from, tip)
	if err != nil {
		return chain.Step{}, err
	}
	step := chain.Step{Fork: fork, Tip: tip.Point}
	for parent := fork; parent.Height < tip.Height && len(step.Blocks) < limit; {
		next, err := n.at(ctx, parent.Height+1)
		if err != nil {
			return chain.Step{}, moved(err)
		}
		b, err := n.header(ctx, next.Hash)
		if err != nil {
			return chain.Step{}, moved(err)
		}
		if b.Parent != parent.Hash || b.Point != next {
			return chain.Step{}, errMoved
		}
		step.Blocks = append(step.Blocks, b)
		parent = b.Point
	}
	return step, nil
}

// moved turns the absence of a block that was there a moment ago into errMoved.
func moved(err error) error {
	if errors.Is(err, chain.ErrUnknownBlock) {
		return errMoved
	}
	return err
}

// fork returns the last point of a locator that is on the chain.
func (n *Node) fork(ctx context.Context, from chain.Locator, tip chain.Block) (chain.Point, error) {
	if len(from) == 0 {
		return chain.Point{Hash: n.network.Genesis}, nil
	}
	for i := len(from) - 1; i >= 0; i-- {
		if from[i].Height > tip.Height {
			continue
		}
		there, err := n.at(ctx, from[i].Height)
		if err != nil && !errors.Is(err, chain.ErrUnknownBlock) {
			return chain.Point{}, err
		}
		if err == nil && there == from[i] {
			return there, nil
		}
	}
	return chain.Point{}, chain.ErrForked
}

// Scan is as the port says.
func (n *Node) Scan(ctx context.Context, at chain.Point, filter *chain.Filter) (chain.Found, error) {
	if err := n.check(ctx); err != nil {
		return chain.Found{}, err
	}
	there, err := n.at(ctx, at.Height) // daemons answer for stale blocks too
	if err != nil {
		return chain.Found{}, err
	}
	if there != at {
		return chain.Found{}, chain.ErrUnknownBlock
	}
	transactions, err := n.dialect.Read(ctx, n.client, at)
	if err != nil {
		return chain.Found{}, n.failed(blockError(err))
	}
	return filter.Match(transactions), nil
}

// Coin is as the port says.
func (n *Node) Coin(ctx context.Context, coin chain.Coin) (chain.Fate, error) {
	if err := n.check(ctx); err != nil {
		return chain.Fate{}, err
	}
	// Daemons like Core do not show what the pool spends if asked to look there;
	// btcd shows it all the same, but tells the spender.
	known, confirmations, err := n.output(ctx, coin.At, true)
	switch {
	case err != nil:
		return chain.Fate{}, err
	case known && confirmations == 0:
		return chain.Fate{State: chain.Missing}, nil // it waits itself
	}
	pending := !known
	if pending {
		known, _, err = n.output(ctx, coin.At, false)
		if err != nil {
			return chain.Fate{}, err
		}
		if !known {
			return chain.Trace(ctx, n, n.at, coin)
		}
	}
	by, err := n.spender(ctx, coin.At)
	switch {
	case err != nil:
		return chain.Fate{}, err
	case pending || !by.IsZero():
		return chain.Fate{State: chain.Pending, By: by}, nil
	}
	return chain.Fate{State: chain.Unspent}, nil
}

// output tells whether an output exists that no block spends, and, if the pool
// counts, nothing that waits.
func (n *Node) output(ctx context.Context, at script.Outpoint, pool bool) (exists bool, confirmations int64, err error) {
	var out struct {
		Confirmations int64 `json:"confirmations"`
	}
	exists, err = n.client.Call(ctx, &out, "gettxout", at.Tx, at.Index, pool)
	return exists, out.Confirmations, n.failed(err)
}

// spender returns what waits and spends a coin, or zero, also if the daemon does not tell.
func (n *Node) spender(ctx context.Context, at script.Outpoint) (by script.Hash, err error) {
	if n.noSpender.Load() {
		return by, nil
	}
	var spenders []struct {
		By *script.Hash `json:"spendingtxid"`
	}
	_, err = n.client.Call(ctx, &spenders, "gettxspendingprevout", []any{map[string]any{"txid": at.Tx, "vout": at.Index}})
	switch {
	case HasCode(err, codeNoMethod):
		n.noSpender.Store(true)
		return by, nil
	case err != nil:
		return by, n.failed(err)
	case len(spenders) != 1:
		return by, fmt.Errorf("gettxspendingprevout: %w", chain.ErrMalformed)
	case spenders[0].By != nil:
		by = *spenders[0].By
	}
	return by, nil
}

// FeeRate is as the port says.
func (n *Node) FeeRate(ctx context.Context, within uint32) (asset.Amount, error) {
	if err := n.check(ctx); err != nil {
		return 0, err
	}
	var rate Rate
	within = min(max(within, 1), 1008)
	if !n.noSmart.Load() {
		var estimate struct {
			Rate Rate `json:"feerate"`
		}
		_, err := n.client.Call(ctx, &estimate, "estimatesmartfee", within)
		if err != nil && !HasCode(err, codeNoMethod) {
			return 0, n.failed(err)
		}
		n.noSmart.Store(err != nil)
		rate = estimate.Rate
	}
	if n.noSmart.Load() {
		_, err := n.client.Call(ctx, &rate, "estimatefee", min(within, 25)) // it knows no more
		var e *Error
		if errors.As(err, &e) { // it has no code of its own for no data
			return 0, fmt.Errorf("%w: %s", chain.ErrNoEstimate, e.Message)
		}
		if err != nil {
			return 0, n.failed(err)
		}
	}
	if rate == 0 {
		return 0, chain.ErrNoEstimate
	}
	return chain.Bound(n.network, asset.Amount(rate)), nil
}

// Broadcast is as the port says.
func (n *Node) Broadcast(ctx context.Context, raw []byte) error {
	in := bytes.NewReader(raw)
	switch err := new(wire.MsgTx).Deserialize(in); {
	case n.client.ctx.Err() != nil:
		return chain.ErrClosed
	case len(raw) > chain.MaxTransaction:
		return fmt.Errorf("%w: %d bytes", chain.ErrRefused, len(raw))
	case err != nil || in.Len() > 0:
		return fmt.Errorf("%w: not a transaction", chain.ErrRefused)
	}
	if err := n.check(ctx); err != nil {
		return err
	}
	_, err := n.client.Call(ctx, nil, "sendrawtransaction", hex.EncodeToString(raw))
	var e *Error
	if errors.As(err, &e) {
		return refusal(e)
	}
	return n.failed(err)
}

// refusals are the words by which daemons refuse a transaction: parts of their
// texts in lower case, which are more stable than their codes. The first that fits counts.
var refusals = []struct {
	says string
	is   error // nil if the daemon has the transaction
}{
	{"already in block chain", nil},
	{"already in utxo set", nil},
	{"already exists", nil},
	{"already have transaction", nil},
	{"txn-already-known", nil},
	{"txn-already-in-mempool", nil},
	{"dust", chain.ErrRefused}, // its text speaks of fees
	{"missingorspent", chain.ErrMissingInputs},
	{"missing-inputs", chain.ErrMissingInputs},
	{"missing inputs", chain.ErrMissingInputs},
	{"orphan transaction", chain.ErrMissingInputs},
	{"either does not exist or has already been spent", chain.ErrMissingInputs},
	{"premature-spend", chain.ErrImmature},
	{"maturity", chain.ErrImmature},
	{"non-bip68-final", chain.ErrImmature},
	{"sequence locks", chain.ErrImmature},
	{"txn-mempool-conflict", chain.ErrConflict},
	{"already spent", chain.ErrConflict},
	{"replacement", chain.ErrConflict},
	{"spends-conflicting-tx", chain.ErrConflict},
	{"fee not met", chain.ErrFeeTooLow},
	{"insufficient fee", chain.ErrFeeTooLow},
	{"insufficient priority", chain.ErrFeeTooLow},
	{"under the required amount", chain.ErrFeeTooLow},
	{"low fees", chain.ErrFeeTooLow},
	{"mempool full", chain.ErrFeeTooLow},
}

// refusal says in the port's words why a daemon did not take a transaction.
func refusal(e *Error) error {
	if e.Code == codeInChain {
		return nil
	}
	text := strings.ToLower(e.Message)
	for _, r := range refusals {
		if strings.Contains(text, r.says) {
			if r.is == nil {
				return nil
			}
			return fmt.Errorf("%w: %s", r.is, e.Message)
		}
	}
	switch e.Code {
	case codeRefused, codeRejected, codeMalformed:
		return fmt.Errorf("%w: %s", chain.ErrRefused, e.Message)
	}
	return fmt.Errorf("sendrawtransaction: %w: %w", chain.ErrUnavailable, e)
}

// check makes sure, once for every time that the daemon may have become another,
// that it follows the network.
func (n *Node) check(ctx context.Context) error {
	if n.checked.Load() {
		return nil
	}
	genesis, err := n.at(ctx, 0)
	if err != nil {
		return err
	}
	if genesis.Hash != n.network.Genesis {
		return fmt.Errorf("%w: its first block is %v, that of %s is %v", chain.ErrWrongNetwork, genesis.Hash, n.network.Name, n.network.Genesis)
	}
	// Bitcoin's and Namecoin's regression test networks begin with the same block.
	// They differ in their addresses.
	probe, err := n.network.Address(probeScript)
	if err != nil {
		return err
	}
	var verdict struct {
		Valid bool `json:"isvalid"`
	}
	if err := n.call(ctx, &verdict, "validateaddress", probe); err != nil {
		return err
	}
	if !verdict.Valid {
		return fmt.Errorf("%w: it does not know addresses of %s", chain.ErrWrongNetwork, n.network.Name)
	}
	n.checked.Store(true)
	return nil
}

// probeScript is a P2WSH output of no meaning.
var probeScript = append([]byte{0, 32}, make([]byte, 32)...)

// header returns a block's place on the chain.
func (n *Node) header(ctx context.Context, hash script.Hash) (chain.Block, error) {
	var h struct {
		Hash          script.Hash  `json:"hash"`
		Height        *uint32      `json:"height"`
		Parent        *script.Hash `json:"previousblockhash"`
		Time          uint32       `json:"time"`
		Confirmations int64        `json:"confirmations"`
	}
	if err := n.call(ctx, &h, "getblockheader", hash, true); err != nil {
		return chain.Block{}, blockError(err)
	}
	if h.Confirmations < 0 {
		return chain.Block{}, chain.ErrUnknownBlock
	}
	if h.Hash != hash || h.Height == nil || h.Parent == nil && *h.Height > 0 {
		return chain.Block{}, fmt.Errorf("header of %v: %w", hash, chain.ErrMalformed)
	}
	b := chain.Block{Point: chain.Point{Height: *h.Height, Hash: hash}, Time: h.Time}
	if h.Parent != nil {
		b.Parent = *h.Parent
	}
	return b, nil
}

// at names the block of the best chain at a height.
func (n *Node) at(ctx context.Context, height uint32) (chain.Point, error) {
	p := chain.Point{Height: height}
	err := n.call(ctx, &p.Hash, "getblockhash", height)
	if HasCode(err, codeParameter, codeOutOfRange) {
		return p, chain.ErrUnknownBlock
	}
	return p, err
}

// call is for methods whose result is never null.
func (n *Node) call(ctx context.Context, result any, method string, params ...any) error {
	ok, err := n.client.Call(ctx, result, method, params...)
	if err == nil && !ok {
		err = fmt.Errorf("%s: null: %w", method, chain.ErrMalformed)
	}
	return n.failed(err)
}

// failed remembers that the daemon at this address may be another one when it
// comes back.
func (n *Node) failed(err error) error {
	if errors.Is(err, chain.ErrUnavailable) || errors.Is(err, chain.ErrDenied) {
		n.checked.Store(false)
	}
	return err
}

// blockError says in the port's words why a daemon did not give a block.
func blockError(err error) error {
	var e *Error
	switch {
	case !errors.As(err, &e):
		return err
	case strings.Contains(e.Message, "pruned"):
		return fmt.Errorf("%w: %s", chain.ErrPruned, e.Message)
	case e.Code == codeNotFound:
		return chain.ErrUnknownBlock
	}
	return err
}
