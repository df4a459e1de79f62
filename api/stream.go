package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// ErrGone is wrapped by the GoneError that ends a stream.
var ErrGone = errors.New("the stream cannot go on without a gap")

// GoneError ends a stream whose cursor is older than what any server that answers still
// keeps. Who kept something by it reads that again, and goes on from the height of what he read.
type GoneError struct {
	Cursor string // the one that is too old
	Oldest string // the oldest that would do, with the server that keeps most
}

func (e *GoneError) Error() string {
	return fmt.Sprintf("%v: cursor %s is too old, what blocks did is kept behind %s", ErrGone, e.Cursor, e.Oldest)
}

// Unwrap makes it an ErrGone.
func (e *GoneError) Unwrap() error { return ErrGone }

// Times of streams.
const (
	// streamOpen is how long a server may take to begin a stream, streamSilence how long it may be silent then (H-113).
	streamOpen    = 5 * time.Second
	streamSilence = 40 * time.Second
	// streamPause is the longest pause between two rounds of all servers.
	streamPause = 5 * time.Second
	// maxEvent is the largest message that is read.
	maxEvent = 64 << 20
)

// EventsRequest says what a stream is to tell.
type EventsRequest struct {
	// Markets are numbers or names; "all" alone is all of them, also those to come.
	Markets []string
	// Account reads what happens to its account as well; nil: no account.
	Account *Signer
	// After is the cursor behind which to begin, or the height of what was read; empty: now.
	After string
	// Alive yields also the messages that only have a cursor: the first of every
	// connection, and one in 15 seconds without others.
	Alive bool
}

// target is the request's path and query.
func (r *EventsRequest) target(after string) string {
	q := url.Values{}
	if len(r.Markets) > 0 {
		q.Set("markets", strings.Join(r.Markets, ","))
	}
	if r.Account != nil {
		q.Set("account", r.Account.Account.String())
	}
	if after != "" {
		q.Set("after", after)
	}
	return Prefix + "/events?" + q.Encode()
}

// Events yields what blocks do, of what is asked for: in order, each block once, none
// left out. When a server is out of reach, silent or too slow it goes on with the next
// one behind the last block, and it never gives up by itself. It ends with a *GoneError, with a
// server's refusal of what was asked for, or with ctx's error.
func (c *Client) Events(ctx context.Context, r EventsRequest) iter.Seq2[*BlockEvents, error] {
	return func(yield func(*BlockEvents, error) bool) {
		if _, err := c.ID(ctx); err != nil {
			yield(nil, err)
			return
		}
		f := &follower{client: c, request: &r, cursor: r.After, yield: yield}
		if err := f.follow(ctx); err != nil && !f.left {
			yield(nil, err)
		}
	}
}

// follower is a stream that goes from server to server.
type follower struct {
	client  *Client
	request *EventsRequest
	yield   func(*BlockEvents, error) bool
	cursor  string
	height  uint64 // of cursor
	moved   bool   // the connection told more than that it is there
	left    bool   // whoever reads has had enough
}

// errLeft ends a stream whose reader has had enough.
var errLeft = errors.New("the reader has left")

// follow goes on until there is a reason to end.
func (f *follower) follow(ctx context.Context) error {
	if f.cursor != "" {
		n, err := strconv.ParseUint(f.cursor, 10, 53)
		if err != nil {
			return fmt.Errorf("cursor %q is not the height of a block: %w", f.cursor, ErrConfig)
		}
		f.height = n
	}
	pause := time.Duration(0)
	for {
		err := f.round(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			return err
		case f.moved:
			pause = 0
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
		pause = min(max(2*pause, 50*time.Millisecond), streamPause)
	}
}

// round asks servers one after the other until one has told something. It returns an
// error for what none would do better.
func (f *follower) round(ctx context.Context) error {
	var gone *GoneError
	var refusal error
	failed := &roundError{}
	for _, s := range f.client.order() {
		f.moved = false
		err := f.read(ctx, s)
		if f.left || ctx.Err() != nil {
			return errors.Join(ctx.Err(), errLeft)
		}
		f.client.log.DebugContext(ctx, "event stream ended", slog.String("server", s.base), slog.Any("error", err))
		s.failed()
		if f.moved {
			return nil
		}
		var problem *Error
		var final finalError
		switch {
		case errors.As(err, &final) && refusal == nil:
			refusal = final.refusal
		case errors.As(err, &problem) && problem.Code == NotKept:
			if gone == nil || older(problem.Oldest, gone.Oldest) {
				gone = &GoneError{Cursor: f.cursor, Oldest: problem.Oldest}
			}
		}
		failed.problems = append(failed.problems, fmt.Errorf("%s: %w", s.base, err))
	}
	switch {
	case gone != nil:
		return gone
	case refusal != nil:
		return refusal
	case f.client.hasty && nobodyThere(failed):
		return failed
	}
	return nil
}

// older compares two cursors.
func older(a, b string) bool { return len(a) < len(b) || len(a) == len(b) && a < b }

// read takes messages from one server until that ends.
func (f *follower) read(ctx context.Context, s *server) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	watch := time.AfterFunc(streamOpen, cancel)
	defer watch.Stop()
	r := &call{method: http.MethodGet, target: f.request.target(f.cursor), accept: EventStream, sign: f.request.Account}
	resp, err := f.client.open(ctx, s, r)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); resp.StatusCode != http.StatusOK || media != EventStream {
		data, err := io.ReadAll(io.LimitReader(resp.Body, maxResponse))
		if err != nil {
			return err
		}
		if err := judge(resp, data, EventStream); err != nil {
			return err
		}
		return fmt.Errorf("the answer is %q, not a stream", media)
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(make([]byte, 0, 4<<10), maxEvent)
	for first := true; ; first = false {
		watch.Reset(streamSilence)
		kind, data, err := nextEvent(lines)
		if err != nil {
			return err
		}
		watch.Stop() // the reader may take as long as it likes
		if kind == "end" {
			return problemOf(data)
		}
		if err := f.take(data, first); err != nil {
			return err
		}
		if first {
			f.client.prefer(s)
		}
	}
}

// problemOf is why a server ended a stream.
func problemOf(data []byte) error {
	e := &Error{}
	if err := json.Unmarshal(data, e); err != nil || e.Detail == "" {
		return errors.New("the server ended the stream without saying why")
	}
	return e
}

// nextEvent reads one server-sent event.
func nextEvent(lines *bufio.Scanner) (kind string, data []byte, err error) {
	for lines.Scan() {
		line := lines.Bytes()
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch {
		case len(line) == 0 && data != nil:
			return kind, data, nil
		case string(name) == "event":
			kind = string(value)
		case string(name) == "data":
			data = append(data, value...)
		}
	}
	if err := lines.Err(); err != nil {
		return "", nil, fmt.Errorf("read the stream: %w", err)
	}
	return "", nil, io.ErrUnexpectedEOF
}

// take hands a message on, and goes on behind it. A server that repeats itself is not believed.
func (f *follower) take(data []byte, first bool) error {
	m := &BlockEvents{}
	if err := json.Unmarshal(data, m); err != nil {
		return fmt.Errorf("the message cannot be read: %w", err)
	}
	told := m.Markets != nil || m.Account != nil
	if m.Cursor != strconv.FormatUint(m.Height, 10) || f.cursor != "" && (m.Height < f.height || told && m.Height == f.height) {
		return fmt.Errorf("the server tells of block %d with cursor %q after block %d", m.Height, m.Cursor, f.height)
	}
	f.moved = f.moved || !first
	f.cursor, f.height = m.Cursor, m.Height
	f.client.heardOf(m.Height)
	if (told || f.request.Alive) && !f.yield(m, nil) {
		f.left = true
		return errLeft
	}
	return nil
}
