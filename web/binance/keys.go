package binance

import (
	"crypto/ed25519"
	"slices"

	"souk/exchange/market"
)

// KeyKind says how requests are signed with a key.
type KeyKind uint8

// Kinds of keys.
const (
	HMAC    KeyKind = 1 // HMAC-SHA256 with a secret that both sides have
	Ed25519 KeyKind = 2 // with a key of which only the client has the private half
)

// Scope is what a key may do, as a set of bits.
type Scope uint8

// Scopes. Every key that is known may follow its account's stream.
const (
	Read     Scope = 1 << iota // see the account, its orders and fills
	Trade                      // place and cancel orders
	Withdraw                   // have coins paid out; nothing of this package does that
)

// Key is an API key of a client.
type Key struct {
	ID      string // what the client sends as X-MBX-APIKEY
	Kind    KeyKind
	Secret  []byte            // of HMAC
	Public  ed25519.PublicKey // of Ed25519
	Account Account           // whom requests with the key act for
	Scopes  Scope
	Markets []market.ID // in which it may trade; empty: in all
	Expiry  uint64      // ms from which it is void; zero: never
	Limits  Limits      // of this key; zero fields are the defaults of Config
}

// Limits is how much may be asked for in a time (N-50).
type Limits struct {
	Weight  int // of requests per minute
	Orders  int // per ten seconds
	PerDay  int // orders per day
	Sockets int // connections at once
}

// Keys knows the API keys of clients. It is asked for every request, so it answers from
// memory; a key that is changed or taken back counts from then on, also for streams that
// are open.
type Keys interface {
	// Key is the key with an id; false if there is none.
	Key(id string) (*Key, bool)
}

// may tells whether the key allows all of a set of scopes.
func (k *Key) may(s Scope) bool { return k.Scopes&s == s }

// in tells whether the key may trade in a market.
func (k *Key) in(m market.ID) bool { return len(k.Markets) == 0 || slices.Contains(k.Markets, m) }

// expired tells whether the key is void at a time.
func (k *Key) expired(now uint64) bool { return k.Expiry != 0 && now >= k.Expiry }
