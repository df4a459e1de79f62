package web_test

import (
	"crypto/tls"
	"net"
	"net/http"
	"testing"
	"time"

	"souk/web"
)

const strict = "max-age=31536000"

// strictOf is what a response tells browsers about TLS.
func strictOf(t *testing.T, client *http.Client, base, host, target string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(within(t, 10*time.Second), http.MethodGet, base+target, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = host
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if list := resp.Header.Values("Strict-Transport-Security"); len(list) == 1 {
		return list[0]
	}
	return ""
}

// Over TLS browsers are told to come back over TLS, if they came by a name; a gate's programs
// are, too (H-55).
func TestStrictTLS(t *testing.T) {
	door := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	s := web.New(web.Config{Hosts: []string{"souk.example"}, Door: door, TLS: &tls.Config{Certificates: []tls.Certificate{certificate(t)}}})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- s.Serve(l) }()
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	client := &http.Client{Transport: transport}
	for host, want := range map[string]string{
		"souk.example": strict, "Souk.Example.:8640": strict, "localhost": "", "localhost:8640": "", "LOCALHOST.": "", "127.0.0.1": "", "[::1]:8640": "",
		"other.example": "", // that is not this server
	} {
		for _, target := range []string{"/", "/livez", "/v1/status", "/nothing//"} {
			if got := strictOf(t, client, "https://"+l.Addr().String(), host, target); got != want {
				t.Errorf("%s%s: %q", host, target, got)
			}
		}
	}
	transport.CloseIdleConnections()
	if err := s.Shutdown(within(t, 5*time.Second)); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// Behind a proxy it is told who came by the name of the member's own URL, if that is one of
// https (H-55).
func TestStrictProxy(t *testing.T) {
	names := []string{"alice.example", "bob.example", "other.example", "192.0.2.1"}
	f := elsewhere(t, web.Config{Hosts: names}, "https://Alice.example:8640/souk", "http://bob.example", "https://192.0.2.1", "https://localhost")
	for i, want := range []map[string]string{
		{"alice.example": strict, "ALICE.example:443": strict, "other.example": "", "127.0.0.1:8640": "", "localhost": "", "bob.example": ""},
		{"bob.example": "", "alice.example": ""},
		{"192.0.2.1": "", "alice.example": ""},
		{"localhost": "", "localhost:1": ""},
	} {
		for host, want := range want {
			for _, target := range []string{"/v1/status", "/nothing"} {
				if got := strictOf(t, http.DefaultClient, f.nodes[i].url, host, target); got != want {
					t.Errorf("%s%s at %s: %q", host, target, f.founding.Members[i].URL, got)
				}
			}
		}
	}
}
