// Package ledger keeps to the rules.
package ledger

import "souk/asset"

type Account struct{ Balance asset.Amount }
