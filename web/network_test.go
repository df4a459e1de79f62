package web_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"souk/api"
	"souk/web"
)

// A server tells addresses of its peer that browsers can dial and no others, and its page may
// open WebSockets to these (H-131, H-139).
func TestNetwork(t *testing.T) {
	ask := func(c web.Config) (n api.Network, connect []string) {
		page := &tellPage{}
		c.Page = page
		node := elsewhere(t, c, "https://alice.example").nodes[0]
		a := call(t, node, "GET", "/v1/network", nil, nil)
		if err := json.Unmarshal(a.body, &n); err != nil || a.status != http.StatusOK {
			t.Fatal(a.status, err, string(a.body))
		}
		call(t, node, "GET", "/", nil, nil)
		return n, page.connect
	}
	none, before := ask(web.Config{})
	if none.Offered || none.Relays || len(none.Addresses) != 0 {
		t.Errorf("without a peer: %+v", none)
	}
	const name = "/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"
	good := []string{
		"/ip4/192.0.2.1/tcp/4001/ws" + name, "/dns4/souk.example/tcp/443/tls/ws" + name, "/dns4/souk.example/tcp/444/wss" + name, "/ip6/2001:db8::1/tcp/5/ws" + name,
		"/ip4/192.0.2.1/udp/4002/webrtc-direct/certhash/uEiD" + name,
	}
	bad := []string{
		"/ip4/192.0.2.1/tcp/4001" + name, "/ip4/192.0.2.1/udp/4001/quic-v1" + name, "/ip4/192.0.2.1/tcp/4001/ws", "", "/p2p/", name,
		"/ip4/192.0.2.1/udp/4002/webrtc-direct" + name, "/ip4/192.0.2.1/tcp/1/ws" + name + "/p2p-circuit" + name,
	}
	some, connect := ask(web.Config{Network: func() api.Network {
		return api.Network{Addresses: slices.Concat(bad, good), Relays: true, Stamps: api.StampPrice{PerByte: 48, Extra: 1000, Hello: 16}}
	}})
	if !some.Offered || !some.Relays || some.Stamps.Extra != 1000 || !slices.Equal(some.Addresses, good) {
		t.Errorf("with one: %+v", some)
	}
	want := []string{"ws://192.0.2.1:4001", "wss://souk.example:443", "wss://souk.example:444", "ws://[2001:db8::1]:5"}
	if got := connect[len(before):]; !slices.Equal(got, want) {
		t.Errorf("the page may reach %s, not %s", strings.Join(got, " "), strings.Join(want, " "))
	}
	only, _ := ask(web.Config{Network: func() api.Network { return api.Network{Addresses: bad, Relays: true} }})
	if only.Offered || only.Relays || len(only.Addresses) != 0 {
		t.Errorf("with addresses for others only: %+v", only)
	}
}

// tellPage is a page that remembers whom it may ask.
type tellPage struct{ connect []string }

func (p *tellPage) Serves(path string) bool { return path == "/" }

func (p *tellPage) Serve(_ http.ResponseWriter, _ *http.Request, connect []string) {
	p.connect = connect
}
