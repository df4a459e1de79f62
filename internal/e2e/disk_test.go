package e2e_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"souk/internal/cluster"
)

// smallDisk moves a home to a file system of its own with room for size bytes. The
// test is skipped where that is not allowed.
func smallDisk(t *testing.T, home string, size int) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("needs tmpfs")
	}
	aside := home + ".aside"
	if err := os.Rename(home, aside); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(home, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("souk-test", home, "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
		t.Skipf("mounting a small disk is not allowed here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(home, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	if out, err := exec.Command("cp", "-a", aside+"/.", home).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// fill takes all room of a disk.
func fill(t *testing.T, dir string) (free func()) {
	t.Helper()
	path := filepath.Join(dir, "filler")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close() //nolint:errcheck // filled to the brim
	for _, size := range []int{1 << 20, 4 << 10, 1} {
		block := make([]byte, size)
		for {
			if _, err := file.Write(block); err != nil {
				if !errors.Is(err, syscall.ENOSPC) {
					t.Fatal(err)
				}
				break
			}
		}
	}
	return func() {
		if err := os.Remove(path); err != nil {
			t.Error(err)
		}
	}
}

// The disk of one server is full under load: it says what to do and its process
// ends, as what watches over processes expects; the others go on; with room again
// it comes back with what it had. (Where a process serves several virtual servers,
// it lives: TestDiskOfOneFull in package node.)
func TestDiskFull(t *testing.T) {
	beside(t)
	const full = 2
	f := prepared(t, 4, func(c *cluster.Cluster) {
		smallDisk(t, string(c.Homes[full]), 256<<20)
		// Its log is elsewhere, as operators have it.
		elsewhere := filepath.Join(t.TempDir(), "log")
		if err := os.Symlink(elsewhere, c.LogFile(full)); err != nil {
			t.Fatal(err)
		}
	})
	s := f.trade()
	s.after(60)
	free := fill(t, string(f.Homes[full]))
	s.longest()
	select {
	case <-f.Ended(full):
	case <-time.After(60 * time.Second):
		t.Fatal("the server with the full disk goes on")
	}
	data, err := os.ReadFile(f.LogFile(full))
	if err != nil || !strings.Contains(string(data), "make room on the disk") || !strings.Contains(string(data), "\nsouk: the disk has failed the only virtual server") {
		t.Errorf("it does not say what to do: %v", err)
	}
	if code := f.ExitCode(full); code != 1 {
		t.Errorf("exit status %d", code)
	}
	s.after(80)
	t.Logf("longest pause of the others: %v", s.longest().Round(time.Millisecond))
	free()
	if err := f.Restart(full); err != nil {
		t.Fatal(err)
	}
	if err := f.CaughtUp(within(t, time.Minute), full); err != nil {
		t.Fatal(err)
	}
	s.after(40)
	receipts := s.end()
	f.sound()
	for i := range f.URLs {
		f.kept(i, receipts)
	}
}

func heightOf(t *testing.T, f *federation, i int) uint64 {
	t.Helper()
	st, err := f.Status(within(t, 10*time.Second), i)
	if err != nil {
		t.Fatal(err)
	}
	return st.Height
}

// A server that starts on a full disk says what is wrong, and works when there is
// room again.
func TestDiskFullAtStart(t *testing.T) {
	beside(t)
	f := prepared(t, 1, func(c *cluster.Cluster) {
		smallDisk(t, string(c.Homes[0]), 128<<20)
		if err := os.Symlink(filepath.Join(t.TempDir(), "log"), c.LogFile(0)); err != nil {
			t.Fatal(err)
		}
	})
	f.mint(5, addressOf("alice"))
	if err := f.Stop(0); err != nil {
		t.Fatal(err)
	}
	free := fill(t, string(f.Homes[0]))
	if err := f.Restart(0); err != nil {
		t.Fatal(err)
	}
	eventually(t, 30*time.Second, "it says what is wrong", func() error {
		data, err := os.ReadFile(f.LogFile(0))
		if err == nil && !strings.Contains(string(data), "no space left on device") {
			err = errors.New("it says nothing")
		}
		return err
	})
	select {
	case <-f.Ended(0):
	case <-time.After(30 * time.Second):
		t.Fatal("it says so and goes on")
	}
	free()
	if err := f.Restart(0); err != nil {
		t.Fatal(err)
	}
	if err := f.Ready(within(t, time.Minute)); err != nil {
		t.Fatal(err)
	}
	if got := f.balance("alice", eur); got != "0.00000005" {
		t.Errorf("alice has %s", got)
	}
	f.mint(5, addressOf("alice"))
}
