package web

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"souk/api"
	"souk/exchange"
	"souk/exchange/ledger"
	"souk/identity"
)

// Signed is the part of a request that says who asks. It goes into the inputs of
// operations that only an account's keys may use (H-20).
type Signed struct {
	Token string `header:"Souk-Read" doc:"Who asks, signed: v1 address=...;key=...;time=...;signature=... (docs/spec/10-http.md, H-20)"`

	method, target string
	source         netip.Prefix
}

// Resolve notes what the token must have been signed for.
func (s *Signed) Resolve(ctx huma.Context) []error {
	u := ctx.URL()
	s.method, s.target = ctx.Method(), u.EscapedPath()
	if u.RawQuery != "" {
		s.target += "?" + u.RawQuery
	}
	if from, err := netip.ParseAddrPort(ctx.RemoteAddr()); err == nil {
		s.source = sourceOf(from.Addr())
	}
	return nil
}

// refused is the one answer to everybody who may not read an account, so that it
// does not tell whether the account exists.
func (v *virtual) refused() *api.Error {
	v.server.meter.tokens.Inc()
	return api.NewError(api.NotAllowed, "header.Souk-Read",
		"The signature is not that of a key which may read this account. Sign with its owner key or with a delegate that has the scope read, for this virtual server, method, path and query.")
}

// reader checks a signed read and answers the account that may be read. scope is
// what a delegate needs: ledger.Read, or nothing.
func (v *virtual) reader(in *Signed, scope ledger.Scope) (identity.Address, identity.PublicKey, error) {
	token, err := v.token(in, scope)
	if err != nil {
		return identity.Address{}, identity.PublicKey{}, err
	}
	return token.Address, token.Key, nil
}

// token is reader, and answers the token.
func (v *virtual) token(in *Signed, scope ledger.Scope) (*api.ReadToken, error) {
	token, err := api.ParseReadToken(in.Token)
	if err != nil {
		return nil, api.NewError(api.NotSigned, "header.Souk-Read", "The header cannot be read: %v.", err)
	}
	now := v.server.config.Now()
	if off := now.Sub(time.UnixMilli(int64(token.Time))); off > api.ReadSkew || off < -api.ReadSkew {
		return nil, api.NewError(api.NotSigned, "header.Souk-Read",
			"The token was made %s from now by this server's clock, which is at %d. Check your clock and sign again.", off.Round(time.Second), now.UnixMilli())
	}
	if !v.reads.take(in.source, now) {
		e := api.NewError(api.Busy, "", "Too many signed reads. Ask again in a second, or ask another server.")
		e.RetryAfter = time.Second
		return nil, e
	}
	if !token.Verify(v.id, in.method, in.target) {
		return nil, v.refused()
	}
	allowed, err := v.mayRead(&token, scope, now)
	switch {
	case err != nil:
		return nil, problem(err)
	case !allowed:
		return nil, v.refused()
	}
	return &token, nil
}

// mayRead tells whether the key of a token may read its account now.
func (v *virtual) mayRead(token *api.ReadToken, scope ledger.Scope, now time.Time) (allowed bool, err error) {
	err = v.look(func(s *exchange.State) {
		n, ok := s.Ledger().Find(token.Address)
		if !ok {
			// The key that will own the account may learn that nobody has paid it yet.
			allowed = token.Address == identity.AddressOf(token.Key)
			return
		}
		ms := max(uint64(now.UnixMilli()), s.Time())
		allowed = s.Ledger().Authorize(n, token.Key, scope, 0, ms) == ledger.OK
	})
	return allowed, err
}

// Signed reads a second, in all and from one source, of which each may save up
// as many. They bound the cost of checking signatures of strangers.
const (
	readsPerSecond       = 4000
	readsPerSourceSecond = 1000
	sourceSlots          = 256
)

// reads counts signed reads. Sources share slots by hash, so that their number is
// no matter for memory.
type reads struct {
	seed maphash.Seed

	mu    sync.Mutex
	all   bucket
	slots [sourceSlots]bucket
}

// bucket holds tokens that come back with time.
type bucket struct {
	tokens float64
	last   time.Time
}

func newReads() *reads { return &reads{seed: maphash.MakeSeed()} }

// take counts a read; false if there were too many of late.
func (r *reads) take(from netip.Prefix, now time.Time) bool {
	slot := maphash.Comparable(r.seed, from) % sourceSlots
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.slots[slot].take(now, readsPerSourceSecond) && r.all.take(now, readsPerSecond)
}

func (b *bucket) take(now time.Time, rate float64) bool { return b.takeOf(now, rate, time.Second) }

// takeOf takes one of so many tokens that come back in a time.
func (b *bucket) takeOf(now time.Time, rate float64, in time.Duration) bool {
	if b.fill(now, rate, in); b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

// fill gives back what has come back.
func (b *bucket) fill(now time.Time, rate float64, in time.Duration) {
	if b.last.IsZero() {
		b.tokens = rate
	} else if passed := now.Sub(b.last); passed > 0 {
		b.tokens = min(rate, b.tokens+passed.Seconds()/in.Seconds()*rate)
	}
	b.last = now
}
