package courier

import (
	"errors"
	"fmt"
	"io"

	"souk/identity"
	"souk/mail"
	"souk/store/sealed"
)

// kindMail is the kind of sealed file that holds a mailbox's keys.
const kindMail = "mailbox keys"

// errKeys is returned for a sealed file that does not hold a mailbox's keys.
var errKeys = errors.New("not the keys of a mailbox")

// MailKeys are the secrets of one mailbox: who writes, what opens letters to it, and what
// its records on disk are encrypted with.
type MailKeys struct {
	mail.Writer
	disk [32]byte
}

// NewMailKeys draws keys.
func NewMailKeys(random io.Reader) (*MailKeys, error) {
	var seeds [96]byte
	defer clear(seeds[:])
	if _, err := io.ReadFull(random, seeds[:]); err != nil {
		return nil, fmt.Errorf("read randomness for keys: %w", err)
	}
	return mailKeys(seeds[:]), nil
}

func mailKeys(seeds []byte) *MailKeys {
	return &MailKeys{
		Writer: mail.Writer{Identity: identity.NewKey([32]byte(seeds)), Key: mail.NewKey([32]byte(seeds[32:]))},
		disk:   [32]byte(seeds[64:]),
	}
}

// SealMailKeys writes keys to a new file that only the passphrase opens (D-24). See sealed.Write.
func SealMailKeys(path string, k *MailKeys, pass sealed.Passphrase, work int) error {
	id, key := k.Identity.Seed(), k.Key.Seed()
	var seeds [96]byte
	defer clear(seeds[:])
	copy(seeds[:], id[:])
	copy(seeds[32:], key[:])
	copy(seeds[64:], k.disk[:])
	clear(id[:])
	clear(key[:])
	return sealed.Write(path, kindMail, seeds[:], pass, work)
}

// OpenMailKeys reads what SealMailKeys wrote.
func OpenMailKeys(path string, pass sealed.Passphrase) (*MailKeys, error) {
	seeds, err := sealed.Read(path, kindMail, pass)
	if err != nil {
		return nil, err
	}
	defer clear(seeds)
	if len(seeds) != 96 {
		return nil, fmt.Errorf("open %s: %w", path, errKeys)
	}
	return mailKeys(seeds), nil
}
