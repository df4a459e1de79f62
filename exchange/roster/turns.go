package roster

import "souk/identity"

// maxLevel is the doubling at which the back-off has reached BackoffMax.
const maxLevel = 7

// Turns counts what consensus saw: the keys whose turn to propose went by, in
// turn order, and the key that proposed. It demotes at most one member, and
// returns him, or zero. missedTurns is how many turns missed in a row demote.
func (s *State) Turns(height, now uint64, missed []identity.PublicKey, proposer identity.PublicKey, missedTurns uint32) ID {
	for _, key := range missed {
		m := s.find(func(m *Member) bool { return m.Consensus == key })
		// Counting stops where it makes no difference, so that a server that is
		// down does not change the state in every block.
		if m != nil && m.Power() == FullPower && m.Missed < missedTurns {
			m.Missed++
			s.touch(memberKey(m.ID))
		}
	}
	if m := s.find(func(m *Member) bool { return m.Consensus == proposer }); m != nil && m.Missed != 0 {
		m.Missed = 0
		s.touch(memberKey(m.ID))
	}
	if s.demotedAt != 0 && height < after(s.demotedAt, DemoteEvery) {
		return 0
	}
	m := s.worst(missedTurns)
	if m == nil {
		return 0
	}
	s.demote(m, height, now)
	return m.ID
}

// worst returns the member to demote: of those with full power who have missed
// too many turns the one who missed most, then the lowest id; nil if there is
// none or no more may be demoted.
func (s *State) worst(missedTurns uint32) *Member {
	var worst *Member
	full := 0
	for _, m := range s.members {
		if m.Power() != FullPower {
			continue
		}
		full++
		if m.Missed >= missedTurns && (worst == nil || m.Missed > worst.Missed) {
			worst = m
		}
	}
	n := len(s.members)
	if full-1 < n-(n-1)/3 {
		return nil
	}
	return worst
}

// demote gives a member low power for its back-off.
func (s *State) demote(m *Member, height, now uint64) {
	if now > m.ReturnedAt {
		healed := (now - m.ReturnedAt) / BackoffMax
		m.Level -= uint8(min(healed, uint64(m.Level))) //nolint:gosec // at most Level
	}
	m.Demoted = true
	m.Until = after(now, min(uint64(BackoffMin)<<m.Level, BackoffMax))
	m.Level = min(m.Level+1, maxLevel)
	s.demotedAt = height
	s.touch(memberKey(m.ID))
	s.touch(Key())
}

// Return gives a demoted member full power: OK, NotMember, NotDemoted, Barred or
// BackingOff.
func (s *State) Return(id ID, now uint64) Code {
	m := s.find(func(m *Member) bool { return m.ID == id })
	switch {
	case m == nil:
		return NotMember
	case m.Barred:
		return Barred
	case !m.Demoted:
		return NotDemoted
	case now < m.Until:
		return BackingOff
	}
	m.Demoted, m.Missed, m.Until, m.ReturnedAt = false, 0, 0, now
	s.touch(memberKey(m.ID))
	return OK
}

// Evidence bars the member whose consensus key signed twice, and returns him;
// false if the key is no member's or he is barred already.
func (s *State) Evidence(key identity.PublicKey) (ID, bool) {
	m := s.find(func(m *Member) bool { return m.Consensus == key })
	if m == nil || m.Barred {
		return 0, false
	}
	m.Barred = true
	s.touch(memberKey(m.ID))
	return m.ID, true
}
