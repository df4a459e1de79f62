package postgres_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"souk/archive"
	"souk/archive/archivetest"
	"souk/archive/postgres"
	"souk/archive/postgres/postgrestest"
	"souk/archive/sqlite"
	"souk/archive/tables"
	"souk/exchange"
	"souk/internal/bulk"
)

var (
	server *postgrestest.Server
	places atomic.Int32
)

func TestMain(m *testing.M) {
	runtime.LockOSThread() // the server ends with the thread that started it
	os.Exit(func() int {
		var err error
		if server, err = postgrestest.Start(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		code := m.Run()
		if err := server.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return code
	}())
}

// place is a schema.
type place struct{ schema string }

func fresh(testing.TB) archivetest.Place {
	return place{fmt.Sprint("Place ", places.Add(1))} // names that must be quoted
}

func (p place) Open(t testing.TB, f *exchange.Founding) archivetest.Store {
	t.Helper()
	a, err := postgres.Open(t.Context(), postgres.Config{Config: tables.Config{Founding: f}, DSN: server.DSN(), Schema: p.schema})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (p place) Rows(t testing.TB, question string) []string {
	t.Helper()
	db, err := sql.Open("pgx", server.DSN()+` search_path='"`+p.schema+`"'`)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close() //nolint:errcheck // it only reads
	r, err := db.QueryContext(t.Context(), question)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close() //nolint:errcheck // Err tells
	names, err := r.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var list []string
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

// TestSameOnBoth: the same blocks give the same answers and the same tables on SQLite and
// on PostgreSQL, and the views say the same.
func TestSameOnBoth(t *testing.T) {
	h := archivetest.Random(7, bulk.Count(200))
	here := fresh(t)
	a := here.Open(t, h.Founding)
	defer a.Close() //nolint:errcheck // of a test
	b, err := sqlite.Open(t.Context(), sqlite.Config{Config: tables.Config{Founding: h.Founding}, Path: filepath.Join(t.TempDir(), "db")})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close() //nolint:errcheck // of a test
	archivetest.Fill(t, a, h, 17)
	archivetest.Fill(t, b, h, 40)
	if diff := cmp.Diff(archivetest.Answers(t, b, h), archivetest.Answers(t, a, h)); diff != "" {
		t.Errorf("-sqlite +postgres\n%s", diff)
	}
	if diff := cmp.Diff(archivetest.Dump(t, b), archivetest.Dump(t, a)); diff != "" {
		t.Errorf("-sqlite +postgres\n%s", diff)
	}
}

// TestOtherServer: an archive is of one virtual server.
func TestOtherServer(t *testing.T) {
	h := archivetest.Random(1, 1)
	p := fresh(t)
	if err := p.Open(t, h.Founding).Close(); err != nil {
		t.Fatal(err)
	}
	other := *h.Founding
	other.Name = "another"
	_, err := postgres.Open(t.Context(), postgres.Config{Config: tables.Config{Founding: &other}, DSN: server.DSN(), Schema: p.(place).schema}) //nolint:forcetypeassert // it is one
	if !errors.Is(err, archive.ErrOtherServer) {
		t.Errorf("got %v, want %v", err, archive.ErrOtherServer)
	}
}

// TestErrorsHideDSN: no error says what is in a DSN.
func TestErrorsHideDSN(t *testing.T) {
	const secret = "hunter2"
	h := archivetest.Random(1, 1)
	for _, dsn := range []string{
		"postgres://souk:" + secret + "@/x?sslmode=nonsense", "password=" + secret + " what", "host=/nowhere user=souk password=" + secret,
		"postgres://souk:" + secret + "@127.0.0.1:1/x", "postgres://souk:" + secret + "@[::1",
	} {
		_, err := postgres.Open(context.Background(), postgres.Config{Config: tables.Config{Founding: h.Founding}, DSN: dsn})
		if err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v", dsn, err)
		}
	}
}
