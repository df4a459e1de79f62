package cli

import (
	"context"
	"crypto/rand"
	"fmt"
	"math"
	mathrand "math/rand/v2"
	"sync"
	"time"

	"souk/api"
	"souk/asset"
	"souk/exchange"
	"souk/exchange/ledger"
	"souk/exchange/market"
	"souk/identity"
	"souk/internal/cluster"
	"souk/internal/load"
)

// Bots keep the books and the tape of the demonstration alive when its story is over: in each
// market two that make prices and one that takes them, around a price that wanders. Each acts
// by a delegate of its account that can only trade. Together they send some four commands a
// second.
const (
	botMakers = 2
	botLevels = 8 // of a maker, on each side
	// Pauses of a maker between two changes of its ladder, and of a taker, are between half
	// of these and one and a half times that.
	makerPause = 3000 * time.Millisecond
	takerPause = 2200 * time.Millisecond
	// botPause is how long a bot waits that no server answers.
	botPause = 2 * time.Second
	// The wandering price: how far a second takes it, and how much of the way back.
	walkStep = 0.00025
	walkBack = 0.0008
)

// botPurse is what a bot of a market begins with, in base and quote, and the most it trades at
// once, in lots.
type botPurse struct {
	money []held
	most  int
}

func botPurses() []botPurse {
	return []botPurse{
		{[]held{{1, 25e7}, {demoEUR, 400_000e8}}, 400},
		{[]held{{3, 30e8}, {1, 1e7}}, 1500},
	}
}

// walk is the price that a market's bots think is right.
type walk struct {
	mu     sync.Mutex
	middle float64 // where it begins and tends to
	price  float64
	last   time.Time
	rng    *mathrand.Rand
}

func newWalk(m *load.Market, now time.Time) *walk {
	w := &walk{middle: float64(m.Middle), price: float64(m.Middle), last: now}
	w.rng = mathrand.New(mathrand.NewPCG(mathrand.Uint64(), uint64(m.ID))) //nolint:gosec // no secret
	return w
}

// at is the price now.
func (w *walk) at(now time.Time) float64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	passed := min(now.Sub(w.last).Seconds(), 60)
	if passed <= 0 {
		return w.price
	}
	w.last = now
	w.price += (w.middle-w.price)*min(1, walkBack*passed) + w.price*walkStep*math.Sqrt(passed)*w.rng.NormFloat64()
	w.price = min(max(w.price, w.middle*0.8), w.middle*1.25)
	return w.price
}

// bot is one bot at work.
type bot struct {
	actor  *api.Actor
	market load.Market
	walk   *walk
	most   int
	rng    *mathrand.Rand

	live map[int]rung // of a maker, by place in the ladder
	made int
	net  int // of a taker: lots bought, less those sold
}

// rung is an order of a maker.
type rung struct {
	client string
	price  float64
}

// bots makes the bots: their accounts, what they have, and the keys by which they trade.
func (d *demoRun) bots(ctx context.Context) (all []*bot, err error) {
	markets := load.PracticeMarkets()
	for i := range markets {
		w := newWalk(&markets[i], time.Now())
		purse := botPurses()[i]
		for range botMakers + 1 {
			b, err := d.bot(ctx, &purse)
			if err != nil {
				return nil, fmt.Errorf("make a bot: %w", err)
			}
			b.market, b.walk = markets[i], w
			b.rng = mathrand.New(mathrand.NewPCG(mathrand.Uint64(), uint64(len(all)))) //nolint:gosec // no secret
			all = append(all, b)
		}
	}
	return all, nil
}

func (d *demoRun) bot(ctx context.Context, purse *botPurse) (*bot, error) {
	owner, err := identity.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	defer owner.Wipe()
	key, err := identity.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	who := api.OwnerOf(owner)
	if err := d.grant(ctx, who.Account, purse.money...); err != nil {
		return nil, err
	}
	if err := cluster.MustOK(d.client.As(who).Do(ctx, &exchange.AddDelegate{Key: key.Public(), Scopes: ledger.Read | ledger.Trade})); err != nil {
		return nil, err
	}
	return &bot{actor: d.client.As(&api.Signer{Account: who.Account, Key: key}), most: purse.most, live: map[int]rung{}}, nil
}

// run lets the bots trade until the context ends.
func runBots(ctx context.Context, all []*bot) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	for i, b := range all {
		step, pause := b.take, takerPause
		if i%(botMakers+1) < botMakers {
			step, pause = b.quote, makerPause
		}
		wg.Go(func() {
			defer b.actor.Key.Wipe()
			for b.sleep(ctx, pause) {
				if err := step(ctx); err != nil && !b.sleep(ctx, botPause) { // its server may be down: another answers in a moment
					return
				}
			}
		})
	}
	return func() { cancel(); wg.Wait() }
}

// sleep waits for about so long; false if the bot shall end.
func (b *bot) sleep(ctx context.Context, about time.Duration) bool {
	t := time.NewTimer(about/2 + time.Duration(b.rng.Int64N(int64(about))))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// quote puts one place of a maker's ladder where it belongs: that which is farthest from it,
// or just any, since its order may be gone. A new maker begins with the whole ladder.
func (b *bot) quote(ctx context.Context) error {
	const places = 2 * botLevels
	middle := b.walk.at(time.Now())
	change := []int{b.rng.IntN(places)}
	switch {
	case len(b.live) == 0:
		change = nil
		for i := range places {
			change = append(change, i)
		}
	case b.made%2 == 0:
		off := 0.0
		for place, r := range b.live {
			if x := math.Abs(r.price - ideal(place, middle)); x > off {
				off, change[0] = x, place
			}
		}
	}
	var bodies []exchange.Body
	for _, place := range change {
		if old, ok := b.live[place]; ok {
			bodies = append(bodies, &exchange.Cancel{Target: exchange.Target{Client: old.client}})
		}
		b.made++
		level := place % botLevels
		r := rung{fmt.Sprintf("bot-%d", b.made), ideal(place, middle) + middle*0.0001*(b.rng.Float64()-0.5)}
		lots := 1 + b.rng.IntN(b.most/8*(level+1)) + b.most/16*level // near the middle less than farther away
		b.live[place] = r
		bodies = append(bodies, b.order(sideOf(place), r.price, lots, market.GTC, r.client))
	}
	_, err := b.actor.Do(ctx, bodies...) // an order may be gone before its cancel comes, and money may be short: the next one is another
	return err
}

func sideOf(place int) market.Side {
	if place < botLevels {
		return market.Buy
	}
	return market.Sell
}

// ideal is the price that belongs in a place of a ladder around a middle.
func ideal(place int, middle float64) float64 {
	away := middle * (0.00015 + 0.00035*float64(place%botLevels))
	if sideOf(place) == market.Buy {
		return middle - away
	}
	return middle + away
}

// take buys or sells a little at once. It tends to what brings it back to what it began with.
func (b *bot) take(ctx context.Context) error {
	middle := b.walk.at(time.Now())
	side, limit := market.Buy, middle*1.004
	if b.rng.Float64() < 0.5+math.Max(-0.4, math.Min(0.4, float64(b.net)/float64(20*b.most))) {
		side, limit = market.Sell, middle*0.996
	}
	receipts, err := b.actor.Do(ctx, b.order(side, limit, 1+b.rng.IntN(b.most)/(1+b.rng.IntN(6)), market.IOC, ""))
	if err != nil {
		return err
	}
	filled := int(receipts[0].Filled / b.market.Lot)
	if side == market.Sell {
		filled = -filled
	}
	b.net += filled
	return nil
}

func (b *bot) order(side market.Side, price float64, lots int, tif market.TIF, client string) *exchange.Place {
	ticks := asset.Price(math.Max(1, math.Round(price/float64(b.market.Tick))))
	return &exchange.Place{
		Market: b.market.ID, Side: side, Order: market.LimitOrder, TIF: tif, Price: ticks * b.market.Tick,
		Quantity: asset.Amount(lots) * b.market.Lot, Client: client,
	}
}
