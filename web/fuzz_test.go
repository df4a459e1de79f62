package web_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"souk/api"
	"souk/exchange"
	"souk/exchange/exchangetest"
	"souk/web"
)

// FuzzRequest sends any request to a server whose state is a founding's. No request
// is a fault of the server, and every refusal is a problem description (H-40).
func FuzzRequest(f *testing.F) {
	founding := exchangetest.Founding(1)
	state, err := exchange.New(founding)
	if err != nil {
		f.Fatal(err)
	}
	i := &instant{id: founding.ID(), state: state}
	s := web.New(web.Config{Now: func() time.Time { return time.UnixMilli(1_800_000_000_000) }})
	if err := s.Add(web.Virtual{Founding: founding, Replica: i, Engine: i}); err != nil {
		f.Fatal(err)
	}
	h := s.Handler()
	token := api.SignRead(i.id, signer("issuer").Account, exchangetest.Key("issuer"), 1_800_000_000_000, "GET", "/v1/nonce")
	f.Add("GET", "/v1/nonce", token.String(), api.JSON, []byte(nil))
	f.Add("POST", "/v1/commands", "", api.Binary, batch(f, i.id, 2))
	f.Add("POST", "/v1/commands", "", api.JSON, []byte(`{"commands":["00"]}`))
	for _, target := range []string{
		"/v1/book/BTC-EUR?depth=5", "/v1/trades?market=1&before=1-2-3&limit=7", "/v1/markets/1?proof=0", "/v1/light/0", "/v1/assets/EUR", "/v1/audit",
		"/vs/00/v1/status", "/livez", "/v1/commands/" + "00", "/v1/orders?client=x", "/v1/fills?proof=1", "/v1/openapi.json",
		"/v1/events?markets=all&after=1", "/v1/events/ws?markets=1", "/v1/candles/1?interval=1m&from=1", "/v1/ticker", "/v1/members/1", "/v1/params?proof=0", "/v1/docs",
	} {
		f.Add("GET", target, token.String(), api.JSON, []byte(nil))
	}
	f.Fuzz(func(t *testing.T, method, target, read, media string, body []byte) {
		u, err := url.ParseRequestURI(target)
		if err != nil || u.Path == "" {
			return
		}
		r := httptest.NewRequest(http.MethodGet, "/", bytes.NewReader(body))
		r.Method, r.URL, r.Host, r.RequestURI = method, u, "localhost", target
		r.Header.Set(api.ReadHeader, read)
		r.Header.Set("Content-Type", media)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		// The replica here proves nothing and knows no command.
		known := bytes.Contains([]byte(target), []byte("proof")) || bytes.Contains([]byte(target), []byte("/commands/")) || bytes.Contains([]byte(target), []byte("/light/"))
		if w.Code >= 500 && !known && w.Code != http.StatusServiceUnavailable {
			t.Errorf("%s %q: %d %s", method, target, w.Code, w.Body)
		}
		if w.Code < 400 || method == http.MethodHead {
			return
		}
		var e api.Error
		if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil || e.Code == "" || e.Detail == "" || e.Status != w.Code {
			t.Errorf("%s %q: %d %s: %v", method, target, w.Code, w.Body, err)
		}
	})
}
