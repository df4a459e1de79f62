package cli

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"souk/api"
	"souk/exchange"
	"souk/store/sealed"
)

func (a *app) escrowCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "escrow", Short: "Pay on a condition: a secret, a deadline, an arbiter", Args: cobra.NoArgs,
		Long: `Lock an amount for somebody under the SHA-256 of a secret and a deadline: who shows the secret in time has it
paid out to the payee, else it comes back at the deadline. If an arbiter was named, payer or payee can call
him before the deadline; then he alone decides.`,
		Example: `  souk escrow lock souk1q... 500 EUR --new-secret deal.secret --deadline 24h
  souk escrow claim 7 --secret-file deal.secret
  souk escrow lock souk1q... 500 EUR --hash HASH --deadline 24h --arbiter souk1p... --window 7d`,
	}
	c.AddCommand(a.escrowSecret(), a.escrowLock(), a.escrowClaim(),
		a.escrowDo("refund ID", "Take an amount back: its payee at any time, its payer from the deadline on",
			func(id uint64) exchange.Body { return &exchange.Refund{Escrow: id} }, "escrow %d went back to its payer\n"),
		a.escrowDo("dispute ID", "Call the arbiter of an escrow, before its deadline",
			func(id uint64) exchange.Body { return &exchange.Dispute{Escrow: id} }, "escrow %d is in dispute; its arbiter decides\n"),
		a.escrowResolve(), a.escrowShow(), a.escrowList())
	return c
}

// newSecret makes a secret in a new file that only its owner may read.
func newSecret(file string) (hash [32]byte, err error) {
	var secret [32]byte
	if _, err := rand.Read(secret[:]); err != nil {
		return hash, fmt.Errorf("make a secret: %w", err)
	}
	defer clear(secret[:])
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return hash, fmt.Errorf("make a secret: %w", err)
	}
	_, err = fmt.Fprintf(f, "%x\n", secret[:])
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return hash, fmt.Errorf("write %s: %w", file, err)
	}
	return sha256.Sum256(secret[:]), nil
}

func (a *app) escrowSecret() *cobra.Command {
	return &cobra.Command{
		Use: "secret FILE", Short: "Make a secret in a new file, or read one there, and print its hash", Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			hash, err := newSecret(args[0])
			if errors.Is(err, os.ErrExist) {
				var secret [32]byte
				if secret, err = secretLine(args[0]); err != nil {
					return fmt.Errorf("secret file %s: %w", args[0], err)
				}
				hash = sha256.Sum256(secret[:])
				clear(secret[:])
			}
			if err != nil {
				return err
			}
			return a.show(map[string]string{"hash": hex.EncodeToString(hash[:]), "file": args[0]}, func(w io.Writer) { p(w, "%x\n", hash[:]) })
		},
	}
}

// lockFlags are the flags of escrow lock.
type lockFlags struct {
	hash, secret, arbiter, memo string
	deadline, window            length
}

func (f *lockFlags) check() error {
	switch {
	case (f.hash == "") == (f.secret == ""):
		return errors.New("give --hash with the SHA-256 of a secret that somebody else knows, or --new-secret FILE to make one")
	case f.deadline == 0:
		return errors.New("--deadline is missing: say when the amount goes back, such as --deadline 24h")
	case (f.arbiter == "") != (f.window == 0):
		return errors.New("--arbiter and --window go together: the window is the time that he has from the deadline on")
	}
	return nil
}

func (a *app) escrowLock() *cobra.Command {
	var f lockFlags
	c := &cobra.Command{
		Use: "lock ADDRESS AMOUNT ASSET", Short: "Lock an amount for a payee", Args: cobra.ExactArgs(3),
		Long: `Lock an amount for a payee. Who knows the secret and shows it before the deadline pays him: with --new-secret
it is made in a file, and you hand it over when you have got what you pay for; with --hash somebody else
made it (souk escrow secret). The deadline counts from now.`,
		RunE: func(c *cobra.Command, args []string) error {
			if err := f.check(); err != nil {
				return usageError{err}
			}
			body := &exchange.Lock{Window: uint64(time.Duration(f.window).Milliseconds()), Memo: f.memo}
			var err error
			if body.Payee, err = address(args[0]); err != nil {
				return err
			}
			if f.arbiter != "" {
				if body.Arbiter, err = address(f.arbiter); err != nil {
					return err
				}
			}
			if f.hash != "" {
				if body.Hash, err = secretBytes([]byte(f.hash)); err != nil {
					return usageError{fmt.Errorf("--hash %q: a SHA-256 has 64 hexadecimal digits", f.hash)}
				}
			}
			return a.signed(c.Context(), func(ctx context.Context, s *session, who *api.Signer) error {
				if body.Asset, body.Amount, err = money(ctx, s, args[1], args[2]); err != nil {
					return err
				}
				if f.secret != "" {
					if body.Hash, err = newSecret(f.secret); err != nil {
						return err
					}
				}
				body.Deadline = f.deadline.from(time.Now())
				r, err := a.do(ctx, s, who, body)
				if err != nil {
					return err
				}
				value := struct {
					api.Receipt
					Escrow   uint64 `json:"escrow"`
					Hash     string `json:"hash"`
					Secret   string `json:"secret_file,omitempty"`
					Deadline uint64 `json:"deadline"`
				}{api.ReceiptValue(&r), r.Number, hex.EncodeToString(body.Hash[:]), f.secret, body.Deadline}
				return a.show(&value, func(w io.Writer) {
					p(w, "escrow %d: %s %s locked for %s until %s\n", r.Number, args[1], args[2], body.Payee, when(body.Deadline))
					p(w, "hash %s\n", value.Hash)
					if f.secret != "" {
						p(w, "its secret is in %s: who has that can have the payee paid\n", f.secret)
					}
					p(w, "command %s, block %d\n", value.ID, value.Height)
				})
			})
		},
	}
	c.Flags().StringVar(&f.hash, "hash", "", "SHA-256 of a secret of 32 bytes, 64 hexadecimal digits")
	c.Flags().StringVar(&f.secret, "new-secret", "", "file to make, with a new secret in it")
	c.Flags().Var(&f.deadline, "deadline", "time after which the amount goes back, such as 24h or 30d")
	c.Flags().StringVar(&f.arbiter, "arbiter", "", "account that decides if payer and payee do not agree")
	c.Flags().Var(&f.window, "window", "time from the deadline on in which the arbiter decides, such as 7d")
	c.Flags().StringVar(&f.memo, "memo", "", "a note that all parties can read, at most 128 bytes")
	return c
}

// escrowID reads the number of an escrow.
func escrowID(text string) (uint64, error) {
	id, err := strconv.ParseUint(text, 10, 53)
	if err != nil || id == 0 {
		return 0, usageError{fmt.Errorf("%q is no escrow number; souk escrow list shows yours", text)}
	}
	return id, nil
}

func (a *app) escrowClaim() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use: "claim ID", Short: "Show an escrow's secret, so that its payee is paid", Args: cobra.ExactArgs(1),
		Long: `Show an escrow's secret, so that its payee is paid; whoever has it may. It comes from --secret-file, or the terminal
asks for it without showing it; it is never read from the command line. Shown, it is public.`,
		RunE: func(c *cobra.Command, args []string) error {
			id, err := escrowID(args[0])
			if err != nil {
				return err
			}
			secret, err := askSecret(file)
			if err != nil {
				return err
			}
			defer clear(secret[:])
			return a.escrowSend(c, &exchange.Claim{Escrow: id, Preimage: secret[:]}, fmt.Sprintf("escrow %d is paid to its payee\n", id))
		},
	}
	c.Flags().StringVar(&file, "secret-file", "", "file with the secret, 64 hexadecimal digits; only its owner may read it")
	return c
}

// askSecret reads a secret from a file or the terminal.
func askSecret(file string) (secret [32]byte, err error) {
	if file != "" {
		if secret, err = secretLine(file); err != nil {
			err = fmt.Errorf("secret file %s: %w", file, err)
		}
		return secret, err
	}
	text, err := sealed.FromTerminal("Secret, 64 hexadecimal digits: ", false)()
	if errors.Is(err, sealed.ErrNoTerminal) {
		return secret, usageError{errors.New("no terminal to ask for the secret; give --secret-file FILE")}
	}
	if err != nil {
		return secret, err
	}
	defer clear(text)
	if secret, err = secretBytes(bytes.TrimSpace(text)); err != nil {
		return secret, usageError{errors.New("a secret has 64 hexadecimal digits")}
	}
	return secret, nil
}

func (a *app) escrowSend(c *cobra.Command, body exchange.Body, done string) error {
	return a.signed(c.Context(), func(ctx context.Context, s *session, who *api.Signer) error {
		r, err := a.do(ctx, s, who, body)
		if err != nil {
			return err
		}
		return a.showReceipt(&r, func(w io.Writer) { p(w, "%s", done) })
	})
}

// escrowDo is a command that takes nothing but the escrow's number.
func (a *app) escrowDo(use, short string, body func(uint64) exchange.Body, done string) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			id, err := escrowID(args[0])
			if err != nil {
				return err
			}
			return a.escrowSend(c, body(id), fmt.Sprintf(done, id))
		},
	}
}

func (a *app) escrowResolve() *cobra.Command {
	return &cobra.Command{
		Use: "resolve ID pay|back", Short: "Decide a dispute as its arbiter: pay the payee, or give the amount back", Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			id, err := escrowID(args[0])
			if err != nil {
				return err
			}
			done, ok := map[string]string{"pay": "escrow %d is paid to its payee\n", "back": "escrow %d went back to its payer\n"}[args[1]]
			if !ok {
				return usageError{fmt.Errorf("%q: write pay or back", args[1])}
			}
			return a.escrowSend(c, &exchange.Resolve{Escrow: id, Pay: args[1] == "pay"}, fmt.Sprintf(done, id))
		},
	}
}

func (a *app) escrowShow() *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Show a locked escrow that you have a part in", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			id, err := escrowID(args[0])
			if err != nil {
				return err
			}
			return a.signed(c.Context(), func(ctx context.Context, s *session, who *api.Signer) error {
				e, err := s.client.Escrow(ctx, who, id)
				if err != nil {
					return err
				}
				return a.show(e, func(w io.Writer) { showEscrow(w, e) })
			})
		},
	}
}

func showEscrow(w io.Writer, e *api.Escrow) {
	p(w, "escrow\t%d\namount\t%s %s\npayer\t%s\npayee\t%s\nhash\t%s\n", e.ID, e.Amount, e.Symbol, e.Payer, e.Payee, e.Hash)
	p(w, "deadline\t%s\n", when(e.Deadline))
	if e.Arbiter != "" {
		p(w, "arbiter\t%s, who may decide a dispute until %s\n", e.Arbiter, when(e.Deadline+e.Window))
	}
	if e.Disputed {
		p(w, "state\tin dispute\n")
	}
	if e.Memo != "" {
		p(w, "memo\t%q\n", e.Memo)
	}
}

func (a *app) escrowList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List locked escrows that you have a part in, newest first", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.signed(c.Context(), func(ctx context.Context, s *session, who *api.Signer) error {
				all := api.Escrows{Escrows: []api.Escrow{}}
				for {
					list, err := s.client.Escrows(ctx, who, all.Next)
					if err != nil {
						return err
					}
					all.At, all.Escrows = list.At, append(all.Escrows, list.Escrows...)
					if all.Next = list.Next; list.Next == 0 {
						break
					}
				}
				return a.show(&all, func(w io.Writer) {
					p(w, "escrow\tyou are\tamount\tdeadline\tstate\tmemo\n")
					for i := range all.Escrows {
						e := &all.Escrows[i]
						state := "locked"
						if e.Disputed {
							state = "in dispute"
						}
						p(w, "%d\t%s\t%s %s\t%s\t%s\t%q\n", e.ID, partOf(e, who.Account.String()), e.Amount, e.Symbol, when(e.Deadline), state, e.Memo)
					}
				})
			})
		},
	}
}

// partOf is the part that an account has in an escrow.
func partOf(e *api.Escrow, account string) string {
	switch account {
	case e.Payer:
		return "payer"
	case e.Payee:
		return "payee"
	}
	return "arbiter"
}
