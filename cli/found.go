package cli

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"souk/exchange"
	"souk/exchange/custody"
	"souk/node"
)

func (a *app) initCommand() *cobra.Command {
	var home, name, url, p2p, listen string
	c := &cobra.Command{
		Use: "init", Short: "Make the keys of a new server, and its member card", Args: cobra.NoArgs,
		Example: "  souk init --home ./home --name alice --url https://alice.example:8640 --p2p 192.0.2.7:26600",
		RunE: func(*cobra.Command, []string) error {
			card, err := node.Init(node.Home(home), node.Setup{
				Name: name, URL: url, P2P: p2p, Listen: listen, Pass: a.pass.get("New passphrase for the server's keys: ", true), Work: a.work, Now: time.Now(),
			})
			if err != nil {
				return err
			}
			p(a.err, "The keys for banks exist only here: back them up before there are coins, with souk backup FILE --home %s\n", home)
			return a.show(map[string]string{"home": home, "card": card.String()}, func(w io.Writer) {
				p(w, "%s\n", card.String())
			})
		},
	}
	homeFlag(c, &home)
	c.Flags().StringVar(&name, "name", "", "name of the member: 1 to 32 of a-z, 0-9 and dash")
	c.Flags().StringVar(&url, "url", "http://127.0.0.1:8640", "base URL under which clients reach the server")
	c.Flags().StringVar(&p2p, "p2p", "127.0.0.1:26600", "address under which the other servers reach it: IP address and port")
	c.Flags().StringVar(&listen, "http", "", "where HTTP listens (default 127.0.0.1:8640)")
	return c
}

func (a *app) federationCommand() *cobra.Command {
	c := &cobra.Command{Use: "federation", Short: "Found, join and refound virtual servers", Args: cobra.NoArgs}
	c.AddCommand(a.federationInit(), a.federationCreate(), a.federationJoin(), a.federationLeave(), a.federationRefound(), a.federationRotate(), a.federationShow())
	return c
}

func (a *app) federationInit() *cobra.Command {
	s := node.LocalSetup{Name: "practice"}
	var banks []string
	var chains string
	c := &cobra.Command{
		Use: "init", Short: "Make a whole federation on this machine, for trials", Args: cobra.NoArgs,
		Long: `Make the homes of a whole federation on this machine, for trials, with markets in play money. With --bank
an asset is not play money: its coins are kept on a chain by all servers together, best on a test network. How
the servers see that chain stands in [chains.NETWORK] of each config.toml; --chains puts it there.`,
		Example: `  souk federation init --servers 4 --out trial
  souk federation init --out trial --bank BTC=bitcoin-regtest --bank LTC=litecoin-regtest --chains chains.toml`,
		RunE: func(*cobra.Command, []string) error {
			s.Now = time.Now()
			if err := trialBanks(&s, banks, chains); err != nil {
				return err
			}
			l, err := node.FoundLocal(s)
			if err != nil {
				return err
			}
			id := l.Founding.ID()
			value := map[string]any{"virtual_server": hex.EncodeToString(id[:]), "homes": l.Homes, "http": l.URLs, "issuer_seed": filepath.Join(s.Dir, "issuer.seed")}
			return a.show(value, func(w io.Writer) {
				p(w, "virtual server %x\n", id[:])
				printKeepers(w, l.Founding)
				printChains(w, l.Founding, s.Chains)
				for i, h := range l.Homes {
					p(w, "  souk serve --home %s --passphrase-file %s\t# %s\n", h, h.PassphraseFile(), l.URLs[i])
				}
				p(w, "its play money is minted with the key in issuer.seed, once the servers are up:\n")
				p(w, "  souk account import --purse %s --seed-file %s --server %s\n",
					filepath.Join(s.Dir, "issuer"), filepath.Join(s.Dir, "issuer.seed"), l.URLs[0])
				p(w, "  souk mint 1000 EUR --to ADDRESS --purse %s\n", filepath.Join(s.Dir, "issuer"))
			})
		},
	}
	c.Flags().IntVar(&s.Servers, "servers", 4, "how many servers")
	c.Flags().StringVar(&s.Dir, "out", "souk-federation", "folder to make")
	c.Flags().StringVar(&s.Name, "name", s.Name, "name of the virtual server")
	c.Flags().StringVar(&s.Profile, "profile", "lan", "timeouts of consensus: lan or wan")
	c.Flags().IntVar(&s.HTTP, "http-port", 0, "first HTTP port (default: free ones)")
	c.Flags().IntVar(&s.Consensus, "p2p-port", 0, "first port between servers (default: free ones)")
	c.Flags().StringArrayVar(&banks, "bank", nil, "ASSET=NETWORK: keep the coins of an asset on a chain; may be given several times")
	c.Flags().StringVar(&chains, "chains", "", "file with [chains.NETWORK] sections for every config.toml")
	return c
}

// trialBanks reads which banks a trial has, and how its servers see their chains.
func trialBanks(s *node.LocalSetup, banks []string, chains string) (err error) {
	for _, text := range banks {
		symbol, network, ok := strings.Cut(text, "=")
		if !ok {
			return usageError{fmt.Errorf("--bank %s: write it like BTC=bitcoin-regtest", text)}
		}
		s.Banks = append(s.Banks, node.BankTerms{Asset: symbol, Network: network})
	}
	s.Chains, err = chainsText(chains)
	return err
}

// printKeepers says who holds the coins of a federation's banks, if it has any.
func printKeepers(w io.Writer, f *exchange.Founding) {
	switch n := len(f.Members); {
	case len(f.Banks) == 0:
	case n == 1:
		p(w, "BANKS: the operator holds these coins, alone. That is for trials, or for somebody whom all depositors trust.\n")
	default:
		p(w, "banks: %d of %d members must sign for coins to move\n", custody.Threshold(n), n)
	}
}

// printChains says for which networks the configuration says nothing yet.
func printChains(w io.Writer, f *exchange.Founding, chains map[string]node.ChainConfig) {
	for i := range f.Banks {
		if _, ok := chains[f.Banks[i].Network]; !ok {
			p(w, "add [chains.%s] to every config.toml, or its bank sees nothing; config.toml says how\n", f.Banks[i].Network)
		}
	}
}

// readCard reads a card given as text or as a file.
func readCard(arg string) (exchange.Card, error) {
	text := arg
	if data, err := os.ReadFile(arg); err == nil {
		text = string(data)
	} else if !strings.HasPrefix(arg, "soukcard1.") {
		return exchange.Card{}, usageError{fmt.Errorf("%q is neither a file nor a card: a card is one line that begins with soukcard1., as souk init prints it", arg)}
	}
	card, err := exchange.ParseCardText(text)
	if err != nil {
		return card, fmt.Errorf("card %.24s: %w; ask the member for it again", arg, err)
	}
	return card, nil
}

func (a *app) federationCreate() *cobra.Command {
	var termsFile, out, home string
	var start bool
	c := &cobra.Command{
		Use: "create CARD...", Short: "Make the founding contract out of all members' cards", Args: cobra.MinimumNArgs(1),
		Long: `Make the founding contract out of the members' cards, given as text or as files, and the
founding terms, which every founder uses the same file of. Cards in any order give the same contract
and the same id on every machine: compare the ids before you serve it.

A bank begins with a block of its chain, which the terms name (start_height, start_hash). With --chain-start
those that they do not name are asked of this home's node, and printed for the terms of the other founders.`,
		RunE: func(c *cobra.Command, args []string) error {
			data, err := os.ReadFile(termsFile)
			if err != nil {
				return fmt.Errorf("read the founding terms: %w", err)
			}
			terms, err := node.ParseTerms(data)
			if err != nil {
				return err
			}
			var cards []exchange.Card
			for _, arg := range args {
				card, err := readCard(arg)
				if err != nil {
					return err
				}
				cards = append(cards, card)
			}
			if start {
				if err := a.findStarts(c.Context(), node.Home(home), &terms); err != nil {
					return err
				}
			}
			f, err := node.Found(&terms, cards)
			if err != nil {
				return err
			}
			return a.writeFounding(f, out, nil)
		},
	}
	homeFlag(c, &home)
	c.Flags().BoolVar(&start, "chain-start", false, "ask the nodes of --home with which block banks begin, where the terms do not say")
	c.Flags().StringVar(&termsFile, "terms", "terms.toml", "founding terms, the same file for every founder")
	c.Flags().StringVar(&out, "out", "founding", "file to write")
	return c
}

// findStarts fills in the blocks with which banks begin, and says which.
func (a *app) findStarts(ctx context.Context, home node.Home, t *node.Terms) error {
	for i := range t.Banks {
		b := &t.Banks[i]
		if b.StartHash != "" || b.StartHeight != 0 {
			continue
		}
		at, err := home.StartPoint(ctx, b.Network)
		if err != nil {
			return fmt.Errorf("first block of the bank of %s: %w", b.Asset, err)
		}
		b.StartHeight, b.StartHash = at.Height, at.Hash.String()
		p(a.err, "for the [[banks]] of %s in everybody's terms:\nstart_height = %d\nstart_hash = %q\n", b.Asset, at.Height, at.Hash.String())
	}
	return nil
}

// writeFounding writes a founding contract, and says where it goes on from, if it does.
func (a *app) writeFounding(f *exchange.Founding, out string, from *node.Origin) error {
	if err := os.WriteFile(out, f.Append(nil), 0o600); err != nil {
		return fmt.Errorf("write the founding contract: %w", err)
	}
	id := f.ID()
	value := map[string]any{"virtual_server": hex.EncodeToString(id[:]), "file": out}
	if from != nil {
		value["origin"] = originValue(from)
	}
	return a.show(value, func(w io.Writer) {
		p(w, "virtual server %x\n", id[:])
		if from != nil {
			p(w, "goes on from the state after block %d, root %s\n", from.Height, from.Root)
			printOrigin(w, from)
		}
		printKeepers(w, f)
		p(w, "%s holds its founding contract; every founder must see the same id\n", filepath.Base(out))
	})
}

func (a *app) federationJoin() *cobra.Command {
	var home, card string
	var j node.Joining
	v := &j.Config
	c := &cobra.Command{
		Use: "join FOUNDING", Short: "Let a server host a virtual server", Args: cobra.ExactArgs(1),
		Long: `Let the server of a home host a virtual server: keep its founding contract, and write its section into
config.toml. It is served with the keys of the home's card that is in the founding contract; a member
that came later, by vote, names the card with --card if the home has several.

A virtual server that was refounded needs --origin, the export that its contract was made from, of
which the home keeps a copy. It takes the place of the one that it goes on from, and with --replace it
takes that of any other: the old section becomes a comment, its data stay in the home.

Joining again repairs the founding contract and the export, and changes what flags name: --state-sync=false, as
long as the server has no state, has it execute all blocks instead of waiting for a copy.`,
		Example: `  souk federation join founding --home ./home --listen 192.0.2.7:26600
  souk federation join founding.new --home ./home --listen 192.0.2.7:26600 --origin souk-export`,
		RunE: func(c *cobra.Command, args []string) error {
			f, err := node.ReadFounding(args[0])
			if err != nil {
				return err
			}
			if card != "" {
				named, err := readCard(card)
				if err != nil {
					return err
				}
				j.Card = &named
			}
			j.Now, j.Replay = time.Now(), c.Flags().Changed("state-sync") && !v.StateSync
			old, err := node.Home(home).Join(f, j)
			if err != nil {
				return err
			}
			id := f.ID()
			value := map[string]string{"virtual_server": hex.EncodeToString(id[:])}
			if (old != exchange.ID{}) {
				value["replaced"] = hex.EncodeToString(old[:])
			}
			return a.show(value, func(w io.Writer) {
				if (old != exchange.ID{}) {
					p(w, "virtual server %x is not served any more: its section in config.toml is a comment now, its data stay in the home\n", old[:])
				}
				if v.Origin != "" {
					p(w, "the home has a copy of the export; %s is not needed here any more\n", v.Origin)
				}
				p(w, "joined virtual server %x; start with: souk serve --home %s\n", id[:], home)
			})
		},
	}
	homeFlag(c, &home)
	c.Flags().StringVar(&v.Listen, "listen", "", "where this server listens for the others: IP address and port, those of the card unless something forwards")
	c.Flags().StringVar(&card, "card", "", "card with which to join, if it is not in the founding contract")
	c.Flags().StringVar(&j.Replace, "replace", "", "id of a virtual server of this home whose place it takes")
	c.Flags().StringVar(&v.Origin, "origin", "", "export that a refounded virtual server begins with, as souk export writes it; the home keeps a copy")
	c.Flags().BoolVar(&v.StateSync, "state-sync", false, "begin from a copy of the state instead of executing all blocks")
	c.Flags().Uint64Var(&v.TrustHeight, "trust-height", 0, "height of a header that two members confirmed")
	c.Flags().StringVar(&v.TrustHash, "trust-hash", "", "its hash")
	return c
}

func (a *app) federationLeave() *cobra.Command {
	var home string
	c := &cobra.Command{
		Use: "leave ID", Short: "Let a server host a virtual server no more", Args: cobra.ExactArgs(1),
		Long: `Take a virtual server out of config.toml: its section becomes a comment, its data stay in the home. It
counts when the server is started again. The other members go on counting with this one until they
have voted: souk vote remove-member.`,
		RunE: func(_ *cobra.Command, args []string) error {
			id, err := node.Home(home).Leave(args[0], time.Now())
			if err != nil {
				return err
			}
			return a.show(map[string]string{"left": hex.EncodeToString(id[:])}, func(w io.Writer) {
				p(w, "virtual server %x is not served any more once the server is started again; its data stay in the home\n", id[:])
			})
		},
	}
	homeFlag(c, &home)
	return c
}

func (a *app) cardCommand() *cobra.Command {
	c := &cobra.Command{Use: "card", Short: "Make and show member cards of a home", Args: cobra.NoArgs}
	c.AddCommand(a.cardNew(), a.cardList(), a.cardShow(), a.cardBankKeys())
	return c
}

func (a *app) cardNew() *cobra.Command {
	var home string
	var s node.CardSetup
	c := &cobra.Command{
		Use: "new", Short: "Make a card for a further virtual server in a home that serves one", Args: cobra.NoArgs,
		Long: `Make a member card for a further virtual server: with the operator of this home, and with a consensus
key, a node key and an address of its own. The operator's key must be in the home; the new keys get the
same passphrase. Hand the card to the founders of the other virtual server.`,
		Example: "  souk card new --home ./home --p2p 192.0.2.7:26601",
		RunE: func(*cobra.Command, []string) error {
			if s.P2P == "" {
				return usageError{errors.New("give --p2p ADDRESS:PORT: a port that no other virtual server of this home uses")}
			}
			s.Pass, s.Now = a.pass.get("Passphrase of the server's keys: ", false), time.Now()
			card, file, err := node.NewCard(node.Home(home), s)
			if err != nil {
				return err
			}
			return a.show(map[string]string{"card": card.String(), "file": file}, func(w io.Writer) {
				p(w, "%s\n", card.String())
			})
		},
	}
	homeFlag(c, &home)
	c.Flags().StringVar(&s.URL, "url", "", "base URL under which clients reach the server (default: that of the first card)")
	c.Flags().StringVar(&s.P2P, "p2p", "", "address under which the other servers reach this one: IP address and port")
	return c
}

func (a *app) cardList() *cobra.Command {
	var home string
	c := &cobra.Command{
		Use: "list", Short: "Show the member cards of a home", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			cards, err := node.Home(home).Cards()
			if err != nil {
				return err
			}
			return a.show(cards, func(w io.Writer) {
				p(w, "FILE\tMEMBER\tURL\tOTHER SERVERS REACH IT AT\n")
				for i := range cards {
					x := &cards[i].Card
					p(w, "%s\t%s\t%s\t%s\n", cards[i].File, x.Name, x.URL, x.P2P)
				}
			})
		},
	}
	homeFlag(c, &home)
	return c
}

func (a *app) federationRefound() *cobra.Command {
	var from, out, name string
	c := &cobra.Command{
		Use: "refound CARD...", Short: "Found a new virtual server from the state of one that has lost its majority", Args: cobra.MinimumNArgs(1),
		Long: `When more than a third of the servers are gone for good, no block can be decided any more. The
remaining members export the state (souk export), compare its height and root, and found a new virtual
server from it with the cards of its members: balances, orders and keys stay, the id is a new one.

The export must be proven: by the signatures of more than two thirds of its members' power, beginning at the
founding contract, so at the id that is shown. How old they are is shown and not judged. With --id any other
virtual server's export is refused.`,
		RunE: func(_ *cobra.Command, args []string) error {
			var cards []exchange.Card
			for _, arg := range args {
				card, err := readCard(arg)
				if err != nil {
					return err
				}
				cards = append(cards, card)
			}
			f, o, err := node.Refound(from, a.id, name, cards)
			if err != nil {
				return err
			}
			return a.writeFounding(f, out, o)
		},
	}
	c.Flags().StringVar(&from, "from", "souk-export", "export of the state to begin with")
	c.Flags().StringVar(&out, "out", "founding", "file to write")
	c.Flags().StringVar(&name, "name", "", "name of the new virtual server (default: as before)")
	return c
}
