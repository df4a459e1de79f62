package conformance_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

// The table of clients stands in README.md between these lines. With -update the test writes it.
const (
	readme = "../../../README.md"
	begins = "<!-- clients: go test ./web/binance/conformance -update writes this table -->\n"
	ends   = "<!-- end of clients -->\n"
)

var update = flag.Bool("update", false, "write the table of clients into README.md")

// table is the results as README.md has them: a line for each client.
func table(all []client, results []result) string {
	var b strings.Builder
	b.WriteString("| Client | Version | Key | Steps that pass |\n|---|---|---|---|\n")
	names := map[string]string{"hmac": "HMAC", "ed25519": "Ed25519"}
	for i, c := range all {
		fmt.Fprintf(&b, "| %s | %s | %s | %d of %d |\n", c.name, c.version, names[kindName(c.kind)], results[i].passed, results[i].all)
	}
	return b.String()
}

// checkTable compares the table of README.md with that of this run.
func checkTable(t *testing.T, want string) {
	t.Helper()
	data, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(data), begins)
	have, after, ended := strings.Cut(rest, ends)
	if !found || !ended {
		t.Fatalf("README.md has no place for the table of clients: %s%s", begins, ends)
	}
	if have == want {
		return
	}
	if !*update {
		t.Fatalf("README.md has another table of clients than this run; write it with -update:\n%s", want)
	}
	if err := os.WriteFile(readme, []byte(before+begins+want+ends+after), 0o644); err != nil {
		t.Fatal(err)
	}
}
