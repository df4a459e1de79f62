package ui_test

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"souk/internal/bulk"
)

// What is committed and embedded is what the sources build, byte for byte (H-132).
func TestBuilt(t *testing.T) {
	needNode(t)
	to := filepath.Join(t.TempDir(), "dist")
	if out, err := exec.CommandContext(t.Context(), "../../scripts/page", to).CombinedOutput(); err != nil {
		t.Fatalf("build the page: %v\n%s", err, out)
	}
	built, committed := folder(t, to), folder(t, "dist")
	for name, data := range built {
		if was, ok := committed[name]; !ok || !bytes.Equal(was, data) {
			t.Errorf("dist/%s is not what the sources build; run make page", name)
		}
	}
	for name := range committed {
		if _, ok := built[name]; !ok {
			t.Errorf("dist/%s is not built by the sources; run make page", name)
		}
	}
}

// The page's own tests pass, and so does the check of its types and components.
func TestSources(t *testing.T) {
	needNode(t)
	if out, err := exec.CommandContext(t.Context(), "../../scripts/page", filepath.Join(t.TempDir(), "dist")).CombinedOutput(); err != nil {
		t.Fatalf("build the page: %v\n%s", err, out) // it also puts the packages there
	}
	for _, script := range []string{"check", "test"} {
		t.Run(script, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), "npm", "run", "--silent", script)
			cmd.Env = append(os.Environ(), "NO_COLOR=1")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// needNode skips where the page cannot be built. It reads the sources, so that a result is
// not remembered when they change.
func needNode(t *testing.T) {
	t.Helper()
	if !bulk.Whole() {
		t.Skip("the race detector sees nothing of it")
	}
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip("there is no " + program + " here, so the page cannot be built")
		}
	}
	for _, dir := range []string{"src", "public", "../../api/ts"} {
		folder(t, dir)
	}
	for _, name := range []string{"index.html", "package-lock.json", "vite.config.ts", "vite.shell.ts", "tsconfig.json", "svelte.config.js"} {
		if _, err := os.ReadFile(name); err != nil {
			t.Fatal(err)
		}
	}
}

// folder are the files of a folder by name.
func folder(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		all[name], err = os.ReadFile(filepath.Join(dir, name))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
