// Command tally runs go test, once or several times over, and says plainly what
// came of it: a line for each package, the whole output of each test that failed,
// the slowest packages, and one last line with the number of tests that passed
// and failed. Its exit status is 0 only if something ran and nothing failed.
//
// Usage:
//
//	tally [-slowest n] [--] arguments of go test [-- arguments of a further go test]...
//
// It stands beside the floors; only the Makefile uses it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("tally", flag.ContinueOnError)
	flags.SetOutput(stderr)
	slowest := flags.Int("slowest", 10, "list the `n` slowest packages")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	passes := split(flags.Args())
	if len(passes) == 0 {
		passes = [][]string{{"./..."}}
	}
	total := NewCount(stdout)
	for i, pass := range passes {
		if len(passes) > 1 {
			fmt.Fprintf(stdout, "== go test %s\n", strings.Join(pass, " "))
		}
		if err := goTest(ctx, pass, total.Pass(pass), stderr); err != nil {
			fmt.Fprintf(stderr, "tally: pass %d: %v\n", i+1, err)
		}
		if ctx.Err() != nil {
			break
		}
	}
	total.Report(*slowest)
	if !total.OK() || ctx.Err() != nil {
		return 1
	}
	return 0
}

// split cuts the arguments at each "--".
func split(args []string) [][]string {
	var passes [][]string
	for len(args) > 0 {
		n := slices.Index(args, "--")
		if n < 0 {
			return append(passes, args)
		}
		if n > 0 {
			passes = append(passes, args[:n])
		}
		args = args[n+1:]
	}
	return passes
}

// goTest runs go test and feeds its events to the pass. A test that fails is the
// pass's business and no error; the pass records as well that go test ended badly.
func goTest(ctx context.Context, args []string, pass *Pass, stderr io.Writer) error {
	cmd := exec.CommandContext(ctx, "go", append([]string{"test", "-json"}, args...)...) //nolint:gosec // the Makefile's own arguments
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.Stderr = stderr
	events, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		pass.Broken()
		return err
	}
	readErr := pass.Read(events)
	err = cmd.Wait()
	var exit *exec.ExitError
	switch {
	case readErr != nil:
		pass.Broken()
		return fmt.Errorf("read events: %w", readErr)
	case errors.As(err, &exit):
		if !pass.failed {
			pass.Broken()
			return fmt.Errorf("go test: %w", err)
		}
		return nil
	case err != nil:
		pass.Broken()
		return err
	}
	return nil
}
