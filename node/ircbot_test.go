package node_test

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"souk/node"
)

// U-68: the operator's password is in a file that others cannot read, and stands in no error.
func TestIRCBotReadsItsPassword(t *testing.T) {
	file := filepath.Join(t.TempDir(), "operator")
	run := func() error {
		b := node.IRCBot{Servers: []string{"no port"}, Channel: "#souk", OperatorFile: file, Log: slog.New(slog.DiscardHandler)}
		return b.Run(t.Context())
	}
	for _, c := range []struct {
		text string
		mode os.FileMode
		want string
	}{
		{"bot secret", 0o644, "others may read it"},
		{"secret", 0o600, "write one line"},
		{"bot secret more", 0o600, "write one line"},
		{"bot secret\n", 0o600, "no port"}, // the file is fine, the server is not
	} {
		_ = os.Remove(file)
		if err := os.WriteFile(file, []byte(c.text), c.mode); err != nil {
			t.Fatal(err)
		}
		err := run()
		if !errors.Is(err, node.ErrConfig) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", c.text, err)
		}
	}
	_ = os.Remove(file)
	if err := run(); !errors.Is(err, node.ErrConfig) {
		t.Errorf("without a file: %v", err)
	}
}
