// Package archive keeps what committed blocks did, so that people and programs can ask
// for it later: orders, fills, candles, balances over time, deposits, withdrawals and
// commands. A Block is what one block did, in a form of its own that a server writes
// beside the state; an Archive is a projection of blocks into tables, which can be thrown
// away and made anew from them.
//
// Consensus never reads any of this. The rules are docs/spec/19-archive.md; comments cite
// them by number (G-12).
//
// This is floor 2: a port. Its adapters are sqlite and postgres.
package archive

import (
	"souk/asset"
	"souk/exchange"
	"souk/exchange/custody"
	"souk/exchange/market"
	"souk/identity"
)

// Block is what a committed block did. Blocks that did nothing are not kept, so heights
// have gaps.
type Block struct {
	Height   uint64
	Time     uint64           // block time, ms
	Commands []Command        // in the order in which the block had them
	Events   []exchange.Event // in the order in which they happened
	Levels   []Level          // prices of books that the block touched, each once
	Balances []Balance        // of accounts that the block changed
	Wallets  []Wallet         // of banks, those whose total the block changed
	Assets   []Asset          // that the block made
	Markets  []Market         // that the block made
}

// Command is a command and its fate.
type Command struct {
	Account identity.Address
	Kind    exchange.Kind
	Receipt exchange.Receipt
}

// Level is what one price of a book holds after the block.
type Level struct {
	Market   market.ID
	Side     market.Side
	Price    asset.Price
	Quantity asset.Amount // base units; zero: nobody is there any more
}

// Balance is what an account has of an asset after the block.
type Balance struct {
	Account   identity.Address
	Asset     asset.ID
	Available asset.Amount
	Held      asset.Amount
}

// Wallet is what a wallet of a bank has after the block: its free coins and the change
// that is to come to it.
type Wallet struct {
	Bank   custody.Bank
	Wallet uint8 // from 0
	Total  asset.Amount
}

// Asset is what an asset is called.
type Asset struct {
	ID       asset.ID
	Symbol   string
	Decimals uint8
	Issuer   identity.Address
}

// Market is what a market trades.
type Market struct {
	ID    market.ID
	Base  asset.ID
	Quote asset.ID
}
