package identity

import (
	"strings"

	"github.com/oasisprotocol/curve25519-voi/primitives/ed25519"
)

// Tag names what a signature is for.
type Tag string

// Tags of all purposes. Append only: a tag is never changed or given a second
// meaning; a new form of a message gets a new tag.
const (
	TagCommand  Tag = "souk/command/v1"  // a command to a virtual server
	TagCard     Tag = "souk/card/v1"     // a member's card: how to reach and trust a server
	TagRead     Tag = "souk/read/v1"     // a request to read what only the owner may
	TagFounding Tag = "souk/founding/v1" // reserved: a founding contract
	TagReceipt  Tag = "souk/receipt/v1"  // reserved: a server's receipt
	TagPeer     Tag = "souk/peer/v1"     // reserved: a message between peers
)

const (
	// tagPrefix is what all tags begin with.
	tagPrefix = "souk/"
	// stackMessage is the size up to which a message is tagged on the stack.
	stackMessage = 512
)

// AppendTag appends to dst what every signed message begins with: the length of
// the tag in one byte, and the tag. The message itself comes after it.
func AppendTag(dst []byte, tag Tag) []byte {
	if len(tag) > 255 {
		panic("identity: tag is too long") //nolint:forbidigo // tags are constants
	}
	return append(append(dst, byte(len(tag))), tag...) //nolint:gosec // checked above
}

// Sign signs a message for a purpose. It is deterministic (RFC 8032) and panics if
// the key is zero or wiped.
func (k PrivateKey) Sign(tag Tag, message []byte) Signature {
	var buf [stackMessage]byte
	return k.SignRaw(append(AppendTag(buf[:0], tag), message...))
}

// SignRaw signs bytes that begin with a tag already, as AppendTag writes it; it
// panics if they do not, or if the key is zero or wiped.
func (k PrivateKey) SignRaw(tagged []byte) Signature {
	if len(tagged) == 0 || len(tagged) < 1+int(tagged[0]) || !strings.HasPrefix(string(tagged[1:1+tagged[0]]), tagPrefix) {
		panic("identity: signing bytes that do not begin with a tag") //nolint:forbidigo // caller's invariant
	}
	return Signature(ed25519.Sign(k.material(), tagged))
}

// Verify tells whether a signature of a message for a purpose is by the key.
func (k PublicKey) Verify(tag Tag, message []byte, sig Signature) bool {
	var buf [stackMessage]byte
	return k.VerifyRaw(append(AppendTag(buf[:0], tag), message...), sig)
}

// VerifyRaw tells whether a signature of bytes that begin with a tag, as AppendTag
// writes it, is by the key. That they begin with the right tag is for the caller,
// who has put them together, to see to.
func (k PublicKey) VerifyRaw(tagged []byte, sig Signature) bool {
	return ed25519.VerifyWithOptions(k[:], tagged, sig[:], zip215)
}
