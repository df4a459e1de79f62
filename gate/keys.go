package gate

import (
	"cmp"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pelletier/go-toml/v2"

	"souk/exchange/market"
	"souk/identity"
	"souk/web/binance"
)

// Kinds of clients' keys, as they are written.
const (
	KindHMAC    = "hmac"
	KindEd25519 = "ed25519"
)

// ClientKey is a key of a program that the gate serves, as its file has it. It is no
// secret (J-3).
type ClientKey struct {
	ID      string   `toml:"id" json:"id"` // what the program sends; 64 hexadecimal digits
	Name    string   `toml:"name,omitempty" json:"name,omitempty"`
	Kind    string   `toml:"kind" json:"kind"`
	Public  string   `toml:"public,omitempty" json:"public,omitempty"` // of Ed25519, hexadecimal
	Scopes  []string `toml:"scopes" json:"scopes"`
	Markets []Named  `toml:"markets,omitempty" json:"markets,omitempty"` // empty: all
	Made    uint64   `toml:"made" json:"made"`                           // ms
	Expires uint64   `toml:"expires,omitempty" json:"expires,omitempty"` // ms; zero: never
	Weight  int      `toml:"weight,omitempty" json:"weight,omitempty"`   // of requests per minute; zero: the default
	Orders  int      `toml:"orders,omitempty" json:"orders,omitempty"`   // per ten seconds; zero: the default
}

// Named is a market that a key may trade in.
type Named struct {
	ID   market.ID `toml:"id" json:"id"`
	Name string    `toml:"name" json:"name"`
}

// Errors of clients' keys.
var (
	// ErrNoKey is returned for an id that no key has.
	ErrNoKey = errors.New("there is no such key: souk key list shows those that there are")
	// ErrManyKeys is returned for a name, or the beginning of an id, that several keys have.
	ErrManyKeys = errors.New("several keys are called so: say which one with its id, as souk key list shows it")
	// ErrKey is returned for a key that makes no sense.
	ErrKey = errors.New("that is no key for a program")
)

// scopeNames are the scopes of clients' keys, as they are written.
var scopeNames = map[string]binance.Scope{"read": binance.Read, "trade": binance.Trade, "withdraw": binance.Withdraw}

const (
	idBytes = 32
	// lookEvery is how often the folder of keys is looked at, at most.
	lookEvery = 200 * time.Millisecond
	// lookAtFiles is how often its files are.
	lookAtFiles = 2 * time.Second
	// hmacInfo keeps derived secrets apart from whatever else may be derived from the key.
	hmacInfo = "souk/gate/hmac/v1 "
)

// HMACSecret is the secret of a client's HMAC key: derived from the gate's own key, so
// that no file has it.
func HMACSecret(own identity.PrivateKey, id string) (string, error) {
	seed := own.Seed()
	defer clear(seed[:])
	secret, err := hkdf.Key(sha256.New, seed[:], nil, hmacInfo+id, sha256.Size)
	if err != nil {
		return "", fmt.Errorf("derive the secret: %w", err)
	}
	return hex.EncodeToString(secret), nil
}

// NewEd25519 makes a key pair: the private half as PEM with line feeds, which clients
// take for what it is by its length, and the public half.
func NewEd25519() (private string, public ed25519.PublicKey, err error) {
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", nil, fmt.Errorf("make a key: %w", err)
	}
	data, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", nil, fmt.Errorf("make a key: %w", err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: data})), public, nil
}

// PublicPEM is the public half of an Ed25519 key, as PEM.
func PublicPEM(public ed25519.PublicKey) (string, error) {
	data, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return "", fmt.Errorf("write a public key: %w", err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: data})), nil
}

// ParsePublicPEM reads the public half of an Ed25519 key.
func ParsePublicPEM(text []byte) (ed25519.PublicKey, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "PUBLIC KEY" {
		return nil, fmt.Errorf("%w: it is not a PUBLIC KEY in PEM", ErrKey)
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	public, ok := key.(ed25519.PublicKey)
	if err != nil || !ok {
		return nil, fmt.Errorf("%w: it is not an Ed25519 key", ErrKey)
	}
	return public, nil
}

// Add gives a key an id and writes it into a folder of keys.
func (k *ClientKey) Add(dir string, now time.Time) error {
	id := make([]byte, idBytes)
	if _, err := rand.Read(id); err != nil {
		return fmt.Errorf("make a key: %w", err)
	}
	k.ID, k.Made = hex.EncodeToString(id), uint64(now.UnixMilli())
	if _, err := k.value(nil, nil); err != nil {
		return err
	}
	data, err := toml.Marshal(k)
	if err != nil {
		return fmt.Errorf("write a key: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("write a key: %w", err)
	}
	return writeFile(filepath.Join(dir, k.ID+keyFileEnd), data)
}

const keyFileEnd = ".toml"

// writeFile makes a file appear whole, for its owner only, durably.
func writeFile(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(path), err)
	}
	defer os.Remove(f.Name()) //nolint:errcheck // gone after the rename, or of no use
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(path), err)
	}
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(path), err)
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// ClientKeys are the keys in a folder, the oldest first. A file that is no key is left out;
// the error names it.
func ClientKeys(dir string) ([]ClientKey, error) {
	list, bad, err := readKeys(dir)
	return list, errors.Join(err, bad)
}

// readKeys reads the keys in a folder. bad is what is wrong with single files: it must not keep
// other keys from being taken back.
func readKeys(dir string) (list []ClientKey, bad, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("read the keys of programs: %w", err)
	}
	list = []ClientKey{}
	for _, e := range entries {
		id, ok := strings.CutSuffix(e.Name(), keyFileEnd)
		if !ok || strings.HasPrefix(id, ".") {
			continue
		}
		k, err := readKey(filepath.Join(dir, e.Name()))
		switch {
		case errors.Is(err, fs.ErrNotExist): // taken back meanwhile
			continue
		case err == nil && k.ID != id:
			err = fmt.Errorf("%w: it is the file of another one", ErrKey)
		}
		if err != nil {
			bad = errors.Join(bad, fmt.Errorf("read %s: %w", e.Name(), err))
			continue
		}
		list = append(list, k)
	}
	slices.SortStableFunc(list, func(a, b ClientKey) int { return cmp.Compare(a.Made, b.Made) })
	return list, bad, nil
}

func readKey(path string) (k ClientKey, err error) {
	data, err := os.ReadFile(path)
	if err == nil {
		err = toml.Unmarshal(data, &k)
	}
	return k, err
}

// RevokeClientKey takes a key back that an id, the beginning of one, or a name names.
func RevokeClientKey(dir, which string) (ClientKey, error) {
	list, _, err := readKeys(dir) // what is no key has nothing to be taken back
	if err != nil {
		return ClientKey{}, err
	}
	var found []ClientKey
	for _, k := range list {
		if k.ID == which || k.Name == which && which != "" || len(which) >= 4 && strings.HasPrefix(k.ID, which) {
			found = append(found, k)
		}
	}
	if len(found) == 0 {
		return ClientKey{}, ErrNoKey
	}
	if len(found) > 1 {
		return ClientKey{}, ErrManyKeys
	}
	if err := os.Remove(filepath.Join(dir, found[0].ID+keyFileEnd)); err != nil {
		return ClientKey{}, fmt.Errorf("take a key back: %w", err)
	}
	return found[0], nil
}

// value is the key as web/binance has it. Without a secret it only checks.
func (k *ClientKey) value(account binance.Account, secret func(id string) (string, error)) (*binance.Key, error) {
	v := &binance.Key{ID: k.ID, Account: account, Expiry: k.Expires, Limits: binance.Limits{Weight: k.Weight, Orders: k.Orders}}
	for _, s := range k.Scopes {
		bit, ok := scopeNames[s]
		if !ok {
			return nil, fmt.Errorf("%w: scope %q: use some of read, trade, withdraw", ErrKey, s)
		}
		v.Scopes |= bit
	}
	if v.Scopes == 0 {
		return nil, fmt.Errorf("%w: it has no scope", ErrKey)
	}
	for _, m := range k.Markets {
		v.Markets = append(v.Markets, m.ID)
	}
	switch k.Kind {
	case KindHMAC:
		v.Kind = binance.HMAC
		if secret != nil {
			text, err := secret(k.ID)
			if err != nil {
				return nil, err
			}
			v.Secret = []byte(text)
		}
	case KindEd25519:
		v.Kind = binance.Ed25519
		public, err := hex.DecodeString(k.Public)
		if err != nil || len(public) != ed25519.PublicKeySize {
			return nil, fmt.Errorf("%w: it has no public key", ErrKey)
		}
		v.Public = public
	default:
		return nil, fmt.Errorf("%w: kind %q: use %s or %s", ErrKey, k.Kind, KindEd25519, KindHMAC)
	}
	return v, nil
}

// Clients knows the keys of a folder, as they come and go. It implements binance.Keys.
type Clients struct {
	dir     string
	account binance.Account
	own     identity.PrivateKey
	fault   func(error)

	mu     sync.Mutex
	looked time.Time
	files  time.Time // when its files were looked at
	stamp  time.Time // of the folder, when it was read
	print  uint64    // of its files, when they were looked at
	keys   map[string]*binance.Key
}

var _ binance.Keys = (*Clients)(nil)

// OpenClients begins to know the keys of a folder, which act for an account. fault is told
// of a folder that cannot be read; until it can, the keys that were known before count. If it
// is gone, so are they.
func OpenClients(dir string, account binance.Account, own identity.PrivateKey, fault func(error)) (*Clients, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("folder of the keys of programs: %w", err)
	}
	c := &Clients{dir: dir, account: account, own: own, fault: fault}
	if err := c.read(); c.keys == nil {
		return nil, err
	} else if err != nil { // of single files
		fault(err)
	}
	return c, nil
}

// Key implements binance.Keys.
func (c *Clients) Key(id string) (*binance.Key, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); now.Sub(c.looked) >= lookEvery {
		c.looked = now
		c.refresh(now)
	}
	k, ok := c.keys[id]
	return k, ok
}

// refresh reads the folder again if it has changed, or did so a moment ago: two changes may
// have one time. Now and then it looks at the files too, for they may have been changed in
// their place. Under mu.
func (c *Clients) refresh(now time.Time) {
	info, err := os.Stat(c.dir)
	if errors.Is(err, fs.ErrNotExist) {
		c.keys, c.stamp = nil, time.Time{}
	}
	same := err == nil && info.ModTime().Equal(c.stamp) && now.Sub(c.stamp) > time.Second
	if same && now.Sub(c.files) < lookAtFiles {
		return
	}
	c.files = now
	seen := fingerprint(c.dir)
	if same && seen == c.print {
		return
	}
	c.print = seen
	if err = errors.Join(err, c.read()); err != nil {
		c.fault(err)
	}
}

// fingerprint differs when a file of a folder was changed.
func fingerprint(dir string) uint64 {
	h := fnv.New64a()
	entries, _ := os.ReadDir(dir) // reading it says what is wrong
	for _, e := range entries {
		if info, err := e.Info(); err == nil {
			_, _ = fmt.Fprintf(h, "%s %d %d\n", e.Name(), info.Size(), info.ModTime().UnixNano())
		}
	}
	return h.Sum64()
}

// read reads the folder. What of it is damaged is no key.
func (c *Clients) read() error {
	info, err := os.Stat(c.dir)
	if err != nil {
		return fmt.Errorf("folder of the keys of programs: %w", err)
	}
	list, bad, err := readKeys(c.dir)
	if err != nil {
		return err
	}
	keys := make(map[string]*binance.Key, len(list))
	for i := range list {
		if old := c.keys[list[i].ID]; old != nil && old.Kind == binance.HMAC && list[i].Kind == KindHMAC {
			// The secret is that of before, and need not be derived again.
			v, err := list[i].value(c.account, func(string) (string, error) { return string(old.Secret), nil })
			if err == nil {
				keys[v.ID] = v
				continue
			}
		}
		v, err := list[i].value(c.account, func(id string) (string, error) { return HMACSecret(c.own, id) })
		if err != nil {
			bad = errors.Join(bad, fmt.Errorf("key %.8s: %w", list[i].ID, err))
			continue
		}
		keys[v.ID] = v
	}
	c.stamp, c.keys = info.ModTime(), keys
	return bad
}
