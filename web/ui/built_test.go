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
	if !bulk.Whole() {
		t.Skip("the race detector sees nothing of it")
	}
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip("there is no " + program + " here, so the page cannot be built")
		}
	}
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
