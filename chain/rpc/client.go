// Package rpc is what the adapters over JSON-RPC share: a client for daemons that
// speak as Bitcoin Core does (btcd, bitcoind, Knots, ltcd, litecoind, namecoind),
// and Node, which is a chain.Backend but for how a block is read.
//
// Credentials come from a cookie file or from memory, are sent to the daemon and
// appear nowhere else: in no error, no log and no printed value. Floor 2, inside the
// port chain; only adapters and tools that run daemons use it.
package rpc

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"

	"souk/chain"
)

// Limits.
const (
	// maxAnswer bounds an answer: a block of 4 MB takes about 60 MB when a daemon spells it out.
	maxAnswer = 256 << 20
	// maxText bounds what is kept of a daemon's text.
	maxText = 300
	// defaultTimeout is for one request. A busy daemon takes seconds for a large block.
	defaultTimeout = 60 * time.Second

	firstPause = 100 * time.Millisecond
	longPause  = 5 * time.Second
)

// Config says where a daemon is and how it knows us.
type Config struct {
	// URL is http://host:port or https://host:port, without credentials.
	URL string
	// CookieFile is the file in which the daemon writes user:password whenever it
	// starts. It is read again when the daemon refuses what it said before.
	CookieFile string
	// User and Password are used if there is no CookieFile.
	User, Password string
	// Roots are certificates in PEM that https may end in, instead of the system's.
	Roots []byte
	// Timeout is for one request; 0 stands for a minute.
	Timeout time.Duration
	// Warmup is how long a call waits for a daemon that is starting or overloaded
	// before it fails. 0 stands for not at all, so that the caller decides.
	Warmup time.Duration
}

// Format writes the configuration without credentials, whatever the verb.
func (c Config) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "daemon at "+c.URL) }

// MarshalText returns the configuration without credentials.
func (c Config) MarshalText() ([]byte, error) { return []byte("daemon at " + c.URL), nil }

// Error is what a daemon answers instead of a result.
type Error struct {
	Code    int
	Message string
}

// Error says the code and the words of the daemon.
func (e *Error) Error() string { return fmt.Sprintf("daemon says %d: %s", e.Code, e.Message) }

// Codes of daemons.
const (
	codeOutOfRange = -1 // btcd: a height above the tip
	codeNotFound   = -5 // a block or transaction
	codeParameter  = -8 // a height above the tip, among others
	codeMalformed  = -22
	codeRefused    = -25
	codeRejected   = -26
	codeInChain    = -27
	codeWarmup     = -28
	codeNoMethod   = -32601
)

// Client calls one daemon. It may be used by several goroutines at once.
type Client struct {
	url     string
	cookie  string
	warmup  time.Duration
	http    *http.Client
	ctx     context.Context //nolint:containedctx // ends every call at Close
	cancel  context.CancelFunc
	number  atomic.Uint64
	mu      sync.Mutex
	secrets func() (user, password string) // nil until the cookie has been read
}

// NewClient returns a client. It does not call the daemon yet.
func NewClient(c Config) (*Client, error) {
	at, err := url.Parse(c.URL)
	if err != nil || at.Host == "" || at.Scheme != "http" && at.Scheme != "https" {
		return nil, errors.New("address of the daemon is not http://host:port or https://host:port")
	}
	if at.User != nil {
		return nil, errors.New("credentials do not belong in the address of the daemon")
	}
	timeout := c.Timeout
	if timeout == 0 {
		timeout = defaultTimeout
	}
	transport := &http.Transport{ // no proxy: credentials are for the daemon
		DialContext:         (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		MaxIdleConnsPerHost: 4,
		IdleConnTimeout:     20 * time.Second, // shorter than any daemon's
		TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12},
	}
	if len(c.Roots) > 0 {
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(c.Roots) {
			return nil, errors.New("no certificate in the roots for the daemon")
		}
		transport.TLSClientConfig.RootCAs = pool
	}
	client := &Client{
		url:    c.URL,
		cookie: c.CookieFile,
		warmup: c.Warmup,
		http: &http.Client{
			Transport:     transport,
			Timeout:       timeout,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	client.ctx, client.cancel = context.WithCancel(context.Background())
	if c.CookieFile == "" {
		user, password := c.User, c.Password
		client.secrets = func() (string, string) { return user, password }
	}
	return client, nil
}

// Close ends every call, those that come later too, with chain.ErrClosed.
func (c *Client) Close() error {
	c.cancel()
	c.http.CloseIdleConnections()
	return nil
}

// Call calls a method that changes nothing and reads its result into result, unless that
// is nil. It tries again once if the connection fails, and as long as Config.Warmup
// says if the daemon is starting. ok is false if the result is null. Errors are those
// of the port (T-60 to T-62), and *Error for what else the daemon says.
func (c *Client) Call(ctx context.Context, result any, method string, params ...any) (ok bool, err error) {
	again := true
	pause := firstPause
	for end := time.Now().Add(c.warmup); ; {
		ok, err = c.Do(ctx, result, method, params...)
		switch {
		case errors.Is(err, chain.ErrWarmup) && time.Now().Before(end):
			timer := time.NewTimer(pause)
			pause = min(2*pause, longPause)
			select {
			case <-timer.C:
				continue
			case <-ctx.Done():
			case <-c.ctx.Done():
			}
			timer.Stop()
			return false, err
		case errors.Is(err, errConnection) && again && ctx.Err() == nil && c.ctx.Err() == nil:
			again = false
			continue
		}
		return ok, err
	}
}

// errConnection marks what is worth one more try.
var errConnection = fmt.Errorf("connection: %w", chain.ErrUnavailable)

// Do calls a method once.
func (c *Client) Do(ctx context.Context, result any, method string, params ...any) (ok bool, err error) {
	ok, status, err := c.post(ctx, result, method, params)
	if status == http.StatusUnauthorized && c.cookie != "" {
		c.mu.Lock()
		c.secrets = nil // the daemon has started anew
		c.mu.Unlock()
		ok, _, err = c.post(ctx, result, method, params)
	}
	if c.ctx.Err() != nil {
		return false, chain.ErrClosed
	}
	if err != nil {
		return false, fmt.Errorf("%s: %w", method, err)
	}
	return ok, nil
}

type request struct {
	Version string `json:"jsonrpc"`
	ID      uint64 `json:"id"`
	Method  string `json:"method"`
	Params  []any  `json:"params"`
}

type answer struct {
	Result any    `json:"result"`
	Error  *Error `json:"error"`
	ID     *any   `json:"id"`
}

func (c *Client) post(ctx context.Context, result any, method string, params []any) (ok bool, status int, err error) {
	user, password, err := c.credentials()
	if err != nil {
		return false, 0, err
	}
	if params == nil {
		params = []any{}
	}
	id := c.number.Add(1)
	body, err := json.Marshal(request{"1.0", id, method, params})
	if err != nil {
		return false, 0, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.ctx, cancel)()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return false, 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.SetBasicAuth(user, password)
	resp, err := c.http.Do(req)
	if err != nil {
		return false, 0, connection(ctx, err)
	}
	defer func() {
		_, _ = io.CopyN(io.Discard, resp.Body, 1<<10) // the line feed, so that the connection is kept
		_ = resp.Body.Close()                         // read only
	}()
	if result == nil {
		result = new(json.RawMessage)
	}
	ok, err = read(ctx, resp, id, result)
	return ok, resp.StatusCode, err
}

// read takes an answer apart. Daemons that speak version 1.0 put errors into
// bodies of status 404 and 500.
func read(ctx context.Context, resp *http.Response, id uint64, result any) (bool, error) {
	switch resp.StatusCode {
	case http.StatusOK, http.StatusNotFound, http.StatusInternalServerError:
	case http.StatusUnauthorized, http.StatusForbidden:
		return false, chain.ErrDenied
	case http.StatusServiceUnavailable:
		return false, fmt.Errorf("daemon is overloaded: %w", chain.ErrWarmup)
	default:
		return false, fmt.Errorf("status %d: %w", resp.StatusCode, chain.ErrUnavailable)
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return false, connection(ctx, err)
	}
	if len(data) > maxAnswer {
		return false, fmt.Errorf("answer above %d bytes: %w", maxAnswer, chain.ErrMalformed)
	}
	a := answer{Result: result}
	if err := json.Unmarshal(data, &a); err != nil {
		if resp.StatusCode != http.StatusOK { // of something that stands before the daemon
			return false, fmt.Errorf("status %d: %w", resp.StatusCode, chain.ErrUnavailable)
		}
		return false, fmt.Errorf("%w: %w", chain.ErrMalformed, err)
	}
	if a.Error != nil {
		a.Error.Message = printable(a.Error.Message)
		if a.Error.Code == codeWarmup {
			return false, fmt.Errorf("%w: %s", chain.ErrWarmup, a.Error.Message)
		}
		return false, a.Error
	}
	if a.ID != nil {
		if got, ok := (*a.ID).(float64); !ok || got != float64(id) {
			return false, fmt.Errorf("answer to another request: %w", chain.ErrMalformed)
		}
	}
	return a.Result != nil, nil
}

// connection turns an error of the network into one of the port.
func connection(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%w: %w", chain.ErrUnavailable, ctx.Err())
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return fmt.Errorf("%w: no answer in time", chain.ErrUnavailable)
	}
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err // without the address
	}
	return fmt.Errorf("%w: %v", errConnection, err) //nolint:errorlint // one cause
}

// credentials returns what the daemon knows us by.
func (c *Client) credentials() (user, password string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.secrets == nil {
		data, err := os.ReadFile(c.cookie)
		if err != nil {
			return "", "", fmt.Errorf("cookie file of the daemon: %w: %w", chain.ErrUnavailable, err)
		}
		user, password, ok := strings.Cut(strings.TrimSpace(string(data)), ":")
		if !ok {
			return "", "", fmt.Errorf("cookie file %s is not user:password: %w", c.cookie, chain.ErrDenied)
		}
		c.secrets = func() (string, string) { return user, password }
	}
	user, password = c.secrets()
	return user, password, nil
}

// printable cuts a daemon's text to what may go to a terminal or a log.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
	if len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText], "")
	}
	return s
}

// HasCode tells whether a daemon answered an error of one of these codes.
func HasCode(err error, codes ...int) bool {
	var e *Error
	if !errors.As(err, &e) {
		return false
	}
	for _, code := range codes {
		if e.Code == code {
			return true
		}
	}
	return false
}
