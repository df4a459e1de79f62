package sqlite_test

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"souk/archive"
	"souk/archive/archivetest"
	"souk/archive/export"
	"souk/archive/sqlite"
	"souk/archive/tables"
)

func filled(t *testing.T) (*archivetest.History, archivetest.Store) {
	t.Helper()
	h := archivetest.Random(3, 30)
	a := fresh(t).Open(t, h.Founding)
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	archivetest.Fill(t, a, h, 100)
	return h, a
}

// TestCopy: a copy is the same archive, and can be gone on with (G-41).
func TestCopy(t *testing.T) {
	h, a := filled(t)
	path := filepath.Join(t.TempDir(), "copy")
	c := sqlite.Config{Config: tables.Config{Founding: h.Founding}, Path: path}
	if err := sqlite.Copy(t.Context(), a, c); err != nil {
		t.Fatal(err)
	}
	if err := sqlite.Copy(t.Context(), a, c); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a copy over another: %v", err)
	}
	b := place{path}.Open(t, h.Founding)
	defer b.Close() //nolint:errcheck // of a test
	if diff := cmp.Diff(archivetest.Dump(t, a), archivetest.Dump(t, b)); diff != "" {
		t.Error(diff)
	}
	archivetest.Fill(t, b, h, 100)
}

// TestCSV: each table and view has a file with all of its rows (G-41).
func TestCSV(t *testing.T) {
	_, a := filled(t)
	dir := filepath.Join(t.TempDir(), "csv")
	if err := export.CSV(t.Context(), a, dir); err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, line := range archivetest.Dump(t, a) { // in the same order
		if name, ok := strings.CutPrefix(line, "# "); ok {
			list = append(list, name)
		}
	}
	for _, name := range list {
		f, err := os.Open(filepath.Join(dir, name+".csv"))
		if err != nil {
			t.Fatal(err)
		}
		rows, err := csv.NewReader(f).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if got, want := len(rows)-1, count(t, a, name); got != want {
			t.Errorf("%s: %d rows, want %d", name, got, want)
		}
	}
	if err := export.CSV(t.Context(), a, dir); !errors.Is(err, fs.ErrExist) {
		t.Errorf("into a folder that is there: %v", err)
	}
}

// TestCSVHasNoFormulas: what a trader has written is no formula for whoever opens the file (G-41).
func TestCSVHasNoFormulas(t *testing.T) {
	a := archivetest.FillHostile(t, fresh(t))
	dir := filepath.Join(t.TempDir(), "csv")
	if err := export.CSV(t.Context(), a, dir); err != nil {
		t.Fatal(err)
	}
	memos, clients := archivetest.Hostile()
	for name, want := range map[string]int{"events": len(memos), "orders": len(clients)} {
		f, err := os.Open(filepath.Join(dir, name+".csv"))
		if err != nil {
			t.Fatal(err)
		}
		rows, err := csv.NewReader(f).ReadAll()
		if err != nil || f.Close() != nil || len(rows)-1 < want {
			t.Fatalf("%s: %d rows, %v", name, len(rows), err)
		}
		for _, row := range rows {
			for _, cell := range row {
				if cell != "" && strings.ContainsAny(cell[:1], "=+-@\t\r\n") {
					t.Errorf("%s: %q", name, cell)
				}
			}
		}
	}
}

func count(t *testing.T, a archive.Dumper, name string) (n int) {
	t.Helper()
	in := ""
	if err := a.Dump(t.Context(), func(of archive.Table) error {
		in = of.Name
		return nil
	}, func([]any) error {
		if in == name {
			n++
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestMySQL: a dump is statements of known forms, with all rows (G-42). MariaDB 10.11
// loads such ones, also twice.
func TestMySQL(t *testing.T) {
	_, a := filled(t)
	var b bytes.Buffer
	if err := export.MySQL(t.Context(), a, &b); err != nil {
		t.Fatal(err)
	}
	forms := []*regexp.Regexp{
		regexp.MustCompile("(?s)^DROP TABLE IF EXISTS `\\w+`$"), regexp.MustCompile(`(?s)^SET \w+`), regexp.MustCompile("^COMMIT$"),
		regexp.MustCompile("(?s)^CREATE TABLE `\\w+` \\(\n(  `\\w+` [A-Z]+(\\(\\d+(, \\d+)?\\))? NOT NULL,\n)+  PRIMARY KEY \\(`\\w+`(, `\\w+`)*\\)\n\\) DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin$"),
	}
	insert := regexp.MustCompile("(?s)^INSERT INTO `(\\w+)` VALUES\n(.*)$")
	value := `(-?\d+|x'[0-9a-f]*'|'([^']|'')*')`
	row := regexp.MustCompile(`^\(` + value + `(, ` + value + `)*\)(,\n|$)`)
	rows := map[string]int{}
	text := regexp.MustCompile(`(?m)^--.*\n`).ReplaceAllString(b.String(), "")
	for s := range strings.SplitSeq(text, ";\n") {
		s = strings.TrimSpace(s)
		if m := insert.FindStringSubmatch(s); m != nil {
			for rest := m[2]; rest != ""; rows[m[1]]++ {
				one := row.FindString(rest)
				if one == "" {
					t.Fatalf("no row: %.200s", rest)
				}
				rest = rest[len(one):]
			}
			continue
		}
		known := s == ""
		for _, f := range forms {
			known = known || f.MatchString(s)
		}
		if !known {
			t.Errorf("a statement of no known form: %.200s", s)
		}
	}
	for _, name := range []string{"orders", "fills", "candles", "balance_history", "commands", "virtual_server_001_user"} {
		if want := count(t, a, name); rows[name] != want || want == 0 {
			t.Errorf("%s: %d rows, want %d", name, rows[name], want)
		}
	}
}
