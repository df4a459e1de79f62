// Package postgres is the archive in a schema of a PostgreSQL database.
//
// Floor 2: an adapter of archive. What it shares with the other is archive/tables.
package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"souk/archive/tables"
)

// ErrDSN is returned by Open for a DSN that is not understood. It does not hold it: there
// may be a password in it.
var ErrDSN = errors.New("this is no DSN of a PostgreSQL database, such as postgres://user:password@host/database")

// batch is how many statements are under way at once.
const batch = 2000

// Config says what to open.
type Config struct {
	tables.Config

	DSN string // URL, or words as in host=... user=...; required
	// Schema is where the tables are. Default: souk_ and the first 16 digits of the
	// virtual server's id.
	Schema string
}

// Open opens an archive, and makes it if it is not there.
func Open(ctx context.Context, c Config) (*tables.Archive, error) {
	conf, err := pgx.ParseConfig(c.DSN)
	if err != nil {
		return nil, ErrDSN
	}
	if c.Schema == "" {
		id := c.Founding.ID()
		c.Schema = fmt.Sprintf("souk_%x", id[:8])
	}
	conf.RuntimeParams["search_path"] = pgx.Identifier{c.Schema}.Sanitize()
	conf.RuntimeParams["application_name"] = "souk"
	e := &engine{stdlib.OpenDB(*conf)}
	_, err = e.db.ExecContext(ctx, "CREATE SCHEMA IF NOT EXISTS "+pgx.Identifier{c.Schema}.Sanitize())
	if err == nil {
		err = tables.Migrate(ctx, e.db, tables.Postgres)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the archive in %s: %w", conf.Host, err), e.Close())
	}
	return tables.Open(ctx, e, c.Config)
}

// engine is an open database.
type engine struct{ db *sql.DB }

func (e *engine) Reader() *sql.DB { return e.db }

// Snapshot is the isolation at which all questions of a transaction see the same.
func (e *engine) Snapshot() sql.IsolationLevel { return sql.LevelRepeatableRead }

// Fraction is an amount as an exact number.
func (e *engine) Fraction(amount string, decimals int64) string {
	unit := "1" + strings.Repeat("0", int(decimals))
	return fmt.Sprintf("CAST(CAST(%s AS NUMERIC) / %s AS NUMERIC(40, %d))", amount, unit, decimals)
}

func (e *engine) Close() error { return e.db.Close() }

func (e *engine) Begin(ctx context.Context) (tables.Session, error) {
	conn, err := e.db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return &session{tx, conn}, nil
}

// session writes many rows at once, in the way of the driver below.
type session struct {
	*sql.Tx
	conn *sql.Conn
}

func (s *session) raw(do func(*pgx.Conn) error) error {
	return s.conn.Raw(func(driver any) error {
		c, ok := driver.(*stdlib.Conn)
		if !ok {
			return fmt.Errorf("the driver is a %T", driver)
		}
		return do(c.Conn())
	})
}

func (s *session) Insert(ctx context.Context, table string, columns []string, rows [][]any) error {
	return s.raw(func(c *pgx.Conn) error {
		_, err := c.CopyFrom(ctx, pgx.Identifier{table}, columns, pgx.CopyFromRows(rows))
		return err
	})
}

func (s *session) Each(ctx context.Context, statement string, rows [][]any) error {
	return s.raw(func(c *pgx.Conn) error {
		for len(rows) > 0 {
			n := min(len(rows), batch)
			var b pgx.Batch
			for _, row := range rows[:n] {
				b.Queue(statement, row...)
			}
			if err := c.SendBatch(ctx, &b).Close(); err != nil {
				return err
			}
			rows = rows[n:]
		}
		return nil
	})
}

func (s *session) Commit() error { return errors.Join(s.Tx.Commit(), s.conn.Close()) }

func (s *session) Rollback() error { return errors.Join(s.Tx.Rollback(), s.conn.Close()) }
