package node

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"souk/exchange"
	"souk/identity"
	"souk/internal/ports"
	"souk/store/sealed"
)

// PracticeTerms are a virtual server with two markets in play money that issuer mints.
func PracticeTerms(name string, issuer identity.Address) Terms {
	promise := "Play money for practice. It is worth nothing and can be redeemed for nothing."
	t := Terms{Name: name, Profile: "lan", Reserved: []string{"ETH", "NMC"}}
	for _, s := range []string{"BTC", "EUR", "LTC"} {
		t.Assets = append(t.Assets, AssetTerms{Symbol: s, Decimals: 8, Issuer: issuer.String(), Contract: promise})
	}
	t.Markets = []MarketTerms{
		{Base: "BTC", Quote: "EUR", Tick: "0.01", Lot: "0.0001", MinNotional: "0.01", Reference: "50000", MakerPPM: 1000, TakerPPM: 2000, ReservePPM: 100_000},
		{Base: "LTC", Quote: "BTC", Tick: "0.0000001", Lot: "0.001", MinNotional: "0.00001", Reference: "0.0015", MakerPPM: 1000, TakerPPM: 2000, ReservePPM: 100_000},
	}
	return t
}

// keep makes banks keep the coins of assets, which nobody issues then.
func (t *Terms) keep(banks []BankTerms) {
	t.Banks = banks
	for i := range banks {
		a := AssetTerms{Symbol: banks[i].Asset, Decimals: 8, Contract: "Coins on the chain " + banks[i].Network + ", kept by the members of this virtual server together."}
		t.Reserved = slices.DeleteFunc(t.Reserved, func(s string) bool { return s == a.Symbol })
		if at := t.find(a.Symbol); at >= 0 {
			t.Assets[at] = a
		} else if a.Symbol != "" {
			t.Assets = append(t.Assets, a)
		}
	}
}

// Local is a federation on this machine, for trials.
type Local struct {
	Founding *exchange.Founding
	Homes    []Home
	URLs     []string
	Issuer   identity.PrivateKey // of the practice assets
	// Practice owns the account out of which the servers give play money, if they do; it has to
	// be filled, and to let PracticeKeys act with the scope transfer.
	Practice     identity.PrivateKey
	PracticeKeys []identity.PublicKey
}

// LocalSetup says what FoundLocal makes.
type LocalSetup struct {
	Dir     string // empty or missing
	Name    string
	Servers int
	// Profile is lan or wan.
	Profile string
	// Protocol is the protocol version to begin with; zero is the newest.
	Protocol uint32
	// P2P are the addresses under which servers reach each other, if not their
	// own; a test puts forwarders in between.
	P2P  []string
	Work int // work factor of sealing; zero is a low one, since passphrases are random
	Now  time.Time
	// HTTP and Consensus are the first ports; zero takes free ones.
	HTTP, Consensus int
	// Banks keep the coins of assets: of those of the practice terms, or of further ones.
	Banks []BankTerms
	// Chains are written into every home's configuration.
	Chains map[string]ChainConfig
	// Give makes every server give play money, so much to each address.
	Give []string
}

// FoundLocal makes the homes of a whole federation on this machine, each with a
// passphrase file, and the key of the issuer of its play money.
// If that fails, nothing of it is left behind.
func FoundLocal(s LocalSetup) (made *Local, err error) {
	if s.Servers < 1 || s.Servers > exchange.MaxMembers {
		return nil, fmt.Errorf("%w: %d servers: 1 to %d are possible", ErrConfig, s.Servers, exchange.MaxMembers)
	}
	if entries, err := os.ReadDir(s.Dir); err == nil && len(entries) > 0 {
		return nil, fmt.Errorf("%w: %s is not empty: name a folder to be made", ErrConfig, s.Dir)
	}
	issuer, err := identity.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the issuer's key: %w", err)
	}
	_, missing := os.Stat(s.Dir)
	defer func() {
		if err != nil {
			s.undo(missing != nil)
		}
	}()
	l := &Local{Issuer: issuer}
	if len(s.Give) > 0 {
		if l.Practice, err = identity.GenerateKey(rand.Reader); err != nil {
			return nil, fmt.Errorf("make a key for play money: %w", err)
		}
	}
	free, err := ports.Claim(2 * s.Servers)
	if err != nil {
		return nil, err
	}
	var cards []exchange.Card
	var listens []string
	for i := range s.Servers {
		http, p2p := free[2*i], free[2*i+1]
		if s.HTTP != 0 {
			http = s.HTTP + i
		}
		if s.Consensus != 0 {
			p2p = s.Consensus + i
		}
		listen := ports.Address(p2p)
		card, err := l.addHome(&s, i, http, listen)
		if err != nil {
			return nil, err
		}
		cards, listens = append(cards, card), append(listens, listen)
	}
	terms := PracticeTerms(s.Name, identity.AddressOf(issuer.Public()))
	terms.Profile, terms.Protocol = s.Profile, s.Protocol
	terms.keep(s.Banks)
	if l.Founding, err = Found(&terms, cards); err != nil {
		return nil, err
	}
	for i, h := range l.Homes {
		if _, err := h.Join(l.Founding, Joining{Config: VirtualConfig{Listen: listens[i]}, Now: s.Now}); err != nil {
			return nil, err
		}
	}
	seed := issuer.Seed()
	if err := os.WriteFile(filepath.Join(s.Dir, issuerFile), []byte(hex.EncodeToString(seed[:])+"\n"), 0o600); err != nil {
		return nil, fmt.Errorf("write the issuer's key: %w", err)
	}
	if err := os.WriteFile(filepath.Join(s.Dir, foundingFile), l.Founding.Append(nil), 0o600); err != nil {
		return nil, fmt.Errorf("write founding contract: %w", err)
	}
	return l, nil
}

// undo removes what FoundLocal has made, and nothing else.
func (s *LocalSetup) undo(dir bool) {
	for i := range s.Servers {
		_ = os.RemoveAll(string(s.home(i))) // what cannot be removed is seen by the next try
	}
	for _, name := range []string{issuerFile, foundingFile} {
		_ = os.Remove(filepath.Join(s.Dir, name))
	}
	if dir {
		_ = os.Remove(s.Dir)
	}
}

// Files beside the homes.
const (
	issuerFile   = "issuer.seed"
	foundingFile = "founding"
)

// home is that of the i-th server.
func (s *LocalSetup) home(i int) Home { return Home(filepath.Join(s.Dir, localName(i))) }

func localName(i int) string { return fmt.Sprintf("server-%d", i+1) }

// PassphraseFile is where FoundLocal keeps the passphrase of a home.
func (h Home) PassphraseFile() string { return filepath.Join(string(h), "passphrase") }

func (l *Local) addHome(s *LocalSetup, i, http int, listen string) (exchange.Card, error) {
	name, h := localName(i), s.home(i)
	if err := os.MkdirAll(string(h), 0o700); err != nil {
		return exchange.Card{}, fmt.Errorf("make home: %w", err)
	}
	secret := make([]byte, 24)
	if _, err := rand.Read(secret); err != nil {
		return exchange.Card{}, fmt.Errorf("make a passphrase: %w", err)
	}
	if err := os.WriteFile(h.PassphraseFile(), []byte(hex.EncodeToString(secret)+"\n"), 0o600); err != nil {
		return exchange.Card{}, fmt.Errorf("write passphrase: %w", err)
	}
	p2p := listen
	if i < len(s.P2P) && s.P2P[i] != "" {
		p2p = s.P2P[i]
	}
	// The passphrase is random and long, so it needs no costly derivation.
	if s.Work == 0 {
		s.Work = sealed.TestWork
	}
	addr := ports.Address(http)
	pass := sealed.FromFile(h.PassphraseFile())
	setup := Setup{
		Name: name, URL: "http://" + addr, P2P: p2p, Listen: addr, Pass: pass, Work: s.Work, Now: s.Now,
		Chains: s.Chains,
	}
	if len(s.Give) > 0 {
		setup.Practice = PracticeConfig{Account: identity.AddressOf(l.Practice.Public()).String(), Give: s.Give}
		key, err := NewPracticeKey(h, pass, s.Work)
		if err != nil {
			return exchange.Card{}, err
		}
		l.PracticeKeys = append(l.PracticeKeys, key)
	}
	card, err := Init(h, setup)
	l.Homes = append(l.Homes, h)
	l.URLs = append(l.URLs, "http://"+addr)
	return card, err
}
