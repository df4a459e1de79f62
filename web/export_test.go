package web

import (
	"net/netip"
	"time"
)

// Admissions lets tests count accounts.
type Admissions struct{ admissions }

// NewAdmissions begins to count.
func NewAdmissions() *Admissions {
	return &Admissions{admissions{sources: map[netip.Prefix]*bucket{}}}
}

// Take counts an account.
func (a *Admissions) Take(from netip.Prefix, now time.Time) bool { return a.take(from, now) }

// Pace lets tests hurry streams: how long they may be silent, and how many blocks are kept
// for those that are behind.
func (s *Server) Pace(heartbeat time.Duration, ringBlocks int) {
	s.pace.heartbeat, s.pace.ringBlocks = heartbeat, ringBlocks
}
