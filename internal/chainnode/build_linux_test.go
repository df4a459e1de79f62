package chainnode_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"souk/internal/chainnode"
)

// A build that is called off ends at once, with all that it has started, says that it was
// called off, and leaves nothing behind.
func TestBuildCalledOff(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", filepath.Join(dir, "cache"))
	t.Setenv("PATH", dir+":/usr/bin:/bin")
	begun := filepath.Join(dir, "begun")
	if err := syscall.Mkfifo(begun, 0o600); err != nil {
		t.Fatal(err)
	}
	// It has the output open, as the compilers of a build have.
	script := "#!/bin/sh\nsleep 600 &\necho $! >" + begun + "\nwait\n"
	if err := os.WriteFile(filepath.Join(dir, "go"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	failed := make(chan error)
	go func() {
		_, err := chainnode.Build(ctx, chainnode.Btcd, io.Discard)
		failed <- err
	}()
	child, err := os.ReadFile(begun)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	called := time.Now()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if took := time.Since(called); took > 4*time.Second {
		t.Errorf("it took %v", took)
	}
	for { // it is killed, and gone in a moment
		state, err := os.ReadFile("/proc/" + strings.TrimSpace(string(child)) + "/stat")
		if err != nil || strings.Contains(string(state), " Z ") {
			break
		}
		if time.Since(called) > 20*time.Second {
			t.Fatalf("what it started goes on: %s", state)
		}
		time.Sleep(5 * time.Millisecond)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "cache", "souk", "nodes", "b*")); err != nil || len(left) != 1 || !strings.HasSuffix(left[0], ".lock") {
		t.Errorf("%v, %v", left, err)
	}
}
