package rpc_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"souk/asset"
	"souk/chain"
	"souk/chain/rpc"
	"souk/script"
)

// T-23: decimal numbers as daemons write them.
func TestAmount(t *testing.T) {
	for text, want := range map[string]asset.Amount{
		"0": 0, "0.0": 0, "0.00000000": 0, "1": 1e8, "1.25000000": 125_000_000, "1.25": 125_000_000, "0.00000001": 1,
		"1e-08": 1, "1e-8": 1, "1E-8": 1, "1.25e-06": 125, "2.1e+07": 21e14, "2.1e7": 21e14, "12.500065": 1_250_006_500,
		"21000000.00000000": 21e14, "84000000": 84e14, "0.000000010": 1, "0e5": 0, "0e-99": 0,
		"0.29999999": 29_999_999, "2.00000001": 200_000_001,
	} {
		var a rpc.Amount
		if err := json.Unmarshal([]byte(text), &a); err != nil || asset.Amount(a) != want {
			t.Errorf("%s is %d, %v", text, a, err)
		}
	}
	for _, text := range []string{
		"-1", "-0.0", "1.000000001", "1e-9", "1e20", "99999999999", "1e999", `"1"`, "null", "true", "[]", "4.656542373906925e-10",
		"1.00000000000000000000000000000000000000000000",
	} {
		var a rpc.Amount
		if err := a.UnmarshalJSON([]byte(text)); !errors.Is(err, chain.ErrMalformed) {
			t.Errorf("%s is %d, %v", text, a, err)
		}
	}
}

// T-23: what Go's float64, and so btcd, writes about an amount is that amount.
func TestAmountOfFloat(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.Uint64Range(0, 21e14).Draw(t, "units")
		text, err := json.Marshal(float64(want) / 1e8)
		if err != nil {
			t.Fatal(err)
		}
		var a rpc.Amount
		if err := json.Unmarshal(text, &a); err != nil || uint64(a) != want {
			t.Errorf("%s is %d, %v; want %d", text, a, err, want)
		}
		exact := fmt.Sprintf("%d.%08d", want/1e8, want%1e8)
		if err := json.Unmarshal([]byte(exact), &a); err != nil || uint64(a) != want {
			t.Errorf("%s is %d, %v", exact, a, err)
		}
	})
}

// T-40: a fraction of a unit is rounded up.
func TestRate(t *testing.T) {
	for text, want := range map[string]asset.Amount{
		"0.00200013": 200_013, "1e-05": 1000, "0.000010001": 1001, "-1": 0, "-1.0": 0, "0.0004": 40_000, "1e-12": 1, "0": 0,
	} {
		var r rpc.Rate
		if err := json.Unmarshal([]byte(text), &r); err != nil || asset.Amount(r) != want {
			t.Errorf("%s is %d, %v", text, r, err)
		}
	}
}

func FuzzAmount(f *testing.F) {
	for _, text := range []string{"1.25", "1e-08", "2.1e7", "0.00000001", "9e99"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var number json.Number
		if json.Unmarshal([]byte(text), &number) != nil || number == "" {
			return
		}
		var a rpc.Amount
		if err := a.UnmarshalJSON([]byte(text)); err != nil {
			return
		}
		var again rpc.Amount
		plain := asset.Format(asset.Amount(a), 8)
		if err := again.UnmarshalJSON([]byte(plain)); err != nil || again != a {
			t.Errorf("%s is %d, but %s is %d, %v", text, a, plain, again, err)
		}
	})
}

// T-25: lists with the root of another list are refused.
func TestMerkleRoot(t *testing.T) {
	ids := []script.Hash{{1}, {2}, {3}}
	root, ok := rpc.MerkleRoot(ids)
	if !ok {
		t.Fatal("no root")
	}
	if _, ok := rpc.MerkleRoot(append(ids, ids[2])); ok {
		t.Error("a list with an id twice has a root")
	}
	if other, ok := rpc.MerkleRoot([]script.Hash{{1}, {3}, {2}}); !ok || other == root {
		t.Error("order makes no difference")
	}
	if one, ok := rpc.MerkleRoot(ids[:1]); !ok || one != ids[0] {
		t.Error("root of one is another")
	}
	if _, ok := rpc.MerkleRoot(nil); ok {
		t.Error("nothing has a root")
	}
	if ids[2] != (script.Hash{3}) || len(ids) != 3 {
		t.Error("the list was changed")
	}
}

const answerOne = `{"result":1,"error":null,"id":null}`

func client(t *testing.T, c rpc.Config, answer http.HandlerFunc) *rpc.Client {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	c.URL = server.URL
	made, err := rpc.NewClient(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { made.Close() }) //nolint:errcheck // never fails
	return made
}

// What daemons, and what stands before them, may answer.
func TestAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
		want   error
	}{
		"result":            {200, answerOne, nil},
		"trailing line":     {200, answerOne + "\n", nil},
		"warm-up":           {500, `{"result":null,"error":{"code":-28,"message":"Loading"},"id":1}`, chain.ErrWarmup},
		"overloaded":        {503, "Work queue depth exceeded", chain.ErrWarmup},
		"denied":            {401, "", chain.ErrDenied},
		"forbidden":         {403, "", chain.ErrDenied},
		"gateway":           {502, "<html>", chain.ErrUnavailable},
		"crash":             {500, "<html>", chain.ErrUnavailable},
		"redirect":          {302, "", chain.ErrUnavailable},
		"not JSON":          {200, "<html>", chain.ErrMalformed},
		"cut short":         {200, answerOne[:10], chain.ErrMalformed},
		"empty":             {200, "", chain.ErrMalformed},
		"another type":      {200, `{"result":"x","error":null,"id":1}`, chain.ErrMalformed},
		"another request's": {200, `{"result":1,"error":null,"id":77}`, chain.ErrMalformed},
		"trailing garbage":  {200, answerOne + "x", chain.ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			c2 := client(t, rpc.Config{}, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", "http://127.0.0.1:1/")
				w.WriteHeader(c.status)
				io.WriteString(w, c.body) //nolint:errcheck // a test
			})
			var n int
			ok, err := c2.Call(t.Context(), &n, "getblockcount")
			if !errors.Is(err, c.want) || c.want == nil && (err != nil || !ok || n != 1) {
				t.Errorf("%d, %v, %v", n, ok, err)
			}
		})
	}
}

func TestNull(t *testing.T) {
	c := client(t, rpc.Config{}, func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, `{"result":null,"error":null,"id":1}`) //nolint:errcheck // a test
	})
	if ok, err := c.Call(t.Context(), nil, "gettxout"); ok || err != nil {
		t.Errorf("%v, %v", ok, err)
	}
}

// A daemon's text does not reach a terminal or log as it is.
func TestErrorText(t *testing.T) {
	c := client(t, rpc.Config{}, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
		text, _ := json.Marshal("red \x1b[31m\n" + strings.Repeat("x", 10_000)) //nolint:errchkjson // a string
		fmt.Fprintf(w, `{"result":null,"error":{"code":-5,"message":%s},"id":1}`, text)
	})
	_, err := c.Call(t.Context(), nil, "getblock")
	if !rpc.HasCode(err, -1, -5) || rpc.HasCode(err, -1) || len(err.Error()) > 500 || strings.ContainsAny(err.Error(), "\x1b\n") {
		t.Errorf("%q", err)
	}
}

// T-61: who waits gets the answer that comes in the end; who does not, does not.
func TestWarmup(t *testing.T) {
	var calls atomic.Int32
	answer := func(w http.ResponseWriter, _ *http.Request) {
		if calls.Add(1) < 4 {
			w.WriteHeader(http.StatusInternalServerError)
			io.WriteString(w, `{"result":null,"error":{"code":-28,"message":"Verifying"},"id":null}`) //nolint:errcheck // a test
			return
		}
		io.WriteString(w, answerOne) //nolint:errcheck // a test
	}
	if _, err := client(t, rpc.Config{}, answer).Call(t.Context(), nil, "x"); !errors.Is(err, chain.ErrWarmup) {
		t.Errorf("without waiting: %v", err)
	}
	if _, err := client(t, rpc.Config{Warmup: time.Minute}, answer).Call(t.Context(), nil, "x"); err != nil {
		t.Errorf("with waiting: %v", err)
	}
	calls.Store(-1000)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := client(t, rpc.Config{Warmup: time.Hour}, answer).Call(ctx, nil, "x"); err == nil {
		t.Error("waited longer than the caller")
	}
}

// T-62: the cookie is read when it is needed, and again after a restart of the daemon.
func TestCookie(t *testing.T) {
	var password atomic.Value
	password.Store("first")
	file := filepath.Join(t.TempDir(), ".cookie")
	c := client(t, rpc.Config{CookieFile: file}, func(w http.ResponseWriter, r *http.Request) {
		if user, given, _ := r.BasicAuth(); user != "__cookie__" || given != password.Load() {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		io.WriteString(w, answerOne) //nolint:errcheck // a test
	})
	if _, err := c.Call(t.Context(), nil, "x"); !errors.Is(err, chain.ErrUnavailable) {
		t.Errorf("no cookie yet: %v", err)
	}
	for _, word := range []string{"first", "second"} {
		if err := os.WriteFile(file, []byte("__cookie__:"+word+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		password.Store(word)
		if _, err := c.Call(t.Context(), nil, "x"); err != nil {
			t.Errorf("%s cookie: %v", word, err)
		}
	}
	password.Store("third")
	if _, err := c.Call(t.Context(), nil, "x"); !errors.Is(err, chain.ErrDenied) || strings.Contains(err.Error(), "second") {
		t.Errorf("stale cookie: %v", err)
	}
}

// T-61: a connection that breaks is tried once more, and the daemon's silence ends.
func TestConnection(t *testing.T) {
	var calls atomic.Int32
	c := client(t, rpc.Config{Timeout: 200 * time.Millisecond}, func(w http.ResponseWriter, r *http.Request) {
		switch calls.Add(1) {
		case 1:
			panic(http.ErrAbortHandler)
		case 2:
			io.WriteString(w, answerOne) //nolint:errcheck // a test
		default:
			io.Copy(io.Discard, r.Body) //nolint:errcheck // so that the server notices who leaves
			<-r.Context().Done()
		}
	})
	if _, err := c.Call(t.Context(), nil, "x"); err != nil {
		t.Errorf("after a break: %v", err)
	}
	if _, err := c.Call(t.Context(), nil, "x"); !errors.Is(err, chain.ErrUnavailable) {
		t.Errorf("silence: %v", err)
	}
	go func() {
		time.Sleep(20 * time.Millisecond)
		c.Close() //nolint:errcheck // never fails
	}()
	if _, err := c.Call(t.Context(), nil, "x"); !errors.Is(err, chain.ErrClosed) && !errors.Is(err, chain.ErrUnavailable) {
		t.Errorf("closed meanwhile: %v", err)
	}
	if _, err := c.Call(t.Context(), nil, "x"); !errors.Is(err, chain.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}

func TestAddress(t *testing.T) {
	for _, url := range []string{"", "localhost:8332", "ftp://localhost", "http://alice:secret@localhost:8332", "http://"} {
		_, err := rpc.NewClient(rpc.Config{URL: url})
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", url, err)
		}
	}
	if _, err := rpc.NewClient(rpc.Config{URL: "https://localhost", Roots: []byte("no certificate")}); err == nil {
		t.Error("took something else for certificates")
	}
}

// T-62.
func TestConfigPrints(t *testing.T) {
	c := rpc.Config{URL: "http://localhost:8332", User: "alice-name", Password: "alice-secret"}
	made, err := rpc.NewClient(c)
	if err != nil {
		t.Fatal(err)
	}
	js, err := json.Marshal(map[string]any{"config": c})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []any{c, &c, struct{ C rpc.Config }{c}, []rpc.Config{c}, made} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			js = fmt.Appendf(js, verb, v)
		}
	}
	if strings.Contains(string(js), "alice") || strings.Contains(string(js), fmt.Sprintf("%x", "alice")) {
		t.Errorf("credentials in %s", js)
	}
}

// T-25: a daemon that spells out another block, or other transactions, is caught.
func TestReadBlock(t *testing.T) {
	// Block 1 of Bitcoin.
	const sound = `{"hash":"00000000839a8e6886ab5951d76f411475428afc90947ee320161bbf18eb6048","height":1,"version":1,
		"merkleroot":"0e3e2357e806b6cdb1f70b54c3a3a17b6714ee1f0e68bebb44a74b1efd512098","time":1231469665,"nonce":2573394689,
		"bits":"1d00ffff","previousblockhash":"000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f",
		"tx":[{"txid":"0e3e2357e806b6cdb1f70b54c3a3a17b6714ee1f0e68bebb44a74b1efd512098","vin":[{"coinbase":"04ffff001d0104"}],
		"vout":[{"value":50.00000000,"n":0,"scriptPubKey":{"hex":"51"}}]}]}`
	hash, err := script.ParseHash("00000000839a8e6886ab5951d76f411475428afc90947ee320161bbf18eb6048")
	if err != nil {
		t.Fatal(err)
	}
	at := chain.Point{Height: 1, Hash: hash}
	for name, c := range map[string]struct {
		old, new string
		ok       bool
	}{
		"sound":               {"", "", true},
		"rawtx":               {`"tx":`, `"rawtx":`, true},
		"another hash":        {`"hash":"00000000839a`, `"hash":"00000000839b`, false},
		"another height":      {`"height":1`, `"height":2`, false},
		"another time":        {"1231469665", "1231469666", false},
		"another bits":        {"1d00ffff", "1d00fffe", false},
		"no bits":             {"1d00ffff", "", false},
		"another parent":      {"0019d668", "0019d669", false},
		"another transaction": {`"txid":"0e3e`, `"txid":"0e3f`, false},
		"upper case":          {`"txid":"0e3e`, `"txid":"0E3E`, false},
		"no transactions":     {`"tx":`, `"nothing":`, false},
		"negative time":       {"1231469665", "-1", false},
	} {
		body := strings.Replace(sound, c.old, c.new, 1)
		cl := client(t, rpc.Config{}, func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, `{"result":%s,"error":null,"id":null}`, body)
		})
		b, err := rpc.ReadBlock(t.Context(), cl, at)
		if c.ok != (err == nil) || err != nil && !errors.Is(err, chain.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err == nil {
			m, err := b.Transactions[0].Match()
			if err != nil || !m.Coinbase || len(m.Outputs) != 1 || m.Outputs[0].Amount != 50e8 {
				t.Errorf("%s: %+v, %v", name, m, err)
			}
		}
	}
}

func FuzzMatch(f *testing.F) {
	f.Add(`{"txid":"0e3e2357e806b6cdb1f70b54c3a3a17b6714ee1f0e68bebb44a74b1efd512098","vin":[{"txid":"0e3e2357e806b6cdb1f70b54c3a3a17b6714ee1f0e68bebb44a74b1efd512098","vout":1}],"vout":[{"value":50.0,"n":0,"scriptPubKey":{"hex":"51"}}]}`)
	f.Add(`{"vin":[{"ismweb":true}],"vout":[{"ismweb":true},{"value":1e-8,"n":0,"scriptPubKey":{"hex":"","nameOp":{}}}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		var tx rpc.Transaction
		if json.Unmarshal([]byte(text), &tx) != nil {
			return
		}
		m, err := tx.Match()
		if err != nil && !errors.Is(err, chain.ErrMalformed) {
			t.Error(err)
		}
		if err == nil && len(m.Outputs) > len(tx.Outputs) {
			t.Errorf("%d outputs of %d", len(m.Outputs), len(tx.Outputs))
		}
	})
}
