package conformance_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/coder/websocket"

	"souk/asset"
)

// caller sends requests as a client with an HMAC key does.
type caller struct {
	http   *http.Client
	base   string
	key    string
	secret string
}

func (w *world) caller(tr *trader) *caller {
	return &caller{w.http, w.url, tr.key.ID, tr.secret}
}

// refusal is an error of the dialect.
type refusal struct {
	Status int
	Code   int    `json:"code"`
	Text   string `json:"msg"`
}

func (r *refusal) Error() string { return fmt.Sprintf("%d, %d: %s", r.Status, r.Code, r.Text) }

func (c *caller) sign(payload string) string {
	h := hmac.New(sha256.New, []byte(c.secret))
	h.Write([]byte(payload))
	return hex.EncodeToString(h.Sum(nil))
}

// signed sends a signed request with all parameters in the query.
func (c *caller) signed(ctx context.Context, method, path string, values url.Values, into any) error {
	values.Set("timestamp", strconv.FormatInt(time.Now().UnixMilli(), 10))
	values.Set("recvWindow", "60000")
	query := values.Encode()
	return c.send(ctx, method, path+"?"+query+"&signature="+c.sign(query), "", into)
}

// send sends a request as it is.
func (c *caller) send(ctx context.Context, method, target, body string, into any) error {
	r, err := http.NewRequestWithContext(ctx, method, c.base+target, strings.NewReader(body))
	if err != nil {
		return err
	}
	if c.key != "" {
		r.Header.Set("X-MBX-APIKEY", c.key)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // it was read
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		e := &refusal{Status: resp.StatusCode}
		if err := json.Unmarshal(data, e); err != nil {
			return fmt.Errorf("status %d: %s", resp.StatusCode, data)
		}
		return e
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("%s: %w", data, err)
	}
	return nil
}

// depthBook is a book as clients keep it: a snapshot, then changes without gaps (N-30).
type depthBook struct {
	last       uint64
	begun      bool
	bids, asks map[string]string
	changes    int
}

type depthValue struct {
	Last uint64      `json:"lastUpdateId"`
	Bids [][2]string `json:"bids"`
	Asks [][2]string `json:"asks"`
}

type depthChange struct {
	Event string      `json:"e"`
	At    uint64      `json:"E"` // names differ by case only, and decoding goes by the exact one first
	First uint64      `json:"U"`
	Last  uint64      `json:"u"`
	Bids  [][2]string `json:"b"`
	Asks  [][2]string `json:"a"`
}

func setLevels(side map[string]string, levels [][2]string) {
	for _, l := range levels {
		if strings.Trim(l[1], "0.") == "" {
			delete(side, l[0])
		} else {
			side[l[0]] = l[1]
		}
	}
}

// take applies a change, and answers an error for a gap or a repeat.
func (b *depthBook) take(c *depthChange) error {
	switch {
	case !b.begun && c.Last <= b.last:
		return nil
	case !b.begun && c.First > b.last+1, b.begun && c.First != b.last+1, c.Last < c.First:
		return fmt.Errorf("a change from %d to %d comes after %d", c.First, c.Last, b.last)
	}
	b.begun, b.last = true, c.Last
	b.changes++
	setLevels(b.bids, c.Bids)
	setLevels(b.asks, c.Asks)
	return nil
}

// dial opens a stream.
func (w *world) dial(ctx context.Context, path string) (*websocket.Conn, error) {
	conn, resp, err := websocket.Dial(ctx, "wss"+strings.TrimPrefix(w.url, "https")+path, &websocket.DialOptions{HTTPClient: w.http}) //nolint:bodyclose // there is none
	if err != nil {
		if resp != nil {
			return nil, fmt.Errorf("%w: status %d", err, resp.StatusCode)
		}
		return nil, err
	}
	conn.SetReadLimit(16 << 20)
	return conn, nil
}

// amountText writes an amount with eight decimals.
func amountText(a asset.Amount) string { return asset.Format(a, 8) }
