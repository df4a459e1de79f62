package roster

import (
	"bytes"
	"cmp"
	"slices"

	"souk/merkle"
)

// Vote is an open vote, or one that passed a short while ago.
type Vote struct {
	Action   []byte // as encoded
	Approved []ID   // members that approve, ascending
	Lapses   uint64 // height from which it is void
	Passed   uint64 // ms when it passed; zero while it is open
}

type vote struct {
	Vote
	key merkle.Key
}

// Approve counts a member's yes to an action. If that decides the vote, passed
// is true; then an action on the roster itself has been carried out, and any
// other is for the caller to carry out. Codes: OK, NotMember, BadAction,
// TooFewActive, AlreadyVoted, Decided, TooManyVotes. The caller refuses beforehand what he
// could not carry out. voteBlocks is for how many blocks a new vote stays open.
func (s *State) Approve(by ID, action []byte, height, now, voteBlocks uint64) (passed bool, code Code) {
	s.Lapse(height, now)
	if _, ok := s.Member(by); !ok {
		return false, NotMember
	}
	a, _, err := ParseAction(action)
	if err != nil {
		return false, BadAction
	}
	key := VoteKey(action)
	v := s.vote(key)
	switch {
	case v != nil && v.Passed != 0:
		return false, Decided
	case !s.valid(a, height):
		return false, BadAction
	case s.weakens(a):
		return false, TooFewActive
	case v != nil && slices.Contains(v.Approved, by):
		return false, AlreadyVoted
	case s.approvals(by) >= MaxOpenVotes:
		return false, TooManyVotes
	}
	if v == nil {
		v = &vote{Vote{Action: bytes.Clone(action), Lapses: after(height, voteBlocks)}, key}
		insert(&s.votes, v, byKey)
		insert(&s.open, v, lapsesFirst)
	}
	i, _ := slices.BinarySearch(v.Approved, by)
	v.Approved = slices.Insert(v.Approved, i, by)
	s.touch(key)
	if !s.carried(v, a) {
		return false, OK
	}
	s.settle(v, now)
	s.carryOut(a, height)
	return true, OK
}

// carried tells whether more than two thirds of the members who count approve.
func (s *State) carried(v *vote, a Action) bool {
	members := make([]ID, len(s.members))
	for i, m := range s.members {
		members[i] = m.ID
	}
	yes, all := count(a, members, v.Approved)
	return yes*3 > all*2
}

// Tally says how a vote on an action stands among members, by number: how many of
// those who count approve, and how many have to.
func Tally(a Action, members, approved []ID) (yes, needed int) {
	yes, all := count(a, members, approved)
	return yes, all*2/3 + 1
}

// count counts the members who approve, and all who count.
func count(a Action, members, approved []ID) (yes, all int) {
	aside := ID(0)
	switch a := a.(type) {
	case RemoveMember:
		aside = a.Member
	case ReplaceMember:
		aside = a.Member
	}
	if len(members) <= 2 {
		aside = 0
	}
	for _, id := range members {
		if id == aside {
			continue
		}
		all++
		if slices.Contains(approved, id) {
			yes++
		}
	}
	return yes, all
}

// settle turns an open vote into one that is remembered.
func (s *State) settle(v *vote, now uint64) {
	remove(&s.open, v, lapsesFirst)
	v.Passed = max(now, 1)
	insert(&s.decided, v, passedFirst)
}

// Withdraw takes a member's yes back: OK, NotMember, NotVoted or Decided.
func (s *State) Withdraw(by ID, action []byte, height, now uint64) Code {
	s.Lapse(height, now)
	if _, ok := s.Member(by); !ok {
		return NotMember
	}
	v := s.vote(VoteKey(action))
	switch {
	case v == nil:
		return NotVoted
	case v.Passed != 0:
		return Decided
	case !s.unapprove(v, by):
		return NotVoted
	}
	return OK
}

// unapprove takes a yes back; a vote of which none is left is gone.
func (s *State) unapprove(v *vote, by ID) bool {
	i, ok := slices.BinarySearch(v.Approved, by)
	if !ok {
		return false
	}
	v.Approved = slices.Delete(v.Approved, i, i+1)
	s.touch(v.key)
	if len(v.Approved) == 0 {
		remove(&s.open, v, lapsesFirst)
		remove(&s.votes, v, byKey)
	}
	return true
}

// Lapse forgets votes that are void at a height, and passed votes that need not
// be remembered any more. Approve and Withdraw call it themselves.
func (s *State) Lapse(height, now uint64) {
	for len(s.open) > 0 && s.open[0].Lapses <= height {
		s.forget(s.open[0])
		s.open = slices.Delete(s.open, 0, 1)
	}
	for len(s.decided) > 0 && after(s.decided[0].Passed, DecidedFor) <= now {
		s.forget(s.decided[0])
		s.decided = slices.Delete(s.decided, 0, 1)
	}
}

// Void forgets the open votes on actions of a kind: what was approved is not what
// it would do now.
func (s *State) Void(kind ActionKind) {
	s.open = slices.DeleteFunc(s.open, func(v *vote) bool {
		a, _, err := ParseAction(v.Action)
		void := err == nil && a.Kind() == kind
		if void {
			s.forget(v)
		}
		return void
	})
}

func (s *State) forget(v *vote) {
	remove(&s.votes, v, byKey)
	s.touch(v.key)
}

// approvals counts the open votes that a member approves of.
func (s *State) approvals(id ID) (n int) {
	for _, v := range s.open {
		if slices.Contains(v.Approved, id) {
			n++
		}
	}
	return n
}

// Votes calls yield for every vote that is open or remembered, in the order of
// the hashes of their actions, until it returns false.
func (s *State) Votes(yield func(Vote) bool) {
	for _, known := range s.votes {
		v := known.Vote
		v.Action, v.Approved = bytes.Clone(v.Action), slices.Clone(v.Approved)
		if !yield(v) {
			return
		}
	}
}

func insert(queue *[]*vote, v *vote, order func(a, b *vote) int) {
	i, _ := slices.BinarySearchFunc(*queue, v, order)
	*queue = slices.Insert(*queue, i, v)
}

// remove takes out a vote, which is there.
func remove(queue *[]*vote, v *vote, order func(a, b *vote) int) {
	i, _ := slices.BinarySearchFunc(*queue, v, order)
	*queue = slices.Delete(*queue, i, i+1)
}

// vote returns the vote with a key, or nil.
func (s *State) vote(key merkle.Key) *vote {
	i, ok := slices.BinarySearchFunc(s.votes, &vote{key: key}, byKey)
	if !ok {
		return nil
	}
	return s.votes[i]
}

func byKey(a, b *vote) int { return a.key.Compare(b.key) }

func lapsesFirst(a, b *vote) int {
	return cmp.Or(cmp.Compare(a.Lapses, b.Lapses), a.key.Compare(b.key))
}

func passedFirst(a, b *vote) int {
	return cmp.Or(cmp.Compare(a.Passed, b.Passed), a.key.Compare(b.key))
}

// after adds to a time or height, and stops at the end of time.
func after(start, more uint64) uint64 {
	if start+more < start {
		return ^uint64(0)
	}
	return start + more
}

// valid tells whether an action could be carried out now, as far as that is the
// roster's business.
func (s *State) valid(a Action, height uint64) bool {
	switch a := a.(type) {
	case AddMember:
		return len(s.members) < MaxMembers && a.Card.check() == nil && s.clash(&a.Card, 0) == nil && !s.used(a.Card.Consensus)
	case RemoveMember:
		_, ok := s.Member(a.Member)
		return ok && len(s.members) > 1
	case ReplaceMember:
		m, ok := s.Member(a.Member)
		card := m.Card
		card.Server, card.Consensus, card.P2P, card.URL = a.Server, a.Consensus, a.P2P, a.URL
		return ok && card.check() == nil && s.clash(&card, a.Member) == nil && !s.used(a.Consensus)
	case SetProtocol:
		if a.Height == 0 {
			return a.Version == s.version && s.plan.height > height
		}
		return a.Version == s.Version(height)+1 && a.Height > height && a.Height-height <= MaxPlan
	case PauseMarket:
		return a.Market != 0
	case ResumeMarket:
		return a.Market != 0
	case CreateMarket:
		return a.Base != 0 && a.Quote != 0 && a.Base != a.Quote
	case SetMarket:
		return a.Market != 0
	case ReserveSymbol:
		return a.Symbol != ""
	case AllowSymbol:
		return a.Symbol != ""
	case SpendHouse:
		return a.House >= 1 && a.House <= 3 && a.Asset != 0 && a.Amount != 0
	case SetParams:
		return len(a.Params) > 0
	case OpenSeries:
		return a.Bank != 0 && len(a.Members) > 0
	case SetLimits:
		return a.Bank != 0 && len(a.Limits) > 0
	case HaltBanks:
		return true // exchange knows whether there are banks
	case LiftBank:
		return a.Bank != 0 && a.Reasons != 0
	}
	return false
}

// weakens tells whether an action would leave too few members with full power, as
// the server that it brings begins without. What takes full power from
// nobody and adds nobody does not.
func (s *State) weakens(a Action) bool {
	n, full := len(s.members), 0
	for _, m := range s.members {
		if m.Power() == FullPower {
			full++
		}
	}
	switch a := a.(type) {
	case AddMember:
		n++
	case ReplaceMember:
		if m, _ := s.Member(a.Member); m.Power() != FullPower {
			return false
		}
		full--
	default:
		return false
	}
	return full < n-max(1, (n-1)/3)
}

// carryOut does what a valid action on the roster itself says.
func (s *State) carryOut(a Action, height uint64) {
	switch a := a.(type) {
	case AddMember:
		s.join(a.Card)
	case RemoveMember:
		s.leave(s.find(func(m *Member) bool { return m.ID == a.Member }))
	case ReplaceMember:
		s.replace(s.find(func(m *Member) bool { return m.ID == a.Member }), &a)
	case SetProtocol:
		s.version = s.Version(height)
		s.plan = plan{a.Version, a.Height}
		if a.Height == 0 {
			s.plan = plan{}
		}
		s.touch(Key())
	}
}
