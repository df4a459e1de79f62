package wallet

import (
	"context"
	"errors"

	"souk/asset"
)

// Errors of an Account.
var (
	// ErrNoWallet is returned for a name that no wallet has.
	ErrNoWallet = errors.New("no such wallet")
	// ErrAddress is returned for what is no address of the wallet's network.
	ErrAddress = errors.New("not an address of this network")
	// ErrAmount is returned for an amount below the least or above the most that the bank pays.
	ErrAmount = errors.New("amount out of range")
	// ErrFunds is returned when amount and fee are more than is available.
	ErrFunds = errors.New("insufficient funds")
	// ErrNoAddress is returned when there is no address left to hand out.
	ErrNoAddress = errors.New("no address left")
	// ErrScope is returned when the gate's key may not do this.
	ErrScope = errors.New("the gate's key may not do this")
	// ErrTwice is returned for a payment that is perhaps the same as one of a moment ago (J-52).
	ErrTwice = errors.New("perhaps the same payment twice")
	// ErrKey is returned for a payment under a key of one that was different (J-51).
	ErrKey = errors.New("another payment has this id")
	// ErrUndecided is returned when it is not known whether a payment was taken.
	ErrUndecided = errors.New("not known whether it was taken")
	// ErrNoTransaction is returned for an id that is no payment's of the account.
	ErrNoTransaction = errors.New("no such transaction")
	// ErrUnavailable is returned when nothing can be asked or sent now.
	ErrUnavailable = errors.New("not available now")
)

// Account is the coins of one account, a wallet for each bank. Amounts are units of a
// hundred-millionth. Methods may be called by many goroutines.
type Account interface {
	// Wallets are the names of the wallets: symbols of assets with banks, in lower case.
	Wallets(ctx context.Context) ([]string, error)
	// Chain is what is known of a wallet's network.
	Chain(ctx context.Context, wallet string) (*Chain, error)
	// Balance is what a wallet has.
	Balance(ctx context.Context, wallet string) (*Balance, error)
	// Address hands out an address that was not handed out before, proven to be the account's.
	Address(ctx context.Context, wallet, label string) (string, error)
	// Addresses are all addresses of a wallet.
	Addresses(ctx context.Context, wallet string) ([]Address, error)
	// Script is the output that an address stands for; ErrAddress if it is none.
	Script(ctx context.Context, wallet, address string) (*Script, error)
	// Movements are coins that came and went, the oldest first.
	Movements(ctx context.Context, wallet string) ([]Movement, error)
	// Pay asks for coins to be paid out, and answers the movements, one for each payment.
	Pay(ctx context.Context, wallet string, request *Request) ([]Movement, error)
	// Rate is what transactions of the bank pay now, in units per 1,000 virtual bytes; zero: not known.
	Rate(ctx context.Context, wallet string) (asset.Amount, error)
}

// Chain is a wallet's network as the bank's members agree on it.
type Chain struct {
	Symbol  string
	Network string // main, test or regtest, as bitcoind calls it
	Height  uint32
	Hash    string
	CanPay  bool // coins can be paid out with the gate's key
	Least   asset.Amount
}

// Balance is what a wallet has.
type Balance struct {
	Available asset.Amount // can be spent
	Held      asset.Amount // in orders and withdrawals
	Coming    asset.Amount // seen on the chain, and not deep enough
}

// Address is an address of the account.
type Address struct {
	Text  string
	Label string
	Used  bool
}

// Script is an output.
type Script struct {
	Hex            string
	IsScript       bool // pays to a script
	Witness        bool
	WitnessVersion int
	WitnessProgram string
	Mine           bool
	Label          string
}

// Movement is coins that came or went.
type Movement struct {
	ID            string // stable: of a deposit its transaction, of a payment J-50
	Tx            string // the transaction on the chain; empty: there is none yet
	Output        uint32
	Address       string
	Label         string
	Comment       string
	To            string
	Send          bool
	Amount        asset.Amount
	Fee           asset.Amount // of a payment, as far as it is known
	Confirmations int64        // -1: it was cancelled
	Height        uint32       // of the block; 0: in none
	Trusted       bool         // it counts
	Abandoned     bool         // a payment that was cancelled
	Time          uint64       // ms
	State         string       // as souk withdraw list and souk deposits say
}

// Request is payments that are asked for in one.
type Request struct {
	ID       string // of the request as its sender numbers it: JSON, or empty
	Payments []Payment
	Comment  string
	To       string
}

// Payment is one payment.
type Payment struct {
	Address string
	Amount  asset.Amount
}
