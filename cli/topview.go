package cli

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"souk/api"
)

// glance is what one look at the servers brought.
type glance struct {
	at      time.Time
	status  *api.Status
	markets *api.Markets
	book    *api.Book
	trades  *api.Trades
	reach   map[string]reach // of members, by base URL
	err     error            // of what is missing
}

// reach is how a member's server answers.
type reach struct {
	took   time.Duration
	height uint64
	down   bool
}

// topView is what the dashboard shows: a function of what was seen, of the keys pressed and
// of the size of the terminal.
type topView struct {
	now, before   *glance // the newest, and the one before it
	market        string
	page          int
	skip          int // lines scrolled away
	help, color   bool
	width, height int
}

// pages of the dashboard.
var pages = []string{"market", "members", "banks"}

// see takes in what a look brought.
func (d *topView) see(g *glance) {
	if g.status == nil && d.now != nil { // what was seen before stays, with the reason
		old := *d.now
		old.err = g.err
		d.now = &old
		return
	}
	d.before, d.now = d.now, g
	if d.market == "" && g.markets != nil && len(g.markets.Markets) > 0 {
		d.market = g.markets.Markets[0].Symbol
	}
}

// press does what a key says; true is to end.
func (d *topView) press(key string) bool {
	switch key {
	case "q", "ctrl+c", "esc":
		return true
	case "?", "h":
		d.help = !d.help
	case "tab":
		d.page, d.skip = (d.page+1)%len(pages), 0
	case "shift+tab":
		d.page, d.skip = (d.page+len(pages)-1)%len(pages), 0
	case "right":
		d.turn(1)
	case "left":
		d.turn(-1)
	case "down":
		d.skip++
	case "up":
		d.skip = max(d.skip-1, 0)
	}
	return false
}

// turn goes to another market.
func (d *topView) turn(by int) {
	if d.now == nil || d.now.markets == nil || len(d.now.markets.Markets) == 0 {
		return
	}
	all := d.now.markets.Markets
	at := 0
	for i := range all {
		if all[i].Symbol == d.market {
			at = i
		}
	}
	d.market, d.skip = all[(at+by+len(all))%len(all)].Symbol, 0
	d.now.book, d.now.trades = nil, nil
}

// String is the screen: no line is longer than the terminal is wide, and there are no
// more than it is high.
func (d *topView) String() string {
	if d.now == nil {
		return "asking ..."
	}
	if d.now.status == nil {
		return d.paint(bad, fit(clean(explain(d.now.err)), d.width))
	}
	head := d.head()
	var body []string
	switch {
	case d.help:
		body = topHelp
	case d.page == 1:
		body = d.members()
	case d.page == 2:
		body = d.banks()
	default:
		body = d.exchange(max(d.height-len(head)-1, 1))
	}
	room := max(d.height-len(head)-1, 1)
	if d.skip > max(len(body)-room, 0) {
		d.skip = max(len(body)-room, 0)
	}
	body = body[d.skip:]
	lines := append(head, body[:min(len(body), room)]...)
	for len(lines) < d.height-1 {
		lines = append(lines, "")
	}
	lines = append(lines, d.foot())
	for i, line := range lines {
		lines[i] = d.mark(strings.TrimRight(fit(line, d.width), " "))
	}
	return strings.Join(lines, "\n")
}

var topHelp = []string{
	"tab          next page: market, members, banks",
	"left, right  another market",
	"up, down     scroll",
	"?            this help, and back",
	"q            end",
	"",
	"A member is down if its server does not answer this terminal within 0.9 s. Whether the servers",
	"reach each other is what the remarks say, as the server that answers sees it.",
}

func (d *topView) head() []string {
	s := d.now.status
	up := 0
	for _, r := range d.now.reach {
		if !r.down {
			up++
		}
	}
	lines := []string{
		fmt.Sprintf("= souk top: %s by %s", clean(s.Name), clean(s.Member)),
		fmt.Sprintf("height %d%s  orders %d  accounts %d  waiting batches %d  members up %d of %d", s.Height, d.rate(), s.Orders, s.Accounts, s.Waiting, up, len(s.Members)),
	}
	for _, line := range newOutlook(s).alarm() {
		if line != "" {
			lines = append(lines, "! "+clean(line))
		}
	}
	if d.now.err != nil {
		lines = append(lines, "! "+clean(strings.SplitN(explain(d.now.err), "\n", 2)[0]))
	}
	return append(lines, "")
}

// rate is how many blocks a second there are.
func (d *topView) rate() string {
	if d.before == nil || d.before.status == nil {
		return ""
	}
	took, blocks := d.now.at.Sub(d.before.at), int64(d.now.status.Height)-int64(d.before.status.Height)
	if took <= 0 || blocks < 0 {
		return ""
	}
	return fmt.Sprintf(" (%.1f/s)", float64(blocks)/took.Seconds())
}

func (d *topView) foot() string {
	var all []string
	for i, name := range pages {
		if i == d.page {
			name = "[" + name + "]"
		}
		all = append(all, name)
	}
	return fmt.Sprintf("%s  %s  tab page  arrows move  ? help  q quit", strings.Join(all, " "), d.now.at.UTC().Format("15:04:05"))
}

// exchange shows a market's book and, beside it, its trades.
func (d *topView) exchange(room int) []string {
	if d.now.book == nil || d.now.book.Symbol != d.market {
		if d.now.markets != nil && len(d.now.markets.Markets) == 0 {
			return []string{"there are no markets"}
		}
		return []string{"= " + clean(d.market), "asking ..."}
	}
	left := []string{fmt.Sprintf("=   %-16s%16s", clean(d.market), "quantity")}
	side := max((room-3)/2, 1)
	asks, bids := d.now.book.Asks, d.now.book.Bids
	for i := min(len(asks), side) - 1; i >= 0; i-- {
		left = append(left, fmt.Sprintf("- %16s%16s%4d", clean(asks[i].Price), clean(asks[i].Quantity), asks[i].Orders))
	}
	left = append(left, "")
	for i := range min(len(bids), side) {
		left = append(left, fmt.Sprintf("+ %16s%16s%4d", clean(bids[i].Price), clean(bids[i].Quantity), bids[i].Orders))
	}
	right := []string{fmt.Sprintf("%-9s%14s%14s", "time", "price", "quantity")}
	if d.now.trades != nil {
		for i := range d.now.trades.Trades {
			t := &d.now.trades.Trades[i]
			right = append(right, fmt.Sprintf("%-9s%14s%14s", time.UnixMilli(int64(t.Time)).UTC().Format("15:04:05"), clean(t.Price), clean(t.Quantity)))
		}
	}
	for i := range min(len(right), room) {
		if i == len(left) {
			left = append(left, "")
		}
		left[i] = fmt.Sprintf("%-40s%s", fit(left[i], 40), right[i])
	}
	return left
}

func (d *topView) members() []string {
	lines := []string{fmt.Sprintf("=   %-14s%10s%10s%10s  remarks", "member", "power", "height", "answers")}
	v := newOutlook(d.now.status)
	for i := range d.now.status.Members {
		m := &d.now.status.Members[i]
		r, asked := d.now.reach[m.URL]
		height, took, begin := "", "?", "  "
		switch {
		case !asked:
		case r.down:
			took, begin = "DOWN", "! "
		default:
			height, took = fmt.Sprint(r.height), r.took.Round(time.Millisecond).String()
		}
		lines = append(lines, fmt.Sprintf("%s%-14s%10d%10s%10s  %s", begin, fit(clean(m.Name), 14), m.Power, height, took, clean(v.remarks(m))))
	}
	return lines
}

func (d *topView) banks() []string {
	s := d.now.status
	if len(s.Banks) == 0 {
		return []string{"there are no banks"}
	}
	lines := []string{fmt.Sprintf("=   %-8s%-18s%10s%9s%9s%9s  reserve", "asset", "network", "agreed", "seeing", "waiting", "in work")}
	for i := range s.Banks {
		b := &s.Banks[i]
		lines = append(lines, fmt.Sprintf("  %-8s%-18s%10d%9s%9d%9d  %s", clean(b.Asset), clean(b.Network), b.Agreed, fmt.Sprintf("%d of %d", b.Seeing, b.Members), b.Waiting, b.Transactions, clean(b.Reserve)))
	}
	for _, t := range s.BankTroubles() {
		begin := "  "
		if t.Bad {
			begin = "! "
		}
		lines = append(lines, begin+clean(strings.TrimSpace(t.Bank+" "+t.Text)))
	}
	return lines
}

// colours, as terminals take them.
const (
	bold  = "1"
	bad   = "1;31"
	red   = "31"
	green = "32"
)

// mark colours a line by how it begins.
func (d *topView) mark(line string) string {
	text, found := strings.CutPrefix(line, "= ")
	if found {
		return d.paint(bold, text)
	}
	for begin, colour := range map[string]string{"! ": bad, "- ": red, "+ ": green} {
		if strings.HasPrefix(line, begin) {
			if begin == "! " {
				return d.paint(colour, line)
			}
			return d.paint(colour, "  "+line[2:])
		}
	}
	return line
}

func (d *topView) paint(colour, text string) string {
	if !d.color {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

// fit cuts a line that is too long.
func fit(line string, width int) string {
	if r := []rune(line); len(r) > width {
		return string(r[:max(width, 0)])
	}
	return line
}

// clean is text from elsewhere without what would make a terminal do things.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
}
