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

	"souk/exchange/roster"
	"souk/internal/cluster"
)

// Requests of Linux that hold and let go of all writing to a file system.
const (
	fiFreeze = 0xc0045877
	fiThaw   = 0xc0045878
)

// stallingDisk moves a home to a file system of its own, on a file, that can be made
// to stall: whatever writes to it waits until stalled is called with false. The test
// is skipped, with the reason, where that is not allowed. The file system is let go
// of before the servers are stopped, however the test ends.
func stallingDisk(t *testing.T, home string) (stalled func(bool) error) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("needs Linux to hold a file system")
	}
	run := func(name string, args ...string) error {
		if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", name, err, out)
		}
		return nil
	}
	image, aside := home+".image", home+".aside"
	if err := errors.Join(os.Rename(home, aside), os.Mkdir(home, 0o700), os.WriteFile(image, nil, 0o600), os.Truncate(image, 2<<30)); err != nil {
		t.Fatal(err)
	}
	if err := run("mkfs.ext4", "-q", "-F", image); err != nil {
		t.Skipf("making a file system is not possible here: %v", err)
	}
	if err := run("mount", "-o", "loop", image, home); err != nil {
		t.Skipf("mounting a file system is not allowed here: %v", err)
	}
	root, err := os.Open(home) // opened before it stalls
	if err != nil {
		t.Fatal(errors.Join(err, syscall.Unmount(home, syscall.MNT_DETACH)))
	}
	stalled = func(on bool) error {
		request := uintptr(fiThaw)
		if on {
			request = fiFreeze
		}
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, root.Fd(), request, 0); errno != 0 {
			return errno
		}
		return nil
	}
	t.Cleanup(func() {
		stalled(false) //nolint:errcheck // it is let go of already if all went well
		if err := errors.Join(root.Close(), syscall.Unmount(home, syscall.MNT_DETACH)); err != nil {
			t.Error(err)
		}
	})
	if err := run("cp", "-a", aside+"/.", home); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(stalled(true), stalled(false)); err != nil {
		t.Skipf("holding a file system is not allowed here: %v", err)
	}
	return stalled
}

// The disk of one server stalls under load: whatever it writes waits, for longer than
// it takes until its turns are missed. The others go on and clients see no error; let
// go, the same process catches up with what they have and gets its power back.
func TestDiskStalls(t *testing.T) {
	const slow = 2
	var stalled func(bool) error
	f := prepared(t, 4, func(c *cluster.Cluster) {
		stalled = stallingDisk(t, string(c.Homes[slow]))
		// Its log is elsewhere, as operators have it.
		if err := os.Symlink(filepath.Join(t.TempDir(), "log"), c.LogFile(slow)); err != nil {
			t.Fatal(err)
		}
	})
	t.Cleanup(func() { stalled(false) }) //nolint:errcheck // before the servers are stopped
	s := f.trade()
	for round := range rounds(1, 5) {
		s.after(60)
		s.longest()
		before, began := heightOf(t, f, slow), time.Now()
		if err := stalled(true); err != nil {
			t.Fatal(err)
		}
		// More blocks than a server keeps in memory, so that the stall is felt.
		s.after(120)
		eventually(t, 60*time.Second, "the server that stalls is demoted", func() error {
			m, err := f.member((slow+1)%4, slow)
			if err == nil && (!m.Demoted || m.Power != 1) {
				err = fmt.Errorf("power %d", m.Power)
			}
			return err
		})
		s.after(60)
		eventually(t, 30*time.Second, "it says that it stalls", func() error {
			st, err := f.Status(within(t, 5*time.Second), slow)
			if err != nil {
				return err
			}
			log, err := os.ReadFile(f.LogFile(slow))
			if err != nil || !strings.Contains(string(log), "no block although one is wanted") || st.Stalled < 10_000 {
				return errors.Join(err, fmt.Errorf("block %d, none for %d ms", st.Height, st.Stalled))
			}
			return nil
		})
		gap, other := s.longest(), heightOf(t, f, (slow+1)%4)
		if !f.Running(slow) {
			t.Fatal("the server that stalls has ended")
		}
		t.Logf("round %d: stalled for %v at block %d, the others are at %d, longest pause %v",
			round+1, time.Since(began).Round(time.Millisecond), before, other, gap.Round(time.Millisecond))
		began = time.Now()
		if err := stalled(false); err != nil {
			t.Fatal(err)
		}
		other = heightOf(t, f, (slow+1)%4)
		eventually(t, 90*time.Second, "it has what the others had when it went on", func() error {
			if height := heightOf(t, f, slow); height < other {
				return fmt.Errorf("block %d of %d", height, other)
			}
			return nil
		})
		t.Logf("caught up with block %d after %v", other, time.Since(began).Round(time.Millisecond))
		eventually(t, 90*time.Second, "it has its power back", func() error {
			m, err := f.member((slow+1)%4, slow)
			if err == nil && (m.Demoted || m.Power != roster.FullPower) {
				err = fmt.Errorf("power %d", m.Power)
			}
			return err
		})
		t.Logf("full power after %v", time.Since(began).Round(time.Millisecond))
	}
	s.after(40)
	receipts := s.end()
	f.sound()
	for i := range f.URLs {
		f.kept(i, receipts)
	}
}
