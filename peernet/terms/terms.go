// Package terms owns what a peer says it can be paid with and pay with: accounts on virtual
// servers by asset, and settlement outside of them by method and currency, each with the
// versions that it speaks, all in the order in which it likes them, and signed. From the
// terms of two peers everybody computes the same answer to "how could I pay you" (Ways).
//
// How terms travel belongs to courier. Nothing here reads a clock. The rules are
// docs/spec/23-peernet.md, U-40 to U-45. Floor 1: it imports asset and identity.
package terms

import (
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"

	"souk/asset"
	"souk/identity"
)

// tag is what a signature of terms is for.
const tag identity.Tag = "souk/terms/v1"

// Limits.
const (
	// MaxEntries is the most entries of terms.
	MaxEntries = 256
	// MaxSize is the length of the longest terms in bytes.
	MaxSize = 16 << 10
	// MaxAge is the longest time for which terms hold, in milliseconds: ninety days.
	MaxAge = 90 * 24 * 3600 * 1000
	// maxName is the length of the longest method or currency.
	maxName = 16
	// maxTime is above any clock.
	maxTime = 1 << 50
)

// Errors.
var (
	// ErrSyntax is returned for bytes that encode no terms.
	ErrSyntax = errors.New("malformed")
	// ErrTerms is returned for terms that do not hold: in their form, signature or time.
	ErrTerms = errors.New("not terms that hold")
)

// Kind is where an entry settles.
type Kind uint8

// Kinds of entries.
const (
	Account Kind = 1 // a balance on a virtual server
	Method  Kind = 2 // outside of virtual servers: a bank transfer, a chain
)

// Use is in which direction an entry is meant.
type Use uint8

// Uses. Both is the sum.
const (
	Takes Use = 1 // the peer can be paid so
	Gives Use = 2 // the peer pays so
	Both  Use = 3
)

// Entry is one thing that a peer accepts.
type Entry struct {
	Kind     Kind
	Use      Use
	Server   [32]byte // of Account: the virtual server's id
	Asset    asset.ID // of Account
	Name     string   // of Method: SEPA, BITCOIN; 1 to 16 of A-Z, 0-9 and dash
	Currency string   // of Method: EUR, BTC; like Name
	Min, Max uint16   // versions of the virtual server's protocol or of the method
}

// Terms are what a peer accepts, most liked first.
type Terms struct {
	Peer      identity.PublicKey
	Made      uint64 // ms since the Unix epoch; later ones replace earlier ones
	Until     uint64 // ms; from then on they do not hold
	Entries   []Entry
	Signature identity.Signature
}

// same tells whether two entries mean the same thing, whatever version and use.
func same(a, b *Entry) bool {
	return a.Kind == b.Kind && a.Server == b.Server && a.Asset == b.Asset && a.Name == b.Name && a.Currency == b.Currency
}

func (e *Entry) check() error {
	switch {
	case e.Use == 0 || e.Use > Both:
		return fmt.Errorf("%w: an entry of no use", ErrTerms)
	case e.Min == 0 || e.Min > e.Max:
		return fmt.Errorf("%w: versions %d to %d", ErrTerms, e.Min, e.Max)
	case e.Kind == Account && (e.Name != "" || e.Currency != "" || e.Server == [32]byte{}):
		return fmt.Errorf("%w: an account of no virtual server, or with a method", ErrTerms)
	case e.Kind == Method && (!name(e.Name) || !name(e.Currency) || e.Server != [32]byte{} || e.Asset != 0):
		return fmt.Errorf("%w: a method without a name, or on a virtual server", ErrTerms)
	case e.Kind != Account && e.Kind != Method:
		return fmt.Errorf("%w: an entry of kind %d", ErrTerms, e.Kind)
	}
	return nil
}

func name(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return s != "" && len(s) <= maxName
}

func (t *Terms) form() error {
	if len(t.Entries) > MaxEntries {
		return fmt.Errorf("%w: %d entries", ErrTerms, len(t.Entries))
	}
	if t.Made >= maxTime || t.Until <= t.Made || t.Until-t.Made > MaxAge {
		return fmt.Errorf("%w: they hold from %d until %d", ErrTerms, t.Made, t.Until)
	}
	for i := range t.Entries {
		if err := t.Entries[i].check(); err != nil {
			return err
		}
		for j := range i {
			if same(&t.Entries[i], &t.Entries[j]) {
				return fmt.Errorf("%w: an entry stands there twice", ErrTerms)
			}
		}
	}
	return nil
}

// Sign makes terms of the key's owner. It returns ErrTerms for what Check would refuse.
func (t *Terms) Sign(key identity.PrivateKey) error {
	if err := t.form(); err != nil {
		return err
	}
	t.Peer = key.Public()
	t.Signature = key.Sign(tag, t.body(nil))
	return nil
}

// Check returns ErrTerms unless the terms are well-formed, signed by the peer, and hold at a
// time (ms since the Unix epoch). Those of clocks that are a little ahead hold, too.
func (t *Terms) Check(now uint64) error {
	if err := t.form(); err != nil {
		return err
	}
	if now >= t.Until || t.Made > now+skew {
		return fmt.Errorf("%w: not at this time", ErrTerms)
	}
	if err := t.Peer.Check(); err != nil {
		return fmt.Errorf("%w: %w", ErrTerms, err)
	}
	if !t.Peer.Verify(tag, t.body(nil), t.Signature) {
		return fmt.Errorf("%w: the signature does not hold", ErrTerms)
	}
	return nil
}

// skew is by how much a peer's clock may be ahead: five minutes.
const skew = 5 * 60 * 1000

func (t *Terms) body(dst []byte) []byte {
	c := cryptobyte.NewBuilder(dst)
	c.AddBytes(t.Peer[:])
	c.AddUint64(t.Made)
	c.AddUint64(t.Until)
	c.AddUint16(uint16(len(t.Entries))) //nolint:gosec // at most MaxEntries
	for i := range t.Entries {
		e := &t.Entries[i]
		c.AddUint8(uint8(e.Kind))
		c.AddUint8(uint8(e.Use))
		c.AddUint16(e.Min)
		c.AddUint16(e.Max)
		if e.Kind == Account {
			c.AddBytes(e.Server[:])
			c.AddUint32(uint32(e.Asset))
			continue
		}
		for _, s := range []string{e.Name, e.Currency} {
			c.AddUint8LengthPrefixed(func(c *cryptobyte.Builder) { c.AddBytes([]byte(s)) })
		}
	}
	return c.BytesOrPanic()
}

// Append appends the terms' one encoding.
func (t *Terms) Append(dst []byte) []byte { return append(t.body(dst), t.Signature[:]...) }

// Parse reads what Append writes: ErrSyntax for anything else. Check judges the signature
// and the time.
func Parse(data []byte) (Terms, error) {
	var t Terms
	var n uint16
	s := cryptobyte.String(data)
	ok := len(data) <= MaxSize && s.CopyBytes(t.Peer[:]) && s.ReadUint64(&t.Made) && s.ReadUint64(&t.Until) && s.ReadUint16(&n) && n <= MaxEntries
	for i := 0; ok && i < int(n); i++ {
		var e Entry
		ok = e.read(&s)
		t.Entries = append(t.Entries, e)
	}
	if !ok || !s.CopyBytes(t.Signature[:]) || !s.Empty() || t.form() != nil {
		return Terms{}, fmt.Errorf("terms: %w", ErrSyntax)
	}
	return t, nil
}

func (e *Entry) read(s *cryptobyte.String) bool {
	var kind, use uint8
	if !s.ReadUint8(&kind) || !s.ReadUint8(&use) || !s.ReadUint16(&e.Min) || !s.ReadUint16(&e.Max) {
		return false
	}
	e.Kind, e.Use = Kind(kind), Use(use)
	if e.Kind == Account {
		return s.CopyBytes(e.Server[:]) && s.ReadUint32((*uint32)(&e.Asset))
	}
	for _, to := range []*string{&e.Name, &e.Currency} {
		var text cryptobyte.String
		if !s.ReadUint8LengthPrefixed(&text) {
			return false
		}
		*to = string(text)
	}
	return true
}
