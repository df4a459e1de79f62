// Package wallet speaks JSON-RPC as programs expect it that drive bitcoind or litecoind, so
// that a wallet front end or a script uses an account at a virtual server instead: it asks
// for balances and new addresses, sends, and lists what came and went. There is a wallet
// for each bank, "/wallet/btc" for example, and "/" is the default one.
//
// It decides nothing and keeps nothing: what it is asked for it asks an Account for. Where
// an account at a virtual server is no wallet (it has no coins of its own, no keys to show,
// no transactions to make), it says so. The rules are docs/spec/21-gate.md; comments cite
// them by number (J-50).
//
// Where to look: requests and their errors here, who may ask in auth.go, which method does
// what in methods.go, moving coins in send.go and list.go, amounts in amount.go.
//
// This is floor 4: a face.
package wallet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Codes of errors, as bitcoind has them.
const (
	codeMisc           = -1
	codeType           = -3
	codeWallet         = -4
	codeAddress        = -5
	codeFunds          = -6
	codeParameter      = -8
	codeNoAddress      = -12
	codeEncryption     = -15
	codeNoWallet       = -18
	codeNoSuchName     = -19
	codeWarmup         = -28
	codeDeprecated     = -32
	codeLoaded         = -35
	codeInvalidRequest = -32600
	codeNoMethod       = -32601
	codeInternal       = -32603
	codeParse          = -32700
)

// Limits of a request.
const (
	maxBody  = 64 << 10
	maxBatch = 100
	// patience is for all of one HTTP request. It ends well before the server of HTTP closes
	// a connection on which nothing is written: who asks shall be told why.
	patience = 25 * time.Second
	// look is how long it may take to learn which wallets there are, before anything else: as
	// long as no server is there, every request ends here.
	look = 4 * time.Second
)

// Config is what the door is made of.
type Config struct {
	Account Account
	// Default is the wallet of the path "/"; empty: the only one, or the request must name one.
	Default string
	// Users may ask.
	Users *Users
	// Calls is how many requests are worked on at once; zero: any number.
	Calls int
	// Version is that of the program, as getnetworkinfo tells it.
	Version string
	// Log gets what goes wrong; nil is silence.
	Log *slog.Logger
}

// Door is the http.Handler of the dialect.
type Door struct {
	config  Config
	log     *slog.Logger
	began   time.Time
	methods map[string]method
	slots   chan struct{} // of requests that are worked on; nil: any number
}

// New makes a door.
func New(c Config) *Door {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	d := &Door{config: c, log: c.Log, began: time.Now(), methods: methods()}
	if c.Calls > 0 {
		d.slots = make(chan struct{}, c.Calls)
	}
	return d
}

// rpcError is an error as a response has it.
type rpcError struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

// Error is the message.
func (e *rpcError) Error() string { return e.Message }

func fault(code int, format string, args ...any) *rpcError {
	return &rpcError{code, fmt.Sprintf(format, args...)}
}

// call is one request that is being answered.
type call struct {
	door   *Door
	wallet string // of the path; empty: the default
	id     string // as its sender has numbered it
	params []json.RawMessage
}

// request is a request as it came.
type request struct {
	Version json.RawMessage `json:"jsonrpc"`
	ID      json.RawMessage `json:"id"`
	Method  json.RawMessage `json:"method"`
	Params  json.RawMessage `json:"params"`
}

// second tells whether the request is one of JSON-RPC 2.0, whose errors are no errors of HTTP.
func (r *request) second() bool { return string(r.Version) == `"2.0"` }

// ServeHTTP answers "/" and "/wallet/" and a name.
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "JSONRPC server handles only POST requests", http.StatusMethodNotAllowed)
		return
	}
	name, ok := walletOf(r.URL.Path)
	if !ok {
		http.NotFound(w, r)
		return
	}
	if !d.config.Users.admit(w, r) {
		return
	}
	if d.slots != nil { // only of who may ask: others, who wait for their answers, fill none
		select {
		case d.slots <- struct{}{}:
			defer func() { <-d.slots }()
		default:
			busy(w)
			return
		}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			w.Header().Set("Connection", "close")
			reply(w, http.StatusRequestEntityTooLarge, response(&request{}, nil, fault(codeInvalidRequest, "the request has more than %d bytes", maxBody)))
			return
		}
		reply(w, http.StatusBadRequest, response(&request{}, nil, fault(codeParse, "Parse error")))
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	d.answer(ctx, w, name, body)
}

// busy answers as bitcoind does when it has too much to do.
func busy(w http.ResponseWriter) {
	http.Error(w, "Work queue depth exceeded", http.StatusServiceUnavailable)
}

// walletOf is the wallet that a path names.
func walletOf(path string) (string, bool) {
	if path == "/" || path == "/wallet" || path == "/wallet/" {
		return "", true
	}
	name, ok := strings.CutPrefix(path, "/wallet/")
	return strings.ToLower(name), ok && !strings.Contains(name, "/")
}

func (d *Door) answer(ctx context.Context, w http.ResponseWriter, wallet string, body []byte) {
	body = bytes.TrimSpace(body)
	if len(body) > 0 && body[0] == '[' {
		d.batch(ctx, w, wallet, body)
		return
	}
	var one request
	if err := one.parse(body); err != nil {
		e := fault(codeParse, "Parse error")
		if len(body) > 0 && json.Valid(body) {
			e = fault(codeInvalidRequest, "Top-level object parse error")
		}
		reply(w, status(e, false), response(&one, nil, e))
		return
	}
	result, e := d.run(ctx, wallet, &one)
	if one.second() && one.ID == nil { // a notification
		w.WriteHeader(http.StatusNoContent)
		return
	}
	reply(w, status(e, one.second()), response(&one, result, e))
}

// batch answers requests one after the other.
func (d *Door) batch(ctx context.Context, w http.ResponseWriter, wallet string, body []byte) {
	var all []json.RawMessage
	if err := json.Unmarshal(body, &all); err != nil {
		e := fault(codeParse, "Parse error")
		reply(w, status(e, false), response(&request{}, nil, e))
		return
	}
	if len(all) > maxBatch {
		e := fault(codeInvalidRequest, "a batch has at most %d requests", maxBatch)
		reply(w, status(e, false), response(&request{}, nil, e))
		return
	}
	answers := []json.RawMessage{}
	for _, raw := range all {
		var one request
		if err := one.parse(raw); err != nil {
			answers = append(answers, response(&one, nil, fault(codeInvalidRequest, "Invalid Request object")))
			continue
		}
		result, e := d.run(ctx, wallet, &one)
		if one.second() && one.ID == nil {
			continue
		}
		answers = append(answers, response(&one, result, e))
	}
	if len(answers) == 0 && len(all) > 0 {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	reply(w, http.StatusOK, encode(answers))
}

// parse reads a request. One that has a member twice, also in another case, is refused: others
// who look at it on its way may take the other one.
func (r *request) parse(raw json.RawMessage) error {
	if err := json.Unmarshal(raw, r); err != nil {
		return err
	}
	if name, ok := twice(raw); ok {
		return fault(codeInvalidRequest, "%s stands twice in the request", name)
	}
	return nil
}

// twice is a name that stands twice in an object.
func twice(raw json.RawMessage) (name string, ok bool) {
	d := json.NewDecoder(bytes.NewReader(raw))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return "", false
	}
	seen := map[string]bool{}
	for d.More() {
		t, err := d.Token()
		name, ok := t.(string)
		if err != nil || !ok {
			return "", false
		}
		if folded := strings.ToLower(strings.ToUpper(name)); seen[folded] {
			return name, true
		} else {
			seen[folded] = true
		}
		var value json.RawMessage
		if d.Decode(&value) != nil {
			return "", false
		}
	}
	return "", false
}

// run answers one request.
func (d *Door) run(ctx context.Context, wallet string, r *request) (result any, e *rpcError) {
	var name string
	if r.Method == nil {
		return nil, fault(codeInvalidRequest, "Missing method")
	}
	if json.Unmarshal(r.Method, &name) != nil {
		return nil, fault(codeInvalidRequest, "Method must be a string")
	}
	m, ok := d.methods[name]
	if !ok {
		return nil, fault(codeNoMethod, "Method not found")
	}
	params, e := m.arguments(r.Params)
	if e != nil {
		return nil, e
	}
	c := &call{door: d, wallet: wallet, id: string(r.ID), params: params}
	result, err := m.run(ctx, c)
	if err == nil {
		return result, nil
	}
	return nil, d.explain(ctx, name, err)
}

// explain makes an error of an account one of the dialect.
func (d *Door) explain(ctx context.Context, method string, err error) *rpcError {
	var e *rpcError
	if errors.As(err, &e) {
		return e
	}
	for _, known := range []struct {
		err  error
		code int
	}{
		{ErrNoWallet, codeNoWallet},
		{ErrAddress, codeAddress},
		{ErrAmount, codeType},
		{ErrFunds, codeFunds},
		{ErrNoAddress, codeNoAddress},
		{ErrScope, codeWallet},
		{ErrTwice, codeWallet},
		{ErrKey, codeParameter},
		{ErrUndecided, codeWallet},
		{ErrNoTransaction, codeAddress},
		{ErrUnavailable, codeWarmup},
	} {
		if errors.Is(err, known.err) {
			return fault(known.code, "%s", capital(err.Error()))
		}
	}
	if ctx.Err() != nil {
		return fault(codeMisc, "No answer in time. Ask again.")
	}
	d.log.WarnContext(ctx, "a request of a wallet's failed", slog.String("method", method), slog.Any("error", err))
	return fault(codeInternal, "The gate has a fault; its log says more.")
}

// capital begins a sentence.
func capital(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// status is the status of HTTP that goes with an error; in the second version errors are
// answers like others.
func status(e *rpcError, second bool) int {
	switch {
	case e == nil || second:
		return http.StatusOK
	case e.Code == codeInvalidRequest:
		return http.StatusBadRequest
	case e.Code == codeNoMethod:
		return http.StatusNotFound
	}
	return http.StatusInternalServerError
}

// response is the response to a request.
func response(r *request, result any, e *rpcError) json.RawMessage {
	id := r.ID
	if id == nil {
		id = json.RawMessage("null")
	}
	switch {
	case r.second() && e != nil:
		return encode(struct {
			Version string          `json:"jsonrpc"`
			Error   *rpcError       `json:"error"`
			ID      json.RawMessage `json:"id"`
		}{"2.0", e, id})
	case r.second():
		return encode(struct {
			Version string          `json:"jsonrpc"`
			Result  any             `json:"result"`
			ID      json.RawMessage `json:"id"`
		}{"2.0", result, id})
	}
	return encode(struct {
		Result any             `json:"result"`
		Error  *rpcError       `json:"error"`
		ID     json.RawMessage `json:"id"`
	}{result, e, id})
}

func encode(v any) json.RawMessage {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return json.RawMessage(`{"result":null,"error":{"code":-32603,"message":"The gate has a fault."},"id":null}`)
	}
	return bytes.TrimSpace(b.Bytes())
}

func reply(w http.ResponseWriter, status int, body json.RawMessage) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	body = append(body, '\n')
	_, _ = bytes.NewReader(body).WriteTo(w) // a peer that does not take it is gone
}

// name is the wallet that the call is about.
func (c *call) name(ctx context.Context) (string, error) {
	short, cancel := context.WithTimeout(ctx, look)
	defer cancel()
	all, err := c.door.config.Account.Wallets(short)
	switch {
	case err != nil && short.Err() != nil:
		return "", fmt.Errorf("%w: no server answers, ask again later", ErrUnavailable)
	case err != nil:
		return "", err
	}
	name := c.wallet
	switch {
	case name == "" && c.door.config.Default != "":
		name = strings.ToLower(c.door.config.Default)
	case name == "" && len(all) == 1:
		return all[0], nil
	case name == "" && len(all) == 0:
		return "", fault(codeNoWallet, "No wallet is loaded: this virtual server has no banks.")
	case name == "":
		return "", fault(codeNoSuchName, "Wallet file not specified (must request wallet RPC through /wallet/<filename> uri-path).")
	}
	if !slices.Contains(all, name) {
		return "", fault(codeNoWallet, "Requested wallet does not exist or is not loaded")
	}
	return name, nil
}
