package web

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"souk/api"
	"souk/asset"
	"souk/exchange"
	"souk/exchange/ledger"
	"souk/exchange/market"
	"souk/exchange/roster"
)

// Reply is what an operation answers.
type Reply[T any] struct {
	Body T
}

// Raw is bytes that an operation answers.
type Raw struct {
	ContentType string `header:"Content-Type"`
	Body        []byte
}

// Nothing is the input of an operation that takes none.
type Nothing struct{}

func numberText(n uint64) string { return strconv.FormatUint(n, 10) }

func (v *virtual) status(context.Context, *Nothing) (*Reply[api.Status], error) {
	var r api.Status
	err := v.look(func(s *exchange.State) {
		name := v.memberIn(s)
		v.member.Store(&name)
		r = api.Status{
			ID: v.text, Name: v.name, Member: name, Software: v.server.config.Software, Active: s.Height(), Time: s.Time(),
			Root: s.Root().String(), Accounts: s.Ledger().Accounts(), Orders: s.Markets().Len(),
		}
		version, height := s.Roster().Plan()
		r.Protocol = s.Roster().Version(s.Height() + 1)
		if version != 0 && version != r.Protocol {
			r.Plan = &api.Plan{Version: version, Height: height}
		}
		for m := range s.Roster().Members {
			r.Members = append(r.Members, api.MemberValue(&m))
		}
		params := s.Params()
		r.Params = params.Append(nil)
		r.Banks = bankHealth(s)
		if s.Banks() != nil {
			r.BanksHalted = haltValue(s)
		}
	})
	if err != nil {
		return nil, refuse(err)
	}
	if v.health != nil {
		v.ownPart(r.Banks)
	}
	engine := v.recent()
	r.Stalled = uint64(engine.Stalled.Milliseconds())
	r.Height, r.CatchingUp, r.Waiting = v.replica.Height(), engine.CatchUp, engine.Waiting
	if e := v.unready(&engine); e != nil && e.Code == api.Halted {
		r.Halted = e.Detail
	}
	r.Peers = make([]api.Peer, 0, len(engine.Peers))
	for _, p := range engine.Peers {
		r.Peers = append(r.Peers, api.Peer{ID: p.ID, Address: p.Address, Outbound: p.Outbound, Since: uint64(max(p.Since.UnixMilli(), 0)), Height: p.Height, Behind: p.CatchUp})
	}
	for _, silence := range v.replica.Silent() {
		for i := range r.Members {
			if r.Members[i].ID == uint32(silence.Member) {
				r.Members[i].Silent, r.Members[i].SilentAt = silence.Reports, silence.Last
			}
		}
	}
	return &Reply[api.Status]{r}, nil
}

func (v *virtual) founding(context.Context, *Nothing) (*Raw, error) {
	return &Raw{api.Binary, v.contract}, nil
}

// AssetsInput says which assets.
type AssetsInput struct {
	After uint64 `query:"after" maximum:"4294967295" doc:"Only assets with higher ids: next of the response before."`
	Limit int    `query:"limit" minimum:"1" maximum:"1000" default:"1000"`
}

// page is the range of ids of a page, from and to included, and what its next is.
func (in *AssetsInput) page(s *exchange.State) (from, to asset.ID, next uint32) {
	all := uint64(s.Ledger().Assets())
	last := min(in.After+uint64(in.Limit), all)
	if last < all {
		next = uint32(last)
	}
	return asset.ID(min(in.After, all)) + 1, asset.ID(last), next
}

func (v *virtual) assets(_ context.Context, in *AssetsInput) (*Reply[api.Assets], error) {
	var r api.Assets
	var all []ledger.Asset
	err := v.look(func(s *exchange.State) {
		from, to, next := in.page(s)
		r.At, r.Next = at(s), next
		for id := from; id <= to; id++ {
			a, _ := s.Ledger().Asset(id)
			all = append(all, a)
		}
	})
	if err != nil {
		return nil, refuse(err)
	}
	r.Assets = make([]api.Asset, len(all))
	for i := range all {
		r.Assets[i] = api.AssetValue(&all[i])
	}
	return &Reply[api.Assets]{r}, nil
}

// AssetInput names an asset.
type AssetInput struct {
	Asset string `path:"asset" maxLength:"20" doc:"Number or symbol." example:"BTC"`
	Proving
}

func (v *virtual) asset(ctx context.Context, in *AssetInput) (*Reply[api.Asset], error) {
	var a ledger.Asset
	err := v.view(func(s *exchange.State) error {
		id, ok := s.Ledger().BySymbol(in.Asset)
		if n, err := strconv.ParseUint(in.Asset, 10, 32); !ok && err == nil {
			id = asset.ID(n)
		}
		if a, ok = s.Ledger().Asset(id); !ok {
			return api.NewError(api.NotFound, "path.asset", "There is no asset %q. /v1/assets lists them by number and symbol.", in.Asset)
		}
		return nil
	})
	if err != nil {
		return nil, refuse(err)
	}
	r := api.AssetValue(&a)
	if in.Proof {
		p, err := v.proveLeaf(ctx, exchange.AssetKey(a.ID))
		if err != nil {
			return nil, refuse(err)
		}
		if a, err = ledger.ParseAsset(exchange.AssetKey(a.ID), p.Leaf); err != nil {
			return nil, refuse(err)
		}
		r = api.AssetValue(&a)
		r.Proof = p
	}
	return &Reply[api.Asset]{r}, nil
}

func (v *virtual) markets(context.Context, *Nothing) (*Reply[api.Markets], error) {
	r := api.Markets{Markets: []api.Market{}}
	err := v.look(func(s *exchange.State) {
		r.At = at(s)
		for _, m := range s.Markets().Markets(nil) {
			p := api.NewPair(m, s.Ledger())
			r.Markets = append(r.Markets, p.Value())
		}
	})
	if err != nil {
		return nil, refuse(err)
	}
	return &Reply[api.Markets]{r}, nil
}

// MarketInput names a market.
type MarketInput struct {
	Market string `path:"market" maxLength:"32" doc:"Number, or base and quote with a dash." example:"BTC-EUR"`
	Proving
}

func (v *virtual) market(ctx context.Context, in *MarketInput) (*Reply[api.Market], error) {
	var p api.Pair
	err := v.view(func(s *exchange.State) (err error) {
		p, err = pair(s, "path.market", in.Market)
		return err
	})
	if err != nil {
		return nil, refuse(err)
	}
	r := p.Value()
	if in.Proof {
		proof, err := v.proveLeaf(ctx, exchange.MarketKey(p.ID))
		if err != nil {
			return nil, refuse(err)
		}
		if p.Market, err = market.ParseMarket(exchange.MarketKey(p.ID), proof.Leaf); err != nil {
			return nil, refuse(err)
		}
		r = p.Value()
		r.Proof = proof
	}
	return &Reply[api.Market]{r}, nil
}

// BookInput names a book and how much of it.
type BookInput struct {
	Market string `path:"market" maxLength:"32" doc:"Number, or base and quote with a dash." example:"BTC-EUR"`
	Depth  int    `query:"depth" minimum:"1" maximum:"1000" default:"50" doc:"Levels of each side."`
}

func (v *virtual) book(_ context.Context, in *BookInput) (*Reply[api.Book], error) {
	var r api.Book
	var p api.Pair
	var bids, asks []market.Level
	err := v.view(func(s *exchange.State) (err error) {
		if p, err = pair(s, "path.market", in.Market); err != nil {
			return err
		}
		r.At = at(s)
		bids = s.Markets().Depth(nil, p.ID, market.Buy, in.Depth)
		asks = s.Markets().Depth(nil, p.ID, market.Sell, in.Depth)
		return nil
	})
	if err != nil {
		return nil, refuse(err)
	}
	r.Market, r.Symbol, r.Bids, r.Asks = uint32(p.ID), p.Symbol(), p.Levels(bids), p.Levels(asks)
	return &Reply[api.Book]{r}, nil
}

// TradesInput says which trades.
type TradesInput struct {
	Market string `query:"market" required:"true" maxLength:"32" doc:"Number, or base and quote with a dash." example:"BTC-EUR"`
	Before string `query:"before" maxLength:"64" doc:"Only trades older than this: next of the response before."`
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
}

func (v *virtual) trades(_ context.Context, in *TradesInput) (*Reply[api.Trades], error) {
	before, err := parseCursor(in.Before)
	if err != nil {
		return nil, err
	}
	r := api.Trades{Trades: []api.Trade{}}
	var p api.Pair
	err = v.view(func(s *exchange.State) (err error) {
		r.At = at(s)
		p, err = pair(s, "query.market", in.Market)
		return err
	})
	if err != nil {
		return nil, refuse(err)
	}
	for t, err := range v.replica.Trades(p.ID, before) {
		if err != nil {
			return nil, refuse(err)
		}
		r.Trades = append(r.Trades, p.Trade(&t.Trade))
		if len(r.Trades) == in.Limit {
			r.Next = formatCursor(Cursor{t.Height, t.Time, t.ID})
			break
		}
	}
	return &Reply[api.Trades]{r}, nil
}

// TradeInput names a trade.
type TradeInput struct {
	ID     uint64 `path:"id" minimum:"1" maximum:"9007199254740991"`
	Market string `query:"market" maxLength:"32" doc:"Its market, if known; finds it faster."`
	Height uint64 `query:"height" doc:"Its height, if known, with its time: finds old trades."`
	Time   uint64 `query:"time" doc:"Its time, if known."`
	Proving
}

// maxScan is how many entries of a history one request may go through.
const maxScan = 20_000

func (v *virtual) trade(ctx context.Context, in *TradeInput) (*Reply[api.Trade], error) {
	var all []api.Pair
	err := v.view(func(s *exchange.State) error {
		if in.Market != "" {
			p, err := pair(s, "query.market", in.Market)
			all = []api.Pair{p}
			return err
		}
		for _, m := range s.Markets().Markets(nil) {
			all = append(all, api.NewPair(m, s.Ledger()))
		}
		return nil
	})
	if err != nil {
		return nil, refuse(err)
	}
	var before Cursor
	if in.Height != 0 {
		before = Cursor{in.Height, in.Time, market.TradeID(in.ID + 1)}
	}
	for i := range all {
		t, ok, err := v.findTrade(all[i].ID, market.TradeID(in.ID), before)
		if err != nil {
			return nil, refuse(err)
		}
		if !ok {
			continue
		}
		r := all[i].Trade(&t.Trade)
		if in.Proof {
			if r.Proof, err = v.proveResult(ctx, t.Height, t.Index); err != nil {
				return nil, refuse(err)
			}
		}
		return &Reply[api.Trade]{r}, nil
	}
	return nil, api.NewError(api.NotFound, "path.id", "This server does not find trade %d. If it is old, name its market, height and time; or ask another server.", in.ID)
}

// AuctionInput names an auction.
type AuctionInput struct {
	Market string `path:"market" maxLength:"32" doc:"Number, or base and quote with a dash." example:"BTC-EUR"`
	Height uint64 `path:"height" minimum:"1"`
	Proving
}

func (v *virtual) auction(ctx context.Context, in *AuctionInput) (*Reply[api.Auction], error) {
	var p api.Pair
	err := v.view(func(s *exchange.State) (err error) {
		if p, err = pair(s, "path.market", in.Market); err == nil && in.Height > s.Height() {
			err = api.NewError(api.NotFound, "path.height", "The newest block here in which anything happened is %d. The height of a trade names its block.", s.Height())
		}
		return err
	})
	if err != nil {
		return nil, refuse(err)
	}
	a, ok, err := v.replica.Auction(p.ID, in.Height)
	if err != nil {
		return nil, refuse(err)
	}
	if !ok {
		return nil, api.NewError(api.NotFound, "path.height", "Nothing was traded in %s in block %d. The height of a trade names its block.", p.Symbol(), in.Height)
	}
	r := p.Auction(&a.Auction)
	if in.Proof {
		if r.Proof, err = v.proveResult(ctx, a.Height, a.Index); err != nil {
			return nil, refuse(err)
		}
	}
	return &Reply[api.Auction]{r}, nil
}

// findTrade looks for a trade of a market, backwards from a cursor.
func (v *virtual) findTrade(id market.ID, want market.TradeID, before Cursor) (found Trade, ok bool, err error) {
	seen := 0
	for t, err := range v.replica.Trades(id, before) {
		if err != nil {
			return Trade{}, false, err
		}
		if seen++; t.ID <= want || seen == maxScan {
			return t, t.ID == want, nil
		}
	}
	return Trade{}, false, nil
}

// formatCursor is a cursor as it stands in "next" and "before".
func formatCursor(c Cursor) string { return api.Cursor(c.Height, c.Time, uint64(c.Trade)) }

// parseCursor reads a cursor; nothing is the newest.
func parseCursor(s string) (Cursor, error) {
	if s == "" {
		return Cursor{}, nil
	}
	parts := strings.Split(s, "-")
	var n [3]uint64
	for i := range n {
		var err error
		if len(parts) == len(n) {
			n[i], err = strconv.ParseUint(parts[i], 10, 53)
		}
		if err != nil || len(parts) != len(n) {
			return Cursor{}, api.NewError(api.BadRequest, "query.before", "Give what the response before has as next, or nothing.")
		}
	}
	return Cursor{n[0], n[1], market.TradeID(n[2])}, nil
}

func (v *virtual) audit(_ context.Context, in *AssetsInput) (*Reply[api.Audit], error) {
	r := api.Audit{Balanced: true}
	var all []ledger.Audit
	var of []ledger.Asset
	err := v.look(func(s *exchange.State) {
		from, to, next := in.page(s)
		r.At, r.Next = at(s), next
		for id := from; id <= to; id++ {
			a, _ := s.Ledger().Asset(id)
			all, of = append(all, s.Ledger().Audit(id)), append(of, a)
		}
	})
	if err != nil {
		return nil, refuse(err)
	}
	r.Assets = make([]api.AssetAudit, len(all))
	for i := range all {
		r.Assets[i] = api.AuditValue(&all[i], &of[i])
		r.Balanced = r.Balanced && all[i].Balanced
	}
	return &Reply[api.Audit]{r}, nil
}

func (v *virtual) votes(context.Context, *Nothing) (*Reply[api.Votes], error) {
	r := api.Votes{Votes: []api.Vote{}}
	err := v.look(func(s *exchange.State) {
		r.At = at(s)
		s.Roster().Votes(func(vote roster.Vote) bool {
			r.Votes = append(r.Votes, api.VoteValue(&vote))
			return true
		})
	})
	if err != nil {
		return nil, refuse(err)
	}
	return &Reply[api.Votes]{r}, nil
}

// LightInput names a header.
type LightInput struct {
	Height uint64 `path:"height" doc:"0: the newest."`
}

func (v *virtual) light(_ context.Context, in *LightInput) (*Raw, error) {
	b, err := v.engine.LightBlock(in.Height)
	switch {
	case err == nil:
		return &Raw{api.Binary, b}, nil
	case in.Height > v.replica.Height():
		return nil, api.NewError(api.NotFound, "path.height", "There is no header %d yet.", in.Height)
	}
	return nil, api.NewError(api.NotKept, "path.height", "This server does not keep header %d. Ask another one.", in.Height)
}

// refuse is an error as huma writes it.
func refuse(err error) error {
	e := problem(err)
	if e.RetryAfter > 0 {
		return huma.ErrorWithHeaders(e, http.Header{"Retry-After": {retryText(e)}})
	}
	return e
}
