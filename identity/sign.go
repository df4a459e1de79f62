package identity

import (
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
	TagFounding Tag = "souk/founding/v1" // a founding contract
	TagReceipt  Tag = "souk/receipt/v1"  // a server's receipt
	TagPeer     Tag = "souk/peer/v1"     // a message between peers
)

// AppendSigned appends to dst the bytes that are signed for a message: the length
// of the tag in one byte, the tag, the message.
func AppendSigned(dst []byte, tag Tag, message []byte) []byte {
	if len(tag) > 255 {
		panic("identity: tag is too long") //nolint:forbidigo // tags are constants
	}
	dst = append(dst, byte(len(tag)))
	dst = append(dst, tag...)
	return append(dst, message...)
}

// Sign signs a message for a purpose. It is deterministic (RFC 8032) and panics if
// the key is zero or wiped.
func Sign(key PrivateKey, tag Tag, message []byte) Signature {
	var buf [512]byte
	return Signature(ed25519.Sign(key.material(), AppendSigned(buf[:0], tag, message)))
}

// Verify tells whether a signature of a message for a purpose is by the key.
func Verify(key PublicKey, tag Tag, message []byte, sig Signature) bool {
	var buf [512]byte
	return ed25519.VerifyWithOptions(key[:], AppendSigned(buf[:0], tag, message), sig[:], zip215)
}
