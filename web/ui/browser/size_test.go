package browser_test

import (
	"bytes"
	"compress/gzip"
	"os"
	"path"
	"regexp"
	"testing"
)

// mostScript is how much JavaScript the first load may take, gzipped.
const mostScript = 200_000

var (
	// asked are the scripts that the page names itself.
	asked = regexp.MustCompile(`(?:src|href)="/(assets/[^"]+\.js)"`)
	// imports are those that a module names, but not those that it imports when it comes to them.
	imports = regexp.MustCompile(`(?:from|import)\s*"\./([^"]+\.js)"`)
	// first are what the first view fetches at once besides: its own module, and the worker that proves.
	first = regexp.MustCompile(`^(?:Trade|worker-worker)-[^.]+\.js$`)
)

// All scripts without which the first view does not work are small together. Charts, words
// and other views are fetched when they are shown.
func TestSize(t *testing.T) {
	const dist = "../dist"
	index, err := os.ReadFile(dist + "/index.html")
	if err != nil {
		t.Fatal(err)
	}
	var queue []string
	for _, m := range asked.FindAllSubmatch(index, -1) {
		queue = append(queue, string(m[1]))
	}
	entries, err := os.ReadDir(dist + "/assets")
	if err != nil {
		t.Fatal(err)
	}
	named := 0
	for _, e := range entries {
		if first.MatchString(e.Name()) {
			queue, named = append(queue, "assets/"+e.Name()), named+1
		}
	}
	if len(queue) < 3 || named != 2 {
		t.Fatalf("the page asks for %v", queue)
	}
	sum, seen := 0, map[string]bool{}
	for len(queue) > 0 {
		name := queue[0]
		queue = queue[1:]
		if seen[name] {
			continue
		}
		seen[name] = true
		data, err := os.ReadFile(path.Join(dist, name))
		if err != nil {
			t.Fatal(err)
		}
		size := packed(t, data)
		t.Logf("%7d bytes, gzipped: %s", size, name)
		sum += size
		for _, m := range imports.FindAllSubmatch(data, -1) {
			queue = append(queue, path.Join(path.Dir(name), string(m[1])))
		}
	}
	t.Logf("%7d bytes of JavaScript, gzipped, in %d files", sum, len(seen))
	if sum > mostScript {
		t.Errorf("the first load takes %d bytes of JavaScript, gzipped: at most %d are allowed", sum, mostScript)
	}
}

// packed is how long something is, gzipped.
func packed(t *testing.T, data []byte) int {
	t.Helper()
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Len()
}
