package custodian

import (
	"fmt"

	"souk/chain"
	"souk/exchange"
	"souk/exchange/custody"
	"souk/exchange/roster"
	"souk/script"
)

// coinbaseDepth is how deep a block's reward is before it can be spent.
const coinbaseDepth = 100

// say answers what is to be said now: a key, if the member has none, and one
// statement on the chain, if there is something new and the one before was taken.
func (c *Custodian) say(s *exchange.State, chained bool) (bodies []exchange.Body, err error) {
	c.readOwn(s.Banks())
	if key, ok := c.key(); ok && !c.seen.own.HasKey && c.keying.due(c.steps) {
		c.keying.answered(c.steps)
		claim, _ := s.Claim(roster.ID(c.seen.me), c.cfg.Network.Name)
		proof, err := c.cfg.Signer.Possess(claim)
		if err != nil {
			return nil, fmt.Errorf("announce a key: %w", err)
		}
		bodies = append(bodies, &exchange.AnnounceKey{Bank: c.cfg.Bank, Key: key, Possession: proof})
	}
	if !chained {
		return bodies, nil
	}
	t, err := c.statement(s.Banks())
	if err != nil || t == nil {
		c.saying, c.said = outstanding{}, nil
		return bodies, err
	}
	if c.said != nil && c.taken(s.Banks(), c.said) {
		c.saying, c.said = outstanding{}, nil
	}
	if c.saying.due(c.steps) {
		c.saying.answered(c.steps)
		c.said = t
		bodies = append(bodies, &exchange.Attest{Attestation: *t})
	}
	return bodies, nil
}

// key is the signer's public key for the bank.
func (c *Custodian) key() (script.MemberKey, bool) {
	if c.public == nil {
		key, ok := c.cfg.Signer.Announce(c.cfg.Network.Name)
		if !ok {
			return key, false
		}
		c.public = &key
	}
	return *c.public, true
}

// stands is the hash that stands for the member in the ledger at a height: its own, or
// where it said none, the agreed one.
func (c *Custodian) stands(banks *custody.State, height uint32) script.Hash {
	if h, ok := banks.Said(c.cfg.Bank, c.seen.me, height); ok {
		return h
	}
	h, _ := banks.Block(c.cfg.Bank, height)
	return h
}

// taken tells whether the ledger has a statement: what it says last is not news any more.
func (c *Custodian) taken(banks *custody.State, t *custody.Attestation) bool {
	switch {
	case len(t.Hashes) > 0:
		last := t.From + uint32(len(t.Hashes)) - 1
		said, ok := banks.Said(c.cfg.Bank, c.seen.me, last)
		return ok && said == t.Hashes[len(t.Hashes)-1]
	case len(t.Payments) > 0:
		p := &t.Payments[len(t.Payments)-1]
		return !banks.WantsPayment(c.cfg.Bank, c.seen.me, p, c.stands(banks, p.Height))
	case len(t.Spends) > 0:
		p := &t.Spends[len(t.Spends)-1]
		return !banks.WantsSpend(c.cfg.Bank, c.seen.me, p, c.stands(banks, p.Height))
	}
	return c.seen.own.Rate == t.Rate
}

// statement is what the member sees and the ledger does not have of it; nil for
// nothing (W-21, W-22).
func (c *Custodian) statement(banks *custody.State) (*custody.Attestation, error) {
	o := &c.own
	info, _ := banks.Bank(c.cfg.Bank)
	now := moment{info.Tip, o.tip(), len(o.payments) + len(o.spends), c.rate != 0}
	if c.quiet == now {
		return nil, nil //nolint:nilnil // nothing is no statement
	}
	top := min(o.tip().Height, info.Tip.Height+custody.MaxAhead)
	if top < info.Floor {
		return nil, nil //nolint:nilnil // nothing is no statement
	}
	common := top
	for c.stands(banks, common) != o.at(common) || o.at(common).IsZero() {
		if common <= max(info.Floor, o.base) {
			return nil, fmt.Errorf("%w down to block %d", ErrChain, common)
		}
		common--
	}
	t := &custody.Attestation{Bank: c.cfg.Bank}
	from := common + 1
	if common == top && c.seen.own.Height < top && top > info.Floor {
		from = top // so that all know how far it is
	}
	for h := from; h <= top && len(t.Hashes) < custody.MaxHashes; h++ {
		t.Hashes = append(t.Hashes, o.at(h))
	}
	upTo := common
	if n := uint32(len(t.Hashes)); n > 0 {
		t.From, t.Parent = from, o.at(from-1)
		upTo = max(upTo, from+n-1)
	}
	all := c.addPayments(banks, t, upTo)
	c.addSpends(banks, t, upTo)
	rate := uint64(c.rate)
	if len(t.Hashes)+len(t.Payments)+len(t.Spends) == 0 && (rate == 0 || c.seen.own.Rate != 0) {
		if all {
			c.quiet = now
		}
		return nil, nil //nolint:nilnil // nothing is no statement
	}
	t.Rate = rate
	return t, nil
}

// moment is all that decides whether something is to be said, if nothing was the last
// time: statements that the ledger has stay, as long as the agreed chain does.
type moment struct {
	agreed custody.Point
	own    chain.Point
	found  int
	rate   bool
}

// mine tells whether the member stands for its own block at a height, once it has said t.
func (c *Custodian) mine(banks *custody.State, t *custody.Attestation, height uint32) bool {
	return len(t.Hashes) > 0 && height >= t.From || c.stands(banks, height) == c.own.at(height)
}

// addPayments adds what the ledger does not have, as far as it has room for the member;
// all is false if there is more. What there is no room for comes when others have said
// it too, or it is agreed.
func (c *Custodian) addPayments(banks *custody.State, t *custody.Attestation, upTo uint32) (all bool) {
	tip, room := c.own.tip().Height, banks.Room(c.cfg.Bank, c.seen.me)
	all = true
	for i := range c.own.payments {
		p := &c.own.payments[i]
		if p.Height > upTo || len(t.Payments) == custody.MaxPayments {
			break
		}
		if p.coinbase && tip-p.Height+1 < coinbaseDepth {
			continue // it could not be paid out
		}
		hash := c.own.at(p.Height)
		if !c.mine(banks, t, p.Height) || !banks.WantsPayment(c.cfg.Bank, c.seen.me, &p.Payment, hash) {
			continue
		}
		if !room.Takes(&p.Payment, hash) {
			all = false
			continue
		}
		t.Payments = append(t.Payments, p.Payment)
	}
	return all
}

func (c *Custodian) addSpends(banks *custody.State, t *custody.Attestation, upTo uint32) {
	for i := range c.own.spends {
		p := &c.own.spends[i]
		if p.Height > upTo || len(t.Spends) == custody.MaxSpends {
			return
		}
		if c.mine(banks, t, p.Height) && banks.WantsSpend(c.cfg.Bank, c.seen.me, p, c.own.at(p.Height)) {
			t.Spends = append(t.Spends, *p)
		}
	}
}
