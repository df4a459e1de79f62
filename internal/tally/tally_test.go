package main

import (
	"bytes"
	"context"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestRun(t *testing.T) {
	fixture, err := filepath.Abs(filepath.Join("testdata", "fixture"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		args  []string
		code  int
		want  []string // patterns that the output holds
		never []string
		last  string
	}{
		{
			name: "fine", args: []string{"-count=1", "./fine", "./empty"}, code: 0,
			want:  []string{`ok +fixture/fine .* 3 passed`, `slowest packages:\n.*fixture/fine`},
			never: []string{`nobody needs to read this`, `fixture/empty`},
			last:  "3 passed, 0 failed, 1 skipped",
		},
		{
			name: "two passes", args: []string{"-count=1", "./fine", "--", "-count=1", "-run=TestFine", "./fine"}, code: 0,
			want: []string{`(?s)fixture/fine.*fixture/fine`}, last: "6 passed, 0 failed, 1 skipped",
		},
		{
			name: "bad", args: []string{"./fine", "./bad"}, code: 1,
			want: []string{`--- fixture/bad TestBad`, `read this`, `two and two are five`, `FAIL +fixture/bad`, `ok +fixture/fine`},
			last: "4 passed, 1 failed, 1 skipped",
		},
		{
			name: "bad first", args: []string{"./bad", "--", "./fine"}, code: 1,
			want: []string{`two and two are five`, `ok +fixture/fine`}, last: "4 passed, 1 failed, 1 skipped",
		},
		{
			name: "crash", args: []string{"./crash"}, code: 1,
			want: []string{`TestCrash`, `before the end`, `assignment to entry in nil map`}, last: "0 passed, 1 failed",
		},
		{
			name: "does not build", args: []string{"./broken", "./fine"}, code: 1,
			want: []string{`undefined: undefined`, `FAIL +fixture/broken`}, last: "3 passed, 1 failed, 1 skipped",
		},
		{name: "nothing ran", args: []string{"./empty"}, code: 1, last: "0 passed, 0 failed"},
		{
			name: "bad arguments", args: []string{"./fine", "-run"}, code: 1,
			want: []string{`flag needs an argument`, `did not finish properly`}, last: "0 passed, 0 failed",
		},
		{name: "no such package", args: []string{"./absent"}, code: 1, last: "0 passed, 1 failed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Chdir(fixture)
			var out, stderr bytes.Buffer
			code := run(context.Background(), append([]string{"--"}, c.args...), &out, &stderr)
			all := stderr.String() + out.String()
			if code != c.code {
				t.Errorf("exit status %d, want %d", code, c.code)
			}
			for _, w := range c.want {
				if !regexp.MustCompile(w).MatchString(all) {
					t.Errorf("output lacks %q", w)
				}
			}
			for _, w := range c.never {
				if regexp.MustCompile(w).MatchString(all) {
					t.Errorf("output holds %q", w)
				}
			}
			lines := strings.Split(strings.TrimSpace(out.String()), "\n")
			if last := lines[len(lines)-1]; last != c.last {
				t.Errorf("last line %q, want %q", last, c.last)
			}
			if t.Failed() {
				t.Log(all)
			}
		})
	}
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var out, stderr bytes.Buffer
	if code := run(ctx, []string{"./testdata/fixture/fine"}, &out, &stderr); code == 0 {
		t.Error("an interrupted run succeeded")
	}
}
