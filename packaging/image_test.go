package packaging_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The image has the program and what it needs, nobody's tools, and no root; the program runs
// in it alone.
func TestImage(t *testing.T) {
	need(t, "sh")
	if _, err := os.Stat("/etc/ssl/certs/ca-certificates.crt"); err != nil {
		t.Skip("there are no certificates of authorities here")
	}
	dir := t.TempDir()
	output(t, "../scripts/image", dir, binary)
	root := filepath.Join(dir, "root")
	var files []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, strings.TrimPrefix(path, root))
		}
		return err
	})
	if diff := cmp.Diff([]string{"/etc/group", "/etc/passwd", "/etc/ssl/certs/ca-certificates.crt", "/usr/bin/souk"}, files); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	text, err := os.ReadFile("Containerfile")
	if err != nil {
		t.Fatal(err)
	}
	var steps []string
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			steps = append(steps, line)
		}
	}
	for _, want := range []string{"FROM scratch", "COPY root/ /", "USER 65532:65532", `ENTRYPOINT ["/usr/bin/souk"]`} {
		if !slices.Contains(steps, want) {
			t.Errorf("no %s in\n%s", want, strings.Join(steps, "\n"))
		}
	}
	if os.Geteuid() != 0 {
		t.Skip("only root may run a program in another root")
	}
	c := exec.Command("/usr/bin/souk", "config", "init", "--home", "/var/lib/souk/home")
	c.Env = []string{}
	c.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: 65532, Gid: 65532}}
	c.Dir = "/var/lib/souk"
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if _, err := os.Stat(filepath.Join(root, "var/lib/souk/home/config.toml")); err != nil {
		t.Error(err)
	}
}
