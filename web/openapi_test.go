package web_test

import (
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"souk/web"
)

var update = flag.Bool("update", false, "write openapi.json")

// The committed document describes the code (H-70).
func TestOpenAPI(t *testing.T) {
	made, err := web.OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	made = append(made, '\n')
	if *update {
		if err := os.WriteFile("openapi.json", made, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	committed, err := os.ReadFile("openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(committed), string(made)); diff != "" {
		t.Errorf("openapi.json is not what the code says; run go test ./web -run TestOpenAPI -update:\n%s", diff)
	}
}

// Responses have no $schema, no list is ever null, and problems are ours (H-70).
func TestOpenAPIForm(t *testing.T) {
	made, err := web.OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"$schema", "ErrorModel", `"null"`} {
		if strings.Contains(string(made), bad) {
			t.Errorf("the document says %s", bad)
		}
	}
	var doc struct {
		OpenAPI string
		Paths   map[string]map[string]struct {
			OperationID string
			Responses   map[string]struct{ Content map[string]any }
		}
	}
	if err := json.Unmarshal(made, &doc); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(doc.OpenAPI, "3.1.") || len(doc.Paths) < 15 {
		t.Errorf("version %s with %d paths", doc.OpenAPI, len(doc.Paths))
	}
	for path, methods := range doc.Paths {
		for method, op := range methods {
			if _, ok := op.Responses["default"].Content["application/problem+json"]; !ok {
				t.Errorf("%s %s does not describe problems", method, path)
			}
		}
	}
}
