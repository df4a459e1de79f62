// Package arch holds the tree to its floors. It reads the sources and reports
// imports that point up or sideways, libraries used outside the folder that owns
// them, test code in product files, folders without a floor, and, on the pure
// floors, whatever could make two replicas differ: clocks, files, floats,
// goroutines, channels, the order of a map.
//
// The floors themselves are the list in floors.go; docs/adr/0001-floors.md says
// why they are as they are. The package stands beside the floors and only its own
// test uses it, so that every run of the tests is a run of the check.
package arch

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/build"
	"go/build/constraint"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Beside is the floor of packages that no product package imports: tests'
// helpers, simulation and the project's own tools.
const Beside = -1

// A Rule says what the packages that match one pattern may import. The first
// rule that matches a package is its rule.
type Rule struct {
	// Package is a path.Match pattern below the module.
	Package string
	// Floor is 0 to 5, or Beside.
	Floor int
	// Imports are patterns of the packages of this module that may be imported.
	Imports []string
	// Owns are import prefixes of libraries that no other package may import.
	Owns []string
	// Pure packages keep to Policy.PureStd and Policy.PureLibraries, and to code
	// that runs alike everywhere.
	Pure bool
	// Shared packages are what the adapters of one port have in common. They may
	// import it, although it stands on their floor.
	Shared bool
	// Test packages serve tests; they may import testing and test libraries.
	Test bool
}

// A Policy is everything Check needs to know about a module.
type Policy struct {
	Module string
	Rules  []Rule
	// PureStd are the packages of the standard library that pure packages may import.
	PureStd []string
	// PureLibraries are import prefixes of other modules that pure packages may import.
	PureLibraries []string
	// TestLibraries are import prefixes that only tests and Test packages may import.
	TestLibraries []string
	// BannedNames may not be the name of a folder with Go files.
	BannedNames []string
}

// A Problem is one departure from a policy. Line is zero when no line is to blame.
type Problem struct {
	File string // slash-separated, below the root
	Line int
	Text string
}

func (p Problem) String() string {
	if p.Line == 0 {
		return p.File + ": " + p.Text
	}
	return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Text)
}

// Check reads the module at root and returns its problems, sorted by place. The
// error tells that the tree could not be read at all; a file that does not parse
// is a problem.
func Check(root string, policy Policy) ([]Problem, error) {
	t := &tree{
		root: root, policy: policy, fset: token.NewFileSet(),
		packages: map[string][]source{}, checked: map[string]*checked{},
	}
	if err := t.read(); err != nil {
		return nil, err
	}
	used := map[string]bool{}
	for _, name := range t.names() {
		rule, ok := policy.rule(name)
		if !ok {
			t.report(token.NoPos, name, "has no rule: give it a floor in internal/arch/floors.go")
			continue
		}
		used[rule.Package] = true
		t.checkName(name)
		sound := true
		for _, src := range t.packages[name] {
			sound = t.checkImports(name, rule, src) && sound
			if rule.Pure {
				t.checkPlatform(src)
			}
		}
		if rule.Pure {
			t.checkPure(name, sound)
		}
	}
	for _, r := range policy.Rules {
		if !used[r.Package] {
			t.report(token.NoPos, r.Package, "is a rule that matches no package: remove it")
		}
	}
	slices.SortFunc(t.problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Text, b.Text))
	})
	return slices.Compact(t.problems), nil
}

// tree is a module being checked.
type tree struct {
	root     string
	policy   Policy
	fset     *token.FileSet
	packages map[string][]source // by folder below the root, product files only
	checked  map[string]*checked // type information, by folder
	outside  types.Importer      // reads packages that are not the module's
	problems []Problem
}

// source is one parsed file that is not a test.
type source struct {
	path string // slash-separated, below the root
	file *ast.File
}

// read parses the module's product files. It leaves out hidden folders, testdata
// and nested modules.
func (t *tree) read() error {
	files := os.DirFS(t.root)
	return fs.WalkDir(files, ".", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		dir, name := path.Dir(file), d.Name()
		if d.IsDir() {
			if file != "." && (outside(name) || exists(files, path.Join(file, "go.mod"))) {
				return fs.SkipDir
			}
			return nil
		}
		rule, _ := t.policy.rule(dir)
		if rule.Pure && slices.Contains([]string{".s", ".S", ".c", ".h", ".syso"}, path.Ext(name)) {
			t.report(token.NoPos, file, "is not Go, which pure packages must be")
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		src, err := fs.ReadFile(files, file)
		if err != nil {
			return err
		}
		parsed, err := parser.ParseFile(t.fset, file, src, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.report(token.NoPos, file, "does not parse: "+err.Error())
			parsed = &ast.File{Name: ast.NewIdent(path.Base(dir))}
		}
		t.packages[dir] = append(t.packages[dir], source{file, parsed})
		return nil
	})
}

// outside tells whether the go command ignores a folder of that name.
func outside(name string) bool {
	return strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") || name == "testdata"
}

func exists(files fs.FS, name string) bool {
	_, err := fs.Stat(files, name)
	return err == nil
}

func (t *tree) names() []string {
	names := make([]string, 0, len(t.packages))
	for name := range t.packages {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// report adds a problem at pos or, if there is none, about the named folder or file.
func (t *tree) report(pos token.Pos, name, text string) {
	p := Problem{File: name, Text: text}
	if pos.IsValid() {
		at := t.fset.Position(pos)
		p.File, p.Line = at.Filename, at.Line
	}
	t.problems = append(t.problems, p)
}

func (t *tree) checkName(name string) {
	for _, part := range strings.Split(name, "/") {
		if slices.Contains(t.policy.BannedNames, part) {
			t.report(token.NoPos, name, fmt.Sprintf("%q says nothing about what a package owns", part))
		}
	}
}

// checkImports tells whether a file imports only what it may.
func (t *tree) checkImports(name string, rule Rule, src source) bool {
	sound := true
	for _, spec := range src.file.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue // the parser reported it
		}
		if text := t.policy.verdict(name, rule, imported); text != "" {
			t.report(spec.Pos(), src.path, text)
			sound = false
		}
	}
	return sound
}

// verdict says what is wrong with a package importing another, if anything.
func (p Policy) verdict(name string, rule Rule, imported string) string {
	if inside, ours := strings.CutPrefix(imported, p.Module+"/"); ours {
		if !matchAny(rule.Imports, inside) {
			return fmt.Sprintf("%s must not import %s", name, inside)
		}
		return ""
	}
	if imported == "testing" || strings.HasPrefix(imported, "testing/") || hasPrefix(p.TestLibraries, imported) {
		if !rule.Test {
			return fmt.Sprintf("%s ships and must not import %s, which is for tests", name, imported)
		}
	}
	if isStandard(imported) {
		if rule.Pure && !slices.Contains(p.PureStd, imported) {
			return fmt.Sprintf("%s is pure and must not import %s", name, imported)
		}
		return ""
	}
	if rule.Pure && !hasPrefix(p.PureLibraries, imported) {
		return fmt.Sprintf("%s is pure and must not import %s", name, imported)
	}
	for _, other := range p.Rules {
		if other.Package != rule.Package && hasPrefix(other.Owns, imported) && !hasPrefix(rule.Owns, imported) {
			return fmt.Sprintf("%s must not import %s: it belongs to %s", name, imported, other.Package)
		}
	}
	return ""
}

// checkPlatform refuses build constraints, by comment or by file name, and cgo.
func (t *tree) checkPlatform(src source) {
	for _, group := range src.file.Comments {
		for _, c := range group.List {
			if c.Pos() < src.file.Package && (constraint.IsGoBuild(c.Text) || constraint.IsPlusBuild(c.Text)) {
				t.report(c.Pos(), src.path, "has a build constraint; pure packages are the same everywhere")
			}
			if strings.HasPrefix(c.Text, "//go:linkname") {
				t.report(c.Pos(), src.path, "reaches into another package by go:linkname")
			}
		}
	}
	// A name such as x_linux.go or x_amd64.go fails to match one of these two.
	for _, platform := range []build.Context{
		{GOOS: "plan9", GOARCH: "amd64", Compiler: "gc", OpenFile: openEmpty},
		{GOOS: "windows", GOARCH: "arm64", Compiler: "gc", OpenFile: openEmpty},
	} {
		if ok, err := platform.MatchFile(".", path.Base(src.path)); err == nil && !ok {
			t.report(src.file.Package, src.path, "has a name that is a build constraint; pure packages are the same everywhere")
			return
		}
	}
}

// openEmpty stands in for a file's content where only its name matters.
func openEmpty(string) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader("package empty\n")), nil
}

// rule returns the rule of a folder.
func (p Policy) rule(name string) (Rule, bool) {
	i := slices.IndexFunc(p.Rules, func(r Rule) bool { return matchAny([]string{r.Package}, name) })
	if i < 0 {
		return Rule{}, false
	}
	return p.Rules[i], true
}

func matchAny(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		ok, err := path.Match(p, name)
		return ok && err == nil
	})
}

// hasPrefix tells whether an import path is one of the given ones or below it.
func hasPrefix(prefixes []string, imported string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool {
		return imported == p || strings.HasPrefix(imported, strings.TrimSuffix(p, "/")+"/")
	})
}

func isStandard(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return !strings.Contains(first, ".")
}
