package wallet

import (
	"encoding/json"

	"souk/asset"
)

// Amount reads an amount of coins as requests have it.
func Amount(text string) (asset.Amount, bool) {
	a, e := amount(json.RawMessage(text))
	return a, e == nil
}
