package exchange

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"

	"souk/asset"
	"souk/exchange/market"
	"souk/identity"
	"souk/merkle"
)

// Protocol versions of the state machine that this binary can execute.
const (
	ProtocolMin = 1
	ProtocolMax = 2
)

// Profile names a set of consensus timeouts; it is part of the founding contract.
type Profile uint8

// Profiles.
const (
	ProfileLAN Profile = 0 // servers within a few milliseconds
	ProfileWAN Profile = 1 // servers on several continents
)

// String is the profile's name.
func (p Profile) String() string {
	if p == ProfileWAN {
		return "wan"
	}
	return "lan"
}

// Limits of a founding contract.
const (
	MaxMembers  = 64
	maxFounding = 1 << 20
	maxTime     = 1 << 50 // ms, far beyond any clock
)

// Errors of founding contracts and member cards.
var (
	ErrFounding = errors.New("founding contract is not valid")
	ErrCard     = errors.New("member card is not valid")
)

// Card is a member's signed statement of his keys and addresses. Operators hand
// cards to each other and found a virtual server from them.
type Card struct {
	Name      string             // 1 to 32 characters: a-z, 0-9, dash
	Operator  identity.PublicKey // votes; kept offline
	Server    identity.PublicKey // signs for the running server
	Consensus identity.PublicKey // validator key
	P2P       string             // consensus address, nodeid@host:port
	URL       string             // base URL of the HTTP API
	Made      uint64             // ms since the Unix epoch, when it was signed
	Banks     []BankKey          // ascending by network; needed for banks only
	Signature identity.Signature // by Operator
}

// cardPrefix begins a card's text form.
const cardPrefix = "soukcard1."

func (c *Card) appendUnsigned(dst []byte) []byte {
	if len(c.Banks) > 0 {
		dst = append(dst, cardWithBanks)
	}
	dst = appendText8(dst, c.Name)
	dst = append(dst, c.Operator[:]...)
	dst = append(dst, c.Server[:]...)
	dst = append(dst, c.Consensus[:]...)
	dst = binary.BigEndian.AppendUint64(appendText8(appendText8(dst, c.P2P), c.URL), c.Made)
	return appendBankKeys(dst, c.Banks)
}

// String is the card as one line of text, to be handed to the other operators.
func (c *Card) String() string {
	return cardPrefix + base64.RawURLEncoding.EncodeToString(c.Append(nil))
}

// ParseCardText reads what String writes, and checks the card.
func ParseCardText(s string) (Card, error) {
	text, ok := strings.CutPrefix(strings.TrimSpace(s), cardPrefix)
	data, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if !ok || err != nil {
		return Card{}, fmt.Errorf("%w: it is one line that begins with %s", ErrCard, cardPrefix)
	}
	return ParseCard(data)
}

// Append appends the card's one encoding.
func (c *Card) Append(dst []byte) []byte {
	return append(c.appendUnsigned(dst), c.Signature[:]...)
}

// Sign sets the operator key and signature.
func (c *Card) Sign(operator identity.PrivateKey) {
	c.Operator = operator.Public()
	c.Signature = operator.Sign(identity.TagCard, c.appendUnsigned(nil))
}

func (c *Card) read(s *cryptobyte.String) bool {
	banks := len(*s) > 0 && (*s)[0] == cardWithBanks && s.Skip(1)
	return readText8(s, &c.Name, 32) && s.CopyBytes(c.Operator[:]) && s.CopyBytes(c.Server[:]) && s.CopyBytes(c.Consensus[:]) &&
		readText8(s, &c.P2P, 255) && readText8(s, &c.URL, 255) && s.ReadUint64(&c.Made) &&
		(!banks || readBankKeys(s, &c.Banks)) && s.CopyBytes(c.Signature[:])
}

// ParseCard reads a card and checks it.
func ParseCard(data []byte) (Card, error) {
	var c Card
	if !whole(&c, (*Card).read, data) {
		return Card{}, fmt.Errorf("%w: %w", ErrCard, ErrEncoding)
	}
	return c, c.Check()
}

// Check verifies the card's form and signature.
func (c *Card) Check() error {
	if !validName(c.Name) {
		return fmt.Errorf("%w: name %q: use 1 to 32 of a-z, 0-9 and dash", ErrCard, c.Name)
	}
	if !utf8.ValidString(c.P2P) || !strings.Contains(c.P2P, "@") {
		return fmt.Errorf("%w: consensus address %q is not nodeid@host:port", ErrCard, c.P2P)
	}
	for _, k := range []identity.PublicKey{c.Operator, c.Server, c.Consensus} {
		if err := k.Check(); err != nil {
			return fmt.Errorf("%w: %w", ErrCard, err)
		}
	}
	if c.Operator == c.Server || c.Operator == c.Consensus || c.Server == c.Consensus {
		return fmt.Errorf("%w: operator, server and consensus keys must differ", ErrCard)
	}
	if err := c.checkBankKeys(); err != nil {
		return fmt.Errorf("%w: %w", ErrCard, err)
	}
	if !c.Operator.Verify(identity.TagCard, c.appendUnsigned(nil), c.Signature) {
		return fmt.Errorf("%w: the operator's signature does not verify", ErrCard)
	}
	return nil
}

func validName(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return s != "" && len(s) <= 32
}

// FoundingAsset is an asset that exists from the first block, with no supply.
type FoundingAsset struct {
	Symbol    string
	Decimals  uint8
	MaxSupply asset.Amount
	Issuer    identity.Address
	Contract  string // the issuer's promise
}

// FoundingMarket is a market that exists from the first block.
type FoundingMarket struct {
	Base, Quote string // symbols of founding assets
	Terms       market.Terms
}

// Params are the rules that a founding contract sets and votes can change.
type Params struct {
	FeeAsset        asset.ID     // asset of the command fee; zero for no fee
	Fee             asset.Amount // per command, see docs/spec/02-commands.md
	AccountCommands uint32       // most commands of one account in a block
	MarketOrders    uint32       // most live orders of one account in one market
	RotationDelay   uint64       // ms
	VoteBlocks      uint64       // blocks after which an open vote lapses
	MissedTurns     uint32       // turns missed in a row before a server is demoted
	AccountAssets   uint32       // most assets that one account may issue
}

// DefaultParams are used where a founding does not say otherwise.
func DefaultParams() Params {
	return Params{
		AccountCommands: 1024, MarketOrders: 200, RotationDelay: 7 * 24 * 3600 * 1000, VoteBlocks: 100_000, MissedTurns: 3,
		AccountAssets: 16,
	}
}

// ParseParams reads what Append writes. It judges form only: Check judges the rest.
func ParseParams(data []byte) (p Params, err error) {
	if !whole(&p, (*Params).read, data) {
		return p, ErrEncoding
	}
	return p, nil
}

// Check tells what is wrong with the parameters.
func (p *Params) Check() error {
	switch {
	case (p.FeeAsset == 0) != (p.Fee == 0):
		return errors.New("a command fee needs both asset and amount")
	case p.AccountCommands < 1 || p.AccountCommands > MaxBlockCommands:
		return fmt.Errorf("commands per account and block must be 1 to %d", MaxBlockCommands)
	case p.MarketOrders < 1 || p.MarketOrders > 10_000:
		return errors.New("live orders per account and market must be 1 to 10000")
	case p.RotationDelay > 90*24*3600*1000:
		return errors.New("rotation delay must be at most 90 days")
	case p.VoteBlocks < 10 || p.MissedTurns < 1 || p.MissedTurns > 1000:
		return errors.New("votes must stay open for at least 10 blocks, and 1 to 1000 missed turns demote")
	case p.AccountAssets > 10_000:
		return errors.New("assets of one issuer must be at most 10000")
	}
	return nil
}

// Append appends the parameters' one encoding.
func (p *Params) Append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(p.FeeAsset))
	dst = binary.BigEndian.AppendUint64(dst, uint64(p.Fee))
	dst = binary.BigEndian.AppendUint32(dst, p.AccountCommands)
	dst = binary.BigEndian.AppendUint32(dst, p.MarketOrders)
	dst = binary.BigEndian.AppendUint64(dst, p.RotationDelay)
	dst = binary.BigEndian.AppendUint64(dst, p.VoteBlocks)
	dst = binary.BigEndian.AppendUint32(dst, p.MissedTurns)
	return binary.BigEndian.AppendUint32(dst, p.AccountAssets)
}

func (p *Params) read(s *cryptobyte.String) bool {
	return s.ReadUint32((*uint32)(&p.FeeAsset)) && s.ReadUint64((*uint64)(&p.Fee)) && s.ReadUint32(&p.AccountCommands) &&
		s.ReadUint32(&p.MarketOrders) && s.ReadUint64(&p.RotationDelay) && s.ReadUint64(&p.VoteBlocks) && s.ReadUint32(&p.MissedTurns) &&
		s.ReadUint32(&p.AccountAssets)
}

// Origin says that a virtual server goes on where another one ended.
type Origin struct {
	Server ID          // the virtual server that ended
	Height uint64      // its last signed header that members could prove
	Root   merkle.Hash // the state root there
}

// Founding is a virtual server's founding contract. Its hash is the id.
type Founding struct {
	Name     string
	Created  uint64 // ms; no block is earlier
	Protocol uint32
	Profile  Profile
	Members  []Card // ascending by operator key
	Assets   []FoundingAsset
	Markets  []FoundingMarket
	Reserved []string // symbols that only a vote can let someone issue; ascending
	Params   Params
	// Origin is set when this founding takes over an earlier state; then Assets, Markets, Reserved and Banks are empty.
	Origin *Origin
	Banks  []FoundingBank
}

// ID is the virtual server's id.
func (f *Founding) ID() ID {
	return sha256.Sum256(f.Append(identity.AppendTag(nil, identity.TagFounding)))
}

// Append appends the contract's one encoding.
func (f *Founding) Append(dst []byte) []byte {
	dst = appendText8(dst, f.Name)
	dst = binary.BigEndian.AppendUint64(dst, f.Created)
	dst = binary.BigEndian.AppendUint32(dst, f.Protocol)
	dst = append(dst, byte(f.Profile), byte(len(f.Members))) //nolint:gosec // bounded by MaxMembers
	for i := range f.Members {
		dst = f.Members[i].Append(dst)
	}
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(f.Assets))) //nolint:gosec // bounded by Check
	for _, a := range f.Assets {
		body := Issue{Symbol: a.Symbol, Decimals: a.Decimals, MaxSupply: a.MaxSupply, Contract: a.Contract}
		dst = append(body.Append(dst), a.Issuer[:]...)
	}
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(f.Markets))) //nolint:gosec // bounded by Check
	for _, m := range f.Markets {
		dst = appendText8(appendText8(dst, m.Base), m.Quote)
		dst = m.Terms.Append(dst)
	}
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(f.Reserved))) //nolint:gosec // bounded by Check
	for _, r := range f.Reserved {
		dst = appendText8(dst, r)
	}
	dst = f.Params.Append(dst)
	dst = append(dst, flag(f.Origin != nil))
	if o := f.Origin; o != nil {
		dst = append(dst, o.Server[:]...)
		dst = binary.BigEndian.AppendUint64(dst, o.Height)
		dst = append(dst, o.Root[:]...)
	}
	return f.appendBanks(dst)
}

// ParseFounding reads a contract and checks it.
func ParseFounding(data []byte) (*Founding, error) {
	f := &Founding{}
	if len(data) > maxFounding || !whole(f, (*Founding).read, data) {
		return nil, fmt.Errorf("%w: %w", ErrFounding, ErrEncoding)
	}
	return f, f.Check()
}

func (f *Founding) read(s *cryptobyte.String) bool {
	var profile, members uint8
	if !readText8(s, &f.Name, 32) || !s.ReadUint64(&f.Created) || !s.ReadUint32(&f.Protocol) || !s.ReadUint8(&profile) ||
		!s.ReadUint8(&members) || members > MaxMembers {
		return false
	}
	f.Profile = Profile(profile)
	f.Members = make([]Card, members)
	for i := range f.Members {
		if !f.Members[i].read(s) {
			return false
		}
	}
	return f.readAssets(s) && f.readMarkets(s) && f.readReserved(s) && f.Params.read(s) && f.readOrigin(s) && f.readBanks(s)
}

func (f *Founding) readAssets(s *cryptobyte.String) bool {
	var n uint16
	if !s.ReadUint16(&n) {
		return false
	}
	for range n {
		var body Issue
		var a FoundingAsset
		if !body.read(s) || !readAddress(s, &a.Issuer) {
			return false
		}
		a.Symbol, a.Decimals, a.MaxSupply, a.Contract = body.Symbol, body.Decimals, body.MaxSupply, body.Contract
		f.Assets = append(f.Assets, a)
	}
	return true
}

func (f *Founding) readMarkets(s *cryptobyte.String) bool {
	var n uint16
	if !s.ReadUint16(&n) {
		return false
	}
	for range n {
		var m FoundingMarket
		if !readText8(s, &m.Base, 10) || !readText8(s, &m.Quote, 10) || !m.Terms.Read(s) {
			return false
		}
		f.Markets = append(f.Markets, m)
	}
	return true
}

func (f *Founding) readReserved(s *cryptobyte.String) bool {
	var n uint16
	if !s.ReadUint16(&n) {
		return false
	}
	for range n {
		var r string
		if !readText8(s, &r, 10) {
			return false
		}
		f.Reserved = append(f.Reserved, r)
	}
	return true
}

func (f *Founding) readOrigin(s *cryptobyte.String) bool {
	var has bool
	if !readFlag(s, &has) {
		return false
	}
	if !has {
		return true
	}
	f.Origin = &Origin{}
	return s.CopyBytes(f.Origin.Server[:]) && s.ReadUint64(&f.Origin.Height) && s.CopyBytes(f.Origin.Root[:])
}

// Check tells what is wrong with the contract, in words for the founders.
func (f *Founding) Check() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", ErrFounding, fmt.Sprintf(format, args...))
	}
	if !validName(f.Name) {
		return bad("name %q: use 1 to 32 of a-z, 0-9 and dash", f.Name)
	}
	if f.Protocol < ProtocolMin || f.Protocol > ProtocolMax {
		return bad("protocol version %d: this binary knows %d to %d", f.Protocol, ProtocolMin, ProtocolMax)
	}
	if f.Created == 0 || f.Created > maxTime {
		return bad("time %d of the founding: it is in ms since 1970", f.Created)
	}
	if f.Profile > ProfileWAN {
		return bad("profile %d is not known", f.Profile)
	}
	if len(f.Members) == 0 || len(f.Members) > MaxMembers {
		return bad("%d members: 1 to %d are possible", len(f.Members), MaxMembers)
	}
	if err := f.checkMembers(); err != nil {
		return err
	}
	if err := f.Params.Check(); err != nil {
		return bad("%v", err)
	}
	if !slices.IsSorted(f.Reserved) || len(slices.Compact(slices.Clone(f.Reserved))) != len(f.Reserved) {
		return bad("reserved symbols are not in ascending order, each once")
	}
	if f.Origin != nil && len(f.Assets)+len(f.Markets)+len(f.Reserved)+len(f.Banks) > 0 {
		return bad("a contract with an origin takes assets, markets and banks from there")
	}
	_, err := f.foundBanks()
	return err
}

func (f *Founding) checkMembers() error {
	seen := map[identity.PublicKey]string{}
	names := map[string]bool{}
	for i := range f.Members {
		c := &f.Members[i]
		if err := c.Check(); err != nil {
			return fmt.Errorf("%w: member %d: %w", ErrFounding, i+1, err)
		}
		if i > 0 && bytes.Compare(f.Members[i-1].Operator[:], c.Operator[:]) >= 0 {
			return fmt.Errorf("%w: members are not in ascending order of operator key, each once", ErrFounding)
		}
		for _, k := range []identity.PublicKey{c.Operator, c.Server, c.Consensus} {
			if other, ok := seen[k]; ok {
				return fmt.Errorf("%w: members %s and %s share a key", ErrFounding, other, c.Name)
			}
			seen[k] = c.Name
		}
		if names[c.Name] {
			return fmt.Errorf("%w: two members are called %s", ErrFounding, c.Name)
		}
		names[c.Name] = true
	}
	return nil
}

// SortMembers brings the members into the contract's order.
func (f *Founding) SortMembers() {
	slices.SortFunc(f.Members, func(a, b Card) int { return bytes.Compare(a.Operator[:], b.Operator[:]) })
}
