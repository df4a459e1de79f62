package cli

import (
	"io"

	"souk/store/sealed"
)

// QuickMain is Main for tests, whose purses hold nothing of worth.
func QuickMain(args []string, in io.Reader, out, errw io.Writer) int {
	a := &app{in: in, out: out, err: errw, work: sealed.TestWork}
	return a.run(args)
}
