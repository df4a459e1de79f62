package cli

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"souk/api"
	"souk/gate"
	"souk/node"
)

// newKeyFlags are the flags of key new.
type newKeyFlags struct {
	home, name, kind, public string
	scopes, markets          []string
	expires                  length
	rate, orders             int
}

func (a *app) keyNew() *cobra.Command {
	var f newKeyFlags
	c := &cobra.Command{
		Use: "new", Short: "Make a key for a program that uses your gate", Args: cobra.NoArgs,
		Long: `Make a key for a bot that uses your gate. The gate alone knows it; no server ever does, and it can do no more
than the gate may. Scopes: read, trade, withdraw.

  --kind ed25519  the program signs with a private key, which is printed here once, as PEM, and kept nowhere;
                  with --public FILE the program keeps its own, and only the public half comes here
  --kind hmac     for programs that know only secrets: it is printed once; making it takes the gate's passphrase,
                  for it is derived from the gate's key and stands in no file

It works at once, also while the gate runs, and so does souk key revoke.`,
		Example: `  souk key new --scope read,trade --market BTC-EUR --expires 30d --kind ed25519
  souk key new --kind hmac --name bot1 --rate 600`,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(c.Context(), a.timeout)
			defer cancel()
			return a.newKey(ctx, &f)
		},
	}
	c.Flags().StringVar(&f.home, "home", "", "folder of the gate (default: souk/gate in the user's config folder)")
	c.Flags().StringVar(&f.name, "name", "", "what you call it")
	c.Flags().StringVar(&f.kind, "kind", gate.KindEd25519, "ed25519 or hmac")
	c.Flags().StringVar(&f.public, "public", "", "file with the public half of the program's own Ed25519 key, as PEM")
	c.Flags().StringSliceVar(&f.scopes, "scope", []string{"read", "trade"}, "read, trade, withdraw; several with commas")
	c.Flags().StringSliceVar(&f.markets, "market", nil, "the only markets that it may trade in, by name (default: all)")
	c.Flags().Var(&f.expires, "expires", "time after which it is void, such as 12h or 30d (default: never)")
	c.Flags().IntVar(&f.rate, "rate", 0, "weight of requests per minute, at most (default: as the gate has it)")
	c.Flags().IntVar(&f.orders, "orders", 0, "orders in ten seconds, at most (default: as the gate has it)")
	return c
}

// madeKey is a new key as programs read it.
type madeKey struct {
	gate.ClientKey
	Secret  string `json:"secret,omitempty"`      // of HMAC
	Private string `json:"private_key,omitempty"` // of Ed25519, PEM
	PEM     string `json:"public_key,omitempty"`
	URL     string `json:"url"`
	CA      string `json:"ca"`
}

func (a *app) newKey(ctx context.Context, f *newKeyFlags) error {
	h, err := gateHome(f.home)
	if err != nil {
		return err
	}
	config, err := node.ReadGate(h)
	if err != nil {
		return err
	}
	switch {
	case f.rate < 0 || f.orders < 0:
		return usageError{errors.New("--rate and --orders: write 1 or more")}
	case f.public != "" && f.kind != gate.KindEd25519:
		return usageError{errors.New("--public goes with --kind ed25519")}
	}
	made := madeKey{CA: h.Authority().CertFile()}
	made.ClientKey = gate.ClientKey{Name: f.name, Kind: f.kind, Scopes: f.scopes, Weight: f.rate, Orders: f.orders}
	if f.expires > 0 {
		made.Expires = f.expires.from(time.Now())
	}
	if made.Markets, err = a.namedMarkets(ctx, &config, f.markets); err != nil {
		return err
	}
	if made.URL, err = node.GateURL(h); err != nil {
		return err
	}
	if f.kind == gate.KindEd25519 {
		if err := made.pair(f.public); err != nil {
			return err
		}
	}
	if f.kind == gate.KindHMAC {
		own, err := h.Key(a.pass.get("Passphrase of the gate: ", false))
		if err != nil {
			return err
		}
		defer own.Wipe()
		if err := made.Add(h.Clients(), time.Now()); err != nil {
			return err
		}
		if made.Secret, err = gate.HMACSecret(own, made.ID); err != nil {
			return err
		}
	} else if err := made.Add(h.Clients(), time.Now()); err != nil {
		return usageError{err}
	}
	return a.showMade(&made)
}

// pair makes an Ed25519 key pair, or takes the public half of the program's own.
func (m *madeKey) pair(file string) error {
	if file != "" {
		data, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("public key: %w", err)
		}
		public, err := gate.ParsePublicPEM(data)
		if err != nil {
			return err
		}
		m.Public = hex.EncodeToString(public)
		return nil
	}
	private, public, err := gate.NewEd25519()
	if err != nil {
		return err
	}
	m.Private, m.Public = private, hex.EncodeToString(public)
	m.PEM, err = gate.PublicPEM(public)
	return err
}

func (a *app) showMade(m *madeKey) error {
	return a.show(m, func(w io.Writer) {
		p(w, "API key\t%s\n", m.ID)
		switch {
		case m.Secret != "":
			p(w, "secret\t%s\n", m.Secret)
			p(a.err, "The secret is shown this once.\n")
		case m.Private != "":
			p(w, "\n%s\n%s\n", m.Private, m.PEM)
			p(a.err, "The private key is shown this once, and kept nowhere.\n")
		}
		p(w, "may\t%s, %s, %s\n", inWords(m.Scopes), marketText(m.Markets), expiryText(m.Expires))
		p(w, "base URL\t%s\n", m.URL)
		p(w, "authority\t%s\n", m.CA)
	})
}

// namedMarkets are markets that a key may trade in, proven.
func (a *app) namedMarkets(ctx context.Context, config *node.GateConfig, names []string) ([]gate.Named, error) {
	if len(names) == 0 {
		return nil, nil
	}
	s := &session{pinned: true, trust: &trust{}}
	s.book.Server, s.book.Servers = config.Server, config.Servers
	var err error
	if s.id, err = s.book.ID(); err != nil {
		return nil, err
	}
	if s.client, err = api.NewClient(api.Config{Servers: s.book.Servers, ID: s.id, Hasty: true}); err != nil {
		return nil, err
	}
	defer s.client.Close()
	var list []gate.Named
	for _, name := range names {
		pair, err := pairOf(ctx, s, name)
		if err != nil {
			return nil, err
		}
		list = append(list, gate.Named{ID: pair.ID, Name: pair.Symbol()})
	}
	return list, nil
}

func marketText(list []gate.Named) string {
	if len(list) == 0 {
		return "in all markets"
	}
	var names []string
	for _, m := range list {
		names = append(names, m.Name)
	}
	return "in " + inWords(names)
}

func expiryText(ms uint64) string {
	if ms == 0 {
		return "for ever"
	}
	return "until " + when(ms)
}

func (a *app) keyList() *cobra.Command {
	var home string
	c := &cobra.Command{
		Use: "list", Short: "List the keys of programs that use your gate", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			h, err := gateHome(home)
			if err != nil {
				return err
			}
			list, bad := gate.ClientKeys(h.Clients())
			return errors.Join(a.show(list, func(w io.Writer) {
				p(w, "key\tname\tkind\tscopes\tmarkets\tmade\texpires\tweight\torders\n")
				for i := range list {
					k := &list[i]
					p(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", k.ID, dash(k.Name), k.Kind, strings.Join(k.Scopes, ","),
						strings.TrimPrefix(marketText(k.Markets), "in "), when(k.Made), until(k.Expires), limitText(k.Weight), limitText(k.Orders))
				}
			}), bad)
		},
	}
	c.Flags().StringVar(&home, "home", "", "folder of the gate (default: souk/gate in the user's config folder)")
	return c
}

func limitText(n int) string {
	if n == 0 {
		return "-"
	}
	return strconv.Itoa(n)
}

func (a *app) keyRevoke() *cobra.Command {
	var home string
	c := &cobra.Command{
		Use: "revoke KEY|NAME", Short: "Take back a key of a program that uses your gate", Args: cobra.ExactArgs(1),
		Long: `Take a key back, by the whole of it, its beginning, or the name that you gave it. It is void at once, also while the
gate runs; its streams end. To take the gate's own power away, use souk key remove.`,
		RunE: func(_ *cobra.Command, args []string) error {
			h, err := gateHome(home)
			if err != nil {
				return err
			}
			k, err := gate.RevokeClientKey(h.Clients(), args[0])
			if err != nil {
				return err
			}
			return a.show(&k, func(w io.Writer) { p(w, "key %s has no power any more\n", k.ID) })
		},
	}
	c.Flags().StringVar(&home, "home", "", "folder of the gate (default: souk/gate in the user's config folder)")
	return c
}
