package mail

import (
	"crypto/cipher"
	"encoding/binary"
	"fmt"
	"io"

	"golang.org/x/crypto/chacha20poly1305"
	"golang.org/x/crypto/cryptobyte"

	"souk/identity"
)

// tagSeal is for the signature inside of an envelope.
const tagSeal identity.Tag = "souk/mail/seal/v1"

// innerSize is what stands before a letter inside of an envelope: its length, who wrote
// it, his key, his signature.
const innerSize = 2 + 32 + 32 + 64 + sealSize

// Writer is who writes a letter.
type Writer struct {
	Identity identity.PrivateKey
	Key      Key
}

// Reader is whom a letter is for.
type Reader struct {
	Identity identity.PublicKey
	Key      PublicKey
}

// Reader is the writer as the reader of answers.
func (w *Writer) Reader() Reader { return Reader{w.Identity.Public(), w.Key.Public()} }

// Address is what an envelope shows, besides its expiry.
type Address struct {
	Kind  Kind
	Shard uint8
	Tag   Tag
}

// Opened is what was in an envelope. Its writer has signed it for this reader and this
// envelope. Whether a card in the letter is the writer's own is seen by its identity.
type Opened struct {
	From   Reader // who wrote it, and the key that the answer is closed for
	Letter *Letter
}

// Seal closes a letter for a reader: encrypts it under the key that both share, signs that,
// and wraps it under a key of which random is the only trace. The envelope has the smallest
// size that holds it, and no stamp yet. It returns ErrTooLong for a letter that none holds.
func Seal(random io.Reader, from *Writer, to Reader, at Address, expiry Hour, l *Letter) ([]byte, error) {
	ephemeral, err := GenerateKey(random)
	if err != nil {
		return nil, err
	}
	inside, err := from.Key.shared(to.Key)
	if err != nil {
		return nil, fmt.Errorf("seal a letter: %w", err)
	}
	outside, err := ephemeral.shared(to.Key)
	if err != nil {
		return nil, fmt.Errorf("seal a letter: %w", err)
	}
	return seal(ephemeral.Public(), from, to, at, expiry, l, inside, outside)
}

// seal is Seal with the secrets that reader and writer share: inside for what is signed,
// outside for the wrap.
func seal(ephemeral PublicKey, from *Writer, to Reader, at Address, expiry Hour, l *Letter, inside, outside []byte) ([]byte, error) {
	text, err := l.Append(nil)
	if err != nil {
		return nil, err
	}
	size, err := sizeOf(len(text))
	if err != nil {
		return nil, fmt.Errorf("seal a letter: %w", err)
	}
	e := Envelope{Kind: at.Kind, Shard: at.Shard, Tag: at.Tag, Ephemeral: ephemeral, Expiry: expiry}
	header := e.header()
	me := from.Reader()
	box, nonce := cipherOf(inside, "souk/mail/letter/v1", ephemeral, me.Key, to.Key)
	closed := box.Seal(nil, nonce, text, nil)
	sig := from.Identity.Sign(tagSeal, signed(header, me.Key, to, closed))

	inner := make([]byte, 0, size)
	inner = binary.BigEndian.AppendUint16(inner, uint16(len(closed))) //nolint:gosec // it fits the envelope
	inner = append(inner, me.Identity[:]...)
	inner = append(inner, me.Key[:]...)
	inner = append(inner, sig[:]...)
	inner = append(inner, closed...)
	inner = inner[:size-headerSize-sealSize-stampSize] // zeros to the end
	wrap, nonce := cipherOf(outside, "souk/mail/wrap/v1", ephemeral, ephemeral, to.Key)
	e.Sealed = wrap.Seal(nil, nonce, inner, header)
	return e.Append(make([]byte, 0, size)), nil
}

// Overhead is how many bytes of an envelope are not a letter's encoding.
const Overhead = headerSize + stampSize + sealSize + innerSize

// sizeOf is the size of an envelope for so many bytes of a letter.
func sizeOf(letter int) (int, error) {
	for _, size := range []int{SizeSmall, SizeMedium, SizeLarge} {
		if letter+Overhead <= size {
			return size, nil
		}
	}
	return 0, ErrTooLong
}

// Open opens an envelope with its reader's key. It returns ErrUnreadable for one that is not
// for him, and other errors for one that is, but not as it must be.
func Open(to *Writer, e *Envelope) (*Opened, error) {
	me := to.Reader()
	outside, err := to.Key.shared(e.Ephemeral)
	if err != nil {
		return nil, ErrUnreadable
	}
	inner, err := unwrap(outside, me.Key, e)
	if err != nil {
		return nil, err
	}
	inside, err := to.Key.shared(inner.from.Key)
	if err != nil {
		return nil, fmt.Errorf("open an envelope: %w", err)
	}
	return inner.open(inside, me, e)
}

// inner is what a wrap holds.
type inner struct {
	from   Reader
	sig    identity.Signature
	closed []byte
}

// unwrap takes the wrap off.
func unwrap(outside []byte, key PublicKey, e *Envelope) (*inner, error) {
	wrap, nonce := cipherOf(outside, "souk/mail/wrap/v1", e.Ephemeral, e.Ephemeral, key)
	plain, err := wrap.Open(nil, nonce, e.Sealed, e.header())
	if err != nil {
		return nil, ErrUnreadable
	}
	i, ok := parseInner(plain)
	if !ok {
		return nil, fmt.Errorf("open an envelope: %w", ErrForm)
	}
	return i, nil
}

// parseInner reads the one encoding of what a wrap holds, padding too.
func parseInner(plain []byte) (*inner, bool) {
	s := cryptobyte.String(plain)
	i := new(inner)
	var n uint16
	if !s.ReadUint16(&n) || !s.CopyBytes(i.from.Identity[:]) || !s.CopyBytes(i.from.Key[:]) || !s.CopyBytes(i.sig[:]) ||
		!s.ReadBytes(&i.closed, int(n)) {
		return nil, false
	}
	for _, b := range s {
		if b != 0 {
			return nil, false
		}
	}
	return i, true
}

// open checks who wrote it and opens the letter.
func (i *inner) open(inside []byte, to Reader, e *Envelope) (*Opened, error) {
	if err := i.from.Identity.Check(); err != nil {
		return nil, fmt.Errorf("open an envelope: %w", err)
	}
	if !i.from.Identity.Verify(tagSeal, signed(e.header(), i.from.Key, to, i.closed), i.sig) {
		return nil, fmt.Errorf("open an envelope: %w", ErrSignature)
	}
	box, nonce := cipherOf(inside, "souk/mail/letter/v1", e.Ephemeral, i.from.Key, to.Key)
	text, err := box.Open(nil, nonce, i.closed, nil)
	if err != nil {
		return nil, fmt.Errorf("open an envelope: %w", ErrForm)
	}
	l, err := ParseLetter(text)
	if err != nil {
		return nil, err
	}
	return &Opened{From: i.from, Letter: l}, nil
}

// signed is what a writer signs: the envelope's header, both keys, whom it is for, and what
// he has encrypted for him. So a letter cannot be handed on as if it were for somebody else.
func signed(header []byte, from PublicKey, to Reader, closed []byte) []byte {
	b := append([]byte(nil), header...)
	b = append(b, from[:]...)
	b = append(b, to.Identity[:]...)
	b = append(b, to.Key[:]...)
	return append(b, closed...)
}

// cipherOf returns the cipher of one envelope for one purpose, and its nonce. Key and
// nonce come of the ephemeral key, which is used once, so that none is used twice.
func cipherOf(secret []byte, purpose string, ephemeral, a, b PublicKey) (box cipher.AEAD, nonce []byte) {
	key := derive(secret, ephemeral[:], purpose, chacha20poly1305.KeySize+chacha20poly1305.NonceSizeX, a[:], b[:])
	box, err := chacha20poly1305.NewX(key[:chacha20poly1305.KeySize])
	if err != nil {
		panic(err) //nolint:forbidigo // the key has its length
	}
	return box, key[chacha20poly1305.KeySize:]
}
