package cli

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"souk/api"
	"souk/exchange"
	"souk/purse"
)

// probe is how long a server is asked what it serves.
const probe = 5 * time.Second

// locate asks servers which virtual server they serve, and which servers it has
// besides. With an id they must serve that one. If none of them answers, an id
// is taken unchecked where unchecked allows it.
func (a *app) locate(ctx context.Context, servers []string, id string, unchecked bool) (purse.Book, error) {
	book := purse.Book{Server: id, Servers: servers}
	var want exchange.ID
	if id != "" {
		var err error
		if want, err = book.ID(); err != nil {
			return book, usageError{fmt.Errorf("%w: souk status --server URL -o json shows that of a server", err)}
		}
		if (want == exchange.ID{}) {
			return book, usageError{errors.New("no virtual server has the id of zeros")}
		}
	}
	if len(servers) == 0 {
		return book, nil
	}
	any, err := api.NewClient(api.Config{Servers: servers, Hasty: true})
	if err != nil {
		return book, err
	}
	defer any.Close()
	short, cancel := context.WithTimeout(ctx, probe)
	defer cancel()
	status, err := any.Status(short)
	switch {
	case err != nil && id != "" && unchecked:
		p(a.err, "No server can be reached: the id is taken as you gave it.\n")
		return book, nil
	case err != nil:
		return book, err
	case id == "":
		if want, err = api.ParseServerID(status.ID); err != nil {
			return book, err
		}
		p(a.err, "Virtual server %s, as that server says. Compare this id with a source you trust.\n", status.ID)
	}
	book.Server = hex.EncodeToString(want[:])
	founding, err := a.foundingOf(ctx, servers, want)
	switch {
	case err != nil && status.ID != book.Server:
		return book, fmt.Errorf("%s does not serve virtual server %s, but %s (%s): is the id right (--id)?", servers[0], book.Server, status.ID, status.Name)
	case err != nil:
		return book, err
	}
	book.Servers = slices.Clone(servers)
	for i := range founding.Members { // all of them, so that losing one is no loss
		if url := founding.Members[i].URL; url != "" && !slices.Contains(book.Servers, url) {
			book.Servers = append(book.Servers, url)
		}
	}
	return book, nil
}

// foundingOf asks servers for the founding contract of a virtual server, whose hash is its id.
func (a *app) foundingOf(ctx context.Context, servers []string, id exchange.ID) (*exchange.Founding, error) {
	client, err := api.NewClient(api.Config{Servers: servers, ID: id, Hasty: true})
	if err != nil {
		return nil, err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, probe)
	defer cancel()
	return client.Founding(ctx)
}

// connect pins the purse of a session to the virtual server that the flags name.
func (a *app) connect(ctx context.Context, s *session) error {
	id := a.id
	if id == "" {
		id = s.book.Server
	}
	found, err := a.locate(ctx, a.servers, id, false)
	if err != nil {
		return err
	}
	link := func(b *purse.Book) {
		if b.Server != found.Server { // what is remembered is of another one
			b.Checkpoint, b.Proven = "", nil
		}
		b.Height = 0 // which a server may have lied about
		b.Server, b.Servers = found.Server, found.Servers
	}
	link(&s.book)
	return s.note(link)
}

// pinFirst pins a purse that knows no server yet by the first signed command that
// names one. Who only looks somewhere has not chosen it.
func (a *app) pinFirst(ctx context.Context) error {
	if len(a.servers) == 0 {
		return nil
	}
	own, err := a.pursePath()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	book, err := own.Book()
	if err != nil || book.Server != "" && len(book.Servers) > 0 {
		return nil //nolint:nilerr // without a purse there is nothing to pin
	}
	return a.connect(ctx, &session{purse: own, book: book, stored: true, trust: &trust{}})
}

func (a *app) accountConnect() *cobra.Command {
	return &cobra.Command{
		Use: "connect --server URL [--id ID]", Short: "Pin the purse to a virtual server", Args: cobra.NoArgs,
		Long: `Pin the purse to a virtual server: the server is asked for its founding contract, whose hash is the id,
and for the other members' servers. Without --id the first server is believed; a purse that is pinned
already moves to another virtual server only with --id.`,
		RunE: func(c *cobra.Command, _ []string) error {
			if len(a.servers) == 0 {
				return usageError{errors.New("give --server URL")}
			}
			own, err := a.pursePath()
			if err != nil {
				return err
			}
			s := &session{purse: own, stored: true, trust: &trust{}}
			if s.book, err = own.Book(); err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(c.Context(), a.timeout)
			defer cancel()
			if err := a.connect(ctx, s); err != nil {
				return err
			}
			return a.show(map[string]any{"virtual_server": s.book.Server, "servers": s.book.Servers}, func(w io.Writer) {
				p(w, "virtual server\t%s\n", s.book.Server)
				for _, url := range s.book.Servers {
					p(w, "server\t%s\n", url)
				}
			})
		},
	}
}

func (a *app) accountUse() *cobra.Command {
	return &cobra.Command{
		Use: "use ADDRESS|own", Short: "Act for an account whose owner has let the purse's key", Args: cobra.ExactArgs(1),
		Long: `Remember in the purse that its commands are for another account: one whose owner has let the purse's
key act (souk key add). With own it goes back to the account of the purse's own key.`,
		RunE: func(_ *cobra.Command, args []string) error {
			own, err := a.pursePath()
			if err != nil {
				return err
			}
			book, err := own.Book()
			if err != nil {
				return err
			}
			account := book.Address
			if args[0] != "own" {
				to, err := address(args[0])
				if err != nil {
					return err
				}
				account = to.String()
			}
			if book.Account = account; account == book.Address {
				book.Account = ""
			}
			if err := own.Save(book); err != nil {
				return err
			}
			return a.show(map[string]string{"account": account}, func(w io.Writer) { p(w, "this purse acts for %s\n", account) })
		},
	}
}
