package api_test

import (
	"testing"

	"go.uber.org/goleak"
)

// Connections that net/http has closed linger for half a second, longer than goleak waits.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}
