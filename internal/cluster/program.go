package cluster

import (
	"context"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"
)

// Program is what somebody runs for himself beside the servers, such as his gate.
type Program struct {
	process *process
	log     string
}

// Run starts the souk program, which must not have run with this log before.
func Run(binary, log string, args ...string) (*Program, error) {
	p, err := begin(binary, log, args...)
	if err != nil {
		return nil, err
	}
	return &Program{p, log}, nil
}

// Says waits until the program has written something. It does not wait for one that
// has ended.
func (p *Program) Says(ctx context.Context, text string) error {
	for {
		ended := !p.process.running() // asked first: its last words count
		data, err := os.ReadFile(p.log)
		switch {
		case err != nil:
			return fmt.Errorf("read log: %w", err)
		case strings.Contains(string(data), text):
			return nil
		case ended:
			return fmt.Errorf("the program has ended without %q: %s", text, lastWords(p.log))
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the program does not say %q: %w: %s", text, ctx.Err(), lastWords(p.log))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Close ends the program in good order. One that takes too long is killed, which the
// error says.
func (p *Program) Close() error {
	p.process.cmd.Process.Signal(syscall.SIGTERM) //nolint:errcheck // it may be gone
	timer := time.NewTimer(stopWithin)
	defer timer.Stop()
	select {
	case <-p.process.done:
		return nil
	case <-timer.C:
		p.process.cmd.Process.Kill() //nolint:errcheck // it may be gone
		<-p.process.done
		return fmt.Errorf("the program did not stop within %v", stopWithin)
	}
}
