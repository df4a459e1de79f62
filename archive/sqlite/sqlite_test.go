package sqlite_test

import (
	"database/sql"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"souk/archive"
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

// TestCorrectTouchesNothing: an archive that is right is looked at and not written, as after each
// start of a server whose archive has a gap (G-46); an order that is wrong is put right.
func TestCorrectTouchesNothing(t *testing.T) {
	h := archivetest.Random(3, 30)
	p := place{filepath.Join(t.TempDir(), "archive.db")}
	a := p.Open(t, h.Founding)
	defer a.Close() //nolint:errcheck // a test's
	archivetest.Fill(t, a, h, 100)
	db, err := sql.Open("sqlite", "file:"+url.PathEscape(p.path))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close() //nolint:errcheck // a test's
	do := func(text string) {
		t.Helper()
		if _, err := db.ExecContext(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	do("CREATE TABLE touched (id BIGINT)")
	do("CREATE TRIGGER touching AFTER UPDATE ON orders BEGIN INSERT INTO touched VALUES (NEW.id); END")
	in := archive.Take(h.State, h.Blocks[len(h.Blocks)-1].Height, h.Time)
	if len(in.Orders) < 2 {
		t.Fatalf("%d live orders", len(in.Orders))
	}
	correct := func(want int) {
		t.Helper()
		if err := a.Correct(t.Context(), in); err != nil {
			t.Fatal(err)
		}
		if got := len(p.Rows(t, "SELECT id FROM touched")); got != want {
			t.Errorf("%d orders were written, not %d", got, want)
		}
	}
	correct(0)
	do("UPDATE orders SET filled = filled + 1 WHERE id = " + strconv.FormatUint(uint64(in.Orders[1].Order.ID), 10))
	do("DELETE FROM touched")
	correct(1)
}
