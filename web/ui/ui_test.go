package ui_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"souk/web/ui"
)

// answer is what a page answered.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// get asks a page for a path.
func get(p *ui.Page, method, path string, header http.Header, connect ...string) answer {
	r := httptest.NewRequest(method, path, http.NoBody)
	for k, v := range header {
		r.Header[k] = v
	}
	w := httptest.NewRecorder()
	p.Serve(w, r, connect)
	return answer{w.Code, w.Header(), w.Body.Bytes()}
}

// Every file of the built page is served with its type and the policy, also compressed, and
// is not sent to those who have it (H-130).
func TestServe(t *testing.T) {
	p, err := ui.New()
	if err != nil {
		t.Fatal(err)
	}
	built := os.DirFS("dist")
	err = fs.WalkDir(built, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		want, err := fs.ReadFile(built, name)
		if err != nil {
			return err
		}
		plain := get(p, "GET", "/"+name, nil)
		if !p.Serves("/"+name) || plain.status != 200 || !bytes.Equal(plain.body, want) || plain.header.Get("Content-Type") == "" || plain.header.Get("Content-Encoding") != "" {
			t.Errorf("%s: %d %v", name, plain.status, plain.header)
		}
		packed := get(p, "GET", "/"+name, http.Header{"Accept-Encoding": {"br, gzip;q=0.5"}})
		if packed.header.Get("Content-Encoding") == "gzip" {
			r, err := gzip.NewReader(bytes.NewReader(packed.body))
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, want) || packed.header.Get("ETag") == plain.header.Get("ETag") {
				t.Errorf("%s, compressed: %v %v", name, err, packed.header)
			}
		} else if len(want) > 1000 && !strings.HasSuffix(name, ".png") {
			t.Errorf("%s is not compressed", name)
		}
		for _, r := range []answer{plain, packed} {
			lasts := r.header.Get("Cache-Control") == "public, max-age=31536000, immutable"
			if lasts != strings.HasPrefix(name, "assets/") && !strings.Contains(name, "worker") || r.header.Get("Vary") != "Accept-Encoding" {
				t.Errorf("%s: %v", name, r.header)
			}
			if r.header.Get("Content-Security-Policy") != ui.Policy(nil) {
				t.Errorf("%s: %v", name, r.header)
			}
		}
		again := get(p, "GET", "/"+name, http.Header{"If-None-Match": {`"x", W/` + plain.header.Get("ETag")}})
		if again.status != http.StatusNotModified || len(again.body) != 0 {
			t.Errorf("%s again: %d", name, again.status)
		}
		if head := get(p, "HEAD", "/"+name, nil); len(head.body) != 0 || head.header.Get("Content-Length") != plain.header.Get("Content-Length") {
			t.Errorf("%s, HEAD: %v", name, head.header)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	root, index := get(p, "GET", "/", nil), get(p, "GET", "/index.html", nil)
	if !bytes.Equal(root.body, index.body) {
		t.Error("/ is not index.html")
	}
	if changed := get(p, "GET", "/", http.Header{"If-None-Match": {root.header.Get("ETag")}}, "https://new.example"); changed.status != 200 {
		t.Error("a page whose policy has changed is not sent again")
	}
	for _, path := range []string{"/dist/index.html", "/assets", "/assets/", "//", "/ui.go", "/../ui.go", ""} {
		if p.Serves(path) {
			t.Errorf("%q is served", path)
		}
	}
}

// The built page needs nothing from elsewhere and nothing that the policy refuses (H-131).
func TestClosed(t *testing.T) {
	data, err := os.ReadFile("dist/index.html")
	if err != nil {
		t.Fatal(err)
	}
	if found := regexp.MustCompile(`(?i)https?://|src="//|href="//|<style|\sstyle=|\son[a-z]+=|<base|<script>|<script type="module">|"javascript:`).Find(data); found != nil {
		t.Errorf("index.html has %s", found)
	}
	for _, src := range regexp.MustCompile(`(?:src|href)="([^"]*)"`).FindAllSubmatch(data, -1) {
		if _, err := os.Stat("dist" + string(src[1])); err != nil {
			t.Errorf("index.html asks for %s: %v", src[1], err)
		}
	}
	p, err := ui.New()
	if err != nil {
		t.Fatal(err)
	}
	_ = fs.WalkDir(os.DirFS("dist"), ".", func(name string, _ fs.DirEntry, _ error) error {
		if strings.HasSuffix(name, ".map") || p.Serves("/"+name) && strings.HasSuffix(name, ".css") && regexp.MustCompile(`@import|url\(["']?(?:https?:)?//`).Match(get(p, "GET", "/"+name, nil).body) {
			t.Errorf("%s asks for something from elsewhere", name)
		}
		return nil
	})
}

// The policy is strict, names plain origins only, and nobody writes another directive into it.
func TestPolicy(t *testing.T) {
	want := "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; worker-src 'self'; manifest-src 'self'; " +
		"connect-src 'self' https://alice.example wss://alice.example http://[::1]:80 ws://[::1]:80 ws://192.0.2.1:4001 wss://souk.example:443; " +
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types svelte-trusted-html souk-worker"
	got := ui.Policy([]string{
		"https://alice.example", "http://[::1]:80", "https://alice.example", "https://*", "https://a.example;script-src *", "https://a.example,b", "https://a.example\r\nX: y",
		"ws://192.0.2.1:4001", "wss://souk.example:443", "ws://*", "ws://", "wss://a.example/path", "data:", "'unsafe-inline'", "*", "https:", "https://", "https://a b", "https://a.example/path", "HTTPS://a.example", "",
	})
	if got != want {
		t.Errorf("policy\n%s\nwant\n%s", got, want)
	}
	for _, bad := range []string{"unsafe", "*", "blob:", "http:", "https: "} {
		if strings.Contains(ui.Policy(nil), bad) {
			t.Errorf("the policy says %s", bad)
		}
	}
}

// A folder that is no page is refused when the server starts.
func TestOpen(t *testing.T) {
	index := &fstest.MapFile{Data: []byte("<!doctype html>")}
	for name, from := range map[string]fstest.MapFS{
		"no index":    {"a.js": index},
		"a map":       {"index.html": index, "assets/index-x.js.map": index},
		"no end":      {"index.html": index, "LICENSE": index},
		"executables": {"index.html": index, "a.wasm": index},
	} {
		if _, err := ui.Open(from); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	p, err := ui.Open(fstest.MapFS{"index.html": index, "assets/worker-x-1.js": index, "assets/index-1.js": index, "sw.js": index})
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"/assets/worker-x-1.js": "no-cache", "/sw.js": "no-cache", "/assets/index-1.js": "public, max-age=31536000, immutable", "/": "no-cache",
	} {
		if got := get(p, "GET", path, nil).header.Get("Cache-Control"); got != want {
			t.Errorf("%s: %s", path, got)
		}
	}
}
