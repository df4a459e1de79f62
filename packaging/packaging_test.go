package packaging_test

import (
	"crypto/sha256"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"souk/internal/bulk"
)

var (
	// binary is the program as scripts/binary builds it.
	binary  string
	systemd = flag.Bool("systemd", true, "run the unit where systemd runs")
)

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if skipped() {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "souk-packaging-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir) //nolint:errcheck // temporary
	binary = filepath.Join(dir, "souk")
	if out, err := exec.Command("../scripts/binary", binary).CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// skipped tells whether this run leaves whole programs out.
func skipped() bool { return testing.Short() || bulk.Count(10) < 10 }

// need skips a test where a program is missing.
func need(t *testing.T, programs ...string) {
	t.Helper()
	if skipped() {
		t.Skip("whole programs")
	}
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			t.Skipf("there is no %s here; scripts/setup package installs it", p)
		}
	}
}

// output is what a program prints; it must succeed.
func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	var stderr strings.Builder
	c := exec.Command(name, args...)
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out, stderr.String())
	}
	return string(out)
}

// deb makes a package with the program in it; of no version it has the program's.
func deb(t *testing.T, version string) string {
	t.Helper()
	return strings.TrimSpace(output(t, "../scripts/deb", "-s", binary, "-v", version, "-o", t.TempDir()))
}

// The unit keeps the server from what it does not need: systemd's own mark is at most 2.0.
func TestUnit(t *testing.T) {
	need(t, "systemd-analyze")
	out := output(t, "systemd-analyze", "security", "--offline=yes", "--no-pager", "systemd/souk.service")
	found := regexp.MustCompile(`Overall exposure level for souk.service: ([0-9.]+)`).FindStringSubmatch(out)
	if found == nil {
		t.Fatal(out)
	}
	mark, err := strconv.ParseFloat(found[1], 64)
	if err != nil || mark > 2.0 {
		t.Errorf("exposure level %s, at most 2.0", found[1])
	}
	for _, unit := range []string{"souk.service", "souk-gate.service"} {
		text, err := os.ReadFile("systemd/" + unit)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), unit)
		if err := os.WriteFile(file, []byte(strings.ReplaceAll(string(text), "/usr/bin/souk ", binary+" ")), 0o600); err != nil {
			t.Fatal(err)
		}
		args := []string{"verify", "--man=no", file}
		if unit == "souk-gate.service" {
			args = append([]string{"--user"}, args...)
			t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
		}
		if out, err := exec.Command("systemd-analyze", args...).CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%s: %v\n%s", unit, err, out)
		}
	}
}

// Debian's own checker finds no errors in the package.
func TestLintian(t *testing.T) {
	need(t, "lintian")
	out, err := exec.Command("lintian", "--allow-root", "--fail-on", "error,warning", deb(t, "")).CombinedOutput()
	if err != nil || strings.Contains(string(out), "E: ") {
		t.Errorf("%v\n%s", err, out)
	}
}

// hash is the SHA-256 of a file.
func hash(t *testing.T, file string) [32]byte {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // read only
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		t.Fatal(err)
	}
	return [32]byte(h.Sum(nil))
}

// The same source makes the same bytes in another folder, which is no repository, for
// another user.
func TestReproducible(t *testing.T) {
	need(t, "git", "sh", "tar")
	dir := t.TempDir()
	one, tree := filepath.Join(dir, "one"), filepath.Join(dir, "another", "place")
	for _, d := range []string{one, tree} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	// The sources as they are now: somebody may be at work on them.
	output(t, "sh", "-c", `cd .. && git ls-files -z --cached --others --exclude-standard |
		tar -c --null --ignore-failed-read -T - 2>/dev/null | tar -x -C "$1"`, "sh", one)
	output(t, "cp", "-R", one+"/.", tree)
	first, again := filepath.Join(dir, "first"), filepath.Join(dir, "souk")
	output(t, filepath.Join(one, "scripts", "binary"), first)
	c := exec.Command(filepath.Join(tree, "scripts", "binary"), again)
	c.Env = append(os.Environ(), "TZ=Asia/Tokyo", "USER=another", "LC_ALL=C")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if hash(t, again) != hash(t, first) {
		t.Error("the program built in two folders differs")
	}
	text, err := os.ReadFile(again)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), tree) {
		t.Error("the folder in which it was built is in the program")
	}
}
