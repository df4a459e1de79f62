package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"souk/asset"
	"souk/chain"
	"souk/identity"
	"souk/node"
	"souk/recovery"
	"souk/script"
	"souk/store/sealed"
)

func (a *app) recoveryCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "recovery", Short: "Get a bank's coins back with its recovery keys, when its members' keys are lost for ever", Args: cobra.NoArgs,
		Long: `Get a bank's coins back with its recovery keys, when too many of its members' keys are lost for ever. No server is
needed: the founding contract, or what is known of the bank's keys, and a node of your own.

  1. Somebody plans: souk recovery plan finds what can be spent and writes transactions to a file.
  2. So many holders as the bank's recovery needs sign the file, each on a machine of his own that may be offline:
     souk recovery sign. One after the other, or each a copy.
  3. Anybody sends: souk recovery send.

Coins can be spent so only when they have not moved for the time of the bank's recovery. The file has nothing secret.`,
	}
	c.AddCommand(a.recoveryPlan(), a.recoverySign(), a.recoverySend())
	return c
}

// readPlan reads a plan.
func readPlan(name string) (*recovery.File, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("read the plan: %w", err)
	}
	f, err := recovery.Parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w. Take the file again from who made it", name, err)
	}
	return f, nil
}

// writePlan puts a plan into a file that only its owner may read, whole or not at all. A
// new one goes to where there is none.
func writePlan(name string, f *recovery.File, fresh bool) error {
	data, err := f.Encode()
	if err != nil {
		return err
	}
	out, err := os.CreateTemp(filepath.Dir(name), ".recovery-*") // mode 0600
	if err != nil {
		return fmt.Errorf("write the plan: %w", err)
	}
	defer os.Remove(out.Name()) //nolint:errcheck // gone after the rename, or of no use
	_, err = out.Write(data)
	if err = errors.Join(err, out.Sync(), out.Close()); err == nil {
		if fresh {
			err = os.Link(out.Name(), name)
		} else {
			err = os.Rename(out.Name(), name)
		}
	}
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("there is a file %s already: name another with --out", name)
	}
	if err != nil {
		return fmt.Errorf("write the plan: %w", err)
	}
	return nil
}

// recoveryTx is a transaction of a plan as it is shown.
type recoveryTx struct {
	Tx      string           `json:"tx"`
	Coins   int              `json:"coins"`
	In      string           `json:"in"`
	Paid    string           `json:"paid"`
	Address string           `json:"address"`
	Fee     string           `json:"fee"`
	Rate    uint64           `json:"rate"`
	Needed  int              `json:"needed"`
	Missing int              `json:"missing"`
	Holders []recoveryHolder `json:"holders"`
	Opens   uint32           `json:"opens"` // first block that can hold it, for a lock of time about
	State   string           `json:"state,omitempty"`
	Height  uint32           `json:"height,omitempty"`
}

type recoveryHolder struct {
	Number int    `json:"number"`
	Key    string `json:"key"`
	Signed bool   `json:"signed"`
	Bad    string `json:"bad,omitempty"`
}

// recoveryValue is a plan as it is shown.
type planValue struct {
	File         string       `json:"file"`
	Network      string       `json:"network"`
	Transactions []recoveryTx `json:"transactions"`
	Left         []leftValue  `json:"left,omitempty"`
}

func planOf(name string, f *recovery.File) (planValue, error) {
	v := planValue{File: name, Network: f.Network.Name}
	for i := range f.Transactions {
		sums, err := f.Sums(i)
		if err != nil {
			return v, err
		}
		standing, err := f.Standing(i)
		if err != nil {
			return v, err
		}
		t := recoveryTx{
			Tx: sums.ID.String(), Coins: sums.Coins, In: units(sums.In), Paid: units(sums.Paid), Address: sums.Address, Fee: units(sums.Fee),
			Rate: uint64(sums.Rate), Needed: standing.Needed, Missing: standing.Missing, Opens: f.Transactions[i].Opens,
		}
		for _, h := range standing.Holders {
			x := recoveryHolder{Number: h.Number, Key: h.Key.String(), Signed: h.Signed}
			if h.Bad != nil {
				x.Bad = h.Bad.Error()
			}
			t.Holders = append(t.Holders, x)
		}
		v.Transactions = append(v.Transactions, t)
	}
	return v, nil
}

// print shows in plain words what a plan does, of what is signed alone.
func (v *planValue) print(w io.Writer, f *recovery.File) {
	ticker := f.Network.Ticker
	var paid, fee asset.Amount
	for i := range v.Transactions {
		t := &v.Transactions[i]
		sums, _ := f.Sums(i) // which planOf has computed
		paid, fee = paid+sums.Paid, fee+sums.Fee
		p(w, "transaction %d\t%s\n", i+1, t.Tx)
		p(w, "  spends\t%s with %s %s\n", count(t.Coins, "coin"), t.In, ticker)
		p(w, "  pays\t%s %s to %s\n", t.Paid, ticker, t.Address)
		p(w, "  fee\t%s %s, %s, %s of what it spends\n", t.Fee, ticker, rateText(f.Network.Name, t.Rate), share(sums.Fee, sums.In))
		p(w, "  signed\t%s\n", t.signed())
		for _, h := range t.Holders {
			if h.Bad != "" {
				p(w, "\tBAD SIGNATURE of key %d, %s: he signs again\n", h.Number, h.Key)
			}
		}
		if t.State != "" {
			p(w, "  state\t%s\n", t.State)
		}
	}
	p(w, "together\t%s %s to %s\n\tfees %s %s, on %s\n", units(paid), ticker, v.Transactions[0].Address, units(fee), ticker, v.Network)
}

func (t *recoveryTx) signed() string {
	var who []string
	for _, h := range t.Holders {
		if h.Signed {
			who = append(who, fmt.Sprintf("key %d", h.Number))
		}
	}
	text := fmt.Sprintf("%d of %d keys are needed; ", t.Needed, len(t.Holders))
	if len(who) == 0 {
		return text + "nobody has signed"
	}
	text += strings.Join(who, ", ")
	if t.Missing == 0 {
		return text + " have signed: it is complete"
	}
	return text + fmt.Sprintf(" signed, %d missing", t.Missing)
}

// share is a part of something in percent.
func share(part, of asset.Amount) string {
	percent := float64(part) / float64(of) * 100
	if percent < 0.01 {
		return "less than 0.01 %"
	}
	return fmt.Sprintf("%.2f %%", percent)
}

func (a *app) recoverySign() *cobra.Command {
	var wordsFile string
	var fd int
	var yes bool
	c := &cobra.Command{
		Use: "sign FILE", Short: "Show what a plan does, and sign it with the words of a recovery key", Args: cobra.ExactArgs(1),
		Long: `Show what a plan does, and sign it with the words of a recovery key. Do it on a machine that is not connected, and
compare the address and the transactions' names with what the other holders see, by a way that is not the file's.

What is shown is read from what is signed, and not from texts in the file. A signature is good for these transactions
alone: another amount, address or fee is another transaction. Sign one plan of a bank only; if there is another one
with the same coins and other amounts of them, one of the two is false.

The words are read from the terminal, or from --words-file or --words-fd. They are kept nowhere.`,
		Example: "  souk recovery sign bank.plan",
		RunE: func(_ *cobra.Command, args []string) error {
			f, err := readPlan(args[0])
			if err != nil {
				return err
			}
			if err := a.consented(args[0], f, yes); err != nil {
				return err
			}
			key, err := readRecoveryKey(wordsFile, fd, f.Network)
			if err != nil {
				return err
			}
			defer key.Wipe()
			_, err = f.Sign(key)
			if errors.Is(err, recovery.ErrStranger) {
				return fmt.Errorf("these words are none of this recovery's: their key for %s is %s. Are they the right ones? souk recovery-key show tells", f.Network.Name, key.Public())
			}
			if err != nil {
				return err
			}
			if err := writePlan(args[0], f, false); err != nil {
				return err
			}
			v, err := planOf(args[0], f)
			if err != nil {
				return err
			}
			return a.show(v, func(w io.Writer) {
				for i := range v.Transactions {
					p(w, "transaction %d\t%s\n", i+1, v.Transactions[i].signed())
				}
				p(w, "written to\t%s\n", args[0])
			})
		},
	}
	c.Flags().StringVar(&wordsFile, "words-file", "", "file whose first line is the words; only its owner may read it")
	c.Flags().IntVar(&fd, "words-fd", -1, "open file descriptor to read the words from")
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return c
}

// consented shows what would be signed, and asks.
func (a *app) consented(name string, f *recovery.File, yes bool) error {
	v, err := planOf(name, f)
	if err != nil {
		return err
	}
	aligned(a.err, func(w io.Writer) { v.print(w, f) })
	if yes {
		return nil
	}
	p(a.err, "Sign it? Write yes: ")
	line, err := bufio.NewReader(a.in).ReadString('\n')
	if strings.TrimSpace(line) == "yes" {
		return nil
	}
	if err != nil && line == "" {
		p(a.err, "\n")
		return usageError{errors.New("nobody answered, so nothing was signed; give --yes to be asked nothing")}
	}
	return errors.New("nothing was signed")
}

// readRecoveryKey reads words and derives their key.
func readRecoveryKey(file string, fd int, n *script.Network) (k script.PrivateMemberKey, err error) {
	read := sealed.FromTerminal("The 24 words of the recovery key: ", false)
	switch {
	case file != "":
		read = func() ([]byte, error) { return sealed.Line(file) }
	case fd >= 0:
		read = sealed.FromFD(fd)
	}
	text, err := read()
	if errors.Is(err, sealed.ErrNoTerminal) {
		return k, usageError{errors.New("no terminal to ask for the words; give --words-file or --words-fd")}
	}
	if err != nil {
		return k, err
	}
	defer clear(text)
	w, err := identity.ParseWords(string(text))
	if err != nil {
		return k, fmt.Errorf("recovery key: %w", err)
	}
	defer w.Wipe()
	return node.RecoveryKey(w, n)
}

func (a *app) recoverySend() *cobra.Command {
	var chains []string
	var file string
	var watch bool
	c := &cobra.Command{
		Use: "send FILE [COPY ...]", Short: "Combine the signatures of a plan and broadcast its transactions", Args: cobra.MinimumNArgs(1),
		Long: `Combine the signatures of a plan, and broadcast its transactions by a node of your own. Several copies of one plan,
each with the signatures of other holders, are put together. It may be repeated.`,
		Example: "  souk recovery send bank.plan --chain bitcoin=http://127.0.0.1:8332,cookie=$HOME/.bitcoin/.cookie --watch\n  souk recovery send heidi.plan ivan.plan --chains chains.toml",
		RunE: func(c *cobra.Command, args []string) error {
			f, err := readPlan(args[0])
			if err != nil {
				return err
			}
			for _, name := range args[1:] {
				other, err := readPlan(name)
				if err != nil {
					return err
				}
				if err := f.Merge(other); err != nil {
					return fmt.Errorf("%s and %s: %w: send them one by one", args[0], name, err)
				}
			}
			b, explainChain, err := openOwn(chains, file, f.Network)
			if err != nil {
				return err
			}
			defer b.Close() //nolint:errcheck // what was sent is sent
			return a.sendPlan(c.Context(), args[0], f, b, explainChain, watch)
		},
	}
	chainFlags(c, &chains, &file)
	c.Flags().BoolVar(&watch, "watch", false, "wait until all transactions are in blocks")
	return c
}

func chainFlags(c *cobra.Command, chains *[]string, file *string) {
	c.Flags().StringArrayVar(chains, "chain", nil, "a node of your own, NETWORK=URL,cookie=FILE (see souk audit --help)")
	c.Flags().StringVar(file, "chains", "", "file with [chains.NETWORK] sections, as a server's config.toml")
}

// openOwn opens the user's backend for a network, and answers what puts its errors into words.
func openOwn(flags []string, file string, n *script.Network) (chain.Backend, func(error) error, error) {
	nodes, err := chainNodes(flags, file)
	if err != nil {
		return nil, nil, usageError{err}
	}
	c, ok := nodes[n.Name]
	if !ok {
		return nil, nil, usageError{fmt.Errorf("no node for %s: --chain %s=URL,cookie=FILE, or --chains FILE with a section [chains.%s]", n.Name, n.Name, n.Name)}
	}
	if c.Kind == "light" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return nil, nil, fmt.Errorf("where to keep headers: %w", err)
		}
		c.dir = filepath.Join(cache, "souk")
	}
	b, err := node.OpenChain(c.dir, n.Name, c.ChainConfig)
	if err != nil {
		return nil, nil, err
	}
	return b, func(err error) error { return errors.New(node.ExplainChain(n.Name, c.ChainConfig, err)) }, nil
}

// sendPlan broadcasts a plan's transactions, and says of each how it went.
func (a *app) sendPlan(ctx context.Context, name string, f *recovery.File, b chain.Backend, explainChain func(error) error, watch bool) error {
	v, err := planOf(name, f)
	if err != nil {
		return err
	}
	sent, err := recovery.Send(ctx, f, b)
	if err != nil {
		return explainChain(err)
	}
	var failed []error
	for i := range sent {
		v.Transactions[i].State = "sent: it waits for a block"
		if err := sent[i].Err; err != nil {
			v.Transactions[i].State = "NOT SENT: " + err.Error()
			failed = append(failed, fmt.Errorf("transaction %d: %w%s", i+1, err, sendAdvice(err)))
		}
	}
	if watch && len(failed) == 0 {
		if err := a.watchPlan(ctx, f, b, &v); err != nil {
			return err
		}
	}
	if err := a.show(v, func(w io.Writer) { v.print(w, f) }); err != nil {
		return err
	}
	return errors.Join(failed...)
}

// sendAdvice says what to do about a transaction that was not sent.
func sendAdvice(err error) string {
	switch {
	case errors.Is(err, recovery.ErrUnsigned):
		return ". Have another holder sign the file (souk recovery sign), or give the copy that he has signed too"
	case errors.Is(err, recovery.ErrEarly):
		return ". Send the same file again then"
	case errors.Is(err, chain.ErrFeeTooLow):
		return ". Try later, or plan anew with a higher --fee-rate"
	case errors.Is(err, chain.ErrMissingInputs), errors.Is(err, chain.ErrConflict):
		return ". If it is not a transaction of yours that waits already, coins have moved since: plan anew"
	case errors.Is(err, chain.ErrUnavailable):
		return ". Is the node running? Send the same file again"
	}
	return ""
}

// watchPause is between two looks at a chain.
const watchPause = time.Second

// watchPlan waits until all transactions are in blocks.
func (a *app) watchPlan(ctx context.Context, f *recovery.File, b chain.Backend, v *planValue) error {
	w, err := recovery.NewWatch(f, b)
	if err != nil {
		return err
	}
	for said := -1; ; {
		fates, err := w.Look(ctx)
		if err != nil && !errors.Is(err, chain.ErrUnavailable) {
			return err
		}
		mined := 0
		for i := range fates {
			if fates[i].Height > 0 {
				mined++
				v.Transactions[i].Height, v.Transactions[i].State = fates[i].Height, fmt.Sprintf("in block %d", fates[i].Height)
			}
		}
		if mined == len(v.Transactions) {
			return nil
		}
		if mined != said {
			said = mined
			p(a.err, "%d of %d transactions are in blocks; waiting\n", mined, len(v.Transactions))
		}
		select {
		case <-ctx.Done():
			return errors.New("stopped waiting; what was sent stays sent: souk recovery send FILE --watch looks again")
		case <-time.After(watchPause):
		}
	}
}
