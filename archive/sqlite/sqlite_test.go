package sqlite_test

import (
	"database/sql"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"souk/archive/archivetest"
	"souk/archive/sqlite"
	"souk/archive/tables"
	"souk/exchange"
)

// place is a file.
type place struct{ path string }

func fresh(t testing.TB) archivetest.Place {
	return place{filepath.Join(t.TempDir(), "archive ?#%.db")}
}

func (p place) Open(t testing.TB, f *exchange.Founding) archivetest.Store {
	t.Helper()
	a, err := sqlite.Open(t.Context(), sqlite.Config{Config: tables.Config{Founding: f}, Path: p.path})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (p place) Rows(t testing.TB, question string) []string {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+url.PathEscape(p.path))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close() //nolint:errcheck // it only reads
	return rows(t, db, question)
}

func rows(t testing.TB, db *sql.DB, question string) (list []string) {
	t.Helper()
	r, err := db.QueryContext(t.Context(), question)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close() //nolint:errcheck // Err tells
	names, err := r.Columns()
	if err != nil {
		t.Fatal(err)
	}
	for r.Next() {
		texts, into := make([]string, len(names)), make([]any, len(names))
		for i := range into {
			into[i] = &texts[i]
		}
		if err := r.Scan(into...); err != nil {
			t.Fatal(err)
		}
		list = append(list, strings.Join(texts, "|"))
	}
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	return list
}

func TestArchive(t *testing.T) { archivetest.Run(t, fresh) }
