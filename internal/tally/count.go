package main

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
)

// event is what go test -json writes, one a line (go doc test2json).
type event struct {
	Action     string
	Package    string
	ImportPath string // of build events
	Test       string
	Elapsed    float64
	Output     string
}

// Count adds up the results of passes.
type Count struct {
	out                     io.Writer
	passes                  []*Pass
	passed, failed, skipped int
	broken                  bool
}

// NewCount returns an empty count that writes to out.
func NewCount(out io.Writer) *Count { return &Count{out: out} }

// OK tells whether anything passed and nothing failed.
func (c *Count) OK() bool { return c.passed > 0 && c.failed == 0 && !c.broken }

// Pass starts the count of one go test command with the given arguments.
func (c *Count) Pass(args []string) *Pass {
	p := &Pass{count: c, race: slices.Contains(args, "-race"), output: map[test]*bytes.Buffer{}, tests: map[string]int{}}
	c.passes = append(c.passes, p)
	return p
}

// Report writes the slowest packages and the last line.
func (c *Count) Report(slowest int) {
	var all []timing
	for _, p := range c.passes {
		all = append(all, p.timings...)
	}
	slices.SortStableFunc(all, func(a, b timing) int { return cmp.Compare(b.seconds, a.seconds) })
	if n := min(slowest, len(all)); n > 0 {
		fmt.Fprintf(c.out, "\nslowest packages:\n")
		for _, t := range all[:n] {
			fmt.Fprintf(c.out, "%8.1fs  %s\n", t.seconds, t.name)
		}
	}
	if c.broken {
		fmt.Fprintln(c.out, "\ngo test did not finish properly; see above")
	}
	fmt.Fprintf(c.out, "\n%d passed, %d failed", c.passed, c.failed)
	if c.skipped > 0 {
		fmt.Fprintf(c.out, ", %d skipped", c.skipped)
	}
	fmt.Fprintln(c.out)
}

type test struct{ pkg, name string }

type timing struct {
	name    string
	seconds float64
}

// Pass is the count of one go test command.
type Pass struct {
	count   *Count
	race    bool
	failed  bool
	output  map[test]*bytes.Buffer // of tests that are not over
	tests   map[string]int         // tests that passed, by package
	timings []timing
	blamed  map[string]bool // packages with a test that failed
}

// Broken records that go test itself went wrong.
func (p *Pass) Broken() { p.count.broken = true }

// Read takes go test's events until they end.
func (p *Pass) Read(events io.Reader) error {
	lines := bufio.NewReader(events)
	for {
		line, err := lines.ReadBytes('\n')
		if len(bytes.TrimSpace(line)) > 0 {
			p.take(line)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (p *Pass) take(line []byte) {
	var e event
	if err := json.Unmarshal(line, &e); err != nil {
		// A process that a test started may have written past the test's own output.
		fmt.Fprintf(p.count.out, "%s", line)
		return
	}
	at := test{e.Package, e.Test}
	switch e.Action {
	case "build-output":
		fmt.Fprint(p.count.out, e.Output)
	case "output":
		if p.output[at] == nil {
			p.output[at] = &bytes.Buffer{}
		}
		p.output[at].WriteString(e.Output)
	case "pass", "skip", "fail":
		if e.Test == "" {
			p.endPackage(e)
		} else {
			p.endTest(at, e.Action)
		}
	}
}

func (p *Pass) endTest(at test, action string) {
	switch action {
	case "pass":
		p.count.passed++
		p.tests[at.pkg]++
	case "skip":
		p.count.skipped++
	case "fail":
		p.fail(at)
	}
	delete(p.output, at)
}

// fail counts one failure and shows all that the test wrote.
func (p *Pass) fail(at test) {
	p.count.failed++
	p.failed = true
	if p.blamed == nil {
		p.blamed = map[string]bool{}
	}
	p.blamed[at.pkg] = true
	fmt.Fprintf(p.count.out, "--- %s %s\n", at.pkg, at.name)
	if b := p.output[at]; b != nil {
		_, _ = p.count.out.Write(b.Bytes())
	}
}

func (p *Pass) endPackage(e event) {
	defer p.forget(e.Package)
	name := e.Package
	if p.race {
		name += " (race)"
	}
	if e.Action == "skip" {
		return // no test files
	}
	cached := ""
	if b := p.output[test{pkg: e.Package}]; b != nil && strings.Contains(b.String(), "(cached)") {
		cached = ", cached"
	} else {
		p.timings = append(p.timings, timing{name, e.Elapsed})
	}
	if e.Action == "pass" {
		fmt.Fprintf(p.count.out, "ok    %-40s %7.1fs  %d passed%s\n", name, e.Elapsed, p.tests[e.Package], cached)
		return
	}
	// Tests that never ended: the process died or ran out of time in them.
	for _, at := range p.open(e.Package) {
		p.fail(at)
	}
	if !p.blamed[e.Package] {
		p.fail(test{pkg: e.Package}) // it did not build, or ended badly outside any test
	} else if b := p.output[test{pkg: e.Package}]; b != nil {
		_, _ = p.count.out.Write(b.Bytes())
	}
	fmt.Fprintf(p.count.out, "FAIL  %-40s %7.1fs\n", name, e.Elapsed)
}

// open lists the tests of a package that have written something and not ended.
func (p *Pass) open(pkg string) []test {
	var list []test
	for at := range p.output {
		if at.pkg == pkg && at.name != "" {
			list = append(list, at)
		}
	}
	slices.SortFunc(list, func(a, b test) int { return cmp.Compare(a.name, b.name) })
	return list
}

func (p *Pass) forget(pkg string) {
	for at := range p.output {
		if at.pkg == pkg {
			delete(p.output, at)
		}
	}
}
