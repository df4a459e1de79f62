package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"souk/api"
)

const (
	// topEvery is how often everything is asked for anew.
	topEvery = time.Second
	// topPatience is how long a member is waited for before it counts as down.
	topPatience = 900 * time.Millisecond
)

func (a *app) topCommand() *cobra.Command {
	var home string
	c := &cobra.Command{
		Use: "top [MARKET]", Short: "Watch a market, the members and the banks on the terminal", Args: cobra.MaximumNArgs(1),
		Long: `Watch a market's book and trades, the members with the block that each has and how long it takes to answer, and the
banks, on the terminal. Keys: tab for the next page, left and right for the next market, up and down to scroll, ? for help, q to end.`,
		Example: "  souk top BTC-EUR\n  souk top --home /var/lib/souk",
		RunE: func(c *cobra.Command, args []string) error {
			in, isFile := a.in.(*os.File)
			out, too := a.out.(*os.File)
			if !isFile || !too || !term.IsTerminal(int(in.Fd())) || !term.IsTerminal(int(out.Fd())) {
				return usageError{errors.New("souk top needs a terminal; souk status, souk book and souk trades print the same for programs")}
			}
			if a.output != "table" {
				return usageError{errors.New("souk top has one form only; souk status -o json is for programs")}
			}
			market := ""
			if len(args) == 1 {
				market = args[0]
			}
			return a.top(c.Context(), home, market, in, out)
		},
	}
	c.Flags().StringVar(&home, "home", "", "folder of a server: ask that one first (default: the servers of the purse)")
	return c
}

func (a *app) top(ctx context.Context, home, market string, in, out *os.File) error {
	s, err := a.session()
	if home != "" {
		s, err = a.atHome(home)
	}
	if err != nil {
		return err
	}
	defer s.client.Close()
	first, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	if market != "" { // one that there is not should be said before the screen is taken
		pair, err := shownPair(first, s, market)
		if err != nil {
			return err
		}
		market = pair.Symbol()
	}
	look := &looker{s: s, members: map[string]*api.Client{}}
	defer look.close()
	if _, err := s.client.Status(first); err != nil {
		return err
	}
	screen := &topScreen{topView: topView{market: market, color: os.Getenv("NO_COLOR") == "", width: 80, height: 24}, look: look, ctx: ctx}
	_, err = tea.NewProgram(screen, tea.WithContext(ctx), tea.WithInput(in), tea.WithOutput(out), tea.WithoutSignalHandler()).Run()
	if errors.Is(err, tea.ErrProgramKilled) && ctx.Err() != nil {
		return errStopped
	}
	return err
}

// looker asks servers for what the screen shows.
type looker struct {
	s       *session
	members map[string]*api.Client // by base URL; one look at a time uses it
}

func (l *looker) close() {
	for _, c := range l.members {
		c.Close()
	}
}

// look asks for everything once. A part that does not come is left out.
func (l *looker) look(ctx context.Context, market string) *glance {
	g := &glance{at: time.Now(), reach: map[string]reach{}}
	ctx, cancel := context.WithTimeout(ctx, 3*topEvery)
	defer cancel()
	if g.status, g.err = l.s.client.Status(ctx); g.err != nil {
		return g
	}
	var all sync.WaitGroup
	all.Go(func() {
		if g.markets, g.err = l.s.client.Markets(ctx); g.err != nil || len(g.markets.Markets) == 0 {
			return
		}
		if market == "" {
			market = g.markets.Markets[0].Symbol
		}
		if g.book, g.err = l.s.client.Book(ctx, market, api.MaxDepth); g.err == nil {
			g.trades, g.err = l.s.client.Trades(ctx, api.Page{Market: market, Limit: 50})
		}
	})
	var mu sync.Mutex
	for i := range g.status.Members {
		url := g.status.Members[i].URL
		c, err := l.member(url)
		if err != nil {
			continue
		}
		all.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, topPatience)
			defer cancel()
			begin := time.Now()
			status, err := c.Status(ctx)
			r := reach{took: time.Since(begin), down: err != nil}
			if err == nil {
				r.height = status.Height
			}
			mu.Lock()
			defer mu.Unlock()
			g.reach[url] = r
		})
	}
	all.Wait()
	return g
}

// member is the client of one member's server.
func (l *looker) member(url string) (*api.Client, error) {
	if c, ok := l.members[url]; ok {
		return c, nil
	}
	c, err := api.NewClient(api.Config{Servers: []string{url}, ID: l.s.id, Hasty: true})
	if err != nil {
		return nil, fmt.Errorf("member: %w", err)
	}
	l.members[url] = c
	return c, nil
}

// topScreen is the dashboard on a terminal: it turns keys and answers into what topView
// shows.
type topScreen struct {
	topView
	look *looker
	ctx  context.Context //nolint:containedctx // the terminal's program has none of its own
}

// Init implements tea.Model.
func (t *topScreen) Init() tea.Cmd { return t.again(0) }

// again looks after a pause.
func (t *topScreen) again(pause time.Duration) tea.Cmd {
	market := t.market
	return func() tea.Msg {
		select {
		case <-t.ctx.Done():
			return tea.Quit()
		case <-time.After(pause):
			return t.look.look(t.ctx, market)
		}
	}
}

// Update implements tea.Model.
func (t *topScreen) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		t.width, t.height = msg.Width, msg.Height
	case tea.KeyPressMsg:
		if t.press(msg.String()) {
			return t, tea.Quit
		}
	case *glance:
		t.see(msg)
		return t, t.again(topEvery)
	}
	return t, nil
}

// View implements tea.Model.
func (t *topScreen) View() tea.View {
	v := tea.NewView(t.String())
	v.AltScreen = true
	return v
}
