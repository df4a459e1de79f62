package archive

import (
	"context"
	"errors"

	"souk/asset"
	"souk/exchange/market"
	"souk/identity"
)

// Errors of archives.
var (
	// ErrHeight is returned by what writes if the archive is not at the height that its
	// caller believes, or if blocks are repeated or out of order. Nothing was written; ask
	// for the height and go on from there.
	ErrHeight = errors.New("the archive is at another height")
	// ErrOtherServer is returned by what opens an archive that holds another virtual server.
	ErrOtherServer = errors.New("the archive holds another virtual server")
	// ErrRange is returned for a number that no table can hold. The rules of exchange
	// make none.
	ErrRange = errors.New("a number is too large for the archive")
)

// Archive is a projection of blocks into tables. What writes is called by one goroutine
// at a time; each call is one transaction with the archive's height in it, so that an
// archive whose process was killed is at the end of some call, and catches up from the
// height that it says (G-30).
type Archive interface {
	// Height is that of the newest block in it, or of the end of a newer gap; 0 if there
	// is none.
	Height(ctx context.Context) (uint64, error)
	// Write adds blocks of ascending heights to an archive that is at the height after.
	Write(ctx context.Context, after uint64, blocks []*Block) error
	// Gap records that the blocks above after, up to the height of an inventory, are not
	// known and never will be, and makes what the archive shows of the present that of the
	// inventory (G-33). The archive is at that height then.
	Gap(ctx context.Context, after uint64, in *Inventory) error
	// Correct makes balances, live orders, wallets, assets and markets those of an
	// inventory of the height at which the archive is.
	Correct(ctx context.Context, in *Inventory) error
	// Reset empties the archive: it is at the height 0 then.
	Reset(ctx context.Context) error
	Close() error
}

// Reader answers from an archive, while it is written too. Lists come in pages: each
// query has a limit, from 1 to MaxPage, and a cursor: the last row of one page is where
// the next one begins. All are newest first but where it says otherwise.
type Reader interface {
	Orders(ctx context.Context, q OrderQuery) ([]Order, error)
	Fills(ctx context.Context, q FillQuery) ([]Fill, error)
	Trades(ctx context.Context, q TradeQuery) ([]Trade, error)
	Candles(ctx context.Context, q CandleQuery) ([]Candle, error) // oldest first
	Balances(ctx context.Context, q BalanceQuery) ([]BalanceAt, error)
	Deposits(ctx context.Context, q EventQuery) ([]Deposit, error)
	Withdrawals(ctx context.Context, q WithdrawalQuery) ([]Withdrawal, error)
	Commands(ctx context.Context, q EventQuery) ([]CommandAt, error)
	Gaps(ctx context.Context) ([]Gap, error) // oldest first
}

// MaxPage is the most rows of one answer.
const MaxPage = 1000

// Dumper hands out everything that is in an archive, as of one moment.
type Dumper interface {
	// Dump calls begin for each table, then row for each of its rows, in an order that
	// depends on the rows only; views come behind the tables. Values are int64, string or
	// []byte, and are row's until it returns.
	Dump(ctx context.Context, begin func(Table) error, row func(values []any) error) error
}

// Table is a table of an archive, or a view of several.
type Table struct {
	Name    string
	Columns []Column
	Key     int // so many of the first columns tell rows apart
	View    bool
}

// Column is a column of a table.
type Column struct {
	Name     string
	Kind     ColumnKind
	Decimals int // of a Fraction
}

// ColumnKind is what a column holds.
type ColumnKind uint8

// Kinds of columns.
const (
	Integer  ColumnKind = 1 // int64
	Text     ColumnKind = 2 // string
	Bytes    ColumnKind = 3 // []byte
	Decimal  ColumnKind = 4 // string: an integer of up to 40 digits
	Fraction ColumnKind = 5 // string: an amount in whole coins, with all decimals
)

// Gap are blocks that are not known.
type Gap struct{ From, To uint64 }

// OrderState says which orders a query is for.
type OrderState uint8

// States of orders.
const (
	AnyState OrderState = 0
	Open     OrderState = 1 // in a book, or waiting for its trigger
	Closed   OrderState = 2
)

// OrderQuery asks for orders of an account.
type OrderQuery struct {
	Account identity.Address
	State   OrderState
	Market  market.ID      // 0: of all markets
	Before  market.OrderID // only orders with smaller ids; 0: from the newest on
	Limit   int
}

// Order is an order as it stood when it was closed, or as it stands.
type Order struct {
	ID       market.OrderID
	Market   market.ID
	Account  identity.Address
	Side     market.Side
	Kind     market.Kind
	TIF      market.TIF
	PostOnly bool
	Status   market.Status // Resting, Waiting or Gone
	Reason   market.Reason // why it was closed; 0 if it is open, or was closed in a gap
	Price    asset.Price
	Quantity asset.Amount // base units; zero if by quote amount
	Quote    asset.Amount
	Trigger  asset.Price
	Expiry   uint64
	Client   string
	Sibling  market.OrderID // the other leg of an OCO pair, also when it is gone
	Placed   uint64         // height
	Time     uint64         // of that block, ms
	Filled   asset.Amount
	Value    asset.Amount // quote paid (buy) or got before fees (sell)
	Fee      asset.Amount // in base units (buy) or quote units (sell)
	Hold     asset.Amount
	Changed  uint64 // height of the last block that changed it
	Updated  uint64 // of that block, ms
}

// FillQuery asks for fills of an account.
type FillQuery struct {
	Account identity.Address
	Market  market.ID      // 0: of all markets
	Order   market.OrderID // 0: of all orders
	Before  market.TradeID // only smaller ones; 0: from the newest on
	Limit   int
}

// Fill is one side of an execution. One who trades with himself has two.
type Fill struct {
	Trade    market.TradeID
	Market   market.ID
	Account  identity.Address
	Order    market.OrderID
	Side     market.Side
	Maker    bool
	Price    asset.Price
	Quantity asset.Amount // base units
	Value    asset.Amount // quote paid (buy) or got before the fee (sell)
	Fee      asset.Amount // in base units (buy) or quote units (sell)
	Height   uint64
	Time     uint64
}

// TradeQuery asks for trades of a market: before one, newest first, or behind one,
// oldest first.
type TradeQuery struct {
	Market market.ID
	Before market.TradeID // only smaller ones; 0: from the newest on
	After  market.TradeID // if not zero, only greater ones, oldest first
	Limit  int
}

// Trade is a public execution.
type Trade struct {
	ID       market.TradeID
	Market   market.ID
	Price    asset.Price
	Quantity asset.Amount
	Value    asset.Amount // quote that the buyer paid
	Maker    market.OrderID
	Taker    market.OrderID
	Taking   market.Side
	Inner    bool
	Height   uint64
	Time     uint64
}

// CandleQuery asks for candles of a market that begin at From or later and before To.
type CandleQuery struct {
	Market market.ID
	Span   Span
	From   uint64 // ms
	To     uint64 // ms; 0: to the newest
	Limit  int
	// Newest asks for the last ones if there are more than Limit, else the first.
	Newest bool
}

// BalanceQuery asks what an account had of an asset over time: one row for each block
// that changed it.
type BalanceQuery struct {
	Account identity.Address
	Asset   asset.ID // 0: of all assets
	Before  Cursor   // zero: from the newest on. Place is the asset
	Limit   int
}

// BalanceAt is what an account had from a block on.
type BalanceAt struct {
	Balance
	Height uint64
	Time   uint64
}

// Cursor is a place in the history of all blocks.
type Cursor struct {
	Height uint64
	Place  uint32 // within the block
}

// EventQuery asks for what happened to an account.
type EventQuery struct {
	Account identity.Address
	Before  Cursor // zero: from the newest on
	Limit   int
}

// Deposit is a payment on a chain that was credited.
type Deposit struct {
	Cursor
	Account identity.Address
	Asset   asset.ID
	Amount  asset.Amount
	Time    uint64
}

// WithdrawalQuery asks for withdrawals of an account.
type WithdrawalQuery struct {
	Account identity.Address
	Before  uint64 // only smaller numbers; 0: from the newest on
	Limit   int
}

// WithdrawalState is how far a withdrawal has come.
type WithdrawalState uint8

// States of withdrawals.
const (
	Asked     WithdrawalState = 1 // waits for a transaction
	Sent      WithdrawalState = 2 // a transaction pays it
	Paid      WithdrawalState = 3 // and is deep enough
	Cancelled WithdrawalState = 4
)

// Withdrawal is what an account asked a bank to pay.
type Withdrawal struct {
	Number  uint64
	Account identity.Address
	Asset   asset.ID
	State   WithdrawalState
	Amount  asset.Amount // with the bound of the fee; once it is paid, with its share of the fee
	Height  uint64       // of the block in which it was asked for; 0 if that was in a gap
	Time    uint64
	Changed uint64 // of the last block that changed its state
	Updated uint64
}

// CommandAt is a command and its fate.
type CommandAt struct {
	Cursor
	Command
}
