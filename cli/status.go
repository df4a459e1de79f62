package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"souk/api"
	"souk/node"
)

func (a *app) statusCommand() *cobra.Command {
	var home string
	c := &cobra.Command{
		Use: "status", Short: "Show how the virtual server and its members stand", Args: cobra.NoArgs,
		Long: `Show how the virtual server and its members stand, as the server that answers sees it: whom it is
connected with, who is behind, demoted or silent, and whether blocks can be decided. With --home that is the
home's own server; if it does not answer, that is said first, another server is asked, and the exit status is 1.`,
		Example: "  souk status --server https://alice.example:8640\n  souk status --home ./home",
		RunE: func(c *cobra.Command, _ []string) error {
			return a.withHome(c.Context(), home, func(ctx context.Context, s *session) error {
				mine, dead := a.ownStatus(ctx, home, s)
				if dead != nil && a.output != "json" {
					p(a.out, "%s\n\n", dead)
				}
				status, err := s.client.Status(ctx)
				if err != nil {
					return errors.Join(dead, err)
				}
				if err := a.show(status, func(w io.Writer) { showStatus(w, status, mine) }); err != nil {
					return err
				}
				return dead
			})
		},
	}
	c.Flags().StringVar(&home, "home", "", "folder of a server: ask that one (default: the servers of the purse)")
	return c
}

// ownStatus asks the server of a home itself, unless another one is to be asked. If it
// does not answer it says so, and which member's it is.
func (a *app) ownStatus(ctx context.Context, home string, s *session) (member string, dead error) {
	if home == "" || len(a.servers) > 0 {
		return "", nil
	}
	served, err := node.Home(home).Serves(a.id)
	if err != nil || served.Own == "" {
		return "", nil //nolint:nilerr // a home that holds keys only has no server
	}
	own, err := api.NewClient(api.Config{Servers: []string{served.Own}, ID: s.id, Hasty: true})
	if err != nil {
		return "", err
	}
	defer own.Close()
	ctx, cancel := context.WithTimeout(ctx, probe)
	defer cancel()
	if _, err := own.Status(ctx); err != nil {
		return served.Member, fmt.Errorf("YOUR SERVER at %s DOES NOT ANSWER: is souk serve --home %s running?", served.Own, home)
	}
	return "", nil
}

// showStatus shows what a server says. Of members, mine is who asks, if not his own server answers.
func showStatus(w io.Writer, s *api.Status, mine string) {
	v := newOutlook(s)
	v.mine = mine
	for _, line := range v.alarm() {
		p(w, "%s\n", line)
	}
	p(w, "virtual server\t%s (%s)\n", s.ID, s.Name)
	by := s.Member
	if by == "" {
		by = "a server that is no member's"
	}
	p(w, "answered by\t%s, souk %s\n", by, s.Software)
	p(w, "height\t%d (newest block)\n", s.Height)
	if s.Active > 0 {
		p(w, "active\t%d (newest block that executed something), at %s\n", s.Active, when(s.Time))
	}
	p(w, "root\t%s\n", s.Root)
	p(w, "protocol\tversion %d\n", s.Protocol)
	if s.Plan != nil {
		p(w, "\tversion %d from block %d on\n", s.Plan.Version, s.Plan.Height)
	}
	p(w, "accounts\t%d, live orders %d, waiting batches %d\n", s.Accounts, s.Orders, s.Waiting)
	switch {
	case s.Halted != "":
		p(w, "halted\t%s\n", s.Halted)
	case s.CatchingUp:
		p(w, "catching up\t%s\n", v.catchingUp())
	}
	showTroubles(w, s)
	p(w, "\nno.\tmember\tpower\turl\t\n")
	for i := range s.Members {
		m := &s.Members[i]
		p(w, "%d\t%s\t%d\t%s\t%s\n", m.ID, m.Name, m.Power, m.URL, v.remarks(m))
	}
}

// showTroubles shows how the banks stand, what is wrong with them, and what to do.
func showTroubles(w io.Writer, s *api.Status) {
	all := s.BankTroubles()
	show := func(bank string) {
		for _, t := range all {
			switch {
			case t.Bank != bank:
			case t.Bad:
				p(w, "\tBAD: %s\n", t.Text)
			default:
				p(w, "\tnote: %s\n", t.Text)
			}
		}
	}
	if s.BanksHalted != nil {
		p(w, "banks\thalted\n")
		show("")
	}
	for i := range s.Banks {
		b := &s.Banks[i]
		p(w, "bank of %s\t%s\n", b.Asset, bankRemark(b))
		show(b.Asset)
	}
}

// bankRemark is how the server that answers does its part in a bank.
func bankRemark(b *api.BankHealth) string {
	text := fmt.Sprintf("%s: agreed up to block %d by %d of %d members", b.Network, b.Agreed, b.Seeing, b.Members)
	switch {
	case b.Works:
		text += fmt.Sprintf(", attested by this server up to %d", b.Attested)
	case b.Problem != "":
		text += "; THIS SERVER DOES NOT DO ITS PART: " + b.Problem
	}
	if b.Waiting > 0 {
		text += "; " + count(b.Waiting, "withdrawal") + " not in a transaction yet"
	}
	if b.Transactions > 0 {
		text += "; " + count(b.Transactions, "transaction") + " under way"
	}
	return text
}

// outlook is what a server's status says of the members, as that server sees them.
type outlook struct {
	*api.Status
	peers map[string]*api.Peer // by the node id in a member's consensus address
	best  uint64               // newest block that anybody has
	mine  string               // member who asks, whose own server does not answer
}

func newOutlook(s *api.Status) *outlook {
	v := &outlook{Status: s, peers: map[string]*api.Peer{}, best: s.Height}
	for i := range s.Peers {
		v.peers[s.Peers[i].ID] = &s.Peers[i]
		v.best = max(v.best, s.Peers[i].Height)
	}
	return v
}

// slack is how many blocks one may be behind only because news take their time.
const slack = 2

func (v *outlook) self(m *api.Member) bool { return v.Member != "" && m.Name == v.Member }

func (v *outlook) peer(m *api.Member) *api.Peer {
	id, _, _ := strings.Cut(m.P2P, "@")
	return v.peers[id]
}

// votes tells whether a member takes part in deciding blocks, as this server sees it.
func (v *outlook) votes(m *api.Member) bool {
	if v.self(m) {
		return !v.CatchingUp && v.Halted == ""
	}
	x := v.peer(m)
	return x != nil && !x.Behind
}

// alarm is what stands above all else: that no block can be decided, and what to do.
func (v *outlook) alarm() []string {
	var all, there, voting int64
	reached := 0
	var missing, behind []string
	for i := range v.Members {
		m := &v.Members[i]
		all += m.Power
		switch {
		case !v.self(m) && v.peer(m) == nil:
			missing = append(missing, named(m).String())
			continue
		case v.votes(m):
			voting += m.Power
		default:
			behind = append(behind, named(m).String())
		}
		there += m.Power
		reached++
	}
	enough := func(power int64) bool { return power*3 > all*2 }
	count := fmt.Sprintf("this server reaches %d of %d members, itself included, and more than two thirds of the power are needed", reached, len(v.Members))
	switch {
	case enough(voting):
		return nil
	case enough(there) && v.best == 0:
		return []string{"NO BLOCK YET: enough servers are up, and about to begin", ""}
	case enough(there):
		return []string{
			"NO BLOCK IS DECIDED NOW: too many servers are still catching up: " + strings.Join(behind, ", "),
			"Wait until they have.", "",
		}
	case v.best == 0:
		return []string{
			"NO BLOCK YET: " + count,
			"missing: " + strings.Join(missing, ", "),
			"Have their operators start them (souk serve), or look at the network between.", "",
		}
	}
	return []string{
		"NO BLOCK CAN BE DECIDED, as seen from here: " + count,
		"missing: " + strings.Join(missing, ", "),
		"Have their operators start them (souk serve), or look at the network between; souk status at another server shows",
		"what that one reaches. If more than a third of the power never comes back: docs/operations.md, section Refounding.", "",
	}
}

// catchingUp says what a server does that does not vote yet.
func (v *outlook) catchingUp() string {
	switch {
	case v.best > v.Height:
		return fmt.Sprintf("this server has block %d, the others have block %d: it fetches what it lacks", v.Height, v.best)
	case len(v.Peers) == 0:
		return "this server has started, and waits for the others"
	}
	return "this server has started, and asks the others whether it lacks a block"
}

// remarks are what is to be said of a member.
func (v *outlook) remarks(m *api.Member) string {
	var all []string
	x := v.peer(m)
	if v.mine != "" && m.Name == v.mine {
		all = append(all, "YOUR SERVER, which does not answer you")
	}
	switch {
	case v.self(m):
		all = append(all, map[bool]string{true: "this server", false: "the one that answers here"}[v.mine == ""])
		if v.best > v.Height+slack {
			all = append(all, count(v.best-v.Height, "block")+" behind")
		}
	case x == nil:
		all = append(all, "NOT CONNECTED with "+map[bool]string{true: "this server", false: "the one that answers"}[v.mine == ""])
	case x.Behind:
		all = append(all, "connected, catching up")
	case v.best > x.Height+slack:
		all = append(all, "connected, "+count(v.best-x.Height, "block")+" behind")
	default:
		all = append(all, "connected")
	}
	switch {
	case m.Barred:
		all = append(all, "barred: signed twice, to be replaced by a vote")
	case m.Demoted && m.Until > v.Time:
		all = append(all, "demoted: missed its turns, may return at "+when(m.Until))
	case m.Demoted:
		all = append(all, "demoted: missed its turns, returns by itself once it is up")
	case m.Missed > 0:
		all = append(all, fmt.Sprintf("turns missed in a row: %d", m.Missed))
	}
	if m.Silent > 0 {
		all = append(all, "left "+count(m.Silent, "command")+" unanswered, as clients say")
	}
	return strings.Join(all, "; ")
}
