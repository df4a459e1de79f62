package exchange

import (
	"encoding/binary"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"

	"souk/asset"
	"souk/identity"
)

// Transfer pays another account of the same virtual server. An account that has
// never been credited is opened by it.
type Transfer struct {
	To     identity.Address
	Asset  asset.ID
	Amount asset.Amount
	Memo   string // UTF-8, at most MaxMemo bytes, readable by both accounts
}

// Kind is KindTransfer.
func (*Transfer) Kind() Kind { return KindTransfer }

// Append appends the body's encoding.
func (t *Transfer) Append(dst []byte) []byte {
	dst = append(dst, t.To[:]...)
	dst = binary.BigEndian.AppendUint32(dst, uint32(t.Asset))
	dst = binary.BigEndian.AppendUint64(dst, uint64(t.Amount))
	return appendText8(dst, t.Memo)
}

func (t *Transfer) read(s *cryptobyte.String) bool {
	return readAddress(s, &t.To) && s.ReadUint32((*uint32)(&t.Asset)) && s.ReadUint64((*uint64)(&t.Amount)) && readMemo(s, &t.Memo)
}

// Issue makes a new asset whose issuer is the account. The contract is the
// issuer's promise in his own words; the state keeps its hash, and the command's
// signature is the issuer's signature under it.
type Issue struct {
	Symbol    string // 2 to 10 characters, A to Z and 0 to 9, a letter first
	Decimals  uint8
	MaxSupply asset.Amount
	Contract  string // UTF-8, at most MaxContract bytes
}

// Kind is KindIssue.
func (*Issue) Kind() Kind { return KindIssue }

// Append appends the body's encoding.
func (i *Issue) Append(dst []byte) []byte {
	dst = append(appendText8(dst, i.Symbol), i.Decimals)
	dst = binary.BigEndian.AppendUint64(dst, uint64(i.MaxSupply))
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(i.Contract))) //nolint:gosec // bounded by MaxContract
	return append(dst, i.Contract...)
}

func (i *Issue) read(s *cryptobyte.String) bool {
	var contract cryptobyte.String
	if !readText8(s, &i.Symbol, 10) || !s.ReadUint8(&i.Decimals) || !s.ReadUint64((*uint64)(&i.MaxSupply)) ||
		!s.ReadUint16LengthPrefixed(&contract) || len(contract) > MaxContract || !utf8.Valid(contract) {
		return false
	}
	i.Contract = string(contract)
	return true
}

// Mint makes new units of an asset; only its issuer may.
type Mint struct {
	Asset  asset.ID
	Amount asset.Amount
	To     identity.Address
}

// Kind is KindMint.
func (*Mint) Kind() Kind { return KindMint }

// Append appends the body's encoding.
func (m *Mint) Append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(m.Asset))
	dst = binary.BigEndian.AppendUint64(dst, uint64(m.Amount))
	return append(dst, m.To[:]...)
}

func (m *Mint) read(s *cryptobyte.String) bool {
	return s.ReadUint32((*uint32)(&m.Asset)) && s.ReadUint64((*uint64)(&m.Amount)) && readAddress(s, &m.To)
}

// Burn destroys units that the issuer holds.
type Burn struct {
	Asset  asset.ID
	Amount asset.Amount
}

// Kind is KindBurn.
func (*Burn) Kind() Kind { return KindBurn }

// Append appends the body's encoding.
func (b *Burn) Append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(b.Asset))
	return binary.BigEndian.AppendUint64(dst, uint64(b.Amount))
}

func (b *Burn) read(s *cryptobyte.String) bool {
	return s.ReadUint32((*uint32)(&b.Asset)) && s.ReadUint64((*uint64)(&b.Amount))
}

// Lock puts an amount in escrow (docs/spec/06-escrow.md).
type Lock struct {
	Payee    identity.Address
	Asset    asset.ID
	Amount   asset.Amount
	Hash     [32]byte // SHA-256 of the preimage that pays the payee
	Deadline uint64   // ms; a claim needs block time < Deadline
	// Arbiter may decide a dispute within Window ms after the deadline; the zero
	// address means that there is none, and Window is zero then.
	Arbiter identity.Address
	Window  uint64
	Memo    string
}

// Kind is KindLock.
func (*Lock) Kind() Kind { return KindLock }

// Append appends the body's encoding.
func (l *Lock) Append(dst []byte) []byte {
	dst = append(dst, l.Payee[:]...)
	dst = binary.BigEndian.AppendUint32(dst, uint32(l.Asset))
	dst = binary.BigEndian.AppendUint64(dst, uint64(l.Amount))
	dst = append(dst, l.Hash[:]...)
	dst = binary.BigEndian.AppendUint64(dst, l.Deadline)
	dst = append(dst, l.Arbiter[:]...)
	dst = binary.BigEndian.AppendUint64(dst, l.Window)
	return appendText8(dst, l.Memo)
}

func (l *Lock) read(s *cryptobyte.String) bool {
	return readAddress(s, &l.Payee) && s.ReadUint32((*uint32)(&l.Asset)) && s.ReadUint64((*uint64)(&l.Amount)) &&
		s.CopyBytes(l.Hash[:]) && s.ReadUint64(&l.Deadline) && readAddress(s, &l.Arbiter) && s.ReadUint64(&l.Window) && readMemo(s, &l.Memo)
}

// Claim pays an escrow to its payee by showing the preimage. Anyone may send it.
type Claim struct {
	Escrow   uint64
	Preimage []byte // at most 64 bytes
}

// Kind is KindClaim.
func (*Claim) Kind() Kind { return KindClaim }

// Append appends the body's encoding.
func (c *Claim) Append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, c.Escrow)
	return append(append(dst, byte(len(c.Preimage))), c.Preimage...) //nolint:gosec // at most 64
}

func (c *Claim) read(s *cryptobyte.String) bool {
	var p cryptobyte.String
	ok := s.ReadUint64(&c.Escrow) && s.ReadUint8LengthPrefixed(&p) && len(p) <= 64
	c.Preimage = p
	return ok
}

// Refund returns an escrow to its payer after the deadline.
type Refund struct{ Escrow uint64 }

// Kind is KindRefund.
func (*Refund) Kind() Kind { return KindRefund }

// Append appends the body's encoding.
func (r *Refund) Append(dst []byte) []byte { return binary.BigEndian.AppendUint64(dst, r.Escrow) }

func (r *Refund) read(s *cryptobyte.String) bool { return s.ReadUint64(&r.Escrow) }

// Dispute hands an escrow that has an arbiter to him.
type Dispute struct{ Escrow uint64 }

// Kind is KindDispute.
func (*Dispute) Kind() Kind { return KindDispute }

// Append appends the body's encoding.
func (d *Dispute) Append(dst []byte) []byte { return binary.BigEndian.AppendUint64(dst, d.Escrow) }

func (d *Dispute) read(s *cryptobyte.String) bool { return s.ReadUint64(&d.Escrow) }

// Resolve is the arbiter's decision in a dispute.
type Resolve struct {
	Escrow uint64
	Pay    bool // true pays the payee, false refunds the payer
}

// Kind is KindResolve.
func (*Resolve) Kind() Kind { return KindResolve }

// Append appends the body's encoding.
func (r *Resolve) Append(dst []byte) []byte {
	return append(binary.BigEndian.AppendUint64(dst, r.Escrow), flag(r.Pay))
}

func (r *Resolve) read(s *cryptobyte.String) bool {
	return s.ReadUint64(&r.Escrow) && readFlag(s, &r.Pay)
}

func readMemo(s *cryptobyte.String, memo *string) bool {
	return readText8(s, memo, MaxMemo) && utf8.ValidString(*memo)
}
