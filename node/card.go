package node

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"souk/consensus/comet"
	"souk/exchange"
	"souk/identity"
	"souk/store/sealed"
)

// A home has one member card, made with it, and may have further ones, each for a
// further virtual server: of the same operator and server key, with a consensus
// key, a node key and an address of its own. They are below cards, each in a folder
// that is named for its consensus key:
//
//	card, keys/*.age                          the first
//	cards/<16 digits>/card, consensus.age, node.age

// CardSetup is what NewCard makes a further card of.
type CardSetup struct {
	URL string // under which clients reach the server; empty: as on the first card
	P2P string // host:port under which the other servers of that virtual server reach it
	// Pass opens the operator's key and seals the new ones.
	Pass sealed.Passphrase
	// Work is the work factor of sealing; zero is the default.
	Work int
	Now  time.Time
}

// NewCard makes a further member card in a home, and its keys. It answers where
// the card is.
func NewCard(h Home, s CardSetup) (exchange.Card, string, error) {
	first, err := h.Card()
	if err != nil {
		return exchange.Card{}, "", fmt.Errorf("%w (make a server with souk init first)", err)
	}
	if s.URL == "" {
		s.URL = first.URL
	}
	if err := checkReach(s.URL, s.P2P); err != nil {
		return exchange.Card{}, "", err
	}
	operator, err := h.Key(RoleOperator, s.Pass)
	if err != nil {
		return exchange.Card{}, "", fmt.Errorf("a card is signed by the operator: %w", err)
	}
	defer operator.Wipe()
	keys := map[string]identity.PrivateKey{}
	for _, role := range []string{RoleConsensus, RoleNode} {
		if keys[role], err = identity.GenerateKey(rand.Reader); err != nil {
			return exchange.Card{}, "", fmt.Errorf("make keys: %w", err)
		}
		defer keys[role].Wipe()
	}
	card := exchange.Card{
		Name: first.Name, Operator: operator.Public(), Server: first.Server, Consensus: keys[RoleConsensus].Public(),
		P2P: comet.NodeID(keys[RoleNode].Public()) + "@" + s.P2P, URL: strings.TrimSuffix(s.URL, "/"),
		Made: uint64(s.Now.UnixMilli()),
	}
	if err := h.cardBankKeys(&card, s.Pass, s.Work); err != nil {
		return exchange.Card{}, "", err
	}
	if err := signCard(&card, operator); err != nil {
		return exchange.Card{}, "", err
	}
	dir := h.in(cardKeys(card.Consensus))
	for role, key := range keys {
		if err := sealKey(filepath.Join(dir, role+".age"), role, key, s.Pass, s.Work); err != nil {
			return exchange.Card{}, "", err
		}
	}
	path := filepath.Join(dir, "card")
	if err := os.WriteFile(path, []byte(card.String()+"\n"), 0o600); err != nil {
		return exchange.Card{}, "", fmt.Errorf("write card: %w", err)
	}
	return card, path, nil
}

// cardKeys is the folder of a further card's keys, relative to the home.
func cardKeys(consensus identity.PublicKey) string {
	return filepath.Join("cards", consensus.String()[:16])
}

// HomeCard is one of a home's member cards.
type HomeCard struct {
	Card exchange.Card `json:"-"`
	Text string        `json:"card"`
	File string        `json:"file"`
	Keys string        `json:"keys"` // folder of its keys, relative to the home
}

// firstKeys is the folder of the first card's keys.
const firstKeys = "keys"

// Cards are a home's member cards, the first one first.
func (h Home) Cards() ([]HomeCard, error) {
	files, err := filepath.Glob(filepath.Join(string(h), "cards", "*", "card"))
	if err != nil {
		return nil, fmt.Errorf("look for cards: %w", err)
	}
	var all []HomeCard
	for _, file := range append([]string{h.CardFile()}, files...) {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("read own card: %w", err)
		}
		card, err := exchange.ParseCardText(string(text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		keys := firstKeys
		if file != h.CardFile() {
			keys = cardKeys(card.Consensus)
		}
		all = append(all, HomeCard{Card: card, Text: card.String(), File: file, Keys: keys})
	}
	return all, nil
}

// ErrCard is returned by Join when it is not clear with which of a home's cards a
// virtual server is joined.
var ErrCard = errors.New("which card?")

// keysFor is the folder of the keys with which a home joins a virtual server: those
// of the card that is in the founding contract, or that the operator names.
func (h Home) keysFor(f *exchange.Founding, named *exchange.Card) (string, error) {
	cards, err := h.Cards()
	if err != nil {
		return "", err
	}
	if named != nil {
		for i := range cards {
			if cards[i].Card.Consensus == named.Consensus {
				return cards[i].Keys, nil
			}
		}
		return "", fmt.Errorf("%w %s has no keys for the one that you name: souk card list shows its cards", ErrCard, h)
	}
	for i := range cards {
		for j := range f.Members {
			if cards[i].Card.Consensus == f.Members[j].Consensus {
				return cards[i].Keys, nil
			}
		}
	}
	if len(cards) > 1 {
		return "", fmt.Errorf("%w None of the %d cards of %s is in the founding contract: name with --card the one that the members voted for", ErrCard, len(cards), h)
	}
	return cards[0].Keys, nil // a member that came later, by vote
}
