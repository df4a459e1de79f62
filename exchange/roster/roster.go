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
	"souk/asset"
	"souk/identity"
	"souk/merkle"
)

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
)

// Limits and constants of demotion.
const (
	MaxMembers   = 64
	MaxOpenVotes = 32   // open votes that one member approves of
	MaxAction    = 2048 // bytes of an action
	MaxName      = 32   // bytes
	MaxText      = 255  // bytes of a URL or consensus address
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
	Demoted    bool   // for missed turns; ends by Return
	Barred     bool   // for double signing; ends by ReplaceMember
	Missed     uint32 // turns missed in a row
	Level      uint8  // how often the back-off has doubled
	Until      uint64 // ms; a demoted member may not return before
	ReturnedAt uint64 // ms of the last return; zero if never
}

// Power is the member's voting power in consensus.
func (m *Member) Power() int64 { panic("soon") }

// Validator is a consensus key and its voting power. Power zero removes it.
type Validator struct {
	Key   identity.PublicKey
	Power int64
}

// Action is what a vote is on. Types are AddMember, RemoveMember, ReplaceMember,
// SetProtocol, PauseMarket, ResumeMarket, CreateMarket, SetMarket,
// ReserveSymbol, AllowSymbol, SpendHouse and SetParams.
type Action interface {
	// Kind is the number that the encoding begins with.
	Kind() ActionKind
	// appendBody appends the encoding behind kind and salt.
	appendBody(dst []byte) []byte
}

// ActionKind tells actions apart. Numbers are append-only.
type ActionKind uint8

// Kinds of actions.
const (
	KindAddMember     ActionKind = 1
	KindRemoveMember  ActionKind = 2
	KindReplaceMember ActionKind = 3
	KindSetProtocol   ActionKind = 4
	KindPauseMarket   ActionKind = 5
	KindResumeMarket  ActionKind = 6
	KindCreateMarket  ActionKind = 7
	KindSetMarket     ActionKind = 8
	KindReserveSymbol ActionKind = 9
	KindAllowSymbol   ActionKind = 10
	KindSpendHouse    ActionKind = 11
	KindSetParams     ActionKind = 12
)

// AddMember adds a member with full power.
type AddMember struct{ Card Card }

// RemoveMember removes a member; his vote does not count.
type RemoveMember struct{ Member ID }

// ReplaceMember gives a member a new server; his vote does not count. It ends a
// bar and a demotion. The consensus key must be one that was never used before.
type ReplaceMember struct {
	Member    ID
	Server    identity.PublicKey
	Consensus identity.PublicKey
	P2P       string
	URL       string
}

// SetProtocol puts the next version of the protocol in force at a height, or,
// with the version that is in force and height zero, calls a plan off.
type SetProtocol struct {
	Version uint32
	Height  uint64
}

// PauseMarket stops a market from taking orders.
type PauseMarket struct{ Market uint32 }

// ResumeMarket ends a pause.
type ResumeMarket struct{ Market uint32 }

// CreateMarket makes a market. Terms are market.Terms as encoded there.
type CreateMarket struct {
	Base, Quote asset.ID
	Terms       []byte // at most 512 bytes
}

// SetMarket changes fees and band of a market.
type SetMarket struct {
	Market     uint32
	MakerPPM   uint32
	TakerPPM   uint32
	ReservePPM uint32
	BandPPM    uint32
}

// ReserveSymbol lets nobody issue an asset of this symbol.
type ReserveSymbol struct{ Symbol string }

// AllowSymbol lets one address issue an asset of this symbol.
type AllowSymbol struct {
	Symbol string
	Issuer identity.Address
}

// SpendHouse pays an account out of a house balance of an asset.
type SpendHouse struct {
	House  uint8 // as in ledger: 1 fees, 2 dust, 3 reserve
	Asset  asset.ID
	Amount asset.Amount
	To     identity.Address
}

// SetParams replaces the parameters of the exchange, encoded as there.
type SetParams struct{ Params []byte } // at most 512 bytes

// Kind is KindAddMember.
func (AddMember) Kind() ActionKind { return KindAddMember }

// Kind is KindRemoveMember.
func (RemoveMember) Kind() ActionKind { return KindRemoveMember }

// Kind is KindReplaceMember.
func (ReplaceMember) Kind() ActionKind { return KindReplaceMember }

// Kind is KindSetProtocol.
func (SetProtocol) Kind() ActionKind { return KindSetProtocol }

// Kind is KindPauseMarket.
func (PauseMarket) Kind() ActionKind { return KindPauseMarket }

// Kind is KindResumeMarket.
func (ResumeMarket) Kind() ActionKind { return KindResumeMarket }

// Kind is KindCreateMarket.
func (CreateMarket) Kind() ActionKind { return KindCreateMarket }

// Kind is KindSetMarket.
func (SetMarket) Kind() ActionKind { return KindSetMarket }

// Kind is KindReserveSymbol.
func (ReserveSymbol) Kind() ActionKind { return KindReserveSymbol }

// Kind is KindAllowSymbol.
func (AllowSymbol) Kind() ActionKind { return KindAllowSymbol }

// Kind is KindSpendHouse.
func (SpendHouse) Kind() ActionKind { return KindSpendHouse }

// Kind is KindSetParams.
func (SetParams) Kind() ActionKind { return KindSetParams }

func (a AddMember) appendBody(dst []byte) []byte     { panic("soon") }
func (a RemoveMember) appendBody(dst []byte) []byte  { panic("soon") }
func (a ReplaceMember) appendBody(dst []byte) []byte { panic("soon") }
func (a SetProtocol) appendBody(dst []byte) []byte   { panic("soon") }
func (a PauseMarket) appendBody(dst []byte) []byte   { panic("soon") }
func (a ResumeMarket) appendBody(dst []byte) []byte  { panic("soon") }
func (a CreateMarket) appendBody(dst []byte) []byte  { panic("soon") }
func (a SetMarket) appendBody(dst []byte) []byte     { panic("soon") }
func (a ReserveSymbol) appendBody(dst []byte) []byte { panic("soon") }
func (a AllowSymbol) appendBody(dst []byte) []byte   { panic("soon") }
func (a SpendHouse) appendBody(dst []byte) []byte    { panic("soon") }
func (a SetParams) appendBody(dst []byte) []byte     { panic("soon") }

// AppendAction appends an action's one encoding: kind, salt, body. The salt
// tells two votes on the same action apart; it is zero unless an equal action
// passed a short while ago.
func AppendAction(dst []byte, a Action, salt uint32) []byte { panic("soon") }

// ParseAction reads an action. It returns ErrAction for anything but the one
// encoding of an action. It judges form, not whether the action is valid now.
func ParseAction(data []byte) (a Action, salt uint32, err error) { panic("soon") }

// Vote is an open vote, or one that passed a short while ago.
type Vote struct {
	Action   []byte // as encoded
	Approved []ID   // members that approve, ascending
	Lapses   uint64 // height from which it is void
	Passed   uint64 // ms when it passed; zero while it is open
}

// State is the roster. It is not safe for concurrent use.
type State struct{}

// New returns an empty state for Load to fill.
func New() *State { panic("soon") }

// Found returns the roster of a founding: members with numbers from 1 in the
// order of cards, all with full power. It returns ErrCards if two share a name,
// operator or key, or one is malformed.
func Found(cards []Card, protocol uint32) (*State, error) { panic("soon") }

// Len returns the number of members.
func (s *State) Len() int { panic("soon") }

// Members calls yield for every member in ascending order of ids until it returns false.
func (s *State) Members(yield func(Member) bool) { panic("soon") }

// Member returns a member.
func (s *State) Member(id ID) (Member, bool) { panic("soon") }

// ByOperator returns the member whose operator account an address is.
func (s *State) ByOperator(a identity.Address) (ID, bool) { panic("soon") }

// ByServer returns the member with a server key.
func (s *State) ByServer(key identity.PublicKey) (ID, bool) { panic("soon") }

// ByConsensus returns the member with a consensus key.
func (s *State) ByConsensus(key identity.PublicKey) (ID, bool) { panic("soon") }

// Approve counts a member's yes to an action. If that decides the vote, passed
// is true; then an action on the roster itself has been carried out, and any
// other is for the caller to carry out. Codes: OK, NotMember, BadAction,
// AlreadyVoted, Decided, TooManyVotes. The caller refuses beforehand what he
// could not carry out. voteBlocks is for how many blocks a new vote stays open.
func (s *State) Approve(by ID, action []byte, height, now, voteBlocks uint64) (passed bool, code Code) {
	panic("soon")
}

// Withdraw takes a member's yes back: OK, NotMember, NotVoted or Decided.
func (s *State) Withdraw(by ID, action []byte, height, now uint64) Code { panic("soon") }

// Votes calls yield for every vote that is open or remembered, in the order of
// the hashes of their actions, until it returns false.
func (s *State) Votes(yield func(Vote) bool) { panic("soon") }

// Turns counts what consensus saw: the keys whose turn to propose went by, in
// turn order, and the key that proposed. It demotes at most one member, and
// returns him, or zero. missedTurns is how many turns missed in a row demote.
func (s *State) Turns(height, now uint64, missed []identity.PublicKey, proposer identity.PublicKey, missedTurns uint32) ID {
	panic("soon")
}

// Return gives a demoted member full power again: OK, NotMember, NotDemoted,
// Barred or BackingOff.
func (s *State) Return(id ID, now uint64) Code { panic("soon") }

// Evidence bars the member whose consensus key signed twice, and returns him;
// false if the key is no member's or he is barred already.
func (s *State) Evidence(key identity.PublicKey) (ID, bool) { panic("soon") }

// ValidatorUpdates returns the consensus keys whose power changed since the last
// call, ascending by key; all of them at the first call after Found.
func (s *State) ValidatorUpdates() []Validator { panic("soon") }

// Version is the protocol version in force at a height, which must not be below
// heights asked or voted at before.
func (s *State) Version(height uint64) uint32 { panic("soon") }

// Plan is the version that is or was to come into force at a height; zeros if none.
func (s *State) Plan() (version uint32, height uint64) { panic("soon") }

// Check returns an error that says what in the state does not fit together.
func (s *State) Check() error { panic("soon") }

// Changes calls yield for every leaf that changed since the last call, once
// each, in no particular order; a nil value means deleted. The values belong to
// the receiver.
func (s *State) Changes(yield func(key merkle.Key, value []byte)) { panic("soon") }

// Leaf returns the value of one leaf as it stands.
func (s *State) Leaf(key merkle.Key) ([]byte, bool) { panic("soon") }

// Leaves calls yield for every leaf in ascending order of keys until it returns
// false. The value is valid only during the call.
func (s *State) Leaves(yield func(key merkle.Key, value []byte) bool) { panic("soon") }

// Load adds one leaf to a state that came from New. Leaves may come in any
// order, each once. It returns ErrLeaf for anything but the one encoding of a leaf.
func (s *State) Load(key merkle.Key, value []byte) error { panic("soon") }

// Finish completes a state after the last Load, and returns ErrLeaf if the
// leaves do not fit together. The state must not be used before.
func (s *State) Finish() error { panic("soon") }
