package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"souk/api"
	"souk/exchange"
)

// said is what a scripted server answers.
type said struct {
	media  string
	status int
	body   []byte
	server exchange.ID // that it claims to be
}

// receipts is an answer to commands.
func receipts(list ...exchange.Receipt) said {
	return said{media: api.Binary, status: http.StatusOK, body: api.AppendReceipts(nil, list), server: server}
}

// script is a server that answers as it is told.
func script(t *testing.T, answer func(r *http.Request) said) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		a := answer(r)
		w.Header().Set(api.ServerHeader, fmt.Sprintf("%x", a.server))
		w.Header().Set("Content-Type", a.media)
		w.WriteHeader(a.status)
		_, _ = w.Write(a.body)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func always(a said) func(*http.Request) said { return func(*http.Request) said { return a } }

func submit(t *testing.T, commands []*exchange.Command, urls ...string) ([]exchange.Receipt, error) {
	t.Helper()
	c, err := api.NewClient(api.Config{Servers: urls, ID: server, Resend: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	return c.Submit(ctx, commands...)
}

// What is no answer to the commands that were sent is not taken for one: the next
// server is asked (H-80).
func TestNoAnswerToThis(t *testing.T) {
	commands := transfers(t, 2)
	done := func(i int, height uint64) exchange.Receipt {
		return exchange.Receipt{ID: commands[i].ID, Height: height}
	}
	stranger := exchange.Receipt{ID: exchange.CommandID{9}, Height: 7}
	refusal, err := json.Marshal(api.NewError(api.BadEncoding, "body", "no"))
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := receipts(done(0, 7), done(1, 7))
	elsewhere.server = exchange.ID{9}
	good := script(t, always(receipts(done(0, 8), done(1, 8))))
	for name, bad := range map[string]said{
		"receipts in another order":     receipts(done(1, 7), done(0, 7)),
		"a receipt of something else":   receipts(done(0, 7), stranger),
		"one too few":                   receipts(done(0, 7)),
		"one too many":                  receipts(done(0, 7), done(1, 7), stranger),
		"none":                          receipts(),
		"another virtual server's":      elsewhere,
		"busy":                          {media: api.Problem, status: http.StatusServiceUnavailable, body: []byte(`{"code":"busy"}`), server: server},
		"a refusal that others do not":  {media: api.Problem, status: http.StatusBadRequest, body: refusal, server: server},
		"a page of somebody in between": {media: "text/html", status: http.StatusOK, body: []byte("<html>"), server: server},
	} {
		got, err := submit(t, commands, script(t, always(bad)), good)
		if err != nil || len(got) != 2 || got[0] != done(0, 8) || got[1] != done(1, 8) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	// Nobody else is there to ask: what is not known is not made up.
	if got, err := submit(t, commands, script(t, always(receipts(done(0, 7), stranger)))); !errors.Is(err, api.ErrUndecided) {
		t.Errorf("alone: %+v, %v", got, err)
	}
}

// A server that takes commands and is silent is not waited for: the next one gets
// the same bytes, and hears who was silent (H-25, H-80).
func TestSilentServer(t *testing.T) {
	commands := transfers(t, 1)
	want := exchange.Receipt{ID: commands[0].ID, Height: 8}
	hold := make(chan struct{})
	silent := script(t, func(*http.Request) said {
		<-hold
		return receipts()
	})
	t.Cleanup(func() { close(hold) })
	var named atomic.Pointer[string]
	good := script(t, func(r *http.Request) said {
		if r.Method == http.MethodGet { // does it know the command?
			return said{media: api.JSON, status: http.StatusOK, body: []byte(`{"fate":"unknown"}`), server: server}
		}
		name := r.Header.Get(api.SilentHeader)
		named.Store(&name)
		return receipts(want)
	})
	began := time.Now()
	got, err := submit(t, commands, silent, good)
	if err != nil || len(got) != 1 || got[0] != want {
		t.Fatalf("%+v, %v", got, err)
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("after %v", took)
	}
	if who := named.Load(); who == nil || *who != silent {
		t.Errorf("the silent server was not named: %v", who)
	}
}

// A nonce that was used before may be that of this very command, which went
// through another server: its receipt is looked for there (H-16, H-80).
func TestReceiptElsewhere(t *testing.T) {
	commands := transfers(t, 1)
	value := api.ReceiptValue(&exchange.Receipt{ID: commands[0].ID, Height: 8})
	fate, err := json.Marshal(api.Fate{ID: fmt.Sprintf("%x", commands[0].ID), Fate: api.FateCommitted, Receipt: &value})
	if err != nil {
		t.Fatal(err)
	}
	other := api.ReceiptValue(&exchange.Receipt{ID: exchange.CommandID{9}, Height: 8})
	wrong, err := json.Marshal(api.Fate{ID: fmt.Sprintf("%x", commands[0].ID), Fate: api.FateCommitted, Receipt: &other})
	if err != nil {
		t.Fatal(err)
	}
	used := exchange.Receipt{ID: commands[0].ID, Code: exchange.NonceUsed}
	answer := func(fate []byte) func(*http.Request) said {
		return func(r *http.Request) said {
			if strings.Contains(r.URL.Path, "/commands/") {
				return said{media: api.JSON, status: http.StatusOK, body: fate, server: server}
			}
			return receipts(used)
		}
	}
	got, err := submit(t, commands, script(t, answer([]byte(`{"fate":"elsewhere"}`))), script(t, answer(fate)))
	if err != nil || len(got) != 1 || got[0].Code != exchange.OK || got[0].Height != 8 {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err = submit(t, commands, script(t, answer(wrong))); err != nil || len(got) != 1 || got[0] != used {
		t.Errorf("the receipt of something else: %+v, %v", got, err)
	}
}
