package web

import (
	"context"
	"encoding/hex"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"souk/api"
	"souk/exchange"
	"souk/exchange/custody"
	"souk/identity"
)

// Admissions an hour, of all, of one source and of one site, which is a /48 of IPv6 and has
// 65,536 sources; and as many gifts of play money. Each opens an account for ever.
const (
	admitsPerHour       = 1000
	admitsPerSourceHour = 6
	admitsPerSiteHour   = 24
	siteBits            = 48
)

// AdmissionInput says who asks for a first deposit address, and at which bank.
type AdmissionInput struct {
	Bank string `query:"bank" required:"true" minLength:"1" maxLength:"20" doc:"Number or symbol of the bank's asset." example:"BTC"`
	Salt string `query:"salt" required:"true" minLength:"32" maxLength:"32" doc:"16 random bytes, hexadecimal: what keeps others from finding out whose the address is."`
	Signed
}

// registerAdmission mounts the operation that opens accounts, and describes it.
func (v *virtual) registerAdmission(h huma.API) {
	op := operation(h, "postAdmission", "/admissions", "Have an account opened, with its first deposit address")
	op.Method = http.MethodPost
	op.Description = "For the key of an address that nobody has paid yet. The account is opened by this member; the receipt's number is that of the address: series x 2^32 + index. If there is an account the receipt says so, and nothing happens."
	huma.Register(h, op, v.admission)
}

func (v *virtual) admission(ctx context.Context, in *AdmissionInput) (*Reply[api.Receipt], error) {
	status := v.recent()
	if e := v.unready(&status); e != nil {
		return nil, refuse(e)
	}
	var salt custody.Salt
	if n, err := hex.Decode(salt[:], []byte(in.Salt)); err != nil || n != len(salt) {
		return nil, api.NewError(api.BadRequest, "query.salt", "Draw 16 bytes at random and write them as 32 hexadecimal digits.")
	}
	address, key, err := v.reader(&in.Signed, 0)
	if err != nil {
		return nil, refuse(err)
	}
	exists := false
	var bank custody.Bank
	err = v.view(func(s *exchange.State) error {
		_, exists = s.Ledger().Find(address)
		var err error
		bank, err = only(s, in.Bank)
		return err
	})
	switch {
	case err != nil:
		return nil, refuse(err)
	case exists:
		return &Reply[api.Receipt]{api.ReceiptValue(&exchange.Receipt{Code: exchange.AccountExists})}, nil
	case address != identity.AddressOf(key):
		return nil, refuse(v.refused())
	case v.admit == nil:
		return nil, api.NewError(api.NotFound, "", "This server opens no accounts. Ask a member's server, or have somebody pay the account in the ledger first.")
	case !v.admissions.take(in.source, v.server.config.Now()):
		e := api.NewError(api.TooMany, "", "Enough accounts were opened here for now. Ask another server, have somebody pay the account in the ledger first, or come back in an hour.")
		e.RetryAfter = time.Hour
		return nil, refuse(e)
	}
	ctx, cancel := context.WithTimeout(ctx, v.server.config.Wait)
	defer cancel()
	r, err := v.admit(ctx, &exchange.Admit{Bank: bank, Account: address, Salt: salt})
	if err != nil {
		return nil, refuse(err)
	}
	return &Reply[api.Receipt]{api.ReceiptValue(&r)}, nil
}

// admissions counts accounts that were opened for strangers.
type admissions struct {
	mu      sync.Mutex
	all     bucket
	sources map[netip.Prefix]*bucket
}

func newAdmissions() admissions { return admissions{sources: map[netip.Prefix]*bucket{}} }

// mostSources is how many sources are told apart; when there are more, those that have
// saved up everything are forgotten.
const mostSources = 10_000

// take counts an account; false if there were too many in the last hour, and then nothing is
// used up. Sources on the server's own machine count only among all.
func (a *admissions) take(from netip.Prefix, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.all.fill(now, admitsPerHour, time.Hour); a.all.tokens < 1 {
		return false
	}
	used := []*bucket{&a.all}
	for _, of := range sharesOf(from) {
		b := a.of(&of, now)
		if b == nil || b.tokens < 1 {
			return false
		}
		used = append(used, b)
	}
	for _, b := range used {
		b.tokens--
	}
	return true
}

// share is how many accounts addresses may open in an hour.
type share struct {
	prefix netip.Prefix
	rate   float64
}

// sharesOf are the shares that an account for a source is counted against. That of its site
// comes first: when it is used up, the sources in there take up no room.
func sharesOf(from netip.Prefix) (list []share) {
	if from.Addr().IsLoopback() || from == sourceOf(netip.IPv6Loopback()) {
		return nil
	}
	if site, err := from.Addr().Prefix(siteBits); err == nil && from.Addr().Is6() {
		list = append(list, share{site, admitsPerSiteHour})
	}
	return append(list, share{from, admitsPerSourceHour})
}

// of is what is left of a share; nil if there is no room to tell it from others.
func (a *admissions) of(s *share, now time.Time) *bucket {
	b := a.sources[s.prefix]
	if b == nil {
		if len(a.sources) >= mostSources {
			a.forget(now)
		}
		if len(a.sources) >= mostSources {
			return nil
		}
		b = &bucket{}
		a.sources[s.prefix] = b
	}
	b.fill(now, s.rate, time.Hour)
	return b
}

// forget drops sources that asked for nothing for an hour.
func (a *admissions) forget(now time.Time) {
	for from, b := range a.sources {
		if now.Sub(b.last) >= time.Hour {
			delete(a.sources, from)
		}
	}
}
