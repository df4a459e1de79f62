package web

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"souk/api"
	"souk/asset"
	"souk/exchange"
	"souk/identity"
)

// Practice gives play money out of an account that is there for it.
type Practice interface {
	// Gifts are what is given in a state; none if the account has not enough, or does not let
	// this server give it.
	Gifts(s *exchange.State) []Gift
	// Given tells whether an address has had its gifts, or has as much anyway.
	Given(s *exchange.State, to identity.Address) bool
	// Give gives an address its gifts and waits for the receipts. There are none if they were
	// given before. Asked again, it gives nothing twice.
	Give(ctx context.Context, to identity.Address) ([]exchange.Receipt, error)
}

// Gift is an amount of play money.
type Gift struct {
	Asset  asset.ID
	Amount asset.Amount
}

// registerPractice mounts the operations of a practice market.
func (v *virtual) registerPractice(h huma.API) {
	get(h, "getPractice", "/practice", "Whether play money is given here, and how much", v.offer)
	op := operation(h, "postPractice", "/practice", "Get play money, once")
	op.Method = http.MethodPost
	op.Description = "For the key of an account, or of an address that nobody has paid yet. Answers when the transfers are in a block. Asking again is safe: an address has play money once from a server."
	huma.Register(h, op, v.practise)
}

// giftValues writes gifts, and tells whether there are any.
func giftValues(s *exchange.State, gifts []Gift) (list []api.Gift, ok bool) {
	list = []api.Gift{}
	for _, g := range gifts {
		a, _ := s.Ledger().Asset(g.Asset)
		list = append(list, api.Gift{Asset: uint32(g.Asset), Symbol: a.Symbol, Amount: asset.Format(g.Amount, a.Decimals)})
	}
	return list, len(list) > 0
}

func (v *virtual) offer(context.Context, *Nothing) (*Reply[api.Practice], error) {
	var r api.Practice
	err := v.look(func(s *exchange.State) {
		var gifts []Gift
		if v.practice != nil {
			gifts = v.practice.Gifts(s)
		}
		r.At = at(s)
		r.Gifts, r.Offered = giftValues(s, gifts)
	})
	if err != nil {
		return nil, refuse(err)
	}
	return &Reply[api.Practice]{r}, nil
}

// PracticeInput says who asks for play money.
type PracticeInput struct {
	Signed
}

func (v *virtual) practise(ctx context.Context, in *PracticeInput) (*Reply[api.Practiced], error) {
	status := v.recent()
	if e := v.unready(&status); e != nil {
		return nil, refuse(e)
	}
	if v.practice == nil {
		return nil, refuse(noPractice())
	}
	address, _, err := v.reader(&in.Signed, 0)
	if err != nil {
		return nil, refuse(err)
	}
	r := api.Practiced{State: api.PracticeBefore, Receipts: []api.Receipt{}}
	given, offered := false, false
	err = v.look(func(s *exchange.State) {
		given = v.practice.Given(s, address)
		r.At = at(s)
		r.Gifts, offered = giftValues(s, v.practice.Gifts(s))
	})
	switch {
	case err != nil:
		return nil, refuse(err)
	case given:
		return &Reply[api.Practiced]{r}, nil
	case !offered:
		return nil, refuse(noPractice())
	case !v.practiced.take(in.source, v.server.config.Now()):
		e := api.NewError(api.TooMany, "", "Enough play money was given here for now. Ask another server, or come back in an hour.")
		e.RetryAfter = time.Hour
		return nil, refuse(e)
	}
	ctx, cancel := context.WithTimeout(ctx, v.server.config.Wait)
	defer cancel()
	receipts, err := v.practice.Give(ctx, address)
	if err != nil {
		return nil, refuse(err)
	}
	for i := range receipts {
		r.State = api.PracticeGiven
		r.Receipts = append(r.Receipts, api.ReceiptValue(&receipts[i]))
		r.Height, r.Time = max(r.Height, receipts[i].Height), max(r.Time, receipts[i].Time)
	}
	return &Reply[api.Practiced]{r}, nil
}

func noPractice() *api.Error {
	return api.NewError(api.NotFound, "", "This server gives no play money now. Ask another server; GET /v1/practice says which one does.")
}
