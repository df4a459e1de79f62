// Package browser_test uses the page as people do: in a browser, served by one of four real
// servers whose bank keeps coins on a real chain. The steps are in the *.mjs files beside this
// one, driven by node; here is the world that they happen in, and what a person beside the page
// would do: pay from a wallet, mine, end a server. Servers that lie stand before a real one.
package browser_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"souk/internal/bulk"
)

var (
	update = flag.Bool("update", false, "take the screenshots of docs/img anew")
	only   = flag.String("only", "", "run only the steps whose names have this in them")
	hold   = flag.Bool("hold", false, "keep the world until an interrupt, for who writes steps: node page.mjs FILE")
)

// chromium is where Debian puts the browser.
const chromium = "/usr/bin/chromium"

// step is what a reporter says of one step.
type step struct {
	Name    string  `json:"name"`
	OK      bool    `json:"ok"`
	Skipped bool    `json:"skipped"`
	Millis  float64 `json:"ms"`
	Error   string  `json:"error"`
}

// TestPage goes through the page's views and everything that can be done in them.
func TestPage(t *testing.T) {
	if testing.Short() || !bulk.Whole() {
		t.Skip("whole processes, in which the race detector sees nothing")
	}
	packages := install(t)
	w := newWorld(t)
	for _, s := range w.steps(packages) {
		t.Run(s.Name, func(t *testing.T) {
			t.Logf("%.1f s", s.Millis/1000)
			if s.Skipped {
				t.Skip(s.Error)
			}
			if !s.OK {
				t.Error(s.Error)
			}
		})
	}
}

// install makes sure that there are a browser, and the packages that drive it.
func install(t *testing.T) string {
	t.Helper()
	for _, program := range []string{"node", "npm", chromium} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("there is no %s here (scripts/setup race installs it where it can): %v", program, err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "../../../scripts/npm", "web/ui")
	var problems bytes.Buffer
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("install the packages: %v\n%s", err, &problems)
	}
	return strings.TrimSpace(string(out))
}

// steps runs the steps, and answers what became of each.
func (w *world) steps(packages string) (all []step) {
	w.Helper()
	facts := w.facts()
	facts["packages"], facts["chromium"], facts["only"], facts["update"] = packages, chromium, *only, ""
	facts["scratch"] = w.TempDir()
	if *update {
		to, err := filepath.Abs("../../../docs/img")
		if err != nil {
			w.Fatal(err)
		}
		facts["update"] = to
	}
	file := filepath.Join(w.TempDir(), "world.json")
	data, err := json.Marshal(facts)
	if err == nil {
		err = os.WriteFile(file, data, 0o600)
	}
	if err != nil {
		w.Fatal(err)
	}
	if *hold {
		ctx, stop := signal.NotifyContext(w.Context(), os.Interrupt)
		defer stop()
		fmt.Fprintln(os.Stderr, file)
		<-ctx.Done()
		w.Skip("it was only to be held")
	}
	cmd := exec.CommandContext(w.within(5*time.Minute), "node", "--test-reporter=./reporter.mjs", "page.mjs", file)
	cmd.WaitDelay = 5 * time.Second
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	for line := range bytes.Lines(out) {
		var s step
		if json.Unmarshal(line, &s) != nil || s.Name == "" {
			said.Write(line)
			continue
		}
		all = append(all, s)
	}
	failed := false
	for _, s := range all {
		failed = failed || !s.OK
	}
	switch {
	case len(all) == 0 || err != nil && !failed:
		w.Fatalf("the steps did not run: %v\n%s", err, &said)
	case failed || testing.Verbose():
		w.Logf("the steps say:\n%s", &said)
	}
	return all
}
