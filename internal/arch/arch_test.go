package arch_test

import (
	"bufio"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"souk/internal/arch"
)

// TestTree holds this module to its floors.
func TestTree(t *testing.T) {
	problems, err := arch.Check(filepath.Join("..", ".."), arch.Floors())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Error(p)
	}
}

// TestDocs holds the texts to the tree.
func TestDocs(t *testing.T) {
	problems, err := arch.CheckDocs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Error(p)
	}
}

// TestPackagesAreExplained holds docs/ARCHITECTURE.md to the list of packages: each that
// is part of the product stands in its table.
func TestPackagesAreExplained(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "ARCHITECTURE.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range arch.Floors().Rules {
		if !r.Test && r.Floor != arch.Beside && !regexp.MustCompile("(?m)^\\|[^|]*`"+regexp.QuoteMeta(r.Package)+"`[^|]*\\| ").Match(text) {
			t.Errorf("the table of docs/ARCHITECTURE.md does not say what %s owns", r.Package)
		}
	}
}

// TestRules makes sure that the list itself points down: no rule permits an
// import that its floors forbid.
func TestRules(t *testing.T) {
	rules := arch.Floors().Rules
	for _, r := range rules {
		for _, to := range rules {
			if !permits(r, to) || r.Floor == arch.Beside || r.Test && to.Test {
				continue
			}
			inner := strings.HasPrefix(to.Package, r.Package+"/") || strings.HasPrefix(r.Package, to.Package+"/") ||
				to.Shared && path.Dir(to.Package) == path.Dir(r.Package)
			switch {
			case to.Floor == arch.Beside:
				t.Errorf("%s, on floor %d, may import %s, which stands beside the floors", r.Package, r.Floor, to.Package)
			case to.Test && !r.Test:
				t.Errorf("%s ships and may import %s, which serves tests", r.Package, to.Package)
			case to.Package == "asset": // what everything counts in, also beside it on floor 0
			case to.Floor > r.Floor, to.Floor == r.Floor && !inner && !r.Test && r.Floor < 4:
				t.Errorf("%s, on floor %d, may import %s, on floor %d", r.Package, r.Floor, to.Package, to.Floor)
			}
			if r.Pure && !to.Pure {
				t.Errorf("%s is pure and may import %s, which is not", r.Package, to.Package)
			}
		}
	}
}

// permits tells whether packages of one rule may import packages of another. A
// rule's own wildcard does not reach siblings.
func permits(from, to arch.Rule) bool {
	for _, pattern := range from.Imports {
		if pattern == to.Package {
			return true
		}
		if ok, err := filepath.Match(pattern, to.Package); err == nil && ok {
			return true
		}
	}
	return false
}

// TestFixtures checks Check: it must find what the comments "want" in
// testdata/bad announce, and nothing else there or in testdata/good.
func TestFixtures(t *testing.T) {
	for _, tree := range []struct {
		name  string
		extra []arch.Rule
		whole []string // wanted problems that have no line
	}{
		{name: "good"},
		{
			name: "bad",
			extra: []arch.Rule{
				{Package: "node", Floor: 5, Imports: []string{"*", "*/*"}},
				{Package: "missing", Floor: 5},
			},
			whole: []string{
				"asset/fast.s: is not Go, which pure packages must be",
				"exchange: does not type-check: exchange/exchange.go:6:14: undefined: ledger.Missing",
				`exchange/util: "util" says nothing about what a package owns`,
				"missing: is a rule that matches no package: remove it",
				"node/node.go: does not parse",
				"stray: has no rule",
			},
		},
	} {
		t.Run(tree.name, func(t *testing.T) {
			root := filepath.Join("testdata", tree.name)
			problems, err := arch.Check(root, fixturePolicy(tree.extra...))
			if err != nil {
				t.Fatal(err)
			}
			wants := readWants(t, root)
			var unexpected []string
			whole := tree.whole
			for _, p := range problems {
				if p.Line == 0 {
					if len(whole) > 0 && strings.HasPrefix(p.String(), whole[0]) {
						whole = whole[1:]
					} else {
						unexpected = append(unexpected, p.String())
					}
					continue
				}
				want, ok := wants[place{p.File, p.Line}]
				if !ok || !want.MatchString(p.Text) {
					unexpected = append(unexpected, p.String())
				}
				wants[place{p.File, p.Line}] = seen
			}
			for at, want := range wants {
				if want != seen {
					t.Errorf("%s:%d: no problem that matches %q", at.file, at.line, want)
				}
			}
			if diff := cmp.Diff([]string(nil), unexpected); diff != "" {
				t.Errorf("unexpected problems (+):\n%s", diff)
			}
			for _, w := range whole {
				t.Errorf("no problem that begins with %q", w)
			}
		})
	}
}

// TestDocsFixture checks CheckDocs.
func TestDocsFixture(t *testing.T) {
	problems, err := arch.CheckDocs(filepath.Join("testdata", "docs"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range problems {
		got = append(got, p.String())
	}
	want := []string{
		"docs/spec/01-pure.md:9: rule M-1 stands in docs/spec/01-pure.md already",
		"docs/README.md:1: links to spec/absent.md, which does not exist",
		"docs/README.md:3: names pure/other.go, which does not exist",
		"docs/README.md:3: names other.go, which does not exist",
		"pure/pure.go:1: there is no rule M-3 in docs/spec",
		"docs/stray.md: is not listed in docs/README.md",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}

// TestCheckNeedsATree makes sure that an unreadable tree is no clean tree.
func TestCheckNeedsATree(t *testing.T) {
	if _, err := arch.Check(filepath.Join(t.TempDir(), "absent"), fixturePolicy()); err == nil {
		t.Error("Check of a folder that does not exist found nothing wrong")
	}
}

func fixturePolicy(extra ...arch.Rule) arch.Policy {
	policy := arch.Floors()
	policy.Rules = append([]arch.Rule{
		{Package: "asset", Floor: 0, Pure: true},
		{Package: "exchange", Floor: 1, Imports: []string{"asset", "exchange/*"}, Pure: true},
		{Package: "exchange/*", Floor: 1, Imports: []string{"asset"}, Pure: true},
		{Package: "consensus", Floor: 2},
		{Package: "consensus/comet", Floor: 2, Imports: []string{"consensus"}, Owns: []string{"github.com/cometbft"}},
		{Package: "consensus/consensustest", Floor: 2, Imports: []string{"consensus"}, Test: true},
	}, extra...)
	return policy
}

type place struct {
	file string
	line int
}

// seen replaces a want that was met; it matches every further problem of its line.
var seen = regexp.MustCompile("")

var wantComment = regexp.MustCompile(`// want "(.*)"$`)

func readWants(t *testing.T, root string) map[place]*regexp.Regexp {
	t.Helper()
	wants := map[place]*regexp.Regexp{}
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		f, err := os.Open(file)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		rel, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		lines := bufio.NewScanner(f)
		for n := 1; lines.Scan(); n++ {
			if m := wantComment.FindStringSubmatch(lines.Text()); m != nil {
				wants[place{filepath.ToSlash(rel), n}] = regexp.MustCompile(m[1])
			}
		}
		return lines.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	return wants
}
