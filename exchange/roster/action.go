package roster

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"

	"souk/asset"
	"souk/identity"
)

// ErrAction is returned by ParseAction for bytes that are no action's encoding.
var ErrAction = errors.New("not an action")

// Action is what a vote is on. Types are AddMember, RemoveMember, ReplaceMember,
// SetProtocol, PauseMarket, ResumeMarket, CreateMarket, SetMarket,
// ReserveSymbol, AllowSymbol, SpendHouse, SetParams, OpenSeries, SetLimits,
// HaltBanks and LiftBank.
type Action interface {
	// Kind is the number that the encoding begins with.
	Kind() ActionKind
	// append appends the encoding behind kind and salt.
	append(dst []byte) []byte
}

// ActionKind tells actions apart. Numbers are append-only.
type ActionKind uint8

// Kinds of actions.
const (
	KindAddMember     ActionKind = 1
	KindRemoveMember  ActionKind = 2
	KindReplaceMember ActionKind = 3
	KindSetProtocol   ActionKind = 4
	KindPauseMarket   ActionKind = 5
	KindResumeMarket  ActionKind = 6
	KindCreateMarket  ActionKind = 7
	KindSetMarket     ActionKind = 8
	KindReserveSymbol ActionKind = 9
	KindAllowSymbol   ActionKind = 10
	KindSpendHouse    ActionKind = 11
	KindSetParams     ActionKind = 12
	KindOpenSeries    ActionKind = 13
	KindSetLimits     ActionKind = 14
	KindHaltBanks     ActionKind = 15
	KindLiftBank      ActionKind = 16
)

// AddMember adds a member with full power.
type AddMember struct{ Card Card }

// RemoveMember removes a member; his vote does not count.
type RemoveMember struct{ Member ID }

// ReplaceMember gives a member a new server; his vote does not count. It ends a
// bar and a demotion. The consensus key must be one that was never used before.
type ReplaceMember struct {
	Member    ID
	Server    identity.PublicKey
	Consensus identity.PublicKey
	P2P       string
	URL       string
}

// SetProtocol puts the next version of the protocol in force at a height, or,
// with the version that is in force and height zero, calls a plan off.
type SetProtocol struct {
	Version uint32
	Height  uint64
}

// PauseMarket stops a market from taking orders.
type PauseMarket struct{ Market uint32 }

// ResumeMarket ends a pause.
type ResumeMarket struct{ Market uint32 }

// CreateMarket makes a market. Terms are market.Terms as encoded there.
type CreateMarket struct {
	Base, Quote asset.ID
	Terms       []byte // at most 512 bytes
}

// SetMarket changes fees and band of a market.
type SetMarket struct {
	Market     uint32
	MakerPPM   uint32
	TakerPPM   uint32
	ReservePPM uint32
	BandPPM    uint32
}

// ReserveSymbol lets nobody issue an asset of this symbol.
type ReserveSymbol struct{ Symbol string }

// AllowSymbol lets one address issue an asset of this symbol.
type AllowSymbol struct {
	Symbol string
	Issuer identity.Address
}

// SpendHouse pays an account out of a house balance of an asset.
type SpendHouse struct {
	House  uint8 // as in ledger: 1 fees, 2 dust, 3 reserve
	Asset  asset.ID
	Amount asset.Amount
	To     identity.Address
}

// SetParams replaces the parameters of the exchange, encoded as there.
type SetParams struct{ Params []byte } // at most 512 bytes

// OpenSeries opens a bank's next series, of the keys of some members.
type OpenSeries struct {
	Bank    uint32
	Members []ID // ascending, at most 15
}

// SetLimits replaces a bank's limits, encoded by exchange.
type SetLimits struct {
	Bank   uint32
	Limits []byte // at most 512 bytes
}

// HaltBanks halts all banks.
type HaltBanks struct{}

// LiftBank ends the halt for one bank.
type LiftBank struct {
	Bank    uint32
	Reasons uint32 // for halts since the founding, that who approves has seen
}

// maxSeries is the most members of a series.
const maxSeries = 15

// Kind is KindAddMember.
func (AddMember) Kind() ActionKind { return KindAddMember }

// Kind is KindRemoveMember.
func (RemoveMember) Kind() ActionKind { return KindRemoveMember }

// Kind is KindReplaceMember.
func (ReplaceMember) Kind() ActionKind { return KindReplaceMember }

// Kind is KindSetProtocol.
func (SetProtocol) Kind() ActionKind { return KindSetProtocol }

// Kind is KindPauseMarket.
func (PauseMarket) Kind() ActionKind { return KindPauseMarket }

// Kind is KindResumeMarket.
func (ResumeMarket) Kind() ActionKind { return KindResumeMarket }

// Kind is KindCreateMarket.
func (CreateMarket) Kind() ActionKind { return KindCreateMarket }

// Kind is KindSetMarket.
func (SetMarket) Kind() ActionKind { return KindSetMarket }

// Kind is KindReserveSymbol.
func (ReserveSymbol) Kind() ActionKind { return KindReserveSymbol }

// Kind is KindAllowSymbol.
func (AllowSymbol) Kind() ActionKind { return KindAllowSymbol }

// Kind is KindSpendHouse.
func (SpendHouse) Kind() ActionKind { return KindSpendHouse }

// Kind is KindSetParams.
func (SetParams) Kind() ActionKind { return KindSetParams }

// Kind is KindOpenSeries.
func (OpenSeries) Kind() ActionKind { return KindOpenSeries }

// Kind is KindSetLimits.
func (SetLimits) Kind() ActionKind { return KindSetLimits }

// Kind is KindHaltBanks.
func (HaltBanks) Kind() ActionKind { return KindHaltBanks }

// Kind is KindLiftBank.
func (LiftBank) Kind() ActionKind { return KindLiftBank }

func (a AddMember) append(dst []byte) []byte { return a.Card.append(dst) }

func (a RemoveMember) append(dst []byte) []byte {
	return binary.BigEndian.AppendUint32(dst, uint32(a.Member))
}

func (a ReplaceMember) append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(a.Member))
	dst = append(append(dst, a.Server[:]...), a.Consensus[:]...)
	return appendText(appendText(dst, a.P2P), a.URL)
}

func (a SetProtocol) append(dst []byte) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(dst, a.Version), a.Height)
}

func (a PauseMarket) append(dst []byte) []byte {
	return binary.BigEndian.AppendUint32(dst, a.Market)
}

func (a ResumeMarket) append(dst []byte) []byte {
	return binary.BigEndian.AppendUint32(dst, a.Market)
}

func (a CreateMarket) append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(a.Base))
	dst = binary.BigEndian.AppendUint32(dst, uint32(a.Quote))
	return appendBytes(dst, a.Terms)
}

func (a SetMarket) append(dst []byte) []byte {
	for _, v := range [...]uint32{a.Market, a.MakerPPM, a.TakerPPM, a.ReservePPM, a.BandPPM} {
		dst = binary.BigEndian.AppendUint32(dst, v)
	}
	return dst
}

func (a ReserveSymbol) append(dst []byte) []byte { return appendText(dst, a.Symbol) }

func (a AllowSymbol) append(dst []byte) []byte {
	return append(appendText(dst, a.Symbol), a.Issuer[:]...)
}

func (a SpendHouse) append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint32(append(dst, a.House), uint32(a.Asset))
	return append(binary.BigEndian.AppendUint64(dst, uint64(a.Amount)), a.To[:]...)
}

func (a SetParams) append(dst []byte) []byte { return appendBytes(dst, a.Params) }

func (a OpenSeries) append(dst []byte) []byte {
	dst = append(binary.BigEndian.AppendUint32(dst, a.Bank), byte(len(a.Members))) //nolint:gosec // at most maxSeries
	for _, id := range a.Members {
		dst = binary.BigEndian.AppendUint32(dst, uint32(id))
	}
	return dst
}

func (a SetLimits) append(dst []byte) []byte {
	return appendBytes(binary.BigEndian.AppendUint32(dst, a.Bank), a.Limits)
}

func (HaltBanks) append(dst []byte) []byte { return dst }

func (a LiftBank) append(dst []byte) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(dst, a.Bank), a.Reasons)
}

// AppendAction appends an action's one encoding: kind, salt, body. The
// salt tells two votes on the same action apart; it is zero unless an equal
// action passed a short while ago.
func AppendAction(dst []byte, a Action, salt uint32) []byte {
	return a.append(binary.BigEndian.AppendUint32(append(dst, byte(a.Kind())), salt))
}

// ParseAction reads an action. It returns ErrAction for anything but the one
// encoding of an action. It judges form, not whether the action is valid now.
// Byte slices in the action alias data.
func ParseAction(data []byte) (a Action, salt uint32, err error) {
	s := cryptobyte.String(data)
	var kind uint8
	if len(data) > MaxAction || !s.ReadUint8(&kind) || !s.ReadUint32(&salt) {
		return nil, 0, fmt.Errorf("%d bytes: %w", len(data), ErrAction)
	}
	a, ok := parseBody(ActionKind(kind), &s)
	if !ok || len(s) != 0 {
		return nil, 0, fmt.Errorf("kind %d: %w", kind, ErrAction)
	}
	return a, salt, nil
}

func parseBody(kind ActionKind, s *cryptobyte.String) (Action, bool) {
	switch kind {
	case KindAddMember:
		var a AddMember
		ok := a.Card.read(s)
		return a, ok
	case KindRemoveMember:
		var a RemoveMember
		ok := s.ReadUint32((*uint32)(&a.Member))
		return a, ok
	case KindReplaceMember:
		var a ReplaceMember
		ok := s.ReadUint32((*uint32)(&a.Member)) && s.CopyBytes(a.Server[:]) && s.CopyBytes(a.Consensus[:]) &&
			readText(s, &a.P2P, MaxText) && readText(s, &a.URL, MaxText)
		return a, ok
	case KindSetProtocol:
		var a SetProtocol
		ok := s.ReadUint32(&a.Version) && s.ReadUint64(&a.Height)
		return a, ok
	case KindPauseMarket:
		var a PauseMarket
		ok := s.ReadUint32(&a.Market)
		return a, ok
	case KindResumeMarket:
		var a ResumeMarket
		ok := s.ReadUint32(&a.Market)
		return a, ok
	case KindCreateMarket:
		var a CreateMarket
		ok := s.ReadUint32((*uint32)(&a.Base)) && s.ReadUint32((*uint32)(&a.Quote)) && readBytes(s, &a.Terms)
		return a, ok
	case KindSetMarket:
		var a SetMarket
		ok := s.ReadUint32(&a.Market) && s.ReadUint32(&a.MakerPPM) && s.ReadUint32(&a.TakerPPM) &&
			s.ReadUint32(&a.ReservePPM) && s.ReadUint32(&a.BandPPM)
		return a, ok
	case KindReserveSymbol:
		var a ReserveSymbol
		ok := readText(s, &a.Symbol, MaxSymbol)
		return a, ok
	case KindAllowSymbol:
		var a AllowSymbol
		ok := readText(s, &a.Symbol, MaxSymbol) && s.CopyBytes(a.Issuer[:])
		return a, ok
	case KindSpendHouse:
		var a SpendHouse
		ok := s.ReadUint8(&a.House) && s.ReadUint32((*uint32)(&a.Asset)) && s.ReadUint64((*uint64)(&a.Amount)) && s.CopyBytes(a.To[:])
		return a, ok
	case KindSetParams:
		var a SetParams
		ok := readBytes(s, &a.Params)
		return a, ok
	case KindOpenSeries:
		var a OpenSeries
		ok := a.read(s)
		return a, ok
	case KindSetLimits:
		var a SetLimits
		ok := s.ReadUint32(&a.Bank) && readBytes(s, &a.Limits)
		return a, ok
	case KindHaltBanks:
		return HaltBanks{}, true
	case KindLiftBank:
		var a LiftBank
		ok := s.ReadUint32(&a.Bank) && s.ReadUint32(&a.Reasons)
		return a, ok
	}
	return nil, false
}

func (a *OpenSeries) read(s *cryptobyte.String) bool {
	var n uint8
	if !s.ReadUint32(&a.Bank) || !s.ReadUint8(&n) || n > maxSeries {
		return false
	}
	for i := range int(n) {
		var id ID
		if !s.ReadUint32((*uint32)(&id)) || i > 0 && id <= a.Members[i-1] {
			return false
		}
		a.Members = append(a.Members, id)
	}
	return true
}

// append appends a card's encoding: name, operator, server key, consensus key,
// consensus address, URL.
func (c *Card) append(dst []byte) []byte {
	dst = append(appendText(dst, c.Name), c.Operator[:]...)
	dst = append(append(dst, c.Server[:]...), c.Consensus[:]...)
	return appendText(appendText(dst, c.P2P), c.URL)
}

func (c *Card) read(s *cryptobyte.String) bool {
	return readText(s, &c.Name, MaxName) && s.CopyBytes(c.Operator[:]) && s.CopyBytes(c.Server[:]) && s.CopyBytes(c.Consensus[:]) &&
		readText(s, &c.P2P, MaxText) && readText(s, &c.URL, MaxText)
}

// appendText appends a text of at most 255 bytes behind its length.
func appendText(dst []byte, text string) []byte {
	dst = append(dst, byte(len(text))) //nolint:gosec // check and readText hold it to 255
	return append(dst, text...)
}

func readText(s *cryptobyte.String, text *string, limit int) bool {
	var t cryptobyte.String
	if !s.ReadUint8LengthPrefixed(&t) || len(t) > limit {
		return false
	}
	*text = string(t)
	return true
}

// appendBytes appends what exchange encoded behind its length.
func appendBytes(dst, b []byte) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(b))) //nolint:gosec // ParseAction holds it to MaxAction
	return append(dst, b...)
}

func readBytes(s *cryptobyte.String, b *[]byte) bool {
	var t cryptobyte.String
	if !s.ReadUint16LengthPrefixed(&t) || len(t) > MaxTerms {
		return false
	}
	*b = t
	return true
}
