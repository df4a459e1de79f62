package irc

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"strings"

	"golang.org/x/crypto/cryptobyte"

	"souk/identity"
	"souk/transport"
)

const (
	// tagRecord is what a signature of a record is for.
	tagRecord identity.Tag = "souk/irc/record/v1"
	// verb is the CTCP verb of all that is said here.
	verb = "SOUK"
	// realnamePrefix begins the realname of a peer; the key follows in base64.
	realnamePrefix = "souk "
	// maxPayload keeps a record within a line of IRC.
	maxPayload = 116
	nonceSize  = 16
)

// What is asked and answered. The answer to ask is here, to seat it is sits.
const (
	wordAsk  = "ASK"  // prove who you are, and say where: nonce
	wordHere = "HERE" // a record with an address
	wordSeat = "SEAT" // prove who you are, and say in which ring: nonce
	wordSits = "SITS" // a record with a ring
)

var errRecord = errors.New("not a record for this question")

// question is what a record answers. It is signed with it, so that nobody can answer with
// what somebody else has said, nor with what was said to somebody else.
type question struct {
	word    string // wordHere, wordSits
	channel string
	asker   string // nick
	nick    string // who answers
	nonce   [nonceSize]byte
}

func newNonce() (n [nonceSize]byte) {
	_, _ = rand.Read(n[:]) // never fails
	return n
}

func (q *question) signed(p transport.ID, payload []byte) []byte {
	var c cryptobyte.Builder
	for _, s := range []string{q.word, q.channel, strings.ToLower(q.asker), strings.ToLower(q.nick)} {
		c.AddUint8LengthPrefixed(func(c *cryptobyte.Builder) { c.AddBytes([]byte(s[:min(len(s), 255)])) })
	}
	c.AddBytes(q.nonce[:])
	c.AddBytes(p[:])
	c.AddUint16LengthPrefixed(func(c *cryptobyte.Builder) { c.AddBytes(payload) })
	return c.BytesOrPanic()
}

// answer is a signed record, as it travels.
func (q *question) answer(key identity.PrivateKey, payload []byte) string {
	p := key.Public()
	sig := key.Sign(tagRecord, q.signed(p, payload))
	var c cryptobyte.Builder
	c.AddBytes(p[:])
	c.AddBytes(q.nonce[:])
	c.AddUint8LengthPrefixed(func(c *cryptobyte.Builder) { c.AddBytes(payload) })
	c.AddBytes(sig[:])
	return base64.RawURLEncoding.EncodeToString(c.BytesOrPanic())
}

// read checks a record against the question, and says who answers and what.
func (q *question) read(text string) (p transport.ID, payload []byte, err error) {
	data, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return p, nil, errRecord
	}
	var nonce [nonceSize]byte
	var body cryptobyte.String
	var sig identity.Signature
	s := cryptobyte.String(data)
	if !s.CopyBytes(p[:]) || !s.CopyBytes(nonce[:]) || !s.ReadUint8LengthPrefixed(&body) || len(body) > maxPayload ||
		!s.CopyBytes(sig[:]) || !s.Empty() || nonce != q.nonce {
		return p, nil, errRecord
	}
	if p.Check() != nil || !p.Verify(tagRecord, q.signed(p, body), sig) {
		return p, nil, errRecord
	}
	return p, body, nil
}

// ctcp is a line of the verb.
func ctcp(word, text string) string { return "\x01" + verb + " " + word + " " + text + "\x01" }

// parseCTCP reads a CTCP line: its verb, the next word and the rest.
func parseCTCP(line string) (first, word, rest string, ok bool) {
	line, ok = strings.CutPrefix(line, "\x01")
	if !ok {
		return "", "", "", false
	}
	line = strings.TrimSuffix(line, "\x01")
	first, line, _ = strings.Cut(line, " ")
	word, rest, _ = strings.Cut(line, " ")
	return first, word, rest, true
}

// readNonce reads the nonce of a question.
func readNonce(text string) (n [nonceSize]byte, ok bool) {
	data, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(data) != nonceSize {
		return n, false
	}
	return [nonceSize]byte(data), true
}

// realname is how a peer shows itself on a server.
func realname(p transport.ID) string {
	return realnamePrefix + base64.RawURLEncoding.EncodeToString(p[:])
}

// parseRealname says who somebody claims to be.
func parseRealname(s string) (transport.ID, bool) {
	text, ok := strings.CutPrefix(strings.TrimSpace(s), realnamePrefix)
	data, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if !ok || err != nil || len(data) != len(transport.ID{}) {
		return transport.ID{}, false
	}
	return transport.ID(data), true
}
