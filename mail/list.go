package mail

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
)

// MaxList is the most bytes of a list's name.
const MaxList = 256

// List is mail to all who know a name. Whoever can form the name can read and write; for
// everybody else its posts are letters like others, except that those which expire in the
// same hour have the same tag.
type List struct {
	secret [32]byte
	reader Reader // stands for all readers in what is signed
}

// NewList returns the list with a name.
func NewList(name string) (*List, error) {
	if name == "" || len(name) > MaxList {
		return nil, fmt.Errorf("name of a list: %w", ErrTooLong)
	}
	l := new(List)
	copy(l.secret[:], derive([]byte(name), nil, "souk/mail/list/v1", 32))
	copy(l.reader.Key[:], derive(l.secret[:], nil, "souk/mail/list-reader/v1", 32))
	return l, nil
}

// MarketList is the name of the list for those who would move an asset between two virtual
// servers, whichever is named first. The asset is written as both know it.
func MarketList(asset string, a, b [32]byte) string {
	if bytes.Compare(a[:], b[:]) > 0 {
		a, b = b, a
	}
	return "souk/market/v1/" + asset + "/" + hex.EncodeToString(a[:]) + "/" + hex.EncodeToString(b[:])
}

// Shard is the one that posts to the list take.
func (l *List) Shard() uint8 {
	return derive(l.secret[:], nil, "souk/mail/list-shard/v1", 1)[0] % Shards
}

// Tag is that of posts which expire in an hour.
func (l *List) Tag(expiry Hour) Tag {
	h := hmac.New(sha256.New, l.secret[:])
	h.Write(binary.BigEndian.AppendUint32(nil, uint32(expiry)))
	return Tag(h.Sum(nil)[:16])
}

// Post closes a letter for all who know the list's name. See Seal.
func (l *List) Post(random io.Reader, from *Writer, expiry Hour, letter *Letter) ([]byte, error) {
	// The key opens nothing, but an envelope without one would be known for a post.
	ephemeral, err := GenerateKey(random)
	if err != nil {
		return nil, err
	}
	at := Address{Kind: Tagged, Shard: l.Shard(), Tag: l.Tag(expiry)}
	return seal(ephemeral.Public(), from, l.reader, at, expiry, letter, l.secret[:], l.secret[:])
}

// Open opens a post. See the function Open.
func (l *List) Open(e *Envelope) (*Opened, error) {
	i, err := unwrap(l.secret[:], l.reader.Key, e)
	if err != nil {
		return nil, err
	}
	return i.open(l.secret[:], l.reader, e)
}
