package chaintest

import (
	"bytes"
	"cmp"
	"math/rand"
	"slices"
	"testing"

	"github.com/btcsuite/btcd/wire/v2"

	"souk/asset"
	"souk/chain"
	"souk/script"
)

// Book is the simplest reader of a chain: it keeps what every block held.
type Book struct {
	blocks  map[uint32]chain.Found
	rewinds int
}

var _ chain.Visitor = (*Book)(nil)

// NewBook returns an empty book.
func NewBook() *Book { return &Book{blocks: map[uint32]chain.Found{}} }

// Rewind drops the blocks above a point.
func (b *Book) Rewind(to chain.Point) error {
	b.rewinds++
	for height := range b.blocks {
		if height > to.Height {
			delete(b.blocks, height)
		}
	}
	return nil
}

// Connect keeps what a block holds.
func (b *Book) Connect(at chain.Block, found chain.Found) error {
	b.blocks[at.Height] = found
	return nil
}

// Coins returns what is not spent, sorted.
func (b *Book) Coins() []chain.Payment {
	spent := map[script.Outpoint]bool{}
	for _, found := range b.blocks {
		for _, s := range found.Spends {
			spent[s.At] = true
		}
	}
	var coins []chain.Payment
	for _, found := range b.blocks {
		for _, p := range found.Payments {
			if !spent[p.At] {
				coins = append(coins, p)
			}
		}
	}
	return sorted(coins)
}

// Rewinds returns how often blocks were taken back.
func (b *Book) Rewinds() int { return b.rewinds }

// Balance returns the sum of the coins.
func (b *Book) Balance() asset.Amount {
	var sum asset.Amount
	for _, p := range b.Coins() {
		sum += p.Amount
	}
	return sum
}

func (b *Book) any(random *rand.Rand) (chain.Payment, bool) {
	coins := b.Coins()
	if len(coins) == 0 {
		return chain.Payment{}, false
	}
	return coins[random.Intn(len(coins))], true
}

func sorted(list []chain.Payment) []chain.Payment {
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b chain.Payment) int {
		return cmp.Or(cmp.Compare(a.At.String(), b.At.String()), bytes.Compare(a.Script, b.Script))
	})
	return list
}

// id is the id of a serialised transaction.
func id(t testing.TB, raw []byte) script.Hash {
	t.Helper()
	msg := &wire.MsgTx{}
	if err := msg.Deserialize(bytes.NewReader(raw)); err != nil {
		t.Fatal(err)
	}
	return script.Hash(msg.TxHash())
}
