// Package ledger imports upwards, sideways and a foreign library.
package ledger

import (
	"example.org/fast" // want "exchange/ledger is pure and must not import example.org/fast"

	"souk/asset"
	"souk/consensus"       // want "exchange/ledger must not import consensus"
	"souk/exchange/market" // want "exchange/ledger must not import exchange/market"
)

var (
	_ asset.Rate // want "uses a float"
	_ consensus.Port
	_ market.Book
	_ fast.Map
)
