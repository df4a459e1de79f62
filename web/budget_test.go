package web_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"souk/api"
	"souk/exchange"
	"souk/web"
)

// announce begins a request with commands of so many bytes, and sends some of them.
func announce(t *testing.T, n *node, size, sent int) net.Conn {
	t.Helper()
	c := dial(t, n)
	_, _ = fmt.Fprintf(c, "POST /v1/commands HTTP/1.1\r\nHost: localhost\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n", api.Binary, size)
	_, _ = c.Write(make([]byte, sent))
	return c
}

// Bodies that are announced and do not come keep nobody from sending commands (H-52).
func TestAnnouncedBodies(t *testing.T) {
	f := newFederation(t, 1, web.Config{})
	f.fund("alice", "bob")
	for range 200 {
		announce(t, f.nodes[0], api.MaxBinary, 0)
	}
	time.Sleep(100 * time.Millisecond)
	for i := range 3 {
		c := command(t, f, uint64(10+i), pay(1), nil)
		if a := call(t, f.nodes[0], "POST", "/v1/commands", c.Append(nil), binary); a.status != http.StatusOK {
			t.Errorf("an honest trader's command: %d %s", a.status, a.body)
		}
	}
}

// Bodies that come in part are broken off for others, when they have had their time (H-52).
func TestHalfBodies(t *testing.T) {
	f := newFederation(t, 1, web.Config{Bodies: 7*(api.MaxBinary+1) + 200<<10}) // room for seven
	f.fund("alice", "bob")
	var all []net.Conn
	for range 40 {
		all = append(all, announce(t, f.nodes[0], api.MaxBinary, api.MaxBinary/2))
	}
	large := func() answered { // for which there is no memory beside those
		var data []byte
		for n := uint64(1); len(data) < 300_000; n++ {
			data = command(t, f, n, pay(1), func(c *exchange.Command) { c.Expiry = 1 }).Append(data)
		}
		return call(t, f.nodes[0], "POST", "/v1/commands", data, binary)
	}
	time.Sleep(200 * time.Millisecond)
	if a := large(); a.problem.Code != api.Busy {
		t.Errorf("while the memory for bodies is used up: %d", a.status)
	}
	time.Sleep(2 * time.Second)
	for range 3 {
		if a := large(); a.status != http.StatusOK {
			t.Errorf("when the others have had their time: %d %s", a.status, a.problem.Detail)
		}
	}
	answers := map[int]int{}
	for _, c := range all {
		_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		if resp, err := http.ReadResponse(bufio.NewReader(c), nil); err == nil {
			answers[resp.StatusCode]++
			_ = resp.Body.Close()
		}
	}
	if answers[http.StatusRequestTimeout] == 0 || answers[http.StatusServiceUnavailable] == 0 || answers[http.StatusRequestTimeout] > 10 {
		t.Errorf("those that sent half: %v, want some that were busy and some that were broken off", answers)
	}
}

// untaken asks for something on many streams of a connection, and lets none of the answers come.
func untaken(t *testing.T, address, path string) (answered func() int) {
	t.Helper()
	c, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_, _ = io.WriteString(c, http2.ClientPreface)
	framer := http2.NewFramer(c, c)
	_ = framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for i := range 64 {
		block.Reset()
		for _, h := range [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", "localhost"}, {":path", path}} {
			_ = encoder.WriteField(hpack.HeaderField{Name: h[0], Value: h[1]})
		}
		_ = framer.WriteHeaders(http2.HeadersFrameParam{StreamID: uint32(2*i + 1), BlockFragment: block.Bytes(), EndStream: true, EndHeaders: true})
	}
	var mu sync.Mutex
	headers := 0
	go func() {
		for {
			frame, err := framer.ReadFrame()
			if err != nil {
				return
			}
			if _, ok := frame.(*http2.HeadersFrame); ok {
				mu.Lock()
				headers++
				mu.Unlock()
			}
		}
	}()
	return func() int {
		mu.Lock()
		defer mu.Unlock()
		return headers
	}
}

// Responses that are not taken have a bounded memory, and make room for others (H-52).
func TestUntakenResponses(t *testing.T) {
	f := newFederation(t, 1, web.Config{})
	f.fund("alice", "bob")
	f.issue(t, 1000)
	const limit = 4 << 20
	s := web.New(web.Config{TLS: &tls.Config{Certificates: []tls.Certificate{certificate(t)}}, Responses: limit})
	if err := s.Add(web.Virtual{Founding: f.founding, Replica: adapter{f.nodes[0].replica}, Engine: f.nodes[0]}); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = s.Serve(l) }()
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	defer func() { _ = s.Shutdown(gone) }()
	heap := func() int64 {
		runtime.GC()
		runtime.GC() // what pools hold outlives one collection
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	holds := func(path string) int64 { // what connections with untaken answers take
		before := heap()
		for range 20 {
			untaken(t, l.Addr().String(), path)
		}
		time.Sleep(time.Second)
		return heap() - before
	}
	// Without a bound it would be some hundred MiB. The connections themselves take some,
	// which those with small responses tell.
	connections := max(0, holds("/livez"))
	if held := holds("/v1/assets") - connections; held > 3*limit {
		t.Errorf("responses that nobody takes hold %d MiB, of %d MiB that they may", held>>20, limit>>20)
	}
	honest := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}}
	defer honest.CloseIdleConnections()
	get := func(path string) int {
		t.Helper()
		resp, err := honest.Get("https://" + l.Addr().String() + path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		_, _ = io.Copy(io.Discard, resp.Body)
		return resp.StatusCode
	}
	if status := get("/livez"); status != http.StatusOK {
		t.Errorf("a small response meanwhile: %d", status)
	}
	time.Sleep(1200 * time.Millisecond)
	for range 3 {
		if status := get("/v1/assets"); status != http.StatusOK {
			t.Errorf("a large response, when the others have had their time: %d", status)
		}
	}
}
