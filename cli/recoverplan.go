package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"souk/asset"
	"souk/chain"
	"souk/exchange"
	"souk/exchange/custody"
	"souk/node"
	"souk/recovery"
	"souk/script"
)

// planFlags are what souk recovery plan is told.
type planFlags struct {
	to, founding, network, out, start, chains string
	series, nodes                             []string
	gap, changeGap, rate                      uint32
	wallets                                   uint8
	early                                     bool
}

func (a *app) recoveryPlan() *cobra.Command {
	var f planFlags
	c := &cobra.Command{
		Use:   "plan --to ADDRESS (--founding FILE | --series FILE ...) --chains FILE --out FILE",
		Short: "Find a bank's coins with your own node, and plan transactions of those that the recovery can spend", Args: cobra.NoArgs,
		Long: `Find a bank's coins with your own node, and plan transactions that pay those which its recovery can spend to one
address. No server is asked.

--founding is the founding contract: it has the bank's first series of keys. Later series, of members who came since,
are in no file of the founders: --series names files that souk verify series ASSET NUMBER -o json or souk bank ASSET
-o json have given. Keep these with the words. Without the contract --series alone will do; then --start
HEIGHT:HASH of a block before the bank's first one spares reading the chain from its beginning.

All addresses of all series are derived and looked for. Deposit addresses are given out for the asking and many are
never paid to: --gap is how many behind the last one that was paid are looked for. If coins seem to be missing, plan
with a larger one.`,
		Example: "  souk recovery plan --to bc1q... --founding founding --series series-1.json --chains chains.toml --out bank.plan",
		RunE:    func(c *cobra.Command, _ []string) error { return a.plan(c.Context(), &f) },
	}
	l := c.Flags()
	l.StringVar(&f.to, "to", "", "address that gets the coins")
	l.StringVar(&f.founding, "founding", "", "founding contract of the virtual server")
	l.StringVar(&f.network, "network", "", "network of the bank, if the contract has several")
	l.StringArrayVar(&f.series, "series", nil, "file with series, from souk verify series or souk bank with -o json; several times")
	l.StringVar(&f.start, "start", "", "without --founding: HEIGHT:HASH of a block before the bank's first coin")
	l.Uint8Var(&f.wallets, "wallets", 0, "without --founding: how many wallets the bank has (default: as many as there can be)")
	l.StringVar(&f.out, "out", "", "file to write the plan to")
	l.Uint32Var(&f.gap, "gap", recovery.DepositGap, "deposit addresses to look for behind the last one that was paid")
	l.Uint32Var(&f.changeGap, "change-gap", recovery.ChangeGap, "change addresses of each wallet to look for behind the last one that was paid")
	l.Uint32Var(&f.rate, "fee-rate", 0, "units per 1,000 virtual bytes, 1,000 for 1 sat/vB (default: what your node estimates)")
	l.BoolVar(&f.early, "early", false, "also take coins that cannot be spent yet, to sign now and send later")
	chainFlags(c, &f.nodes, &f.chains)
	return c
}

func (a *app) plan(ctx context.Context, f *planFlags) error {
	switch {
	case f.to == "":
		return usageError{errors.New("--to is missing: the address that gets the coins")}
	case f.out == "":
		return usageError{errors.New("--out is missing: the file to write the plan to")}
	case f.founding == "" && len(f.series) == 0:
		return usageError{errors.New("name the founding contract (--founding), or files with the bank's series (--series)")}
	}
	bank, err := f.bank()
	if err != nil {
		return err
	}
	to, err := bank.Network.ParseAddress(f.to)
	if err != nil {
		return usageError{fmt.Errorf("--to: %w", err)}
	}
	b, explainChain, err := openOwn(f.nodes, f.chains, bank.Network)
	if err != nil {
		return err
	}
	defer b.Close() //nolint:errcheck // it was only read
	rate := asset.Amount(f.rate)
	if rate == 0 {
		rate, err = b.FeeRate(ctx, 6)
		if errors.Is(err, chain.ErrNoEstimate) {
			return fmt.Errorf("your node has no estimate of fees: give --fee-rate, in units per 1,000 virtual bytes, at least %d", bank.Network.MinRelay)
		}
		if err != nil {
			return explainChain(err)
		}
	}
	if rate < bank.Network.MinRelay || rate > chain.MaxRate {
		return usageError{fmt.Errorf("--fee-rate %d: nodes of %s relay from %d to %d units per 1,000 virtual bytes", rate, bank.Network.Name, bank.Network.MinRelay, chain.MaxRate)}
	}
	found, err := a.findCoins(ctx, f, bank, b)
	if errors.Is(err, chain.ErrForked) {
		return fmt.Errorf("block %d, where the bank begins, is not on your node's chain: is it a node of %s, and the right block (--start)?", bank.Start.Height, bank.Network.Name)
	}
	if errors.Is(err, recovery.ErrBank) {
		return err
	}
	if err != nil {
		return explainChain(err)
	}
	return a.writeFound(f, found, recovery.Order{To: to, Rate: rate, Early: f.early})
}

func (a *app) findCoins(ctx context.Context, f *planFlags, bank *recovery.Bank, b chain.Backend) (*recovery.Findings, error) {
	next := time.Now().Add(5 * time.Second)
	p(a.err, "%s: deriving the addresses of %d series\n", bank.Network.Name, len(bank.Series))
	return recovery.Find(ctx, recovery.Config{
		Bank: *bank, Backend: b, DepositGap: max(f.gap, 1), ChangeGap: max(f.changeGap, 1),
		Progress: func(height uint32) {
			if time.Now().After(next) {
				next = time.Now().Add(10 * time.Second)
				p(a.err, "%s: read up to block %d\n", bank.Network.Name, height)
			}
		},
	})
}

// leftValue is a coin that stays, as it is shown.
type leftValue struct {
	Outpoint string `json:"outpoint"`
	Amount   string `json:"amount"`
	Why      string `json:"why"`
	Opens    uint32 `json:"opens"`
}

func leftValues(left []recovery.Left) (all []leftValue) {
	for i := range left {
		x := &left[i]
		v := leftValue{x.At.String(), units(x.Amount), "", x.Opens}
		switch x.Why {
		case recovery.Locked:
			v.Why = fmt.Sprintf("can be spent from block %d on", x.Opens)
			if x.Until != 0 {
				v.Why = fmt.Sprintf("can be spent from %s on by the chain's time, about block %d", when(uint64(x.Until)*1000), x.Opens)
			}
		case recovery.Token:
			v.Why = "so small that it may be a token of another program"
		case recovery.Small:
			v.Why = "worth less than the fee to spend it"
		}
		all = append(all, v)
	}
	return all
}

// writeFound plans and writes what was found, and shows it.
func (a *app) writeFound(f *planFlags, found *recovery.Findings, o recovery.Order) error {
	file, left, err := recovery.Plan(found, o)
	if err != nil {
		aligned(a.err, func(w io.Writer) { showLeft(w, leftValues(left), found.Network.Ticker) })
		switch {
		case errors.Is(err, recovery.ErrEmpty):
			return fmt.Errorf("%w up to block %d. Are all series there (--series)? A larger --gap looks for more addresses", err, found.Tip.Height)
		case errors.Is(err, recovery.ErrLocked):
			return fmt.Errorf("%w; your node is at block %d. Plan again then, or with --early to sign now and send then", err, found.Tip.Height)
		case errors.Is(err, recovery.ErrSmall):
			return fmt.Errorf("%w. Wait for lower fees, or say less with --fee-rate", err)
		}
		return err
	}
	if err := writePlan(f.out, file, true); err != nil {
		return err
	}
	v, err := planOf(f.out, file)
	if err != nil {
		return err
	}
	v.Left = leftValues(left)
	return a.show(v, func(w io.Writer) {
		v.print(w, file)
		showLeft(w, v.Left, found.Network.Ticker)
		p(w, "written to\t%s: now %d holders sign it, souk recovery sign\n", f.out, v.Transactions[0].Needed)
	})
}

func showLeft(w io.Writer, left []leftValue, ticker string) {
	for i := range left {
		p(w, "stays\t%s %s, %s: %s\n", left[i].Amount, ticker, left[i].Outpoint, left[i].Why)
	}
}

// aligned writes a table.
func aligned(w io.Writer, table func(io.Writer)) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	table(t)
	_ = t.Flush() // to a terminal
}

// bank is the bank that the flags name.
func (f *planFlags) bank() (*recovery.Bank, error) {
	b := &recovery.Bank{Wallets: custody.MaxWallets}
	if f.wallets != 0 {
		b.Wallets = f.wallets
	}
	if f.start != "" {
		height, hash, _ := strings.Cut(f.start, ":")
		n, err := strconv.ParseUint(height, 10, 32)
		if err == nil {
			b.Start.Height = uint32(n)
			b.Start.Hash, err = script.ParseHash(hash)
		}
		if err != nil {
			return nil, usageError{fmt.Errorf("--start %s: write HEIGHT:HASH of a block", f.start)}
		}
	}
	var agreed *script.Recovery
	network := f.network
	if f.founding != "" {
		d, first, err := f.contract()
		if err != nil {
			return nil, err
		}
		network, agreed, b.Wallets = d.Network, d.Recovery, d.Wallets
		b.Start, b.MinDeposit = chain.Point{Height: d.Start.Height, Hash: d.Start.Hash}, d.MinDeposit
		b.Series = append(b.Series, recovery.Series{Series: first})
	}
	for _, name := range f.series {
		if err := addSeries(b, name, &network, agreed); err != nil {
			return nil, fmt.Errorf("--series %s: %w", name, err)
		}
	}
	slices.SortFunc(b.Series, func(x, y recovery.Series) int { return int(x.Number) - int(y.Number) })
	var ok bool
	if b.Network, ok = script.ByName(network); !ok {
		return nil, usageError{errors.New("--network: on which network is the bank? There are " + strings.Join(networkNames(), ", "))}
	}
	return b, nil
}

// contract is the bank of the founding contract, and its first series.
func (f *planFlags) contract() (d custody.Definition, first *script.Series, err error) {
	contract, err := node.ReadFounding(f.founding)
	if err != nil {
		return d, nil, err
	}
	at := -1
	var names []string
	for i := range contract.Banks {
		names = append(names, contract.Banks[i].Network)
		if f.network == "" || contract.Banks[i].Network == f.network {
			at = i
		}
	}
	switch {
	case len(names) == 0:
		return d, nil, errors.New("the contract has no banks; if this virtual server took them over from another one, give that one's contract")
	case at < 0 || f.network == "" && len(names) > 1:
		return d, nil, usageError{fmt.Errorf("--network: the contract has banks on %s", strings.Join(names, ", "))}
	case contract.Banks[at].Recovery == nil:
		return d, nil, fmt.Errorf("the bank on %s has no recovery: only its members' keys move its coins", names[at])
	}
	state, err := exchange.New(contract)
	if err != nil {
		return d, nil, err
	}
	s, _, ok := state.Banks().SeriesOf(custody.Bank(at+1), 0)
	if !ok {
		return d, nil, errors.New("the contract's bank has no series")
	}
	return contract.Banks[at].Definition, &s, nil
}

// seriesText is what files say of series: those of souk verify series and souk bank.
type seriesText struct {
	Number    *uint32         `json:"number"` // souk bank
	Series    *uint32         `json:"series"` // souk verify series
	Threshold uint8           `json:"threshold"`
	Keys      json.RawMessage `json:"keys"`
	Recovery  *struct {
		Threshold uint8    `json:"threshold"`
		Keys      []string `json:"keys"`
		Blocks    uint32   `json:"blocks"`
		Seconds   uint64   `json:"seconds"`
	} `json:"recovery"`
	Addresses uint32 `json:"addresses"`
}

// addSeries adds the series of a file to a bank. Several files may have the same one.
func addSeries(b *recovery.Bank, name string, network *string, agreed *script.Recovery) error {
	data, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	var t struct {
		seriesText
		Network   string       `json:"network"`
		AllSeries []seriesText `json:"all_series"`
	}
	var proof struct {
		Proven json.RawMessage `json:"proven"`
	}
	if json.Unmarshal(data, &proof) == nil && proof.Proven != nil { // as souk verify prints it
		data = proof.Proven
	}
	if err := json.Unmarshal(data, &t); err != nil {
		return fmt.Errorf("it is not what souk verify series or souk bank print with -o json: %w", err)
	}
	if t.Network != "" {
		if *network != "" && *network != t.Network {
			return fmt.Errorf("it is of a bank on %s, not on %s", t.Network, *network)
		}
		*network = t.Network
	}
	list := t.AllSeries
	if len(list) == 0 {
		list = []seriesText{t.seriesText}
	}
	for i := range list {
		s, err := list[i].series(agreed)
		if err != nil {
			return err
		}
		at := slices.IndexFunc(b.Series, func(x recovery.Series) bool { return x.Number == s.Number })
		switch {
		case at < 0:
			b.Series = append(b.Series, s)
		case !slices.Equal(b.Series[at].AppendTo(nil), s.AppendTo(nil)):
			return fmt.Errorf("its series %d has other keys than that of the contract, or of another file", s.Number)
		default:
			b.Series[at].Allotted = max(b.Series[at].Allotted, s.Allotted)
		}
	}
	return nil
}

// series is a series of a file. Its recovery is that of the contract, if there is one.
func (t *seriesText) series(agreed *script.Recovery) (s recovery.Series, err error) {
	switch {
	case t.Number != nil:
		s.Number = *t.Number
	case t.Series != nil:
		s.Number = *t.Series
	default:
		return s, errors.New("it has no series: give what souk verify series or souk bank print with -o json")
	}
	s.Allotted = t.Addresses
	s.Series = &script.Series{K: t.Threshold, Recovery: agreed}
	texts, err := t.keys()
	if err != nil {
		return s, err
	}
	if s.Keys, err = memberKeys(texts); err != nil {
		return s, fmt.Errorf("series %d: %w", s.Number, err)
	}
	if x := t.Recovery; x != nil {
		r := &script.Recovery{K: x.Threshold, Blocks: x.Blocks, Intervals: uint32(min(x.Seconds/script.IntervalSeconds, script.MaxLock+1))}
		if r.Keys, err = memberKeys(x.Keys); err != nil {
			return s, fmt.Errorf("recovery of series %d: %w", s.Number, err)
		}
		s.Recovery = r
		if agreed != nil && (r.Sequence() != agreed.Sequence() || r.K != agreed.K || !slices.Equal(r.Keys, agreed.Keys)) {
			return s, fmt.Errorf("series %d has another recovery than the contract", s.Number)
		}
	}
	if s.Recovery == nil {
		return s, fmt.Errorf("series %d has no recovery in this file: give the contract too (--founding)", s.Number)
	}
	return s, s.Check()
}

// keys are texts of keys, alone or with whose they are.
func (t *seriesText) keys() (texts []string, err error) {
	if json.Unmarshal(t.Keys, &texts) == nil {
		return texts, nil
	}
	var named []struct {
		Key string `json:"key"`
	}
	if err := json.Unmarshal(t.Keys, &named); err != nil {
		return nil, errors.New("the keys of its series cannot be read")
	}
	texts = nil
	for _, k := range named {
		texts = append(texts, k.Key)
	}
	return texts, nil
}

func memberKeys(texts []string) (keys []script.MemberKey, err error) {
	for _, text := range texts {
		k, err := script.ParseMemberKey(text)
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	return keys, nil
}
