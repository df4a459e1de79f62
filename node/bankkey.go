package node

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"souk/exchange"
	"souk/identity"
	"souk/script"
	"souk/store/sealed"
)

// The member keys of banks. A home has one sealed seed; every network's key is derived
// from it by hardened steps, so that a key of one network tells nothing of another's,
// and so is every card's:
//
//	m / 8640' / N' / C'     N: first 31 bits of SHA-256 of the network's name
//	                        C: number of the card in the home, 0 for the first
//
// Public halves stand on the card (Y-85), where everybody sees them. The seed is
// all that a member has to keep of his keys of banks.

const (
	// bankPurpose begins the paths of member keys, recoveryPurpose those of recoveries.
	bankPurpose     = 8640
	recoveryPurpose = 8641

	bankSeedKind = "bank seed"
	bankSeedSize = 32
	// mostCards is the number of cards of a home up to which keys are looked for.
	mostCards = 256
)

// ErrBankKey is returned where a home lacks the keys for banks, or has others than its
// card says.
var ErrBankKey = errors.New("keys for banks")

// bankSeed is the path of the sealed seed of a home's keys for banks.
func (h Home) bankSeed() string { return filepath.Join(string(h), firstKeys, "bank.key") }

// HasBankKeys tells whether a home has a seed for keys of banks.
func (h Home) HasBankKeys() bool {
	_, err := os.Stat(h.bankSeed())
	return err == nil
}

// newBankSeed makes a home's seed for keys of banks. The caller wipes it.
func (h Home) newBankSeed(pass sealed.Passphrase, work int) ([]byte, error) {
	seed := make([]byte, bankSeedSize)
	if _, err := rand.Read(seed); err != nil {
		return nil, fmt.Errorf("make a seed: %w", err)
	}
	if err := sealed.Write(h.bankSeed(), bankSeedKind, seed, pass, work); err != nil {
		clear(seed)
		return nil, fmt.Errorf("seal the bank key: %w", err)
	}
	return seed, nil
}

// openBankSeed opens a home's seed for keys of banks. The caller wipes it.
func (h Home) openBankSeed(pass sealed.Passphrase) ([]byte, error) {
	seed, err := sealed.Read(h.bankSeed(), bankSeedKind, pass)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%w: %s has none: make them with souk card bank-keys, or restore %s from a backup", ErrBankKey, h, h.bankSeed())
	case err != nil:
		return nil, fmt.Errorf("open the bank key: %w", err)
	case len(seed) != bankSeedSize:
		clear(seed)
		return nil, fmt.Errorf("%w: what is sealed in %s is no seed", ErrBankKey, h.bankSeed())
	}
	return seed, nil
}

// networkIndex is a network's step in the paths of keys.
func networkIndex(network string) uint32 {
	sum := sha256.Sum256([]byte(network))
	return binary.BigEndian.Uint32(sum[:4]) >> 1
}

// bankKey derives a card's key for a network.
func bankKey(seed []byte, network string, card uint32) (script.PrivateMemberKey, error) {
	k, err := script.NewPrivateMemberKey(seed, script.Hardened+bankPurpose, script.Hardened+networkIndex(network), script.Hardened+card)
	if err != nil {
		return k, fmt.Errorf("derive the key for %s: %w", network, err)
	}
	return k, nil
}

// addBankKeys puts a home's keys with a number on a card, one for each network, with
// the proofs that they are this member's. The card's operator and server key are set.
func addBankKeys(c *exchange.Card, seed []byte, number uint32) (err error) {
	c.Banks, err = provenKeys(c.Claim, func(n *script.Network) (script.PrivateMemberKey, error) { return bankKey(seed, n.Name, number) })
	return err
}

// provenKeys are the public halves of the private keys that derive makes, one for each
// network, ascending by its name, each with the proof of its claim.
func provenKeys(claim func(network string) script.Claim, derive func(*script.Network) (script.PrivateMemberKey, error)) ([]exchange.BankKey, error) {
	var all []exchange.BankKey
	for _, n := range script.Networks() {
		k, err := derive(n)
		if err != nil {
			return nil, err
		}
		proven, err := exchange.ProveBankKey(claim(n.Name), k)
		k.Wipe()
		if err != nil {
			return nil, err
		}
		all = append(all, proven)
	}
	slices.SortFunc(all, func(a, b exchange.BankKey) int { return strings.Compare(a.Network, b.Network) })
	return all, nil
}

// proveAgain makes the proofs of a card's keys for banks anew, for another server key.
// The keys stay what they are.
func (h Home) proveAgain(c *exchange.Card, pass sealed.Passphrase) error {
	if len(c.Banks) == 0 {
		return nil
	}
	seed, err := h.openBankSeed(pass)
	if err != nil {
		return err
	}
	defer clear(seed)
	number, err := cardNumber(seed, c)
	if err != nil {
		return err
	}
	return addBankKeys(c, seed, number)
}

// cardNumber is the number of the card whose keys for banks a card shows.
func cardNumber(seed []byte, card *exchange.Card) (uint32, error) {
	if len(card.Banks) == 0 {
		return 0, fmt.Errorf("%w: the card of %s has none: add them with souk card bank-keys", ErrBankKey, card.Name)
	}
	want := &card.Banks[0]
	for n := range uint32(mostCards) {
		k, err := bankKey(seed, want.Network, n)
		if err != nil {
			return 0, err
		}
		same := k.Public() == want.Key
		k.Wipe()
		if same {
			return n, nil
		}
	}
	return 0, fmt.Errorf("%w: those on the card of %s are not made from this home's seed: take keys/bank.key from the backup of the home that the card was made in", ErrBankKey, card.Name)
}

// freeCardNumber is the lowest number that none of a home's cards has.
func freeCardNumber(seed []byte, cards []HomeCard) (uint32, error) {
	var next uint32
	for i := range cards {
		if len(cards[i].Card.Banks) == 0 {
			continue
		}
		n, err := cardNumber(seed, &cards[i].Card)
		if err != nil {
			return 0, err
		}
		next = max(next, n+1)
	}
	if next >= mostCards {
		return 0, fmt.Errorf("%w: a home has keys for %d cards", ErrBankKey, mostCards)
	}
	return next, nil
}

// bankKeys are the private keys for networks of the card that keys is the folder of.
// The caller wipes them.
func (h Home) bankKeys(keys string, networks []string, pass sealed.Passphrase) (map[string]script.PrivateMemberKey, error) {
	cards, err := h.Cards()
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(cards, func(c HomeCard) bool { return filepath.Clean(c.Keys) == filepath.Clean(keys) })
	if i < 0 {
		return nil, fmt.Errorf("%w: the keys in %s belong to no card of %s", ErrBankKey, keys, h)
	}
	seed, err := h.openBankSeed(pass)
	if err != nil {
		return nil, err
	}
	defer clear(seed)
	number, err := cardNumber(seed, &cards[i].Card)
	if err != nil {
		return nil, err
	}
	all := map[string]script.PrivateMemberKey{}
	for _, n := range networks {
		k, err := bankKey(seed, n, number)
		if err != nil {
			for _, k := range all {
				k.Wipe()
			}
			return nil, err
		}
		all[n] = k
	}
	return all, nil
}

// cardBankKeys puts keys on a further card of a home, and makes its seed if it has
// none yet.
func (h Home) cardBankKeys(c *exchange.Card, pass sealed.Passphrase, work int) error {
	cards, err := h.Cards()
	if err != nil {
		return err
	}
	open := h.openBankSeed
	if !h.HasBankKeys() {
		open = func(pass sealed.Passphrase) ([]byte, error) { return h.newBankSeed(pass, work) }
	}
	seed, err := open(pass)
	if err != nil {
		return err
	}
	defer clear(seed)
	number, err := freeCardNumber(seed, cards)
	if err != nil {
		return err
	}
	return addBankKeys(c, seed, number)
}

// BankKeySetup is what AddBankKeys needs.
type BankKeySetup struct {
	Pass sealed.Passphrase // opens the operator's key and seals the seed
	Work int               // of sealing; zero is the default
	Now  time.Time
}

// AddBankKeys makes the seed of a home that was made without keys for banks, if there is
// none, and signs those of its cards again that lack them. It answers all cards.
func (h Home) AddBankKeys(s BankKeySetup) ([]HomeCard, error) {
	cards, err := h.Cards()
	if err != nil {
		return nil, fmt.Errorf("%w (make a server with souk init first)", err)
	}
	if !slices.ContainsFunc(cards, func(c HomeCard) bool { return len(c.Card.Banks) == 0 }) && h.HasBankKeys() {
		return nil, fmt.Errorf("%w: %s and its cards have them already; souk card show shows them", ErrBankKey, h)
	}
	operator, err := h.Key(RoleOperator, s.Pass)
	if err != nil {
		return nil, fmt.Errorf("a card is signed by the operator: %w", err)
	}
	defer operator.Wipe()
	var seed []byte
	if h.HasBankKeys() {
		seed, err = h.openBankSeed(s.Pass)
	} else {
		seed, err = h.newBankSeed(s.Pass, s.Work)
	}
	if err != nil {
		return nil, err
	}
	defer clear(seed)
	for i := range cards {
		c := &cards[i]
		if len(c.Card.Banks) > 0 {
			continue
		}
		number, err := freeCardNumber(seed, cards)
		if err != nil {
			return nil, err
		}
		if err := addBankKeys(&c.Card, seed, number); err != nil {
			return nil, err
		}
		c.Card.Made = uint64(s.Now.UnixMilli())
		if err := signCard(&c.Card, operator); err != nil {
			return nil, err
		}
		c.Text = c.Card.String()
		if err := replaceFile(c.File, []byte(c.Text+"\n")); err != nil {
			return nil, err
		}
	}
	return cards, nil
}

// signCard signs a card that is to be valid then.
func signCard(c *exchange.Card, operator identity.PrivateKey) error {
	if operator.Public() != c.Operator && (c.Operator != identity.PublicKey{}) {
		return fmt.Errorf("%w: the operator's key in this home is not the one that the card of %s is signed with", exchange.ErrCard, c.Name)
	}
	c.Sign(operator)
	return c.Check()
}
