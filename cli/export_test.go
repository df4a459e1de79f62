package cli

import (
	"io"
	"time"

	"souk/api"
	"souk/exchange/custody"
	"souk/internal/load"
	"souk/store/sealed"
)

// Length reads a length of time as flags do.
func Length(text string) (time.Duration, error) {
	var l length
	err := l.Set(text)
	return time.Duration(l), err
}

// Span is a time in ms for people.
func Span(ms uint64) string { return span(ms) }

// QuickMain is Main for tests, whose purses hold nothing of worth.
func QuickMain(args []string, in io.Reader, out, errw io.Writer) int {
	a := &app{in: in, out: out, err: errw, work: sealed.TestWork}
	return a.run(args)
}

// Tighten is what withdraw settings --only --delay signs for settings in force, with a
// change to come or none: what is in force at once, and what after that.
func Tighten(now custody.Settings, coming *custody.Settings, only bool, delay time.Duration) (lock *custody.Settings, next custody.Settings, err error) {
	x := &ruled{now: now, next: now, coming: coming != nil}
	if coming != nil {
		x.next = *coming
	}
	err = (&rulesFlags{only: only, delay: length(delay)}).change(x)
	return x.lock, x.next, err
}

// Overseen finds the service manager: what tells it something, and when it wants to hear
// that all is well.
func Overseen() (say func(string) error, ticks <-chan time.Time) {
	o := overseen()
	return o.say, o.ticks
}

// Glance is what one look at servers brought.
type Glance struct {
	At      time.Time
	Status  *api.Status
	Markets *api.Markets
	Book    *api.Book
	Trades  *api.Trades
	Reach   map[string]Reach
	Err     error
}

// Reach is how a member's server answers.
type Reach struct {
	Took   time.Duration
	Height uint64
	Down   bool
}

// TopView is the dashboard.
type TopView struct{ view topView }

// NewTopView makes a dashboard for a terminal.
func NewTopView(width, height int, color bool) *TopView {
	return &TopView{topView{width: width, height: height, color: color}}
}

// See takes in a look.
func (v *TopView) See(g Glance) {
	seen := &glance{at: g.At, status: g.Status, markets: g.Markets, book: g.Book, trades: g.Trades, reach: map[string]reach{}, err: g.Err}
	for url, r := range g.Reach {
		seen.reach[url] = reach{took: r.Took, height: r.Height, down: r.Down}
	}
	v.view.see(seen)
}

// Press presses a key; true is to end.
func (v *TopView) Press(key string) bool { return v.view.press(key) }

// String is the screen.
func (v *TopView) String() string { return v.view.String() }

// NewWalk is the price that a market's bots think is right, by time.
func NewWalk(m *load.Market, now time.Time) func(time.Time) float64 { return newWalk(m, now).at }

// BotLevels is how many places a maker's ladder has on each side, and Ideal the price of one.
const BotLevels = botLevels

// Ideal is for tests.
var Ideal = ideal
