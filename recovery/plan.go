package recovery

import (
	"fmt"
	"math"

	"souk/asset"
	"souk/script"
	"souk/threshold"
)

// Order says where a bank's coins go, and what that may cost.
type Order struct {
	To   []byte       // output script
	Rate asset.Amount // units per 1,000 virtual bytes
	// Early takes coins too whose lock is not open, for transactions that are signed
	// now and sent later.
	Early bool
}

// Reason is why a coin is left where it is.
type Reason uint8

// Reasons.
const (
	Locked Reason = iota + 1 // its lock is not open
	Token                    // so small that it may carry a token of another program
	Small                    // worth less than it costs to spend
)

// Left is a coin that no transaction spends.
type Left struct {
	Coin
	Why Reason
}

// Plan makes transactions of a bank's coins, each with one output and small enough for
// nodes to relay. What they leave is answered too. It returns ErrEmpty,
// ErrLocked or ErrSmall if there is nothing to spend; then left says the rest.
func Plan(f *Findings, o Order) (file *File, left []Left, err error) {
	if err := f.Network.Payable(o.To, f.Tip.Height+1); err != nil {
		return nil, nil, fmt.Errorf("pay to the address: %w", err)
	}
	file = &File{Network: f.Network, Series: f.Series, Seen: seen(f.locator)}
	series := byNumber(f.Series)
	type kind struct {
		lock uint32
		open bool
	}
	groups := map[kind]*group{}
	var order []*group
	for i := range f.Coins {
		c := &f.Coins[i]
		s := series[c.Series]
		weight := s.InputWeight(true)
		if why := f.leave(c, weight, &o); why != 0 {
			left = append(left, Left{*c, why})
			continue
		}
		of := kind{s.Recovery.Sequence(), c.Open} // what is open does not wait for the rest
		g, ok := groups[of]
		if !ok {
			g = &group{sequence: of.lock}
			groups[of] = g
			order = append(order, g)
		}
		g.coins, g.weights = append(g.coins, *c), append(g.weights, weight)
	}
	for _, g := range order {
		done, rest := g.transactions(f.Network, &o)
		file.Transactions = append(file.Transactions, done...)
		left = append(left, rest...)
	}
	if len(file.Transactions) > 0 {
		return file, left, file.check()
	}
	return nil, left, nothing(left)
}

// nothing says why there is no transaction.
func nothing(left []Left) error {
	if len(left) == 0 {
		return ErrEmpty
	}
	first, locked := uint32(math.MaxUint32), 0
	for i := range left {
		if left[i].Why == Locked {
			first, locked = min(first, left[i].Opens), locked+1
		}
	}
	if locked > 0 {
		return fmt.Errorf("%w: of %d coins the first can be spent in block %d", ErrLocked, locked, first)
	}
	return ErrSmall
}

// leave says why a coin is not spent; zero if it is.
func (f *Findings) leave(c *Coin, weight uint64, o *Order) Reason {
	fee, ok := script.Fee(o.Rate, weight)
	switch {
	case c.Amount <= f.Network.TokenAmounts:
		return Token
	case !ok || c.Amount <= fee:
		return Small
	case !c.Open && !o.Early:
		return Locked
	}
	return 0
}

// group are coins whose inputs have one sequence, the largest first.
type group struct {
	sequence uint32
	coins    []Coin
	weights  []uint64
}

// transactions divides a group into as few transactions as fit.
func (g *group) transactions(n *script.Network, o *Order) (list []Transaction, left []Left) {
	output := []uint64{script.OutputWeight(o.To)}
	for start := 0; start < len(g.coins); {
		end := start + 1
		for end < len(g.coins) && end-start < threshold.MaxInputs &&
			script.TransactionWeight(g.weights[start:end+1], output) <= script.MaxWeight {
			end++
		}
		coins, weights := g.coins[start:end], g.weights[start:end]
		start = end
		t, ok := transaction(n, g.sequence, coins, script.TransactionWeight(weights, output), o)
		if !ok {
			for i := range coins {
				left = append(left, Left{coins[i], Small})
			}
			continue
		}
		list = append(list, t)
	}
	return list, left
}

// transaction spends coins. ok is false if too little would arrive.
func transaction(n *script.Network, sequence uint32, coins []Coin, weight uint64, o *Order) (t Transaction, ok bool) {
	p := &threshold.Plan{Network: n, Version: script.Version, Sequence: sequence}
	var sum asset.Amount
	for i := range coins {
		c := &coins[i]
		p.Inputs = append(p.Inputs, c.Coin)
		t.Opens, t.Until = max(t.Opens, c.Opens), max(t.Until, c.Until)
		if sum, ok = sum.Add(c.Amount); !ok {
			return t, false
		}
	}
	fee, ok := script.Fee(o.Rate, weight)
	amount, covered := sum.Sub(fee)
	if !ok || !covered || amount < n.Dust {
		return t, false
	}
	p.Outputs = []script.Output{{Script: o.To, Amount: amount}}
	t.Plan = p
	return t, true
}
