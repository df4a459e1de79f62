package api_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"souk/api"
	"souk/exchange"
)

// A server that has not seen the newest blocks refuses an account or a key that it
// does not know yet. The client believes another one that does.
func TestRefusalOfOneBehind(t *testing.T) {
	id := server
	command := transfers(t, 1)[0]
	for _, c := range []struct {
		name          string
		first, second exchange.Receipt
		want          exchange.Code
		asked         int64
	}{
		{"behind", exchange.Receipt{Code: exchange.UnknownAccount}, exchange.Receipt{Code: exchange.OK, Height: 9}, exchange.OK, 1},
		{"a new key", exchange.Receipt{Code: exchange.UnknownKey}, exchange.Receipt{Code: exchange.OK, Height: 9}, exchange.OK, 1},
		{"two agree", exchange.Receipt{Code: exchange.UnknownAccount}, exchange.Receipt{Code: exchange.UnknownAccount}, exchange.UnknownAccount, 1},
		{"in a block", exchange.Receipt{Code: exchange.UnknownKey, Height: 9}, exchange.Receipt{Code: exchange.OK, Height: 9}, exchange.UnknownKey, 0},
		{"beyond doubt", exchange.Receipt{Code: exchange.BadSignature}, exchange.Receipt{Code: exchange.OK, Height: 9}, exchange.BadSignature, 0},
	} {
		var asked atomic.Int64
		serve := func(r exchange.Receipt, count *atomic.Int64) string {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				_, _ = io.Copy(io.Discard, req.Body)
				if count != nil {
					count.Add(1)
				}
				r.ID = command.ID
				w.Header().Set(api.ServerHeader, fmt.Sprintf("%x", id))
				w.Header().Set("Content-Type", api.Binary)
				_, _ = w.Write(api.AppendReceipts(nil, []exchange.Receipt{r}))
			}))
			t.Cleanup(s.Close)
			return s.URL
		}
		client, err := api.NewClient(api.Config{Servers: []string{serve(c.first, nil), serve(c.second, &asked)}, ID: id, Resend: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		receipts, err := client.Submit(ctx, command)
		cancel()
		client.Close()
		if err != nil || len(receipts) != 1 || receipts[0].Code != c.want || asked.Load() != c.asked {
			t.Errorf("%s: %+v, %v, asked the other %d times", c.name, receipts, err, asked.Load())
		}
	}
}
