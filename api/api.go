// Package api is what programs use to talk to a virtual server over HTTP: the
// values of requests and responses as they stand in JSON, a Client that finds
// another server by itself when one dies, a Signer that makes commands and signed
// reads, and a Verifier that checks what servers say against headers that more
// than two thirds of the virtual server signed.
//
// The rules are docs/spec/10-http.md; comments cite them by number (H-12). Serving
// the requests belongs to package web, showing the values to people to package
// cli. The light client that vouches for headers comes in as a HeaderSource.
//
// In values, money is text: a plain decimal number with exactly the decimals of
// its asset (H-30). Ids of orders, trades and escrows are numbers below 2^53, times
// are milliseconds since the Unix epoch, hashes and keys are lower-case hexadecimal.
//
// This is floor 4: it imports values and exchange, and no worker.
package api

import "time"

// Prefix is the path below which the default virtual server answers; others
// answer below "/vs/" and their id and then this (H-1).
const Prefix = "/v1"

// Media types.
const (
	JSON    = "application/json"
	Problem = "application/problem+json"
	Binary  = "application/octet-stream"
)

// Header names of requests and responses.
const (
	// ReadHeader carries a ReadToken.
	ReadHeader = "Souk-Read"
	// SilentHeader names a server that did not pass a command on, to the server
	// that the command is sent to instead (H-25).
	SilentHeader = "Souk-Silent"
	// AfterHeader is the height of a block that the answer to a read must not be
	// older than, if the server gets there soon (H-33).
	AfterHeader = "Souk-After"
	// LastEventHeader is the cursor that a stream goes on behind, as browsers send it.
	LastEventHeader = "Last-Event-ID"
	// MemberHeader is the name of the member whose server answered.
	MemberHeader = "Souk-Member"
	// ServerHeader is the id of the virtual server that answered.
	ServerHeader = "Souk-Server"
)

// Limits of requests (H-10).
const (
	// MaxBinary is the largest body of raw commands in bytes.
	MaxBinary = 512 << 10
	// MaxJSON is the largest JSON body in bytes.
	MaxJSON = 64 << 10
	// MaxBatch is the largest number of commands in one request.
	MaxBatch = 4096
	// MaxDepth is the largest number of levels of each side of a book in a response.
	MaxDepth = 1000
	// MaxPage is the largest number of items of a list in a response.
	MaxPage = 1000
	// ReadSkew is how far the time of a signed read may be from the server's clock.
	ReadSkew = 60 * time.Second
	// CommandLife is how far ahead of block time a command's expiry may be.
	CommandLife = 10 * time.Minute
)
