package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"souk/archive"
	"souk/archive/tables"
)

// copyRows is how many rows are copied at once.
const copyRows = 1000

// Copy writes all that is in another archive into a new file.
func Copy(ctx context.Context, from archive.Dumper, c Config) (err error) {
	if _, err := os.Stat(c.Path); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(fmt.Errorf("%s: %w", c.Path, fs.ErrExist), err)
	}
	a, err := Open(ctx, c) // makes the tables
	if err != nil {
		return err
	}
	if err := a.Close(); err != nil {
		return err
	}
	e, err := open(c.Path, rebuildCache)
	if err != nil {
		return err
	}
	s, err := e.Begin(ctx)
	if err != nil {
		return errors.Join(err, e.Close())
	}
	if err := copyAll(ctx, from, s); err != nil {
		return errors.Join(err, s.Rollback(), e.Close())
	}
	if err := errors.Join(s.Commit(), e.Close()); err != nil {
		return err
	}
	if a, err = Open(ctx, c); err != nil { // makes the views
		return err
	}
	return a.Close()
}

// rebuildCache is what is kept in memory of a file that is written whole.
const rebuildCache = 256 << 20

func copyAll(ctx context.Context, from archive.Dumper, s tables.Session) error {
	var to archive.Table
	var rows [][]any
	flush := func() error {
		if len(rows) == 0 || to.View {
			rows = nil
			return nil
		}
		names := make([]string, len(to.Columns))
		for i := range names {
			names[i] = to.Columns[i].Name
		}
		err := s.Insert(ctx, to.Name, names, rows)
		rows = rows[:0]
		return err
	}
	err := from.Dump(ctx, func(t archive.Table) error {
		if err := flush(); err != nil {
			return err
		}
		to = t
		if t.View {
			return nil
		}
		_, err := s.ExecContext(ctx, "DELETE FROM "+t.Name) // what Open has put there
		return err
	}, func(values []any) error {
		row := make([]any, len(values))
		for i, v := range values {
			if b, ok := v.([]byte); ok {
				v = append([]byte{}, b...)
			}
			row[i] = v
		}
		if rows = append(rows, row); len(rows) < copyRows {
			return nil
		}
		return flush()
	})
	if err != nil {
		return err
	}
	return flush()
}
