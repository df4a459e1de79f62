package node_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"souk/node"
	"souk/script"
)

// daemon answers what the doctor asks of a node of a network.
func daemon(t *testing.T, n *script.Network, rate float64, version string, number int) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q struct {
			Method string `json:"method"`
			ID     any    `json:"id"`
		}
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
			t.Error(err)
		}
		a := map[string]any{"id": q.ID, "error": nil}
		switch q.Method {
		case "getblockhash", "getbestblockhash":
			a["result"] = n.Genesis.String()
		case "getblockheader":
			a["result"] = map[string]any{"hash": n.Genesis.String(), "height": 0, "time": 1_700_000_000, "confirmations": 1}
		case "validateaddress":
			a["result"] = map[string]any{"isvalid": true}
		case "estimatesmartfee":
			a["result"] = map[string]any{"blocks": 6}
			if rate != 0 {
				a["result"] = map[string]any{"feerate": rate, "blocks": 6}
			}
		case "getnetworkinfo":
			if version != "" {
				a["result"] = map[string]any{"version": number, "subversion": version}
				break
			}
			fallthrough
		default:
			a["error"] = map[string]any{"code": -32601, "message": "Method not found"}
		}
		if err := json.NewEncoder(w).Encode(a); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// The doctor says where a fee rate does not come from, and which nodes of Litecoin take
// blocks that are none (X-12, W-27).
func TestDoctorChains(t *testing.T) {
	find := func(t *testing.T, what string, list []node.Finding) (f node.Finding) {
		t.Helper()
		for _, x := range list {
			if x.What == what {
				f = x
			}
		}
		return f
	}
	for name, x := range map[string]struct {
		network, set string
		rate         float64
		version      string
		number       int
		fees, runs   string // part of what is found; "" for nothing
	}{
		"good":     {network: "litecoin", rate: 0.0001, version: "/LitecoinCore:0.21.5.4/", number: 210504},
		"no rate":  {network: "litecoin", version: "/LitecoinCore:0.21.5.4/", number: 210504, fees: "set fee_rate (sat/vB) under [chains.litecoin]"},
		"set":      {network: "litecoin", set: "fee_rate = 7", version: "/LitecoinCore:0.21.5.4/", number: 210504, fees: "7 sat/vB is said"},
		"old":      {network: "litecoin", rate: 0.0001, version: "/LitecoinCore:0.21.4/", number: 210400, runs: "LitecoinCore:0.21.4 takes blocks with coins"},
		"other":    {network: "litecoin", rate: 0.0001, version: "/ltcd:0.23.6/", number: 230600, runs: "this is not Litecoin Core"},
		"silent":   {network: "litecoin", rate: 0.0001, runs: "does not say"},
		"for test": {network: "litecoin-regtest"},
		"bitcoin":  {network: "bitcoin", rate: 0.0001, version: "/Satoshi:22.0.0/", number: 220000},
	} {
		t.Run(name, func(t *testing.T) {
			h := node.Home(t.TempDir())
			n, _ := script.ByName(x.network)
			if err := os.WriteFile(filepath.Join(string(h), "password"), []byte("secret"), 0o600); err != nil {
				t.Fatal(err)
			}
			text := "[chains." + x.network + "]\nkind = \"rpc\"\nurl = \"" + daemon(t, n, x.rate, x.version, x.number) + "\"\nuser = \"me\"\npassword_file = \"password\"\n" + x.set + "\n"
			if err := os.WriteFile(h.Config(), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			all := node.Doctor(t.Context(), h)
			if f := find(t, "chain "+x.network, all); !strings.Contains(f.Detail, "has block 0") {
				t.Errorf("chain: %+v", f)
			}
			f := find(t, "fees of "+x.network, all)
			if (f.What != "") != (x.fees != "") || !strings.Contains(f.Detail, x.fees) || f.Bad {
				t.Errorf("fees: %+v", f)
			}
			f = find(t, "node of "+x.network, all)
			if (f.What != "") != (x.runs != "") || !strings.Contains(f.Detail, x.runs) || f.Bad == f.Note && x.runs != "" {
				t.Errorf("node: %+v", f)
			}
		})
	}
	h := node.Home(t.TempDir())
	if err := os.WriteFile(h.Config(), []byte("[chains.bitcoin]\nkind = \"light\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if f := find(t, "fees of bitcoin", node.Doctor(t.Context(), h)); !f.Note || !strings.Contains(f.Detail, "no estimate") {
		t.Errorf("light: %+v", f)
	}
}
