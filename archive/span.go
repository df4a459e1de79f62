package archive

import "fmt"

// Span is how long a candle lasts, in milliseconds. Days begin at midnight UTC, weeks on
// Mondays.
type Span uint64

// Spans that archives keep candles of.
const (
	Minute Span = 60_000
	Hour        = 60 * Minute
	Day         = 24 * Hour
	Week        = 7 * Day
)

// firstMonday is the first that is in the count of milliseconds: its first day was a Thursday.
const firstMonday = 4 * uint64(Day)

// Spans are all that archives keep candles of, the shortest first.
func Spans() []Span {
	return []Span{
		Minute, 3 * Minute, 5 * Minute, 15 * Minute, 30 * Minute,
		Hour, 2 * Hour, 4 * Hour, 6 * Hour, 8 * Hour, 12 * Hour, Day, 3 * Day, Week,
	}
}

// Start is when the candle begins that a time is in.
func (s Span) Start(ms uint64) uint64 {
	if s == Week {
		if ms < firstMonday {
			return 0
		}
		return ms - (ms-firstMonday)%uint64(s)
	}
	return ms - ms%uint64(s)
}

// String is the span's usual name, such as 15m or 1w.
func (s Span) String() string {
	for _, unit := range []struct {
		span Span
		name string
	}{{Week, "w"}, {Day, "d"}, {Hour, "h"}, {Minute, "m"}} {
		if s >= unit.span && s%unit.span == 0 {
			return fmt.Sprintf("%d%s", s/unit.span, unit.name)
		}
	}
	return fmt.Sprintf("%dms", uint64(s))
}

// ParseSpan is the span of a name.
func ParseSpan(name string) (Span, bool) {
	for _, s := range Spans() {
		if s.String() == name {
			return s, true
		}
	}
	return 0, false
}
