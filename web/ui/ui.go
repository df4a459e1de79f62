// Package ui is the page where people trade, as it is built and committed in dist: it is in
// the binary, so a server needs no other files, and whoever builds it needs no Node. The
// package answers for the page's files, with a policy that lets them load nothing but each
// other, and ask nobody but the servers that it is told (H-130 to H-132). What the page does is
// in src, in TypeScript; this is only how it gets to browsers.
//
// This is floor 4, beside package web, which knows it by an interface only. It imports
// nothing of ours.
package ui

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
)

// dist is the built page: make page builds it, and a test compares it with its sources.
//
//go:embed all:dist
var dist embed.FS

// media are the types of the page's files, by the ends of their names. There are no others.
var media = map[string]string{
	".css":         "text/css; charset=utf-8",
	".html":        "text/html; charset=utf-8",
	".ico":         "image/x-icon",
	".js":          "text/javascript; charset=utf-8",
	".json":        "application/json",
	".png":         "image/png",
	".svg":         "image/svg+xml",
	".txt":         "text/plain; charset=utf-8",
	".webmanifest": "application/manifest+json",
	".woff2":       "font/woff2",
}

// squeezed are the ends of the names of files that are compressed in themselves.
var squeezed = map[string]bool{".ico": true, ".png": true, ".woff2": true}

// Page answers for the files of the page. Its methods may be called concurrently.
type Page struct{ files map[string]*file }

// file is a file of the page.
type file struct {
	media   string
	data    []byte
	lasting bool // its name says what is in it
	made    func() form
}

// form is what is made of a file when it is asked for the first time.
type form struct {
	tag    string // names the content
	packed []byte // as gzip; nil if that would not be shorter
}

// New reads the page that is in the binary.
func New() (*Page, error) {
	sub, err := fs.Sub(dist, "dist")
	if err != nil {
		return nil, fmt.Errorf("page: %w", err)
	}
	return Open(sub)
}

// Open reads a page from a folder that vite has built. Its index.html is the page itself.
func Open(from fs.FS) (*Page, error) {
	p := &Page{files: map[string]*file{}}
	err := fs.WalkDir(from, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := fs.ReadFile(from, name)
		if err != nil {
			return err
		}
		kind, ok := media[path.Ext(name)]
		if !ok {
			return fmt.Errorf("%s: files of the page do not end so", name)
		}
		f := &file{media: kind, data: data, lasting: lasting(name)}
		f.made = sync.OnceValue(func() form { return makeForm(data, !squeezed[path.Ext(name)]) })
		p.files["/"+name] = f
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("page: %w", err)
	}
	index := p.files["/index.html"]
	if index == nil {
		return nil, fmt.Errorf("page: %w: index.html", fs.ErrNotExist)
	}
	p.files["/"] = index
	return p, nil
}

// lasting tells whether a name has a hash of what is in the file, so that it may be kept for
// ever. A worker has the policy that it came with, in which the servers stand, so it is
// asked for anew all the same.
func lasting(name string) bool {
	return path.Dir(name) == "assets" && !strings.HasPrefix(path.Base(name), "worker-")
}

func makeForm(data []byte, squeeze bool) form {
	sum := sha256.Sum256(data)
	m := form{tag: hex.EncodeToString(sum[:16])}
	if !squeeze {
		return m
	}
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return m // not reached: there is this level
	}
	if _, err := w.Write(data); err != nil {
		return m // not reached: memory takes it
	}
	if err := w.Close(); err == nil && b.Len() < len(data) {
		m.packed = b.Bytes()
	}
	return m
}

// Serves tells whether a path is one of the page's files.
func (p *Page) Serves(name string) bool { return p.files[name] != nil }

// Serve answers a GET or HEAD for a path that is the page's. connect are the origins that the
// page may ask besides the one that it is from: plain ones, of http or https, ws or wss.
func (p *Page) Serve(w http.ResponseWriter, r *http.Request, connect []string) {
	f := p.files[r.URL.Path]
	h := w.Header()
	policy := Policy(connect)
	h.Set("Content-Security-Policy", policy)
	h.Set("Permissions-Policy", permissions)
	h.Set("Content-Type", f.media)
	h.Add("Vary", "Accept-Encoding")
	made := f.made()
	tag := made.tag
	if f.lasting {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	} else {
		// Its policy changes with the members, and a file that has not changed is not sent again.
		h.Set("Cache-Control", "no-cache")
		sum := sha256.Sum256([]byte(policy))
		tag += "-" + hex.EncodeToString(sum[:4])
	}
	data := f.data
	if made.packed != nil && takesGzip(r.Header.Values("Accept-Encoding")) {
		h.Set("Content-Encoding", "gzip")
		data, tag = made.packed, tag+"-gz"
	}
	tag = `"` + tag + `"`
	h.Set("ETag", tag)
	if known(r.Header.Values("If-None-Match"), tag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Length", strconv.Itoa(len(data)))
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write(data) // a peer that does not take it is gone
	}
}

// takesGzip tells whether a client says that it reads gzip.
func takesGzip(headers []string) bool {
	for _, part := range strings.Split(strings.Join(headers, ","), ",") {
		coding, weight, _ := strings.Cut(part, ";")
		if strings.EqualFold(strings.TrimSpace(coding), "gzip") {
			weight, _ = strings.CutPrefix(strings.ReplaceAll(weight, " ", ""), "q=")
			q, err := strconv.ParseFloat(weight, 64)
			return err != nil || q > 0
		}
	}
	return false
}

// known tells whether a client has what a tag names.
func known(headers []string, tag string) bool {
	for _, part := range strings.Split(strings.Join(headers, ","), ",") {
		if part = strings.TrimSpace(part); strings.TrimPrefix(part, "W/") == tag {
			return true
		}
	}
	return false
}

// permissions are what the page may do with the machine: copy an address, and ask for a passkey.
const permissions = "accelerometer=(), autoplay=(), camera=(), clipboard-read=(), clipboard-write=(self), display-capture=(), fullscreen=(), " +
	"geolocation=(), gyroscope=(), hid=(), magnetometer=(), microphone=(), midi=(), payment=(), " +
	"publickey-credentials-create=(self), publickey-credentials-get=(self), screen-wake-lock=(), serial=(), usb=(), xr-spatial-tracking=()"

// Policy is the Content-Security-Policy of the page's files, with the origins that they may
// ask: over HTTP and over WebSockets, or, if they are of ws or wss, only these (H-131). An
// origin that is none is left out, so that nobody who can name one can write a policy.
func Policy(connect []string) string {
	var b strings.Builder
	b.WriteString("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; worker-src 'self'; manifest-src 'self'; connect-src 'self'")
	seen := map[string]bool{}
	for _, origin := range connect {
		scheme, host, ok := strings.Cut(origin, "://")
		socket := scheme == "ws" || scheme == "wss"
		if !ok || !socket && scheme != "http" && scheme != "https" || host == "" || seen[origin] || strings.ContainsFunc(host, odd) {
			continue
		}
		seen[origin] = true
		b.WriteString(" " + origin)
		if !socket {
			b.WriteString(" ws" + strings.TrimPrefix(origin, "http"))
		}
	}
	b.WriteString("; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types svelte-trusted-html souk-worker")
	return b.String()
}

// odd tells whether a character is none of a host and port.
func odd(c rune) bool {
	return (c < 'a' || c > 'z') && (c < '0' || c > '9') && !strings.ContainsRune(".-:[]", c)
}
