package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"souk/exchange"
	"souk/identity"
	"souk/node"
	"souk/script"
	"souk/store/sealed"
)

// networkKey is a public key for the bank on a network, as it is shown. The proof that
// its holder has it stands beside it on cards, behind it in what a recovery's holder hands out.
type networkKey struct {
	Network    string `json:"network"`
	Key        string `json:"key"`
	Possession string `json:"possession,omitempty"`
}

func networkKeys(keys []exchange.BankKey) []networkKey {
	all := make([]networkKey, len(keys))
	for i := range keys {
		all[i] = networkKey{keys[i].Network, keys[i].Key.String(), fmt.Sprintf("%x", keys[i].Possession[:])}
	}
	return all
}

// cardValue is a member card as it is shown.
type cardValue struct {
	Card      string       `json:"card"`
	File      string       `json:"file,omitempty"`
	Name      string       `json:"name"`
	URL       string       `json:"url"`
	P2P       string       `json:"p2p"`
	Operator  string       `json:"operator"`
	Key       string       `json:"operator_key"`
	Server    string       `json:"server_key"`
	Consensus string       `json:"consensus_key"`
	Made      uint64       `json:"made"` // ms
	Banks     []networkKey `json:"bank_keys"`
}

func cardOf(c *exchange.Card, file string) cardValue {
	return cardValue{
		Card: c.String(), File: file, Name: c.Name, URL: c.URL, P2P: c.P2P, Operator: identity.AddressOf(c.Operator).String(),
		Key: c.Operator.String(), Server: c.Server.String(), Consensus: c.Consensus.String(), Made: c.Made, Banks: networkKeys(c.Banks),
	}
}

func (c *cardValue) print(w io.Writer) {
	p(w, "member\t%s\n", c.Name)
	if c.File != "" {
		p(w, "file\t%s\n", c.File)
	}
	p(w, "made\t%s, signed by the operator\n", when(c.Made))
	p(w, "url\t%s\np2p\t%s\noperator\t%s\noperator key\t%s\nserver key\t%s\nconsensus key\t%s\n", c.URL, c.P2P, c.Operator, c.Key, c.Server, c.Consensus)
	if len(c.Banks) == 0 {
		p(w, "bank keys\tnone: this member can be in no federation with banks until he has run souk card bank-keys\n")
	}
	for _, k := range c.Banks {
		p(w, "bank key\t%s\t%s\n", k.Network, k.Key)
	}
}

func (a *app) cardShow() *cobra.Command {
	var home string
	c := &cobra.Command{
		Use: "show [CARD]", Short: "Show what a card says: addresses and public keys, those for banks too", Args: cobra.MaximumNArgs(1),
		Long: `Show what a member card says, given as text or as a file; without one, what the cards of a home say.
The keys for banks are extended public keys, one for each network; from those of all members anybody
derives the addresses of a bank. A card is shown only if each comes with a good proof that this member has its private half.`,
		Example: "  souk card show --home ./home\n  souk card show alice.card",
		RunE: func(_ *cobra.Command, args []string) error {
			var all []cardValue
			if len(args) == 1 {
				card, err := readCard(args[0])
				if err != nil {
					return err
				}
				all = append(all, cardOf(&card, ""))
			} else {
				cards, err := node.Home(home).Cards()
				if err != nil {
					return err
				}
				for i := range cards {
					all = append(all, cardOf(&cards[i].Card, cards[i].File))
				}
			}
			return a.show(all, func(w io.Writer) {
				for i := range all {
					if i > 0 {
						p(w, "\n")
					}
					all[i].print(w)
				}
			})
		},
	}
	homeFlag(c, &home)
	return c
}

func (a *app) cardBankKeys() *cobra.Command {
	var home string
	c := &cobra.Command{
		Use: "bank-keys", Short: "Make the keys for banks of a home that was made without them", Args: cobra.NoArgs,
		Long: `Make the sealed seed of a home's keys for banks, and sign its cards again with the public keys on them.
Homes made by souk init have them from the beginning. The operator's key must be in the home; the seed gets the
same passphrase. Hand the new card to the others, and keep a copy of keys/bank.key (souk backup).`,
		RunE: func(*cobra.Command, []string) error {
			cards, err := node.Home(home).AddBankKeys(node.BankKeySetup{
				Pass: a.pass.get("Passphrase of the server's keys: ", false), Work: a.work, Now: time.Now(),
			})
			if err != nil {
				return err
			}
			return a.show(cards, func(w io.Writer) {
				for i := range cards {
					p(w, "%s\n", cards[i].Text)
				}
			})
		},
	}
	homeFlag(c, &home)
	return c
}

func (a *app) recoveryKeyCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "recovery-key", Short: "Make and show keys for the recovery of banks, which their holders keep offline", Args: cobra.NoArgs,
		Long: `A bank may have a recovery: so many of some holders, offline and no operators, can move its coins once
these have lain for a long time (26 weeks), in case the members' keys are lost. Each holder makes a key on a machine
that is not connected, keeps the words on paper, and gives the public keys to the founders, who write them into
[banks.recovery] of the founding terms, with the proof behind each that somebody has its private half.`,
	}
	c.AddCommand(a.recoveryKeyNew(), a.recoveryKeyShow())
	return c
}

// recoveryValue is a recovery key as it is shown.
type recoveryValue struct {
	Words string       `json:"words,omitempty"`
	Path  string       `json:"path"`
	Keys  []networkKey `json:"keys"`
}

// recoveryPath is where wallets find the keys of a recovery's words.
const recoveryPath = "BIP-39 without a passphrase, then BIP-32 m/8641'/N', N: first 31 bits of SHA-256 of the network's name"

func (a *app) showRecovery(w identity.Words, network string, words bool) error {
	if _, ok := script.ByName(network); network != "" && !ok {
		return usageError{fmt.Errorf("there is no network %q%s leave --network out to see all", network, cmp.Or(didYouMean(network, networkNames()), ";"))}
	}
	keys, err := node.RecoveryKeys(w)
	if err != nil {
		return err
	}
	v := recoveryValue{Path: recoveryPath, Keys: []networkKey{}}
	for _, k := range keys {
		if network == "" || k.Network == network {
			v.Keys = append(v.Keys, networkKey{Network: k.Network, Key: script.ProvenKey{Key: k.Key, Possession: k.Possession}.String()})
		}
	}
	if words {
		v.Words = w.Reveal()
	}
	return a.show(&v, func(out io.Writer) {
		if words {
			p(out, "Write these words on paper. They are shown once and kept nowhere; who has them holds this key.\n\n%s\n\n", v.Words)
			p(out, "The public keys are for the founders: the line of the bank's network, in [banks.recovery] of the terms.\n\n")
		}
		for _, k := range v.Keys {
			p(out, "%s\t%s\n", k.Network, k.Key)
		}
	})
}

func (a *app) recoveryKeyNew() *cobra.Command {
	var network string
	c := &cobra.Command{
		Use: "new", Short: "Make a recovery key: print its words once, and its public keys", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			w, err := node.NewRecovery()
			if err != nil {
				return err
			}
			defer w.Wipe()
			return a.showRecovery(w, network, true)
		},
	}
	c.Flags().StringVar(&network, "network", "", "show the public key for this network only")
	return c
}

func (a *app) recoveryKeyShow() *cobra.Command {
	var network, file string
	c := &cobra.Command{
		Use: "show", Short: "Show the public keys of a recovery's words, to check a copy on paper", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			read := sealed.FromTerminal("The 24 words of the recovery key: ", false)
			if file != "" {
				read = func() ([]byte, error) { return sealed.Line(file) }
			}
			text, err := read()
			if errors.Is(err, sealed.ErrNoTerminal) {
				return usageError{errors.New("no terminal to ask for the words; give --words-file")}
			}
			if err != nil {
				return err
			}
			defer clear(text)
			w, err := identity.ParseWords(string(text))
			if err != nil {
				return fmt.Errorf("recovery key: %w", err)
			}
			defer w.Wipe()
			return a.showRecovery(w, network, false)
		},
	}
	c.Flags().StringVar(&network, "network", "", "show the public key for this network only")
	c.Flags().StringVar(&file, "words-file", "", "file whose first line is the words; only its owner may read it")
	return c
}

// chainsText reads the sections about chains that a trial's servers get.
func chainsText(file string) (map[string]node.ChainConfig, error) {
	if file == "" {
		return nil, nil //nolint:nilnil // none
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the chains: %w", err)
	}
	return node.ParseChains(data)
}
