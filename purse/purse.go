// Package purse owns the user's side: the words that make his keys, or one key
// without words, sealed on his own disk; which virtual server he trades on, and
// for which account. The words never leave this package except to be shown once to
// their owner. It does not talk to servers.
//
// Floor 3.
package purse

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/pelletier/go-toml/v2"

	"souk/exchange"
	"souk/identity"
	"souk/store/sealed"
)

// Errors.
var (
	// ErrExists is returned by Create for a folder that has a purse in it.
	ErrExists = errors.New("there is a purse already; name another folder with --purse")
	// ErrNone is returned for a folder without a purse.
	ErrNone = errors.New("no purse here; make one with: souk account new")
)

// Kinds of sealed files.
const (
	kind    = "words"
	kindKey = "account key"
)

// Book says which virtual server the purse is for and where its servers are, and
// for which account it acts. It is no secret.
type Book struct {
	Server  string   `toml:"virtual_server,omitempty"` // id, 64 hexadecimal digits; empty: not pinned yet
	Servers []string `toml:"servers,omitempty"`        // base URLs
	Address string   `toml:"address"`                  // of the account that the purse's own key opens
	Key     string   `toml:"key,omitempty"`            // public key; purses of old lack it
	// Account is the account that the purse's key acts for as a delegate; empty: its own.
	Account string `toml:"account,omitempty"`
	// Height is the newest block that is known to have executed a command of the
	// purse: what is older is not worth reading.
	Height uint64 `toml:"height,omitempty"`
	// Checkpoint is the newest header that was verified, for the light client.
	Checkpoint string `toml:"checkpoint,omitempty"`
	// Proven is what is proven of assets and markets, for the catalog.
	Proven []string `toml:"proven,omitempty"`
}

// ID is the virtual server's id.
func (b *Book) ID() (exchange.ID, error) {
	data, err := hex.DecodeString(b.Server)
	if err != nil || len(data) != len(exchange.ID{}) {
		return exchange.ID{}, fmt.Errorf("virtual server id %q is not 64 hexadecimal digits", b.Server)
	}
	return exchange.ID(data), nil
}

// Purse is a folder with sealed words.
type Purse string

// Default is where the purse is if the user names no folder.
func Default() (Purse, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("find the purse: %w; name a folder with --purse", err)
	}
	return Purse(filepath.Join(dir, "souk", "purse")), nil
}

func (p Purse) words() string { return filepath.Join(string(p), "words.age") }
func (p Purse) key() string   { return filepath.Join(string(p), "key.age") }
func (p Purse) book() string  { return filepath.Join(string(p), "purse.toml") }

// Exists tells whether there is a purse in the folder.
func (p Purse) Exists() bool {
	for _, path := range []string{p.words(), p.key()} {
		if _, err := os.Stat(path); err == nil {
			return true
		}
	}
	return false
}

// Create seals words in a new purse.
func (p Purse) Create(words identity.Words, b Book, pass sealed.Passphrase, work int) (identity.Address, error) {
	key, err := words.Key("", 0, 0)
	if err != nil {
		return identity.Address{}, err
	}
	defer key.Wipe()
	return p.create(key, b, func() error { return sealed.Write(p.words(), kind, []byte(words.Reveal()), pass, work) })
}

// Import seals a key without words in a new purse.
func (p Purse) Import(key identity.PrivateKey, b Book, pass sealed.Passphrase, work int) (identity.Address, error) {
	return p.create(key, b, func() error {
		seed := key.Seed()
		defer clear(seed[:])
		return sealed.Write(p.key(), kindKey, seed[:], pass, work)
	})
}

func (p Purse) create(key identity.PrivateKey, b Book, seal func() error) (identity.Address, error) {
	if p.Exists() {
		return identity.Address{}, fmt.Errorf("%s: %w", p, ErrExists)
	}
	address := identity.AddressOf(key.Public())
	b.Address, b.Key = address.String(), key.Public().String()
	if err := seal(); err != nil {
		return identity.Address{}, err
	}
	return address, p.Save(b)
}

// Generate makes new words: 12 or 24.
func Generate(random io.Reader, count int) (identity.Words, error) {
	return identity.GenerateWords(random, count)
}

// Words opens the purse's words.
func (p Purse) Words(pass sealed.Passphrase) (identity.Words, error) {
	if _, err := os.Stat(p.words()); err != nil {
		return identity.Words{}, fmt.Errorf("%s: %w", p, ErrNone)
	}
	text, err := sealed.Read(p.words(), kind, pass)
	if err != nil {
		return identity.Words{}, err
	}
	defer clear(text)
	return identity.ParseWords(string(text))
}

// Key opens the purse's key: that of its words, or the one that was imported.
func (p Purse) Key(pass sealed.Passphrase) (identity.PrivateKey, error) {
	if _, err := os.Stat(p.key()); err == nil {
		seed, err := sealed.Read(p.key(), kindKey, pass)
		if err != nil {
			return identity.PrivateKey{}, err
		}
		defer clear(seed)
		if len(seed) != 32 {
			return identity.PrivateKey{}, fmt.Errorf("read %s: %d bytes are no key", p.key(), len(seed))
		}
		return identity.NewKey([32]byte(seed)), nil
	}
	words, err := p.Words(pass)
	if err != nil {
		return identity.PrivateKey{}, err
	}
	defer words.Wipe()
	return words.Key("", 0, 0)
}

// Book reads what is no secret.
func (p Purse) Book() (Book, error) {
	data, err := os.ReadFile(p.book())
	if err != nil {
		return Book{}, fmt.Errorf("%s: %w", p, ErrNone)
	}
	var b Book
	if err := toml.Unmarshal(data, &b); err != nil {
		return b, fmt.Errorf("read %s: %w", p.book(), err)
	}
	return b, nil
}

// Save writes the book.
func (p Purse) Save(b Book) error {
	data, err := toml.Marshal(b)
	if err != nil {
		return fmt.Errorf("write purse: %w", err)
	}
	f, err := os.CreateTemp(string(p), ".purse-*") // another souk may write too
	if err != nil {
		return fmt.Errorf("write purse: %w", err)
	}
	defer os.Remove(f.Name()) //nolint:errcheck // gone after the rename, or of no use
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), p.book())
	}
	if err != nil {
		return fmt.Errorf("write purse: %w", err)
	}
	return nil
}
