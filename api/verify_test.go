package api_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"souk/api"
	"souk/asset"
	"souk/exchange"
	"souk/exchange/exchangetest"
	"souk/exchange/market"
	"souk/merkle"
)

// chain is a world whose headers anybody can have: header h states the root after block h-1.
type chain struct {
	*exchangetest.World
	roots map[uint64]merkle.Hash
}

func newChain(tb testing.TB) *chain {
	c := &chain{World: exchangetest.New(1), roots: map[uint64]merkle.Hash{}}
	c.Fund(exchangetest.BTC, 100*exchangetest.Coin, "alice", "bob")
	c.Fund(exchangetest.EUR, 1_000_000*exchangetest.Coin, "alice", "bob")
	c.sign()
	return c
}

// sign makes the header that states the present root.
func (c *chain) sign() { c.roots[c.Height+1] = c.State.Root() }

func (c *chain) Header(_ context.Context, height uint64) (merkle.Hash, uint64, error) {
	root, ok := c.roots[height]
	if !ok {
		return merkle.Hash{}, 0, fmt.Errorf("no header %d", height)
	}
	return root, exchangetest.Founded + height, nil
}

func (c *chain) Newest(context.Context) (uint64, merkle.Hash, error) {
	return c.Height + 1, c.roots[c.Height+1], nil
}

func (c *chain) leaf(key merkle.Key) *api.Proof {
	value, p := c.State.Prove(key)
	return &api.Proof{Height: c.Height + 1, Leaf: value, Path: p.Encode()}
}

// results are the proofs of all entries of the newest block's results.
func (c *chain) results(res *exchange.Result) (list []*api.Proof) {
	var items merkle.List
	for _, item := range res.Results {
		items.Append(item)
	}
	for i, item := range res.Results {
		p := c.leaf(exchange.ClockKey())
		p.Item, p.List = item, items.Prove(i).Encode()
		list = append(list, p)
	}
	return list
}

// Proofs of leaves hold for the question they answer and for no other (H-62).
func TestVerifyLeaves(t *testing.T) {
	c := newChain(t)
	res := c.Block(c.Command("alice", order(market.Buy, 49_000e8)))
	c.sign()
	id := market.OrderID(res.Receipts[0].Number)
	ctx := t.Context()
	v := api.NewVerifier(c)

	alice, at, err := v.Account(ctx, exchangetest.Address("alice"), c.leaf(exchange.AccountKey(exchangetest.Address("alice"))))
	if err != nil || alice.Address != exchangetest.Address("alice") || at.Height != c.Height+1 || at.Time != exchangetest.Founded+at.Height {
		t.Fatal(alice, at, err)
	}
	if len(alice.Balances) != 2 || alice.Balances[1].Held != 49_000*exchangetest.Coin {
		t.Errorf("balances %+v", alice.Balances)
	}
	o, _, err := v.Order(ctx, id, c.leaf(exchange.OrderKey(id)))
	if err != nil || o.ID != id || uint32(o.Owner) != uint32(alice.Number) {
		t.Error(o, err)
	}
	m, _, err := v.Market(ctx, exchangetest.BTCEUR, c.leaf(exchange.MarketKey(exchangetest.BTCEUR)))
	if err != nil || m.ID != exchangetest.BTCEUR {
		t.Error(m, err)
	}
	a, _, err := v.Asset(ctx, exchangetest.EUR, c.leaf(exchange.AssetKey(exchangetest.EUR)))
	if err != nil || a.Symbol != "EUR" {
		t.Error(a, err)
	}
	if _, _, err := v.Order(ctx, id+1, c.leaf(exchange.OrderKey(id+1))); !errors.Is(err, api.ErrAbsent) {
		t.Errorf("an order that is not there: %v", err)
	}

	bob := c.leaf(exchange.AccountKey(exchangetest.Address("bob")))
	nobody := c.leaf(exchange.AccountKey(exchangetest.Address("nobody")))
	good := c.leaf(exchange.AccountKey(exchangetest.Address("alice")))
	for name, p := range map[string]*api.Proof{
		"none": nil, "empty": {}, "of somebody else": bob, "of absence of somebody else": nobody,
		"without leaf": {Height: good.Height, Path: good.Path}, "leaf of somebody else": {Height: good.Height, Leaf: bob.Leaf, Path: good.Path},
		"path cut":       {Height: good.Height, Leaf: good.Leaf, Path: good.Path[:len(good.Path)-1]},
		"other leaf":     {Height: good.Height, Leaf: append([]byte{1}, good.Leaf[1:]...), Path: good.Path},
		"earlier header": {Height: 3, Leaf: good.Leaf, Path: good.Path}, "header 0": {Leaf: good.Leaf, Path: good.Path},
	} {
		if got, _, err := v.Account(ctx, exchangetest.Address("alice"), p); !errors.Is(err, api.ErrProof) || got.Number != 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// order is a limit order for one bitcoin.
func order(side market.Side, price asset.Price) *exchange.Place {
	return &exchange.Place{Market: exchangetest.BTCEUR, Side: side, Order: market.LimitOrder, TIF: market.GTC, Price: price, Quantity: exchangetest.Coin}
}

// A verifier that has seen a state does not go back to an earlier one (H-64).
func TestVerifierNeverGoesBack(t *testing.T) {
	c := newChain(t)
	key := exchange.AccountKey(exchangetest.Address("alice"))
	before := c.leaf(key)
	v := api.NewVerifier(c)
	if _, _, err := v.Account(t.Context(), exchangetest.Address("alice"), before); err != nil {
		t.Fatal(err)
	}
	c.Do("alice", &exchange.Transfer{To: exchangetest.Address("bob"), Asset: exchangetest.BTC, Amount: exchangetest.Coin})
	c.sign()
	if _, _, err := v.Account(t.Context(), exchangetest.Address("alice"), c.leaf(key)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := v.Account(t.Context(), exchangetest.Address("alice"), before); !errors.Is(err, api.ErrOld) {
		t.Errorf("an old balance, rightly proven: %v", err)
	}
}

// A fresh verifier begins at the newest header: an old state that is rightly proven is
// refused although nothing was seen before. What changes nothing ages no proof (H-64).
func TestVerifierBeginsAtTheNewest(t *testing.T) {
	c := newChain(t)
	alice := exchangetest.Address("alice")
	key := exchange.AccountKey(alice)
	before := c.leaf(key)
	c.Do("alice", &exchange.Transfer{To: exchangetest.Address("bob"), Asset: exchangetest.BTC, Amount: exchangetest.Coin})
	c.sign()
	if _, _, err := api.NewVerifier(c).Account(t.Context(), alice, before); !errors.Is(err, api.ErrOld) {
		t.Errorf("an old balance, rightly proven: %v", err)
	}
	same := c.leaf(key)
	c.roots[c.Height+2] = c.State.Root() // a block without commands
	v := api.NewVerifier(ahead{c})
	if _, at, err := v.Account(t.Context(), alice, same); err != nil || at.Height != same.Height {
		t.Errorf("the newest balance, proven one idle block before the newest header: %+v, %v", at, err)
	}
	if _, _, err := v.Account(t.Context(), alice, before); !errors.Is(err, api.ErrOld) {
		t.Errorf("an old balance after that: %v", err)
	}
	// Who cannot tell what is new believes nothing.
	if _, _, err := api.NewVerifier(blind{c}).Account(t.Context(), alice, same); err == nil {
		t.Error("a verifier believed without knowing the newest header")
	}
}

// ahead is a chain with an idle block.
type ahead struct{ *chain }

func (a ahead) Newest(context.Context) (uint64, merkle.Hash, error) {
	return a.Height + 2, a.roots[a.Height+2], nil
}

// blind is a chain of which nobody says how far it is.
type blind struct{ *chain }

func (blind) Newest(context.Context) (uint64, merkle.Hash, error) {
	return 0, merkle.Hash{}, errors.New("no answer")
}

// Receipts and trades are proven by the results of their block (H-62).
func TestVerifyResults(t *testing.T) {
	c := newChain(t)
	c.Block(c.Command("bob", order(market.Sell, 50_000e8)))
	res := c.Block(c.Command("alice", order(market.Buy, 50_000e8)), c.Command("bob", &exchange.Transfer{}))
	c.sign()
	proofs := c.results(res)
	v := api.NewVerifier(c)
	ctx := t.Context()
	found := 0
	for _, rc := range res.Receipts {
		for _, p := range proofs {
			got, _, err := v.Receipt(ctx, rc.ID, p)
			switch {
			case err == nil && got == rc:
				found++
			case !errors.Is(err, api.ErrProof):
				t.Errorf("receipt %+v: %v", got, err)
			}
		}
	}
	if found != 2 || len(proofs) != 4 {
		t.Fatalf("%d receipts of 2 were proven by %d proofs", found, len(proofs))
	}
	trade := proofs[2]
	got, _, err := v.Trade(ctx, 1, trade)
	if err != nil || got.Quantity != exchangetest.Coin || got.Price != 50_000e8 {
		t.Fatal(got, err)
	}
	if _, _, err := v.Trade(ctx, 2, trade); !errors.Is(err, api.ErrProof) {
		t.Errorf("another trade: %v", err)
	}

	auction, _, err := v.Auction(ctx, 1, res.Height, proofs[3])
	if want := (market.Auction{Market: 1, Reference: auction.Reference, Ask: 50_000e8}); err != nil || auction.Auction != want || auction.Reference == 0 {
		t.Errorf("auction %+v, %v", auction, err)
	}
	for _, p := range proofs[:3] {
		if a, _, err := v.Auction(ctx, 1, res.Height, p); !errors.Is(err, api.ErrProof) {
			t.Errorf("an auction out of something else: %+v, %v", a, err)
		}
	}

	// What was never in the list is not proven by it, however well it reads.
	forgedTrade, forgedReceipt := got, res.Receipts[0]
	forgedTrade.Quantity *= 2
	forgedReceipt.Filled++
	for _, p := range proofs {
		forged := *p
		forged.Item = forgedTrade.Append(nil)
		if _, _, err := v.Trade(ctx, 1, &forged); !errors.Is(err, api.ErrProof) {
			t.Errorf("a forged trade: %v", err)
		}
		forged.Item = forgedReceipt.Append(nil)
		if _, _, err := v.Receipt(ctx, forgedReceipt.ID, &forged); !errors.Is(err, api.ErrProof) {
			t.Errorf("a forged receipt: %v", err)
		}
	}

	// A clock leaf of another block, rightly proven, does not vouch for the entry.
	next := c.Block(c.Command("alice", &exchange.Transfer{To: exchangetest.Address("bob"), Asset: exchangetest.BTC, Amount: 1}))
	c.sign()
	later := c.results(next)[0]
	for name, p := range map[string]*api.Proof{
		"clock of another block": {Height: later.Height, Leaf: later.Leaf, Path: later.Path, Item: trade.Item, List: trade.List},
		"entry changed":          {Height: trade.Height, Leaf: trade.Leaf, Path: trade.Path, Item: append(trade.Item[:len(trade.Item)-1:len(trade.Item)-1], 9), List: trade.List},
		"list cut":               {Height: trade.Height, Leaf: trade.Leaf, Path: trade.Path, Item: trade.Item, List: trade.List[:8]},
		"no clock":               {Height: trade.Height, Path: trade.Path, Item: trade.Item, List: trade.List},
		"another leaf as clock": {
			Height: later.Height, Leaf: c.leaf(exchange.AssetKey(1)).Leaf, Path: c.leaf(exchange.AssetKey(1)).Path, Item: trade.Item, List: trade.List,
		},
	} {
		if _, _, err := v.Trade(ctx, 1, p); !errors.Is(err, api.ErrProof) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A founding contract is believed if it has the pinned hash (H-61).
func TestCheckFounding(t *testing.T) {
	f := exchangetest.Founding(2)
	if _, err := api.CheckFounding(f.ID(), f.Append(nil)); err != nil {
		t.Error(err)
	}
	other := exchangetest.Founding(3)
	if _, err := api.CheckFounding(f.ID(), other.Append(nil)); err == nil {
		t.Error("the contract of another virtual server was believed")
	}
	if _, err := api.CheckFounding(f.ID(), f.Append(nil)[1:]); err == nil {
		t.Error("a broken contract was believed")
	}
}

func FuzzVerify(f *testing.F) {
	c := newChain(f)
	good := c.leaf(exchange.AccountKey(exchangetest.Address("alice")))
	f.Add(good.Leaf, good.Path)
	f.Fuzz(func(t *testing.T, leaf, path []byte) {
		p := &api.Proof{Height: good.Height, Leaf: leaf, Path: path}
		got, _, err := api.NewVerifier(c).Account(t.Context(), exchangetest.Address("alice"), p)
		if err == nil && string(leaf) != string(good.Leaf) {
			t.Errorf("another account was believed: %+v", got)
		}
	})
}
