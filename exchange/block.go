package exchange

import (
	"encoding/binary"

	"golang.org/x/crypto/cryptobyte"

	"souk/asset"
	"souk/exchange/custody"
	"souk/exchange/market"
	"souk/exchange/roster"
	"souk/identity"
	"souk/merkle"
)

// MaxBlockCommands is the most commands that one block may hold. It bounds the
// time of the worst block; `make bench` measures it.
const MaxBlockCommands = 16_384

// Block is what Apply executes: decided commands with verified signatures, and
// what consensus says of its members. Commands have their ID set.
type Block struct {
	Height   uint64
	Time     uint64 // ms since the Unix epoch; after the last active block's
	Commands []Command
	Proposer identity.PublicKey   // consensus key that proposed this block
	Missed   []identity.PublicKey // consensus keys that missed their turn, in turn order
	Evidence []identity.PublicKey // consensus keys that signed twice
}

// Idle tells whether the block has nothing to execute but turns.
func (b *Block) Idle() bool { return len(b.Commands) == 0 }

// Result is the whole effect of a block. Its slices belong to the receiver.
type Result struct {
	Height   uint64
	Time     uint64
	Active   bool      // had commands or due items; else only turns may have changed
	Receipts []Receipt // one per command, in the order of Block.Commands
	Events   []Event   // in the order in which they happened
	// Results are the leaves of the block's result list: the receipts of the
	// commands in sorted order, each id once, then the trades by id, then the auctions
	// that had trades, in the order of these (K-9).
	Results [][]byte
	// Changes are all changed state leaves, sorted by key, each once.
	Changes    []merkle.Change
	Root       merkle.Hash
	Validators []roster.Validator // changed consensus powers
}

// Receipt is a command's fate. It stands in the block's result list, so that it
// can be proven.
type Receipt struct {
	ID     CommandID
	Code   Code
	Height uint64
	Time   uint64
	// Number is what the command made: an order, escrow or asset id; zero if nothing.
	Number uint64
	// For orders: what the order's first auction did.
	Filled asset.Amount // base units
	Cost   asset.Amount // quote units paid (buy) or got before fee (sell)
	Fee    asset.Amount // in base units (buy) or quote units (sell)
	Status market.Status
}

// receiptSize is the length of a receipt's encoding in bytes.
const receiptSize = 1 + 32 + 2 + 8*6 + 1

// Append appends the receipt's one encoding.
func (r *Receipt) Append(dst []byte) []byte {
	dst = append(append(dst, resultReceipt), r.ID[:]...)
	dst = binary.BigEndian.AppendUint16(dst, uint16(r.Code))
	dst = binary.BigEndian.AppendUint64(dst, r.Height)
	dst = binary.BigEndian.AppendUint64(dst, r.Time)
	dst = binary.BigEndian.AppendUint64(dst, r.Number)
	dst = binary.BigEndian.AppendUint64(dst, uint64(r.Filled))
	dst = binary.BigEndian.AppendUint64(dst, uint64(r.Cost))
	dst = binary.BigEndian.AppendUint64(dst, uint64(r.Fee))
	return append(dst, byte(r.Status))
}

// ParseReceipt reads a receipt's encoding.
func ParseReceipt(data []byte) (r Receipt, err error) {
	s := cryptobyte.String(data)
	var kind, status uint8
	var code uint16
	if !s.ReadUint8(&kind) || kind != resultReceipt || !s.CopyBytes(r.ID[:]) || !s.ReadUint16(&code) ||
		!s.ReadUint64(&r.Height) || !s.ReadUint64(&r.Time) || !s.ReadUint64(&r.Number) || !s.ReadUint64((*uint64)(&r.Filled)) ||
		!s.ReadUint64((*uint64)(&r.Cost)) || !s.ReadUint64((*uint64)(&r.Fee)) || !s.ReadUint8(&status) || len(s) != 0 {
		return Receipt{}, ErrEncoding
	}
	r.Code, r.Status = Code(code), market.Status(status)
	return r, nil
}

// First bytes of the leaves of a block's result list.
const (
	resultReceipt = 1
	resultTrade   = 2
	resultAuction = 3
)

// Trade is the public record of a fill. It names orders, not accounts.
type Trade struct {
	ID       market.TradeID
	Market   market.ID
	Price    asset.Price
	Quantity asset.Amount
	Maker    market.OrderID
	Taker    market.OrderID
	Taking   market.Side // the taker's side
	Inner    bool        // from the inner cross, where neither waited
	Height   uint64
	Time     uint64
}

// tradeSize is the length of a trade's encoding in bytes.
const tradeSize = 1 + 8 + 4 + 8 + 8 + 8 + 8 + 1 + 1 + 8 + 8

// Append appends the trade's one encoding.
func (t *Trade) Append(dst []byte) []byte {
	dst = append(dst, resultTrade)
	dst = binary.BigEndian.AppendUint64(dst, uint64(t.ID))
	dst = binary.BigEndian.AppendUint32(dst, uint32(t.Market))
	dst = binary.BigEndian.AppendUint64(dst, uint64(t.Price))
	dst = binary.BigEndian.AppendUint64(dst, uint64(t.Quantity))
	dst = binary.BigEndian.AppendUint64(dst, uint64(t.Maker))
	dst = binary.BigEndian.AppendUint64(dst, uint64(t.Taker))
	dst = append(dst, byte(t.Taking), flag(t.Inner))
	dst = binary.BigEndian.AppendUint64(dst, t.Height)
	return binary.BigEndian.AppendUint64(dst, t.Time)
}

// ParseTrade reads a trade's encoding.
func ParseTrade(data []byte) (t Trade, err error) {
	s := cryptobyte.String(data)
	var kind, side uint8
	if !s.ReadUint8(&kind) || kind != resultTrade || !s.ReadUint64((*uint64)(&t.ID)) || !s.ReadUint32((*uint32)(&t.Market)) ||
		!s.ReadUint64((*uint64)(&t.Price)) || !s.ReadUint64((*uint64)(&t.Quantity)) || !s.ReadUint64((*uint64)(&t.Maker)) ||
		!s.ReadUint64((*uint64)(&t.Taker)) || !s.ReadUint8(&side) || !readFlag(&s, &t.Inner) ||
		!s.ReadUint64(&t.Height) || !s.ReadUint64(&t.Time) || len(s) != 0 {
		return Trade{}, ErrEncoding
	}
	t.Taking = market.Side(side)
	return t, nil
}

// Auction is the public record of why the trades of a block in one market have the
// prices they have (M-90).
type Auction struct {
	market.Auction
	Height uint64
	Time   uint64
}

// auctionSize is the length of an auction's encoding in bytes.
const auctionSize = 1 + 4 + 7*8 + 8 + 8

// Append appends the auction's one encoding.
func (a *Auction) Append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint32(append(dst, resultAuction), uint32(a.Market))
	for _, n := range []uint64{
		uint64(a.Reference), uint64(a.Bid), uint64(a.Ask), uint64(a.Price), a.Volume, a.Demand, a.Supply, a.Height, a.Time,
	} {
		dst = binary.BigEndian.AppendUint64(dst, n)
	}
	return dst
}

// ParseAuction reads an auction's encoding.
func ParseAuction(data []byte) (a Auction, err error) {
	s := cryptobyte.String(data)
	var kind uint8
	ok := s.ReadUint8(&kind) && kind == resultAuction && s.ReadUint32((*uint32)(&a.Market))
	for _, n := range []*uint64{
		(*uint64)(&a.Reference), (*uint64)(&a.Bid), (*uint64)(&a.Ask), (*uint64)(&a.Price), &a.Volume, &a.Demand, &a.Supply, &a.Height, &a.Time,
	} {
		ok = ok && s.ReadUint64(n)
	}
	if !ok || len(s) != 0 {
		return Auction{}, ErrEncoding
	}
	return a, nil
}

// EventKind says what happened. Numbers are append-only.
type EventKind uint8

// Kinds of events.
const (
	EventOrderOpened   EventKind = 1  // an order was admitted: Order, Account
	EventOrderClosed   EventKind = 2  // an order left: Order, Account, Reason; Amount of Asset is available again
	EventTrade         EventKind = 3  // Trade, Account buys from Other
	EventTransfer      EventKind = 4  // Account pays Other
	EventMinted        EventKind = 5  // issuer Account makes Amount for Other
	EventBurned        EventKind = 6  // issuer Account
	EventIssued        EventKind = 7  // Asset, issuer Account
	EventEscrowLocked  EventKind = 8  // Number, payer Account, payee Other
	EventEscrowPaid    EventKind = 9  // Number, payer Account, payee Other
	EventEscrowBack    EventKind = 10 // Number, payer Account, payee Other
	EventEscrowDispute EventKind = 11
	EventKeysChanged   EventKind = 12 // Account
	EventActionPassed  EventKind = 13 // Action
	EventMemberDemoted EventKind = 14 // Number: member
	EventMemberBack    EventKind = 15 // Number: member
	EventMemberBarred  EventKind = 16 // Number: member
	EventFee           EventKind = 17 // command fee of Account
	EventOrderReduced  EventKind = 18 // Order amended down
	EventStopTriggered EventKind = 19 // Order entered its market
	EventRotated       EventKind = 20 // Account has a new owner key
	EventTimerFired    EventKind = 21 // Account's cancel-all-after

	// Of banks. Amounts of withdrawals are with the bound, or the share of the fee.
	EventNewAddress          EventKind = 22 // Account, Number: series<<32 | index
	EventDeposited           EventKind = 23 // Account
	EventWithdrawalAsked     EventKind = 24 // Account, Number: withdrawal; Amount is on hold now
	EventWithdrawalCancelled EventKind = 25 // Account, Number: withdrawal; Amount is not on hold any more
	EventWithdrawalSent      EventKind = 26 // Account, Number: withdrawal; Amount left what is on hold
	EventWithdrawalBack      EventKind = 27 // Account, Number: withdrawal; Amount is on hold again
	EventWithdrawn           EventKind = 28 // Account, Number: withdrawal; Amount was paid, what was left of the bound is free
	EventWithdrawalsSet      EventKind = 29 // Account, Number: ms from which the settings are in force
	EventDonated             EventKind = 30 // Account, Number: units of Amount that ended a deficit
	EventReserveUp           EventKind = 31 // Asset
	EventReserveDown         EventKind = 32 // Asset
	EventBatch               EventKind = 33 // Asset, Number: batch whose newest version is to be signed
	EventSigned              EventKind = 34 // Asset, Number: batch
	EventReorganised         EventKind = 35 // Asset, Number: height of its chain
	EventBanksHalted         EventKind = 36 // Asset if it is one bank's, Number: reason
	EventBankLifted          EventKind = 37 // Asset
)

// Event is one thing that a block did. Fields that a kind does not use are zero.
type Event struct {
	Kind    EventKind
	Reason  market.Reason
	Market  market.ID
	Asset   asset.ID
	Account identity.Address
	Other   identity.Address
	Number  uint64
	Amount  asset.Amount
	Order   *market.Order // copy of the order as it stood after the event
	Fill    *market.Fill  // for trades
	Memo    string
	Action  []byte

	Withdrawal *custody.Withdrawal // for one that is cancelled: the state forgets it
}
