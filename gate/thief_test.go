package gate_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"souk/gate"
	"souk/identity"
)

// J-2: a key that is taken back has no power, whatever else is wrong with the folder of keys.
func TestRevokedBesideDamage(t *testing.T) {
	for what, damage := range map[string]func(dir, id string) error{
		"a file that is no key": func(dir, id string) error { return os.Remove(filepath.Join(dir, id+".toml")) },
		"the folder is gone":    func(dir, _ string) error { return os.RemoveAll(dir) },
		"by its name": func(dir, _ string) error {
			_, err := gate.RevokeClientKey(dir, "bot")
			return err
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "clients")
			clients, err := gate.OpenClients(dir, nil, identity.NewKey([32]byte{7}), func(error) {})
			if err != nil {
				t.Fatal(err)
			}
			key := gate.ClientKey{Name: "bot", Kind: gate.KindHMAC, Scopes: []string{"read", "trade"}}
			other := gate.ClientKey{Name: "other", Kind: gate.KindHMAC, Scopes: []string{"read"}}
			for _, k := range []*gate.ClientKey{&key, &other} {
				if err := k.Add(dir, time.Now()); err != nil {
					t.Fatal(err)
				}
				appears(t, clients, k.ID)
			}
			for name, text := range map[string]string{"notes.toml": "what is this?", strings.Repeat("a", 64) + ".toml": "id = 'b'"} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if err := damage(dir, key.ID); err != nil {
				t.Fatal(err)
			}
			for end := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
				if _, ok := clients.Key(key.ID); !ok {
					break
				}
				if time.Now().After(end) {
					t.Fatal("a key that was taken back counts")
				}
			}
			if _, ok := clients.Key(other.ID); ok == (what == "the folder is gone") {
				t.Errorf("the other key: %t", ok)
			}
		})
	}
}

// J-2: a key whose file was changed in its place is what the file says now.
func TestChangedInPlace(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "clients")
	clients, err := gate.OpenClients(dir, nil, identity.NewKey([32]byte{7}), func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	key := gate.ClientKey{Kind: gate.KindHMAC, Scopes: []string{"read", "trade"}}
	if err := key.Add(dir, time.Now()); err != nil {
		t.Fatal(err)
	}
	appears(t, clients, key.ID)
	file := filepath.Join(dir, key.ID+".toml")
	long := time.Now().Add(-time.Hour) // the folder is at rest
	if err := os.Chtimes(dir, long, long); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(600 * time.Millisecond); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		clients.Key(key.ID) // it has seen the folder at rest
	}
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(string(data), "'trade'", "'read'")), 0o600); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if k, ok := clients.Key(key.ID); ok && k.Scopes == 1 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("a key that may only read any more may trade: %s", data)
		}
	}
}
