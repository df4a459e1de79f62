// Package sqlite is the archive in one file, by SQLite in this process. One connection
// writes; any number reads meanwhile.
//
// Floor 2: an adapter of archive. What it shares with the other is archive/tables.
package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"

	_ "modernc.org/sqlite" // the driver

	"souk/archive/tables"
)

// readers is how many connections read at once.
const readers = 4

// Config says what to open.
type Config struct {
	tables.Config

	Path string // of the file; required
	// Cache is how many bytes of the file the writer keeps in memory at most. Default
	// 32 MiB; who writes millions of rows is faster with more.
	Cache int64
}

// Open opens an archive, and makes it if it is not there. Only this user can read it:
// balances are private.
func Open(ctx context.Context, c Config) (*tables.Archive, error) {
	f, err := os.OpenFile(c.Path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the archive: %w", err)
	}
	if err := f.Close(); err != nil {
		return nil, fmt.Errorf("open the archive: %w", err)
	}
	e, err := open(c.Path, cmp.Or(c.Cache, 32<<20))
	if err != nil {
		return nil, fmt.Errorf("open the archive %s: %w", c.Path, err)
	}
	if err := tables.Migrate(ctx, e.writer, tables.SQLite); err != nil {
		return nil, errors.Join(fmt.Errorf("open the archive %s: %w", c.Path, err), e.Close())
	}
	return tables.Open(ctx, e, c.Config)
}

// engine is an open file.
type engine struct{ writer, reader *sql.DB }

func open(path string, cache int64) (*engine, error) {
	source := func(more ...string) string {
		q := url.Values{"_pragma": append([]string{
			"busy_timeout(5000)", "foreign_keys(on)", "synchronous(full)", "fullfsync(on)", "temp_store(memory)",
		}, more...)}
		if len(more) > 1 {
			q.Set("_txlock", "immediate")
		}
		return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}).String()
	}
	w, err := sql.Open("sqlite", source("journal_mode(wal)", "wal_autocheckpoint(8000)", fmt.Sprintf("cache_size(-%d)", cache>>10)))
	if err != nil {
		return nil, err
	}
	w.SetMaxOpenConns(1)
	r, err := sql.Open("sqlite", source("query_only(on)"))
	if err != nil {
		return nil, errors.Join(err, w.Close())
	}
	r.SetMaxOpenConns(readers)
	return &engine{w, r}, nil
}

func (e *engine) Reader() *sql.DB { return e.reader }

// Snapshot is the only isolation that SQLite has.
func (e *engine) Snapshot() sql.IsolationLevel { return sql.LevelDefault }

// Fraction is an amount as text: SQLite has no exact fractions.
func (e *engine) Fraction(amount string, decimals int64) string { return Fraction(amount, decimals) }

// Fraction is an expression for an amount in whole coins with all decimals.
func Fraction(amount string, decimals int64) string {
	if decimals == 0 {
		return fmt.Sprintf("CAST(%s AS TEXT)", amount)
	}
	unit := "1"
	for range decimals {
		unit += "0"
	}
	return fmt.Sprintf("printf('%%d.%%0%sd', %s / %s, %s %% %s)", strconv.FormatInt(decimals, 10), amount, unit, amount, unit)
}

func (e *engine) Close() error { return errors.Join(e.reader.Close(), e.writer.Close()) }

func (e *engine) Begin(ctx context.Context) (tables.Session, error) {
	conn, err := e.writer.Conn(ctx)
	if err != nil {
		return nil, err
	}
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return &session{tx, conn}, nil
}

// session writes row by row: a statement that stands costs less than one of many rows.
type session struct {
	*sql.Tx
	conn *sql.Conn
}

func (s *session) Commit() error { return errors.Join(s.Tx.Commit(), s.conn.Close()) }

func (s *session) Rollback() error { return errors.Join(s.Tx.Rollback(), s.conn.Close()) }

func (s *session) Insert(ctx context.Context, table string, columns []string, rows [][]any) error {
	return s.Each(ctx, tables.InsertText(table, columns), rows)
}

// Each speaks to the driver itself, which a million rows notice. It looks at ctx now and
// then: the driver would start a goroutine for each row to do so.
func (s *session) Each(ctx context.Context, statement string, rows [][]any) error {
	return s.conn.Raw(func(raw any) error {
		c, ok := raw.(driver.ConnPrepareContext)
		if !ok {
			return fmt.Errorf("the driver is a %T", raw)
		}
		st, err := c.PrepareContext(ctx, statement)
		if err != nil {
			return err
		}
		run, ok := st.(driver.StmtExecContext)
		if !ok {
			return errors.Join(fmt.Errorf("the driver's statement is a %T", st), st.Close())
		}
		return errors.Join(runAll(ctx, run, rows), st.Close())
	})
}

func runAll(ctx context.Context, run driver.StmtExecContext, rows [][]any) error {
	undisturbed := context.WithoutCancel(ctx)
	var args []driver.NamedValue
	for i, row := range rows {
		if i%64 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		args = args[:0]
		for n, v := range row {
			args = append(args, driver.NamedValue{Ordinal: n + 1, Value: v})
		}
		if _, err := run.ExecContext(undisturbed, args); err != nil {
			return err
		}
	}
	return nil
}
