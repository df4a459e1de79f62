package exchange

import (
	"encoding/binary"

	"golang.org/x/crypto/cryptobyte"

	"souk/asset"
	"souk/exchange/custody"
	"souk/identity"
	"souk/script"
)

// Attest is what a member's server saw on a bank's chain (docs/spec/14-custody.md).
type Attest struct{ custody.Attestation }

// Kind is KindAttest.
func (*Attest) Kind() Kind { return KindAttest }

// Append appends the body's encoding.
func (a *Attest) Append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(a.Bank))
	dst = binary.BigEndian.AppendUint64(dst, a.Rate)
	dst = append(dst, byte(len(a.Hashes))) //nolint:gosec // bounded by custody.MaxHashes
	if len(a.Hashes) > 0 {
		dst = append(binary.BigEndian.AppendUint32(dst, a.From), a.Parent[:]...)
	}
	for _, h := range a.Hashes {
		dst = append(dst, h[:]...)
	}
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(a.Payments))) //nolint:gosec // bounded by custody.MaxPayments
	for i := range a.Payments {
		p := &a.Payments[i]
		dst = appendOutpoint(binary.BigEndian.AppendUint32(dst, p.Height), p.At)
		dst = binary.BigEndian.AppendUint64(dst, uint64(p.Amount))
		dst = append(binary.BigEndian.AppendUint32(dst, p.Series), byte(p.Branch)) //nolint:gosec // 0 or 1
		dst = append(binary.BigEndian.AppendUint32(dst, p.Index), flag(p.PegOut))
	}
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(a.Spends))) //nolint:gosec // bounded by custody.MaxSpends
	for i := range a.Spends {
		p := &a.Spends[i]
		dst = append(appendOutpoint(binary.BigEndian.AppendUint32(dst, p.Height), p.At), p.Tx[:]...)
	}
	return dst
}

func (a *Attest) read(s *cryptobyte.String) bool {
	var hashes uint8
	var n uint16
	if !s.ReadUint32((*uint32)(&a.Bank)) || !s.ReadUint64(&a.Rate) || !s.ReadUint8(&hashes) || hashes > custody.MaxHashes {
		return false
	}
	if hashes > 0 && (!s.ReadUint32(&a.From) || !s.CopyBytes(a.Parent[:])) {
		return false
	}
	for range hashes {
		var h script.Hash
		if !s.CopyBytes(h[:]) {
			return false
		}
		a.Hashes = append(a.Hashes, h)
	}
	if !s.ReadUint16(&n) || n > custody.MaxPayments {
		return false
	}
	for range n {
		var p custody.Payment
		var branch uint8
		if !s.ReadUint32(&p.Height) || !readOutpoint(s, &p.At) || !s.ReadUint64((*uint64)(&p.Amount)) || !s.ReadUint32(&p.Series) ||
			!s.ReadUint8(&branch) || !s.ReadUint32(&p.Index) || !readFlag(s, &p.PegOut) {
			return false
		}
		p.Branch = uint32(branch)
		a.Payments = append(a.Payments, p)
	}
	if !s.ReadUint16(&n) || n > custody.MaxSpends {
		return false
	}
	for range n {
		var p custody.Spend
		if !s.ReadUint32(&p.Height) || !readOutpoint(s, &p.At) || !s.CopyBytes(p.Tx[:]) {
			return false
		}
		a.Spends = append(a.Spends, p)
	}
	return true
}

// Sign is a member server's partial signatures of a bank's transaction.
type Sign struct{ custody.Signature }

// Kind is KindSign.
func (*Sign) Kind() Kind { return KindSign }

// Append appends the body's encoding.
func (x *Sign) Append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(x.Bank))
	dst = append(binary.BigEndian.AppendUint64(dst, x.Batch), x.Version)
	dst = append(binary.BigEndian.AppendUint16(dst, x.First), byte(len(x.Signatures))) //nolint:gosec // bounded by custody.MaxInputs
	for _, sig := range x.Signatures {
		dst = append(append(dst, byte(len(sig))), sig...) //nolint:gosec // bounded by custody.MaxSignature
	}
	return dst
}

func (x *Sign) read(s *cryptobyte.String) bool {
	var n uint8
	if !s.ReadUint32((*uint32)(&x.Bank)) || !s.ReadUint64(&x.Batch) || !s.ReadUint8(&x.Version) || !s.ReadUint16(&x.First) ||
		!s.ReadUint8(&n) || n > custody.MaxInputs {
		return false
	}
	for range n {
		var sig cryptobyte.String
		if !s.ReadUint8LengthPrefixed(&sig) || len(sig) > custody.MaxSignature {
			return false
		}
		x.Signatures = append(x.Signatures, sig)
	}
	return true
}

// AnnounceKey is a member's key for a bank, for a series to come.
type AnnounceKey struct {
	Bank       custody.Bank
	Key        script.MemberKey
	Possession script.Possession // for State.Claim of the member
}

// Kind is KindAnnounceKey.
func (*AnnounceKey) Kind() Kind { return KindAnnounceKey }

// Append appends the body's encoding.
func (a *AnnounceKey) Append(dst []byte) []byte {
	return append(appendMemberKey(binary.BigEndian.AppendUint32(dst, uint32(a.Bank)), &a.Key), a.Possession[:]...)
}

func (a *AnnounceKey) read(s *cryptobyte.String) bool {
	return s.ReadUint32((*uint32)(&a.Bank)) && readMemberKey(s, &a.Key) && s.CopyBytes(a.Possession[:])
}

// SetWithdrawals says what the account's withdrawals may do. What lets something
// through sooner takes its time to come into force (Y-62).
type SetWithdrawals struct {
	custody.Settings
	Salt custody.Salt // drawn at random, as that of NewAddress
}

// Kind is KindSetWithdrawals.
func (*SetWithdrawals) Kind() Kind { return KindSetWithdrawals }

// Append appends the body's encoding.
func (x *SetWithdrawals) Append(dst []byte) []byte {
	dst = append(binary.BigEndian.AppendUint64(dst, x.Delay), flag(x.Only), byte(len(x.Allowed))) //nolint:gosec // bounded by custody.MaxAllowed
	for i := range x.Allowed {
		dst = appendOutput(binary.BigEndian.AppendUint32(dst, uint32(x.Allowed[i].Bank)), x.Allowed[i].Script)
	}
	return append(dst, x.Salt[:]...)
}

func (x *SetWithdrawals) read(s *cryptobyte.String) bool {
	var n uint8
	if !s.ReadUint64(&x.Delay) || !readFlag(s, &x.Only) || !s.ReadUint8(&n) || n > custody.MaxAllowed {
		return false
	}
	for range n {
		var a custody.Allowed
		if !s.ReadUint32((*uint32)(&a.Bank)) || !readOutput(s, &a.Script) {
			return false
		}
		x.Allowed = append(x.Allowed, a)
	}
	return s.CopyBytes(x.Salt[:])
}

// CancelWithdrawal takes a withdrawal back that no transaction pays yet.
type CancelWithdrawal struct{ Withdrawal custody.ID }

// Kind is KindCancelWithdrawal.
func (*CancelWithdrawal) Kind() Kind { return KindCancelWithdrawal }

// Append appends the body's encoding.
func (c *CancelWithdrawal) Append(dst []byte) []byte {
	return binary.BigEndian.AppendUint64(dst, uint64(c.Withdrawal))
}

func (c *CancelWithdrawal) read(s *cryptobyte.String) bool {
	return s.ReadUint64((*uint64)(&c.Withdrawal))
}

// NewAddress asks for a fresh deposit address of a bank. Salt is drawn at random by
// whoever makes the command, and keeps others from finding out whose the address is.
type NewAddress struct {
	Bank custody.Bank
	Salt custody.Salt
}

// Kind is KindNewAddress.
func (*NewAddress) Kind() Kind { return KindNewAddress }

// Append appends the body's encoding.
func (n *NewAddress) Append(dst []byte) []byte {
	return append(binary.BigEndian.AppendUint32(dst, uint32(n.Bank)), n.Salt[:]...)
}

func (n *NewAddress) read(s *cryptobyte.String) bool {
	return s.ReadUint32((*uint32)(&n.Bank)) && s.CopyBytes(n.Salt[:])
}

// Admit opens the account of an address that has none, and allots its first deposit
// address. A member's server sends it for somebody who has nothing yet.
type Admit struct {
	Bank    custody.Bank
	Account identity.Address
	Salt    custody.Salt
}

// Kind is KindAdmit.
func (*Admit) Kind() Kind { return KindAdmit }

// Append appends the body's encoding.
func (a *Admit) Append(dst []byte) []byte {
	dst = append(binary.BigEndian.AppendUint32(dst, uint32(a.Bank)), a.Account[:]...)
	return append(dst, a.Salt[:]...)
}

func (a *Admit) read(s *cryptobyte.String) bool {
	return s.ReadUint32((*uint32)(&a.Bank)) && s.CopyBytes(a.Account[:]) && s.CopyBytes(a.Salt[:])
}

// Withdraw pays an output of a bank's chain. MaxFee is the most that its share of
// the transaction's fee may be, besides the amount. Salt is drawn at random, as that of
// NewAddress.
type Withdraw struct{ custody.Request }

// Kind is KindWithdraw.
func (*Withdraw) Kind() Kind { return KindWithdraw }

// Append appends the body's encoding.
func (w *Withdraw) Append(dst []byte) []byte {
	dst = appendOutput(binary.BigEndian.AppendUint32(dst, uint32(w.Bank)), w.Script)
	dst = binary.BigEndian.AppendUint64(dst, uint64(w.Amount))
	return append(binary.BigEndian.AppendUint64(dst, uint64(w.MaxFee)), w.Salt[:]...)
}

func (w *Withdraw) read(s *cryptobyte.String) bool {
	return s.ReadUint32((*uint32)(&w.Bank)) && readOutput(s, &w.Script) && s.ReadUint64((*uint64)(&w.Amount)) && s.ReadUint64((*uint64)(&w.MaxFee)) &&
		s.CopyBytes(w.Salt[:])
}

// Donate gives an amount to a bank: it ends a deficit, the rest is the reserve's (Y-76).
type Donate struct {
	Bank   custody.Bank
	Amount asset.Amount
}

// Kind is KindDonate.
func (*Donate) Kind() Kind { return KindDonate }

// Append appends the body's encoding.
func (d *Donate) Append(dst []byte) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(dst, uint32(d.Bank)), uint64(d.Amount))
}

func (d *Donate) read(s *cryptobyte.String) bool {
	return s.ReadUint32((*uint32)(&d.Bank)) && s.ReadUint64((*uint64)(&d.Amount))
}

// maxOutput is the longest output script in a body; all that a bank may pay to are shorter.
const maxOutput = 64

func appendOutput(dst, out []byte) []byte {
	return append(append(dst, byte(len(out))), out...) //nolint:gosec // bounded by maxOutput
}

func readOutput(s *cryptobyte.String, out *[]byte) bool {
	var t cryptobyte.String
	ok := s.ReadUint8LengthPrefixed(&t) && len(t) <= maxOutput
	*out = t
	return ok
}

func appendOutpoint(dst []byte, o script.Outpoint) []byte {
	return binary.BigEndian.AppendUint32(append(dst, o.Tx[:]...), o.Index)
}

func readOutpoint(s *cryptobyte.String, o *script.Outpoint) bool {
	return s.CopyBytes(o.Tx[:]) && s.ReadUint32(&o.Index)
}

func appendMemberKey(dst []byte, k *script.MemberKey) []byte {
	return append(append(dst, k.Key[:]...), k.ChainCode[:]...)
}

func readMemberKey(s *cryptobyte.String, k *script.MemberKey) bool {
	return s.CopyBytes(k.Key[:]) && s.CopyBytes(k.ChainCode[:])
}
