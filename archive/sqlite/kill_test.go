package sqlite_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"souk/archive/archivetest"
)

// victim is the variable with the file that a child of TestKilled writes.
const victim = "SOUK_TEST_ARCHIVE"

// killedBlocks is how many there are, more than are written before the last kill.
const killedBlocks = 50

// TestKilled: a process that is killed while it writes leaves an archive that goes on from
// the height that it says, and has the same rows in the end (G-30).
func TestKilled(t *testing.T) {
	if path := os.Getenv(victim); path != "" {
		write(t, path)
		return
	}
	h := archivetest.Random(5, killedBlocks)
	whole := fresh(t).Open(t, h.Founding)
	archivetest.Fill(t, whole, h, 100)
	want := archivetest.Dump(t, whole)
	if err := whole.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "archive.db")
	var last uint64
	for kill := range 4 {
		child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilled$")
		child.Env = append(os.Environ(), victim+"="+path)
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n := 0; n <= 3*kill && lines.Scan(); n++ {
		}
		if err := child.Process.Kill(); err != nil { // in the midst of what comes next
			t.Fatal(err)
		}
		child.Wait() //nolint:errcheck // it was killed
		a := place{path}.Open(t, h.Founding)
		height, err := a.Height(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if height <= last {
			t.Errorf("height %d after %d", height, last)
		}
		last = height
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
	}
	a := place{path}.Open(t, h.Founding)
	defer a.Close() //nolint:errcheck // of a test
	archivetest.Fill(t, a, h, 7)
	if diff := cmp.Diff(want, archivetest.Dump(t, a)); diff != "" {
		t.Error(diff)
	}
}

// write goes on with an archive, a block at a time, and says after each that it is there.
func write(t *testing.T, path string) {
	h := archivetest.Random(5, killedBlocks)
	a := place{path}.Open(t, h.Founding)
	after, err := a.Height(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i, b := range h.Blocks {
		if b.Height <= after {
			continue
		}
		if err := a.Write(t.Context(), after, h.Blocks[i:i+1]); err != nil {
			t.Fatal(err)
		}
		after = b.Height
		fmt.Println(after) // for the parent
	}
}
