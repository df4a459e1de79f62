package main

import (
	"bufio"
	"crypto/rand"
	"encoding/json"
	"flag"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// flooder keeps connections open to the ports of one server, each doing something
// that a client or a peer never should, and opens another one as soon as one is
// closed. It is a process of its own; flood starts it and talks to it by its standard
// input and output:
//
//	it says "ready" when it has tried to open as many as it is to keep;
//	a line makes it count from there;
//	the end of its input makes it end, with a floodReport as JSON.
type flooder struct {
	stop     chan struct{}
	requests *pace // valid requests, of all connections
	answers  atomic.Int64
	ports    []*floodPort
}

// floodPort is one port that is flooded.
type floodPort struct {
	address  string
	connects *pace
	kinds    []floodKind
	attempts atomic.Int64
	opened   atomic.Int64
	open     []atomic.Int64 // now, by kind
	// Sums over samples; they belong to watch.
	samples int
	sums    []int64
}

// floodKind is something that connections do; it ends when the server closes.
type floodKind struct {
	name string
	do   func(*flooder, net.Conn)
}

// floodReport is what a flooder did while it counted.
type floodReport struct {
	Seconds   float64         `json:"seconds"`
	Answers   float64         `json:"answers_per_s"` // to valid requests
	HTTP      floodPortReport `json:"http"`
	Consensus floodPortReport `json:"consensus"`
	CPU       float64         `json:"cpu_percent"` // of one core, by the flooder itself
}

type floodPortReport struct {
	Open     float64            `json:"open"`           // connections, on average
	Attempts float64            `json:"attempts_per_s"` // to open one
	Opened   float64            `json:"opened_per_s"`
	Kinds    map[string]float64 `json:"open_by_kind"`
}

// pace lets so many through in a second, evenly.
type pace struct {
	every time.Duration
	mu    sync.Mutex
	next  time.Time
}

func newPace(perSecond int) *pace { return &pace{every: time.Second / time.Duration(perSecond)} }

// wait returns when it is one's turn, false if stop is closed before.
func (p *pace) wait(stop <-chan struct{}) bool {
	p.mu.Lock()
	now := time.Now()
	if early := now.Add(-100 * time.Millisecond); p.next.Before(early) { // what this long ago was not used is lost
		p.next = early
	}
	p.next = p.next.Add(p.every)
	turn := p.next
	p.mu.Unlock()
	select {
	case <-stop:
		return false
	case <-time.After(turn.Sub(now)):
		return true
	}
}

// runFlooder is the flooder's process.
func runFlooder(args []string) error {
	flags := flag.NewFlagSet("flooder", flag.ExitOnError)
	web := flags.String("http", "", "address of the HTTP port")
	consensus := flags.String("consensus", "", "address of the consensus port")
	n := flags.Int("connections", 0, "connections to each port")
	connects := flags.Int("connects", 0, "connections opened in a second at most, at each port")
	requests := flags.Int("requests", 0, "valid requests in a second at most")
	if err := flags.Parse(args); err != nil {
		return err
	}
	f := &flooder{stop: make(chan struct{}), requests: newPace(*requests)}
	for _, p := range []*floodPort{{address: *web, kinds: httpKinds()}, {address: *consensus, kinds: peerKinds()}} {
		p.connects, p.open, p.sums = newPace(*connects), make([]atomic.Int64, len(p.kinds)), make([]int64, len(p.kinds))
		f.ports = append(f.ports, p)
		for i := range *n {
			go f.keep(p, i%len(p.kinds))
		}
	}
	for _, p := range f.ports {
		for p.attempts.Load() < int64(*n) {
			time.Sleep(10 * time.Millisecond)
		}
	}
	say("ready\n")
	in := bufio.NewReader(os.Stdin)
	if _, err := in.ReadString('\n'); err != nil {
		return nil //nolint:nilerr // the measuring has ended
	}
	report := f.count(in)
	close(f.stop)
	return json.NewEncoder(os.Stdout).Encode(report)
}

// count counts until the input ends.
func (f *flooder) count(in io.Reader) floodReport {
	ended := make(chan struct{})
	go func() {
		io.Copy(io.Discard, in) //nolint:errcheck // an error is an end too
		close(ended)
	}()
	used, begin, answers := cpu(), time.Now(), f.answers.Load()
	var attempts, opened [2]int64
	for i, p := range f.ports {
		attempts[i], opened[i] = p.attempts.Load(), p.opened.Load()
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for running := true; running; {
		select {
		case <-tick.C:
			for _, p := range f.ports {
				p.sample()
			}
		case <-ended:
			running = false
		}
	}
	seconds := time.Since(begin).Seconds()
	per := func(n int64) float64 { return float64(n) / seconds }
	r := floodReport{Seconds: seconds, Answers: per(f.answers.Load() - answers), CPU: 100 * (cpu() - used).Seconds() / seconds}
	for i, to := range []*floodPortReport{&r.HTTP, &r.Consensus} {
		p := f.ports[i]
		to.Attempts, to.Opened, to.Kinds = per(p.attempts.Load()-attempts[i]), per(p.opened.Load()-opened[i]), map[string]float64{}
		for k := range p.kinds {
			mean := float64(p.sums[k]) / float64(max(1, p.samples))
			to.Kinds[p.kinds[k].name] = math.Round(mean)
			to.Open += mean
		}
	}
	return r
}

func (p *floodPort) sample() {
	p.samples++
	for k := range p.open {
		p.sums[k] += p.open[k].Load()
	}
}

// keep keeps one connection of a kind.
func (f *flooder) keep(p *floodPort, kind int) {
	for p.connects.wait(f.stop) {
		p.attempts.Add(1)
		c, err := net.DialTimeout("tcp", p.address, time.Second)
		if err != nil {
			continue // turned away, which is fair
		}
		p.opened.Add(1)
		p.open[kind].Add(1)
		p.kinds[kind].do(f, c)
		p.open[kind].Add(-1)
		c.Close() //nolint:errcheck // done with
	}
}

// open tells whether the server has not closed a connection after a while; what it
// sends is thrown away.
func (f *flooder) open(c net.Conn, while time.Duration) bool {
	until := time.Now().Add(while)
	buf := make([]byte, 4096)
	for {
		select {
		case <-f.stop:
			return false
		default:
		}
		c.SetReadDeadline(until) //nolint:errcheck // the read tells
		_, err := c.Read(buf)
		if timeout, ok := err.(net.Error); ok && timeout.Timeout() { //nolint:errorlint // never wrapped
			return true
		}
		if err != nil {
			return false
		}
	}
}

// begin sends something and then nothing more.
func begin(data func() []byte) func(*flooder, net.Conn) {
	return func(f *flooder, c net.Conn) {
		if d := data(); len(d) > 0 && !send(c, d) {
			return
		}
		for f.open(c, time.Second) {
		}
	}
}

// drip sends something, and then more a byte at a time.
func drip(first string, pause time.Duration) func(*flooder, net.Conn) {
	return func(f *flooder, c net.Conn) {
		for ok := send(c, []byte(first)); ok && f.open(c, pause); ok = send(c, []byte("x")) {
		}
	}
}

// noise sends random bytes.
func noise(f *flooder, c net.Conn) {
	for ok := true; ok; ok = send(c, randomBytes(256)) && f.open(c, 100*time.Millisecond) {
	}
}

// ask sends valid requests as fast as they are answered and the pace allows.
func ask(f *flooder, c net.Conn) {
	answers := bufio.NewReader(c)
	for f.requests.wait(f.stop) {
		if !send(c, []byte("GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n")) {
			return
		}
		c.SetReadDeadline(time.Now().Add(5 * time.Second)) //nolint:errcheck // the read tells
		answer, err := http.ReadResponse(answers, nil)
		if err != nil {
			return
		}
		_, err = io.Copy(io.Discard, answer.Body)
		answer.Body.Close() //nolint:errcheck // read
		if err != nil {
			return
		}
		f.answers.Add(1)
	}
}

func send(c net.Conn, data []byte) bool {
	c.SetWriteDeadline(time.Now().Add(time.Second)) //nolint:errcheck // the write tells
	_, err := c.Write(data)
	return err == nil
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

// hello is the beginning of a TLS handshake: the first bytes of a greeting of 512.
func hello() []byte {
	return append([]byte{22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3}, randomBytes(32)...)
}

// ephemeral is the first message of a handshake between servers, with a key for it:
// a length, a tag, and 32 bytes.
func ephemeral() []byte { return append([]byte{34, 10, 32}, randomBytes(32)...) }

func nothing() []byte { return nil }

// runTarget serves what can be flooded and is no server of Souk, at two ports, until its
// input ends.
func runTarget() error {
	server := &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		io.Copy(io.Discard, http.MaxBytesReader(w, req.Body, 1<<20)) //nolint:errcheck // garbage
		w.Write(make([]byte, 1000))                                  //nolint:errcheck // garbage
	})}
	var addresses []string
	for range 2 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		addresses = append(addresses, l.Addr().String())
		go server.Serve(l) //nolint:errcheck // until the process ends
	}
	say("%s\n", strings.Join(addresses, " "))
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

func httpKinds() []floodKind {
	return []floodKind{
		{"idle", begin(nothing)},
		{"slow header", drip("GET /v1/status HTTP/1.1\r\nHost: x\r\nX-Slow: ", 200*time.Millisecond)},
		{"requests", ask},
		{"half body", drip("POST /v1/commands HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n"+strings.Repeat("x", 1000), time.Second)},
		{"TLS begun", begin(hello)},
		{"noise", noise},
	}
}

func peerKinds() []floodKind {
	return []floodKind{
		{"idle", begin(nothing)},
		{"slow bytes", drip("\"", 200*time.Millisecond)},
		{"handshake begun", begin(ephemeral)},
		{"HTTP", begin(func() []byte { return []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n") })},
		{"noise", noise},
	}
}
