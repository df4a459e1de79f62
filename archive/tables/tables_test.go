package tables_test

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"souk/archive/tables"
)

// TestGenerated: query is made of the questions and migrations as they are.
func TestGenerated(t *testing.T) {
	files := []string{"sqlc.yaml"}
	for _, of := range []string{"questions/*.sql", "migrations/*.sql"} {
		found, err := filepath.Glob(of)
		if err != nil || len(found) == 0 {
			t.Fatal(of, err)
		}
		files = append(files, found...)
	}
	h := sha256.New()
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		h.Write(data)
	}
	made, err := os.ReadFile("query/made-of")
	if err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != strings.TrimSpace(string(made)) {
		t.Error("questions or migrations have changed: run scripts/generate")
	}
}

// TestColumnsNamed: docs/archive.md says of every column what it holds, and of no others.
func TestColumnsNamed(t *testing.T) {
	data, err := os.ReadFile("../../docs/archive.md")
	if err != nil {
		t.Fatal(err)
	}
	names := func(columns string) (list []string) {
		for _, c := range strings.Split(columns, ", ") {
			name, _, _ := strings.Cut(c, " ")
			list = append(list, name)
		}
		slices.Sort(list)
		return list
	}
	want, got := map[string][]string{}, map[string][]string{}
	for table, columns := range tables.Columns() {
		want[table] = names(columns)
	}
	for _, part := range strings.Split(string(data), "\n## ")[1:] {
		table, text, _ := strings.Cut(part, "\n")
		if table == "Views" {
			continue
		}
		for _, row := range regexp.MustCompile("(?m)^\\| (`[^|]*) \\|").FindAllStringSubmatch(text, -1) {
			got[table] = append(got[table], strings.Split(strings.ReplaceAll(row[1], "`", ""), ", ")...)
		}
		slices.Sort(got[table])
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-tables +docs/archive.md\n%s", diff)
	}
}

// TestColumns: what the code knows of the tables is what the migrations make.
func TestColumns(t *testing.T) {
	data, err := os.ReadFile("migrations/00001_tables.sql")
	if err != nil {
		t.Fatal(err)
	}
	made := map[string]string{}
	for _, m := range regexp.MustCompile(`(?s)CREATE TABLE (\w+) \((.*?)\n\)`).FindAllStringSubmatch(string(data), -1) {
		var columns []string
		for line := range strings.Lines(m[2]) {
			if f := strings.Fields(line); len(f) > 1 && f[0] != "PRIMARY" {
				columns = append(columns, f[0]+" "+strings.TrimSuffix(strings.TrimSuffix(f[1], ","), "(40"))
			}
		}
		made[m[1]] = strings.Join(columns, ", ")
	}
	if diff := cmp.Diff(made, tables.Columns()); diff != "" {
		t.Errorf("-migrations +schema.go\n%s", diff)
	}
}
