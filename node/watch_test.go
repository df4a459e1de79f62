package node_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"souk/consensus"
	"souk/consensus/comet"
	"souk/exchange"
	"souk/exchange/roster"
	"souk/identity"
	"souk/node"
	"souk/store"
)

// A virtual server whose engine has ended by itself is missed, and started again.
func TestStartedAgain(t *testing.T) {
	local := alone(t)
	n := openNode(t, local.Homes[0])
	defer func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	}()
	url, id := local.URLs[0], local.Founding.ID()
	if err := mint(t.Context(), t, url, id, local.Issuer); err != nil {
		t.Fatal(err)
	}
	if err := n.BreakEngine(0); err != nil {
		t.Fatal(err)
	}
	until(t, "the server says that it is not ready", func() error {
		if status, body := get(t, url+"/readyz"); status != http.StatusServiceUnavailable || !strings.Contains(body, fmt.Sprintf("%x", id)) {
			return fmt.Errorf("%d %s", status, body)
		}
		return nil
	})
	until(t, "it is ready again", func() error {
		if status, body := get(t, url+"/readyz"); status != http.StatusOK {
			return fmt.Errorf("%d %s", status, body)
		}
		return nil
	})
	if err := mint(t.Context(), t, url, id, local.Issuer); err != nil {
		t.Error(err)
	}
}

// What counts as a failure of the disk, also when the consensus library tells of it
// as text.
func TestDiskFailed(t *testing.T) {
	for _, c := range []struct {
		reason error
		want   bool
	}{
		{fmt.Errorf("commit: %w", store.ErrFailed), true},
		{fmt.Errorf("read: %w", store.ErrCorrupt), true},
		{errors.New("consensus failed: write chain.db: " + syscall.ENOSPC.Error()), true},
		{errors.New("consensus failed: sync wal: " + syscall.EIO.Error()), true},
		{nil, false},
		{consensus.ErrHalted, false},
		{comet.ErrBehind, false},
		{errors.New("consensus failed: an invariant is broken"), false},
	} {
		if got := node.DiskFailed(c.reason); got != c.want {
			t.Errorf("%v: %v", c.reason, got)
		}
	}
}

// A server that was away and lost its turn asks for its power when it is back.
func TestAsksForPower(t *testing.T) {
	f := start(t, 4)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	issuer := f.client.As(signer(f.Issuer))
	work := func() {
		t.Helper()
		r, err := issuer.Do(ctx, &exchange.Mint{Asset: 2, Amount: 5, To: identity.AddressOf(f.Issuer.Public())})
		must(t, r, err)
	}
	power := func(name string) uint64 {
		t.Helper()
		s, err := f.client.Status(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range s.Members {
			if m.Name == name {
				return uint64(m.Power)
			}
		}
		t.Fatalf("%s is no member: %+v", name, s.Members)
		return 0
	}
	f.close(t, 2)
	for power("server-3") == roster.FullPower {
		work()
	}
	f.open(t, 2)
	for power("server-3") != roster.FullPower {
		work()
		time.Sleep(20 * time.Millisecond)
	}
}

// get asks a server for a path.
func get(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url) //nolint:noctx // a test's own server, on this machine
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // read below
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// until repeats a check until it holds.
func until(t *testing.T, what string, check func() error) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: %v", what, err)
		}
	}
}
