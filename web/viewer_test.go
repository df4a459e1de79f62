package web_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"souk/web"
)

// The page that shows the OpenAPI document is served with a policy that lets nothing else
// in, and asks nobody else for anything (H-71).
func TestViewer(t *testing.T) {
	f := newFederation(t, 1, web.Config{})
	n := f.nodes[0]
	for _, prefix := range []string{"", fmt.Sprintf("/vs/%x", f.id)} {
		for path, media := range map[string]string{"/v1/docs": "text/html", "/v1/docs/viewer.js": "text/javascript", "/v1/docs/viewer.css": "text/css"} {
			a := call(t, n, "GET", prefix+path, nil, nil)
			policy := a.header.Get("Content-Security-Policy")
			if a.status != 200 || !strings.HasPrefix(a.header.Get("Content-Type"), media) || !strings.HasPrefix(policy, "default-src 'none'; script-src 'self';") ||
				strings.Contains(policy, "unsafe") || strings.Contains(policy, "http") || a.header.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("%s: %d %v", path, a.status, a.header)
			}
			text := string(a.body)
			if found := regexp.MustCompile(`https?:|//[a-z0-9-]+\.|innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|new Function|\son[a-z]+=|style=|<script>|<style`).FindString(text); found != "" {
				t.Errorf("%s has %q", path, found)
			}
			if a := call(t, n, "GET", prefix+path+"?x=1", nil, nil); a.problem.Field != "query.x" {
				t.Errorf("%s?x=1: %d %s", path, a.status, a.body)
			}
		}
	}
	if a := call(t, n, "GET", "/v1/status", nil, nil); a.header.Get("Content-Security-Policy") != "default-src 'none'; frame-ancestors 'none'" {
		t.Errorf("policy elsewhere: %s", a.header.Get("Content-Security-Policy"))
	}
}

// The page shows every operation with its parameters and the fields of its answers.
func TestViewerShowsAll(t *testing.T) {
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("there is no node here")
	}
	out, err := exec.CommandContext(t.Context(), "node", "testdata/viewer.cjs", "viewer/viewer.js", "openapi.json").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	data, err := os.ReadFile("openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Paths map[string]map[string]described
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	text := string(out)
	for path, methods := range doc.Paths {
		for _, op := range methods {
			for _, want := range []string{path, op.OperationID} {
				if !strings.Contains(text, want) {
					t.Errorf("the page does not show %s", want)
				}
			}
			for _, p := range op.Parameters {
				if !strings.Contains(text, p.Name) {
					t.Errorf("the page does not show %s of %s", p.Name, op.OperationID)
				}
			}
		}
	}
	for _, want := range []string{"min_notional", "Price of the last trade.", `"answered": "yes"`, "200 OK"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page does not show %q", want)
		}
	}
	if _, asked, _ := strings.Cut(text, "asked: "); !strings.HasPrefix(asked, "openapi.json ") || strings.Contains(asked, "//") {
		t.Errorf("the page asked for %s", asked)
	}
}
