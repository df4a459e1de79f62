package web_test

import (
	"context"
	"iter"
	"net"
	"slices"
	"sync"
	"testing"

	"souk/api"
	"souk/archive"
	"souk/asset"
	"souk/consensus"
	"souk/exchange"
	"souk/exchange/exchangetest"
	"souk/exchange/market"
	"souk/identity"
	"souk/tape"
	"souk/web"
)

// chainOf is what members of a virtual server execute: blocks that a test makes one by one,
// and what its books and trades were after each, as the state has them.
type chainOf struct {
	tb     testing.TB
	world  *exchangetest.World
	blocks []*exchange.Block
	truth  []after
}

// after is what a market's book was after a block, and the trades of that block.
type after struct {
	height uint64
	books  map[market.ID][2][]market.Level
	trades map[market.ID][]market.TradeID
}

// newChain founds a virtual server whose blocks are recorded.
func newChain(tb testing.TB) *chainOf {
	c := &chainOf{tb: tb, world: exchangetest.New(1)}
	c.world.Applied = func(b *exchange.Block) *exchange.Result {
		c.blocks = append(c.blocks, b)
		res := c.world.State.Apply(b)
		a := after{height: b.Height, books: map[market.ID][2][]market.Level{}, trades: map[market.ID][]market.TradeID{}}
		for _, m := range c.world.State.Markets().Markets(nil) {
			a.books[m.ID] = [2][]market.Level{
				c.world.State.Markets().Depth(nil, m.ID, market.Buy, 1<<20), c.world.State.Markets().Depth(nil, m.ID, market.Sell, 1<<20),
			}
		}
		for i := range res.Events {
			if f := res.Events[i].Fill; f != nil {
				a.trades[f.Market] = append(a.trades[f.Market], f.Trade)
			}
		}
		c.truth = append(c.truth, a)
		return res
	}
	return c
}

// host is a server that executes a chain's blocks when a test tells it to.
type host struct {
	instant
	chain  *chainOf
	server *web.Server
	url    string
	listen net.Listener
	tape   *tape.Tape // which tests feed

	mu     sync.RWMutex
	done   int // blocks executed
	log    []*archive.Block
	oldest uint64 // the log begins here
	news   chan struct{}
}

// join makes a member, which has executed nothing yet, and serves it.
func (c *chainOf) join(config web.Config) *host {
	c.tb.Helper()
	founding := c.world.State.Founding()
	state, err := exchange.New(founding)
	if err != nil {
		c.tb.Fatal(err)
	}
	m := &host{instant: instant{id: founding.ID(), state: state}, chain: c, oldest: 1, news: make(chan struct{})}
	m.server, m.tape = web.New(config), tape.New()
	m.add()
	if m.listen, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		c.tb.Fatal(err)
	}
	m.url = "http://" + m.listen.Addr().String()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = m.server.Serve(m.listen)
	}()
	c.tb.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = m.server.Shutdown(ctx)
		<-done
	})
	return m
}

// add begins to serve the virtual server.
func (m *host) add() {
	if err := m.server.Add(web.Virtual{Founding: m.chain.world.State.Founding(), Replica: m, Engine: m, Tape: m.tape}); err != nil {
		m.chain.tb.Error(err)
	}
}

// node is the member as helpers for requests want it.
func (m *host) node() *node { return &node{url: m.url, listen: m.listen} }

// catchUp executes blocks up to so many of the chain's.
func (m *host) catchUp(blocks []*exchange.Block) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for ; m.done < len(blocks); m.done++ {
		before := m.books()
		res := m.state.Apply(blocks[m.done])
		if res.Active {
			m.log = append(m.log, m.block(blocks[m.done], res, before))
		}
	}
	close(m.news)
	m.news = make(chan struct{})
}

// forget shortens the log, which then begins at a height.
func (m *host) forget(height uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.oldest = height
	m.log = slices.DeleteFunc(m.log, func(b *archive.Block) bool { return b.Height < height })
}

// priceOf is a price of a book.
type priceOf struct {
	market market.ID
	side   market.Side
	price  asset.Price
}

func (m *host) books() map[priceOf]asset.Amount {
	all := map[priceOf]asset.Amount{}
	for _, of := range m.state.Markets().Markets(nil) {
		for _, side := range []market.Side{market.Buy, market.Sell} {
			for _, l := range m.state.Markets().Depth(nil, of.ID, side, 1<<20) {
				all[priceOf{of.ID, side, l.Price}] = l.Quantity
			}
		}
	}
	return all
}

// block is what a block did, found out the slow way: by comparing all books.
func (m *host) block(in *exchange.Block, res *exchange.Result, before map[priceOf]asset.Amount) *archive.Block {
	b := &archive.Block{Height: in.Height, Time: in.Time, Events: res.Events}
	touched := map[identity.Address]bool{}
	for i := range in.Commands {
		b.Commands = append(b.Commands, archive.Command{Account: in.Commands[i].Account, Kind: in.Commands[i].Kind, Receipt: res.Receipts[i]})
		touched[in.Commands[i].Account] = true
	}
	for i := range res.Events {
		touched[res.Events[i].Account], touched[res.Events[i].Other] = true, true
	}
	now := m.books()
	for at := range before {
		if _, ok := now[at]; !ok {
			now[at] = 0
		}
	}
	for at, quantity := range now {
		if was := before[at]; was != quantity {
			b.Levels = append(b.Levels, archive.Level{Market: at.market, Side: at.side, Price: at.price, Quantity: quantity})
		}
	}
	for address := range touched {
		n, ok := m.state.Ledger().Find(address)
		if !ok {
			continue
		}
		a := m.state.Ledger().Account(n)
		for _, x := range a.Balances {
			b.Balances = append(b.Balances, archive.Balance{Account: address, Asset: x.Asset, Available: x.Available, Held: x.Held})
		}
	}
	return b
}

// View implements web.Replica, as do the methods behind it.
func (m *host) View(read func(*exchange.State)) error {
	m.mu.RLock()
	defer m.mu.RUnlock()
	read(m.state)
	return nil
}

func (m *host) Height() uint64 {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.state.Height()
}

func (m *host) Follow(ctx context.Context, from uint64) iter.Seq2[*archive.Block, error] {
	return func(yield func(*archive.Block, error) bool) {
		for next := from; ; {
			m.mu.RLock()
			oldest, news := m.oldest, m.news
			var b *archive.Block
			if i := slices.IndexFunc(m.log, func(b *archive.Block) bool { return b.Height >= next }); i >= 0 {
				b = m.log[i]
			}
			m.mu.RUnlock()
			switch {
			case next < oldest:
				yield(nil, &web.GoneError{Oldest: oldest})
				return
			case b != nil:
				if !yield(b, nil) {
					return
				}
				next = b.Height + 1
			default:
				select {
				case <-news:
				case <-ctx.Done():
					yield(nil, ctx.Err())
					return
				}
			}
		}
	}
}

func (m *host) Trades(id market.ID, _ web.Cursor) iter.Seq2[web.Trade, error] {
	return func(yield func(web.Trade, error) bool) {
		m.mu.RLock()
		log := m.log
		m.mu.RUnlock()
		for _, b := range slices.Backward(log) {
			for i := range b.Events {
				f := b.Events[len(b.Events)-1-i].Fill
				if f == nil || f.Market != id {
					continue
				}
				t := exchange.Trade{
					ID: f.Trade, Market: id, Price: f.Price, Quantity: f.Quantity, Maker: f.Maker, Taker: f.Taker, Taking: f.TakerSide,
					Inner: f.Inner, Height: b.Height, Time: b.Time,
				}
				if !yield(web.Trade{Trade: t}, nil) {
					return
				}
			}
		}
	}
}

func (m *host) Status() consensus.Status { return consensus.Status{Height: m.Height()} }

// client is a client of some members.
func (c *chainOf) client(members ...*host) *api.Client {
	c.tb.Helper()
	var urls []string
	for _, m := range members {
		urls = append(urls, m.url)
	}
	cl, err := api.NewClient(api.Config{Servers: urls, ID: c.world.State.ID()})
	if err != nil {
		c.tb.Fatal(err)
	}
	c.tb.Cleanup(cl.Close)
	return cl
}
