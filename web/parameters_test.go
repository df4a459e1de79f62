package web_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"souk/api"
	"souk/exchange/exchangetest"
	"souk/web"
)

// described is an operation of the OpenAPI document, as far as its parameters go.
type described struct {
	OperationID string `json:"operationId"`
	Parameters  []struct {
		Name, In string
		Required bool
		Schema   struct {
			Type string
			Enum []any
		}
	}
}

// goods are good values of parameters, by operation and name or by name.
func goods(alice string) map[string]string {
	return map[string]string{
		"asset": "TBC", "market": "BTC-EUR", "markets": "BTC-EUR", "height": "1", "member": "1", "number": "0", "address": alice, "account": alice,
		"getTrade id": "1", "getAuction height": "2", "getOrder id": "1", "getEscrow id": "1", "getCommand id": strings.Repeat("0", 64),
		"keys": "02" + strings.Repeat("00", 31), "bank": "TBC", "salt": strings.Repeat("00", 16),
	}
}

// wrongs are values that a parameter cannot have.
func wrongs(kind, name string, enum bool) []string {
	switch {
	case kind == "integer":
		return []string{"x", "-1", "1.5", "99999999999999999999999", "0x10", "1e3", " "}
	case kind == "boolean":
		return []string{"perhaps", "2"}
	case kind == "array", enum:
		return []string{"x"}
	}
	switch name {
	case "member", "market", "markets", "asset", "address", "account", "id", "salt":
		return []string{"no such thing", "99999", strings.Repeat("x", 80), "ä", "BTC-"}
	case "before", "after":
		return []string{"x", "1-2", "1-2-", "1-2-3-4", "-1-2-3", strings.Repeat("1", 70)}
	}
	return nil
}

// unchecked are parameters that are names to look for: whatever they are, there may be none.
var unchecked = map[string]bool{"listOrders client": true}

// A parameter that is missing, unknown, stands there twice or has a value that it cannot have is
// refused, and the problem names it, whichever operation it is (H-40, H-41).
func TestParameters(t *testing.T) {
	f := foundFederation(t, exchangetest.BankFounding(1), web.Config{})
	f.fund("alice")
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
	good := goods(exchangetest.Address("alice").String())
	value := func(op *described, name string) string {
		if v, ok := good[op.OperationID+" "+name]; ok {
			return v
		}
		return good[name]
	}
	for path, methods := range doc.Paths {
		for method, op := range methods {
			// target has the good values, but for one.
			target := func(in, name, wrong, more string) string {
				p, q := path, url.Values{}
				for _, x := range op.Parameters {
					v := value(&op, x.Name)
					if x.In == in && x.Name == name {
						v = wrong
					}
					switch {
					case x.In == "path":
						p = strings.Replace(p, "{"+x.Name+"}", url.PathEscape(v), 1)
					case x.In == "query" && v != "" && (x.Required || x.Name == name || x.Name == "markets"):
						q.Set(x.Name, v)
					}
				}
				query := q.Encode()
				if query != "" {
					query = "?" + query
				}
				if more != "" {
					query += map[bool]string{true: "?", false: "&"}[query == ""] + more
				}
				return p + query
			}
			try := func(target, field string) {
				t.Helper()
				header := signed(f, "alice", strings.ToUpper(method), target)
				header["Content-Type"] = []string{api.Binary}
				header["Upgrade"] = []string{"websocket"}
				a := call(t, f.nodes[0], strings.ToUpper(method), target, nil, header)
				if a.status/100 != 4 || a.problem.Field != field || a.problem.Code != api.BadRequest && a.problem.Code != api.NotFound && a.problem.Code != api.NotAllowed {
					t.Errorf("%s %.120s: %d %s, not about %s", method, target, a.status, a.body, field)
				}
			}
			try(target("", "", "", "nonsense=1"), "query.nonsense")
			for _, x := range op.Parameters {
				if x.In == "header" {
					continue
				}
				for _, wrong := range wrongs(x.Schema.Type, x.Name, len(x.Schema.Enum) > 0) {
					if unchecked[op.OperationID+" "+x.Name] {
						continue
					}
					field := x.In + "." + x.Name
					if x.Name == "address" { // whose account it is, is nobody else's business
						field = "header." + api.ReadHeader
					}
					try(target(x.In, x.Name, wrong, ""), field)
				}
				if x.In == "query" && value(&op, x.Name) != "" && x.Schema.Type != "array" {
					v := x.Name + "=" + url.QueryEscape(value(&op, x.Name))
					try(target("query", x.Name, value(&op, x.Name), v), "query."+x.Name)
				}
			}
		}
	}
	for _, path := range []string{"/livez", "/readyz", "/v1/openapi.json", fmt.Sprintf("/vs/%x/readyz", f.id)} {
		if a := call(t, f.nodes[0], http.MethodGet, path+"?x=1", nil, nil); a.status != http.StatusUnprocessableEntity || a.problem.Field != "query.x" {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
}
