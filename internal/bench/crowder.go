package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
)

// crowderName is the first argument of the process that is a crowd.
const crowderName = "crowder"

// crowdReport is what a crowd did.
type crowdReport struct {
	Sockets  int64 `json:"sockets"`  // idle WebSockets that are still open
	Attempts int64 `json:"attempts"` // to open a slow connection
	Requests int64 `json:"requests"` // bad ones that were answered
	Wrong    int64 `json:"wrong"`    // of them, with another status than is right
}

// badRequest is a request that must be refused.
type badRequest struct {
	method, target, body string
	header               http.Header
	host                 string
	status               int
}

// runCrowder is the crowd's process: it reads a crowdTarget, says ready when all are there,
// and when its input ends writes a crowdReport.
func runCrowder() error {
	in := bufio.NewReader(os.Stdin)
	line, err := in.ReadBytes('\n')
	if err != nil {
		return err
	}
	var t crowdTarget
	if err := json.Unmarshal(line, &t); err != nil {
		return err
	}
	f := &flooder{stop: make(chan struct{}), requests: newPace(1)}
	kinds := httpKinds()
	slow := []floodKind{kinds[0], kinds[1], kinds[3], kinds[4]} // without those that ask properly
	for _, address := range []string{t.Gate, t.Node} {
		p := &floodPort{address: address, connects: newPace(t.Connects), kinds: slow, open: make([]atomic.Int64, len(slow)), sums: make([]int64, len(slow))}
		f.ports = append(f.ports, p)
		for i := range t.Slow / 2 {
			go f.keep(p, i%len(slow))
		}
	}
	var report crowdReport
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} //nolint:gosec // a crowd trusts anybody
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	t.idle(ctx, client, &report)
	for _, p := range f.ports {
		for p.attempts.Load() < int64(t.Slow/2) {
			time.Sleep(10 * time.Millisecond)
		}
	}
	var wg sync.WaitGroup
	wg.Go(func() { t.bad(ctx, client, &report) })
	say("ready\n")
	_, _ = io.Copy(io.Discard, in) // until the measuring has ended
	cancel()
	wg.Wait()
	for _, p := range f.ports {
		report.Attempts += p.attempts.Load()
	}
	close(f.stop)
	return json.NewEncoder(os.Stdout).Encode(&report)
}

// idle opens WebSockets, and counts those that stay open.
func (t *crowdTarget) idle(ctx context.Context, client *http.Client, report *crowdReport) {
	slots := make(chan struct{}, 16)
	var wg sync.WaitGroup
	for range t.Sockets {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			c, _, err := websocket.Dial(ctx, "https://"+t.Gate+"/ws", &websocket.DialOptions{HTTPClient: &http.Client{Transport: client.Transport}}) //nolint:bodyclose // of a WebSocket there is none
			if err != nil {
				return
			}
			atomic.AddInt64(&report.Sockets, 1)
			go func() {
				_, _, _ = c.Read(ctx) // answers pings, until it is closed
				if ctx.Err() == nil {
					atomic.AddInt64(&report.Sockets, -1)
				}
			}()
		})
	}
	wg.Wait()
}

// bad sends bad requests, one kind after the other.
func (t *crowdTarget) bad(ctx context.Context, client *http.Client, report *crowdReport) {
	ticker := time.NewTicker(time.Second / time.Duration(t.PerSec))
	defer ticker.Stop()
	large := strings.Repeat("x", 10<<20)
	key := http.Header{"X-Mbx-Apikey": {t.ID}}
	again := "/api/v3/order?" + t.values(time.Now(), "recvWindow", "60000", "newClientOrderId", fmt.Sprintf("crowd-%d", time.Now().UnixNano()))
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now := time.Now()
		for _, b := range []badRequest{
			{"POST", "/api/v3/order?" + t.values(now.Add(time.Minute)), "", key, "", 400},
			{"POST", "/api/v3/order?" + t.values(now.Add(-time.Minute)), "", key, "", 400},
			{"POST", again, "", key, "", 400},
			{"POST", "/api/v3/order?" + t.values(now, "colour", "red"), "", key, "", 400},
			{"GET", "/api/v3/ping", "", nil, "evil.example", 421},
			{"POST", "/api/v3/order?" + t.values(now), "", http.Header{"X-Mbx-Apikey": {t.ID}, "Origin": {"https://evil.example"}}, "", 403},
			{"POST", "/api/v3/order?" + t.values(now), large, key, "", 413},
		}[i%7 : i%7+1] {
			t.send(ctx, client, &b, report, i == 2)
		}
	}
}

func (t *crowdTarget) send(ctx context.Context, client *http.Client, b *badRequest, report *crowdReport, first bool) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, b.method, "https://"+t.Gate+b.target, bytes.NewReader([]byte(b.body)))
	if err != nil {
		return
	}
	for k, v := range b.header {
		r.Header[k] = v
	}
	r.Host = b.host
	resp, err := client.Do(r)
	if err != nil {
		if b.status == http.StatusRequestEntityTooLarge { // closed while the body was being sent
			atomic.AddInt64(&report.Requests, 1)
		}
		return
	}
	_, _ = io.Copy(io.Discard, resp.Body) // to use the connection again
	_ = resp.Body.Close()
	atomic.AddInt64(&report.Requests, 1)
	if resp.StatusCode != b.status && !first { // the first of those that are sent again is a good one
		atomic.AddInt64(&report.Wrong, 1)
	}
}
