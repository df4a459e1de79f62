package web

import (
	"embed"
	"net/http"
	"strings"

	"souk/api"
)

// viewer is a page that shows the OpenAPI document, with its script and its style.
//
//go:embed viewer/viewer.html viewer/viewer.js viewer/viewer.css
var viewer embed.FS

// viewerPolicy lets the page load what stands beside it, and nothing else (H-71).
const viewerPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"

// registerViewer mounts the page.
func registerViewer(mux *http.ServeMux) {
	for path, media := range map[string]string{
		"/docs": "text/html; charset=utf-8", "/docs/viewer.js": "text/javascript; charset=utf-8", "/docs/viewer.css": "text/css; charset=utf-8",
	} {
		file := "viewer/viewer.html"
		if name, ok := strings.CutPrefix(path, "/docs/"); ok {
			file = "viewer/" + name
		}
		data, err := viewer.ReadFile(file)
		if err != nil {
			panic("web: " + err.Error()) //nolint:forbidigo // it is in the binary
		}
		mux.HandleFunc("GET "+api.Prefix+path, func(w http.ResponseWriter, r *http.Request) {
			if noQuery(w, r) {
				w.Header().Set("Content-Security-Policy", viewerPolicy)
				writeBody(w, http.StatusOK, media, data)
			}
		})
	}
}
