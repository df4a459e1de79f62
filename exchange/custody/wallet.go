package custody

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
	"slices"

	"souk/asset"
	"souk/merkle"
	"souk/script"
)

// tagDraw begins what is hashed for a draw.
const tagDraw = "souk/custody/draw/1"

// draw says into which wallet a coin goes. It depends on the block's seed, the
// outpoint, the amount and what the wallets have, and on nothing else (Y-40).
func (b *bank) draw(seed merkle.Hash, c *coin) uint8 {
	totals := make([]asset.Amount, len(b.wallets))
	for i := range b.wallets {
		totals[i] = b.wallets[i].total
	}
	return deal(seed, c.at, c.amount, totals, b.tolerance(c.amount))
}

// tolerance is by how much wallets may differ: the largest coin, or a twentieth of
// the largest wallet if that is more (Y-41).
func (b *bank) tolerance(coin asset.Amount) asset.Amount {
	largest, most := coin, asset.Amount(0)
	for i := range b.wallets {
		w := &b.wallets[i]
		if n := len(w.free); n > 0 {
			largest = max(largest, w.free[n-1].amount)
		}
		most = max(most, w.total)
	}
	return max(largest, most/20)
}

// deal draws a wallet for a coin: of those that it does not lift above another one
// by more than the tolerance, each with a chance in proportion to what it lacks of
// the fullest wallet and the coin. The emptiest wallet always is among them.
func deal(seed merkle.Hash, at script.Outpoint, amount asset.Amount, totals []asset.Amount, tolerance asset.Amount) uint8 {
	least, most := slices.Min(totals), slices.Max(totals)
	chances := make([]uint64, len(totals))
	sum := uint64(0)
	for i, total := range totals {
		if total-least > tolerance-amount {
			continue
		}
		chances[i] = uint64(most-total)/32 + uint64(amount)/32 + 1
		sum += chances[i] // 16 times at most 2^59
	}
	h := sha256.New()
	h.Write([]byte(tagDraw))
	h.Write(seed[:])
	h.Write(at.Tx[:])
	h.Write(binary.BigEndian.AppendUint32(nil, at.Index))
	ticket, _ := bits.Mul64(binary.BigEndian.Uint64(h.Sum(nil)), sum)
	for i, chance := range chances {
		if ticket < chance {
			return uint8(i)
		}
		ticket -= chance
	}
	broken("a draw of %d among %d wallets", sum, len(totals))
	return 0
}
