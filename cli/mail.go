package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"souk/node"
)

const (
	// mostLetter is the longest letter that is read from standard input.
	mostLetter = 128 << 10
	// lookAgain is how often it is looked whether a receipt has come.
	lookAgain = 200 * time.Millisecond
)

func (a *app) mailCommand() *cobra.Command {
	var home string
	c := &cobra.Command{
		Use: "mail", Short: "Write letters that only their readers can read, and read yours", Args: cobra.NoArgs,
		Long: `Mail between peers. Nobody who carries it sees who wrote a letter, or for whom it is; whoever is away for less than two
days and a half gets it when he is back. The mailbox is that of a running peer: of souk peer serve, or of a server
with [network].

To write to somebody you need his card: a line that he makes with souk mail card and gives you.`,
		Example: "  souk mail card --tags 1\n  souk mail contacts add bob soukmail1:...\n  echo 'at noon?' | souk mail send --to bob --subject lunch\n  souk mail list\n  souk mail read",
	}
	peerFlag(c, &home)
	c.AddCommand(a.mailSend(&home), a.mailRead(&home), a.mailListLetters(&home), a.mailDelete(&home), a.mailCard(&home), a.mailContacts(&home), a.mailLists(&home))
	return c
}

func (a *app) mailSend(home *string) *cobra.Command {
	var d node.MailDraft
	var wait length
	c := &cobra.Command{
		Use: "send [TEXT]", Short: "Send a letter", Args: cobra.MaximumNArgs(1),
		Long: `Send a letter to somebody: by his name in the address book, the beginning of his key, or his card. Its words are the
argument, or what comes from standard input, which other users of the machine cannot see. The peer sends it again
until there is a receipt, for thirty days; souk mail list --sent shows which have arrived. With --list it goes
to all who know a name, such as BTC/alice/bob, and there is no receipt.`,
		Example: "  souk mail send --to bob --subject lunch 'at noon?'\n  souk mail send --to soukmail1:... < letter.txt",
		RunE: func(c *cobra.Command, args []string) error {
			if (d.To == "") == (d.List == "") {
				return usageError{errors.New("say with --to to whom, or with --list to which list")}
			}
			var err error
			if d.Body, err = a.words(args); err != nil {
				return err
			}
			return a.asking(c.Context(), home, func(ctx context.Context, h node.Home) error {
				s, err := node.SendMail(ctx, h, &d)
				if err == nil && wait > 0 {
					s, err = awaitReceipt(c.Context(), h, s, time.Duration(wait))
				}
				if err != nil {
					return err
				}
				return a.show(s, func(w io.Writer) { p(w, "%s\t%s\t%s\n", s.ID[:8], clean(toWhom(&s)), sentState(&s)) })
			})
		},
	}
	c.Flags().StringVar(&d.To, "to", "", "name, beginning of the key, or card of the reader")
	c.Flags().StringVar(&d.List, "list", "", "list to post to, instead")
	c.Flags().StringVar(&d.Subject, "subject", "", "what it is about; only the reader sees it")
	c.Flags().BoolVar(&d.Now, "now", false, "let it leave at once, though whoever watches the network may see when")
	c.Flags().Var(&wait, "wait", "wait so long for the receipt, such as 10m")
	return c
}

// words are those of a letter: an argument, or standard input.
func (a *app) words(args []string) ([]byte, error) {
	if len(args) == 1 {
		return []byte(args[0]), nil
	}
	if f, ok := a.in.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		p(a.err, "Write the letter; Ctrl-D on a line of its own ends it.\n")
	}
	body, err := io.ReadAll(io.LimitReader(a.in, mostLetter+1))
	if err != nil {
		return nil, fmt.Errorf("read the letter: %w", err)
	}
	if len(body) > mostLetter {
		return nil, usageError{errors.New("the letter is too long")}
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return nil, usageError{errors.New("the letter is empty")}
	}
	return body, nil
}

// awaitReceipt looks what became of a letter until it has arrived.
func awaitReceipt(ctx context.Context, h node.Home, s node.MailSent, most time.Duration) (node.MailSent, error) {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	for {
		all, err := node.SentMail(ctx, h)
		if err != nil {
			return s, err
		}
		for _, o := range all {
			if o.ID == s.ID {
				s = o
			}
		}
		if s.State != node.MailWaiting && (s.State != node.MailAway || s.List != "") {
			return s, nil
		}
		select {
		case <-ctx.Done():
			return s, fmt.Errorf("no receipt came in %v; the letter %s is %s, and the peer goes on with it: souk mail list --sent", most, s.ID[:8], s.State)
		case <-tick.C:
		}
	}
}

func toWhom(s *node.MailSent) string {
	if s.List != "" {
		return "list " + s.List
	}
	return s.To
}

// sentState is what became of a letter, in words.
func sentState(s *node.MailSent) string {
	switch {
	case s.State == node.MailArrived && s.Delivered != 0:
		return "arrived, receipt of " + when(s.Delivered)[:16]
	case s.State == node.MailAway && s.List == "":
		return "away, no receipt yet"
	case s.State == node.MailArrived, s.State == node.MailAway:
		return "posted"
	}
	return s.State
}

func (a *app) mailRead(home *string) *cobra.Command {
	return &cobra.Command{
		Use: "read [LETTER]", Short: "Read a letter, or all that are new", Args: cobra.MaximumNArgs(1),
		Long: "Read a letter by the beginning of its id, as souk mail list shows it; without one, all that were not read yet. Whatever in it could steer a terminal is left out; -o json has every byte.",
		RunE: func(c *cobra.Command, args []string) error {
			return a.asking(c.Context(), home, func(ctx context.Context, h node.Home) error {
				ids := args
				if len(ids) == 0 {
					all, err := node.Mail(ctx, h)
					if err != nil {
						return err
					}
					for i := range all {
						if all[i].New {
							ids = append(ids, all[i].ID)
						}
					}
				}
				letters := []node.MailLetter{}
				for _, id := range ids {
					l, err := node.ReadMail(ctx, h, id)
					if err != nil {
						return err
					}
					letters = append(letters, l)
				}
				return a.show(letters, func(w io.Writer) {
					if len(letters) == 0 {
						p(w, "nothing new\n")
					}
					for i := range letters {
						printLetter(w, &letters[i])
					}
				})
			})
		},
	}
}

func printLetter(w io.Writer, l *node.MailLetter) {
	from := clean(l.From)
	if from != l.Key[:16] {
		from += " (" + l.Key[:16] + ")"
	}
	p(w, "From:    %s\n", from)
	if l.List != "" {
		p(w, "List:    %s\n", clean(l.List))
	}
	p(w, "Sent:    %s UTC, as the writer says\n", when(l.Sent)[:16])
	p(w, "Subject: %s\nLetter:  %s\n\n%s\n\n", clean(l.Subject), l.ID[:8], cleanLines(string(l.Body)))
}

// cleanLines is clean for text of several lines.
func cleanLines(text string) string {
	text = strings.ReplaceAll(strings.TrimRight(text, "\n"), "\r\n", "\n")
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == ' ' || unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, text)
}

func (a *app) mailListLetters(home *string) *cobra.Command {
	var sent bool
	c := &cobra.Command{
		Use: "list", Short: "List the letters that came, or, with --sent, what became of yours", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.asking(c.Context(), home, func(ctx context.Context, h node.Home) error {
				if sent {
					return a.listSent(ctx, h)
				}
				all, err := node.Mail(ctx, h)
				if err != nil {
					return err
				}
				return a.show(all, func(w io.Writer) {
					p(w, "LETTER\tARRIVED\tFROM\tSUBJECT\t\n")
					for i := range all {
						l := &all[i]
						mark, from := "", clean(l.From)
						if l.New {
							mark = "new"
						}
						if l.List != "" {
							from += " to " + clean(l.List)
						}
						p(w, "%s\t%s\t%s\t%s\t%s\n", l.ID[:8], when(l.Arrived)[:16], from, clean(l.Subject), mark)
					}
				})
			})
		},
	}
	c.Flags().BoolVar(&sent, "sent", false, "those that were written here")
	return c
}

func (a *app) listSent(ctx context.Context, h node.Home) error {
	all, err := node.SentMail(ctx, h)
	if err != nil {
		return err
	}
	return a.show(all, func(w io.Writer) {
		p(w, "LETTER\tWRITTEN\tTO\tSUBJECT\tSTATE\n")
		for i := range all {
			s := &all[i]
			p(w, "%s\t%s\t%s\t%s\t%s\n", s.ID[:8], when(s.Written)[:16], clean(toWhom(s)), clean(s.Subject), sentState(s))
		}
	})
}

func (a *app) mailDelete(home *string) *cobra.Command {
	return &cobra.Command{
		Use: "delete LETTER", Short: "Forget a letter that came", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.asking(c.Context(), home, func(ctx context.Context, h node.Home) error {
				if err := node.DeleteMail(ctx, h, args[0]); err != nil {
					return err
				}
				return a.show(map[string]string{"deleted": args[0]}, func(w io.Writer) { p(w, "deleted\n") })
			})
		},
	}
}

func (a *app) mailCard(home *string) *cobra.Command {
	var tags int
	c := &cobra.Command{
		Use: "card", Short: "Make a card to give to those who may write to you", Args: cobra.NoArgs,
		Long: `Make a card: a line by which others can write to you, good for a year. It says nothing of where you are. A card for one
person has one reply tag (--tags 1), which makes his first letter quick and shows nobody which of 256 buckets is
yours; a card for everybody has none.`,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.asking(c.Context(), home, func(ctx context.Context, h node.Home) error {
				card, err := node.MailCard(ctx, h, tags)
				if err != nil {
					return err
				}
				return a.show(map[string]string{"card": card}, func(w io.Writer) { p(w, "%s\n", card) })
			})
		},
	}
	c.Flags().IntVar(&tags, "tags", 0, "reply tags, one for each person who is given this card, at most 16")
	return c
}

func (a *app) mailContacts(home *string) *cobra.Command {
	c := &cobra.Command{
		Use: "contacts", Short: "The address book: who can be written to, and who wrote", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.asking(c.Context(), home, func(ctx context.Context, h node.Home) error {
				all, err := node.MailContacts(ctx, h)
				if err != nil {
					return err
				}
				return a.show(all, func(w io.Writer) {
					p(w, "NAME\tKEY\t\n")
					for i := range all {
						p(w, "%s\t%s\t%s\n", clean(all[i].Name), all[i].Key, contactMark(&all[i]))
					}
				})
			})
		},
	}
	add := &cobra.Command{
		Use: "add NAME CARD", Short: "Put somebody into the address book, or give him another name", Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			return a.asking(c.Context(), home, func(ctx context.Context, h node.Home) error {
				x, err := node.AddMailContact(ctx, h, args[0], args[1])
				if err != nil {
					return err
				}
				return a.show(x, func(w io.Writer) {
					p(w, "%s is %s\nCompare the key with him by another way before you trust it.\n", clean(x.Name), x.Key)
				})
			})
		},
	}
	block := func(use, short string, on bool) *cobra.Command {
		return &cobra.Command{
			Use: use + " CONTACT", Short: short, Args: cobra.ExactArgs(1),
			RunE: func(c *cobra.Command, args []string) error {
				return a.asking(c.Context(), home, func(ctx context.Context, h node.Home) error {
					x, err := node.BlockMailContact(ctx, h, args[0], on)
					if err != nil {
						return err
					}
					return a.show(x, func(w io.Writer) { p(w, "%s\t%s\t%s\n", clean(x.Name), x.Key, contactMark(&x)) })
				})
			},
		}
	}
	c.AddCommand(add, block("block", "Look for no more letters of somebody", true), block("unblock", "Look for them again", false))
	return c
}

func contactMark(c *node.MailContact) string {
	switch {
	case c.Blocked:
		return "blocked"
	case c.Stranger:
		return "wrote to you"
	}
	return ""
}

func (a *app) mailLists(home *string) *cobra.Command {
	c := &cobra.Command{
		Use: "lists", Short: "Lists that you read: whoever knows the name of one can read it and post to it", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.asking(c.Context(), home, func(ctx context.Context, h node.Home) error {
				all, err := node.MailLists(ctx, h)
				if err != nil {
					return err
				}
				return a.show(all, func(w io.Writer) {
					for _, name := range all {
						p(w, "%s\n", clean(name))
					}
				})
			})
		},
	}
	change := func(use, short string, leave bool) *cobra.Command {
		return &cobra.Command{
			Use: use + " LIST", Short: short, Args: cobra.ExactArgs(1),
			RunE: func(c *cobra.Command, args []string) error {
				return a.asking(c.Context(), home, func(ctx context.Context, h node.Home) error {
					if err := node.JoinMailList(ctx, h, args[0], leave); err != nil {
						return err
					}
					return a.show(map[string]any{"list": args[0], "read": !leave}, func(w io.Writer) { p(w, "done\n") })
				})
			},
		}
	}
	c.AddCommand(change("join", "Read a list from now on", false), change("leave", "Read it no more; what was read stays", true))
	return c
}
