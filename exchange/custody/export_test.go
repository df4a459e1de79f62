package custody

import (
	"fmt"
	"slices"

	"souk/asset"
	"souk/script"
)

// Deal is what draws wallets.
var Deal = deal

// Work is how many coins and questions the last step looked at.
func Work(s *State) uint64 { return s.work }

// MostWork is the most that may be of a bank with so many wallets, coins and change to come, and withdrawals that wait:
// coins are sorted at first, after each batch, and when some are kept; by wallet, all together, and with what is to
// come by when it was made. Each withdrawal leads once, for each wallet, for all, and for what is to come, and goes
// along with each batch; a batch is tried whole, by half, with those that go along, and without those whose bounds are low.
func MostWork(wallets, coins, pending int) uint64 {
	sorted := (MaxBatches + 2) * (2*coins + (wallets+1+MaxUnmined)*(MaxInputs+MaxInputs*64))
	return uint64(sorted + pending*(wallets+2+MaxBatches) + MaxBatches*10*MaxOutputs*(MaxInputs+1))
}

// Trial compares what a tray finds with what is found by trying one choice after another.
type Trial struct {
	Network   string
	Rate      uint64
	Reserve   asset.Amount
	Seats     []int // members of each series
	Coins     []TrialCoin
	Questions []Question
}

// TrialCoin is a free coin, or change to come.
type TrialCoin struct {
	Amount       asset.Amount
	Series       uint32
	Kept, Coming bool
}

// Question asks for the inputs that pay a sum.
type Question struct {
	Sum     asset.Amount
	Scripts [][]byte
}

// Answer is what is found, and what trying finds.
type Answer struct{ Found, Tried string }

// Run asks all questions.
func (x *Trial) Run() (answers []Answer) {
	n, _ := script.ByName(x.Network)
	b := &bank{id: 1, network: n}
	for i, seats := range x.Seats {
		r := &script.Series{K: uint8(Threshold(seats))}
		for j := range seats {
			seed := [32]byte{byte(i), byte(j), 1}
			k, err := script.NewPrivateMemberKey(seed[:])
			if err != nil {
				panic(err)
			}
			r.Keys = append(r.Keys, k.Public())
		}
		b.series = append(b.series, &series{Series: r, bank: b, number: uint32(i)})
	}
	p := &planner{step: &step{State: New(), reserves: []asset.Amount{x.Reserve}}, bank: b, rate: x.Rate, kept: map[*coin]bool{}}
	var own, more, all []*coin
	for i, c := range x.Coins {
		made := &coin{bank: b, at: script.Outpoint{Tx: script.Hash{byte(i * 7), byte(i)}, Index: uint32(i)}, state: free, content: content{amount: c.Amount, series: c.Series}}
		made.location = location{height: 1}
		p.kept[made] = c.Kept
		all = append(all, made)
		if c.Coming {
			more = append(more, made)
		} else {
			own = append(own, made)
		}
	}
	for _, list := range [][]*coin{own, more, all} {
		slices.SortFunc(list, (*coin).compare)
	}
	tray := p.tray(own, nil)
	if len(more) > 0 {
		tray = p.tray(more, tray)
	}
	for _, q := range x.Questions {
		paying := make([]*withdrawal, len(q.Scripts))
		rest := q.Sum
		for i, out := range q.Scripts {
			paying[i] = &withdrawal{bank: b, Withdrawal: Withdrawal{Request: Request{Script: out, Amount: 1, MaxFee: asset.MaxSupply}}}
			rest--
		}
		paying[0].Amount += rest
		found := tray.draft(paying)
		answers = append(answers, Answer{found.words(), p.try(paying, all).words()})
		if alone := len(paying) == 1; alone && found != nil {
			for _, off := range []asset.Amount{0, 1} {
				paying[0].MaxFee = found.shared - off
				answers = append(answers, Answer{fmt.Sprint(tray.payable(paying[0])), fmt.Sprint(off == 0)})
			}
		}
	}
	return answers
}

func (d *draft) words() string {
	if d == nil {
		return "nothing"
	}
	coins := make([]string, len(d.coins))
	for i, c := range d.coins {
		coins[i] = fmt.Sprint(c.at.Index)
	}
	return fmt.Sprintf("coins %v, fee %d, shared %d, change %d", coins, d.fee, d.shared, d.change)
}

// try picks the inputs of a payout by trying (Y-57).
func (p *planner) try(paying []*withdrawal, coins []*coin) *draft {
	b, sum := p.bank, asset.Amount(0)
	for _, x := range paying {
		sum += x.Amount
	}
	for _, room := range []asset.Amount{bumpRoom, 1, 0} {
		d := p.tryEach(coins, func(chosen []*coin, total asset.Amount) *draft {
			weight := b.weight(chosen, paying, true)
			f := fee(p.rate, weight)
			if weight > script.MaxWeight || total < sum+b.network.Dust+f+f*room {
				return nil
			}
			return &draft{coins: chosen, fee: f, shared: f, change: total - sum - f}
		})
		if d != nil {
			return d
		}
	}
	return p.tryEach(coins, func(chosen []*coin, total asset.Amount) *draft {
		weight := b.weight(chosen, paying, false)
		f := fee(p.rate, weight)
		if weight > script.MaxWeight || total < sum+f || total-sum-f > b.network.Dust+fee(p.rate, changeWeight) {
			return nil
		}
		d := &draft{coins: chosen, fee: total - sum, shared: f}
		if total-sum-f > p.reserve() {
			d.shared = d.fee
		}
		return d
	})
}

// tryEach tries each coin, from the smallest, and then more and more of the largest; coins of older series first.
func (p *planner) tryEach(coins []*coin, try func(chosen []*coin, total asset.Amount) *draft) *draft {
	for _, old := range []bool{true, false} {
		for _, c := range coins {
			if p.usable(c) && p.old(c) == old {
				if d := try([]*coin{c}, c.amount); d != nil {
					return d
				}
			}
		}
	}
	var chosen []*coin
	total := asset.Amount(0)
	for _, old := range []bool{true, false} {
		for _, c := range slices.Backward(coins) {
			if !p.usable(c) || p.old(c) != old || old && !p.worth(c) {
				continue
			}
			if len(chosen) == MaxInputs {
				return nil
			}
			chosen, total = append(chosen, c), total+c.amount
			if d := try(slices.Clone(chosen), total); d != nil {
				return d
			}
		}
	}
	return nil
}
