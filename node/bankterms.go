package node

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"souk/asset"
	"souk/exchange"
	"souk/exchange/custody"
	"souk/script"
)

// BankTerms are a bank that keeps the coins of an asset: one [[banks]] of the founding
// terms. Amounts are in coins; lengths of time are written like 90s, 24h, 7d or 26w. What
// is empty has a default, but for Asset and Network.
type BankTerms struct {
	Asset         string         `toml:"asset"`
	Network       string         `toml:"network"`
	Wallets       uint8          `toml:"wallets"`
	MinDeposit    string         `toml:"min_deposit"`
	MinWithdrawal string         `toml:"min_withdrawal"`
	HourlyLimit   string         `toml:"hourly_limit"` // that leaves the bank
	DelayAbove    string         `toml:"delay_above"`  // a larger withdrawal to a new address waits
	Delay         string         `toml:"delay"`
	Gather        string         `toml:"gather"`      // withdrawals are looked at together, so often
	BumpBlocks    uint32         `toml:"bump_blocks"` // after which a transaction may pay more
	CoolDown      string         `toml:"cool_down"`   // from a new key to its first series
	StartHeight   uint32         `toml:"start_height"`
	StartHash     string         `toml:"start_hash"`
	Recovery      *RecoveryTerms `toml:"recovery"`
}

// RecoveryTerms are the recovery of a bank: so many of these keys can spend a coin after
// it has lain for so long.
type RecoveryTerms struct {
	Needed uint8    `toml:"needed"`
	Keys   []string `toml:"keys"`
	After  string   `toml:"after"`  // a time; empty: 26 weeks, unless Blocks says otherwise
	Blocks uint32   `toml:"blocks"` // instead of a time
}

// bankDefaults are what applies where the terms of a bank are silent. Amounts are in
// units of 10^-8 coins, times in ms.
type bankDefaults struct {
	least, hourly, above asset.Amount
	delay, gather, cool  uint64
	bump                 uint32
}

const (
	coin   = 100_000_000 // units
	hourMs = 3_600_000
)

// defaultsOf are the defaults of a bank on a network. Test networks with blocks on
// demand get such as do not make anybody wait.
func defaultsOf(n *script.Network) bankDefaults {
	d := bankDefaults{least: coin / 10_000, hourly: 10 * coin, above: coin, delay: 24 * hourMs, gather: 30_000, cool: 72 * hourMs, bump: 6}
	switch n.Chain {
	case script.Litecoin:
		d.least, d.hourly, d.above = coin/1000, 1000*coin, 100*coin
	case script.Namecoin:
		d.least, d.hourly, d.above = coin/100, 1000*coin, 100*coin
	case script.Bitcoin:
	}
	if onDemand(n) {
		d.hourly, d.above, d.gather, d.cool, d.bump = 100_000*coin, 10_000*coin, 200, 10_000, 3
	}
	return d
}

// onDemand tells whether blocks of a network are made when somebody asks for them.
func onDemand(n *script.Network) bool { return strings.HasSuffix(n.Name, "-regtest") }

// bank is the nth bank of the terms.
func (t *Terms) bank(n int) (f exchange.FoundingBank, err error) {
	b := &t.Banks[n]
	network, ok := script.ByName(b.Network)
	switch {
	case b.Asset == "":
		return f, t.bad("banks", n, "asset", "it is missing: the symbol of an [[asset]]")
	case t.find(b.Asset) < 0:
		return f, t.unknown("banks", n, "asset", b.Asset)
	case t.bankOf(b.Asset) != n:
		return f, t.bad("banks", n, "asset", "another bank keeps its coins already")
	case !ok:
		return f, t.bad("banks", n, "network", "%q: there are %s", b.Network, strings.Join(networkNames(), ", "))
	case slices.IndexFunc(t.Banks, func(o BankTerms) bool { return o.Network == b.Network }) != n:
		return f, t.bad("banks", n, "network", "another bank is on it already")
	}
	d := defaultsOf(network)
	f = exchange.FoundingBank{Symbol: b.Asset, Definition: custody.Definition{
		Network: b.Network, Wallets: b.Wallets, BumpBlocks: b.BumpBlocks,
		Limits: custody.Limits{MinDeposit: d.least, MinWithdrawal: d.least, MaxPerHour: d.hourly, DelayAbove: d.above, Delay: d.delay},
		Gather: d.gather, CoolDown: d.cool,
	}}
	if f.Wallets == 0 {
		f.Wallets = 4
	}
	if f.BumpBlocks == 0 {
		f.BumpBlocks = d.bump
	}
	for _, x := range []struct {
		field, text string
		to          *asset.Amount
	}{
		{"min_deposit", b.MinDeposit, &f.MinDeposit},
		{"min_withdrawal", b.MinWithdrawal, &f.MinWithdrawal},
		{"hourly_limit", b.HourlyLimit, &f.MaxPerHour},
		{"delay_above", b.DelayAbove, &f.DelayAbove},
	} {
		if x.text == "" {
			continue
		}
		if *x.to, err = asset.Parse(x.text, 8); err != nil {
			return f, t.bad("banks", n, x.field, "%q: %w", x.text, err)
		}
	}
	for _, x := range []struct {
		field, text string
		to          *uint64
	}{{"delay", b.Delay, &f.Delay}, {"gather", b.Gather, &f.Gather}, {"cool_down", b.CoolDown, &f.CoolDown}} {
		if x.text == "" {
			continue
		}
		span, err := parseSpan(x.text)
		if err != nil {
			return f, t.bad("banks", n, x.field, "%w", err)
		}
		*x.to = uint64(span.Milliseconds())
	}
	if f.Start, err = t.start(n, network); err != nil {
		return f, err
	}
	if f.Recovery, f.Possessions, err = t.recovery(n); err != nil {
		return f, err
	}
	return f, t.possibleBank(n, network, &f.Definition)
}

// possibleBank says which field of a bank has a value that it cannot have.
func (t *Terms) possibleBank(n int, network *script.Network, d *custody.Definition) error {
	least := max(network.TokenAmounts+1, network.Dust)
	switch {
	case d.Wallets > custody.MaxWallets:
		return t.bad("banks", n, "wallets", "there are 1 to %d", custody.MaxWallets)
	case d.MinDeposit < least || d.MinDeposit > asset.MaxSupply:
		return t.bad("banks", n, "min_deposit", "it must be %s at least: smaller ones may be tokens, or cost more than they are worth", asset.Format(least, 8))
	case d.MinWithdrawal < least || d.MinWithdrawal > asset.MaxSupply:
		return t.bad("banks", n, "min_withdrawal", "it must be %s at least", asset.Format(least, 8))
	case d.MaxPerHour < d.MinWithdrawal || d.MaxPerHour > asset.MaxSupply:
		return t.bad("banks", n, "hourly_limit", "it must be above min_withdrawal")
	case d.DelayAbove > asset.MaxSupply:
		return t.bad("banks", n, "delay_above", "it is more coins than there can be")
	case d.Delay > custody.MaxDelay:
		return t.bad("banks", n, "delay", "it is 30 days at most")
	case d.Gather > hourMs:
		return t.bad("banks", n, "gather", "it is an hour at most")
	case d.CoolDown > custody.MaxDelay:
		return t.bad("banks", n, "cool_down", "it is 30 days at most")
	case d.BumpBlocks > custody.Keep:
		return t.bad("banks", n, "bump_blocks", "it is %d at most", custody.Keep)
	}
	check := *d
	check.Asset = 1 // the contract fills it in
	if err := check.Check(); err != nil {
		return t.bad("banks", n, "network", "%w", err)
	}
	return nil
}

// bankOf is the index of the bank of a symbol, or -1.
func (t *Terms) bankOf(symbol string) int {
	return slices.IndexFunc(t.Banks, func(b BankTerms) bool { return b.Asset == symbol })
}

// banks are the banks of the terms, if these members can have them (Y-20, Y-85).
func (t *Terms) banks(cards []exchange.Card) (all []exchange.FoundingBank, err error) {
	for i := range t.Banks {
		b, err := t.bank(i)
		if err != nil {
			return nil, err
		}
		all = append(all, b)
	}
	if len(all) == 0 {
		return nil, nil
	}
	if n := len(cards); n == 2 || n == 3 || n > script.MaxKeys {
		return nil, t.bad("banks", 0, "asset", "there are no banks with %d members: one member (who then holds the coins alone), or 4 to %d", n, script.MaxKeys)
	}
	for i := range t.Banks {
		for j := range cards {
			if !slices.ContainsFunc(cards[j].Banks, func(k exchange.BankKey) bool { return k.Network == t.Banks[i].Network }) {
				return nil, t.bad("banks", i, "network", "the card of %s has no key for it: he makes keys with souk card bank-keys, and hands out his card again", cards[j].Name)
			}
		}
	}
	return all, nil
}

// ErrStart is returned by Found for terms that do not say with which block a bank
// begins, on a network where it does not begin with the first.
var ErrStart = errors.New("with which block of the chain does the bank begin?")

// start is the block from which on the members attest.
func (t *Terms) start(n int, network *script.Network) (p custody.Point, err error) {
	b := &t.Banks[n]
	switch {
	case b.StartHash == "" && b.StartHeight != 0:
		return p, t.bad("banks", n, "start_height", "start_hash, the hash of that block, is missing")
	case b.StartHash == "" && onDemand(network):
		return custody.Point{Hash: network.Genesis}, nil
	case b.StartHash == "":
		return p, t.bad("banks", n, "start_height", "%w Write start_height and start_hash of a block that is buried, the same for all founders; souk federation create --chain-start --home DIR finds one", ErrStart)
	}
	p.Height = b.StartHeight
	if p.Hash, err = script.ParseHash(b.StartHash); err != nil {
		return p, t.bad("banks", n, "start_hash", "%q: 64 hexadecimal digits, as nodes show a block's hash", b.StartHash)
	}
	if p.Height == 0 && p.Hash != network.Genesis {
		return p, t.bad("banks", n, "start_hash", "it is not that of block 0 of %s; is start_height missing?", network.Name)
	}
	return p, nil
}

// recovery is a bank's recovery with the proofs of its keys, nil if it has none.
func (t *Terms) recovery(n int) (*script.Recovery, []script.Possession, error) {
	w := t.Banks[n].Recovery
	if w == nil {
		return nil, nil, nil
	}
	bad := func(field, format string, args ...any) error {
		return t.bad("banks", n, "recovery."+field, format, args...)
	}
	r := &script.Recovery{K: w.Needed, Blocks: w.Blocks}
	var proofs []script.Possession
	for i, text := range w.Keys {
		k, err := script.ParseProvenKey(strings.TrimSpace(text))
		if err == nil {
			err = k.Key.CheckPossession(exchange.RecoveryClaim(t.Banks[n].Network), &k.Possession)
		}
		if err != nil {
			return nil, nil, bad("keys", "number %d: %w: each is an extended public key with the proof that its holder has the private half, for this network, as souk recovery-key new prints it", i+1, err)
		}
		if slices.Contains(r.Keys, k.Key) {
			return nil, nil, bad("keys", "one stands there twice")
		}
		r.Keys, proofs = append(r.Keys, k.Key), append(proofs, k.Possession)
	}
	switch {
	case len(r.Keys) == 0 || len(r.Keys) > script.MaxKeys:
		return nil, nil, bad("keys", "there are 1 to %d holders", script.MaxKeys)
	case r.K == 0 || int(r.K) > len(r.Keys):
		return nil, nil, bad("needed", "how many of the %d holders it takes", len(r.Keys))
	case w.After != "" && w.Blocks != 0:
		return nil, nil, bad("after", "say after, or blocks, not both")
	case w.Blocks > script.MaxLock:
		return nil, nil, bad("blocks", "it is %d at most", script.MaxLock)
	case w.Blocks == 0 && w.After == "":
		r.Intervals = script.RecoveryIntervals
	case w.Blocks == 0:
		span, err := parseSpan(w.After)
		if err != nil {
			return nil, nil, bad("after", "%w", err)
		}
		intervals := (uint64(span.Seconds()) + script.IntervalSeconds - 1) / script.IntervalSeconds
		if intervals == 0 || intervals > script.MaxLock {
			return nil, nil, bad("after", "it is above zero, and 55 weeks at most")
		}
		r.Intervals = uint32(intervals)
	}
	return r, proofs, nil
}

// parseSpan reads a length of time as people write it in files: like 90s, 24h, 7d, 26w.
func parseSpan(text string) (time.Duration, error) {
	wrong := fmt.Errorf("%q is no length of time: write it like 90s, 24h, 7d or 26w", text)
	for unit, length := range map[string]time.Duration{"w": 7 * 24 * time.Hour, "d": 24 * time.Hour} {
		number, ok := strings.CutSuffix(text, unit)
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(number, 10, 16)
		if err != nil {
			return 0, wrong
		}
		return time.Duration(n) * length, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, wrong
	}
	return d, nil
}
