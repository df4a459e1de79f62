// Package exchange does not compile, which is no excuse.
package exchange

import "souk/exchange/ledger"

var _ ledger.Missing
