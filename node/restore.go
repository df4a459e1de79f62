package node

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"souk/api"
	"souk/consensus/comet"
	"souk/exchange"
	"souk/identity"
	"souk/store/sealed"
)

// ErrRunning is returned by Restore while the server of the backup is, or may be, running.
var ErrRunning = errors.New("the server of the backup")

// RestoreSetup is what Restore needs besides the backup.
type RestoreSetup struct {
	Pass sealed.Passphrase // of the home that was backed up; seals the new keys
	Work int               // of sealing; zero is the default
	Now  time.Time
	// P2P and URL are where the first card's server is reached from now on; empty: as before.
	P2P, URL string
	// Gone says that the old server runs nowhere, where nobody can be asked.
	Gone bool
	// StateSync joins from copies of the state.
	StateSync bool
}

// Restored is what Restore made.
type Restored struct {
	Backup Backup
	Cards  []HomeCard
	// Joined are ids of virtual servers that the new home serves once the members have
	// voted for its card.
	Joined []exchange.ID
	// Lost are ids of virtual servers of one member, whose state only an export brings back.
	Lost []exchange.ID
}

// Restore makes a home out of a backup: the operator's key and those of banks are the old
// ones; server, consensus and node keys are new, because what the old consensus key has
// signed since is not known here, and signing twice bars a member. So the other members have to vote
// for the new card. It refuses while the old server is seen by others, and, unless Gone
// is set, while nobody can be asked.
func Restore(ctx context.Context, h Home, in io.Reader, s RestoreSetup) (r Restored, err error) {
	if _, err := os.Stat(h.Config()); err == nil {
		return r, fmt.Errorf("%s: %w", h, ErrHome)
	}
	b, content, err := readBackup(in)
	if err != nil {
		return r, err
	}
	r.Backup = b
	old, err := backedCards(content)
	if err != nil {
		return r, err
	}
	contracts, err := backedContracts(content)
	if err != nil {
		return r, err
	}
	if err := stillRunning(ctx, old, contracts, s.Gone); err != nil {
		return r, err
	}
	if err := opens(content, s.Pass); err != nil {
		return r, err
	}
	if err := h.putBack(content); err != nil {
		return r, err
	}
	if r.Cards, err = h.renew(old, &s); err != nil {
		return r, err
	}
	return r, h.rejoin(&r, content, old, contracts, &s)
}

// backedCards are the cards of a backup, the first one first.
func backedCards(content map[string][]byte) (all []exchange.Card, err error) {
	var names []string
	for name := range content {
		if name == "card" || strings.HasPrefix(name, "cards/") && strings.HasSuffix(name, "/card") {
			names = append(names, name)
		}
	}
	slices.Sort(names) // card goes before cards/
	for _, name := range names {
		c, err := exchange.ParseCardText(string(content[name]))
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrBackup, name, err)
		}
		all = append(all, c)
	}
	if len(all) == 0 || names[0] != "card" {
		return nil, fmt.Errorf("%w: it has no member card", ErrBackup)
	}
	return all, nil
}

func backedContracts(content map[string][]byte) (all []*exchange.Founding, err error) {
	for name, data := range content {
		if !strings.HasSuffix(name, "/founding") {
			continue
		}
		f, err := exchange.ParseFounding(data)
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrBackup, name, err)
		}
		all = append(all, f)
	}
	slices.SortFunc(all, func(a, b *exchange.Founding) int {
		x, y := a.ID(), b.ID()
		return bytes.Compare(x[:], y[:])
	})
	return all, nil
}

const askFor = 3 * time.Second

// stillRunning asks the old server itself and the other members whether it runs.
func stillRunning(ctx context.Context, old []exchange.Card, contracts []*exchange.Founding, gone bool) error {
	for i := range old {
		if answers(ctx, old[i].URL) {
			return fmt.Errorf("%w answers at %s: stop it first. Two servers of one member would sign twice, and who signs twice is barred", ErrRunning, old[i].URL)
		}
	}
	asked, others := 0, 0
	for _, f := range contracts {
		for i := range f.Members {
			m := &f.Members[i]
			if slices.ContainsFunc(old, func(c exchange.Card) bool { return c.Operator == m.Operator }) {
				continue
			}
			others++
			peers, err := peersOf(ctx, m.URL, f.ID())
			if err != nil {
				continue
			}
			asked++
			for j := range old {
				node, _, _ := strings.Cut(old[j].P2P, "@")
				if slices.Contains(peers, node) {
					return fmt.Errorf("%w is running: %s is connected with it. Stop it first, wherever it is. Two servers of one member would sign twice, and who signs twice is barred", ErrRunning, m.Name)
				}
			}
		}
	}
	if others > 0 && asked == 0 && !gone {
		return fmt.Errorf("%w may be running: no other member answers who would know. If you are sure that it runs nowhere, and never will again, say so with --old-server-is-gone", ErrRunning)
	}
	return nil
}

func answers(ctx context.Context, base string) bool {
	ctx, cancel := context.WithTimeout(ctx, askFor)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/livez", nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	return resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
}

func peersOf(ctx context.Context, base string, id exchange.ID) (peers []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, askFor)
	defer cancel()
	c, err := api.NewClient(api.Config{Servers: []string{base}, ID: id})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	s, err := c.Status(ctx)
	if err != nil {
		return nil, err
	}
	for i := range s.Peers {
		peers = append(peers, s.Peers[i].ID)
	}
	return peers, nil
}

// opens tells whether a passphrase is that of the operator's key of a backup, before
// anything is written.
func opens(content map[string][]byte, pass sealed.Passphrase) (err error) {
	data, ok := content["keys/operator.age"]
	if !ok {
		return nil // putBack looks for it in the home
	}
	dir, err := os.MkdirTemp("", "souk-restore-") // it is sealed, and stays so
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path := filepath.Join(dir, "operator.age")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	key, err := openKey(path, RoleOperator, pass)
	if err == nil {
		key.Wipe()
	}
	return err
}

// putBack writes what stays as it was: the operator's key, that of banks, and the
// journals. A journal that is old is completed by what the ledger knows of own signatures.
func (h Home) putBack(content map[string][]byte) error {
	for name, data := range content {
		if name != "keys/operator.age" && name != "keys/bank.key" && !strings.Contains(name, "/journal/") {
			continue
		}
		path := filepath.Join(string(h), filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return fmt.Errorf("restore: %w", err)
		}
		if err := replaceFile(path, data); err != nil {
			return fmt.Errorf("restore %s: %w", name, err)
		}
	}
	if _, err := os.Stat(h.key(RoleOperator)); err != nil {
		return fmt.Errorf("%w: it has no keys/operator.age, which signs the new card: copy it to %s from where you keep it, and restore again", ErrBackup, h.key(RoleOperator))
	}
	return nil
}

// renew makes new server, consensus and node keys, and cards that show them.
func (h Home) renew(old []exchange.Card, s *RestoreSetup) ([]HomeCard, error) {
	operator, err := h.Key(RoleOperator, s.Pass)
	if err != nil {
		return nil, err
	}
	defer operator.Wipe()
	server, err := identity.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make keys: %w", err)
	}
	defer server.Wipe()
	if err := sealKey(h.key(RoleServer), RoleServer, server, s.Pass, s.Work); err != nil {
		return nil, err
	}
	for i := range old {
		if err := h.renewCard(i, &old[i], operator, server, s); err != nil {
			return nil, err
		}
	}
	return h.Cards()
}

func (h Home) renewCard(i int, old *exchange.Card, operator, server identity.PrivateKey, s *RestoreSetup) error {
	keys := map[string]identity.PrivateKey{}
	for _, role := range []string{RoleConsensus, RoleNode} {
		key, err := identity.GenerateKey(rand.Reader)
		if err != nil {
			return fmt.Errorf("make keys: %w", err)
		}
		keys[role] = key
		defer key.Wipe()
	}
	_, at, _ := strings.Cut(old.P2P, "@")
	c := *old
	if i == 0 && s.P2P != "" {
		at = s.P2P
	}
	if i == 0 && s.URL != "" {
		c.URL = s.URL
	}
	if err := checkReach(c.URL, at); err != nil {
		return err
	}
	c.Server, c.Consensus, c.Made = server.Public(), keys[RoleConsensus].Public(), uint64(s.Now.UnixMilli())
	c.P2P = comet.NodeID(keys[RoleNode].Public()) + "@" + at
	if err := h.proveAgain(&c, s.Pass); err != nil {
		return err
	}
	if err := signCard(&c, operator); err != nil {
		return err
	}
	dir, file := filepath.Join(string(h), firstKeys), h.CardFile()
	if i > 0 {
		dir = h.in(cardKeys(c.Consensus))
		file = filepath.Join(dir, "card")
	}
	for role, key := range keys {
		if err := sealKey(filepath.Join(dir, role+".age"), role, key, s.Pass, s.Work); err != nil {
			return err
		}
	}
	if err := os.WriteFile(file, []byte(c.String()+"\n"), 0o600); err != nil {
		return fmt.Errorf("write card: %w", err)
	}
	return nil
}

// rejoin writes the configuration, and joins the virtual servers again with the new cards.
func (h Home) rejoin(r *Restored, content map[string][]byte, old []exchange.Card, contracts []*exchange.Founding, s *RestoreSetup) error {
	was, err := ParseConfig(content["config.toml"])
	if err != nil {
		return fmt.Errorf("%w: config.toml: %w", ErrBackup, err)
	}
	c := was
	c.Virtual = nil
	if err := WriteConfig(h.Config(), &c); err != nil {
		return err
	}
	for i := range was.Virtual {
		v := &was.Virtual[i]
		at := slices.IndexFunc(contracts, func(f *exchange.Founding) bool {
			id := f.ID()
			return strings.Contains(filepath.ToSlash(v.Founding), fmt.Sprintf("%x", id[:8]))
		})
		if at < 0 {
			return fmt.Errorf("%w: it has no founding contract %s", ErrBackup, v.Founding)
		}
		f := contracts[at]
		if len(f.Members) == 1 {
			r.Lost = append(r.Lost, f.ID())
			continue
		}
		j := Joining{Config: VirtualConfig{Listen: v.Listen, StateSync: s.StateSync}, Card: h.cardFor(v.Keys, old, r.Cards), Now: s.Now}
		if f.Origin != nil && !s.StateSync {
			name := filepath.Join(h.virtual(f.ID()), originFile)
			data, ok := content["vs/"+filepath.Base(h.virtual(f.ID()))+"/"+originFile]
			if ok {
				if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o700), os.WriteFile(name, data, 0o600)); err != nil {
					return fmt.Errorf("restore %s: %w", name, err)
				}
				j.Config.Origin = name
			}
		}
		if _, err := h.Join(f, j); err != nil {
			return err
		}
		r.Joined = append(r.Joined, f.ID())
	}
	return nil
}

// cardFor is the new card in the place of the one whose keys a virtual server was served with.
func (h Home) cardFor(keys string, old []exchange.Card, cards []HomeCard) *exchange.Card {
	at := 0
	for i := range old {
		if i > 0 && filepath.Clean(keys) == filepath.Clean(cardKeys(old[i].Consensus)) {
			at = i
		}
	}
	shown := func(k exchange.BankKey) bool { return len(old[at].Banks) > 0 && k.Key == old[at].Banks[0].Key }
	for i := range cards { // the same keys for banks, or the same address
		c := &cards[i].Card
		if at == 0 && cards[i].Keys == firstKeys || at > 0 && slices.ContainsFunc(c.Banks, shown) {
			return c
		}
	}
	return &cards[0].Card
}
