package tables_test

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"regexp"
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
