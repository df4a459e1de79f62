package exchange

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"

	"souk/identity"
)

// MaxBody is the largest body of a command in bytes, but for attestations and
// signatures of members, whose bodies have at most MaxMemberBody. Together those of
// one member in one block have no more either (B-9).
const (
	MaxBody       = 4096
	MaxMemberBody = 132 << 10
)

// bodyLengthAt is where the length of the body stands: in 2 bytes, or in 3 for
// the kinds whose bodies may be larger.
const bodyLengthAt = 1 + 20 + 32 + 8 + 8

// MaxCommand is the largest encoding of a command in bytes.
const MaxCommand = bodyLengthAt + 3 + MaxMemberBody + 64

// lengthSize is how many bytes the length of the kind's body takes.
func (k Kind) lengthSize() int {
	if k.MaxBody() > MaxBody {
		return 3
	}
	return 2
}

// Skip is the size that the command at the front of data says it has; false if
// data is too short to say. It looks at nothing else.
func Skip(data []byte) (size int, ok bool) {
	if len(data) == 0 {
		return 0, false
	}
	n := Kind(data[0]).lengthSize()
	if len(data) < bodyLengthAt+n {
		return 0, false
	}
	body := 0
	for _, b := range data[bodyLengthAt : bodyLengthAt+n] {
		body = body<<8 | int(b)
	}
	return bodyLengthAt + n + body + len(identity.Signature{}), true
}

// ErrEncoding is returned for bytes that are not the one canonical encoding of a value.
var ErrEncoding = errors.New("not a canonical encoding")

// ID identifies a virtual server: the hash of its founding contract.
type ID [32]byte

// CommandID is the hash of a command's sign bytes; the signature is no part of
// it, so signing again does not make another command.
type CommandID [32]byte

// Command is one signed request to the exchange (docs/spec/02-commands.md).
type Command struct {
	Kind    Kind
	Account identity.Address   // the account it acts on
	Key     identity.PublicKey // the owner's key or a delegate's
	Nonce   uint64             // unique for the key, from 1
	Expiry  uint64             // block time in ms from which it is refused
	Body    []byte             // by kind, see Body types
	// Signature is by Key over SignBytes.
	Signature identity.Signature

	// ID is set by Parse, and by Sign.
	ID CommandID
}

// Parse reads one command for virtual server vs from the front of data and
// answers what follows it. The body aliases data. It checks form only: neither
// the signature nor the body.
func Parse(vs ID, data []byte) (c Command, rest []byte, err error) {
	s := cryptobyte.String(data)
	var kind uint8
	var body cryptobyte.String
	if !s.ReadUint8(&kind) || !s.CopyBytes(c.Account[:]) || !s.CopyBytes(c.Key[:]) ||
		!s.ReadUint64(&c.Nonce) || !s.ReadUint64(&c.Expiry) || !readBody(&s, Kind(kind), &body) {
		return Command{}, nil, fmt.Errorf("command is cut short: %w", ErrEncoding)
	}
	signed := data[:len(data)-len(s)]
	if !s.CopyBytes(c.Signature[:]) {
		return Command{}, nil, fmt.Errorf("command is cut short: %w", ErrEncoding)
	}
	c.Kind, c.Body = Kind(kind), body
	if len(body) > c.Kind.MaxBody() {
		return Command{}, nil, fmt.Errorf("body of %d bytes, at most %d: %w", len(body), c.Kind.MaxBody(), ErrEncoding)
	}
	if !c.Kind.Known() {
		return Command{}, nil, fmt.Errorf("command kind %d is not known: %w", kind, ErrEncoding)
	}
	var buf [512]byte
	tagged := append(identity.AppendTag(buf[:0], identity.TagCommand), vs[:]...)
	c.ID = sha256.Sum256(append(tagged, signed...))
	return c, s, nil
}

func readBody(s *cryptobyte.String, k Kind, body *cryptobyte.String) bool {
	if k.lengthSize() == 3 {
		return s.ReadUint24LengthPrefixed(body)
	}
	return s.ReadUint16LengthPrefixed(body)
}

// Append appends the command's one encoding to dst.
func (c *Command) Append(dst []byte) []byte {
	return append(c.appendUnsigned(dst), c.Signature[:]...)
}

func (c *Command) appendUnsigned(dst []byte) []byte {
	dst = append(dst, byte(c.Kind))
	dst = append(dst, c.Account[:]...)
	dst = append(dst, c.Key[:]...)
	dst = binary.BigEndian.AppendUint64(dst, c.Nonce)
	dst = binary.BigEndian.AppendUint64(dst, c.Expiry)
	if c.Kind.lengthSize() == 3 {
		dst = append(dst, byte(len(c.Body)>>16)) //nolint:gosec // bounded by MaxMemberBody
	}
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(c.Body))) //nolint:gosec // the lower two bytes
	return append(dst, c.Body...)
}

// AppendSignBytes appends what the signature covers: the command tag, the
// virtual server's id, and the encoding up to the signature.
func (c *Command) AppendSignBytes(dst []byte, vs ID) []byte {
	dst = append(identity.AppendTag(dst, identity.TagCommand), vs[:]...)
	return c.appendUnsigned(dst)
}

// Sign sets Key, Signature and ID for virtual server vs.
func (c *Command) Sign(vs ID, key identity.PrivateKey) error {
	if limit := c.Kind.MaxBody(); len(c.Body) > limit {
		return fmt.Errorf("body of %d bytes, at most %d: %w", len(c.Body), limit, ErrEncoding)
	}
	c.Key = key.Public()
	tagged := c.AppendSignBytes(nil, vs)
	c.Signature = key.SignRaw(tagged)
	c.ID = sha256.Sum256(tagged)
	return nil
}

// Size is the length of the command's encoding in bytes.
func (c *Command) Size() int {
	return bodyLengthAt + c.Kind.lengthSize() + len(c.Body) + len(c.Signature)
}
