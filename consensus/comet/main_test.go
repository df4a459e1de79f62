package comet_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestMain checks that engines leave no goroutines behind, but for two that the
// library forgets each time a write-ahead log is opened: the one that closes the
// log's file every second, and the one that closes it on a hang-up signal.
func TestMain(m *testing.M) {
	if plan := os.Getenv(killEnv); plan != "" {
		fmt.Fprintln(os.Stderr, killChild(plan))
		os.Exit(1)
	}
	goleak.VerifyTestMain(patient{m},
		goleak.IgnoreTopFunction("github.com/cometbft/cometbft/libs/autofile.OpenAutoFile.func1"),
		goleak.IgnoreTopFunction("github.com/cometbft/cometbft/libs/autofile.(*AutoFile).closeFileRoutine"),
	)
}

// patient waits for what outlives an engine by up to three seconds: gossip and
// block sync that sleep before they see that they have been stopped, a handshake
// that gives up, goleveldb's pool of buffers.
type patient struct{ *testing.M }

func (p patient) Run() int {
	code := p.M.Run()
	time.Sleep(4 * time.Second)
	return code
}
