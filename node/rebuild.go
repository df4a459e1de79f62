package node

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"souk/archive"
	"souk/archive/export"
	"souk/archive/sqlite"
	"souk/archive/tables"
	"souk/exchange"
	"souk/exchange/market"
	"souk/identity"
	"souk/replica"
)

// ErrForgets is returned by RebuildArchive if the archive knows more than the log does.
var ErrForgets = errors.New("the archive goes back further than the log: made anew it would have lost that")

// Rebuild says how an archive is made anew.
type Rebuild struct {
	// Archive is where it is, if that is not as the configuration says.
	Archive *ArchiveConfig
	// Forget makes an archive anew also if it knows more than the log does.
	Forget bool
	// Progress is told now and then how far it has come, and how far it has to go.
	Progress func(height, newest uint64)
}

// Rebuilt is what became of it.
type Rebuilt struct {
	From    uint64  `json:"from"`   // the oldest block in it
	Height  uint64  `json:"height"` // the newest block in it
	Blocks  int     `json:"blocks"`
	Seconds float64 `json:"seconds"`
	// Serving tells that the running server has made it.
	Serving bool `json:"serving"`
}

// RebuildArchive makes the archive of one of a home's virtual servers anew from its log. If
// the server runs, it empties the archive, and waits until the server has filled it again.
func RebuildArchive(ctx context.Context, h Home, id string, b Rebuild) (done Rebuilt, err error) {
	o, err := h.archived(id, b.Archive)
	if err != nil {
		return done, err
	}
	lock, err := h.lock()
	if errors.Is(err, ErrServed) {
		return o.refill(ctx, &b)
	}
	if err != nil {
		return done, err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	stores := newStores()
	defer stores.close()
	s, err := stores.open(o.of.dir, nil)
	if err != nil {
		return done, fmt.Errorf("open state: %w", err)
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	r, err := replica.Open(replica.Config{Founding: o.of.founding, Store: s, Inline: true, Keep: replica.Keep{Events: -1}})
	if err != nil {
		return done, fmt.Errorf("load state: %w", err)
	}
	defer func() {
		if cerr := r.Close(); !errors.Is(cerr, replica.ErrClosed) {
			err = errors.Join(err, cerr)
		}
	}()
	o.of.cache = rebuildCache
	a, err := h.openArchive(ctx, &o.config, o.of)
	if err != nil {
		return done, err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	begin := time.Now()
	done, err = rebuild(ctx, r, a, &b)
	done.Seconds = time.Since(begin).Seconds()
	return done, err
}

// archived is the archive of a virtual server: where it is, and of what.
type archived struct {
	home   Home
	config ArchiveConfig
	given  bool // the place is not the configuration's
	of     archiveOf
}

func (h Home) archived(id string, given *ArchiveConfig) (o archived, err error) {
	c, err := ReadConfig(h.Config())
	if err != nil {
		return o, err
	}
	all, err := h.hosts()
	if err != nil {
		return o, err
	}
	at, err := h.choose(all, id)
	if err != nil {
		return o, err
	}
	o = archived{home: h, config: c.Archive, of: archiveOf{
		founding: all[at].founding, number: at + 1, dir: filepath.Dir(h.in(c.Virtual[at].Founding)),
	}}
	if given != nil {
		o.config, o.given = *given, true
		if err := o.config.check(); err != nil {
			return o, fmt.Errorf("%w: %w", ErrConfig, err)
		}
	}
	if o.config.Engine == archiveNone {
		return o, fmt.Errorf("%w: there is no archive: set archive.engine in %s, or say with --engine sqlite where one is to be made", ErrConfig, h.Config())
	}
	return o, nil
}

// knownFrom is the oldest block that an archive has.
func knownFrom(ctx context.Context, a Archive) (from uint64, err error) {
	gaps, err := a.Gaps(ctx)
	if err != nil {
		return 0, err
	}
	if len(gaps) > 0 && gaps[0].From == 1 {
		return gaps[0].To + 1, nil
	}
	return 1, nil
}

// rebuild fills an archive from the log of a replica that stands still.
func rebuild(ctx context.Context, r *replica.Replica, a Archive, b *Rebuild) (done Rebuilt, err error) {
	height, err := a.Height(ctx)
	if err != nil {
		return done, err
	}
	known, err := knownFrom(ctx, a)
	if err != nil {
		return done, err
	}
	done.From = r.LogFrom()
	if height >= known && known < done.From && !b.Forget {
		return done, fmt.Errorf("%w: it begins at block %d, the log at %d", ErrForgets, known, done.From)
	}
	if err := a.Reset(ctx); err != nil {
		return done, err
	}
	begin, err := beginning(ctx, r, done.From)
	if err != nil {
		return done, err
	}
	switch {
	case begin == nil:
	case begin.Height == 0:
		err = a.Correct(ctx, begin)
	default:
		err = a.Gap(ctx, 0, begin)
	}
	if err != nil {
		return done, err
	}
	newest := r.Position()
	if done.Blocks, err = archive.Feed(ctx, a, done.From-1, watched(r.Logged(ctx, done.From), newest.Height, b.Progress)); err != nil {
		return done, err
	}
	if done.Height, err = a.Height(ctx); err != nil || begin == nil {
		return done, err
	}
	var in *archive.Inventory
	if err := r.View(func(s *exchange.State) { in = archive.Take(s, done.Height, newest.Time) }); err != nil {
		return done, err
	}
	return done, a.Correct(ctx, in)
}

// watched tells how far a log was read.
func watched(blocks iter.Seq2[*archive.Block, error], newest uint64, progress func(height, newest uint64)) iter.Seq2[*archive.Block, error] {
	if progress == nil {
		return blocks
	}
	return func(yield func(*archive.Block, error) bool) {
		last := time.Now()
		for b, err := range blocks {
			if now := time.Now(); err == nil && now.Sub(last) > time.Second {
				last = now
				progress(b.Height, newest)
			}
			if !yield(b, err) {
				return
			}
		}
	}
}

// beginning is what there was before the first block of a log, as far as it can be told:
// what there is now and no block of the log has touched. It is nil if the log goes back to
// a founding that says it all.
func beginning(ctx context.Context, r *replica.Replica, from uint64) (in *archive.Inventory, err error) {
	known := false
	if err := r.View(func(s *exchange.State) { known = from <= 1 && s.Founding().Origin == nil }); err != nil || known {
		return nil, err
	}
	if in, err = inventory(ctx, r); err != nil {
		return nil, err
	}
	in.Height, in.Part = from-1, true
	first := true
	accounts, orders := map[identity.Address]bool{}, map[market.OrderID]bool{}
	wallets := map[[2]uint32]bool{}
	for b, err := range r.Logged(ctx, from) {
		if err != nil {
			return nil, err
		}
		if first {
			in.Time, first = b.Time, false
		}
		for i := range b.Balances {
			accounts[b.Balances[i].Account] = true
		}
		for i := range b.Events {
			if o := b.Events[i].Order; o != nil {
				orders[o.ID] = true
			}
			if f := b.Events[i].Fill; f != nil {
				orders[f.Maker], orders[f.Taker] = true, true
			}
		}
		for _, w := range b.Wallets {
			wallets[[2]uint32{uint32(w.Bank), uint32(w.Wallet)}] = true
		}
	}
	in.Balances = untouched(in.Balances, func(b archive.Balance) bool { return accounts[b.Account] })
	in.Orders = untouched(in.Orders, func(o archive.LiveOrder) bool { return orders[o.Order.ID] })
	in.Wallets = untouched(in.Wallets, func(w archive.Wallet) bool { return wallets[[2]uint32{uint32(w.Bank), uint32(w.Wallet)}] })
	return in, nil
}

func untouched[T any](list []T, touched func(T) bool) (left []T) {
	for _, x := range list {
		if !touched(x) {
			left = append(left, x)
		}
	}
	return left
}

// refill empties the archive of a running server, which fills it again.
func (o *archived) refill(ctx context.Context, b *Rebuild) (done Rebuilt, err error) {
	if o.given {
		return done, fmt.Errorf("the server of %s runs, and fills the archive of its configuration only: stop it first to make another", o.home)
	}
	a, err := o.home.openArchive(ctx, &o.config, o.of)
	if err != nil {
		return done, err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	newest, err := a.Height(ctx)
	if err != nil {
		return done, err
	}
	if !b.Forget {
		if err := o.remembers(ctx, a, newest); err != nil {
			return done, err
		}
	}
	begin := time.Now()
	if err := a.Reset(ctx); err != nil {
		return done, err
	}
	done.Serving = true
	for done.Height < newest {
		if !sleep(ctx, 200*time.Millisecond) {
			return done, ctx.Err()
		}
		if done.Height, err = a.Height(ctx); err != nil {
			return done, err
		}
		if b.Progress != nil {
			b.Progress(done.Height, newest)
		}
	}
	done.From, err = knownFrom(ctx, a)
	done.Seconds = time.Since(begin).Seconds()
	return done, err
}

// remembers makes sure that the log of a running server has all that an archive knows, which is at a height.
func (o *archived) remembers(ctx context.Context, a Archive, height uint64) error {
	known, err := knownFrom(ctx, a)
	if err != nil || height < known {
		return err
	}
	var log eventsBody
	if err := o.home.ask(ctx, http.MethodGet, fmt.Sprintf("/events/%d", o.of.number), nil, &log); err != nil {
		return fmt.Errorf("how far the log goes back, the running server does not tell: %w", err)
	}
	if known < log.From {
		return fmt.Errorf("%w: it begins at block %d, the log at %d", ErrForgets, known, log.From)
	}
	return nil
}

// Formats of ExportArchive.
const (
	FormatCSV    = "csv"
	FormatSQLite = "sqlite"
	FormatMySQL  = "mysql"
)

// ExportArchive writes all that is in the archive of one of a home's virtual servers to a
// path that is not there yet: a folder of CSV, a file otherwise. The server may be running.
func ExportArchive(ctx context.Context, h Home, id string, given *ArchiveConfig, format, path string) (err error) {
	o, err := h.archived(id, given)
	if err != nil {
		return err
	}
	a, err := h.openArchive(ctx, &o.config, o.of)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	switch format {
	case FormatCSV:
		return export.CSV(ctx, a, path)
	case FormatSQLite:
		return sqlite.Copy(ctx, a, sqlite.Config{Config: tables.Config{Founding: o.of.founding, Number: o.of.number}, Path: path})
	case FormatMySQL:
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		return errors.Join(export.MySQL(ctx, a, f), f.Close())
	}
	return fmt.Errorf("there is no format %q: csv, sqlite or mysql", format)
}
