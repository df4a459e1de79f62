package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"souk/exchange"
)

// Practice asks whether play money is given, of the server that is preferred.
func (c *Client) Practice(ctx context.Context) (*Practice, error) {
	return get[Practice](ctx, c, Prefix+"/practice", nil)
}

// AskPractice asks for play money for a signer's address, which needs no account (H-133):
// one server after the other until one gives it, or has given it. A server that has not
// decided is asked again, so that not two of them give.
func (c *Client) AskPractice(ctx context.Context, s *Signer) (*Practiced, error) {
	if _, err := c.ID(ctx); err != nil {
		return nil, err
	}
	failed := &roundError{}
	for _, server := range c.order() {
		r, err := c.askPractice(ctx, server, s)
		if err == nil {
			for i := range r.Receipts {
				c.heard([]exchange.Receipt{{Height: r.Receipts[i].Height}})
			}
			c.prefer(server)
			return r, nil
		}
		failed.problems = append(failed.problems, fmt.Errorf("%s: %w", server.base, err))
		if ctx.Err() != nil {
			break
		}
	}
	if len(failed.problems) == 1 {
		return nil, failed.problems[0]
	}
	return nil, failed
}

func (c *Client) askPractice(ctx context.Context, server *server, s *Signer) (*Practiced, error) {
	for {
		data, err := c.send(ctx, server, &call{method: http.MethodPost, target: Prefix + "/practice", accept: JSON, sign: s, limit: admitPatience})
		if err == nil {
			return decode[Practiced](data)
		}
		var e *Error
		if !errors.As(err, &e) || e.Code != Undecided {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(err, ctx.Err())
		case <-time.After(time.Second):
		}
	}
}
