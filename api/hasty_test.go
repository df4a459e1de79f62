package api_test

import (
	"errors"
	"testing"
	"time"

	"souk/api"
)

// Where no server is there a hasty client says so at once, and of a command that it was
// not sent; with a server that is there it takes that one.
func TestHasty(t *testing.T) {
	dead := []string{"http://127.0.0.1:1", "http://127.0.0.1:2"}
	client, err := api.NewClient(api.Config{Servers: dead, ID: server, Hasty: true})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	begin := time.Now()
	if _, err := client.Status(t.Context()); !errors.Is(err, api.ErrServers) {
		t.Error(err)
	}
	_, err = client.Submit(t.Context(), transfers(t, 1)[0])
	if !errors.Is(err, api.ErrServers) || errors.Is(err, api.ErrUndecided) {
		t.Error(err)
	}
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
}
