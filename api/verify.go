package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"souk/asset"
	"souk/exchange"
	"souk/exchange/ledger"
	"souk/exchange/market"
	"souk/identity"
	"souk/merkle"
)

// Errors of a Verifier.
var (
	// ErrProof is returned for a proof that does not show what was asked: the
	// server that gave it lies or is broken.
	ErrProof = errors.New("the proof does not hold")
	// ErrOld is returned for a proof of a state before one that was shown already.
	ErrOld = errors.New("the state is older than one that was proven before")
	// ErrAbsent is returned when it is proven that there is no such thing in the state.
	ErrAbsent = errors.New("proven not to be there")
)

// HeaderSource vouches for headers: it answers what more than two thirds of a
// virtual server's voting power signed, having followed the validators from the
// founding contract or from a checkpoint the user trusts (H-61).
type HeaderSource interface {
	// Header answers what the signed header of a height states: the state root,
	// which is that after the block before, and the header's time in ms. It may
	// wait for a height that is about to come.
	Header(ctx context.Context, height uint64) (root merkle.Hash, ms uint64, err error)
	// Newest answers the newest header that is signed as it must be, and the root it
	// states. It is never below one that was verified before, in this process or, where
	// that is saved, another day. It need not be confirmed by a second server yet: it
	// only tells what is out of date.
	Newest(ctx context.Context) (height uint64, root merkle.Hash, err error)
}

// Verifier checks proofs against signed headers. What it answers is read out of
// the proven leaves, never out of what a server says besides, and it builds the key
// of a leaf from the question, so that a proof of something else is no answer (H-62).
//
// It begins at the newest header there is and never goes back: a proof of an
// earlier state is ErrOld (H-64). It may be used by many goroutines.
type Verifier struct {
	headers HeaderSource

	mu     sync.Mutex
	looked time.Time   // when headers was last asked for the newest
	newest uint64      // largest height of a header that was seen
	root   merkle.Hash // which it states
}

// Proven says how fresh a proven fact is: the signed header that vouches for it.
type Proven struct {
	Height uint64 // of the header; it states the root after the block before it
	Time   uint64 // of the header, ms
}

// NewVerifier makes a verifier that trusts what headers answers.
func NewVerifier(headers HeaderSource) *Verifier { return &Verifier{headers: headers} }

// headerPatience is how long a header is waited for that may be a moment away.
const headerPatience = 3 * time.Second

// lookEvery is for how long the newest header that was seen passes for the newest.
const lookEvery = time.Second

// Refresh asks for the newest header, unless that was done a moment ago. From then on
// proofs of leaves of an earlier state are refused. The Verified methods of Client do
// this by themselves, before they ask for a proof.
func (v *Verifier) Refresh(ctx context.Context) error {
	v.mu.Lock()
	fresh := time.Since(v.looked) < lookEvery
	v.mu.Unlock()
	if fresh {
		return nil
	}
	height, root, err := v.headers.Newest(ctx)
	if err != nil {
		return fmt.Errorf("ask for the newest header: %w", err)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.looked = time.Now()
	if height > v.newest {
		v.newest, v.root = height, root
	}
	return nil
}

// begin makes sure that it is known what is old.
func (v *Verifier) begin(ctx context.Context) error {
	v.mu.Lock()
	begun := !v.looked.IsZero()
	v.mu.Unlock()
	if begun {
		return nil
	}
	return v.Refresh(ctx)
}

// header asks for the root of a header, and again while it may still be coming.
func (v *Verifier) header(ctx context.Context, height uint64) (merkle.Hash, Proven, error) {
	if height == 0 {
		return merkle.Hash{}, Proven{}, fmt.Errorf("no header has height 0: %w", ErrProof)
	}
	ctx, cancel := context.WithTimeout(ctx, headerPatience)
	defer cancel()
	for {
		root, ms, err := v.headers.Header(ctx, height)
		if err == nil {
			return root, Proven{Height: height, Time: ms}, nil
		}
		select {
		case <-ctx.Done():
			return merkle.Hash{}, Proven{}, fmt.Errorf("header %d: %w", height, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// advance refuses to go back. Of blocks that changed nothing all headers state the
// same root: a proof against any of them is one of the newest state.
func (v *Verifier) advance(height uint64, root merkle.Hash) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case height >= v.newest:
		v.newest, v.root = height, root
	case root != v.root:
		return fmt.Errorf("header %d, after %d was seen: %w", height, v.newest, ErrOld)
	}
	return nil
}

// Leaf checks a proof of a leaf of the newest state. A nil value is proven absence.
func (v *Verifier) Leaf(ctx context.Context, key merkle.Key, p *Proof) ([]byte, Proven, error) {
	if err := v.begin(ctx); err != nil {
		return nil, Proven{}, err
	}
	value, root, at, err := v.leaf(ctx, key, p)
	if err != nil {
		return nil, Proven{}, err
	}
	if err := v.advance(at.Height, root); err != nil {
		return nil, Proven{}, err
	}
	return value, at, nil
}

// leaf checks a proof of a leaf of any state, and answers that one's root.
func (v *Verifier) leaf(ctx context.Context, key merkle.Key, p *Proof) ([]byte, merkle.Hash, Proven, error) {
	bad := func(err error) ([]byte, merkle.Hash, Proven, error) { return nil, merkle.Hash{}, Proven{}, err }
	if p == nil {
		return bad(fmt.Errorf("there is none: %w", ErrProof))
	}
	path, err := merkle.ParseProof(p.Path)
	if err != nil {
		return bad(fmt.Errorf("%w: %w", ErrProof, err))
	}
	root, at, err := v.header(ctx, p.Height)
	if err != nil {
		return bad(err)
	}
	if len(p.Leaf) == 0 { // no leaf of the state is empty
		if !path.Absent(root, key) {
			return bad(fmt.Errorf("it does not show that the leaf is absent: %w", ErrProof))
		}
		return nil, root, at, nil
	}
	if !path.Present(root, key, p.Leaf) {
		return bad(fmt.Errorf("it does not lead from the leaf to the root of header %d: %w", p.Height, ErrProof))
	}
	return p.Leaf, root, at, nil
}

// Item checks a proof of an entry of a block's result list, and answers the entry
// and the clock leaf of its block.
func (v *Verifier) Item(ctx context.Context, p *Proof) ([]byte, exchange.Clock, Proven, error) {
	leaf, _, at, err := v.leaf(ctx, exchange.ClockKey(), p)
	if err != nil {
		return nil, exchange.Clock{}, Proven{}, err
	}
	clock, err := exchange.ParseClock(leaf)
	if err != nil {
		return nil, exchange.Clock{}, Proven{}, fmt.Errorf("clock leaf: %w: %w", ErrProof, err)
	}
	list, err := merkle.ParseListProof(p.List)
	if err != nil {
		return nil, exchange.Clock{}, Proven{}, fmt.Errorf("%w: %w", ErrProof, err)
	}
	if !list.Present(clock.Results, p.Item) {
		return nil, exchange.Clock{}, Proven{}, fmt.Errorf("it does not lead from the entry to the results of block %d: %w", clock.Height, ErrProof)
	}
	return p.Item, clock, at, nil
}

// Account checks a proof of an account, or ErrAbsent that there is none.
func (v *Verifier) Account(ctx context.Context, a identity.Address, p *Proof) (ledger.Account, Proven, error) {
	return provenLeaf(ctx, v, exchange.AccountKey(a), p, ledger.ParseAccount)
}

// Asset checks a proof of an asset.
func (v *Verifier) Asset(ctx context.Context, id asset.ID, p *Proof) (ledger.Asset, Proven, error) {
	return provenLeaf(ctx, v, exchange.AssetKey(id), p, ledger.ParseAsset)
}

// Market checks a proof of a market.
func (v *Verifier) Market(ctx context.Context, id market.ID, p *Proof) (market.Market, Proven, error) {
	return provenLeaf(ctx, v, exchange.MarketKey(id), p, market.ParseMarket)
}

// Order checks a proof of a live order, or ErrAbsent that it is not live. Its
// owner is the number of an account, which a proof of the account shows.
func (v *Verifier) Order(ctx context.Context, id market.OrderID, p *Proof) (market.Order, Proven, error) {
	return provenLeaf(ctx, v, exchange.OrderKey(id), p, market.ParseOrder)
}

func provenLeaf[T any](ctx context.Context, v *Verifier, key merkle.Key, p *Proof, parse func(merkle.Key, []byte) (T, error)) (T, Proven, error) {
	var none T
	leaf, at, err := v.Leaf(ctx, key, p)
	if err != nil {
		return none, Proven{}, err
	}
	if leaf == nil {
		return none, at, ErrAbsent
	}
	value, err := parse(key, leaf)
	if err != nil {
		return none, Proven{}, fmt.Errorf("the leaf is proven, but this program cannot read it: %w", err)
	}
	return value, at, nil
}

// Receipt checks a proof that a block executed a command, and with what result.
func (v *Verifier) Receipt(ctx context.Context, id exchange.CommandID, p *Proof) (exchange.Receipt, Proven, error) {
	item, clock, at, err := v.Item(ctx, p)
	if err != nil {
		return exchange.Receipt{}, Proven{}, err
	}
	r, err := exchange.ParseReceipt(item)
	switch {
	case err != nil:
		return exchange.Receipt{}, Proven{}, fmt.Errorf("the entry is no receipt: %w: %w", ErrProof, err)
	case r.ID != id:
		return exchange.Receipt{}, Proven{}, fmt.Errorf("it is the receipt of command %x: %w", r.ID, ErrProof)
	case r.Height != clock.Height || r.Time != clock.Time:
		return exchange.Receipt{}, Proven{}, fmt.Errorf("receipt and clock are of different blocks: %w", ErrProof)
	}
	return r, at, nil
}

// Trade checks a proof of a trade.
func (v *Verifier) Trade(ctx context.Context, id market.TradeID, p *Proof) (exchange.Trade, Proven, error) {
	item, clock, at, err := v.Item(ctx, p)
	if err != nil {
		return exchange.Trade{}, Proven{}, err
	}
	t, err := exchange.ParseTrade(item)
	switch {
	case err != nil:
		return exchange.Trade{}, Proven{}, fmt.Errorf("the entry is no trade: %w: %w", ErrProof, err)
	case t.ID != id:
		return exchange.Trade{}, Proven{}, fmt.Errorf("it is trade %d: %w", t.ID, ErrProof)
	case t.Height != clock.Height || t.Time != clock.Time:
		return exchange.Trade{}, Proven{}, fmt.Errorf("trade and clock are of different blocks: %w", ErrProof)
	}
	return t, at, nil
}

// Auction checks a proof of what the prices of a market's trades in a block come from (M-90).
func (v *Verifier) Auction(ctx context.Context, id market.ID, height uint64, p *Proof) (exchange.Auction, Proven, error) {
	item, clock, at, err := v.Item(ctx, p)
	if err != nil {
		return exchange.Auction{}, Proven{}, err
	}
	a, err := exchange.ParseAuction(item)
	switch {
	case err != nil:
		return exchange.Auction{}, Proven{}, fmt.Errorf("the entry is no auction: %w: %w", ErrProof, err)
	case a.Market != id || a.Height != height:
		return exchange.Auction{}, Proven{}, fmt.Errorf("it is the auction of market %d in block %d: %w", a.Market, a.Height, ErrProof)
	case a.Height != clock.Height || a.Time != clock.Time:
		return exchange.Auction{}, Proven{}, fmt.Errorf("auction and clock are of different blocks: %w", ErrProof)
	}
	return a, at, nil
}

// proven fetches a thing with its proof and checks it; a server whose proof does
// not hold, or is old, is left for the next one.
func proven[T, V any](ctx context.Context, c *Client, target string, sign *Signer, proof func(*T) *Proof, check func(context.Context, *Proof) (V, Proven, error)) (V, Proven, error) {
	type result struct {
		value V
		at    Proven
		err   error // ErrAbsent, which is an answer
	}
	r, err := fetch(ctx, c, &call{target: target, accept: JSON, sign: sign}, func(data []byte) (result, error) {
		t, err := decode[T](data)
		if err != nil {
			return result{}, err
		}
		value, at, err := check(ctx, proof(t))
		if err != nil && !errors.Is(err, ErrAbsent) {
			return result{}, err
		}
		return result{value, at, err}, nil
	})
	if err != nil {
		return r.value, r.at, err
	}
	return r.value, r.at, r.err
}

// VerifiedAccount is the signer's account, proven.
func (c *Client) VerifiedAccount(ctx context.Context, v *Verifier, s *Signer) (ledger.Account, Proven, error) {
	if err := v.Refresh(ctx); err != nil {
		return ledger.Account{}, Proven{}, err
	}
	return proven(ctx, c, accountTarget(s.Account, true), s, func(a *Account) *Proof { return a.Proof },
		func(ctx context.Context, p *Proof) (ledger.Account, Proven, error) {
			return v.Account(ctx, s.Account, p)
		})
}

// VerifiedOrder is a live order of the signer's account, proven, and so is that it
// is the account's.
func (c *Client) VerifiedOrder(ctx context.Context, v *Verifier, s *Signer, id market.OrderID) (market.Order, Proven, error) {
	owner, _, err := c.VerifiedAccount(ctx, v, s)
	if err != nil {
		return market.Order{}, Proven{}, fmt.Errorf("account of order %d: %w", id, err)
	}
	target := Prefix + "/orders/" + strconv.FormatUint(uint64(id), 10) + proofQuery(true)
	return proven(ctx, c, target, s, func(o *Order) *Proof { return o.Proof },
		func(ctx context.Context, p *Proof) (market.Order, Proven, error) {
			o, at, err := v.Order(ctx, id, p)
			if err == nil && uint32(o.Owner) != uint32(owner.Number) {
				return market.Order{}, Proven{}, fmt.Errorf("order %d is another account's: %w", id, ErrProof)
			}
			return o, at, err
		})
}

// VerifiedMarket is a market, proven.
func (c *Client) VerifiedMarket(ctx context.Context, v *Verifier, id market.ID) (market.Market, Proven, error) {
	if err := v.Refresh(ctx); err != nil {
		return market.Market{}, Proven{}, err
	}
	target := Prefix + "/markets/" + strconv.FormatUint(uint64(id), 10) + proofQuery(true)
	return proven(ctx, c, target, nil, func(m *Market) *Proof { return m.Proof },
		func(ctx context.Context, p *Proof) (market.Market, Proven, error) { return v.Market(ctx, id, p) })
}

// VerifiedAsset is an asset, proven.
func (c *Client) VerifiedAsset(ctx context.Context, v *Verifier, id asset.ID) (ledger.Asset, Proven, error) {
	if err := v.Refresh(ctx); err != nil {
		return ledger.Asset{}, Proven{}, err
	}
	target := Prefix + "/assets/" + strconv.FormatUint(uint64(id), 10) + proofQuery(true)
	return proven(ctx, c, target, nil, func(a *Asset) *Proof { return a.Proof },
		func(ctx context.Context, p *Proof) (ledger.Asset, Proven, error) { return v.Asset(ctx, id, p) })
}

// VerifiedReceipt is the receipt of a command that a block executed, proven.
func (c *Client) VerifiedReceipt(ctx context.Context, v *Verifier, id exchange.CommandID) (exchange.Receipt, Proven, error) {
	return proven(ctx, c, fateTarget(id, true), nil, func(f *Fate) *Proof { return f.Proof },
		func(ctx context.Context, p *Proof) (exchange.Receipt, Proven, error) { return v.Receipt(ctx, id, p) })
}

// VerifiedTrade is a trade, proven, and so is its market unless that is zero. What
// else is known of it, as a server listed it, helps to find it: height and time may
// be zero too.
func (c *Client) VerifiedTrade(ctx context.Context, v *Verifier, known *Trade) (exchange.Trade, Proven, error) {
	id := market.TradeID(known.ID)
	target := Prefix + "/trades/" + strconv.FormatUint(known.ID, 10) + proofQuery(true)
	if known.Market != 0 {
		target += "&market=" + strconv.FormatUint(uint64(known.Market), 10)
	}
	if known.Height != 0 {
		target += fmt.Sprintf("&height=%d&time=%d", known.Height, known.Time)
	}
	return proven(ctx, c, target, nil, func(t *Trade) *Proof { return t.Proof },
		func(ctx context.Context, p *Proof) (exchange.Trade, Proven, error) {
			t, at, err := v.Trade(ctx, id, p)
			if err == nil && known.Market != 0 && uint32(t.Market) != known.Market {
				return exchange.Trade{}, Proven{}, fmt.Errorf("trade %d is one of market %d, not %d: %w", id, t.Market, known.Market, ErrProof)
			}
			return t, at, err
		})
}

// VerifiedAuction is what the prices of a market's trades in a block come from, proven.
func (c *Client) VerifiedAuction(ctx context.Context, v *Verifier, id market.ID, height uint64) (exchange.Auction, Proven, error) {
	target := fmt.Sprintf("%s/auctions/%d/%d%s", Prefix, id, height, proofQuery(true))
	return proven(ctx, c, target, nil, func(a *Auction) *Proof { return a.Proof },
		func(ctx context.Context, p *Proof) (exchange.Auction, Proven, error) {
			return v.Auction(ctx, id, height, p)
		})
}

// IsNotFound tells whether a server answered that there is no such thing.
func IsNotFound(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Status == http.StatusNotFound
}
