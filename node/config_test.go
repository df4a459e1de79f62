package node_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"souk/node"
)

// A config file is read strictly, and an error says where it is and what to write.
func TestParseConfig(t *testing.T) {
	c, err := node.ParseConfig([]byte("[[virtual_server]]\nfounding = \"f\"\nkeep_blocks = 7\n"))
	if err != nil || len(c.Virtual) != 1 || c.HTTP.Listen != "127.0.0.1:8640" {
		t.Fatalf("%+v: %v", c, err)
	}
	if v := c.Virtual[0]; v.Founding != "f" || v.KeepBlocks != 7 || v.SnapshotEvery != 10_000 || v.HistoryDays != 30 || v.Keys != "keys" {
		t.Errorf("%+v", v)
	}
	for text, say := range map[string]string{
		"[http]\nport = 1":         "port",
		"[http":                    "[http",
		"[http]\nlisten = 7":       "listen",
		"[http]\ntls_cert = \"a\"": "go together",
		"[http]\ntrusted_proxies = [\"10.0.0.1\"]":                                  "http.trusted_proxies \"10.0.0.1\": write a network",
		"[http]\ntrusted_proxies = [\"10.0.0.1/8\"]":                                "http.trusted_proxies",
		"[http]\ntrusted_proxies = [\"0.0.0.0/0\"]":                                 "only proxies of yours are in",
		"[http]\ntrusted_proxies = [\"::ffff:0:0/96\"]":                             "http.trusted_proxies",
		"[http]\ntrusted_proxies = [\"proxy.local\"]":                               "http.trusted_proxies",
		"[log]\nlevel = \"loud\"":                                                   "write debug, info, warn or error",
		"[log]\nformat = \"xml\"":                                                   "write text or json",
		"[[virtual_server]]\nlisten = \"a\"":                                        "has no founding",
		"[http]\nconnections = 0":                                                   "line 2: connections = 0: write 1 or more, or leave the line out for the default, 1024",
		"[http]\nconnections = -1":                                                  "connections = -1",
		"[[virtual_server]]\nfounding = \"f\"\n[[virtual_server]]\nkeep_blocks = 0": "line 4: keep_blocks = 0: write 1 or more",
		"[[virtual_server]]\nfounding = \"f\"\nsnapshot_every = 0":                  "line 3: snapshot_every = 0",
		"[[virtual_server]]\nfounding = \"f\"\nhistory_days = 0":                    "a negative number for ever",
		"[[virtual_server]]\nfounding = \"f\"\nkeys = \"\"":                         "keys = \"\"",
		"[[virtual_server]]\nfounding = \"f\"\ntrust_height = 7":                    "go together",
		"[[virtual_server]]\nfounding = \"f\"\n[virtual_server.x]\ny = \"\"":        "x",
	} {
		if _, err := node.ParseConfig([]byte(text)); !errors.Is(err, node.ErrConfig) || !strings.Contains(err.Error(), say) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// What applies is shown with the line of the file that says so.
func TestSettings(t *testing.T) {
	h := node.Home(t.TempDir())
	text := "[http]\nlisten = \"127.0.0.1:1\"\n\n[[virtual_server]]\nfounding = \"f\"\n[[virtual_server]]\n# not kept for long\nhistory_days = -1\nfounding = \"g\"\n"
	if err := os.WriteFile(h.Config(), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	all, err := node.Settings(h)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, s := range all {
		got[s.Name] = s.Value + " " + s.Origin
	}
	for name, want := range map[string]string{
		"http.listen":                   "\"127.0.0.1:1\" " + h.Config() + ":2",
		"http.connections":              "1024 default",
		"virtual_server.1.founding":     "\"f\" " + h.Config() + ":5",
		"virtual_server.1.history_days": "30 default",
		"virtual_server.2.history_days": "-1 " + h.Config() + ":8",
		"virtual_server.2.keep_blocks":  "20000 default",
	} {
		if got[name] != want {
			t.Errorf("%s = %s, want %s", name, got[name], want)
		}
	}
}

// G-24: for how long what blocks did is kept.
func TestEventsKept(t *testing.T) {
	for text, ok := range map[string]bool{
		"24h": true, "1m": true, "90m30s": true, "0": true, "forever": true,
		"": false, "-1h": false, "1s": false, "24": false, "a day": false, "0s": false,
	} {
		c, err := node.ParseConfig([]byte("[events]\nkeep = \"" + text + "\"\n"))
		if (err == nil) != ok || ok && c.Events.Keep != text || !ok && !strings.Contains(err.Error(), "events.keep") {
			t.Errorf("%q: %+v, %v", text, c.Events, err)
		}
	}
	if c, err := node.ParseConfig(nil); err != nil || c.Events.Keep != "24h" {
		t.Errorf("without a word of it: %+v, %v", c.Events, err)
	}
	if _, err := node.ParseConfig([]byte("[events]\nkept = \"1h\"\n")); err == nil {
		t.Error("an unknown key")
	}
}
