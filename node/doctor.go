package node

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"souk/api"
	"souk/exchange"
)

// Finding is the result of one of Doctor's checks.
type Finding struct {
	What   string `json:"what"`
	Bad    bool   `json:"bad"`
	Note   bool   `json:"note"`   // neither good nor bad: worth knowing
	Detail string `json:"detail"` // what was found, and if it is bad what to do
}

const (
	leastDisk = 2 << 30 // bytes free below which a server is at risk
	mostSkew  = time.Second
)

// Doctor looks for what could keep a server from working. It changes nothing.
func Doctor(ctx context.Context, h Home) []Finding {
	c, err := ReadConfig(h.Config())
	if err != nil {
		return []Finding{{What: "configuration", Bad: true, Detail: err.Error()}}
	}
	port, running := checkPort("http port", c.HTTP.Listen)
	all := []Finding{{What: "configuration", Detail: h.Config()}, checkCard(h), checkFiles(h), checkDisk(h), port}
	all = append(all, checkCertificate(h, &c.HTTP, time.Now())...)
	if len(c.Virtual) == 0 {
		all = append(all, Finding{What: "virtual servers", Note: true, Detail: "none yet: souk federation create founds one, souk federation join joins it"})
	}
	for i := range c.Virtual {
		all = append(all, checkVirtual(ctx, h, &c.Virtual[i], running)...)
		all = append(all, checkArchive(ctx, h, &c, i)...)
	}
	return append(all, checkChainsOf(ctx, h, &c, running)...)
}

// checkVirtual looks at one virtual server of a home, whose server is running or not.
func checkVirtual(ctx context.Context, h Home, v *VirtualConfig, running bool) []Finding {
	f, err := ReadFounding(h.in(v.Founding))
	if err != nil {
		return []Finding{{What: "founding contract", Bad: true, Detail: err.Error() + ": copy it from another member, or join again with souk federation join"}}
	}
	id := f.ID()
	all := []Finding{{What: "founding contract", Detail: fmt.Sprintf("virtual server %x, %d members", id[:8], len(f.Members))}}
	if _, err := os.Stat(filepath.Join(h.in(v.Keys), RoleConsensus+".age")); err != nil {
		all = append(all, Finding{What: "consensus key", Bad: true, Detail: err.Error() + ": the keys of this section of config.toml are those of a card; souk card list shows which there are"})
	}
	if v.Listen != "" {
		port, _ := checkPort("consensus port", v.Listen)
		all = append(all, port)
	}
	if f.Origin != nil {
		all = append(all, checkOrigin(h, v, f))
	}
	cards, err := h.Cards()
	if err != nil {
		return all // the member card's finding says it
	}
	_, err = os.Stat(filepath.Join(filepath.Dir(h.in(v.Founding)), "state"))
	served := err == nil
	status := askStatus(ctx, f, cards)
	members, found := membersNow(f, status, cards)
	all = append(all, found...)
	name := ""
	for _, m := range members {
		own := slices.ContainsFunc(cards, func(c HomeCard) bool { return c.Card.Consensus.String() == m.Consensus })
		if own {
			name = m.Name
		}
		if own && !running {
			all = append(all, Finding{What: "member " + m.Name, Note: true, Detail: "this server is not running: souk serve --home " + string(h)})
			continue
		}
		all = append(all, checkMember(ctx, m.Name, m.URL, served))
		if own {
			all = append(all, checkState(ctx, v, id, m.URL)...)
		}
	}
	all = append(all, checkVersions(ctx, id, members, name, status)...)
	return append(all, checkBanks(ctx, f.ID(), status)...)
}

// checkState asks this home's own server why it does not show how it stands, if it does not.
func checkState(ctx context.Context, v *VirtualConfig, id exchange.ID, base string) []Finding {
	client, err := api.NewClient(api.Config{Servers: []string{base}, ID: id, Hasty: true})
	if err != nil {
		return nil // a bad address is another finding
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	var problem *api.Error
	if _, err := client.Status(ctx); !errors.As(err, &problem) {
		return nil
	}
	f := Finding{What: "state", Note: true, Detail: problem.Detail}
	if v.StateSync {
		f.Detail = "this server is to begin from a copy of the state (state_sync), and has none yet: the others make one every so many blocks, as snapshot_every of their config.toml says, and a young chain has none. It waits for one; to execute all blocks instead, stop it, and: souk federation join FOUNDING --state-sync=false"
	}
	return []Finding{f}
}

// askStatus asks the members' servers how the virtual server stands, this home's own
// first; nil if none answers.
func askStatus(ctx context.Context, f *exchange.Founding, cards []HomeCard) *api.Status {
	var servers []string
	for i := range cards {
		servers = append(servers, cards[i].Card.URL)
	}
	for i := range f.Members {
		if base := f.Members[i].URL; base != "" && !slices.Contains(servers, base) {
			servers = append(servers, base)
		}
	}
	client, err := api.NewClient(api.Config{Servers: servers, ID: f.ID()})
	if err != nil {
		return nil
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	status, err := client.Status(ctx)
	if err != nil {
		return nil
	}
	return status
}

// membersNow are the members as a server says they are now, or else those who founded.
func membersNow(f *exchange.Founding, status *api.Status, cards []HomeCard) (members []api.Member, found []Finding) {
	if status == nil {
		for i := range f.Members {
			m := &f.Members[i]
			members = append(members, api.Member{Name: m.Name, URL: m.URL, Consensus: m.Consensus.String()})
		}
		return members, []Finding{{What: "members", Note: true, Detail: "no server tells who they are now; those of the founding contract are looked at"}}
	}
	if !slices.ContainsFunc(status.Members, func(m api.Member) bool {
		return slices.ContainsFunc(cards, func(c HomeCard) bool { return c.Card.Consensus.String() == m.Consensus })
	}) {
		found = append(found, Finding{What: "members", Bad: true, Detail: "no member has a card of this home: he was removed, or has another server now, by a vote. If this is a new server, the others have still to vote: souk vote add-member CARD, or souk vote replace-member NAME CARD"})
	}
	for i := range status.Members {
		if m := &status.Members[i]; m.Barred {
			found = append(found, Finding{What: "member " + m.Name, Bad: true, Detail: "it signed twice and is barred: the members replace it by a vote"})
		}
	}
	return status.Members, found
}

// checkBanks looks at how the banks of a virtual server stand.
func checkBanks(ctx context.Context, id exchange.ID, status *api.Status) (all []Finding) {
	if status == nil {
		return nil
	}
	bad := map[string]bool{}
	for _, t := range status.BankTroubles() {
		what := "banks"
		if t.Bank != "" {
			what = "bank of " + t.Bank
		}
		bad[t.Bank] = true
		all = append(all, Finding{What: what, Bad: t.Bad, Note: !t.Bad, Detail: t.Text})
	}
	for i := range status.Banks {
		b := &status.Banks[i]
		if !bad[b.Asset] {
			all = append(all, Finding{What: "bank of " + b.Asset, Detail: fmt.Sprintf("%d of %d members see %s, agreed up to block %d; reserve %s %s", b.Seeing, b.Members, b.Network, b.Agreed, b.Reserve, b.Asset)})
		}
		if b.Reserve == api.FormatCoins(0) && holdsCoins(ctx, id, status, b.Asset) {
			all = append(all, Finding{What: "reserve of " + b.Asset, Note: true, Detail: fmt.Sprintf("it is empty, and the bank has coins: what nobody else pays for, as new keys for the bank or a transaction that must pay more, waits for it. Who has an account fills it: souk donate %s AMOUNT", b.Asset)})
		}
	}
	return all
}

// holdsCoins tells whether a bank owes anything, as the members' servers say.
func holdsCoins(ctx context.Context, id exchange.ID, status *api.Status, symbol string) bool {
	var servers []string
	for i := range status.Members {
		servers = append(servers, status.Members[i].URL)
	}
	client, err := api.NewClient(api.Config{Servers: servers, ID: id, Hasty: true})
	if err != nil {
		return false
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	page, err := client.Bank(ctx, symbol)
	return err == nil && page.Sums.Books != api.FormatCoins(0)
}

func checkCard(h Home) Finding {
	card, err := h.Card()
	if err != nil {
		return Finding{What: "member card", Bad: true, Detail: err.Error()}
	}
	return Finding{What: "member card", Detail: card.Name}
}

func checkFiles(h Home) Finding {
	paths, err := filepath.Glob(h.key("*"))
	if err != nil || len(paths) == 0 {
		return Finding{What: "keys", Bad: true, Detail: "no keys in " + filepath.Dir(h.key("x")) + ": make a server with souk init"}
	}
	if more, err := filepath.Glob(filepath.Join(string(h), "cards", "*", "*.age")); err == nil {
		paths = append(paths, more...)
	}
	if h.HasBankKeys() {
		paths = append(paths, h.bankSeed())
	}
	folders := map[string]bool{}
	for _, p := range paths {
		folders[filepath.Dir(p)] = true
	}
	for _, p := range slices.AppendSeq(slices.Clone(paths), maps.Keys(folders)) {
		info, err := os.Stat(p)
		if err != nil {
			return Finding{What: "keys", Bad: true, Detail: err.Error()}
		}
		if info.Mode().Perm()&0o077 != 0 {
			return Finding{What: "keys", Bad: true, Detail: fmt.Sprintf("others may read %s: chmod 600 files and 700 folders", p)}
		}
	}
	return Finding{What: "keys", Detail: fmt.Sprintf("%d sealed; keep copies of them and of the passphrase elsewhere", len(paths))}
}

func checkDisk(h Home) Finding {
	var s syscall.Statfs_t
	if err := syscall.Statfs(string(h), &s); err != nil {
		return Finding{What: "disk", Bad: true, Detail: err.Error()}
	}
	free := s.Bavail * uint64(s.Bsize)
	f := Finding{What: "disk", Detail: fmt.Sprintf("%d MB free", free>>20)}
	if free < leastDisk {
		f.Bad, f.Detail = true, f.Detail+": make room; a server stops when the disk is full"
	}
	return f
}

// checkPort tells whether a port can be listened on, or whether somebody does already.
func checkPort(what, listen string) (f Finding, used bool) {
	l, err := net.Listen("tcp", listen)
	if err == nil {
		l.Close() //nolint:errcheck // nothing was served
		return Finding{What: what, Detail: listen + " is free"}, false
	}
	conn, derr := net.DialTimeout("tcp", listen, time.Second)
	if derr == nil {
		conn.Close() //nolint:errcheck // nothing was sent
		return Finding{What: what, Detail: listen + " is in use; fine if this server is running"}, true
	}
	return Finding{What: what, Bad: true, Detail: err.Error()}, false
}

// checkMember asks a member's server whether it lives, and compares clocks. Before
// this server has served for the first time, nobody else may have either.
func checkMember(ctx context.Context, name, base string, served bool) Finding {
	what := "member " + name
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/livez", nil)
	if err != nil {
		return Finding{What: what, Bad: true, Detail: err.Error()}
	}
	begin := time.Now()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		var inner *url.Error
		if errors.As(err, &inner) {
			err = inner.Err
		}
		if !served {
			return Finding{What: what, Note: true, Detail: fmt.Sprintf("%s does not answer (%v): fine while the founding is not running yet, for it has never run here", base, err)}
		}
		return Finding{What: what, Bad: true, Detail: fmt.Sprintf("%s does not answer: %v; is that server up, is the network between?", base, err)}
	}
	defer resp.Body.Close() //nolint:errcheck // nothing is read
	took := time.Since(begin)
	f := Finding{What: what, Detail: fmt.Sprintf("%s answers in %v", base, took.Round(time.Millisecond))}
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		// The header counts whole seconds.
		if skew := time.Since(date.Add(time.Second / 2)); skew.Abs() > mostSkew+time.Second/2+took {
			f.Bad, f.Detail = true, fmt.Sprintf("its clock and this one differ by about %v: run a time service on both", skew.Round(time.Second))
		}
	}
	return f
}
