package exchange_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strconv"
	"strings"
	"testing"

	"souk/exchange"
)

// constants are the names and numbers of result codes in code.go.
func constants(t *testing.T) map[exchange.Code]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "code.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	names := map[exchange.Code]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if kind, ok := spec.Type.(*ast.Ident); ok && kind.Name == "Code" {
			number, err := strconv.ParseUint(spec.Values[0].(*ast.BasicLit).Value, 10, 16)
			if err != nil {
				t.Fatal(err)
			}
			names[exchange.Code(number)] = spec.Names[0].Name
		}
		return true
	})
	return names
}

// TestCodesPage: docs/spec/03-codes.md says of every code what code.go says, and of no others (K-11).
func TestCodesPage(t *testing.T) {
	page, err := os.ReadFile("../docs/spec/03-codes.md")
	if err != nil {
		t.Fatal(err)
	}
	names := constants(t)
	if len(names) != len(exchange.Codes()) {
		t.Errorf("%d constants, Codes has %d", len(names), len(exchange.Codes()))
	}
	last := -1
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		number, err := strconv.Atoi(cells[0])
		if err != nil || len(cells) < 2 {
			continue
		}
		code := exchange.Code(number)
		if number <= last {
			t.Errorf("%d stands behind %d", number, last)
		}
		last = number
		nonce, fee := "kept", "no"
		if code.Burns() {
			nonce, fee = "burnt", cells[4]
		}
		switch {
		case len(cells) != 7 || cells[5] == "" || cells[6] == "":
			t.Errorf("%d: %d columns, want 7, none empty", number, len(cells))
		case names[code] != cells[1] || code.String() != cells[2]:
			t.Errorf("%d is %s (%s), the page says %s (%s)", number, names[code], code, cells[1], cells[2])
		case nonce != cells[3] || fee != cells[4] || fee != "yes" && fee != "no":
			t.Errorf("%d: nonce %s and fee %s, want %s and %s", number, cells[3], cells[4], nonce, fee)
		}
		delete(names, code)
	}
	for code, name := range names {
		t.Errorf("%d %s is not on the page", code, name)
	}
}
