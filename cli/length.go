package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// length is a length of time as users write it: like 90s, 12h, 30d or 2w, or some
// of these in a row.
type length time.Duration

// from is the time in ms at the end of a length that begins now.
func (s length) from(now time.Time) uint64 { return uint64(now.Add(time.Duration(s)).UnixMilli()) }

// String is how flags show their default.
func (s *length) String() string {
	if *s == 0 {
		return ""
	}
	return time.Duration(*s).String()
}

// Type is what flags call it.
func (*length) Type() string { return "time" }

// Set reads a length.
func (s *length) Set(text string) error {
	var total time.Duration
	rest := text
	for _, unit := range []struct {
		letter string
		length time.Duration
	}{{"w", 7 * 24 * time.Hour}, {"d", 24 * time.Hour}} {
		number, after, ok := strings.Cut(rest, unit.letter)
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(number, 10, 16)
		if err != nil {
			return fmt.Errorf("%q is no length of time: write it like 90s, 12h or 30d", text)
		}
		total, rest = total+time.Duration(n)*unit.length, after
	}
	if rest != "" || total == 0 {
		d, err := time.ParseDuration(rest)
		if err != nil || d <= 0 {
			return fmt.Errorf("%q is no length of time: write it like 90s, 12h or 30d", text)
		}
		total += d
	}
	*s = length(total)
	return nil
}
