package web_test

import (
	"testing"

	"go.uber.org/goleak"

	"souk/internal/ports"
)

// Connections that net/http has closed linger for half a second, longer than goleak waits.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

// freePort returns a loopback address that nothing listens on.
func freePort(t *testing.T) string {
	t.Helper()
	free, err := ports.Claim(1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ports.Release(free...) })
	return ports.Address(free[0])
}
