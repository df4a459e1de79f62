package custodian_test

import (
	"context"
	"testing"

	"souk/asset"
	"souk/chain"
	"souk/chain/memchain"
	"souk/custodian/custodiantest"
	"souk/exchange"
	"souk/exchange/custody"
	"souk/exchange/exchangetest"
)

// onPublic is a bank on a network where nobody assumes a rate, unlike on one for tests.
func onPublic(rate func(member int) asset.Amount) custodiantest.Config {
	return custodiantest.Config{
		Network: "bitcoin-testnet4", Rate: rate,
		Found: func(f *exchange.Founding) { f.Created = 1_700_000_000_000 }, // when the chain in memory begins
	}
}

func light() memchain.Faults { return memchain.Faults{Unsure: true, Blind: true} }

func accepted(f *custodiantest.Federation) uint64 {
	info, _ := f.Banks().Bank(bank)
	return info.Accepted
}

// Two of four members have no estimate: payouts go on. One of the others who lies cannot
// make them dearer; he can make them slower, and if one of those without has a rate
// configured, he cannot do that either (Y-53, W-27).
func TestLightMembers(t *testing.T) {
	for name, c := range map[string]struct {
		set  asset.Amount // what member 3 has configured
		lie  asset.Amount // what the node of member 1 says
		want uint64
	}{
		"honest":             {want: 20_000},
		"high":               {lie: chain.MaxRate, want: 20_000},
		"low":                {lie: 1, want: 1000},
		"high, with setting": {set: 15_000, lie: chain.MaxRate, want: 20_000},
		"low, with setting":  {set: 15_000, lie: 1, want: 15_000},
	} {
		t.Run(name, func(t *testing.T) {
			f := federation(t, onPublic(func(member int) asset.Amount {
				if member == 3 {
					return c.set
				}
				return 0
			}))
			f.Chain.SetRate(20_000)
			f.Members[1].Node.SetFaults(memchain.Faults{Rate: c.lie})
			f.Members[2].Node.SetFaults(light())
			f.Members[3].Node.SetFaults(light())
			f.Mine(custody.Late + 1) // before, they had one
			if got := accepted(f); got != c.want {
				t.Fatalf("the rate is %d, not %d", got, c.want)
			}
			deposit(t, f, "bob", coin)
			id := withdraw(t, f, "bob", "shop", coin/2, 1e6)
			f.Calm()
			f.Mine(12)
			if _, ok := f.Banks().Settled(id); !ok || f.Chain.Balance(exchangetest.Output("shop")) != coin/2 {
				t.Error("Bob is not paid")
			}
		})
	}
}

// One member without an estimate and one that is away: the two others are enough.
func TestLightAndDown(t *testing.T) {
	f := federation(t, onPublic(nil))
	deposit(t, f, "bob", coin)
	f.Members[3].Node.SetFaults(light())
	f.Members[2].Up = false
	f.Mine(custody.Late + 1)
	id := withdraw(t, f, "bob", "shop", coin/2, 1e6)
	f.Calm()
	f.Mine(12)
	if _, ok := f.Banks().Settled(id); !ok {
		t.Error("Bob is not paid")
	}
}

// A node that had an estimate and has none any more leaves the old one behind, and so
// does one that answers no more, whatever else it says: what is configured stands in.
// Nobody has one: nothing is paid until somebody has (W-27).
func TestLostEstimate(t *testing.T) {
	f := federation(t, onPublic(func(member int) asset.Amount {
		if member == 0 {
			return 7000
		}
		return 0
	}))
	deposit(t, f, "bob", coin)
	for _, m := range f.Members {
		m.Node.SetFaults(light())
	}
	f.Mine(1)
	if got := f.Members[0].Custodian.Status().Rate; got != 7000 {
		t.Errorf("member 0 says %d", got)
	}
	f.Mine(custody.Late)
	for _, m := range f.Banks().Members(bank) {
		if has := m.Member == f.Members[0].ID(); has != (m.Rate == 7000) || !has && m.Rate != 0 {
			t.Errorf("member %d says %d", m.Member, m.Rate)
		}
	}
	if got := accepted(f); got != 0 {
		t.Fatalf("the rate is %d", got)
	}
	id := withdraw(t, f, "bob", "shop", coin/2, 1e6)
	f.Mine(3)
	if w, ok := f.Banks().Withdrawal(id); !ok || w.Batch != 0 {
		t.Fatalf("%+v", w)
	}
	f.Members[1].Node.SetFaults(memchain.Faults{Rate: 9000})
	f.Mine(12)
	if _, ok := f.Banks().Settled(id); !ok {
		t.Error("Bob is not paid")
	}
}

// broken is a node that answers all but what a fee should be.
type broken struct {
	chain.Backend
	fails *bool
}

func (n broken) FeeRate(ctx context.Context, within uint32) (asset.Amount, error) {
	if *n.fails {
		return 0, chain.ErrMalformed
	}
	return n.Backend.FeeRate(ctx, within)
}

// A node that suddenly answers nonsense when it is asked for the rate: its last answer
// stands for 6 blocks, not for ever (W-27).
func TestBrokenEstimate(t *testing.T) {
	fails := false
	cfg := onPublic(func(int) asset.Amount { return 0 })
	cfg.Backend = func(member int, node *memchain.Node) chain.Backend {
		if member != 0 {
			return node
		}
		return broken{node, &fails}
	}
	f := federation(t, cfg)
	f.Mine(1)
	fails = true
	f.Mine(custody.Late)
	own := func() uint64 { return f.Members[0].Custodian.Status().Rate }
	if got := own(); got != 2000 {
		t.Errorf("it says %d", got)
	}
	f.Mine(1)
	if got := own(); got != 0 {
		t.Errorf("it still says %d", got)
	}
	fails = false
	f.Mine(1)
	if got := own(); got != 2000 {
		t.Errorf("it says %d again", got)
	}
}
