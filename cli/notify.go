package cli

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"time"
)

// overseer is the service manager that has started this process, if one has: systemd, or
// whoever else speaks its protocol (sd_notify(3)), which is one datagram for each word.
type overseer struct {
	socket string
	ticks  <-chan time.Time // when it wants to hear that all is well; nil: never
	stop   func()
}

// overseen finds the service manager.
func overseen() *overseer {
	o := &overseer{socket: os.Getenv("NOTIFY_SOCKET"), stop: func() {}}
	usec, err := strconv.ParseInt(os.Getenv("WATCHDOG_USEC"), 10, 64)
	pid := os.Getenv("WATCHDOG_PID")
	if o.socket == "" || err != nil || usec <= 0 || pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return o
	}
	t := time.NewTicker(max(time.Duration(usec)*time.Microsecond/3, time.Millisecond))
	o.ticks, o.stop = t.C, t.Stop
	return o
}

// say tells it something; without one nobody is told.
func (o *overseer) say(words string) error {
	if o.socket == "" {
		return nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: o.socket, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("tell the service manager: %w", err)
	}
	defer conn.Close() //nolint:errcheck // the datagram is on its way
	if _, err := conn.Write([]byte(words)); err != nil {
		return fmt.Errorf("tell the service manager: %w", err)
	}
	return nil
}
