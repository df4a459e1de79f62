package chain

import (
	"encoding/binary"
	"errors"
	"fmt"
)

const (
	// denseBlocks is how far back a locator names every block. Behind that it names
	// denseBlocks/2 in every doubling of the distance.
	denseBlocks = 64
	// maxLocator bounds what ParseLocator accepts. No locator of a chain below 2^32 blocks has more.
	maxLocator = denseBlocks + 32*denseBlocks/2 + 1

	pointSize = 4 + 32
)

// Locator says how far somebody has come on a chain, and by which way: points in
// ascending order, many of the last blocks, few of the older ones, always the first.
// The first is where he began, and the chain is not his without it (T-11).
type Locator []Point

// Last returns where its owner stands. ok is false for an empty locator.
func (l Locator) Last() (p Point, ok bool) {
	if len(l) == 0 {
		return Point{}, false
	}
	return l[len(l)-1], true
}

// Below returns the part that names blocks below a height, so that Follow begins
// at or before that height again. It keeps at least the first point.
func (l Locator) Below(height uint32) Locator {
	n := len(l)
	for n > 1 && l[n-1].Height >= height {
		n--
	}
	return l[:n:n]
}

// Apply returns the locator of somebody who has taken a step. The old one stays as it is.
func (l Locator) Apply(s Step) Locator {
	points := make(Locator, 0, len(l)+1+len(s.Blocks))
	for _, p := range l {
		if p.Height < s.Fork.Height {
			points = append(points, p)
		}
	}
	points = append(points, s.Fork)
	for _, b := range s.Blocks {
		points = append(points, b.Point)
	}
	last := points[len(points)-1].Height
	kept := points[:1]
	for _, p := range points[1:] {
		if p.Height%spacing(last-p.Height) == 0 {
			kept = append(kept, p)
		}
	}
	return kept
}

// spacing is a power of two that grows with the distance from the end, so that a
// point that is dropped would never be kept later.
func spacing(distance uint32) uint32 {
	s := uint32(1)
	for distance/s >= denseBlocks {
		s *= 2
	}
	return s
}

// Append appends the stored form: height and hash of each point.
func (l Locator) Append(dst []byte) []byte {
	for _, p := range l {
		dst = binary.BigEndian.AppendUint32(dst, p.Height)
		dst = append(dst, p.Hash[:]...)
	}
	return dst
}

// ParseLocator reads the stored form.
func ParseLocator(b []byte) (Locator, error) {
	if len(b)%pointSize != 0 || len(b) > maxLocator*pointSize {
		return nil, fmt.Errorf("locator of %d bytes", len(b))
	}
	l := make(Locator, 0, len(b)/pointSize)
	for ; len(b) > 0; b = b[pointSize:] {
		p := Point{Height: binary.BigEndian.Uint32(b)}
		copy(p.Hash[:], b[4:])
		if last, ok := l.Last(); ok && p.Height <= last.Height {
			return nil, errors.New("locator whose points do not ascend")
		}
		l = append(l, p)
	}
	return l, nil
}
