package web_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"

	"souk/api"
)

// answered is what a server answered.
type answered struct {
	status  int
	header  http.Header
	body    []byte
	problem api.Error // if it is one
}

// call sends a request as it is.
func call(t testing.TB, n *node, method, target string, body []byte, header http.Header) answered {
	t.Helper()
	req, err := http.NewRequestWithContext(within(t, 20*time.Second), method, n.url+target, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range header {
		req.Header[k] = v
		if k == "Host" {
			req.Host = v[0]
		}
	}
	return send(t, req)
}

func send(t testing.TB, req *http.Request) answered {
	t.Helper()
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	a := answered{status: resp.StatusCode, header: resp.Header}
	if a.body, err = io.ReadAll(resp.Body); err != nil {
		t.Fatal(err)
	}
	if resp.Header.Get("Content-Type") == api.Problem {
		if err := json.Unmarshal(a.body, &a.problem); err != nil {
			t.Fatalf("%s: %v", a.body, err)
		}
		if a.problem.Status != a.status || a.problem.Detail == "" || a.problem.Title == "" || a.problem.Code == "" {
			t.Errorf("problem %s with status %d", a.body, a.status)
		}
	}
	return a
}

// signed is the header of a signed read.
func signed(f *federation, name, method, target string) http.Header {
	s := signer(name)
	token := api.SignRead(f.id, s.Account, s.Key, uint64(time.Now().UnixMilli()), method, target)
	return http.Header{api.ReadHeader: {token.String()}}
}
