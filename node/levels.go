package node

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
)

// Subsystems that log at levels of their own.
const (
	logNode      = "node"      // starting, stopping, restarting, what a reload did
	logWeb       = "web"       // HTTP
	logConsensus = "consensus" // peers and votes
	logState     = "state"     // execution, the store
	logChain     = "chain"     // nodes of chains
	logBank      = "bank"      // a member's work for banks
	logNetwork   = "network"   // peers and mail
)

// Subsystems are the names that a text of levels may have.
func Subsystems() []string {
	return []string{logNode, logWeb, logConsensus, logState, logChain, logBank, logNetwork}
}

// Levels say from which level on each subsystem's lines are logged. They can be changed
// at any time, by any goroutine.
type Levels struct {
	base  slog.Handler
	vars  map[string]*slog.LevelVar // of all subsystems, never changed
	mu    sync.Mutex                // guards what Set changes together
	plain slog.Level                // of subsystems that the text does not name
}

// NewLevels makes levels as a text has them, for lines that go to a writer.
func NewLevels(w io.Writer, format, text string) (*Levels, error) {
	l := &Levels{vars: map[string]*slog.LevelVar{}}
	for _, name := range Subsystems() {
		l.vars[name] = &slog.LevelVar{}
	}
	all := &slog.HandlerOptions{Level: slog.LevelDebug}
	l.base = slog.NewTextHandler(w, all)
	if format == "json" {
		l.base = slog.NewJSONHandler(w, all)
	}
	return l, l.Set(text)
}

// Logger is the logger of a subsystem.
func (l *Levels) Logger(subsystem string) *slog.Logger {
	return slog.New(&levelHandler{l.base, l.vars[subsystem]}).With(slog.String("subsystem", subsystem))
}

// Set changes all levels to those of a text: a level for all, then exceptions, such as
// "info,consensus=debug,web=warn". A text that is not understood changes nothing.
func (l *Levels) Set(text string) error {
	plain, special, err := parseLevels(text)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.plain = plain
	for name, v := range l.vars {
		level, ok := special[name]
		if !ok {
			level = plain
		}
		v.Set(level)
	}
	return nil
}

// String is the text of the levels as they are.
func (l *Levels) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	parts := []string{levelName(l.plain)}
	for _, name := range Subsystems() {
		if level := l.vars[name].Level(); level != l.plain {
			parts = append(parts, name+"="+levelName(level))
		}
	}
	return strings.Join(parts, ",")
}

// namedLevel is a level as a text has it.
type namedLevel struct {
	name  string
	level slog.Level
}

// levelNames are the levels of a text.
var levelNames = []namedLevel{{"debug", slog.LevelDebug}, {"info", slog.LevelInfo}, {"warn", slog.LevelWarn}, {"error", slog.LevelError}}

func levelName(level slog.Level) string {
	for _, x := range levelNames {
		if x.level == level {
			return x.name
		}
	}
	return level.String()
}

// parseLevels reads a text of levels.
func parseLevels(text string) (plain slog.Level, special map[string]slog.Level, err error) {
	special = map[string]slog.Level{}
	for i, part := range strings.Split(text, ",") {
		name, word, named := strings.Cut(strings.TrimSpace(part), "=")
		if !named {
			name, word = "", name
		}
		at := slices.IndexFunc(levelNames, func(x namedLevel) bool { return x.name == word })
		switch {
		case at < 0:
			return 0, nil, fmt.Errorf("%q: write debug, info, warn or error, and behind it exceptions, such as info,consensus=debug", part)
		case !named && i > 0:
			return 0, nil, fmt.Errorf("%q: the level for all stands first, and once", part)
		case named && i == 0:
			return 0, nil, fmt.Errorf("%q: the level for all stands first, such as info,%s", part, part)
		case !named:
			plain = levelNames[at].level
		case !slices.Contains(Subsystems(), name):
			return 0, nil, fmt.Errorf("%q: there is no such subsystem; there are %s", name, strings.Join(Subsystems(), ", "))
		default:
			special[name] = levelNames[at].level
		}
	}
	return plain, special, nil
}

// levelHandler drops what is below a level.
type levelHandler struct {
	slog.Handler
	level *slog.LevelVar
}

// Enabled implements slog.Handler.
func (h *levelHandler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= h.level.Level()
}

// WithAttrs implements slog.Handler.
func (h *levelHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &levelHandler{h.Handler.WithAttrs(attrs), h.level}
}

// WithGroup implements slog.Handler.
func (h *levelHandler) WithGroup(name string) slog.Handler {
	return &levelHandler{h.Handler.WithGroup(name), h.level}
}
