// Package peernet owns the rules by which peers that are near each other become a closed
// loop: how near somebody is, whom a peer keeps as neighbours, and the ring that it forms
// with some of them. A ring is named by the hash of its first roster; each change of its
// members is an epoch with a roster that all of its members have signed, and no honest
// member signs two rosters of one epoch, so that there is one, and two are proof of who lied.
//
// A Seat is one peer's part in this: messages, measurements and the time go in, messages
// come out, with vows that must be on disk before they leave. It opens nothing, waits for
// nothing and draws nothing: the time, in milliseconds, and random bytes are arguments.
// What peers would be paid in is peernet/terms; who carries the messages is courier. The
// rules are docs/spec/23-peernet.md. Floor 1: it imports identity.
package peernet

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"

	"souk/identity"
)

// Limits.
const (
	// MaxMembers is the most members that a ring ever has.
	MaxMembers = 64
	// MaxNear is the most peers whose distance is kept.
	MaxNear = 512
	// MaxClaims is the most neighbours that a hello tells of.
	MaxClaims = 32
	// MaxMessage is the length of the longest message in bytes.
	MaxMessage = 256 << 10
	// MaxEpoch is above any epoch that a ring comes to.
	MaxEpoch = 1 << 48
	// minMembers is how many a ring has at least.
	minMembers = 2
)

// Errors.
var (
	// ErrSyntax is returned for bytes that encode no message, roster or fault.
	ErrSyntax = errors.New("malformed")
	// ErrRoster is returned for a roster that is none: in its form, its signatures, or in
	// how it follows the one before.
	ErrRoster = errors.New("not a roster")
	// ErrFault is returned for a fault that proves nothing.
	ErrFault = errors.New("no fault is proven")
)

// AutoSize is how many neighbours a machine keeps where nothing is configured: twelve, two
// more for each core above four, and half as many if the machine does other things too.
func AutoSize(cores int, shared bool) int {
	size := 12 + 2*max(0, min(cores, 64)-4)
	if shared {
		size /= 2
	}
	return min(size, MaxMembers)
}

// Config is how a Seat behaves. Times are in milliseconds; zero values stand for the
// defaults, which suit the open network.
type Config struct {
	Size     int    // neighbours kept, and most members of the ring; 12
	Hello    uint64 // between two hellos to a neighbour; 5 s
	Gone     uint64 // after so long without a hello a member is gone; 30 s
	Resend   uint64 // until something unanswered is sent again; 1 s
	Patience uint64 // for how long a peer keeps itself free for a proposal; 6 s
	Settle   uint64 // how long a peer without a ring looks around before it founds one; 10 s
	Stuck    uint64 // after so long a roster that lacks signatures is given up; 60 s
}

func (c Config) withDefaults() Config {
	c.Size = min(cmp.Or(c.Size, 12), MaxMembers)
	c.Hello = cmp.Or(c.Hello, 5_000)
	c.Gone = cmp.Or(c.Gone, 30_000)
	c.Resend = cmp.Or(c.Resend, 1_000)
	c.Patience = cmp.Or(c.Patience, 6_000)
	c.Settle = cmp.Or(c.Settle, 10_000)
	c.Stuck = cmp.Or(c.Stuck, 60_000)
	return c
}

// Check says what is wrong with a configuration.
func (c Config) Check() error {
	d := c.withDefaults()
	switch {
	case c.Size < 0 || c.Size == 1 || c.Size > MaxMembers:
		return fmt.Errorf("%d neighbours: use 2 to %d", c.Size, MaxMembers)
	case d.Gone < 2*d.Hello:
		return errors.New("a member would be gone before two hellos are missed")
	case d.Patience < 2*d.Resend:
		return errors.New("a proposal would end before it is sent twice")
	case d.Stuck < 2*d.Patience:
		return errors.New("a roster would be given up before a second proposal")
	}
	return nil
}

func compare(a, b identity.PublicKey) int { return bytes.Compare(a[:], b[:]) }
