package binance

import (
	"crypto/sha256"
	"errors"
	"net/http"
	"sync"
)

// replays knows the signed requests that have placed an order, for as long as their
// timestamps hold (N-13). What is older is refused for its timestamp.
type replays struct {
	mu        sync.Mutex
	since     uint64 // when now began, ms
	now, past map[[sha256.Size]byte]bool
}

// replayAge is longer than any request can be valid.
const replayAge = maxRecvWindow + maxAhead + 1

// first tells whether a request comes for the first time.
func (r *replays) first(id [sha256.Size]byte, now uint64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.now == nil || now >= r.since+replayAge {
		r.past, r.now, r.since = r.now, map[[sha256.Size]byte]bool{}, now
	}
	if r.now[id] || r.past[id] {
		return false
	}
	r.now[id] = true
	return true
}

// forget makes a request one that has not come.
func (r *replays) forget(id [sha256.Size]byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.now, id)
	delete(r.past, id)
}

// once lets a signed request place an order once: recorded and sent again by somebody else, it
// is a duplicate. One that was refused may come again.
func once(do func(*call) (any, error)) func(*call) (any, error) {
	return func(c *call) (any, error) {
		if c.signed == nil { // by a connection that is logged on
			return do(c)
		}
		id := sha256.Sum256(append([]byte(c.key.ID+" "), c.signed...))
		if !c.h.replays.first(id, c.now) {
			return nil, &Error{Status: http.StatusBadRequest, Code: codePlace, Text: "Duplicate order sent."}
		}
		result, err := do(c)
		var refused *Error
		if errors.As(err, &refused) && !refused.perhaps() {
			c.h.replays.forget(id)
		}
		return result, err
	}
}

// perhaps tells whether an order may have been placed although the answer is an error: its fate
// is not known, or it is the half of a cancel and replace that was done.
func (e *Error) perhaps() bool {
	if e.Code == codeUndecided || e.Code == codeReplacePartly {
		return true
	}
	v, ok := e.Data.(replaced)
	if !ok {
		return false
	}
	placed, ok := v.Placed.(*Error)
	return ok && placed.Code == codeUndecided
}
