// Package binance speaks HTTP and WebSocket as clients written for the Binance Spot API
// expect them, so that a trader's bot works here when he changes one URL: REST v3,
// market and user streams, and the WebSocket API. Market data come from a tape, all that
// is private from an Account, clients' keys from Keys.
//
// It decides nothing and keeps nothing: it translates. The rules are
// docs/spec/20-binance.md; comments cite them by number (N-12).
//
// This is floor 4: a face.
package binance
