package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCommand(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
		code int
		want []string
	}{
		{
			name: "caught", args: []string{"-list=caught.txt"},
			want: []string{
				"passes  sum -run TestNothing", "caught  the sum is a product, by sum -run TestOf",
				"caught  the loop never ends, by sum", "2 of 2 faults caught (100%), 0 missed, 0 errors",
			},
		},
		{
			name: "missed", args: []string{"-list=missed.txt"}, code: 1,
			want: []string{
				"MISSED  the larger is the smaller (sum/sum.go)", "caught  the sum is a product",
				"1 of 2 faults caught (50%), 1 missed, 0 errors",
			},
		},
		{name: "good enough", args: []string{"-list=missed.txt", "-percent=50"}, want: []string{"MISSED", "caught"}},
		{
			name: "one of them", args: []string{"-list=missed.txt", "product"},
			want: []string{"1 of 1 faults caught"},
		},
		{name: "none of them", args: []string{"-list=missed.txt", "absent"}, code: 2, want: []string{"no fault has such a name"}},
		{name: "too few", args: []string{"-list=caught.txt", "-least=3"}, code: 2, want: []string{"lists 2 faults, want at least 3"}},
		{
			name: "does not compile", args: []string{"-list=uncompilable.txt"}, code: 1,
			want: []string{"ERROR   no such variable: does not compile", "undefined: nonsense", "0 missed, 1 errors"},
		},
		{name: "ambiguous", args: []string{"-list=ambiguous.txt"}, code: 2, want: []string{`lines 15 and 23 are both "return a"`}},
		{name: "outdated", args: []string{"-list=outdated.txt"}, code: 2, want: []string{`no line is "total -= list[i]"`}},
		{name: "red anyway", args: []string{"-list=red.txt"}, code: 2, want: []string{"tests fail without any fault: red"}},
		{name: "no list", args: []string{"-list=absent.txt"}, code: 2, want: []string{"absent.txt"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			args := append([]string{"-root=" + filepath.Join("testdata", "fixture"), "-least=1", "-timeout=3s"}, c.args...)
			if code := command(context.Background(), args, &out, &out); code != c.code {
				t.Errorf("exit status %d, want %d", code, c.code)
			}
			for _, w := range c.want {
				if !strings.Contains(out.String(), w) {
					t.Errorf("output lacks %q", w)
				}
			}
			if t.Failed() {
				t.Log(out.String())
			}
		})
	}
}

// What was caught is not tried again, until something that decides it changes.
func TestMemory(t *testing.T) {
	root := filepath.Join(t.TempDir(), "fixture")
	if err := os.CopyFS(root, os.DirFS(filepath.Join("testdata", "fixture"))); err != nil {
		t.Fatal(err)
	}
	mutate := func(wants ...string) {
		t.Helper()
		var out bytes.Buffer
		args := []string{"-root=" + root, "-list=missed.txt", "-least=1", "-timeout=3s", "-memory=" + filepath.Join(root, ".memory")}
		if code := command(t.Context(), args, &out, &out); code != 1 {
			t.Errorf("exit status %d, want 1", code)
		}
		for _, w := range append(wants, "1 of 2 faults caught (50%), 1 missed, 0 errors") {
			if !strings.Contains(out.String(), w) {
				t.Errorf("output lacks %q:\n%s", w, &out)
			}
		}
	}
	add := func(name, text string) {
		t.Helper()
		file, err := os.OpenFile(filepath.Join(root, "sum", name), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err == nil {
			_, err = file.WriteString(text)
			err = errors.Join(err, file.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	mutate("caught  the sum is a product", "MISSED")
	mutate("1 of 2 faults were caught before", "MISSED")
	add("sum_test.go", "\n// A word more.\n")
	mutate("caught  the sum is a product", "MISSED")
	mutate("1 of 2 faults were caught before", "MISSED")
	add("more.go", "package sum\n")
	mutate("caught  the sum is a product", "MISSED")
}

// TestFaultsFit keeps the project's own list true: every fault fits the source
// as it is now, so a change that moves a line must move its fault.
func TestFaultsFit(t *testing.T) {
	root := filepath.Join("..", "..")
	text, err := os.ReadFile("faults.txt")
	if err != nil {
		t.Fatal(err)
	}
	faults, err := parse(string(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range faults {
		src, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(f.file)))
		if err != nil {
			t.Errorf("%s: %v", f.name, err)
			continue
		}
		if _, err := f.apply(string(src)); err != nil {
			t.Errorf("%s: %v", f.name, err)
		}
		for _, s := range f.suites {
			if tests, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(s.pkg), "*_test.go")); err != nil || len(tests) == 0 {
				t.Errorf("%s: %s has no tests", f.name, s.pkg)
			}
		}
	}
}

func TestParseRefuses(t *testing.T) {
	const whole = "file a.go\n- x\n+ y\ntest a\n"
	for name, text := range map[string]string{
		"no name":       "fault\n" + whole,
		"no file":       "fault a\n- x\n+ y\ntest a\n",
		"no test":       "fault a\nfile a.go\n- x\n+ y\n",
		"no change":     "fault a\nfile a.go\n- x\n+ x\ntest a\n",
		"second name":   "fault a\n" + whole + "fault a\n" + whole,
		"second line":   "fault a\n" + whole + "- z\n",
		"unknown word":  "fault a\n" + whole + "when x\n",
		"no fault":      whole,
		"line misspelt": "fault a\nfile a.go\n-x\n+ y\ntest a\n",
	} {
		if faults, err := parse(text); err == nil {
			t.Errorf("%s: parsed as %+v", name, faults)
		}
	}
}
