// Command mutate tests the tests. It copies the tree to temporary folders, one for
// each job, breaks one line of a copy at a time as faults.txt says, runs the tests that
// ought to notice, and reports the share of faults they caught.
//
// A fault is caught when a test fails or runs out of time. A fault that does not
// fit the source any more, does not compile, or whose tests fail without it, is an
// error: the list is kept as true as the code. With -memory what was caught is
// remembered, and not tried again before something that decides it changes.
//
// Usage:
//
//	mutate [-list file] [-least n] [-percent n] [-timeout d] [-jobs n] [-memory folder] [pattern of fault names]
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
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
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
	jobs    int
	memory  string
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
	flags.IntVar(&o.jobs, "jobs", runtime.NumCPU(), "how many faults to try at once")
	flags.StringVar(&o.memory, "memory", "", "the `folder` that remembers what was caught; nothing is remembered without one")
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
	memory, err := openMemory(o.memory)
	if err != nil {
		return false, err
	}
	dir, err := os.MkdirTemp("", "souk-mutate-")
	if err != nil {
		return false, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	b := bench{out: out, memory: memory}
	for i := range max(1, min(o.jobs, len(faults))) {
		t := trial{dir: filepath.Join(dir, strconv.Itoa(i)), timeout: o.timeout}
		if err := os.Mkdir(t.dir, 0o700); err != nil {
			return false, err
		}
		if err := copyTree(t.dir, o.root); err != nil {
			return false, fmt.Errorf("copy the tree: %w", err)
		}
		b.trials = append(b.trials, t)
	}
	todo, err := b.remember(ctx, faults)
	if err != nil {
		return false, err
	}
	if err := b.prepare(ctx, todo); err != nil {
		return false, err
	}
	caught, wrong := b.tryAll(ctx, todo)
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	caught += len(faults) - len(todo)
	percent := 100 * caught / len(faults)
	fmt.Fprintf(out, "\n%d of %d faults caught (%d%%), %d missed, %d errors\n",
		caught, len(faults), percent, len(faults)-caught-wrong, wrong)
	return wrong == 0 && percent >= o.percent, nil
}

// bench tries faults in several copies of the tree at once.
type bench struct {
	trials []trial
	memory *memory

	mu  sync.Mutex
	out io.Writer
}

func (b *bench) report(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	fmt.Fprintf(b.out, format, args...)
}

// spread hands the items to the copies, each to one that is free. A copy that returns
// false ends it.
func spread[T any](b *bench, items []T, work func(trial, T) bool) {
	next := make(chan T)
	over := make(chan struct{})
	var once sync.Once
	var all sync.WaitGroup
	for _, t := range b.trials {
		all.Go(func() {
			for item := range next {
				if !work(t, item) {
					once.Do(func() { close(over) })
				}
			}
		})
	}
	for _, item := range items {
		select {
		case next <- item:
			continue
		case <-over:
		}
		break
	}
	close(next)
	all.Wait()
}

// remember makes sure that every fault fits the source, names what decides it, and
// answers the faults that no earlier run caught.
func (b *bench) remember(ctx context.Context, faults []fault) ([]fault, error) {
	var errs []error
	var todo []fault
	for _, f := range faults {
		src, err := os.ReadFile(b.trials[0].path(f.file))
		if err == nil {
			_, err = f.apply(string(src))
		}
		if err == nil {
			f.key, err = b.memory.key(ctx, b.trials[0], f)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", f.name, err))
		}
		if !b.memory.has(f.key) {
			todo = append(todo, f)
		}
	}
	if len(todo) < len(faults) {
		b.report("%d of %d faults were caught before, and nothing that decides them has changed\n", len(faults)-len(todo), len(faults))
	}
	return todo, errors.Join(errs...)
}

// prepare makes sure that the tests which ought to catch faults pass without any.
func (b *bench) prepare(ctx context.Context, faults []fault) error {
	var errs []error
	var tests []suite
	for _, f := range faults {
		for _, s := range f.suites {
			if !slices.Contains(tests, s) {
				tests = append(tests, s)
			}
		}
	}
	var mu sync.Mutex
	spread(b, tests, func(t trial, s suite) bool {
		start := time.Now()
		failed, output := t.test(ctx, s)
		if failed {
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, fmt.Errorf("tests fail without any fault: %s\n%s", s, output))
			return false
		}
		b.report("passes  %s, %.0fs\n", s, time.Since(start).Seconds())
		return true
	})
	return errors.Join(errs...)
}

// tryAll counts the faults that tests caught, and those that could not be tried.
func (b *bench) tryAll(ctx context.Context, faults []fault) (caught, wrong int) {
	var mu sync.Mutex
	spread(b, faults, func(t trial, f fault) bool {
		verdict, err := t.try(ctx, f)
		if ctx.Err() != nil {
			return false
		}
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err != nil:
			wrong++
			b.report("ERROR   %s: %v\n", f.name, err)
		case verdict == "":
			b.report("MISSED  %s (%s)\n", f.name, f.file)
		default:
			caught++
			b.report("caught  %s, by %s\n", f.name, verdict)
			if err := b.memory.keep(f.key); err != nil {
				b.report("it is not remembered: %v\n", err)
			}
		}
		return true
	})
	return caught, wrong
}

// trial is a copy of the tree in which faults are tried.
type trial struct {
	dir     string
	timeout time.Duration
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
