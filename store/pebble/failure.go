package pebble

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"

	engine "github.com/cockroachdb/pebble/v2"

	"souk/store"
)

// failure is the first error after which a store answers nothing more.
type failure struct {
	seen    chan struct{} // closed once err is set
	once    sync.Once
	err     atomic.Pointer[error]
	stopped chan struct{} // closed when a goroutine of the engine was ended
	ended   sync.Once
	log     *slog.Logger
	dir     string
}

func newFailure(log *slog.Logger, dir string) *failure {
	return &failure{seen: make(chan struct{}), stopped: make(chan struct{}), log: log, dir: dir}
}

// get returns the failure, which matches store.ErrFailed or store.ErrCorrupt,
// or nil.
func (f *failure) get() error {
	if err := f.err.Load(); err != nil {
		return *err
	}
	return nil
}

// set records err unless there is a failure already, and returns the failure.
// It takes no lock of the engine's and may be called under any.
func (f *failure) set(err error) error {
	f.once.Do(func() {
		err = named(err)
		if !errors.Is(err, store.ErrCorrupt) {
			err = fmt.Errorf("%w: %w", store.ErrFailed, err)
		}
		f.err.Store(&err)
		close(f.seen)
		f.log.Error("store failed; it refuses everything until it is opened again",
			slog.String("dir", f.dir), slog.Any("error", err))
	})
	return f.get()
}

// named gives an error of the engine the name that the port has for it.
func named(err error) error {
	if engine.IsCorruptionError(err) && !errors.Is(err, store.ErrCorrupt) {
		return fmt.Errorf("%w: %w", store.ErrCorrupt, err)
	}
	return err
}

// run calls the engine for something that writes. The call may never come back
// (see disk), so it has a goroutine of its own; its caller learns of a failure
// at once, whatever becomes of it.
func (s *Store) run(call func() error) error {
	done := make(chan error, 1)
	go func() { done <- call() }()
	select {
	case err := <-done:
		return err
	case <-s.failed.seen:
		return s.failed.get()
	}
}

// logger carries what the engine says to the program's log.
type logger struct {
	failed *failure
	log    *slog.Logger
}

var _ engine.Logger = logger{}

// Infof logs at level Debug: the engine is talkative.
func (l logger) Infof(format string, args ...any) {
	if l.log.Enabled(context.Background(), slog.LevelDebug) {
		l.log.Debug("storage engine", slog.String("says", fmt.Sprintf(format, args...)))
	}
}

// Errorf logs at level Warn: what matters comes as an event too.
func (l logger) Errorf(format string, args ...any) {
	l.log.Warn("storage engine", slog.String("says", fmt.Sprintf(format, args...)))
}

// Fatalf is where the engine expects the process to end, for it has not thought
// about what comes after. It is the store that ends instead, and the goroutine,
// which gives back its locks on the way: one of run, or one of the engine's own
// that must not try again. Reading never comes here.
func (l logger) Fatalf(format string, args ...any) {
	err := fmt.Errorf("storage engine stopped: "+format, args...)
	for _, arg := range args {
		if cause, ok := arg.(error); ok {
			err = fmt.Errorf("storage engine stopped: %w", cause)
		}
	}
	_ = l.failed.set(err) // told to those who ask
	l.failed.ended.Do(func() { close(l.failed.stopped) })
	runtime.Goexit()
}
