package node_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"souk/exchange"
	"souk/node"
)

// smallDisk moves a virtual server's state to a small file system of its own. The
// test is skipped where that is not allowed.
func smallDisk(t *testing.T, h node.Home, f *exchange.Founding) string {
	t.Helper()
	id := f.ID()
	dir := filepath.Join(string(h), "vs", fmt.Sprintf("%x", id[:8]), "state")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("souk-test", dir, "tmpfs", 0, "size=32m,mode=0700"); err != nil {
		t.Skipf("mounting a small disk is not allowed here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fill takes all room of a disk, and what is set free meanwhile, until free is called.
func fill(t *testing.T, dir string) (free func()) {
	t.Helper()
	path := filepath.Join(dir, "filler")
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			_ = exec.Command("sh", "-c", "cat /dev/zero >> "+path+" 2>/dev/null").Run() // ends when the disk is full
			select {
			case <-done:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	return func() {
		close(done)
		<-ended
		if err := os.Remove(path); err != nil {
			t.Error(err)
		}
	}
}

// work mints on a virtual server until it does not go on.
func work(t *testing.T, local *node.Local, id exchange.ID) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		err := mint(ctx, t, local.URLs[0], id, local.Issuer)
		cancel()
		if err != nil {
			return
		}
	}
	t.Fatal("the full disk stops nobody")
}

// The disk of one of two virtual servers is full: the process lives, says which one
// has stopped, serves the other, and takes the first up again when there is room.
func TestDiskOfOneFull(t *testing.T) {
	local := alone(t)
	h, first := local.Homes[0], local.Founding
	second := further(t, h, "second", "127.0.0.1:7", local.Issuer)
	if _, err := h.Join(second, node.Joining{}); err != nil {
		t.Fatal(err)
	}
	dir := smallDisk(t, h, second)
	n := openNode(t, h)
	defer func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	}()
	url, ctx := local.URLs[0], t.Context()
	for _, f := range []*exchange.Founding{first, second} {
		if err := mint(ctx, t, url, f.ID(), local.Issuer); err != nil {
			t.Fatalf("%s: %v", f.Name, err)
		}
	}
	free := fill(t, dir)
	work(t, local, second.ID())
	stopped, alive := second.ID(), first.ID()
	until(t, "the process is not ready", func() error {
		status, body := get(t, url+"/readyz")
		if status != http.StatusServiceUnavailable || !strings.Contains(body, fmt.Sprintf("%x", stopped)) || strings.Contains(body, fmt.Sprintf("%x", alive)) {
			return fmt.Errorf("%d %s", status, body)
		}
		return nil
	})
	until(t, "the virtual server is down", func() error {
		if _, body := get(t, url+"/metrics"); !strings.Contains(body, fmt.Sprintf(`souk_up{virtual_server="%x"} 0`, stopped[:8])) {
			return errors.New("souk_up is not 0")
		}
		return nil
	})
	if status, body := get(t, url+"/livez"); status != http.StatusOK {
		t.Errorf("livez: %d %s", status, body)
	}
	if err := mint(ctx, t, url, first.ID(), local.Issuer); err != nil {
		t.Errorf("the other virtual server: %v", err)
	}
	time.Sleep(3 * time.Second) // it tries again, in vain
	select {
	case err := <-n.Done():
		t.Fatalf("the process wants to end: %v", err)
	default:
	}
	free()
	until(t, "all is ready again", func() error {
		if status, body := get(t, url+"/readyz"); status != http.StatusOK {
			return fmt.Errorf("%d %s", status, body)
		}
		return nil
	})
	if err := mint(ctx, t, url, second.ID(), local.Issuer); err != nil {
		t.Errorf("the virtual server that is back: %v", err)
	}
}

// The disk of the only virtual server is full: the process wants to end, and says why.
func TestDiskOfAllFull(t *testing.T) {
	local := alone(t)
	h := local.Homes[0]
	dir := smallDisk(t, h, local.Founding)
	n := openNode(t, h)
	free := fill(t, dir)
	work(t, local, local.Founding.ID())
	select {
	case err := <-n.Done():
		if err == nil || !strings.Contains(err.Error(), "no space left on device") || !strings.Contains(err.Error(), "make room on the disk") {
			t.Errorf("it ends for %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Error("it goes on")
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
	free()
	n = openNode(t, h)
	defer func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := mint(t.Context(), t, local.URLs[0], local.Founding.ID(), local.Issuer); err != nil {
		t.Errorf("started again: %v", err)
	}
}
