package node

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"souk/replica"
	"souk/tape"
	"souk/web"
)

// tapeRetry is how long the tape waits for a state, and after an error.
const tapeRetry = 500 * time.Millisecond

// recorder feeds a virtual server's tape with what its blocks do.
type recorder struct {
	tape   *tape.Tape
	cancel context.CancelFunc
	done   chan struct{}
}

// record begins to feed a tape.
func record(r *replica.Replica, log *slog.Logger) *recorder {
	ctx, cancel := context.WithCancel(context.Background())
	c := &recorder{tape: tape.New(), cancel: cancel, done: make(chan struct{})}
	go c.run(ctx, face{r}, log)
	return c
}

func (c *recorder) run(ctx context.Context, r web.Replica, log *slog.Logger) {
	defer close(c.done)
	for {
		err := web.KeepTape(ctx, r, c.tape)
		if ctx.Err() != nil {
			return
		}
		if !errors.Is(err, web.ErrNoState) {
			log.WarnContext(ctx, "market data stopped; they begin again", slog.Any("error", err))
		}
		select {
		case <-time.After(tapeRetry):
		case <-ctx.Done():
			return
		}
	}
}

// close stops feeding the tape.
func (c *recorder) close() {
	c.cancel()
	<-c.done
}
