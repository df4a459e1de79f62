package node_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"souk/node"
	"souk/store/sealed"
)

// A state that cannot be opened is an error that names it, and closes what was opened.
func TestBrokenState(t *testing.T) {
	local, err := node.FoundLocal(node.LocalSetup{
		Dir: filepath.Join(t.TempDir(), "fed"), Name: "test", Servers: 1, Work: sealed.TestWork, Now: time.Now().Add(-time.Second),
	})
	if err != nil {
		t.Fatal(err)
	}
	h, id := local.Homes[0], local.Founding.ID()
	if err := os.WriteFile(filepath.Join(string(h), "vs", fmt.Sprintf("%x", id[:8]), "state"), []byte("no folder"), 0o600); err != nil {
		t.Fatal(err)
	}
	n, err := node.Open(h, node.Options{Pass: sealed.FromFile(h.PassphraseFile()), Software: "test"})
	if err == nil {
		t.Fatal("opened", n.Close())
	}
	if !strings.Contains(err.Error(), "open state") {
		t.Errorf("%v", err)
	}
}
