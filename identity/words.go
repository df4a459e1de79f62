package identity

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/tyler-smith/go-bip39"
)

// Errors of words.
var (
	// ErrWords is returned for text that is not 12 or 24 words of the English list
	// of BIP-39 with the right checksum. What is wrong is said without the words.
	ErrWords = errors.New("these are not the words of a key")
	// ErrPassphrase is returned for a passphrase with other characters than
	// printable ASCII. BIP-39 allows all of Unicode, but after a normalisation that
	// programs disagree about: an account could be lost to a wrong accent.
	ErrPassphrase = errors.New("passphrase has characters other than printable ASCII")
)

// Words are the 12 or 24 words (BIP-39, English) from which a person's keys are
// derived. Printing them shows nothing of them; Reveal does. Copies share their
// memory, so Wipe wipes them all. The zero Words are none.
type Words struct {
	secret func() *entropy // see hide
}

// entropy is what the words encode: the first size bytes.
type entropy struct {
	bytes [32]byte
	size  int
}

// GenerateWords makes words from randomness: count is 12 or 24, else the error is
// ErrWords.
func GenerateWords(random io.Reader, count int) (Words, error) {
	if count != 12 && count != 24 {
		return Words{}, fmt.Errorf("%d words instead of 12 or 24: %w", count, ErrWords)
	}
	e := &entropy{size: count / 3 * 4}
	if _, err := io.ReadFull(random, e.bytes[:e.size]); err != nil {
		return Words{}, fmt.Errorf("read randomness for words: %w", err)
	}
	return Words{hide(e)}, nil
}

// ParseWords reads words as a person types them: any case, any space between them.
func ParseWords(text string) (Words, error) {
	words := strings.Fields(strings.ToLower(text))
	if len(words) != 12 && len(words) != 24 {
		return Words{}, fmt.Errorf("%d words instead of 12 or 24: %w", len(words), ErrWords)
	}
	for i, word := range words {
		if _, ok := bip39.GetWordIndex(word); !ok {
			return Words{}, fmt.Errorf("word %d is not in the list: %w", i+1, ErrWords)
		}
	}
	b, err := bip39.EntropyFromMnemonic(strings.Join(words, " "))
	if err != nil { // its text may hold words
		return Words{}, fmt.Errorf("the checksum is wrong, so a word is: %w", ErrWords)
	}
	e := &entropy{size: len(b)}
	copy(e.bytes[:], b)
	clear(b)
	return Words{hide(e)}, nil
}

// IsZero tells whether w holds no words: the zero value, or wiped.
func (w Words) IsZero() bool { return w.secret == nil || w.secret().size == 0 }

// Reveal returns the words themselves, lower case with single spaces. It panics if
// there are none.
func (w Words) Reveal() string {
	if w.IsZero() {
		panic("identity: use of words that are zero or wiped") //nolint:forbidigo // caller's invariant
	}
	e := w.secret()
	s, err := bip39.NewMnemonic(e.bytes[:e.size])
	if err != nil {
		panic(err) //nolint:forbidigo // 16 or 32 bytes always make words
	}
	return s
}

// Seed returns the 64 bytes that BIP-39 derives from the words and a passphrase,
// which may be empty. It takes a millisecond by design.
func (w Words) Seed(passphrase string) ([]byte, error) {
	for i := range len(passphrase) {
		if c := passphrase[i]; c < ' ' || c > '~' {
			return nil, ErrPassphrase
		}
	}
	return bip39.NewSeed(w.Reveal(), passphrase), nil
}

// Path of the keys of an account: m / 44' / 1936684395' / account' / key'. The
// second number is "souk" in ASCII, in place of a registered coin type.
const (
	pathPurpose = 44
	pathCoin    = 0x736f756b
)

// Key returns a key of an account: both count from zero. Key 0 is the owner with
// which the account is opened; the ones after it are for rotation and delegates.
// The error is ErrPassphrase or ErrPath.
func (w Words) Key(passphrase string, account, key uint32) (PrivateKey, error) {
	seed, err := w.Seed(passphrase)
	if err != nil {
		return PrivateKey{}, err
	}
	defer clear(seed)
	return Derive(seed, pathPurpose, pathCoin, account, key)
}

// Wipe overwrites the words and all copies of them with zeros. Strings that Reveal
// returned stay in memory until they are collected.
func (w Words) Wipe() {
	if w.secret != nil {
		*w.secret() = entropy{}
	}
}

// String returns "[redacted]".
func (w Words) String() string { return redacted }

// GoString returns "[redacted]".
func (w Words) GoString() string { return redacted }

// Format writes "[redacted]" for every verb.
func (w Words) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalText returns "[redacted]".
func (w Words) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// UnmarshalText always fails: words are read by ParseWords, by intent only.
func (w *Words) UnmarshalText([]byte) error { return errPlain }
