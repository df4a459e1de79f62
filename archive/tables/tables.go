// Package tables is what the archives in SQL have in common: the tables, how blocks become
// rows, what is asked of them, and the views that have the shape of the founding
// document's tables. An adapter brings the database: how to open it, how to write many
// rows, and in what few words it differs.
//
// Where to look: the tables in migrations, what is asked of them in questions (query/ is
// made of it by sqlc), blocks in project.go, inventories in correct.go, writing in
// write.go, reading in read.go, views in views.go, taking everything out in dump.go.
//
// Floor 2, beside the port: rules are docs/spec/19-archive.md (G-30).
package tables

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"souk/archive"
	"souk/archive/tables/query"
	"souk/exchange"
)

// Config says what an archive is of.
type Config struct {
	// Founding is the virtual server's founding contract. Required.
	Founding *exchange.Founding
	// Number is that of the virtual server in the names of views; 0 means 1.
	Number int
}

// Engine is an open database whose tables exist.
type Engine interface {
	// Begin begins a transaction that writes. It is called by one goroutine at a time.
	Begin(ctx context.Context) (Session, error)
	// Reader is for transactions that read, of any number of goroutines.
	Reader() *sql.DB
	// Snapshot is the isolation at which a transaction sees one moment only.
	Snapshot() sql.IsolationLevel
	// Fraction is an expression for an amount in whole coins with all decimals.
	Fraction(amount string, decimals int64) string
	Close() error
}

// Session is one transaction that writes.
type Session interface {
	query.DBTX
	// Insert adds rows to a table, which has none of their keys. Values are int64,
	// string or []byte.
	Insert(ctx context.Context, table string, columns []string, rows [][]any) error
	// Each runs a statement once for each row of arguments.
	Each(ctx context.Context, statement string, rows [][]any) error
	Commit() error
	Rollback() error
}

// Archive is an archive in SQL.
type Archive struct {
	engine Engine
	config Config
	known  *known // what the writer remembers of the tables; nil if it must ask
}

var (
	_ archive.Archive = (*Archive)(nil)
	_ archive.Reader  = (*Archive)(nil)
	_ archive.Dumper  = (*Archive)(nil)
)

// Open begins an archive in a database with empty tables, or goes on with the one that is
// there. The archive owns the engine, and closes it also if it cannot be opened.
func Open(ctx context.Context, engine Engine, c Config) (*Archive, error) {
	if c.Number == 0 {
		c.Number = 1
	}
	a := &Archive{engine: engine, config: c}
	if err := a.begin(ctx); err != nil {
		return nil, errors.Join(err, engine.Close())
	}
	return a, nil
}

// begin puts what a virtual server is founded with into tables that are empty.
func (a *Archive) begin(ctx context.Context) error {
	id := a.config.Founding.ID()
	return a.write(ctx, func(s Session) error {
		at, err := query.New(s).Position(ctx)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return a.found(ctx, s)
		case err != nil:
			return err
		case string(at.Server) != string(id[:]):
			return fmt.Errorf("%w: %x", archive.ErrOtherServer, at.Server)
		}
		return a.views(ctx, s)
	})
}

// found fills tables that are empty.
func (a *Archive) found(ctx context.Context, s Session) error {
	id := a.config.Founding.ID()
	if err := query.New(s).Begin(ctx, id[:]); err != nil {
		return err
	}
	in, err := archive.Founded(a.config.Founding)
	if err != nil {
		return err
	}
	if in == nil {
		return a.views(ctx, s)
	}
	return a.correct(ctx, s, in)
}

// write does something in one transaction that writes. What the writer remembers is
// forgotten if that fails.
func (a *Archive) write(ctx context.Context, do func(Session) error) error {
	s, err := a.engine.Begin(ctx)
	if err != nil {
		a.known = nil
		return fmt.Errorf("begin to write the archive: %w", err)
	}
	if err = do(s); err == nil {
		err = s.Commit()
	} else {
		s.Rollback() //nolint:errcheck // the first error is the one to tell
	}
	if err != nil {
		a.known = nil
		return fmt.Errorf("write the archive: %w", err)
	}
	return nil
}

// at makes sure that the archive is at a height.
func at(ctx context.Context, s Session, height uint64) error {
	p, err := query.New(s).Position(ctx)
	if err != nil {
		return err
	}
	if unsigned(p.Height) != height {
		return fmt.Errorf("%w: %d, not %d", archive.ErrHeight, p.Height, height)
	}
	return nil
}

// Height is that of the newest block in it.
func (a *Archive) Height(ctx context.Context) (uint64, error) {
	p, err := query.New(a.engine.Reader()).Position(ctx)
	if err != nil {
		return 0, fmt.Errorf("read the archive: %w", err)
	}
	return unsigned(p.Height), nil
}

// Gap records blocks that are not known.
func (a *Archive) Gap(ctx context.Context, after uint64, in *archive.Inventory) error {
	if in.Height <= after {
		return fmt.Errorf("%w: a gap from %d to %d", archive.ErrHeight, after+1, in.Height)
	}
	return a.write(ctx, func(s Session) error {
		if err := at(ctx, s, after); err != nil {
			return err
		}
		var n numbers
		gap := query.AddGapParams{First: n.of(after + 1), Last: n.of(in.Height)}
		if n.err != nil {
			return n.err
		}
		if err := query.New(s).AddGap(ctx, gap); err != nil {
			return err
		}
		return a.correct(ctx, s, in)
	})
}

// Reset empties the archive.
func (a *Archive) Reset(ctx context.Context) error {
	return a.write(ctx, func(s Session) error {
		a.known = nil
		for _, t := range all {
			if _, err := s.ExecContext(ctx, "DELETE FROM "+t.name); err != nil {
				return err
			}
		}
		if err := a.dropViews(ctx, s); err != nil {
			return err
		}
		return a.found(ctx, s)
	})
}

// Close closes the database.
func (a *Archive) Close() error { return a.engine.Close() }

// numbers are unsigned ones on their way into tables, which know signed ones only.
type numbers struct{ err error }

func (n *numbers) of(v uint64) int64 {
	if v > 1<<63-1 && n.err == nil {
		n.err = fmt.Errorf("%w: %d", archive.ErrRange, v)
	}
	return int64(v)
}

// unsigned is a number that came out of a table.
func unsigned(v int64) uint64 { return uint64(max(0, v)) }
