package binance

import (
	"cmp"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Defaults of Limits (N-50).
const (
	DefaultWeight  = 6_000
	DefaultOrders  = 100
	DefaultPerDay  = 200_000
	DefaultSockets = 300
)

const (
	maxClients = 10_000 // whose use is remembered
	// stubborn is how many requests above its limit a client may send before it is shut out.
	stubborn = 100
	minBan   = 2 * time.Minute
	maxBan   = 72 * time.Hour
)

// Windows in which use is counted, ms.
const (
	minuteWindow = 60_000
	orderWindow  = 10_000
	dayWindow    = 86_400_000
)

// window counts in times that begin at multiples of their length.
type window struct {
	began uint64
	used  int
}

// add counts, and tells whether it is still within the limit, and how long until the next window.
func (w *window) add(n, limit int, length, now uint64) (ok bool, wait time.Duration) {
	if began := now - now%length; began != w.began {
		*w = window{began: began}
	}
	w.used += n
	return w.used <= limit, time.Duration(w.began+length-now) * time.Millisecond
}

// client is what somebody has used: a key, or an address without a key.
type client struct {
	weight, orders, day window
	over                int // requests in a row that were too many
	banned              uint64
	ban                 time.Duration // of the next ban
	sockets             int
	seen                uint64
}

// limiter counts what clients use.
type limiter struct {
	limits Limits
	mu     sync.Mutex
	all    map[string]*client
}

func newLimiter(l Limits) *limiter {
	return &limiter{limits: l.or(Limits{DefaultWeight, DefaultOrders, DefaultPerDay, DefaultSockets}), all: map[string]*client{}}
}

// or fills zero fields.
func (l Limits) or(d Limits) Limits {
	return Limits{cmp.Or(l.Weight, d.Weight), cmp.Or(l.Orders, d.Orders), cmp.Or(l.PerDay, d.PerDay), cmp.Or(l.Sockets, d.Sockets)}
}

// of is the client with a name. The caller holds mu.
func (l *limiter) of(name string, now uint64) *client {
	c := l.all[name]
	if c == nil {
		if len(l.all) >= maxClients {
			l.forget(now)
		}
		c = &client{ban: minBan}
		l.all[name] = c
	}
	c.seen = now
	return c
}

// forget makes room, for many at once since it looks at all: those that did nothing in a
// minute and are not shut out; then addresses that are not, at last any address. What keys
// have used is never forgotten: there are no more keys than somebody has made.
func (l *limiter) forget(now uint64) {
	room := maxClients - maxClients/8
	for _, may := range []func(*client) bool{
		func(c *client) bool { return c.banned < now && c.seen+minuteWindow < now },
		func(c *client) bool { return c.banned < now },
		func(*client) bool { return true },
	} {
		for name, c := range l.all {
			if len(l.all) <= room {
				return
			}
			if c.sockets == 0 && strings.HasPrefix(name, "address ") && may(c) {
				delete(l.all, name)
			}
		}
	}
}

// weigh counts a request. used is the weight of the minute.
func (l *limiter) weigh(name string, own Limits, n int, now uint64) (used int, refused *Error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.of(name, now)
	if now < c.banned {
		return c.weight.used, banned(c.banned, now)
	}
	ok, wait := c.weight.add(n, own.or(l.limits).Weight, minuteWindow, now)
	if ok {
		c.over = 0
		return c.weight.used, nil
	}
	if c.over++; c.over > stubborn {
		c.over, c.banned = 0, now+uint64(c.ban.Milliseconds())
		c.ban = min(2*c.ban, maxBan)
		return c.weight.used, banned(c.banned, now)
	}
	return c.weight.used, &Error{
		Status: http.StatusTooManyRequests, Code: codeTooMany, retry: wait,
		Text: fmt.Sprintf("Too much request weight used; current limit is %d request weight per 1 MINUTE. Please use WebSocket Streams for live updates to avoid polling the API.", own.or(l.limits).Weight),
	}
}

func banned(until, now uint64) *Error {
	return &Error{
		Status: http.StatusTeapot, Code: codeTooMany, retry: time.Duration(until-now) * time.Millisecond,
		Text: fmt.Sprintf("Way too much request weight used; IP banned until %d. Please use WebSocket Streams for live updates to avoid bans.", until),
	}
}

// order counts orders.
func (l *limiter) order(name string, own Limits, n int, now uint64) (tenSeconds, day int, refused *Error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c, limits := l.of(name, now), own.or(l.limits)
	ok, wait := c.orders.add(n, limits.Orders, orderWindow, now)
	today, longer := c.day.add(n, limits.PerDay, dayWindow, now)
	if ok && today {
		return c.orders.used, c.day.used, nil
	}
	limit, length := limits.Orders, "10 SECOND"
	if !today {
		limit, length, wait = limits.PerDay, "1 DAY", longer
	}
	return c.orders.used, c.day.used, &Error{
		Status: http.StatusTooManyRequests, Code: codeOrderRate, retry: wait,
		Text: fmt.Sprintf("Too many new orders; current limit is %d orders per %s.", limit, length),
	}
}

// counts are the orders of now.
func (l *limiter) counts(name string, now uint64) (tenSeconds, day int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.of(name, now)
	c.orders.add(0, 0, orderWindow, now)
	c.day.add(0, 0, dayWindow, now)
	return c.orders.used, c.day.used
}

// connect counts a connection; false: there are too many. done takes it back.
func (l *limiter) connect(name string, now uint64) (done func(), ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.of(name, now)
	if c.sockets >= l.limits.Sockets {
		return nil, false
	}
	c.sockets++
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		c.sockets--
	}, true
}
