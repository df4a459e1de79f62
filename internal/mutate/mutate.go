// Command mutate tests the tests. It copies the tree to a temporary folder,
// breaks one line of the copy at a time as faults.txt says, runs the tests that
// ought to notice, and reports the share of faults they caught.
//
// A fault is caught when a test fails or runs out of time. A fault that does not
// fit the source any more, does not compile, or whose tests fail without it, is an
// error: the list is kept as true as the code.
//
// Usage:
//
//	mutate [-list file] [-least n] [-percent n] [-timeout d] [pattern of fault names]
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
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := command(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// options are what the command line says.
type options struct {
	root    string
	list    string
	least   int
	percent int
	timeout time.Duration
	only    *regexp.Regexp
}

func command(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var o options
	flags := flag.NewFlagSet("mutate", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.root, "root", ".", "the `folder` of the module")
	flags.StringVar(&o.list, "list", "internal/mutate/faults.txt", "the `file` of faults, below the root")
	flags.IntVar(&o.least, "least", 30, "fail if the list holds fewer faults")
	flags.IntVar(&o.percent, "percent", 95, "fail if a smaller share is caught")
	flags.DurationVar(&o.timeout, "timeout", 5*time.Minute, "how long a package's tests may take")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	only, err := regexp.Compile(strings.Join(flags.Args(), "|"))
	if err != nil {
		fmt.Fprintf(stderr, "mutate: pattern of names: %v\n", err)
		return 2
	}
	o.only = only
	ok, err := run(ctx, o, stdout)
	if err != nil {
		fmt.Fprintf(stderr, "mutate: %v\n", err)
		return 2
	}
	if !ok {
		return 1
	}
	return 0
}

// run reports on all faults that o.only matches, and whether the suite is good
// enough. Its error says that the faults could not be tried.
func run(ctx context.Context, o options, out io.Writer) (bool, error) {
	text, err := os.ReadFile(filepath.Join(o.root, filepath.FromSlash(o.list)))
	if err != nil {
		return false, err
	}
	faults, err := parse(string(text))
	if err != nil {
		return false, fmt.Errorf("%s: %w", o.list, err)
	}
	if len(faults) < o.least {
		return false, fmt.Errorf("%s lists %d faults, want at least %d", o.list, len(faults), o.least)
	}
	faults = slices.DeleteFunc(faults, func(f fault) bool { return !o.only.MatchString(f.name) })
	if len(faults) == 0 {
		return false, errors.New("no fault has such a name")
	}
	dir, err := os.MkdirTemp("", "souk-mutate-")
	if err != nil {
		return false, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	t := trial{dir: dir, timeout: o.timeout, out: out}
	if err := copyTree(dir, o.root); err != nil {
		return false, fmt.Errorf("copy the tree: %w", err)
	}
	if err := t.prepare(ctx, faults); err != nil {
		return false, err
	}
	caught, wrong := 0, 0
	for _, f := range faults {
		verdict, err := t.try(ctx, f)
		switch {
		case ctx.Err() != nil:
			return false, ctx.Err()
		case err != nil:
			wrong++
			fmt.Fprintf(out, "ERROR   %s: %v\n", f.name, err)
		case verdict == "":
			fmt.Fprintf(out, "MISSED  %s (%s)\n", f.name, f.file)
		default:
			caught++
			fmt.Fprintf(out, "caught  %s, by %s\n", f.name, verdict)
		}
	}
	percent := 100 * caught / len(faults)
	fmt.Fprintf(out, "\n%d of %d faults caught (%d%%), %d missed, %d errors\n",
		caught, len(faults), percent, len(faults)-caught-wrong, wrong)
	return wrong == 0 && percent >= o.percent, nil
}

// trial is a copy of the tree in which faults are tried.
type trial struct {
	dir     string
	timeout time.Duration
	out     io.Writer
}

// prepare makes sure that every fault fits the source, and that the tests which
// ought to catch faults pass without any.
func (t trial) prepare(ctx context.Context, faults []fault) error {
	var errs []error
	var tests []suite
	for _, f := range faults {
		src, err := os.ReadFile(t.path(f.file))
		if err == nil {
			_, err = f.apply(string(src))
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", f.name, err))
		}
		for _, s := range f.suites {
			if !slices.Contains(tests, s) {
				tests = append(tests, s)
			}
		}
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	for _, s := range tests {
		start := time.Now()
		failed, output := t.test(ctx, s)
		if failed {
			return fmt.Errorf("tests fail without any fault: %s\n%s", s, output)
		}
		fmt.Fprintf(t.out, "passes  %s, %.0fs\n", s, time.Since(start).Seconds())
	}
	return nil
}

// try applies a fault, runs its tests until one fails, and takes the fault back.
// It returns what caught the fault, or nothing.
func (t trial) try(ctx context.Context, f fault) (caughtBy string, err error) {
	file := t.path(f.file)
	src, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	broken, err := f.apply(string(src))
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(file, []byte(broken), 0o600); err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.WriteFile(file, src, 0o600)) }()
	if output, err := t.goCommand(ctx, "build", "./"+filepath.ToSlash(filepath.Dir(f.file))).CombinedOutput(); err != nil {
		return "", fmt.Errorf("does not compile:\n%s", output)
	}
	for _, s := range f.suites {
		if failed, _ := t.test(ctx, s); failed {
			return s.String(), nil
		}
	}
	return "", nil
}

// test runs one package's tests; running out of time is a failure too.
func (t trial) test(ctx context.Context, s suite) (failed bool, output string) {
	args := []string{"test", "-vet=off", "-failfast", "-timeout=" + t.timeout.String()}
	if s.run != "" {
		args = append(args, "-run="+s.run)
	}
	out, err := t.goCommand(ctx, append(args, "./"+s.pkg)...).CombinedOutput()
	return err != nil, string(out)
}

func (t trial) goCommand(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...) //nolint:gosec // the arguments come from the project's own list
	cmd.Dir = t.dir
	// Without its path, which is another one each time, what was built before is found again.
	cmd.Env = append(os.Environ(), "PWD="+t.dir, "GOFLAGS="+strings.TrimSpace(os.Getenv("GOFLAGS")+" -trimpath"))
	return cmd
}

func (t trial) path(file string) string { return filepath.Join(t.dir, filepath.FromSlash(file)) }

// copyTree copies the module at root to dir, without hidden folders and bin.
func copyTree(dir, root string) error {
	entries, err := os.ReadDir(root)
	if err != nil {
		return err
	}
	for _, e := range entries {
		from, to := filepath.Join(root, e.Name()), filepath.Join(dir, e.Name())
		switch {
		case strings.HasPrefix(e.Name(), "."), e.Name() == "bin":
		case e.IsDir():
			err = os.CopyFS(to, os.DirFS(from))
		case e.Type().IsRegular():
			err = copyFile(to, from)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func copyFile(to, from string) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, content, 0o600)
}
