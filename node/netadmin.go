package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"souk/courier"
	"souk/transport"
)

// What the operator of a running peer asks it, over the admin port: whoever may do so, may
// read its mail.

// leastPrefix is how much of a key or an id names it at least.
const leastPrefix = 4

// ErrNames is returned for a text that names nobody and nothing, or several.
var ErrNames = errors.New("no such name")

// NetStatus is how a peer stands.
type NetStatus struct {
	Peer       string   `json:"peer"` // its key
	Transport  string   `json:"transport"`
	Addresses  []string `json:"addresses"` // KEY@ADDRESS, for others to find it
	Neighbours int      `json:"neighbours"`
	Connected  int      `json:"connected"`
	Ring       int      `json:"ring"` // members; 0 while it sits in none
	Mail       string   `json:"mail"`
	Mailbox    bool     `json:"mailbox"`
}

// NetPeer is another peer.
type NetPeer struct {
	Key       string   `json:"key"`
	Addresses []string `json:"addresses,omitempty"`
	Connected bool     `json:"connected"`
	RoundTrip int64    `json:"round_trip_us,omitempty"` // 0 while it is not known
	Neighbour bool     `json:"neighbour"`
	Ring      bool     `json:"ring"`
	Score     float64  `json:"score"`
	Terms     bool     `json:"terms"`
	Banned    uint64   `json:"banned_until,omitempty"` // ms
	Why       string   `json:"why,omitempty"`
}

// NetPeers is a peer and the others.
type NetPeers struct {
	Self  NetStatus `json:"self"`
	Peers []NetPeer `json:"peers"`
}

// netBan is a request to shut a peer out until a time, or, if that has passed, to let it in.
type netBan struct {
	Peer  string `json:"peer"`
	Until uint64 `json:"until"` // ms
	Why   string `json:"why"`
}

// paths are what a running peer answers; nil if there is none.
func (n *network) paths() http.Handler {
	if n == nil {
		return nil
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /net/peers", func(w http.ResponseWriter, _ *http.Request) { tell(w, n.peers(), nil) })
	mux.HandleFunc("PUT /net/bans", func(w http.ResponseWriter, r *http.Request) {
		var b netBan
		if hear(w, r, &b) {
			key, err := n.ban(&b)
			tell(w, key, err)
		}
	})
	mux.HandleFunc("GET /net/doctor", func(w http.ResponseWriter, _ *http.Request) { tell(w, n.findings(), nil) })
	n.mailPaths(mux)
	return mux
}

// offPaths answer where there is no peer.
func offPaths(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, "this home takes no part in the network of peers: set network.transport in its config.toml, and start it again", http.StatusNotFound)
}

// hear reads what a request says.
func hear(w http.ResponseWriter, r *http.Request, into any) bool {
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return false
	}
	return true
}

// tell answers, or says why not.
func tell(w http.ResponseWriter, value any, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(value) // whoever asked is gone
}

func (n *network) status() NetStatus {
	s := NetStatus{
		Peer: n.transport.Self().String(), Transport: n.config.Transport, Addresses: []string{}, Neighbours: n.size,
		Connected: len(n.transport.Peers()), Mail: n.config.Mail.Carry, Mailbox: n.box != nil,
	}
	for _, a := range n.located.Addrs() {
		s.Addresses = append(s.Addresses, s.Peer+"@"+string(a))
	}
	if r, ok := n.members.Ring(); ok {
		s.Ring = len(r.Members)
	}
	return s
}

func (n *network) peers() NetPeers {
	all := NetPeers{Self: n.status(), Peers: []NetPeer{}}
	for _, p := range n.members.List() {
		all.Peers = append(all.Peers, netPeer(&p))
	}
	return all
}

func netPeer(p *courier.MemberPeer) NetPeer {
	out := NetPeer{
		Key: p.ID.String(), Connected: p.Connected, RoundTrip: p.RoundTrip.Microseconds(), Neighbour: p.Neighbour, Ring: p.Ring,
		Score: p.Score, Terms: p.Terms, Why: p.Why,
	}
	for _, a := range p.Addrs {
		out.Addresses = append(out.Addresses, string(a))
	}
	if !p.Banned.IsZero() {
		out.Banned = uint64(p.Banned.UnixMilli())
	}
	return out
}

// ban does what a request says, and answers the peer's key.
func (n *network) ban(b *netBan) (string, error) {
	p, err := n.find(b.Peer)
	if err != nil {
		return "", err
	}
	until := time.UnixMilli(int64(b.Until))
	switch {
	case p == n.transport.Self():
		return "", errors.New("that is this peer itself")
	case until.After(time.Now()):
		err = n.members.Ban(p, until, b.Why)
	default:
		err = n.members.Unban(p)
	}
	return p.String(), err
}

// find is the peer whose key is a text, or the known one whose key begins with it.
func (n *network) find(text string) (transport.ID, error) {
	var found []transport.ID
	for _, p := range n.members.List() {
		if key := p.ID.String(); len(text) >= leastPrefix && strings.HasPrefix(key, strings.ToLower(text)) {
			found = append(found, p.ID)
		}
	}
	if len(found) == 1 {
		return found[0], nil
	}
	if len(found) > 1 {
		return transport.ID{}, fmt.Errorf("%w: %q fits several peers: write more of the key", ErrNames, text)
	}
	p, err := parseID(text)
	if err != nil {
		return p, fmt.Errorf("%w: no known peer's key begins with %q: souk peers lists them", ErrNames, text)
	}
	return p, nil
}

// Peers asks the running peer of a home who is there.
func Peers(ctx context.Context, h Home) (NetPeers, error) {
	var got NetPeers
	err := h.ask(ctx, http.MethodGet, "/net/peers", nil, &got)
	return got, err
}

// BanPeer shuts a peer out, by its key or the beginning of it, until a time; the zero time lets it in again.
// It answers the key.
func BanPeer(ctx context.Context, h Home, peer string, until time.Time, why string) (string, error) {
	var got string
	err := h.put(ctx, "/net/bans", netBan{Peer: peer, Until: uint64(max(until.UnixMilli(), 0)), Why: why}, &got)
	return got, err
}

// put asks the admin port with a value.
func (h Home) put(ctx context.Context, path string, value, got any) error {
	body, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return h.ask(ctx, http.MethodPut, path, body, got)
}
