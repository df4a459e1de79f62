package cli

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"souk/api"
	"souk/asset"
	"souk/exchange"
	"souk/identity"
	"souk/purse"
	"souk/store/sealed"
)

func (a *app) accountCommand() *cobra.Command {
	c := &cobra.Command{Use: "account", Short: "Make, show or recover your account", Args: cobra.NoArgs}
	c.AddCommand(a.accountNew(), a.accountRecover(), a.accountImport(), a.accountConnect(), a.accountUse(), a.accountShow(), a.accountFills())
	return c
}

func (a *app) accountNew() *cobra.Command {
	var words int
	c := &cobra.Command{
		Use: "new", Short: "Make new words, seal them in the purse, and show them once", Args: cobra.NoArgs,
		Long: `Make new words, seal the keys that come from them in the purse, and show the words once. It needs no
server: without --server the purse is pinned to a virtual server later, by souk account connect or by the
first command with --server that the purse signs.`,
		Example: `  souk account new
  souk account new --server https://alice.example:8640 --id ID`,
		RunE: func(c *cobra.Command, _ []string) error {
			w, err := purse.Generate(rand.Reader, words)
			if err != nil {
				return err
			}
			defer w.Wipe()
			return a.createFrom(c.Context(), w, true)
		},
	}
	c.Flags().IntVar(&words, "words", 12, "12 or 24")
	return c
}

func (a *app) accountRecover() *cobra.Command {
	return &cobra.Command{
		Use: "recover", Short: "Make the purse again from its words, read from standard input", Args: cobra.NoArgs,
		Long: `Make the purse again from its words, read from standard input. With --server and --id the server must
serve the virtual server with that id; if none can be reached, the id is taken as it is given.`,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := a.noPurseYet(); err != nil {
				return err
			}
			p(a.err, "Type the words, all in one line:\n")
			line, err := bufio.NewReader(io.LimitReader(a.in, 4096)).ReadString('\n')
			if err != nil && !errors.Is(err, io.EOF) {
				return fmt.Errorf("read the words: %w", err)
			}
			w, err := identity.ParseWords(strings.TrimSpace(line))
			if err != nil {
				return err
			}
			defer w.Wipe()
			return a.createFrom(c.Context(), w, false)
		},
	}
}

func (a *app) accountImport() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use: "import --seed-file FILE", Short: "Make a purse from a key without words", Args: cobra.NoArgs,
		Long: `Make a purse from a key that has no words: the file holds its seed, 64 hexadecimal digits, and only its
owner may read it. So souk federation init leaves the key of the issuer of its play money in issuer.seed.`,
		Example: "  souk account import --purse issuer --seed-file trial/issuer.seed --server http://127.0.0.1:8640",
		RunE: func(c *cobra.Command, _ []string) error {
			if file == "" {
				return usageError{errors.New("give --seed-file FILE: the key is never read from the command line")}
			}
			seed, err := secretLine(file)
			if err != nil {
				return fmt.Errorf("seed file: %w", err)
			}
			key := identity.NewKey(seed)
			defer key.Wipe()
			clear(seed[:])
			return a.create(c.Context(), func(own purse.Purse, b purse.Book, pass sealed.Passphrase) (identity.Address, error) {
				return own.Import(key, b, pass, a.work)
			}, "")
		},
	}
	c.Flags().StringVar(&file, "seed-file", "", "file with the seed; only its owner may read it")
	return c
}

// secretLine reads 32 bytes as hexadecimal digits from a file that only its owner may read.
func secretLine(file string) (secret [32]byte, err error) {
	line, err := sealed.Line(file)
	if err != nil {
		return secret, err
	}
	defer clear(line)
	return secretBytes(bytes.TrimSpace(line))
}

func secretBytes(text []byte) (secret [32]byte, err error) {
	if len(text) != 2*len(secret) {
		return secret, errors.New("what it holds is not 64 hexadecimal digits")
	}
	if _, err := hex.Decode(secret[:], text); err != nil {
		return secret, errors.New("what it holds is not 64 hexadecimal digits")
	}
	return secret, nil
}

// noPurseYet refuses before anything is asked what would fail at the end.
func (a *app) noPurseYet() error {
	own, err := a.pursePath()
	if err == nil && own.Exists() {
		err = fmt.Errorf("%s: %w", own, purse.ErrExists)
	}
	return err
}

// createFrom makes a purse of words.
func (a *app) createFrom(ctx context.Context, w identity.Words, reveal bool) error {
	show := ""
	if reveal {
		show = w.Reveal()
	}
	return a.create(ctx, func(own purse.Purse, b purse.Book, pass sealed.Passphrase) (identity.Address, error) {
		return own.Create(w, b, pass, a.work)
	}, show)
}

// create makes the purse and pins the virtual server, if one is named.
func (a *app) create(ctx context.Context, seal func(purse.Purse, purse.Book, sealed.Passphrase) (identity.Address, error), words string) error {
	if err := a.noPurseYet(); err != nil {
		return err
	}
	own, err := a.pursePath()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	book, err := a.locate(ctx, a.servers, a.id, true)
	if err != nil {
		return err
	}
	address, err := seal(own, book, a.pass.get("New passphrase for the purse: ", true))
	if err != nil {
		return err
	}
	if words != "" {
		p(a.err, "Write these words down and keep them safe; whoever has them has the account:\n\n  %s\n\n", words)
	}
	if book.Server == "" {
		p(a.err, "The purse knows no virtual server yet: souk account connect --server URL --id ID, or --server with the first command.\n")
	}
	if book, err = own.Book(); err != nil {
		return err
	}
	value := map[string]string{"address": address.String(), "key": book.Key}
	if book.Server != "" {
		value["virtual_server"] = book.Server
	}
	return a.show(value, func(w io.Writer) { p(w, "%s\n", address) })
}

// address reads an address.
func address(text string) (identity.Address, error) {
	a, err := identity.ParseAddress(text)
	if err != nil {
		return a, usageError{fmt.Errorf("%q is not an address: copy it whole, it begins with souk1, and its check sum finds every wrong letter", text)}
	}
	return a, nil
}

func (a *app) accountShow() *cobra.Command {
	return &cobra.Command{
		Use: "show", Short: "Show your address, balances and keys", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.signed(c.Context(), func(ctx context.Context, s *session, who *api.Signer) error {
				acc, err := s.client.Account(ctx, who)
				if api.IsNotFound(err) {
					acc, err = &api.Account{Address: who.Account.String(), Balances: []api.Balance{}, Delegates: []api.Delegate{}}, nil
					p(a.err, "nobody has paid this account yet; it exists from its first credit on\n")
				}
				if err != nil {
					return err
				}
				names, err := marketNames(ctx, s, acc)
				if err != nil {
					return err
				}
				return a.show(acc, func(w io.Writer) { showAccount(w, acc, names) })
			})
		},
	}
}

// marketNames are the names of the markets that an account's delegates are limited to.
func marketNames(ctx context.Context, s *session, acc *api.Account) (map[uint32]string, error) {
	names := map[uint32]string{}
	for i := range acc.Delegates {
		for _, id := range acc.Delegates[i].Markets {
			if _, ok := names[id]; ok {
				continue
			}
			names[id] = strconv.FormatUint(uint64(id), 10) // a number that is no market's yet
			pair, err := s.client.Pair(ctx, names[id])
			if err != nil && !api.IsNotFound(err) {
				return nil, err
			}
			if err == nil {
				names[id] = pair.Symbol()
			}
		}
	}
	return names, nil
}

func showAccount(w io.Writer, acc *api.Account, names map[uint32]string) {
	p(w, "%s\n", acc.Address)
	p(w, "asset\tavailable\tin orders\tin withdrawals\n")
	for i := range acc.Balances {
		b := &acc.Balances[i]
		p(w, "%s\t%s\t%s\t%s\n", b.Symbol, b.Available, inOrders(b), b.Withdrawing)
	}
	if acc.Timer != 0 {
		p(w, "all orders are cancelled at %s, unless the timer is set again\n", when(acc.Timer))
	}
	if len(acc.Delegates) > 0 {
		p(w, "\nkey\tmay\tmarkets\tuntil\n")
	}
	for i := range acc.Delegates {
		d := &acc.Delegates[i]
		markets, until := "all", "for good"
		if len(d.Markets) > 0 {
			var list []string
			for _, id := range d.Markets {
				list = append(list, names[id])
			}
			markets = strings.Join(list, ", ")
		}
		if d.Expiry != 0 {
			until = when(d.Expiry)
		}
		p(w, "%s\t%s\t%s\t%s\n", d.Key, strings.Join(d.Scopes, ", "), markets, until)
	}
	if acc.Rotation != nil {
		p(w, "owner key changes to %s at %s\n", acc.Rotation.Key, when(acc.Rotation.Due))
	}
}

// inOrders is what live orders hold of a balance: all that is not held for withdrawals.
func inOrders(b *api.Balance) string {
	if b.Withdrawing == "" {
		return b.Held
	}
	_, decimals, _ := strings.Cut(b.Held, ".")
	n := uint8(len(decimals))
	held, err := asset.Parse(b.Held, n)
	out, err2 := asset.Parse(b.Withdrawing, n)
	if err != nil || err2 != nil || out > held {
		return b.Held
	}
	return asset.Format(held-out, n)
}

func (a *app) accountFills() *cobra.Command {
	var page api.Page
	c := &cobra.Command{
		Use: "fills", Short: "Show your trades, newest first", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := limited(page.Limit); err != nil {
				return err
			}
			return a.signed(c.Context(), func(ctx context.Context, s *session, who *api.Signer) error {
				fills, err := s.client.Fills(ctx, who, page)
				if err != nil {
					return err
				}
				return a.show(fills, func(w io.Writer) { showFills(w, fills.Fills) })
			})
		},
	}
	c.Flags().StringVar(&page.Market, "market", "", "only this market")
	c.Flags().Uint64Var(&page.Order, "order", 0, "only this order, by number")
	c.Flags().StringVar(&page.Before, "before", "", "only older ones: next of the page before")
	c.Flags().IntVar(&page.Limit, "limit", 20, "how many")
	return c
}

func showFills(w io.Writer, fills []api.Fill) {
	p(w, "trade\ttime\tmarket\torder\tside\tquantity\tprice\tvalue\tfee\tas\n")
	for i := range fills {
		f := &fills[i]
		p(w, "%d\t%s\t%s\t%d\t%s\t%s\t%s\t%s\t%s\t%s\n", f.Trade, when(f.Time), f.Symbol, f.Order, f.Side, f.Quantity, f.Price, f.Value, f.Fee, f.Role)
	}
}

func (a *app) sendCommand() *cobra.Command {
	var memo string
	c := &cobra.Command{
		Use: "send ADDRESS AMOUNT ASSET", Short: "Pay another account", Args: cobra.ExactArgs(3),
		Example: "  souk send souk1q... 12.5 EUR --memo rent",
		RunE: func(c *cobra.Command, args []string) error {
			to, err := address(args[0])
			if err != nil {
				return err
			}
			return a.signed(c.Context(), func(ctx context.Context, s *session, who *api.Signer) error {
				id, amount, err := money(ctx, s, args[1], args[2])
				if err != nil {
					return err
				}
				r, err := a.do(ctx, s, who, &exchange.Transfer{To: to, Asset: id, Amount: amount, Memo: memo})
				if err != nil {
					return err
				}
				return a.showReceipt(&r, func(w io.Writer) { p(w, "sent %s %s to %s\n", args[1], args[2], to) })
			})
		},
	}
	c.Flags().StringVar(&memo, "memo", "", "a note that both accounts can read, at most 128 bytes")
	return c
}

func (a *app) showReceipt(r *exchange.Receipt, table func(io.Writer)) error {
	v := api.ReceiptValue(r)
	return a.show(&v, func(w io.Writer) {
		table(w)
		p(w, "command %s, block %d\n", v.ID, v.Height)
	})
}
