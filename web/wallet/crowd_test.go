package wallet_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"souk/web/wallet"
)

// J-41: who guesses passwords keeps nobody out who can read the cookie, and guesses no faster
// for doing it at once, or for going before he is answered.
func TestGuessers(t *testing.T) {
	cookie := filepath.Join(t.TempDir(), "cookie")
	users, err := wallet.NewUsers([]string{wallet.SaltedPassword("alice", "secret")}, cookie)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(wallet.New(wallet.Config{Account: purse{}, Users: users, Version: "1", Calls: 2}))
	defer s.Close()
	data, err := os.ReadFile(cookie)
	if err != nil {
		t.Fatal(err)
	}
	user, password, _ := strings.Cut(string(data), ":")
	var guessing sync.WaitGroup
	statuses := make(chan int, 400)
	began := time.Now()
	for range 200 {
		guessing.Go(func() {
			for range 2 {
				status, _ := ask(t, s, http.MethodPost, "/wallet/btc", "alice", "wrong", `{"method":"ping"}`)
				statuses <- status
			}
		})
	}
	for range 5 {
		if status, text := ask(t, s, http.MethodPost, "/wallet/btc", user, password, `{"method":"getbalance"}`); status != http.StatusOK {
			t.Errorf("who has the cookie: %d %s", status, text)
		}
	}
	guessing.Wait()
	took, compared := time.Since(began), 0
	close(statuses)
	for status := range statuses {
		if status == http.StatusUnauthorized {
			compared++
		}
	}
	if most := 64 * (1 + int(took/(250*time.Millisecond))); compared == 0 || compared > most {
		t.Errorf("%d passwords were compared in %s, want at most %d", compared, took, most)
	}
	if status, text := ask(t, s, http.MethodPost, "/wallet/btc", "alice", "secret", `{"method":"getbalance"}`); status != http.StatusOK {
		t.Errorf("alice afterwards: %d %s", status, text)
	}
}
