package cli

import (
	"io"
	"time"

	"souk/exchange/custody"
	"souk/store/sealed"
)

// Length reads a length of time as flags do.
func Length(text string) (time.Duration, error) {
	var l length
	err := l.Set(text)
	return time.Duration(l), err
}

// Span is a time in ms for people.
func Span(ms uint64) string { return span(ms) }

// QuickMain is Main for tests, whose purses hold nothing of worth.
func QuickMain(args []string, in io.Reader, out, errw io.Writer) int {
	a := &app{in: in, out: out, err: errw, work: sealed.TestWork}
	return a.run(args)
}

// Tighten is what withdraw settings --only --delay signs for settings in force, with a
// change to come or none: what is in force at once, and what after that.
func Tighten(now custody.Settings, coming *custody.Settings, only bool, delay time.Duration) (lock *custody.Settings, next custody.Settings, err error) {
	x := &ruled{now: now, next: now, coming: coming != nil}
	if coming != nil {
		x.next = *coming
	}
	err = (&rulesFlags{only: only, delay: length(delay)}).change(x)
	return x.lock, x.next, err
}

// Overseen finds the service manager: what tells it something, and when it wants to hear
// that all is well.
func Overseen() (say func(string) error, ticks <-chan time.Time) {
	o := overseen()
	return o.say, o.ticks
}
