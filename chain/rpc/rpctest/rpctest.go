// Package rpctest is a daemon for tests that says what a real one said: it replays
// recorded conversations, phase by phase. A phase is one state of the daemon's
// chain and pool. Floor 2.
package rpctest

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"souk/chain/rpc"
)

// Credentials that the daemon takes.
const (
	User     = "alice"
	Password = "correct horse battery staple"
)

// Daemon replays a recording.
type Daemon struct {
	t      testing.TB
	server *httptest.Server
	lines  []line
	phases []string

	mu     sync.Mutex
	phase  int
	warm   int // answers of the first phase that have been given
	prefix string
	calls  int
}

type line struct {
	phase  int
	key    string
	result json.RawMessage
	err    json.RawMessage
}

// warmup is the phase in which a daemon answers every call that it is starting.
const warmup = "00-warmup"

// Replay starts a daemon that replays a compressed file of JSON lines, each
// {"phase", "method", "params", "result", "error"}. It begins in its first phase.
// prefix is how its segwit addresses begin. It ends with the test.
func Replay(t testing.TB, file, prefix string) *Daemon {
	t.Helper()
	d := &Daemon{t: t, prefix: prefix}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // read only
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for in := json.NewDecoder(z); ; {
		var l struct {
			Phase, Method         string
			Params, Result, Error json.RawMessage
		}
		if err := in.Decode(&l); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if len(d.phases) == 0 || d.phases[len(d.phases)-1] != l.Phase {
			d.phases = append(d.phases, l.Phase)
		}
		d.lines = append(d.lines, line{len(d.phases) - 1, key(t, l.Method, l.Params), l.Result, l.Error})
	}
	d.server = httptest.NewServer(d)
	t.Cleanup(d.server.Close)
	return d
}

// key is the same for all spellings of the same call.
func key(t testing.TB, method string, params json.RawMessage) string {
	t.Helper()
	var v any
	if err := json.Unmarshal(params, &v); err != nil {
		t.Fatal(err)
	}
	canonical, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return method + string(canonical)
}

// Config says how to call the daemon.
func (d *Daemon) Config() rpc.Config {
	return rpc.Config{URL: d.server.URL, User: User, Password: Password}
}

// Phases returns the names of the phases, in order.
func (d *Daemon) Phases() []string { return slices.Clone(d.phases) }

// Enter goes to a phase.
func (d *Daemon) Enter(phase string) {
	d.t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.phase = slices.Index(d.phases, phase); d.phase < 0 {
		d.t.Fatalf("no phase %s", phase)
	}
}

// Calls returns how often the daemon was called.
func (d *Daemon) Calls() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.calls
}

// Result returns what was recorded in the current phase, or before it, for a call.
func (d *Daemon) Result(method, params string, result any) {
	d.t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	l, ok := d.find(key(d.t, method, json.RawMessage(params)))
	if !ok {
		d.t.Fatalf("nothing recorded for %s %s", method, params)
	}
	if err := json.Unmarshal(l.result, result); err != nil {
		d.t.Fatal(err)
	}
}

// Sent returns the transactions that were sent in a phase, as hexadecimal digits.
func (d *Daemon) Sent(phase string) []string {
	d.t.Helper()
	const method = "sendrawtransaction"
	at := slices.Index(d.phases, phase)
	var list []string
	for _, l := range d.lines {
		if rest, ok := strings.CutPrefix(l.key, method); ok && l.phase == at {
			var params []string
			if err := json.Unmarshal([]byte(rest), &params); err != nil {
				d.t.Fatal(err)
			}
			list = append(list, params[0])
		}
	}
	return list
}

// find returns the answer of the current phase, or else the latest before it.
func (d *Daemon) find(key string) (line, bool) {
	var found line
	ok := false
	for _, l := range d.lines {
		if l.phase > d.phase || ok && l.phase == found.phase {
			continue // the first answer of a phase, for it is one state
		}
		if l.key == key {
			found, ok = l, true
		}
	}
	return found, ok
}

// ServeHTTP answers as daemons do: errors have a status of their own, and a wrong
// password gets no body.
func (d *Daemon) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls++
	if user, password, _ := r.BasicAuth(); user != User || password != Password {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	var call struct {
		ID     json.RawMessage
		Method string
		Params json.RawMessage
	}
	if err := json.NewDecoder(r.Body).Decode(&call); err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprintf(w, `{"result":null,"error":{"code":-32700,"message":"Parse error"},"id":null}`+"\n")
		return
	}
	l, ok := d.answer(call.Method, call.Params)
	if !ok {
		d.t.Errorf("phase %s: nothing recorded for %s %.200s", d.phases[d.phase], call.Method, call.Params)
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	switch {
	case strings.Contains(string(l.err), "-32601"):
		w.WriteHeader(http.StatusNotFound)
	case string(l.err) != "null":
		w.WriteHeader(http.StatusInternalServerError)
	}
	fmt.Fprintf(w, `{"result":%s,"error":%s,"id":%s}`+"\n", l.result, l.err, call.ID)
}

func (d *Daemon) answer(method string, params json.RawMessage) (line, bool) {
	if d.phases[d.phase] == warmup {
		l := d.lines[d.warm]
		if d.warm++; d.lines[d.warm].phase > d.phase {
			d.phase++
		}
		return l, true
	}
	if method == "validateaddress" {
		var address []string
		valid := json.Unmarshal(params, &address) == nil && len(address) == 1 && strings.HasPrefix(address[0], d.prefix)
		return line{result: fmt.Appendf(nil, `{"isvalid":%t}`, valid), err: json.RawMessage("null")}, true
	}
	l, ok := d.find(key(d.t, method, params))
	if ok && l.phase == d.phase {
		return l, true
	}
	if ages := method == "gettxout" || method == "gettxspendingprevout"; ages && d.recorded(method) {
		return d.infer(method, params)
	}
	if !ok && !d.recorded(method) {
		return line{result: json.RawMessage("null"), err: json.RawMessage(`{"code":-32601,"message":"Method not found"}`)}, true
	}
	return l, ok
}

// recorded tells whether the daemon has a method.
func (d *Daemon) recorded(method string) bool {
	return slices.ContainsFunc(d.lines, func(l line) bool { return strings.HasPrefix(l.key, method+"[") })
}

// infer answers about a coin in a phase without that question from what it says
// besides: if nothing waits, it makes no difference whether the pool counts.
func (d *Daemon) infer(method string, params json.RawMessage) (line, bool) {
	pool, ok := d.find("getrawmempool[]")
	if !ok || pool.phase != d.phase || string(pool.result) != "[]" {
		return line{}, false
	}
	null := line{result: json.RawMessage("null"), err: json.RawMessage("null")}
	if method == "gettxspendingprevout" {
		null.result = json.RawMessage("[{}]")
		return null, true
	}
	var args []any
	if err := json.Unmarshal(params, &args); err != nil || len(args) != 3 {
		return line{}, false
	}
	args[2] = args[2] != true
	other, err := json.Marshal(args)
	if err != nil {
		return line{}, false
	}
	l, ok := d.find(key(d.t, method, other))
	return l, ok && l.phase == d.phase
}
