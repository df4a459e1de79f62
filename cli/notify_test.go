package cli_test

import (
	"net"
	"path/filepath"
	"testing"
	"time"

	"souk/cli"
)

// A service manager hears each word as one datagram, and at a third of its patience.
func TestOverseer(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{filepath.Join(dir, "notify"), "@" + dir} {
		l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
		if err != nil {
			t.Fatal(err)
		}
		t.Setenv("NOTIFY_SOCKET", name)
		t.Setenv("WATCHDOG_USEC", "30000")
		t.Setenv("WATCHDOG_PID", "")
		say, ticks := cli.Overseen()
		begin := time.Now()
		<-ticks
		if took := time.Since(begin); took < 5*time.Millisecond {
			t.Errorf("ticks after %v", took)
		}
		if err := say("READY=1\nSTATUS=well"); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 100)
		n, err := l.Read(buf)
		if err != nil || string(buf[:n]) != "READY=1\nSTATUS=well" {
			t.Errorf("%q, %v", buf[:n], err)
		}
		t.Setenv("WATCHDOG_PID", "1") // not ours
		if _, ticks := cli.Overseen(); ticks != nil {
			t.Error("the watchdog is another process's")
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		t.Setenv("WATCHDOG_PID", "")
		if name[0] != '@' {
			if say, _ := cli.Overseen(); say("READY=1") == nil {
				t.Error("nobody listens, and that is no error")
			}
		}
	}
	t.Setenv("NOTIFY_SOCKET", "")
	if say, ticks := cli.Overseen(); say("READY=1") != nil || ticks != nil {
		t.Error("there is no service manager")
	}
}
