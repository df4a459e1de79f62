package main

import (
	"errors"
	"fmt"
	"strings"
)

// A fault is one line of one file, replaced by another.
type fault struct {
	name   string
	file   string // slash-separated, below the root
	in     string // how the declaration that holds the line begins; empty: anywhere
	old    string // the line, without the space around it
	new    string
	suites []suite
	key    string // names everything that decides whether it is caught
}

// suite is a package whose tests ought to catch a fault, all of them or those
// whose names match run.
type suite struct{ pkg, run string }

func (s suite) String() string {
	if s.run == "" {
		return s.pkg
	}
	return s.pkg + " -run " + s.run
}

// parse reads a list of faults. An entry is a block of lines, each with a word
// in front; a line that begins with # is a comment:
//
//	fault a nonce can be used again
//	file  exchange/ledger/nonce.go
//	in    func (w *window) use(
//	-     if w.has(n) {
//	+     if false {
//	test  exchange/ledger
//	test  exchange TestReplay
func parse(text string) ([]fault, error) {
	var faults []fault
	names := map[string]bool{}
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		word, rest, _ := strings.Cut(line, " ")
		rest = strings.TrimSpace(rest)
		if word == "fault" {
			if names[rest] {
				return nil, fmt.Errorf("line %d: a second fault %q", i+1, rest)
			}
			names[rest] = true
			faults = append(faults, fault{name: rest})
			continue
		}
		if len(faults) == 0 {
			return nil, fmt.Errorf("line %d: %q before the first fault", i+1, word)
		}
		if err := faults[len(faults)-1].set(word, rest); err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
	}
	for _, f := range faults {
		if f.name == "" || f.file == "" || f.old == "" || f.old == f.new || len(f.suites) == 0 {
			return nil, fmt.Errorf("fault %q: needs a name, a file, a line, another line and a test", f.name)
		}
	}
	return faults, nil
}

func (f *fault) set(word, rest string) error {
	field := map[string]*string{"file": &f.file, "in": &f.in, "-": &f.old, "+": &f.new}[word]
	switch {
	case word == "test":
		pkg, run, _ := strings.Cut(rest, " ")
		f.suites = append(f.suites, suite{pkg, strings.TrimSpace(run)})
	case field == nil:
		return fmt.Errorf("unknown word %q", word)
	case *field != "":
		return fmt.Errorf("a second %q", word)
	default:
		*field = rest
	}
	return nil
}

// apply returns the source with the fault in it. The old line must be there
// exactly once.
func (f fault) apply(src string) (string, error) {
	lines := strings.Split(src, "\n")
	from, to := 0, len(lines)
	if f.in != "" {
		var err error
		if from, to, err = declaration(lines, f.in); err != nil {
			return "", err
		}
	}
	at := -1
	for i := from; i < to; i++ {
		if strings.TrimSpace(lines[i]) != f.old {
			continue
		}
		if at >= 0 {
			return "", fmt.Errorf("%s: lines %d and %d are both %q", f.file, at+1, i+1, f.old)
		}
		at = i
	}
	if at < 0 {
		return "", fmt.Errorf("%s: no line is %q", f.file, f.old)
	}
	lines[at] = f.new
	return strings.Join(lines, "\n"), nil
}

// declaration finds the top-level declaration that begins with a text, which
// must be the only one, and ends at the next line that is just a closing brace
// or parenthesis.
func declaration(lines []string, begin string) (from, to int, err error) {
	from = -1
	for i, line := range lines {
		if !strings.HasPrefix(line, begin) {
			continue
		}
		if from >= 0 {
			return 0, 0, fmt.Errorf("lines %d and %d both begin with %q", from+1, i+1, begin)
		}
		from = i
	}
	if from < 0 {
		return 0, 0, fmt.Errorf("no line begins with %q", begin)
	}
	for i := from; i < len(lines); i++ {
		if lines[i] == "}" || lines[i] == ")" {
			return from, i, nil
		}
	}
	return 0, 0, errors.New("the declaration does not end")
}
