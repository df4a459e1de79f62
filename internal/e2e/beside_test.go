package e2e_test

import "testing"

// sideBySide has room for as many tests as run at once: two, however large the machine is.
var sideBySide = make(chan struct{}, 2)

// beside lets a test run at the same time as another one that says so. It is for tests that
// mostly wait, for minutes of a chain or for a server to come back, and in which nothing has to
// be done within seconds. Those that cut and delay links, measure or bound times run alone,
// before all of these.
func beside(t *testing.T) {
	t.Helper()
	t.Parallel()
	sideBySide <- struct{}{}
	t.Cleanup(func() { <-sideBySide }) // when its servers have ended: later cleanups run first
}
