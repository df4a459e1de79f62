package node

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/pelletier/go-toml/v2"

	"souk/asset"
	"souk/exchange"
	"souk/exchange/market"
	"souk/identity"
	"souk/store/sealed"
)

// Terms are what founders agree on besides who they are; every founder uses the
// same file.
type Terms struct {
	Name     string        `toml:"name"`
	Profile  string        `toml:"profile"` // lan or wan
	Assets   []AssetTerms  `toml:"asset"`
	Markets  []MarketTerms `toml:"market"`
	Reserved []string      `toml:"reserved_symbols"`
	// FeeAsset and Fee are the command fee; empty for none.
	FeeAsset string `toml:"fee_asset"`
	Fee      string `toml:"fee"`
	Protocol uint32 `toml:"protocol"`
}

// AssetTerms are an asset that exists from the first block.
type AssetTerms struct {
	Symbol    string `toml:"symbol"`
	Decimals  uint8  `toml:"decimals"`
	MaxSupply string `toml:"max_supply"` // in whole coins; empty: the most that is possible
	Issuer    string `toml:"issuer"`     // address
	Contract  string `toml:"contract"`
}

// MarketTerms are a market that exists from the first block. Prices are in the
// quote asset, quantities in the base asset, fees in percent times 10,000.
type MarketTerms struct {
	Base        string `toml:"base"`
	Quote       string `toml:"quote"`
	Tick        string `toml:"tick"`
	Lot         string `toml:"lot"`
	MinNotional string `toml:"min_notional"`
	Reference   string `toml:"reference_price"`
	MakerPPM    uint32 `toml:"maker_ppm"`
	TakerPPM    uint32 `toml:"taker_ppm"`
	ReservePPM  uint32 `toml:"reserve_ppm"`
	BandPPM     uint32 `toml:"band_ppm"`
}

// ParseTerms reads founding terms strictly.
func ParseTerms(data []byte) (Terms, error) {
	var t Terms
	d := toml.NewDecoder(bytes.NewReader(data)).DisallowUnknownFields()
	if err := d.Decode(&t); err != nil {
		return t, fmt.Errorf("%w: founding terms: %w", ErrConfig, err)
	}
	return t, nil
}

// Found makes the founding contract of members and terms. It is the same on
// every machine: its time is that of the newest card.
func Found(t *Terms, cards []exchange.Card) (*exchange.Founding, error) {
	f := &exchange.Founding{Name: t.Name, Protocol: max(t.Protocol, 1), Members: slices.Clone(cards), Params: exchange.DefaultParams()}
	for i := range cards {
		f.Created = max(f.Created, cards[i].Made)
	}
	switch t.Profile {
	case "", "lan":
	case "wan":
		f.Profile = exchange.ProfileWAN
	default:
		return nil, fmt.Errorf("%w: profile %q: write lan or wan", ErrConfig, t.Profile)
	}
	f.Reserved = slices.Sorted(slices.Values(t.Reserved))
	f.SortMembers()
	decimals := map[string]uint8{}
	for i := range t.Assets {
		a, err := t.Assets[i].founding()
		if err != nil {
			return nil, err
		}
		decimals[a.Symbol] = a.Decimals
		f.Assets = append(f.Assets, a)
		if a.Symbol == t.FeeAsset {
			f.Params.FeeAsset = asset.ID(i + 1)
		}
	}
	if t.FeeAsset != "" {
		fee, err := asset.Parse(t.Fee, decimals[t.FeeAsset])
		if err != nil {
			return nil, fmt.Errorf("%w: fee: %w", ErrConfig, err)
		}
		f.Params.Fee = fee
	}
	for i := range t.Markets {
		m, err := t.Markets[i].founding(decimals)
		if err != nil {
			return nil, err
		}
		f.Markets = append(f.Markets, m)
	}
	if err := f.Check(); err != nil {
		return nil, err
	}
	_, err := exchange.New(f) // the assets and markets must be possible too
	return f, err
}

func (a *AssetTerms) founding() (exchange.FoundingAsset, error) {
	issuer, err := identity.ParseAddress(a.Issuer)
	if err != nil {
		return exchange.FoundingAsset{}, fmt.Errorf("%w: issuer of %s: %w", ErrConfig, a.Symbol, err)
	}
	f := exchange.FoundingAsset{Symbol: a.Symbol, Decimals: a.Decimals, MaxSupply: asset.MaxSupply, Issuer: issuer, Contract: a.Contract}
	if a.MaxSupply != "" {
		if f.MaxSupply, err = asset.Parse(a.MaxSupply, a.Decimals); err != nil {
			return f, fmt.Errorf("%w: max_supply of %s: %w", ErrConfig, a.Symbol, err)
		}
	}
	return f, nil
}

func (m *MarketTerms) founding(decimals map[string]uint8) (exchange.FoundingMarket, error) {
	f := exchange.FoundingMarket{Base: m.Base, Quote: m.Quote}
	base, ok1 := decimals[m.Base]
	quote, ok2 := decimals[m.Quote]
	if !ok1 || !ok2 {
		return f, fmt.Errorf("%w: market %s-%s: both must be assets of the terms", ErrConfig, m.Base, m.Quote)
	}
	numbers := make([]asset.Amount, 4)
	for i, x := range []struct {
		name, text string
		decimals   uint8
	}{{"tick", m.Tick, quote}, {"lot", m.Lot, base}, {"min_notional", m.MinNotional, quote}, {"reference_price", m.Reference, quote}} {
		n, err := asset.Parse(x.text, x.decimals)
		if err != nil {
			return f, fmt.Errorf("%w: %s of market %s-%s: %w", ErrConfig, x.name, m.Base, m.Quote, err)
		}
		numbers[i] = n
	}
	f.Terms = market.Terms{
		Tick: asset.Price(numbers[0]), Lot: numbers[1], MinNotional: numbers[2], Reference: asset.Price(numbers[3]),
		MakerPPM: m.MakerPPM, TakerPPM: m.TakerPPM, ReservePPM: m.ReservePPM, BandPPM: m.BandPPM,
	}
	return f, nil
}

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

// Local is a federation on this machine, for trials.
type Local struct {
	Founding *exchange.Founding
	Homes    []Home
	URLs     []string
	Issuer   identity.PrivateKey // of the practice assets
}

// LocalSetup says what FoundLocal makes.
type LocalSetup struct {
	Dir     string // empty or missing
	Name    string
	Servers int
	// Profile is lan or wan.
	Profile string
	// P2P are the addresses under which servers reach each other, if not their
	// own; a test puts forwarders in between.
	P2P  []string
	Work int // work factor of sealing; zero is a low one, since passphrases are random
	Now  time.Time
	// HTTP and Consensus are the first ports; zero takes free ones.
	HTTP, Consensus int
}

// FoundLocal makes the homes of a whole federation on this machine, each with a
// passphrase file, and the key of the issuer of its play money.
func FoundLocal(s LocalSetup) (*Local, error) {
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
	l := &Local{Issuer: issuer}
	ports, err := freePorts(2 * s.Servers)
	if err != nil {
		return nil, err
	}
	var cards []exchange.Card
	var listens []string
	for i := range s.Servers {
		http, p2p := ports[2*i], ports[2*i+1]
		if s.HTTP != 0 {
			http = s.HTTP + i
		}
		if s.Consensus != 0 {
			p2p = s.Consensus + i
		}
		listen := net.JoinHostPort("127.0.0.1", strconv.Itoa(p2p))
		card, err := l.addHome(&s, i, http, listen)
		if err != nil {
			return nil, err
		}
		cards, listens = append(cards, card), append(listens, listen)
	}
	terms := PracticeTerms(s.Name, identity.AddressOf(issuer.Public()))
	terms.Profile = s.Profile
	if l.Founding, err = Found(&terms, cards); err != nil {
		return nil, err
	}
	for i, h := range l.Homes {
		if _, err := h.Join(l.Founding, Joining{Config: VirtualConfig{Listen: listens[i]}, Now: s.Now}); err != nil {
			return nil, err
		}
	}
	seed := issuer.Seed()
	if err := os.WriteFile(filepath.Join(s.Dir, "issuer.seed"), []byte(hex.EncodeToString(seed[:])+"\n"), 0o600); err != nil {
		return nil, fmt.Errorf("write the issuer's key: %w", err)
	}
	if err := os.WriteFile(filepath.Join(s.Dir, "founding"), l.Founding.Append(nil), 0o600); err != nil {
		return nil, fmt.Errorf("write founding contract: %w", err)
	}
	return l, nil
}

// PassphraseFile is where FoundLocal keeps the passphrase of a home.
func (h Home) PassphraseFile() string { return filepath.Join(string(h), "passphrase") }

func (l *Local) addHome(s *LocalSetup, i, http int, listen string) (exchange.Card, error) {
	name := fmt.Sprintf("server-%d", i+1)
	h := Home(filepath.Join(s.Dir, name))
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
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(http))
	card, err := Init(h, Setup{
		Name: name, URL: "http://" + addr, P2P: p2p, Listen: addr, Pass: sealed.FromFile(h.PassphraseFile()), Work: s.Work, Now: s.Now,
	})
	l.Homes = append(l.Homes, h)
	l.URLs = append(l.URLs, "http://"+addr)
	return card, err
}

// freePorts are ports of the loopback address that nobody listens on now.
func freePorts(n int) ([]int, error) {
	var ports []int
	var open []net.Listener
	defer func() {
		for _, l := range open {
			l.Close() //nolint:errcheck // nothing was served
		}
	}()
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		open = append(open, l)
		addr, ok := l.Addr().(*net.TCPAddr)
		if !ok {
			return nil, errors.New("find a free port: not a TCP address")
		}
		ports = append(ports, addr.Port)
	}
	return ports, nil
}
