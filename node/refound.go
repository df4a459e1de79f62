package node

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"souk/exchange"
	"souk/replica"
	"souk/store/pebble"
)

// Export writes the stored state of one of a stopped server's virtual servers, of
// which the id begins with a text; it may be empty if there is one only. If height
// is not zero, it must be the one stored.
func Export(h Home, id string, height uint64, w io.Writer) (e *replica.Export, err error) {
	c, err := ReadConfig(h.Config())
	if err != nil {
		return nil, err
	}
	all, err := h.hosts()
	if err != nil {
		return nil, err
	}
	at := 0
	switch {
	case len(all) == 0:
		return nil, fmt.Errorf("%w: %s names no virtual server", ErrConfig, h.Config())
	case id != "":
		if at, err = find(all, id); err != nil {
			return nil, err
		}
	case len(all) > 1:
		return nil, fmt.Errorf("%w: there are %d: say with --id which one, such as --id %x", ErrServes, len(all), all[0].id[:8])
	}
	path := h.in(c.Virtual[at].Founding)
	f, err := ReadFounding(path)
	if err != nil {
		return nil, err
	}
	s, err := pebble.Open(filepath.Join(filepath.Dir(path), "state"), pebble.Config{})
	if err != nil {
		return nil, fmt.Errorf("open state: %w (is the server stopped?)", err)
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	r, err := replica.Open(replica.Config{Founding: f, Store: s})
	if err != nil {
		return nil, fmt.Errorf("load state: %w", err)
	}
	defer func() {
		if cerr := r.Close(); !errors.Is(cerr, replica.ErrClosed) {
			err = errors.Join(err, cerr)
		}
	}()
	e, err = r.Export(w)
	if err == nil && height != 0 && e.Height != height {
		return nil, fmt.Errorf("the stored state is that after block %d, not %d", e.Height, height)
	}
	return e, err
}

// Refound makes the founding contract of a virtual server that goes on from an
// export, with the members of cards. All members must make it from exports of
// the same height and root.
func Refound(export, name string, cards []exchange.Card) (*exchange.Founding, error) {
	in, err := os.Open(export)
	if err != nil {
		return nil, fmt.Errorf("read export: %w", err)
	}
	defer in.Close() //nolint:errcheck // nothing was written
	e, err := replica.ReadExport(in)
	if err != nil {
		return nil, err
	}
	old := e.Founding
	f := &exchange.Founding{
		Name: old.Name, Protocol: old.Protocol, Profile: old.Profile, Members: slices.Clone(cards), Params: old.Params,
		Origin: &exchange.Origin{Server: old.ID(), Height: e.Height, Root: e.Root},
	}
	if name != "" {
		f.Name = name
	}
	for i := range cards {
		f.Created = max(f.Created, cards[i].Made)
	}
	f.SortMembers()
	if err := f.Check(); err != nil {
		return nil, err
	}
	// The whole state is read, so that a damaged file is found now and not by the new servers.
	if _, err := exchange.Refound(f, e.ReadLeaves()); err != nil {
		return nil, errors.Join(err, e.Err())
	}
	return f, e.Err()
}
