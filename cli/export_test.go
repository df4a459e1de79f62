package cli

import (
	"io"
	"time"

	"souk/store/sealed"
)

// Length reads a length of time as flags do.
func Length(text string) (time.Duration, error) {
	var l length
	err := l.Set(text)
	return time.Duration(l), err
}

// QuickMain is Main for tests, whose purses hold nothing of worth.
func QuickMain(args []string, in io.Reader, out, errw io.Writer) int {
	a := &app{in: in, out: out, err: errw, work: sealed.TestWork}
	return a.run(args)
}
