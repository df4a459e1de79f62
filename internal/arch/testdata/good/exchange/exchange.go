// Package exchange sees its children.
package exchange

import (
	"maps"
	"slices"

	"golang.org/x/crypto/cryptobyte"

	"souk/asset"
	"souk/exchange/ledger"
)

type State struct {
	accounts map[asset.Amount]ledger.Account
	parsed   cryptobyte.String
}

func (s *State) Sum() (n asset.Amount) {
	for _, a := range slices.Sorted(maps.Keys(s.accounts)) {
		n += a
	}
	for i, a := range []asset.Amount{1, 2} {
		n += a + asset.Amount(i)
	}
	for range 3 {
		n++
	}
	return n
}
