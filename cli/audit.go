package cli

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"souk/api"
	"souk/asset"
	"souk/auditor"
	"souk/exchange"
	"souk/exchange/custody"
	"souk/merkle"
	"souk/node"
	"souk/script"
)

func (a *app) auditCommand() *cobra.Command {
	var chains []string
	var file string
	c := &cobra.Command{
		Use: "audit [--chain NETWORK=URL,cookie=FILE ...]", Short: "Check that every unit of every asset is accounted for, and the banks' coins with a node of your own", Args: cobra.NoArgs,
		Long: `Check that every unit of every asset is accounted for: the sums that a server answers.

With --chain, or --chains, also check the banks yourself. The keys of all addresses and what the bank
owes are proven under headers that more than two thirds of the members signed; souk rebuilds the addresses,
looks for their coins with your own node, and compares. Nobody's word is taken, and you need no server.

--chain names a node of yours: its network, its address, and a file with its credentials, for they do not
belong on a command line: cookie=FILE that the node writes, or user=NAME,password-file=FILE. A light client of
Bitcoin needs no node: --chain bitcoin=light,peer=HOST:PORT. --chains reads the sections [chains.NETWORK] of a
file, as a server's config.toml has them.

The exit status is 0 if all is in order, 1 if a bank lacks something or a sum does not balance, 2 if it
cannot be told.`,
		Example: "  souk audit\n  souk audit --chain bitcoin=http://127.0.0.1:8332,cookie=$HOME/.bitcoin/.cookie\n  souk audit --chains ~/souk/config.toml -o json",
		RunE: func(c *cobra.Command, _ []string) error {
			nodes, err := chainNodes(chains, file)
			if err != nil {
				return usageError{err}
			}
			if len(nodes) == 0 {
				return a.with(c.Context(), func(ctx context.Context, s *session) error { return a.sums(ctx, s) })
			}
			s, err := a.session()
			if err != nil {
				return cannotTell(err)
			}
			defer s.client.Close()
			defer s.keep(a.err)
			return a.audit(c.Context(), s, nodes)
		},
	}
	c.Flags().StringArrayVar(&chains, "chain", nil, "a node of your own, NETWORK=URL,cookie=FILE; once for each network")
	c.Flags().StringVar(&file, "chains", "", "file with [chains.NETWORK] sections, as a server's config.toml")
	return c
}

// sums shows the sums that a server answers.
func (a *app) sums(ctx context.Context, s *session) error {
	audit, err := s.client.Audit(ctx)
	if err != nil {
		return err
	}
	if err := a.show(audit, func(w io.Writer) { showSums(w, audit) }); err != nil {
		return err
	}
	return balanced(s, audit)
}

func balanced(s *session, audit *api.Audit) error {
	if !audit.Balanced {
		return fmt.Errorf("the books of %s do not balance", s.book.Servers[0])
	}
	return nil
}

func showSums(w io.Writer, audit *api.Audit) {
	p(w, "asset\tsupply\t= available\t+ in orders\t+ escrow\t+ fees\t+ dust\t+ reserve\t\n")
	for i := range audit.Assets {
		x := &audit.Assets[i]
		verdict := "balanced"
		if !x.Balanced {
			verdict = "NOT BALANCED"
		}
		p(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", x.Symbol, x.Supply, x.Available, x.Held, x.Locked, x.Fees, x.Dust, x.Reserve, verdict)
	}
}

// ownNode is a node of the user's, and where the files are that it names.
type ownNode struct {
	node.ChainConfig
	dir string
}

// chainNodes are the nodes that flags and a file name, by network.
func chainNodes(flags []string, file string) (map[string]ownNode, error) {
	nodes := map[string]ownNode{}
	if file != "" {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("--chains: %w", err)
		}
		chains, err := node.ParseChains(chainSections(data))
		if err != nil {
			return nil, fmt.Errorf("--chains %s: %w", file, err)
		}
		if len(chains) == 0 {
			return nil, fmt.Errorf("--chains %s: there is no section [chains.NETWORK]", file)
		}
		for network, c := range chains {
			nodes[network] = ownNode{c, filepath.Dir(file)}
		}
	}
	for _, flag := range flags {
		network, c, err := chainNode(flag)
		if err != nil {
			return nil, fmt.Errorf("--chain %s: %w", network, err)
		}
		nodes[network] = ownNode{c, "."}
	}
	return nodes, nil
}

// chainSections leaves empty all lines of a file but those of sections of chains.
func chainSections(data []byte) []byte {
	lines := strings.Split(string(data), "\n")
	inside := false
	for i, line := range lines {
		if text := strings.TrimSpace(line); strings.HasPrefix(text, "[") {
			inside = strings.HasPrefix(text, "[chains.")
		}
		if !inside {
			lines[i] = ""
		}
	}
	return []byte(strings.Join(lines, "\n"))
}

// chainNode reads NETWORK=URL,cookie=FILE. An error does not repeat what may be a secret.
func chainNode(flag string) (network string, c node.ChainConfig, err error) {
	network, rest, ok := strings.Cut(flag, "=")
	if _, known := script.ByName(network); !known {
		return "", c, fmt.Errorf("there is no network of that name%s there are %s", cmp.Or(didYouMean(network, networkNames()), ";"), strings.Join(networkNames(), ", "))
	}
	if !ok {
		return network, c, errors.New("write NETWORK=URL,cookie=FILE")
	}
	parts := strings.Split(rest, ",")
	if c.Kind, c.URL = "rpc", parts[0]; c.URL == "light" {
		c.Kind, c.URL = "light", ""
	}
	if strings.Contains(c.URL, "@") {
		return network, c, errors.New("credentials do not belong on the command line: write cookie=FILE, or user=NAME,password-file=FILE")
	}
	for _, part := range parts[1:] {
		name, value, _ := strings.Cut(part, "=")
		switch {
		case value == "":
			return network, c, fmt.Errorf("%q without a value", name)
		case name == "cookie":
			c.CookieFile = value
		case name == "user":
			c.User = value
		case name == "password-file":
			c.PasswordFile = value
		case name == "peer":
			c.Peers = append(c.Peers, value)
		case name == "password":
			return network, c, errors.New("a password does not belong on the command line: write password-file=FILE")
		default:
			return network, c, fmt.Errorf("%q is none of cookie, user, password-file, peer", name)
		}
	}
	return network, c, nil
}

func networkNames() (names []string) {
	for _, n := range script.Networks() {
		names = append(names, n.Name)
	}
	return names
}

// audit checks sums and banks. What keeps it from an answer is an auditor.ErrUntold.
func (a *app) audit(ctx context.Context, s *session, nodes map[string]ownNode) error {
	audit, reports, err := a.audited(ctx, s, nodes)
	if err != nil {
		if s.light != nil {
			for name, why := range s.light.Faulty() {
				p(a.err, "%s sent what does not verify: %s\n", name, why)
			}
		}
		return cannotTell(err)
	}
	solvent := !slices.ContainsFunc(reports, func(r *auditor.Report) bool { return !r.Solvent() })
	value := struct {
		*api.Audit
		Banks   []bankAudit `json:"banks"`
		Solvent bool        `json:"solvent"`
	}{audit, []bankAudit{}, solvent}
	for _, r := range reports {
		value.Banks = append(value.Banks, auditValue(r))
	}
	err = a.show(value, func(w io.Writer) {
		showSums(w, audit)
		for _, r := range reports {
			p(w, "\n")
			showAudit(w, r)
		}
	})
	switch {
	case err != nil:
		return err
	case !solvent:
		return insolvent(reports)
	}
	return balanced(s, audit)
}

// cannotTell says that an error says nothing about a bank.
func cannotTell(err error) error { return fmt.Errorf("%w: %w", auditor.ErrUntold, err) }

// audited audits every bank.
func (a *app) audited(ctx context.Context, s *session, nodes map[string]ownNode) (*api.Audit, []*auditor.Report, error) {
	short, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	verifier, err := s.proofs(short)
	if err != nil {
		return nil, nil, err
	}
	audit, err := s.client.Audit(short)
	if err != nil {
		return nil, nil, err
	}
	source := &leafSource{client: s.client, verifier: verifier, timeout: a.timeout}
	banks, err := source.banks(short)
	if err != nil {
		return nil, nil, err
	}
	if len(banks) == 0 {
		return nil, nil, errors.New("the virtual server has no banks")
	}
	var reports []*auditor.Report
	for i := range banks {
		c, ok := nodes[banks[i].network]
		if !ok {
			return nil, nil, fmt.Errorf("no node for %s, on which bank %d keeps its coins: --chain %s=URL,cookie=FILE", banks[i].network, banks[i].id, banks[i].network)
		}
		r, err := a.auditBank(ctx, source, &banks[i], c)
		if err != nil {
			return nil, nil, fmt.Errorf("bank %d on %s: %w", banks[i].id, banks[i].network, err)
		}
		reports = append(reports, r)
	}
	return audit, reports, nil
}

// chainPatience is how long a node that is a few blocks behind is waited for.
const chainPatience = 10 * time.Second

func (a *app) auditBank(ctx context.Context, source *leafSource, b *bankToAudit, c ownNode) (*auditor.Report, error) {
	if c.Kind == "light" { // which keeps headers from one audit to the next
		cache, err := os.UserCacheDir()
		if err != nil {
			return nil, fmt.Errorf("where to keep headers: %w", err)
		}
		c.dir = filepath.Join(cache, "souk")
	}
	backend, err := node.OpenChain(c.dir, b.network, c.ChainConfig)
	if err != nil {
		return nil, err
	}
	defer backend.Close() //nolint:errcheck // it was only read
	next := time.Now().Add(5 * time.Second)
	r, err := auditor.New(auditor.Config{
		Bank: b.id, Source: source, Backend: backend, Contract: b.contract, Patience: min(chainPatience, a.timeout),
		Progress: func(height uint32) {
			if time.Now().After(next) {
				next = time.Now().Add(10 * time.Second)
				p(a.err, "%s: read up to block %d\n", b.network, height)
			}
		},
	}).Audit(ctx)
	if errors.Is(err, auditor.ErrBackend) {
		return nil, errors.New(node.ExplainChain(b.network, c.ChainConfig, err))
	}
	return r, err
}

// insolvent says which banks lack what.
func insolvent(reports []*auditor.Report) error {
	var lacks []string
	for _, r := range reports {
		if !r.Solvent() {
			lacks = append(lacks, fmt.Sprintf("the bank of %s lacks %s %s", r.Symbol, units(r.Deficit), r.Symbol))
		}
	}
	return fmt.Errorf("insolvent: %s", strings.Join(lacks, ", "))
}

// bankToAudit is a bank that there is.
type bankToAudit struct {
	id       custody.Bank
	network  string
	contract *custody.Definition // nil if the contract does not say
}

// leafSource proves leaves by the light client.
type leafSource struct {
	client   *api.Client
	verifier *api.Verifier
	timeout  time.Duration
}

// Leaves implements auditor.Source.
func (s *leafSource) Leaves(ctx context.Context, keys []merkle.Key) (auditor.Leaves, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	l, err := s.client.VerifiedLeaves(ctx, s.verifier, keys)
	if err != nil {
		return auditor.Leaves{}, err
	}
	return auditor.Leaves{Height: l.Height, Time: l.Time, Root: l.Root, Values: l.Values, Proofs: l.Paths}, nil
}

// banks are all banks: those of the founding contract, or, where they were taken over
// from another virtual server, those whose leaves are proven.
func (s *leafSource) banks(ctx context.Context) ([]bankToAudit, error) {
	f, err := s.client.Founding(ctx)
	if err != nil {
		return nil, err
	}
	if f.Origin == nil {
		return contractBanks(f), nil
	}
	keys := make([]merkle.Key, custody.MaxBanks)
	for i := range keys {
		keys[i] = custody.BankKey(custody.Bank(i + 1))
	}
	l, err := s.Leaves(ctx, keys)
	if err != nil {
		return nil, err
	}
	var banks []bankToAudit
	for i, key := range keys {
		if l.Values[i] == nil {
			continue
		}
		b, err := custody.ParseBank(key, l.Values[i])
		if err != nil {
			return nil, err
		}
		banks = append(banks, bankToAudit{id: custody.Bank(i + 1), network: b.Network})
	}
	return banks, nil
}

func contractBanks(f *exchange.Founding) (banks []bankToAudit) {
	for i := range f.Banks {
		banks = append(banks, bankToAudit{custody.Bank(i + 1), f.Banks[i].Network, &f.Banks[i].Definition})
	}
	return banks
}

// bankAudit is a report as programs read it. Amounts are whole coins in decimals.
type bankAudit struct {
	Bank    uint32 `json:"bank"`
	Asset   string `json:"asset"`
	Network string `json:"network"`
	Solvent bool   `json:"solvent"`

	OnChain string `json:"on_chain"`
	Coins   int    `json:"coins"`
	Owed    string `json:"owed"`
	Reserve string `json:"reserve"`
	Deficit string `json:"deficit"`
	Surplus string `json:"surplus"`
	Free    string `json:"free"`
	Change  string `json:"change"`
	Lost    string `json:"lost"`
	Leaving string `json:"leaving"`
	Waiting string `json:"waiting"`

	Header  uint64 `json:"header"`
	Time    uint64 `json:"header_time"`
	Age     int64  `json:"age_ms"`
	Height  uint32 `json:"height"`
	Block   string `json:"block"`
	OwnTip  uint32 `json:"own_height"`
	Halted  bool   `json:"halted"`
	Missing []coin `json:"missing"`
	Unknown []coin `json:"unknown"`

	Series []seriesAudit `json:"series"`
}

// coin is a coin that is missing, or that the books do not count.
type coin struct {
	Outpoint string `json:"outpoint"`
	Amount   string `json:"amount"`
	SpentBy  string `json:"spent_by,omitempty"`
	Height   uint32 `json:"height,omitempty"`
}

type seriesAudit struct {
	Number   uint32         `json:"number"`
	Needed   uint8          `json:"needed"`
	Keys     []string       `json:"keys"`
	Coins    int            `json:"coins"`
	Amount   string         `json:"amount"`
	Recovery *recoveryAudit `json:"recovery,omitempty"`
}

type recoveryAudit struct {
	Needed    uint8    `json:"needed"`
	Keys      []string `json:"keys"`
	Blocks    uint32   `json:"blocks,omitempty"`
	Intervals uint32   `json:"intervals_of_512_s,omitempty"`
	Opens     uint32   `json:"opens_about,omitempty"`
}

// units is an amount of a bank's asset in whole coins.
func units(x asset.Amount) string { return asset.Format(x, 8) }

// age is how long ago a header was made.
func age(ms uint64) time.Duration {
	return max(time.Since(time.UnixMilli(int64(ms))), 0).Truncate(time.Millisecond)
}

func auditValue(r *auditor.Report) bankAudit {
	v := bankAudit{
		Bank: uint32(r.Bank), Asset: r.Symbol, Network: r.Network.Name, Solvent: r.Solvent(),
		OnChain: units(r.OnChain), Coins: r.Coins, Owed: units(r.Owed), Reserve: units(r.Reserve), Deficit: units(r.Deficit), Surplus: units(r.Surplus),
		Free: units(r.Free), Change: units(r.Change), Lost: units(r.Lost), Leaving: units(r.Leaving), Waiting: units(r.Waiting),
		Header: r.Header, Time: r.Time, Age: age(r.Time).Milliseconds(), Height: r.Tip.Height, Block: r.Tip.Hash.String(), OwnTip: r.Own.Height,
		Halted: r.Halt.Reason != custody.Running, Missing: []coin{}, Unknown: []coin{}, Series: []seriesAudit{},
	}
	for _, m := range r.Missing {
		c := coin{Outpoint: m.At.String(), Amount: units(m.Amount), Height: m.Height}
		if !m.By.IsZero() {
			c.SpentBy = m.By.String()
		}
		v.Missing = append(v.Missing, c)
	}
	for _, u := range r.Unknown {
		v.Unknown = append(v.Unknown, coin{Outpoint: u.At.String(), Amount: units(u.Amount), Height: u.Height})
	}
	for i := range r.Series {
		x := &r.Series[i]
		s := seriesAudit{Number: x.Number, Needed: x.K, Keys: keyTexts(x.Keys), Coins: x.Coins, Amount: units(x.Amount)}
		if rec := x.Recovery; rec != nil {
			s.Recovery = &recoveryAudit{Needed: rec.K, Keys: keyTexts(rec.Keys), Blocks: rec.Blocks, Intervals: rec.Intervals, Opens: x.Opens}
		}
		v.Series = append(v.Series, s)
	}
	return v
}

func keyTexts(keys []script.MemberKey) []string {
	texts := make([]string, len(keys))
	for i := range keys {
		texts[i] = keys[i].String()
	}
	return texts
}

func showAudit(w io.Writer, r *auditor.Report) {
	p(w, "bank of %s\ton %s\n", r.Symbol, r.Network.Name)
	p(w, "coins on chain\t%s\tin %s, as your node shows them at block %d\n", units(r.OnChain), count(r.Coins, "coin"), r.Own.Height)
	p(w, "owed\t%s\tall %s on the virtual server, of which the reserve for network fees has %s\n", units(r.Owed), r.Symbol, units(r.Reserve))
	if r.Leaving > 0 {
		p(w, "leaving\t%s\tpayouts that are decided and not mined: on the chain, and not owed any more\n", units(r.Leaving))
	}
	if r.Waiting > 0 {
		p(w, "waiting\t%s\tin %d payments that are not credited: not deep enough, too small, or nobody's\n", units(r.Waiting), len(r.Unknown))
	}
	if r.Halt.Reason != custody.Running {
		p(w, "halted\tall banks pay nothing until the members lift the halt\n")
	}
	for _, m := range r.Missing {
		switch {
		case !m.By.IsZero():
			p(w, "MISSING\t%s\t%s, spent by %s in block %d, which the books do not know\n", units(m.Amount), m.At, m.By, m.Height)
		default:
			p(w, "MISSING\t%s\t%s, which is not on the chain\n", units(m.Amount), m.At)
		}
	}
	for i := range r.Series {
		x := &r.Series[i]
		p(w, "series %d\t%s\tin %s; %d of %d keys sign%s\n", x.Number, units(x.Amount), count(x.Coins, "coin"), x.K, len(x.Keys), showRecovery(x))
	}
	if r.Solvent() {
		p(w, "solvent\tyes\n")
	} else {
		p(w, "solvent\tNO\t%s %s are missing\n", units(r.Deficit), r.Symbol)
	}
	p(w, "proven by\tthe signed header of block %d, of %s: %s ago; as of block %d (%s) of the chain\n",
		r.Header, when(r.Time), age(r.Time).Truncate(time.Second), r.Tip.Height, hex.EncodeToString(reversed(r.Tip.Hash))[:16]+"...")
}

// reversed are a hash's bytes as people see them.
func reversed(h script.Hash) []byte {
	b := slices.Clone(h[:])
	slices.Reverse(b)
	return b
}

func showRecovery(x *auditor.Series) string {
	r := x.Recovery
	if r == nil {
		return ""
	}
	text := fmt.Sprintf("; %d of %d offline keys could recover them ", r.K, len(r.Keys))
	if x.Opens == 0 {
		return text + "after a time"
	}
	return text + fmt.Sprintf("from about block %d on", x.Opens)
}
