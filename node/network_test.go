package node_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"souk/api"
	"souk/internal/ports"
	"souk/node"
	"souk/store/sealed"
)

// peerAt makes the home of a peer without a server.
func peerAt(t *testing.T, s node.PeerSetup) node.Home {
	t.Helper()
	h := node.Home(filepath.Join(t.TempDir(), "peer"))
	pass := filepath.Join(t.TempDir(), "pass")
	if err := os.WriteFile(pass, []byte("correct horse battery staple\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Pass, s.Work = sealed.FromFile(pass), sealed.TestWork
	if _, err := node.InitPeer(h, &s); err != nil {
		t.Fatal(err)
	}
	if _, err := node.InitPeer(h, &s); err == nil {
		t.Error("a peer was made over another")
	}
	return h
}

// runPeer starts it until the test ends.
func runPeer(t *testing.T, h node.Home) *node.Peer {
	t.Helper()
	p, err := node.OpenPeer(h, node.Options{Pass: passOf(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func passOf(t *testing.T) sealed.Passphrase {
	t.Helper()
	pass := filepath.Join(t.TempDir(), "pass")
	if err := os.WriteFile(pass, []byte("correct horse battery staple\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return sealed.FromFile(pass)
}

func listenAt(t *testing.T) []string {
	t.Helper()
	free, err := ports.Claim(1)
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := strings.Cut(ports.Address(free[0]), ":")
	return []string{"/ip4/127.0.0.1/tcp/" + port}
}

// What is wrong in [network] is said with what to write instead.
func TestNetworkConfig(t *testing.T) {
	for text, say := range map[string]string{
		`transport = "udp"`:                                        "write off, libp2p or tor",
		`neighbours = "many"`:                                      "write auto",
		`neighbours = "1"`:                                         "from 2 to",
		`listen = ["0.0.0.0:4001"]`:                                "/ip4/192.0.2.7/tcp/4001",
		`announce = ["here"]`:                                      "network.announce",
		"[network.find]\npeers = [\"/ip4/127.0.0.1/tcp/1\"]":       "the peer's key",
		"[network.darknet]\nfriends = [\"bob\"]":                   "the peer's key",
		"[network.darknet]\nfriends = [\"" + aKey + "\"]":          "secret_file",
		"[network.tor]\nmembers = [\"alice=abc.onion:1\"]":         "192.0.2.7:26600=abc.onion:26600",
		"[network.tor]\nmembers = [\"192.0.2.7:1=example.org:1\"]": "192.0.2.7:26600=abc.onion:26600",
		"[network.mail]\ncarry = \"some\"":                         "write off, light or full",
		"[network.mail]\ncarries = \"full\"":                       "unknown key network.mail.carries",
	} {
		_, err := node.ParseConfig([]byte("[network]\n" + text + "\n"))
		if err == nil || !strings.Contains(err.Error(), say) {
			t.Errorf("%s: %v, which does not say %q", text, err, say)
		}
	}
	if _, err := node.ParsePeer(aKey + "@/ip4/127.0.0.1/tcp/4001"); err != nil {
		t.Error(err)
	}
}

const aKey = "3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29"

// A peer without a server keeps its key, and a ban of it, over a restart; over a port of this
// machine what is private takes the cookie.
func TestPeer(t *testing.T) {
	h := peerAt(t, node.PeerSetup{Listen: listenAt(t), Peers: []string{aKey + "@/ip4/127.0.0.1/tcp/1"}})
	port := strings.TrimPrefix(listenAt(t)[0], "/ip4/127.0.0.1/tcp/")
	edit(t, h, `listen = "admin.sock"`, `listen = "127.0.0.1:`+port+`"`)
	ctx := t.Context()
	if _, err := node.Peers(ctx, h); err == nil || !strings.Contains(err.Error(), "running") {
		t.Errorf("before it runs: %v", err)
	}
	var keys []string
	for range 2 {
		p, err := node.OpenPeer(h, node.Options{Pass: passOf(t)})
		if err != nil {
			t.Fatal(err)
		}
		all, err := node.Peers(ctx, h)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, all.Self.Peer)
		if len(keys) == 1 {
			if _, err := node.BanPeer(ctx, h, aKey, time.Now().Add(time.Hour), "a test"); err != nil {
				t.Error(err)
			}
		} else if i := slices.IndexFunc(all.Peers, func(p node.NetPeer) bool { return p.Key == aKey && p.Banned != 0 && p.Why == "a test" }); i < 0 {
			t.Errorf("the ban is forgotten: %+v", all.Peers)
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:"+port+"/net/mail/letters", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if err := resp.Body.Close(); err != nil || resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("mail without the cookie: %d, %v", resp.StatusCode, err)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
	if keys[0] != keys[1] {
		t.Errorf("the peer was %s, and is %s", keys[0], keys[1])
	}
	if _, err := os.Stat(filepath.Join(string(h), ".cookie")); !os.IsNotExist(err) {
		t.Errorf("the cookie stays: %v", err)
	}
}

// A server is a peer by one line of its configuration, and tells what it is asked.
func TestNetworkOfServer(t *testing.T) {
	local, err := node.FoundLocal(node.LocalSetup{Dir: filepath.Join(t.TempDir(), "fed"), Name: "test", Servers: 1, Work: sealed.TestWork, Now: time.Now().Add(-time.Second)})
	if err != nil {
		t.Fatal(err)
	}
	h := local.Homes[0]
	say := node.NetDoctor(t.Context(), h)
	if len(say) != 1 || !strings.Contains(say[0].Detail, "network.transport") {
		t.Errorf("off: %+v", say)
	}
	edit(t, h, `transport = "off"`, `transport = "libp2p"`, `listen = ["/ip4/0.0.0.0/tcp/4001", "/ip4/0.0.0.0/udp/4001/quic-v1"]`, `listen = ["`+listenAt(t)[0]+`", "`+listenAt(t)[0]+`/ws"]`, "relay = false", "relay = true")
	n, err := node.Open(h, node.Options{Pass: sealed.FromFile(h.PassphraseFile()), Work: sealed.TestWork})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	}()
	all, err := node.Peers(t.Context(), h)
	if err != nil || len(all.Self.Addresses) != 2 || all.Self.Mail != "full" || !all.Self.Mailbox {
		t.Fatalf("%+v, %v", all, err)
	}
	var pages api.Network
	if err := getJSON(t, "http://"+n.Addr()+"/v1/network", &pages); err != nil || !pages.Offered || !pages.Relays || len(pages.Addresses) != 1 || pages.Stamps.PerByte == 0 {
		t.Errorf("browsers are told %+v, %v", pages, err)
	}
	p := runPeer(t, peerAt(t, node.PeerSetup{Listen: []string{}, Peers: all.Self.Addresses}))
	if got := p.Addresses(); len(got) != 0 {
		t.Errorf("who only dials is at %v", got)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	await(ctx, t, "the other peer", func() bool {
		all, err := node.Peers(ctx, h)
		return err == nil && all.Self.Connected == 1
	})
	var said bytes.Buffer
	for _, f := range node.NetDoctor(t.Context(), h) {
		said.WriteString(f.What + "\n")
		if f.Bad {
			t.Errorf("%s: %s", f.What, f.Detail)
		}
	}
	for _, what := range []string{"reachable", "peers", "mail", "mailbox", "clock"} {
		if !strings.Contains(said.String(), what+"\n") {
			t.Errorf("the doctor does not say anything of %s", what)
		}
	}
}

func getJSON(t *testing.T, url string, into any) error {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	return errors.Join(json.NewDecoder(resp.Body).Decode(into), resp.Body.Close())
}

// In a darknet nothing is listened to but TCP, and nothing tells others that it is there (F-40).
func TestDarknetOfPeer(t *testing.T) {
	quic := strings.Replace(listenAt(t)[0], "tcp", "udp", 1) + "/quic-v1"
	h := peerAt(t, node.PeerSetup{Listen: append(listenAt(t), quic), Local: true, IRC: []string{"127.0.0.1:1"}})
	edit(t, h, `secret_file = ""`, `secret_file = "dark"`, "friends = []", `friends = ["`+aKey+`"]`)
	secret := filepath.Join(string(h), "dark")
	if err := os.WriteFile(secret, []byte("too short\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := node.OpenPeer(h, node.Options{Pass: passOf(t)}); err == nil || !strings.Contains(err.Error(), "64 hexadecimal digits") {
		t.Errorf("a secret that is none: %v", err)
	}
	if err := os.WriteFile(secret, []byte(strings.Repeat("5a", 32)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := runPeer(t, h)
	if got := p.Addresses(); len(got) != 1 || !strings.Contains(got[0], "/tcp/") {
		t.Errorf("it is at %v", got)
	}
	left := false
	for _, f := range node.NetDoctor(t.Context(), h) {
		if strings.HasPrefix(f.What, "finding peers: ") {
			t.Errorf("a way that shows it is used: %s", f.What)
		}
		left = left || strings.Contains(f.Detail, "network.find.local, network.find.irc: left out")
	}
	if !left {
		t.Error("the doctor does not say what is left out")
	}
}

// Consensus through tor dials nobody whose onion service is not known, and listens to this
// machine alone (F-61).
func TestConsensusThroughTor(t *testing.T) {
	var log bytes.Buffer
	if got := node.TorPeers(slog.New(slog.NewTextHandler(&log, nil)), []string{"abc@192.0.2.7:26600"}); len(got) != 0 || !strings.Contains(log.String(), "192.0.2.7:26600") {
		t.Errorf("dialled: %v; said: %s", got, &log)
	}
	for _, listen := range []string{"0.0.0.0:26600", "192.0.2.7:26600"} {
		if err := node.ServeThroughTor(listen); err == nil || !strings.Contains(err.Error(), "127.0.0.1:26600") {
			t.Errorf("%s: %v", listen, err)
		}
	}
}
