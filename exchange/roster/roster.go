// Package roster owns the federation of a virtual server: its member servers and
// their keys, their voting power in consensus, turns missed and demotion, open
// votes, and which version of the protocol is in force at which height.
//
// A vote is on an Action. Actions on the roster itself are carried out here when
// they pass; all others are answered to exchange, which carries them out. What
// consensus saw of its members comes in as keys; what it should do comes out as
// validator updates. The rules are docs/spec/07-roster.md. Floor 1: it imports
// floor 0 only.
package roster

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"souk/identity"
	"souk/merkle"
)

// ErrCards is wrapped by Found for members that cannot found a virtual server.
var ErrCards = errors.New("members cannot found a virtual server")

// ID is a member's number, sequential from 1 and never used again. Zero is no member.
type ID uint32

// Code is why an operation was refused. Numbers are append-only.
type Code uint8

// Codes.
const (
	OK           Code = iota
	NotMember         // the member does not exist
	BadAction         // the action is not valid now
	AlreadyVoted      // the member approves of the action already
	NotVoted          // the member does not approve of the action
	Decided           // these action bytes passed a short while ago; use another salt
	TooManyVotes      // the member has MaxOpenVotes open votes
	NotDemoted        // the member has full power
	BackingOff        // the member may not return yet
	Barred            // the member signed twice and must be replaced
	TooFewActive      // the action would leave too few members with full power
)

// Limits and constants of demotion.
const (
	MaxMembers   = 64
	MaxOpenVotes = 32         // open votes that one member approves of
	MaxAction    = 2048       // bytes of an action
	MaxName      = 32         // bytes
	MaxText      = 255        // bytes of a URL or consensus address
	MaxSymbol    = 10         // bytes of an asset's symbol
	MaxTerms     = 512        // bytes of what exchange encodes inside an action
	MaxPlan      = 10_000_000 // blocks from a vote to the activation of a version
	FullPower    = 1_000_000
	LowPower     = 1              // of a demoted or barred member
	DemoteEvery  = 10             // blocks between two demotions
	BackoffMin   = 5 * 1000       // ms after the first demotion
	BackoffMax   = 10 * 60 * 1000 // ms, the longest back-off
	DecidedFor   = 20 * 60 * 1000 // ms for which a passed action is remembered
)

// Card is what a member says of himself.
type Card struct {
	Name      string             // 1 to 32 characters: a-z, 0-9, dash
	Operator  identity.Address   // the account that votes
	Server    identity.PublicKey // signs for the running server
	Consensus identity.PublicKey // validator key
	P2P       string             // consensus address, nodeid@host:port
	URL       string             // base URL of the HTTP API
}

// Member is a member server as it stands.
type Member struct {
	ID ID
	Card
	Demoted    bool   // for missed turns, or because the server is new; ends by Return
	Barred     bool   // for double signing; ends by ReplaceMember
	Missed     uint32 // turns missed in a row
	Level      uint8  // how often the back-off has doubled
	Until      uint64 // ms; a demoted member may not return before
	ReturnedAt uint64 // ms of the last return; zero if never
}

// Power is the member's voting power in consensus.
func (m *Member) Power() int64 {
	if m.Demoted || m.Barred {
		return LowPower
	}
	return FullPower
}

// Validator is a consensus key and its voting power. Power zero removes it.
type Validator struct {
	Key   identity.PublicKey
	Power int64
}

// State is the roster. It is not safe for concurrent use.
type State struct {
	members []*Member // ascending by id
	last    ID        // the last id given
	retired []retired // ascending by leaf key

	votes   []*vote // all votes, ascending by key
	open    []*vote // open votes by (height at which they lapse, key)
	decided []*vote // passed votes by (time of passing, key)

	version   uint32
	plan      plan
	demotedAt uint64 // height of the last demotion; zero if there was none

	dirty     []merkle.Key
	announced []Validator // what ValidatorUpdates has told so far, ascending by key
}

type plan struct {
	version uint32
	height  uint64 // zero: no plan
}

// New returns an empty state for Load to fill.
func New() *State { return &State{} }

// Found returns the roster of a founding: members with numbers from 1 in the
// order of cards, all with full power. It returns ErrCards if two share a name,
// operator or key, or one is malformed.
func Found(cards []Card, protocol uint32) (*State, error) {
	s := New()
	s.version = protocol
	if len(cards) == 0 || len(cards) > MaxMembers {
		return nil, fmt.Errorf("%w: %d members, 1 to %d are possible", ErrCards, len(cards), MaxMembers)
	}
	for i := range cards {
		if err := cards[i].check(); err != nil {
			return nil, fmt.Errorf("%w: member %d: %w", ErrCards, i+1, err)
		}
		if other := s.clash(&cards[i], 0); other != nil {
			return nil, fmt.Errorf("%w: members %s and %s share a name, an operator or a key", ErrCards, other.Name, cards[i].Name)
		}
		s.join(cards[i])
		s.members[i].Demoted = false
	}
	return s, nil
}

// check tells what is wrong with a card by itself.
func (c *Card) check() error {
	switch {
	case !validName(c.Name):
		return fmt.Errorf("name %q is not 1 to %d of a-z, 0-9 and dash", c.Name, MaxName)
	case c.Operator.IsZero():
		return errors.New("there is no operator")
	case c.Operator == identity.AddressOf(c.Server):
		return errors.New("operator and server have one key")
	}
	return checkServer(c.Server, c.Consensus, c.P2P, c.URL)
}

func checkServer(server, consensus identity.PublicKey, p2p, url string) error {
	if err := server.Check(); err != nil {
		return fmt.Errorf("server key: %w", err)
	}
	if err := consensus.Check(); err != nil {
		return fmt.Errorf("consensus key: %w", err)
	}
	if server == consensus {
		return errors.New("server and consensus have one key")
	}
	if node, host, ok := strings.Cut(p2p, "@"); !ok || node == "" || host == "" || !validText(p2p) {
		return fmt.Errorf("consensus address %q is not nodeid@host:port", p2p)
	}
	if !validText(url) {
		return fmt.Errorf("URL %q has odd characters", url)
	}
	return nil
}

func validName(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return s != "" && len(s) <= MaxName
}

// validText tells whether a text is printable ASCII without spaces and short enough.
func validText(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return len(s) <= MaxText
}

// clash returns a member, other than the one with id except, that has the name,
// the operator or a key of a card.
func (s *State) clash(c *Card, except ID) *Member {
	for _, m := range s.members {
		if m.ID == except {
			continue
		}
		if m.Name == c.Name || m.Operator == c.Operator || m.Server == c.Server || m.Consensus == c.Consensus ||
			m.Server == c.Consensus || m.Consensus == c.Server {
			return m
		}
	}
	return nil
}

// used tells whether a consensus key is or was ever a member's.
func (s *State) used(consensus identity.PublicKey) bool {
	_, now := s.ByConsensus(consensus)
	return now || s.isRetired(consensus)
}

// join makes a member, with low power until its server returns.
func (s *State) join(c Card) {
	s.last++
	m := &Member{ID: s.last, Card: c, Demoted: true}
	s.members = append(s.members, m)
	s.touch(memberKey(m.ID))
	s.touch(Key())
}

// leave removes a member and its approvals, and retires its consensus key.
func (s *State) leave(m *Member) {
	s.retire(m.Consensus)
	s.members = slices.DeleteFunc(s.members, func(other *Member) bool { return other == m })
	s.touch(memberKey(m.ID))
	for _, v := range slices.Clone(s.open) {
		s.unapprove(v, m.ID)
	}
}

// replace gives a member a new server, which starts like that of a new member.
func (s *State) replace(m *Member, a *ReplaceMember) {
	s.retire(m.Consensus)
	card := m.Card
	card.Server, card.Consensus, card.P2P, card.URL = a.Server, a.Consensus, a.P2P, a.URL
	*m = Member{ID: m.ID, Card: card, Demoted: true}
	s.touch(memberKey(m.ID))
}

// retired is a consensus key that was a member's and is not any more.
type retired struct {
	leaf merkle.Key
	key  identity.PublicKey
}

func (r retired) compare(other retired) int { return r.leaf.Compare(other.leaf) }

func (s *State) retire(consensus identity.PublicKey) {
	r := retired{retiredKey(consensus), consensus}
	i, _ := slices.BinarySearchFunc(s.retired, r, retired.compare)
	s.retired = slices.Insert(s.retired, i, r)
	s.touch(r.leaf)
}

func (s *State) isRetired(consensus identity.PublicKey) bool {
	_, ok := slices.BinarySearchFunc(s.retired, retired{leaf: retiredKey(consensus)}, retired.compare)
	return ok
}

func (s *State) touch(key merkle.Key) { s.dirty = append(s.dirty, key) }

// Len returns the number of members.
func (s *State) Len() int { return len(s.members) }

// Members calls yield for every member in ascending order of ids until it returns false.
func (s *State) Members(yield func(Member) bool) {
	for _, m := range s.members {
		if !yield(*m) {
			return
		}
	}
}

// Member returns a member.
func (s *State) Member(id ID) (Member, bool) {
	if m := s.find(func(m *Member) bool { return m.ID == id }); m != nil {
		return *m, true
	}
	return Member{}, false
}

// ByOperator returns the member whose operator account an address is.
func (s *State) ByOperator(a identity.Address) (ID, bool) {
	return idOf(s.find(func(m *Member) bool { return m.Operator == a }))
}

// ByServer returns the member with a server key.
func (s *State) ByServer(key identity.PublicKey) (ID, bool) {
	return idOf(s.find(func(m *Member) bool { return m.Server == key }))
}

// ByConsensus returns the member with a consensus key.
func (s *State) ByConsensus(key identity.PublicKey) (ID, bool) {
	return idOf(s.find(func(m *Member) bool { return m.Consensus == key }))
}

func (s *State) find(is func(*Member) bool) *Member {
	if i := slices.IndexFunc(s.members, is); i >= 0 {
		return s.members[i]
	}
	return nil
}

func idOf(m *Member) (ID, bool) {
	if m == nil {
		return 0, false
	}
	return m.ID, true
}

// ValidatorUpdates returns the consensus keys whose power changed since the last
// call, ascending by key; all of them at the first call after Found.
func (s *State) ValidatorUpdates() []Validator {
	now := make([]Validator, 0, len(s.members))
	for _, m := range s.members {
		now = append(now, Validator{m.Consensus, m.Power()})
	}
	slices.SortFunc(now, compareKeys)
	var changed []Validator
	for _, v := range now {
		if i, ok := slices.BinarySearchFunc(s.announced, v, compareKeys); !ok || s.announced[i].Power != v.Power {
			changed = append(changed, v)
		}
	}
	for _, v := range s.announced {
		if _, ok := slices.BinarySearchFunc(now, v, compareKeys); !ok {
			changed = append(changed, Validator{v.Key, 0})
		}
	}
	slices.SortFunc(changed, compareKeys)
	s.announced = now
	return changed
}

func compareKeys(a, b Validator) int { return bytes.Compare(a.Key[:], b.Key[:]) }

// Version is the protocol version in force at a height, which must not be below
// heights voted at before.
func (s *State) Version(height uint64) uint32 {
	if s.plan.height != 0 && height >= s.plan.height {
		return s.plan.version
	}
	return s.version
}

// Plan is the version that is or was to come into force at a height; zeros if none.
func (s *State) Plan() (version uint32, height uint64) { return s.plan.version, s.plan.height }
