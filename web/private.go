package web

import (
	"context"
	"encoding/hex"
	"slices"

	"souk/api"
	"souk/asset"
	"souk/exchange"
	"souk/exchange/custody"
	"souk/exchange/escrow"
	"souk/exchange/ledger"
	"souk/exchange/market"
	"souk/identity"
)

// AccountInput names an account and says who asks.
type AccountInput struct {
	Address string `path:"address" maxLength:"90" doc:"Address of the account."`
	Signed
	Proving
}

func (v *virtual) account(ctx context.Context, in *AccountInput) (*Reply[api.Account], error) {
	address, _, err := v.reader(&in.Signed, ledger.Read)
	if err != nil {
		return nil, refuse(err)
	}
	if in.Address != address.String() {
		return nil, v.refused()
	}
	r := api.Account{Address: in.Address, Delegates: []api.Delegate{}, Balances: []api.Balance{}}
	if in.Proof {
		return v.provenAccount(ctx, address, r)
	}
	err = v.view(func(s *exchange.State) error {
		n, ok := s.Ledger().Find(address)
		if !ok {
			return api.NewError(api.NotFound, "path.address", "Nobody has paid this account yet. It exists from its first credit on.")
		}
		a := s.Ledger().Account(n)
		r = api.AccountValue(&a, s.Ledger())
		r.At = at(s)
		tellWithdrawing(s, n, &r)
		return nil
	})
	if err != nil {
		return nil, refuse(err)
	}
	return &Reply[api.Account]{r}, nil
}

// tellWithdrawing says how much of what an account has on hold is for withdrawals.
func tellWithdrawing(s *exchange.State, n ledger.Number, r *api.Account) {
	if s.Banks() == nil {
		return
	}
	for bank := range s.Banks().Banks() {
		id := s.Banks().Asset(custody.Bank(bank + 1))
		of, _ := s.Ledger().Asset(id)
		for i := range r.Balances {
			if b := &r.Balances[i]; b.Asset == uint32(id) {
				b.Withdrawing = asset.Format(s.Banks().Held(custody.Owner(n), id), of.Decimals)
			}
		}
	}
}

// provenAccount answers the account as its proven leaf has it, or that there is none.
func (v *virtual) provenAccount(ctx context.Context, address identity.Address, r api.Account) (*Reply[api.Account], error) {
	key := exchange.AccountKey(address)
	p, err := v.proveLeaf(ctx, key)
	if err != nil {
		return nil, refuse(err)
	}
	var a *ledger.Account
	if p.Leaf != nil {
		parsed, err := ledger.ParseAccount(key, p.Leaf)
		if err != nil {
			return nil, refuse(err)
		}
		a = &parsed
	}
	err = v.look(func(s *exchange.State) {
		if a != nil {
			r = api.AccountValue(a, s.Ledger())
		}
		r.At = at(s)
	})
	if err != nil {
		return nil, refuse(err)
	}
	r.Proof = p
	return &Reply[api.Account]{r}, nil
}

// NonceInput says who asks.
type NonceInput struct {
	Signed
}

func (v *virtual) nonce(_ context.Context, in *NonceInput) (*Reply[api.Nonce], error) {
	address, key, err := v.reader(&in.Signed, 0)
	if err != nil {
		return nil, refuse(err)
	}
	r := api.Nonce{Time: uint64(v.server.config.Now().UnixMilli())}
	err = v.view(func(s *exchange.State) error {
		n, ok := s.Ledger().Find(address)
		if !ok {
			return api.NewError(api.NotFound, "header.Souk-Read", "Nobody has paid this account yet. Its first nonce will be 1.")
		}
		r.Top = s.Ledger().TopNonce(n, key)
		return nil
	})
	if err != nil {
		return nil, refuse(err)
	}
	return &Reply[api.Nonce]{r}, nil
}

// OrdersInput says which orders, and who asks.
type OrdersInput struct {
	Market string `query:"market" maxLength:"32" doc:"Number, or base and quote with a dash; absent: all markets."`
	Client string `query:"client" maxLength:"36" doc:"Only the order with this client order id."`
	After  uint64 `query:"after" maximum:"9007199254740992" doc:"Only orders with higher ids."`
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"1000"`
	Signed
}

func (v *virtual) orders(_ context.Context, in *OrdersInput) (*Reply[api.Orders], error) {
	address, _, err := v.reader(&in.Signed, ledger.Read)
	if err != nil {
		return nil, refuse(err)
	}
	r := api.Orders{}
	var all map[market.ID]*api.Pair
	var found []market.Order
	err = v.view(func(s *exchange.State) error {
		r.At, all = at(s), pairs(s)
		ids, err := wanted(s, address, in)
		for _, id := range ids {
			if o, ok := s.Markets().Order(id); ok && uint64(id) > in.After && len(found) < in.Limit {
				found = append(found, o)
			}
		}
		return err
	})
	if err != nil {
		return nil, refuse(err)
	}
	r.Orders = make([]api.Order, len(found))
	for i := range found {
		r.Orders[i] = all[found[i].Market].Order(&found[i])
	}
	return &Reply[api.Orders]{r}, nil
}

// wanted are the live orders of an account that a request asks for, before After and Limit.
func wanted(s *exchange.State, address identity.Address, in *OrdersInput) ([]market.OrderID, error) {
	n, ok := s.Ledger().Find(address)
	if !ok {
		return nil, nil
	}
	owner := market.Owner(n)
	if in.Market == "" {
		if in.Client != "" {
			if id, ok := s.Markets().ByClient(owner, in.Client); ok {
				return []market.OrderID{id}, nil
			}
			return nil, nil
		}
		return sortedIDs(s.Markets().Owned(nil, owner)), nil
	}
	p, err := pair(s, "query.market", in.Market)
	if err != nil {
		return nil, err
	}
	ids := sortedIDs(s.Markets().OwnedIn(nil, owner, p.ID))
	if in.Client == "" {
		return ids, nil
	}
	id, ok := s.Markets().ByClient(owner, in.Client)
	if o, live := s.Markets().Order(id); ok && live && o.Market == p.ID {
		return []market.OrderID{id}, nil
	}
	return nil, nil
}

// OrderInput names an order and says who asks.
type OrderInput struct {
	ID uint64 `path:"id" minimum:"1" maximum:"9007199254740991"`
	Signed
	Proving
}

func (v *virtual) order(ctx context.Context, in *OrderInput) (*Reply[api.Order], error) {
	address, _, err := v.reader(&in.Signed, ledger.Read)
	if err != nil {
		return nil, refuse(err)
	}
	id := market.OrderID(in.ID)
	missing := api.NewError(api.NotFound, "path.id", "The account has no live order %d. It may have been filled or cancelled; /v1/fills shows what it traded.", in.ID)
	var r api.Order
	var p api.Pair
	var owner market.Owner
	err = v.view(func(s *exchange.State) error {
		n, ok := s.Ledger().Find(address)
		o, live := s.Markets().Order(id)
		if !ok || !live || o.Owner != market.Owner(n) {
			return missing
		}
		m, _ := s.Markets().Market(o.Market)
		p, owner = api.NewPair(m, s.Ledger()), o.Owner
		r = p.Order(&o)
		return nil
	})
	if err != nil {
		return nil, refuse(err)
	}
	if !in.Proof {
		return &Reply[api.Order]{r}, nil
	}
	proof, err := v.proveLeaf(ctx, exchange.OrderKey(id))
	if err != nil {
		return nil, refuse(err)
	}
	if proof.Leaf == nil {
		return nil, refuse(missing) // it has just gone
	}
	o, err := market.ParseOrder(exchange.OrderKey(id), proof.Leaf)
	if err != nil || o.Owner != owner {
		return nil, refuse(missing)
	}
	r = p.Order(&o)
	r.Proof = proof
	return &Reply[api.Order]{r}, nil
}

// FillsInput says which fills, and who asks.
type FillsInput struct {
	Market string `query:"market" maxLength:"32" doc:"Number, or base and quote with a dash; absent: all markets."`
	Order  uint64 `query:"order" maximum:"9007199254740991" doc:"Only fills of this order."`
	Before string `query:"before" maxLength:"64" doc:"Only fills older than this: next of the response before."`
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
	Signed
	Proving
}

// maxProofs is how many proofs one request can get.
const maxProofs = 20

func (v *virtual) fills(ctx context.Context, in *FillsInput) (*Reply[api.Fills], error) {
	address, _, err := v.reader(&in.Signed, ledger.Read)
	if err != nil {
		return nil, refuse(err)
	}
	if in.Proof && in.Limit > maxProofs {
		return nil, api.NewError(api.BadRequest, "query.limit", "With proofs at most %d fills at a time. Set the limit, and go on with before.", maxProofs)
	}
	before, err := parseCursor(in.Before)
	if err != nil {
		return nil, err
	}
	r := api.Fills{Fills: []api.Fill{}}
	var all map[market.ID]*api.Pair
	var only market.ID
	err = v.view(func(s *exchange.State) error {
		r.At, all = at(s), pairs(s)
		if in.Market == "" {
			return nil
		}
		p, err := pair(s, "query.market", in.Market)
		only = p.ID
		return err
	})
	if err != nil {
		return nil, refuse(err)
	}
	seen := 0
	for f, err := range v.replica.Fills(address, before) {
		if err != nil {
			return nil, refuse(err)
		}
		if seen++; len(r.Fills) == in.Limit || seen == maxScan {
			break
		}
		r.Next = formatCursor(Cursor{f.Height, f.Time, f.Trade})
		p, ok := all[f.Market]
		if !ok || only != 0 && f.Market != only || in.Order != 0 && uint64(f.Order) != in.Order {
			continue
		}
		value := fillValue(p, &f)
		if in.Proof {
			if value.Proof, err = v.proveResult(ctx, f.Height, f.Index); err != nil {
				return nil, refuse(err)
			}
		}
		r.Fills = append(r.Fills, value)
	}
	if len(r.Fills) < in.Limit && seen < maxScan {
		r.Next = "" // that was all
	}
	return &Reply[api.Fills]{r}, nil
}

func fillValue(p *api.Pair, f *Fill) api.Fill {
	role := "taker"
	if f.Maker {
		role = "maker"
	}
	return api.Fill{
		Trade: uint64(f.Trade), Order: uint64(f.Order), Market: uint32(f.Market), Symbol: p.Symbol(), Side: api.SideName(f.Side),
		Role: role, Inner: f.Inner, Price: p.FormatPrice(f.Price), Quantity: p.FormatBase(f.Quantity), Value: p.FormatQuote(f.Value),
		Fee: p.FormatSide(f.Side, f.Fee), Height: f.Height, Time: f.Time,
	}
}

// EscrowsInput says which escrows, and who asks.
type EscrowsInput struct {
	Before uint64 `query:"before" maximum:"9007199254740992" doc:"Only escrows with lower ids: next of the response before."`
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
	Signed
}

// escrows goes through ids from the newest down. Nothing lists the escrows of an
// account, so what one request looks at is bounded, and the next goes on behind it.
func (v *virtual) escrows(_ context.Context, in *EscrowsInput) (*Reply[api.Escrows], error) {
	address, _, err := v.reader(&in.Signed, ledger.Read)
	if err != nil {
		return nil, refuse(err)
	}
	r := api.Escrows{Escrows: []api.Escrow{}}
	err = v.look(func(s *exchange.State) {
		r.At = at(s)
		n, ok := s.Ledger().Find(address)
		if !ok {
			return
		}
		id, party := s.Escrows().Last(), escrow.Owner(n)
		if in.Before != 0 {
			id = min(id, escrow.ID(in.Before-1))
		}
		for seen := 0; id > 0; id-- {
			if seen++; seen > maxScan || len(r.Escrows) == in.Limit {
				r.Next = uint64(id) + 1
				return
			}
			if e, locked := s.Escrows().Get(id); locked && (party == e.Payer || party == e.Payee || party == e.Arbiter) {
				r.Escrows = append(r.Escrows, escrowValue(s, &e))
			}
		}
	})
	if err != nil {
		return nil, refuse(err)
	}
	return &Reply[api.Escrows]{r}, nil
}

// EscrowInput names an escrow and says who asks.
type EscrowInput struct {
	ID uint64 `path:"id" minimum:"1" maximum:"9007199254740991"`
	Signed
	Proving
}

func (v *virtual) escrow(ctx context.Context, in *EscrowInput) (*Reply[api.Escrow], error) {
	address, _, err := v.reader(&in.Signed, ledger.Read)
	if err != nil {
		return nil, refuse(err)
	}
	id := escrow.ID(in.ID)
	var r api.Escrow
	err = v.view(func(s *exchange.State) error {
		n, ok := s.Ledger().Find(address)
		e, locked := s.Escrows().Get(id)
		party := escrow.Owner(n)
		if !ok || !locked || party != e.Payer && party != e.Payee && party != e.Arbiter {
			return api.NewError(api.NotFound, "path.id", "The account has no part in an escrow %d that is still locked.", in.ID)
		}
		r = escrowValue(s, &e)
		return nil
	})
	if err != nil {
		return nil, refuse(err)
	}
	if in.Proof {
		if r.Proof, err = v.proveLeaf(ctx, exchange.EscrowKey(id)); err != nil {
			return nil, refuse(err)
		}
	}
	return &Reply[api.Escrow]{r}, nil
}

func escrowValue(s *exchange.State, e *escrow.Escrow) api.Escrow {
	of, _ := s.Ledger().Asset(e.Asset)
	r := api.Escrow{
		ID: uint64(e.ID), Payer: s.Ledger().Address(ledger.Number(e.Payer)).String(), Payee: s.Ledger().Address(ledger.Number(e.Payee)).String(),
		Asset: uint32(e.Asset), Symbol: of.Symbol, Amount: asset.Format(e.Amount, of.Decimals), Hash: hex.EncodeToString(e.Hash[:]),
		Deadline: e.Deadline, Window: e.Window, Memo: e.Memo, Disputed: e.Disputed,
	}
	if e.Arbiter != 0 {
		r.Arbiter = s.Ledger().Address(ledger.Number(e.Arbiter)).String()
	}
	return r
}

// sortedIDs brings order ids into ascending order.
func sortedIDs(ids []market.OrderID) []market.OrderID {
	slices.Sort(ids)
	return ids
}
