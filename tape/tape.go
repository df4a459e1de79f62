// Package tape keeps the public market data of one virtual server in memory: order books
// by price, the newest trades, candles, and what tickers say. It is fed with what each
// committed block did, and tells those who follow it, block by block, what changed, none
// left out and none twice. Its memory is bounded, whatever happens in the markets.
//
// It reads no files, asks no servers and knows no accounts; it has no clock: times are
// those of blocks, or arguments. Prices and amounts are ledger units.
//
// This is floor 3: a worker, although it has no goroutine of its own.
package tape
