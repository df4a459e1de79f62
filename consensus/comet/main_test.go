package comet_test

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain checks that engines leave no goroutines behind, but for two that the
// library forgets each time a write-ahead log is opened: the one that closes the
// log's file every second, and the one that closes it on a hang-up signal. What
// else outlives an engine ends within three seconds: gossip that sleeps, a
// handshake that gives up, goleveldb's pool of buffers.
func TestMain(m *testing.M) {
	if plan := os.Getenv(killEnv); plan != "" {
		fmt.Fprintln(os.Stderr, killChild(plan))
		os.Exit(1)
	}
	goleak.VerifyTestMain(m,
		goleak.IgnoreTopFunction("github.com/cometbft/cometbft/libs/autofile.OpenAutoFile.func1"),
		goleak.IgnoreTopFunction("github.com/cometbft/cometbft/libs/autofile.(*AutoFile).closeFileRoutine"),
	)
}
