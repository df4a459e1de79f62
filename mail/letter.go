package mail

import (
	"encoding/binary"
	"fmt"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
)

// LetterKind is what a letter is.
type LetterKind uint8

// Kinds of letters.
const (
	Written LetterKind = 1 // somebody wrote it
	Receipt LetterKind = 2 // it says that the letter with its id has been read from an envelope
)

// MaxSubject is the most bytes of a subject.
const MaxSubject = 200

// Letter is what its reader gets, and nobody else. Nothing but its envelope's seal says that
// the writer wrote it: his signature is over what he has encrypted, not over the words.
type Letter struct {
	Kind    LetterKind
	ID      LetterID // of a receipt: the letter it is for
	Number  uint64   // by Outgoing; of a receipt: the letter's; of a post to a list: 0
	Sent    uint64   // ms, as the writer says
	Card    *Card    // the writer's, so that he can be answered; may be nil
	Subject string   // programs begin theirs with their name and a slash
	Body    []byte
}

// fits tells why a letter cannot be encoded, if so.
func (l *Letter) fits() error {
	if len(l.Subject) > MaxSubject || len(l.Body) > SizeLarge {
		return ErrTooLong
	}
	if l.Kind != Written && l.Kind != Receipt || !utf8.ValidString(l.Subject) ||
		l.Kind == Receipt && (l.Card != nil || l.Subject != "" || len(l.Body) > 0) {
		return ErrForm
	}
	return nil
}

// Append appends the letter's one encoding.
func (l *Letter) Append(dst []byte) ([]byte, error) {
	if err := l.fits(); err != nil {
		return nil, fmt.Errorf("encode a letter: %w", err)
	}
	dst = append(dst, byte(l.Kind))
	dst = append(dst, l.ID[:]...)
	dst = binary.BigEndian.AppendUint64(dst, l.Number)
	dst = binary.BigEndian.AppendUint64(dst, l.Sent)
	var card []byte
	if l.Card != nil {
		card = l.Card.Append(nil)
	}
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(card))) //nolint:gosec // a card has less than 500 bytes
	dst = append(dst, card...)
	dst = append(dst, byte(len(l.Subject))) //nolint:gosec // it has MaxSubject at most
	dst = append(dst, l.Subject...)
	return append(dst, l.Body...), nil // the body ends where the letter does
}

// ParseLetter reads the one encoding of a letter. A card in it is one that its identity has
// signed, whose ever it is.
func ParseLetter(data []byte) (*Letter, error) {
	s := cryptobyte.String(data)
	l := new(Letter)
	var card, subject cryptobyte.String
	if !s.ReadUint8((*uint8)(&l.Kind)) || !s.CopyBytes(l.ID[:]) || !s.ReadUint64(&l.Number) || !s.ReadUint64(&l.Sent) ||
		!s.ReadUint16LengthPrefixed(&card) || !s.ReadUint8LengthPrefixed(&subject) {
		return nil, fmt.Errorf("read a letter: %w", ErrForm)
	}
	l.Subject, l.Body = string(subject), append([]byte(nil), s...)
	if len(card) > 0 {
		c, err := ParseCard(card)
		if err != nil {
			return nil, fmt.Errorf("read a letter: %w", err)
		}
		l.Card = c
	}
	if err := l.fits(); err != nil {
		return nil, fmt.Errorf("read a letter: %w", err)
	}
	return l, nil
}
