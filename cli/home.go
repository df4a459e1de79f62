package cli

import (
	"context"
	"errors"
	"io/fs"

	"souk/api"
	"souk/node"
)

// atHome is a session with a virtual server of a home, for its operator: the home
// knows the id, this server's own URL, and those of the other founding members.
// --server and --id go before that. Of a home that serves nothing, as one that holds
// the operator's key only, flags or the purse must say where to.
func (a *app) atHome(home string) (*session, error) {
	served, err := node.Home(home).Serves(a.id)
	switch {
	case err == nil:
	case len(a.servers) > 0 && (errors.Is(err, node.ErrServes) || errors.Is(err, fs.ErrNotExist)):
		return a.session()
	default:
		return nil, err
	}
	s := &session{id: served.Founding.ID(), pinned: true, trust: &trust{}}
	s.book.Servers = served.Servers
	if len(a.servers) > 0 {
		s.book.Servers = a.servers
	}
	s.client, err = api.NewClient(api.Config{Servers: s.book.Servers, ID: s.id, Hasty: true})
	return s, err
}

// withHome is with for a session with a virtual server of a home. Without a home it is with.
func (a *app) withHome(ctx context.Context, home string, run func(context.Context, *session) error) error {
	if home == "" {
		return a.with(ctx, run)
	}
	s, err := a.atHome(home)
	if err != nil {
		return err
	}
	defer s.client.Close()
	defer s.keep(a.err)
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	return run(ctx, s)
}
