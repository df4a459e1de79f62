package comet

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	cmtlog "github.com/cometbft/cometbft/libs/log"
)

// Limits of what CometBFT may log, so that a peer cannot fill a disk with lines
// about itself.
const (
	logBurst  = 20
	logPerSec = 2
)

// libraryLogger hands CometBFT's warnings and errors to slog at warn level: most
// of them are about what a peer did, and none of them is for an operator to be
// woken by. What he must know is in Status. Lower levels are dropped unasked.
type libraryLogger struct {
	*logState
	module string
}

// logState is what all loggers of one engine share.
type logState struct {
	out   *slog.Logger
	limit *bucket
	quiet atomic.Bool // closing: errors of stopping are expected

	mu      sync.Mutex
	failure string
}

var _ cmtlog.Logger = (*libraryLogger)(nil)

func newLibraryLogger(out *slog.Logger) *libraryLogger {
	return &libraryLogger{logState: &logState{out: out, limit: &bucket{tokens: logBurst, at: time.Now()}}}
}

// Debug implements log.Logger.
func (*libraryLogger) Debug(string, ...any) {}

// Info implements log.Logger.
func (*libraryLogger) Info(string, ...any) {}

// Warn implements log.Logger.
func (l *libraryLogger) Warn(msg string, keyvals ...any) { l.log(msg, keyvals) }

// Error implements log.Logger. It remembers what consensus said when it ended.
func (l *libraryLogger) Error(msg string, keyvals ...any) {
	if strings.HasPrefix(msg, "CONSENSUS FAILURE") && len(keyvals) > 1 {
		l.mu.Lock()
		l.failure = clip(fmt.Sprint(keyvals[1]))
		l.mu.Unlock()
	}
	l.log(msg, keyvals)
}

// lastFailure returns why consensus ended.
func (s *logState) lastFailure() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failure
}

// With keeps the module's name only: the other attributes are the peers and
// heights of each line, and formatting them for lines never written costs more
// than gossip itself.
func (l *libraryLogger) With(keyvals ...any) cmtlog.Logger {
	if len(keyvals) == 2 && keyvals[0] == "module" {
		return &libraryLogger{logState: l.logState, module: fmt.Sprint(keyvals[1])}
	}
	return l
}

func (l *libraryLogger) log(msg string, keyvals []any) {
	if l.quiet.Load() || !l.limit.take(time.Now()) {
		return
	}
	attrs := []slog.Attr{slog.String("text", clip(msg))}
	if l.module != "" {
		attrs = append(attrs, slog.String("module", l.module))
	}
	for i := 0; i+1 < len(keyvals); i += 2 {
		if key, ok := keyvals[i].(string); ok && key != "stack" && key != "msg" {
			attrs = append(attrs, slog.String(key, clip(fmt.Sprint(keyvals[i+1]))))
		}
	}
	l.out.LogAttrs(context.Background(), slog.LevelWarn, "consensus library", attrs...)
}

// clip keeps a value that a peer had a hand in from filling the log.
func clip(s string) string {
	const most = 300
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}

// bucket is a token bucket.
type bucket struct {
	mu     sync.Mutex
	tokens float64
	at     time.Time
}

func (b *bucket) take(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tokens = min(logBurst, b.tokens+now.Sub(b.at).Seconds()*logPerSec)
	b.at = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}
