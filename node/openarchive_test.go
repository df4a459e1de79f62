package node_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"souk/node"
)

// TestArchiveConfig: a section that cannot be meant is refused, with what to write.
func TestArchiveConfig(t *testing.T) {
	for text, want := range map[string]string{
		"engine = \"mysql\"":                                    "write none, sqlite or postgres",
		"engine = \"\"":                                         "write none, sqlite or postgres",
		"engine = \"postgres\"":                                 "archive.dsn_file",
		"engine = \"sqlite\"\ndsn_file = \"x\"":                 "archive.dsn_file is for the engine postgres",
		"engine = \"postgres\"\ndsn_file = \"x\"\npath = \"y\"": "archive.path is for the engine sqlite",
		"dsn = \"postgres://a:hunter2@b/c\"":                    "unknown key archive.dsn",
	} {
		_, err := node.ParseConfig([]byte("[archive]\n" + text + "\n"))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	for _, text := range []string{"", "engine = \"sqlite\"", "engine = \"sqlite\"\npath = \"x\"", "engine = \"postgres\"\ndsn_file = \"x\""} {
		if _, err := node.ParseConfig([]byte("[archive]\n" + text + "\n")); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestReadDSN: a DSN comes from a file that only its owner can read.
func TestReadDSN(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dsn")
	const dsn = "postgres://souk:hunter2@localhost/souk"
	write := func(text string, mode os.FileMode) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	refused := func(want string) {
		t.Helper()
		if _, err := node.ReadDSN(path); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	refused("no such file")
	write(dsn+"\n", 0o644)
	refused("chmod 600")
	write("", 0o600)
	refused("holds no DSN")
	write(dsn+"\n"+dsn, 0o600)
	refused("holds no DSN")
	write(dsn+"\n", 0o600)
	if got, err := node.ReadDSN(path); err != nil || got != dsn {
		t.Errorf("%q, %v", got, err)
	}
}
