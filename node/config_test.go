package node_test

import (
	"errors"
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
		"[http]\nport = 1":                   "port",
		"[http":                              "[http",
		"[http]\nlisten = 7":                 "listen",
		"[http]\ntls_cert = \"a\"":           "go together",
		"[log]\nlevel = \"loud\"":            "write debug, info, warn or error",
		"[log]\nformat = \"xml\"":            "write text or json",
		"[[virtual_server]]\nlisten = \"a\"": "has no founding",
		"[[virtual_server]]\nfounding = \"f\"\ntrust_height = 7":             "go together",
		"[[virtual_server]]\nfounding = \"f\"\n[virtual_server.x]\ny = \"\"": "x",
	} {
		if _, err := node.ParseConfig([]byte(text)); !errors.Is(err, node.ErrConfig) || !strings.Contains(err.Error(), say) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
