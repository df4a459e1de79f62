package binance_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"souk/api"
	"souk/tape"
	"souk/web/binance"
)

// fuzzKeys know one key, with which only reading of nothing can be asked for.
type fuzzKeys struct{}

func (fuzzKeys) Key(id string) (*binance.Key, bool) {
	return &binance.Key{ID: id, Kind: binance.HMAC, Secret: []byte("secret")}, id == "key"
}

// FuzzRequest sends what nobody would send: the answer is JSON, and an error says which.
func FuzzRequest(f *testing.F) {
	for _, seed := range []struct{ method, target, body string }{
		{"GET", "/api/v3/depth?symbol=BTCEUR&limit=5", ""},
		{"GET", "/api/v3/klines?symbol=BTCEUR&interval=1M&startTime=1&endTime=99999999999999", ""},
		{"GET", "/api/v3/ticker?symbols=[\"BTCEUR\"]&windowSize=7d", ""},
		{"POST", "/api/v3/order?timestamp=1&signature=%00", "symbol=BTCEUR&side=BUY"},
		{"GET", "/api/v3/aggTrades?symbol=BTCEUR&fromId=18446744073709551615", ""},
		{"GET", "/ws/btceur@depth20@100ms", ""},
		{"GET", "/stream?streams=!ticker@arr/%2F", ""},
		{"DELETE", "/api/v3/userDataStream", "listenKey=x"},
		{"GET", "/api/v3/ticker?symbol=BTCEUR&windowSize=0m", ""},
	} {
		f.Add(seed.method, seed.target, seed.body)
	}
	pairs := []api.Pair{pairOf(1, "BTC", "EUR")}
	h := binance.New(binance.Config{
		Tape: tape.New(), Markets: func() []api.Pair { return pairs }, Keys: fuzzKeys{}, Now: func() time.Time { return time.UnixMilli(1_790_000_000_000) },
		Trusted: func(string) bool { return true }, Limits: binance.Limits{Weight: 1 << 60},
	})
	f.Cleanup(h.Close)
	f.Fuzz(func(t *testing.T, method, target, body string) {
		r, err := http.NewRequest(method, "http://gate"+target, strings.NewReader(body)) //nolint:noctx // it has none
		if err != nil || !strings.HasPrefix(target, "/") {
			t.Skip("no request")
		}
		r.RemoteAddr = "127.0.0.1:1"
		r.Header.Set("X-MBX-APIKEY", "key")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if strings.HasPrefix(r.URL.Path, "/ws") || strings.HasPrefix(r.URL.Path, "/stream") {
			return // no WebSocket
		}
		var e struct {
			Code int `json:"code"`
		}
		data := w.Body.Bytes()
		if !json.Valid(data) || w.Code >= 400 && (json.Unmarshal(data, &e) != nil || e.Code >= 0) || w.Code >= 500 {
			t.Fatalf("%s %s: %d %s", method, target, w.Code, data)
		}
	})
}
