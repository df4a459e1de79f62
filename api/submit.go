package api

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"souk/exchange"
)

const (
	// graceAfterExpiry is how long after the expiry of the last command, by its
	// own clock, a client goes on trying to learn its fate.
	graceAfterExpiry = 30 * time.Second
	// postLimit is the longest that one server may take over commands; it answers
	// that they are undecided well before.
	postLimit = 20 * time.Second
	// busyTries is how often a command that met AccountBusy is sent again.
	busyTries = 5
	// busyPause is how long it waits before the first of these, and by how much longer before each other.
	busyPause = 100 * time.Millisecond
)

// Submit sends signed commands and answers one receipt for each, in their order.
// It returns when a block has executed them, or a server refused them before that
// (a receipt of height zero).
//
// A server that dies, hangs, is busy or talks nonsense is the client's business,
// not the caller's: the same commands go to the next server, at the latest after
// the resend time. Command ids make sure that each has one effect. Errors: that of
// ctx, ErrUndecided when all servers are out of reach until after the commands'
// expiry, or an *Error that says that the commands are malformed or too large.
func (c *Client) Submit(ctx context.Context, commands ...*exchange.Command) ([]exchange.Receipt, error) {
	receipts := make([]exchange.Receipt, 0, len(commands))
	id, err := c.ID(ctx)
	if err != nil {
		return nil, err
	}
	var buf []byte
	for i, cmd := range commands {
		if buf = cmd.AppendSignBytes(buf[:0], id); cmd.ID != sha256.Sum256(buf) {
			return nil, fmt.Errorf("command %d: %w %x", i+1, ErrForeign, id)
		}
	}
	for len(commands) > 0 {
		n, size := 0, 0
		for n < len(commands) && n < MaxBatch && size+commands[n].Size() <= MaxBinary {
			size += commands[n].Size()
			n++
		}
		if n == 0 {
			return receipts, fmt.Errorf("a command of %d bytes: %w", commands[0].Size(), exchange.ErrEncoding)
		}
		part, err := c.submitPart(ctx, commands[:n])
		c.heard(part)
		receipts = append(receipts, part...)
		if err != nil {
			return receipts, err
		}
		commands = commands[n:]
	}
	return receipts, nil
}

// submitPart sends what fits one request.
func (c *Client) submitPart(ctx context.Context, commands []*exchange.Command) ([]exchange.Receipt, error) {
	var last uint64
	for _, cmd := range commands {
		last = max(last, cmd.Expiry)
	}
	deadline := time.Now().Add(CommandLife + graceAfterExpiry)
	if expiry := time.UnixMilli(int64(min(last, 1<<52))).Add(graceAfterExpiry); expiry.Before(deadline) {
		deadline = expiry
	}
	soon := time.Now().Add(graceAfterExpiry)
	if deadline.Before(soon) {
		deadline = soon // expired already: ask once all the same, it may have been sent before
	}
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()

	receipts, err := c.decide(ctx, commands)
	if err == nil {
		c.confirm(ctx, commands, receipts)
	}
	for try := 0; err == nil && try < busyTries; try++ {
		var busy []*exchange.Command
		var at []int
		for i := range receipts {
			if receipts[i].Code == exchange.AccountBusy {
				busy, at = append(busy, commands[i]), append(at, i)
			}
		}
		if len(busy) == 0 {
			break
		}
		select { // until some of what the account has under way is in a block
		case <-time.After(time.Duration(try+1) * busyPause):
		case <-ctx.Done():
			return receipts, nil
		}
		var again []exchange.Receipt
		if again, err = c.decide(ctx, busy); err == nil {
			for i, r := range again {
				receipts[at[i]] = r
			}
		}
	}
	return receipts, err
}

// decide sends commands until a server answers the fate of all of them.
func (c *Client) decide(ctx context.Context, commands []*exchange.Command) ([]exchange.Receipt, error) {
	var body []byte
	for _, cmd := range commands {
		body = cmd.Append(body)
	}
	var sent atomic.Bool // perhaps
	receipts, err := persist(ctx, c, 0, func(ctx context.Context) (receipts []exchange.Receipt, err error) {
		defer func() {
			if err != nil && !nobodyThere(err) {
				sent.Store(true)
			}
		}()
		return race(ctx, c, maxPatience, func(ctx context.Context, s *server, silent []*server) ([]exchange.Receipt, error) {
			if len(silent) > 0 && !c.missing(ctx, s, commands[len(commands)-1].ID) {
				silent = nil
			}
			return c.post(ctx, s, body, commands, silent)
		})
	})
	var refused *Error
	switch {
	case err == nil:
		return c.elsewhere(ctx, receipts), nil
	case ctx.Err() == nil && errors.As(err, &refused):
		return nil, refused
	case c.hasty && nobodyThere(err) && !sent.Load():
		return nil, err
	}
	return nil, fmt.Errorf("%w: %w", ErrUndecided, err)
}

// stale tells whether a refusal may come from a server that is some blocks behind:
// the account or key is new, or its nonces went on.
func stale(r *exchange.Receipt) bool {
	switch r.Code { //nolint:exhaustive // the other codes do not depend on what is new
	case exchange.UnknownAccount, exchange.UnknownKey, exchange.NonceTooFar:
		return r.Height == 0
	}
	return false
}

// confirm asks another server for a second opinion on refusals by one that may be
// behind. Where there is no other, the same one is asked again. A refusal that is
// given twice stands.
func (c *Client) confirm(ctx context.Context, commands []*exchange.Command, receipts []exchange.Receipt) {
	var doubted []*exchange.Command
	var at []int
	var body []byte
	for i := range receipts {
		if stale(&receipts[i]) {
			doubted, at = append(doubted, commands[i]), append(at, i)
			body = commands[i].Append(body)
		}
	}
	if len(doubted) == 0 {
		return
	}
	servers := c.order()
	for _, s := range append(servers[1:], servers[0]) {
		again, err := c.post(ctx, s, body, doubted, nil)
		if err != nil {
			continue
		}
		for i := range again {
			receipts[at[i]] = again[i]
		}
		return
	}
}

// missing asks a server, after another one was silent, whether it has heard of a
// command. While the command waits for a block there, the silent server did its
// duty and sending it once more would only be work: missing waits along. It tells
// whether the command has to be sent because the server does not know it.
func (c *Client) missing(ctx context.Context, s *server, id exchange.CommandID) bool {
	r := &call{method: http.MethodGet, target: fateTarget(id, false), accept: JSON, limit: c.resend}
	for {
		data, err := c.send(ctx, s, r)
		if err != nil {
			return true // post says what is wrong with this server
		}
		f, err := decode[Fate](data)
		if err != nil || f.Fate != FateWaiting {
			return err != nil || f.Fate == FateUnknown
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(c.resend / 4):
		}
	}
}

// post makes one attempt at one server.
func (c *Client) post(ctx context.Context, s *server, body []byte, commands []*exchange.Command, silent []*server) ([]exchange.Receipt, error) {
	r := &call{method: http.MethodPost, target: Prefix + "/commands", body: body, accept: Binary, limit: postLimit}
	if len(silent) > 0 {
		name := silent[0].name()
		if name == "" {
			name = silent[0].base
		}
		r.header = http.Header{SilentHeader: {name}}
	}
	began := time.Now()
	data, err := c.send(ctx, s, r)
	if err != nil {
		return nil, err
	}
	receipts, err := ParseReceipts(data)
	if err != nil {
		return nil, err
	}
	if len(receipts) != len(commands) {
		return nil, fmt.Errorf("%d receipts for %d commands", len(receipts), len(commands))
	}
	for i := range receipts {
		if receipts[i].ID != commands[i].ID {
			return nil, fmt.Errorf("receipt %d is that of another command", i+1)
		}
	}
	c.decided(time.Since(began))
	return receipts, nil
}

// elsewhere looks for the receipts of commands that a server says were executed
// before, but has no receipt of: one that was sent twice has one with some server.
func (c *Client) elsewhere(ctx context.Context, receipts []exchange.Receipt) []exchange.Receipt {
	for i := range receipts {
		used := receipts[i].Code == exchange.NonceUsed || receipts[i].Code == exchange.NonceStale
		if !used || receipts[i].Height != 0 {
			continue
		}
		for _, s := range c.order() {
			r := &call{method: http.MethodGet, target: fateTarget(receipts[i].ID, false), accept: JSON, limit: c.resend}
			data, err := c.send(ctx, s, r)
			if err != nil {
				continue
			}
			if found, ok := committed(data, receipts[i].ID); ok {
				receipts[i] = found
				break
			}
		}
	}
	return receipts
}

// committed reads the fate of a command, if a block executed it.
func committed(data []byte, id exchange.CommandID) (exchange.Receipt, bool) {
	f, err := decode[Fate](data)
	if err != nil || f.Fate != FateCommitted || f.Receipt == nil {
		return exchange.Receipt{}, false
	}
	r, err := f.Receipt.Parse()
	return r, err == nil && r.ID == id
}
