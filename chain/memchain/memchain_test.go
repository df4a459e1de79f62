package memchain_test

import (
	"slices"
	"testing"

	"souk/asset"
	"souk/chain"
	"souk/chain/chaintest"
	"souk/chain/memchain"
	"souk/internal/chainnode"
	"souk/script"
)

// miner is a chain and a wallet as chaintest wants them.
type miner struct {
	*chainnode.Wallet
	chain  *memchain.Chain
	reward []byte
}

func newMiner(t testing.TB, network string) *miner {
	t.Helper()
	n, ok := script.ByName(network)
	if !ok {
		t.Fatalf("no network %s", network)
	}
	m := &miner{Wallet: chainnode.NewWallet("memchain"), chain: memchain.New(n, true)}
	m.reward = m.Script()
	m.chain.RewardTo(m.reward)
	m.chain.Mine(10)
	return m
}

func (m *miner) Reward() []byte { return m.reward }

func (m *miner) Pay(_ testing.TB, out []byte, amount asset.Amount) script.Outpoint {
	return m.chain.Pay(out, amount)
}

func (m *miner) Spend(t testing.TB, coins []chain.Payment, outputs ...script.Output) []byte {
	t.Helper()
	raw, err := m.Sign(coins, outputs)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func (m *miner) Mine(_ testing.TB, n int) { m.chain.Mine(n) }

func (m *miner) Reorganise(t testing.TB, depth, n int, instead ...[]byte) {
	t.Helper()
	if err := m.chain.Reorganise(depth, n, instead...); err != nil {
		t.Fatal(err)
	}
}

func (m *miner) Tip(testing.TB) chain.Point { return m.chain.Tip().Point }

func (m *miner) Waiting(_ testing.TB, id script.Hash) bool {
	return slices.Contains(m.chain.Pool(), id)
}

func TestConformance(t *testing.T) {
	for _, network := range []string{"bitcoin-regtest", "litecoin-regtest", "namecoin-regtest"} {
		t.Run(network, func(t *testing.T) {
			chaintest.Run(t, func(t *testing.T) *chaintest.Rig {
				m := newMiner(t, network)
				m.chain.SetRate(3 * m.chain.Node().Network().MinRelay)
				open := func(*testing.T) chain.Backend { return m.chain.Node() }
				return &chaintest.Rig{Miner: m, Backend: open(t), Reopen: open, Pending: true, Steps: 500}
			})
		})
	}
}
