package node

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"souk/exchange"
	"souk/replica"
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
	at, err := h.choose(all, id)
	if err != nil {
		return nil, err
	}
	path := h.in(c.Virtual[at].Founding)
	f := all[at].founding
	stores := newStores()
	defer stores.close()
	s, err := stores.open(filepath.Dir(path), nil)
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
// export, with the members of cards, and with the rules and the protocol version
// that were in force, whatever votes had made of them. All members must make it from exports of
// the same height and root.
func Refound(export, name string, cards []exchange.Card) (*exchange.Founding, error) {
	if err := distinct(cards); err != nil {
		return nil, err
	}
	var f *exchange.Founding
	err := readExport(export, func(e *replica.Export) error {
		old := e.Founding
		before, err := exchange.Load(old, e.ReadLeaves())
		if err != nil {
			return err
		}
		f = &exchange.Founding{
			Name: cmp.Or(name, old.Name), Protocol: before.Roster().Version(e.Height + 1), Profile: old.Profile,
			Members: slices.Clone(cards), Params: before.Params(),
			Origin: &exchange.Origin{Server: old.ID(), Height: e.Height, Root: e.Root},
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for i := range cards {
		f.Created = max(f.Created, cards[i].Made)
	}
	f.SortMembers()
	if err := f.Check(); err != nil {
		return nil, err
	}
	// What the new servers will do with it is done once now, so that they need not find out.
	return f, readExport(export, func(e *replica.Export) error {
		_, err := exchange.Refound(f, e.ReadLeaves())
		return err
	})
}

// readExport has an export read to its end.
func readExport(path string, read func(*replica.Export) error) error {
	in, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("read export: %w", err)
	}
	defer in.Close() //nolint:errcheck // nothing was written
	e, err := replica.ReadExport(in)
	if err != nil {
		return err
	}
	return errors.Join(read(e), e.Err())
}
