// Package mail owns the rules of mail between peers (docs/spec/24-mail.md): letters that
// everybody carries and only their readers can read.
//
// A letter is sealed with its writer's signature inside, wrapped under a key used once,
// padded to one of three sizes, and marked with a tag that only its two ends can know. So a
// reader finds his own mail by one look into a table, without trying to open what is not
// his; everybody else sees neither who wrote it nor for whom it is. Who has no
// tag in common with a reader yet writes to one of 256 buckets. A stamp, work that is hard
// to do and easy to check, keeps mail from being free; after 60 hours nobody keeps it.
//
// Where to look: what goes over the network in envelope.go, the order in which it is judged
// in check.go, stamps in stamp.go, keys in key.go, cards in card.go, the tags of two people
// in pair.go, the table of tags in table.go, what is inside in letter.go, how it is closed
// and opened in seal.go, mail to all who know a name in list.go.
//
// It has no goroutine and no clock: time and randomness are arguments. Who publishes, keeps
// and fetches envelopes is courier. Floor 1: it imports identity.
package mail

import "errors"

// Bounds of the protocol.
const (
	// Retention is how long an envelope may be kept by anybody.
	Retention Hour = 60
	// Shards is into how many topics mail is divided.
	Shards = 16
	// Buckets is into how many parts first letters are divided.
	Buckets = 256
	// Window is how many letters to one reader may be on their way.
	Window = 16
)

// Errors.
var (
	// ErrForm is returned for bytes or text that are not the one encoding of anything.
	ErrForm = errors.New("malformed")
	// ErrSignature is returned for what its maker has not signed.
	ErrSignature = errors.New("the signature is wrong")
	// ErrUnreadable is returned for an envelope that these keys do not open.
	ErrUnreadable = errors.New("it is not for this key, or damaged")
	// ErrTooLong is returned for a letter, list of tags or name that does not fit.
	ErrTooLong = errors.New("too long")
	// ErrKey is returned for a public key with which no secret can be shared.
	ErrKey = errors.New("not a usable mail key")
)

// Hour counts hours since the Unix epoch. Mail knows no finer time outside of envelopes.
type Hour uint32

// msHour is an hour in milliseconds.
const msHour = 60 * 60 * 1000

// HourOf is the hour of a time in milliseconds since the Unix epoch.
func HourOf(ms uint64) Hour { return Hour(min(ms/msHour, 1<<32-1)) } //nolint:gosec // bounded

// Milliseconds is when the hour begins, since the Unix epoch.
func (h Hour) Milliseconds() uint64 { return uint64(h) * msHour }

// Tag is what an envelope is found by. It is used for one letter.
type Tag [16]byte

// ID names an envelope: the SHA-256 of all of it but its stamp.
type ID [32]byte

// LetterID names a letter. Its writer draws it; only he and the reader see it.
type LetterID [16]byte
