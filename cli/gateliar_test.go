package cli_test

import (
	"bytes"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"

	"souk/api"
	"souk/exchange"
)

// denier passes requests on to a server and, while it is told to, says of commands that they
// were refused.
func (b *bankShop) denier(server string, deny *atomic.Bool) string {
	b.Helper()
	to, err := url.Parse(server)
	if err != nil {
		b.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(to)
	proxy.ErrorLog = log.New(io.Discard, "", 0)
	proxy.ModifyResponse = func(r *http.Response) error {
		if !deny.Load() || r.Request.Method != http.MethodPost || !strings.HasSuffix(r.Request.URL.Path, "/commands") {
			return nil
		}
		data, err := io.ReadAll(r.Body)
		if err != nil {
			return err
		}
		receipts, err := api.ParseReceipts(data)
		if err != nil {
			return err
		}
		for i := range receipts {
			receipts[i] = exchange.Receipt{ID: receipts[i].ID, Code: exchange.Insufficient}
		}
		data = api.AppendReceipts(nil, receipts)
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(data)), int64(len(data))
		r.Header.Del("Content-Length")
		return nil
	}
	s := httptest.NewServer(proxy)
	b.Cleanup(func() { // streams that a gate follows do not end by themselves
		_ = s.Listener.Close()
		s.CloseClientConnections()
		s.Close()
	})
	return s.URL
}

// denied pays once, although the servers say that they have refused, and the program sends the
// request again, with another id too (J-56).
func (g *openedGate) denied(alice string) {
	g.Helper()
	var deny atomic.Bool
	servers := []string{g.denier(g.URLs[0], &deny), g.denier(g.URLs[1], &deny)}
	g.must(g.bankShop.as(alice, servers, "gate", "init", "--home", string(g.home), "--allow-withdraw", "--timeout", "60s")...)
	g.open()
	before := g.payments()
	deny.Store(true)
	for range 2 {
		g.fails(http.StatusInternalServerError, -6, "", "sendtoaddress", shopAddress, 0.03125)
	}
	deny.Store(false)
	id := g.text("sendtoaddress", shopAddress, 0.03125)
	g.until(func() bool { return g.payments() > before })
	if n := g.payments(); n != before+1 || len(id) != 64 {
		g.Errorf("%d payments, were %d", n, before)
	}
	if err := g.gate.Close(); err != nil {
		g.Error(err)
	}
	g.gate = nil
}
