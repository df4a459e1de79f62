package custodian

import (
	"fmt"

	"souk/chain"
	"souk/exchange/custody"
	"souk/script"
)

// watch is what the custodian looks for in blocks: scripts of all series, and coins.
type watch struct {
	series  []*watched       // by number
	places  map[string]place // by script
	scripts map[place]string // the other way
	filter  *chain.Filter
	known   map[script.Outpoint]bool // coins that the filter expects; nil at the start
	coming  []custody.Coin           // of the ledger, to be expected

	// covered says which deposit addresses were looked for in all blocks that count, by
	// series, when the chain stood at coveredAt. fresh are those that came since.
	covered   []uint32
	coveredAt uint32
	fresh     [][]byte // scripts that older blocks have to be read again for
	freshAt   uint32   // the height when the first of them came
	late      bool     // one of them was allotted before it was watched
	lost      []lostCoin
	again     *rescan
	readAt    uint32 // the chain's end when blocks were last read again for scripts
}

// watched is a series and how many of its scripts are derived.
type watched struct {
	series   *script.Series
	members  []custody.Member
	deposits *script.Branch
	change   *script.Branch
	deposit  uint32   // next index
	changes  []uint32 // next number, by wallet
}

// place is where a script stands.
type place struct {
	series, branch, index uint32
}

// lostCoin is a coin that the ledger has and that was not found in blocks.
type lostCoin struct {
	at     script.Outpoint
	script []byte
	height uint32
}

// rescan is a second reading of old blocks for what was not looked for the first time.
type rescan struct {
	filter *chain.Filter
	next   uint32 // height
	upTo   []uint32
}

// derive derives scripts up to what may be paid to soon (W-23), and tells whether that
// is all of them.
func (c *Custodian) derive() (complete bool, err error) {
	left := deriveScripts
	for n, w := range c.watch.series {
		if w.deposits == nil {
			if w.deposits, err = w.series.Branch(script.Deposits); err != nil {
				return false, fmt.Errorf("series %d: %w", n, err)
			}
			if w.change, err = w.series.Branch(script.Change); err != nil {
				return false, fmt.Errorf("series %d: %w", n, err)
			}
			w.changes = make([]uint32, len(c.seen.changes))
		}
		for ; w.deposit < c.seen.allotted[n]+custody.Gap; w.deposit++ {
			if left--; left < 0 {
				return false, nil
			}
			c.add(w.deposits, place{uint32(n), script.Deposits, w.deposit})
		}
		for wallet, used := range c.seen.changes {
			for ; w.changes[wallet] < used+custody.Gap; w.changes[wallet]++ {
				index, ok := script.ChangeIndex(uint8(wallet), w.changes[wallet])
				if !ok {
					break
				}
				if left--; left < 0 {
					return false, nil
				}
				c.add(w.change, place{uint32(n), script.Change, index})
			}
		}
	}
	return true, nil
}

// add watches the script at a place. One that does not exist is left out.
func (c *Custodian) add(branch *script.Branch, p place) {
	d, err := branch.Derive(p.index)
	if err != nil {
		return
	}
	out := d.Output()
	c.watch.scripts[p] = string(out)
	if old, ok := c.watch.places[string(out)]; ok && (p.branch == script.Change || p.index < c.seen.allotted[old.series]) {
		return // a series of the same keys had it before (Y-23)
	}
	c.watch.places[string(out)] = p
	c.watch.filter.Watch(out)
	if p.branch != script.Deposits || len(c.own.hashes) == 0 {
		return // nothing was read yet, or nobody knows the address before it is used
	}
	if int(p.series) < len(c.watch.covered) && p.index < c.watch.covered[p.series]+custody.Gap {
		return // it was looked for before the last restart
	}
	if len(c.watch.fresh) == 0 {
		c.watch.freshAt = c.own.tip().Height
	}
	c.watch.fresh = append(c.watch.fresh, out)
	c.watch.late = c.watch.late || p.index < c.seen.allotted[p.series]
}

// scriptOf is the script at a place.
func (c *Custodian) scriptOf(p place) []byte {
	if out, ok := c.watch.scripts[p]; ok {
		return []byte(out)
	}
	if uint64(p.series) >= uint64(len(c.watch.series)) {
		return nil
	}
	out, err := c.watch.series[p.series].series.Output(p.branch, p.index)
	if err != nil {
		return nil
	}
	return out
}

// expect looks for the spending of a coin.
func (c *Custodian) expect(at script.Outpoint, out []byte) {
	c.watch.known[at] = true
	c.watch.filter.Expect(at, out)
}

func (c *Custodian) forget(at script.Outpoint) {
	delete(c.watch.known, at)
	c.watch.filter.Forget(at)
}

// readCoins reads the coins of the ledger that are not expected yet, whenever the
// member's chain has grown: all of them at the start, and later those that the
// member's node did not show, or whose address was late.
func (c *Custodian) readCoins(banks *custody.State) {
	if c.watch.known != nil && c.coins == c.own.tip() {
		return
	}
	c.coins = c.own.tip()
	banks.Coins(c.cfg.Bank, func(coin custody.Coin) bool {
		if !coin.Unmined && !c.watch.known[coin.At] {
			c.watch.coming = append(c.watch.coming, coin)
		}
		return true
	})
}

// expectCoins looks for the spending of coins that were read, and at the start also of
// what was found before it.
func (c *Custodian) expectCoins() {
	w, o := &c.watch, &c.own
	if w.known == nil {
		w.known = map[script.Outpoint]bool{}
		for i := range o.payments {
			p := &o.payments[i]
			c.expect(p.At, c.scriptOf(place{p.Series, p.Branch, p.Index}))
		}
	}
	for _, coin := range w.coming {
		out := c.scriptOf(place{coin.Series, coin.Branch, coin.Index})
		c.expect(coin.At, out)
		// What stands in blocks that were read before this and was not found there.
		if coin.Height > o.base && coin.Height <= o.tip().Height && !o.paid[coin.At] {
			w.lost = append(w.lost, lostCoin{coin.At, out, coin.Height})
		}
	}
	w.coming = nil
}
