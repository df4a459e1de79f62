package node_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"souk/node"
	"souk/store/sealed"
)

const (
	metricsFile   = "../docs/metrics.md"
	dashboardFile = "../packaging/grafana.json"
	alertsFile    = "../packaging/alerts.yml"
)

// metric is what a running server says of one of its metrics.
type metric struct{ kind, help, labels string }

// scrape is what a server of its own shows after some requests, and what it would show of banks.
func scrape(t *testing.T) map[string]metric {
	t.Helper()
	local, err := node.FoundLocal(node.LocalSetup{Dir: filepath.Join(t.TempDir(), "fed"), Name: "test", Servers: 1, Work: sealed.TestWork, Now: time.Now().Add(-time.Second)})
	if err != nil {
		t.Fatal(err)
	}
	h := local.Homes[0]
	n, err := node.Open(h, node.Options{Pass: sealed.FromFile(h.PassphraseFile())})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close() //nolint:errcheck // tested elsewhere
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		if address == "localhost:80" {
			return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(string(h), "admin.sock"))
		}
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}}}
	defer client.CloseIdleConnections()
	ask := func(url string) []byte {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if err := errors.Join(err, resp.Body.Close()); err != nil {
			t.Fatal(err)
		}
		return body
	}
	ask("http://" + n.Addr() + "/livez")
	all := map[string]metric{}
	line := regexp.MustCompile(`^(# HELP |# TYPE )?((?:souk|process|go)_[a-z0-9_]+)(?:\{([^}]*)\})? (.*)$`)
	for lines := bufio.NewScanner(bytes.NewReader(ask("http://localhost/metrics"))); lines.Scan(); {
		f := line.FindStringSubmatch(lines.Text())
		if f == nil {
			continue
		}
		m := all[f[2]]
		switch f[1] {
		case "# HELP ":
			m.help = f[4]
		case "# TYPE ":
			m.kind = f[4]
		default:
			if _, known := all[f[2]]; !known {
				continue // the parts of a histogram
			}
			m.labels = labelNames(f[3])
		}
		all[f[2]] = m
	}
	for _, b := range node.BankMetrics() {
		all[b[0]] = metric{b[1], b[2], "asset, network, virtual_server"}
	}
	for _, m := range node.NetMetrics() {
		all[m[0]] = metric{m[1], m[2], m[3]}
	}
	// A histogram has no sample of its own name.
	m := all["souk_http_request_seconds"]
	m.labels = "operation"
	all["souk_http_request_seconds"] = m
	return all
}

func labelNames(text string) string {
	var names []string
	for _, f := range regexp.MustCompile(`([a-z_]+)="`).FindAllStringSubmatch(text, -1) {
		names = append(names, f[1])
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// The table of metrics in the docs, the dashboard and the alerts name what a server has.
func TestMetricsNamed(t *testing.T) {
	all := scrape(t)
	var b strings.Builder
	b.WriteString("# Metrics\n\nWhat a server counts, at `/metrics` of its admin port, and of its HTTP port for this machine. Made by `go test ./node -run TestMetricsNamed -update`.\n" +
		"No label names a client, an account or an amount. Besides there are those of the process (`go_...`, `process_...`). A dashboard and alerts: `packaging/grafana.json`, `packaging/alerts.yml`.\n\n" +
		"| Metric | Kind | Labels | What |\n|---|---|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if m := all[name]; strings.HasPrefix(name, "souk_") {
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", name, m.kind, m.labels, m.help)
		}
	}
	if *update {
		if err := os.WriteFile(metricsFile, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := os.ReadFile(metricsFile)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(kept), b.String()); diff != "" {
		t.Errorf("docs/metrics.md is not what a server says; run go test ./node -run TestMetricsNamed -update:\n%s", diff)
	}
	for _, file := range []string{dashboardFile, alertsFile} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(file, ".json") && !json.Valid(text) {
			t.Errorf("%s is no JSON", file)
		}
		found := regexp.MustCompile(`\b(?:souk|process|go)_[a-z0-9_]+`).FindAllString(string(text), -1)
		if len(found) < 10 {
			t.Errorf("%s names %d metrics", file, len(found))
		}
		for _, name := range found {
			if m, ok := all[strings.TrimSuffix(name, "_bucket")]; !ok || strings.HasSuffix(name, "_bucket") && m.kind != "histogram" {
				t.Errorf("%s: no server has %s", file, name)
			}
		}
	}
}

// Prometheus understands the rules for alerts.
func TestAlerts(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("there is no promtool here")
	}
	if out, err := exec.CommandContext(t.Context(), promtool, "check", "rules", alertsFile).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
