package exchange

import (
	"encoding/binary"

	"golang.org/x/crypto/cryptobyte"

	"souk/asset"
	"souk/exchange/market"
	"souk/identity"
)

// Body is what a kind of command says, besides the envelope. Every body has one
// encoding: big-endian integers, texts and lists behind their length.
type Body interface {
	// Kind is the kind of command this is the body of.
	Kind() Kind
	// Append appends the body's one encoding to dst.
	Append(dst []byte) []byte
}

// Limits of texts and lists in bodies.
const (
	MaxMemo     = 128  // bytes of UTF-8 of a transfer's or escrow's memo
	MaxClient   = 36   // bytes of printable ASCII of a client order id
	MaxContract = 2048 // bytes of an asset's contract
	MaxAction   = 2048 // bytes of a vote's action
	MaxMarkets  = 64   // markets a delegate may be limited to
)

// ParseBody reads the body of a command of kind k. It answers false for
// anything but the one encoding of a body, except that it does not judge values.
func ParseBody(k Kind, data []byte) (Body, bool) {
	s := cryptobyte.String(data)
	var b Body
	ok := false
	switch k {
	case KindTransfer:
		b, ok = into(&s, (*Transfer).read)
	case KindPlace:
		b, ok = into(&s, (*Place).read)
	case KindPlaceOCO:
		b, ok = into(&s, (*PlaceOCO).read)
	case KindCancel:
		b, ok = into(&s, (*Cancel).read)
	case KindCancelAll:
		b, ok = into(&s, (*CancelAll).read)
	case KindCancelAllAfter:
		b, ok = into(&s, (*CancelAllAfter).read)
	case KindAmend:
		b, ok = into(&s, (*Amend).read)
	case KindAddDelegate:
		b, ok = into(&s, (*AddDelegate).read)
	case KindRemoveDelegate:
		b, ok = into(&s, (*RemoveDelegate).read)
	case KindRotate:
		b, ok = into(&s, (*Rotate).read)
	case KindCancelRotation:
		b, ok = CancelRotation{}, true
	case KindIssue:
		b, ok = into(&s, (*Issue).read)
	case KindMint:
		b, ok = into(&s, (*Mint).read)
	case KindBurn:
		b, ok = into(&s, (*Burn).read)
	case KindLock:
		b, ok = into(&s, (*Lock).read)
	case KindClaim:
		b, ok = into(&s, (*Claim).read)
	case KindRefund:
		b, ok = into(&s, (*Refund).read)
	case KindDispute:
		b, ok = into(&s, (*Dispute).read)
	case KindResolve:
		b, ok = into(&s, (*Resolve).read)
	case KindVote:
		b, ok = into(&s, (*Vote).read)
	case KindReturn:
		b, ok = Return{}, true
	case KindAttest:
		b, ok = into(&s, (*Attest).read)
	case KindSign:
		b, ok = into(&s, (*Sign).read)
	case KindAnnounceKey:
		b, ok = into(&s, (*AnnounceKey).read)
	case KindSetWithdrawals:
		b, ok = into(&s, (*SetWithdrawals).read)
	case KindCancelWithdrawal:
		b, ok = into(&s, (*CancelWithdrawal).read)
	case KindNewAddress:
		b, ok = into(&s, (*NewAddress).read)
	case KindWithdraw:
		b, ok = into(&s, (*Withdraw).read)
	case KindDonate:
		b, ok = into(&s, (*Donate).read)
	case KindAdmit:
		b, ok = into(&s, (*Admit).read)
	}
	return b, ok && len(s) == 0
}

func into[T any, P interface {
	*T
	Body
}](s *cryptobyte.String, read func(*T, *cryptobyte.String) bool) (Body, bool) {
	v := new(T)
	return P(v), read(v, s)
}

// whole reads a body of type T that must fill data, without allocating.
func whole[T any](v *T, read func(*T, *cryptobyte.String) bool, data []byte) bool {
	s := cryptobyte.String(data)
	return read(v, &s) && len(s) == 0
}

// Place is a new order (docs/spec/04-market.md says what the fields mean for each kind of order).
type Place struct {
	Market   market.ID
	Side     market.Side
	Order    market.Kind
	TIF      market.TIF
	PostOnly bool
	Price    asset.Price  // limit or worst price
	Quantity asset.Amount // base units; zero if by quote amount
	Quote    asset.Amount // quote units, market orders only; zero if by quantity
	Trigger  asset.Price  // stops and take-profits
	Expiry   uint64       // ms, for GTD
	Client   string       // client order id, may be empty
}

// Kind is KindPlace.
func (*Place) Kind() Kind { return KindPlace }

// Append appends the body's encoding.
func (p *Place) Append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(p.Market))
	dst = append(dst, byte(p.Side), byte(p.Order), byte(p.TIF), flag(p.PostOnly))
	dst = binary.BigEndian.AppendUint64(dst, uint64(p.Price))
	dst = binary.BigEndian.AppendUint64(dst, uint64(p.Quantity))
	dst = binary.BigEndian.AppendUint64(dst, uint64(p.Quote))
	dst = binary.BigEndian.AppendUint64(dst, uint64(p.Trigger))
	dst = binary.BigEndian.AppendUint64(dst, p.Expiry)
	return appendText8(dst, p.Client)
}

func (p *Place) read(s *cryptobyte.String) bool {
	var side, kind, tif uint8
	if !s.ReadUint32((*uint32)(&p.Market)) || !s.ReadUint8(&side) || !s.ReadUint8(&kind) || !s.ReadUint8(&tif) ||
		!readFlag(s, &p.PostOnly) {
		return false
	}
	p.Side, p.Order, p.TIF = market.Side(side), market.Kind(kind), market.TIF(tif)
	return s.ReadUint64((*uint64)(&p.Price)) && s.ReadUint64((*uint64)(&p.Quantity)) && s.ReadUint64((*uint64)(&p.Quote)) &&
		s.ReadUint64((*uint64)(&p.Trigger)) && s.ReadUint64(&p.Expiry) && readClient(s, &p.Client)
}

// PlaceOCO is a limit order and a stop order of the same side and quantity, of
// which at most one is executed.
type PlaceOCO struct {
	Market   market.ID
	Side     market.Side
	Quantity asset.Amount
	Limit    asset.Price // of the limit leg
	Trigger  asset.Price // of the stop leg
	Price    asset.Price // worst price, or limit if StopLimit, of the stop leg
	// StopLimit makes the stop leg a stop-limit order instead of a stop.
	StopLimit   bool
	Expiry      uint64 // ms; zero for good till cancelled
	LimitClient string
	StopClient  string
}

// Kind is KindPlaceOCO.
func (*PlaceOCO) Kind() Kind { return KindPlaceOCO }

// Append appends the body's encoding.
func (p *PlaceOCO) Append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(p.Market))
	dst = append(dst, byte(p.Side), flag(p.StopLimit))
	dst = binary.BigEndian.AppendUint64(dst, uint64(p.Quantity))
	dst = binary.BigEndian.AppendUint64(dst, uint64(p.Limit))
	dst = binary.BigEndian.AppendUint64(dst, uint64(p.Trigger))
	dst = binary.BigEndian.AppendUint64(dst, uint64(p.Price))
	dst = binary.BigEndian.AppendUint64(dst, p.Expiry)
	return appendText8(appendText8(dst, p.LimitClient), p.StopClient)
}

func (p *PlaceOCO) read(s *cryptobyte.String) bool {
	var side uint8
	if !s.ReadUint32((*uint32)(&p.Market)) || !s.ReadUint8(&side) || !readFlag(s, &p.StopLimit) {
		return false
	}
	p.Side = market.Side(side)
	return s.ReadUint64((*uint64)(&p.Quantity)) && s.ReadUint64((*uint64)(&p.Limit)) && s.ReadUint64((*uint64)(&p.Trigger)) &&
		s.ReadUint64((*uint64)(&p.Price)) && s.ReadUint64(&p.Expiry) &&
		readClient(s, &p.LimitClient) && readClient(s, &p.StopClient)
}

// Target names a live order of the account: by the ledger's id, or, if that is
// zero, by client order id.
type Target struct {
	Order  market.OrderID
	Client string
}

func (t *Target) append(dst []byte) []byte {
	return appendText8(binary.BigEndian.AppendUint64(dst, uint64(t.Order)), t.Client)
}

func (t *Target) read(s *cryptobyte.String) bool {
	// Exactly one of the two names the order, so that a target has one encoding.
	return s.ReadUint64((*uint64)(&t.Order)) && readClient(s, &t.Client) && (t.Order != 0) == (t.Client == "")
}

// Cancel takes one live order back.
type Cancel struct{ Target Target }

// Kind is KindCancel.
func (*Cancel) Kind() Kind { return KindCancel }

// Append appends the body's encoding.
func (c *Cancel) Append(dst []byte) []byte { return c.Target.append(dst) }

func (c *Cancel) read(s *cryptobyte.String) bool { return c.Target.read(s) }

// CancelAll takes all live orders of the account back, or those in one market.
type CancelAll struct{ Market market.ID } // zero: all markets

// Kind is KindCancelAll.
func (*CancelAll) Kind() Kind { return KindCancelAll }

// Append appends the body's encoding.
func (c *CancelAll) Append(dst []byte) []byte {
	return binary.BigEndian.AppendUint32(dst, uint32(c.Market))
}

func (c *CancelAll) read(s *cryptobyte.String) bool { return s.ReadUint32((*uint32)(&c.Market)) }

// CancelAllAfter arms the account's dead-man timer: all its orders are
// cancelled when Delay has passed, unless the timer is armed again before.
type CancelAllAfter struct{ Delay uint64 } // ms of block time, at most a day; zero disarms

// Kind is KindCancelAllAfter.
func (*CancelAllAfter) Kind() Kind { return KindCancelAllAfter }

// Append appends the body's encoding.
func (c *CancelAllAfter) Append(dst []byte) []byte {
	return binary.BigEndian.AppendUint64(dst, c.Delay)
}

func (c *CancelAllAfter) read(s *cryptobyte.String) bool { return s.ReadUint64(&c.Delay) }

// Amend changes the price or quantity of a live order. A smaller quantity at
// the same price keeps the order's place; anything else is a new order.
type Amend struct {
	Target   Target
	Price    asset.Price  // zero keeps it
	Quantity asset.Amount // whole quantity, the filled part included
}

// Kind is KindAmend.
func (*Amend) Kind() Kind { return KindAmend }

// Append appends the body's encoding.
func (a *Amend) Append(dst []byte) []byte {
	dst = a.Target.append(dst)
	dst = binary.BigEndian.AppendUint64(dst, uint64(a.Price))
	return binary.BigEndian.AppendUint64(dst, uint64(a.Quantity))
}

func (a *Amend) read(s *cryptobyte.String) bool {
	return a.Target.read(s) && s.ReadUint64((*uint64)(&a.Price)) && s.ReadUint64((*uint64)(&a.Quantity))
}

func flag(b bool) byte {
	if b {
		return 1
	}
	return 0
}

func readFlag(s *cryptobyte.String, b *bool) bool {
	var v uint8
	ok := s.ReadUint8(&v) && v <= 1
	*b = v == 1
	return ok
}

// appendText8 appends a text of at most 255 bytes behind its length.
func appendText8(dst []byte, text string) []byte {
	return append(append(dst, byte(len(text))), text...) //nolint:gosec // bounded by the limits of texts
}

func readText8(s *cryptobyte.String, text *string, limit int) bool {
	var t cryptobyte.String
	if !s.ReadUint8LengthPrefixed(&t) || len(t) > limit {
		return false
	}
	*text = string(t)
	return true
}

// readClient reads a client order id: printable ASCII without the space.
func readClient(s *cryptobyte.String, client *string) bool {
	if !readText8(s, client, MaxClient) {
		return false
	}
	for i := range len(*client) {
		if c := (*client)[i]; c <= ' ' || c > '~' {
			return false
		}
	}
	return true
}

func readAddress(s *cryptobyte.String, a *identity.Address) bool { return s.CopyBytes(a[:]) }
