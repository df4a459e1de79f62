package mail

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/cryptobyte"

	"souk/identity"
)

// Limits of cards.
const (
	MaxShards = 4  // shards of one card
	MaxTags   = 16 // reply tags of one card
)

const (
	// tagCard is for cards, which are not those of members (identity.TagCard).
	tagCard identity.Tag = "souk/mail/card/v1"
	// cardPrefix begins a card's text.
	cardPrefix = "soukmail1:"
	// maxCardText bounds what is read as one.
	maxCardText = 4 << 10
)

// Card is what somebody gives to those who may write to him. It says nothing of where he is.
type Card struct {
	Identity identity.PublicKey
	Key      PublicKey
	Shards   []uint8 // which his mail may take, ascending, one at least
	Bucket   uint8   // where first letters to him go
	Tags     []Tag   // reply tags: each is for one first letter, which then goes to no bucket
	Made     uint64  // ms; of two cards of one identity the later counts
	Until    Hour    // nobody writes to it from then on
	Sig      identity.Signature
}

// SignCard fills in the identity and signs.
func SignCard(c *Card, key identity.PrivateKey) {
	c.Identity = key.Public()
	c.Sig = key.Sign(tagCard, c.body(nil))
}

// Append appends the card's one encoding.
func (c *Card) Append(dst []byte) []byte { return append(c.body(dst), c.Sig[:]...) }

func (c *Card) body(dst []byte) []byte {
	dst = append(dst, version)
	dst = append(dst, c.Identity[:]...)
	dst = append(dst, c.Key[:]...)
	dst = append(dst, byte(len(c.Shards))) //nolint:gosec // nobody reads a card with more than MaxShards
	dst = append(dst, c.Shards...)
	dst = append(dst, c.Bucket, byte(len(c.Tags))) //nolint:gosec // nor one with more than MaxTags
	for _, tag := range c.Tags {
		dst = append(dst, tag[:]...)
	}
	dst = binary.BigEndian.AppendUint64(dst, c.Made)
	return binary.BigEndian.AppendUint32(dst, uint32(c.Until))
}

// ParseCard reads the one encoding of a card that its identity has signed. Whether it is
// still good, by Until, is for the caller to ask.
func ParseCard(data []byte) (*Card, error) {
	c, ok := readCard(data)
	if !ok {
		return nil, fmt.Errorf("read a card: %w", ErrForm)
	}
	if err := c.Identity.Check(); err != nil {
		return nil, fmt.Errorf("read a card: %w", err)
	}
	if err := c.Key.Check(); err != nil {
		return nil, fmt.Errorf("read a card: %w", err)
	}
	if !c.Identity.Verify(tagCard, data[:len(data)-len(c.Sig)], c.Sig) {
		return nil, fmt.Errorf("read a card: %w", ErrSignature)
	}
	return c, nil
}

func readCard(data []byte) (*Card, bool) {
	s := cryptobyte.String(data)
	c := new(Card)
	var v, count uint8
	var shards cryptobyte.String
	if !s.ReadUint8(&v) || v != version || !s.CopyBytes(c.Identity[:]) || !s.CopyBytes(c.Key[:]) ||
		!s.ReadUint8LengthPrefixed(&shards) || !s.ReadUint8(&c.Bucket) || !s.ReadUint8(&count) || count > MaxTags {
		return nil, false
	}
	c.Shards = slices.Clone([]uint8(shards))
	if !shardsFit(c.Shards) {
		return nil, false
	}
	for range count {
		var tag Tag
		if !s.CopyBytes(tag[:]) || len(c.Tags) > 0 && string(c.Tags[len(c.Tags)-1][:]) >= string(tag[:]) {
			return nil, false
		}
		c.Tags = append(c.Tags, tag)
	}
	ok := s.ReadUint64(&c.Made) && s.ReadUint32((*uint32)(&c.Until)) && s.CopyBytes(c.Sig[:]) && len(s) == 0
	return c, ok
}

// shardsFit tells whether shards are those of a card.
func shardsFit(shards []uint8) bool {
	if len(shards) == 0 || len(shards) > MaxShards {
		return false
	}
	for i, shard := range shards {
		if shard >= Shards || i > 0 && shards[i-1] >= shard {
			return false
		}
	}
	return true
}

// String is the card as one line of text, to be copied.
func (c *Card) String() string {
	return cardPrefix + base64.RawURLEncoding.EncodeToString(c.Append(nil))
}

// ParseCardText reads a card's text. Spaces and line ends in it, as mail and chat programs
// put them there, do no harm.
func ParseCardText(text string) (*Card, error) {
	if len(text) > maxCardText {
		return nil, fmt.Errorf("read a card: %w", ErrTooLong)
	}
	body, ok := strings.CutPrefix(strings.Join(strings.Fields(text), ""), cardPrefix)
	if !ok {
		return nil, fmt.Errorf("read a card: the text does not begin with %q: %w", cardPrefix, ErrForm)
	}
	data, err := base64.RawURLEncoding.Strict().DecodeString(body)
	if err != nil {
		return nil, fmt.Errorf("read a card: %w", ErrForm)
	}
	return ParseCard(data)
}

// SortTags brings reply tags into the order of cards.
func SortTags(tags []Tag) {
	slices.SortFunc(tags, func(a, b Tag) int { return strings.Compare(string(a[:]), string(b[:])) })
}
