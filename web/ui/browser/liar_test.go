package browser_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// lie changes an answer, in JSON, to a request for a path from /v1 on; false: it leaves it.
type lie func(path string, answer map[string]any) bool

// liar is a server between the page and a member's, which changes what that says.
type liar struct {
	name, url string
	told      atomic.Int64 // how many lies
}

// newLiar starts a liar before the server with a URL.
func newLiar(t *testing.T, name, before string, change lie) *liar {
	t.Helper()
	to, err := url.Parse(before)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	x := &liar{name: name, url: "http://" + l.Addr().String()}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.Out.Host = to.Host
			r.Out.Header.Set("Accept-Encoding", "identity")
			if r.In.Header.Get("Origin") == x.url { // its own page: the server would say that this is no page of its
				r.Out.Header.Set("Origin", before)
			}
		},
		ModifyResponse: func(r *http.Response) error { return x.change(r, change) },
	}
	server := &http.Server{Handler: proxy, ReadHeaderTimeout: 10 * time.Second}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
	return x
}

// change makes the lie of an answer in JSON.
func (x *liar) change(r *http.Response, change lie) error {
	_, path, found := strings.Cut(r.Request.URL.Path, "/v1/")
	media := r.Header.Get("Content-Type")
	if !found || !strings.HasPrefix(media, "application/json") && !strings.HasPrefix(media, "application/problem+json") {
		return nil
	}
	data, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	_ = r.Body.Close()
	var answer map[string]any
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if d.Decode(&answer) == nil && change(path, answer) {
		x.told.Add(1)
		if data, err = json.Marshal(answer); err != nil {
			return err
		}
	}
	r.Body = io.NopCloser(bytes.NewReader(data))
	r.ContentLength = int64(len(data))
	r.Header.Set("Content-Length", strconv.Itoa(len(data)))
	return nil
}

// wrongAddress is one of somebody else, on the chain of the tests.
const wrongAddress = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"

// script is what runs if any of it ever gets into the page as markup.
const script = `"><img src=x onerror="window.stolen=1"><svg onload=window.stolen=1>{@html 1}`

// lies are what the servers before the first one do, by name.
func lies() map[string]lie {
	return map[string]lie{
		// Deposit addresses are the thief's own.
		"address": func(path string, answer map[string]any) bool {
			return strings.Contains(path, "/addresses") && each(answer["addresses"], func(a map[string]any) { a["address"] = wrongAddress })
		},
		// Amounts of the account are ten times what they are.
		"amount": func(path string, answer map[string]any) bool {
			return strings.HasPrefix(path, "accounts/") && strings.Count(path, "/") == 1 && each(answer["balances"], func(b map[string]any) {
				for _, k := range []string{"available", "total"} {
					if s, ok := b[k].(string); ok {
						b[k] = "9" + s
					}
				}
			})
		},
		// Everything has fewer decimals than it has, so that a hundred of it look like one.
		"decimals": func(_ string, answer map[string]any) bool { return fewer(answer) },
		// The book is another one: everything is sold at a tenth more.
		"book": func(path string, answer map[string]any) bool {
			return strings.HasPrefix(path, "book/") && dearer(answer)
		},
		// Proofs are forged.
		"proof": func(path string, answer map[string]any) bool { return forge(answer) },
		// All texts are markup.
		"markup": func(path string, answer map[string]any) bool { return spoil(answer) },
	}
}

// each changes all objects of a list.
func each(list any, change func(map[string]any)) bool {
	all, ok := list.([]any)
	for _, x := range all {
		if o, ok := x.(map[string]any); ok {
			change(o)
		}
	}
	return ok && len(all) > 0
}

// eight is an amount with as many decimals as all assets of the tests have.
var eight = regexp.MustCompile(`^\d+\.\d{8}$`)

// fewer takes two decimals away, from all amounts and from what says how many there are.
func fewer(answer any) (done bool) {
	change := func(v any, key string) (any, bool) {
		switch x := v.(type) {
		case string:
			if eight.MatchString(x) {
				return x[:len(x)-2], true
			}
		case json.Number:
			if x == "8" && strings.HasSuffix(key, "decimals") {
				return 6, true
			}
		}
		return v, fewer(v)
	}
	var told bool
	switch x := answer.(type) {
	case []any:
		for i, v := range x {
			x[i], told = change(v, "")
			done = done || told
		}
	case map[string]any:
		for k, v := range x {
			x[k], told = change(v, k)
			done = done || told
		}
	}
	return done
}

// dearer makes the prices of those who sell higher.
func dearer(answer map[string]any) bool {
	asks, ok := answer["asks"].([]any)
	for _, a := range asks {
		if level, isList := a.([]any); isList && len(level) > 0 {
			if s, isText := level[0].(string); isText {
				level[0] = strings.Replace(s, "50", "55", 1)
			}
		}
		if level, isObject := a.(map[string]any); isObject {
			if s, isText := level["price"].(string); isText {
				level["price"] = strings.Replace(s, "50", "55", 1)
			}
		}
	}
	return ok && len(asks) > 0
}

// forge changes a digit of every proof in an answer.
func forge(answer any) (done bool) {
	switch x := answer.(type) {
	case []any:
		for _, v := range x {
			done = forge(v) || done
		}
	case map[string]any:
		for k, v := range x {
			if k == "proof" {
				x[k], done = bent(v), true
			} else {
				done = forge(v) || done
			}
		}
	}
	return done
}

// bent is a proof with its longest text changed in the middle.
func bent(v any) any {
	switch x := v.(type) {
	case string:
		if len(x) < 16 {
			return x
		}
		at := len(x) / 2
		other := byte('0')
		if x[at] == other {
			other = '1'
		}
		return x[:at] + string(other) + x[at+1:]
	case []any:
		for i := range x {
			x[i] = bent(x[i])
		}
	case map[string]any:
		for k := range x {
			x[k] = bent(x[k])
		}
	}
	return v
}

// texts are the fields that an operator, or another trader, writes as he likes.
var texts = map[string]bool{
	"name": true, "member": true, "detail": true, "title": true, "message": true, "software": true, "memo": true, "halted": true, "client": true, "network": true,
}

// spoil writes markup into all texts.
func spoil(answer any) (done bool) {
	switch x := answer.(type) {
	case []any:
		for _, v := range x {
			done = spoil(v) || done
		}
	case map[string]any:
		for k, v := range x {
			if _, isText := v.(string); isText && texts[k] {
				x[k], done = script, true
			} else {
				done = spoil(v) || done
			}
		}
	}
	return done
}
