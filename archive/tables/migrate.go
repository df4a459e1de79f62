package tables

import (
	"bytes"
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var embedded embed.FS

// Dialects of migrations.
const (
	SQLite   = goose.DialectSQLite3
	Postgres = goose.DialectPostgres
)

// Migrate brings the tables of a database up to date.
func Migrate(ctx context.Context, db *sql.DB, dialect goose.Dialect) error {
	dir, err := fs.Sub(embedded, "migrations")
	if err != nil {
		return err
	}
	if dialect == SQLite {
		dir = translated{dir}
	}
	p, err := goose.NewProvider(dialect, db, dir)
	if err != nil {
		return fmt.Errorf("read the migrations: %w", err)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("bring the tables up to date: %w", err)
	}
	return nil
}

// translated are migrations in SQLite's words: a primary key of one number is the row's
// own, one of several is the order in which rows lie, and numbers of 40 digits are text.
type translated struct{ fs.FS }

var words = strings.NewReplacer( //nolint:gochecknoglobals // a constant
	"BIGINT PRIMARY KEY", "INTEGER PRIMARY KEY", "BIGINT", "INTEGER", "BYTEA", "BLOB",
	"NUMERIC(40, 0)", "TEXT", "/* WITHOUT ROWID */", "WITHOUT ROWID",
)

// Open opens a file of migrations.
func (t translated) Open(name string) (fs.File, error) {
	f, err := t.FS.Open(name)
	if err != nil || !strings.HasSuffix(name, ".sql") {
		return f, err
	}
	defer f.Close() //nolint:errcheck // it was read only
	text, err := fs.ReadFile(t.FS, name)
	if err != nil {
		return nil, err
	}
	changed := []byte(words.Replace(string(text)))
	return &file{bytes.NewReader(changed), name, int64(len(changed))}, nil
}

// file is a file in memory.
type file struct {
	*bytes.Reader
	name string
	size int64
}

func (f *file) Stat() (fs.FileInfo, error) { return f, nil }
func (f *file) Close() error               { return nil }
func (f *file) Name() string               { return f.name }
func (f *file) Size() int64                { return f.size }
func (f *file) Mode() fs.FileMode          { return 0o444 }
func (f *file) ModTime() time.Time         { return time.Time{} }
func (f *file) IsDir() bool                { return false }
func (f *file) Sys() any                   { return nil }
