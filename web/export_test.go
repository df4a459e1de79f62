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
