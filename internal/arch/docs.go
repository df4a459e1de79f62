package arch

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
)

// CheckDocs reads the texts of the module at root: links must lead to files that
// exist, pages must be listed in their folder's README.md if it has one, paths of
// source files named in texts must be right, each rule of docs/spec must have a
// number of its own, and rules that sources cite must exist.
func CheckDocs(root string) ([]Problem, error) {
	d := docs{files: os.DirFS(root), names: map[string]bool{}, bases: map[string]bool{}, rules: map[string]string{}, linked: map[string]bool{}}
	if err := d.list(); err != nil {
		return nil, err
	}
	texts := slices.DeleteFunc(slices.Sorted(maps.Keys(d.names)), func(name string) bool {
		return path.Ext(name) != ".md" && path.Ext(name) != ".go" || strings.Contains(name, "testdata/")
	})
	// Rules come first, so that citations find them.
	for _, check := range []func(name string, line int, text string){d.define, d.cite} {
		for _, name := range texts {
			src, err := fs.ReadFile(d.files, name)
			if err != nil {
				return nil, err
			}
			for i, text := range strings.Split(string(src), "\n") {
				check(name, i+1, text)
			}
		}
	}
	for _, name := range texts {
		list := path.Join(path.Dir(name), "README.md")
		if strings.HasPrefix(name, "docs/") && d.names[list] && name != list && !d.linked[name] {
			d.report(name, 0, "is not listed in %s", list)
		}
	}
	return d.problems, nil
}

type docs struct {
	files    fs.FS
	names    map[string]bool   // files and folders of the tree
	bases    map[string]bool   // last elements of names
	rules    map[string]string // where each rule of docs/spec stands
	linked   map[string]bool   // pages that their folder's README.md links to
	problems []Problem
}

func (d *docs) list() error {
	return fs.WalkDir(d.files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := path.Base(name)
		if entry.IsDir() && name != "." && base != "testdata" && (outside(base) || base == "bin") {
			return fs.SkipDir
		}
		d.names[name], d.bases[base] = true, true
		return nil
	})
}

func (d *docs) report(name string, line int, format string, args ...any) {
	d.problems = append(d.problems, Problem{File: name, Line: line, Text: fmt.Sprintf(format, args...)})
}

var (
	// A rule begins a paragraph, a list item, a table row or a heading, as in "**M-12.**".
	ruleDefinition = regexp.MustCompile(`^(?:[-|]\s*)?(?:#+\s+|\*\*)([A-Z]-\d+)\b`)
	ruleCitation   = regexp.MustCompile(`\b([A-Z])-(\d+)\b`)
	link           = regexp.MustCompile(`\]\(([^)#\s]+)(?:#[^)]*)?\)`)
	quoted         = regexp.MustCompile("`([^`\\s]+)`")
)

func (d *docs) define(name string, line int, text string) {
	if !strings.HasPrefix(name, "docs/spec/") {
		return
	}
	if m := ruleDefinition.FindStringSubmatch(text); m != nil {
		if other, ok := d.rules[m[1]]; ok {
			d.report(name, line, "rule %s stands in %s already", m[1], other)
		}
		d.rules[m[1]] = name
	}
}

func (d *docs) cite(name string, line int, text string) {
	if strings.HasPrefix(name, "docs/spec/") && strings.Contains(text, "are numbered ") {
		return // as in "rules are numbered M-1, M-2, ..."
	}
	for _, m := range ruleCitation.FindAllStringSubmatch(text, -1) {
		if _, ok := d.rules[m[0]]; !ok && d.letter(m[1]) {
			d.report(name, line, "there is no rule %s in docs/spec", m[0])
		}
	}
	if path.Ext(name) != ".md" {
		return
	}
	for _, m := range link.FindAllStringSubmatch(text, -1) {
		to := path.Join(path.Dir(name), m[1])
		if !strings.Contains(m[1], "://") && !d.names[to] {
			d.report(name, line, "links to %s, which does not exist", m[1])
		}
		if path.Base(name) == "README.md" && path.Dir(to) == path.Dir(name) {
			d.linked[to] = true
		}
	}
	for _, m := range quoted.FindAllStringSubmatch(text, -1) {
		if token := strings.TrimSuffix(m[1], "/"); !d.real(token) {
			d.report(name, line, "names %s, which does not exist", token)
		}
	}
}

// letter tells whether a rule's first letter is one that docs/spec uses.
func (d *docs) letter(letter string) bool {
	for rule := range d.rules {
		if strings.HasPrefix(rule, letter+"-") {
			return true
		}
	}
	return false
}

// real tells whether a quoted word, if it looks like a path in this tree, is one.
func (d *docs) real(token string) bool {
	first, _, below := strings.Cut(token, "/")
	switch {
	case strings.ContainsAny(token, "*{}<>()$:"):
		return true
	case !below && path.Ext(token) == ".go":
		return d.bases[token]
	case below && d.names[first] && first != "bin":
		return d.names[token]
	}
	return true
}
