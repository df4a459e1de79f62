package node

import (
	"context"
	"errors"
	"iter"

	"souk/archive"
	"souk/exchange"
	"souk/exchange/market"
	"souk/identity"
	"souk/merkle"
	"souk/replica"
	"souk/web"
)

// face shows a replica as web wants to see it.
type face struct{ *replica.Replica }

// webErr gives an error the name that web knows it by.
func webErr(err error) error {
	for _, p := range [...][2]error{
		{replica.ErrBusy, web.ErrBusy},
		{replica.ErrRequest, web.ErrRequest},
		{replica.ErrPruned, web.ErrPruned},
		{replica.ErrClosed, web.ErrStopped},
		{replica.ErrNotFounded, web.ErrNoState},
		{replica.ErrDetached, web.ErrStopped},
	} {
		if errors.Is(err, p[0]) {
			return errors.Join(p[1], err)
		}
	}
	return err
}

func (f face) View(read func(*exchange.State)) error { return webErr(f.Replica.View(read)) }

func (f face) Height() uint64 { return f.Position().Height }

func (f face) Submit(ctx context.Context, r web.Request) ([]web.Answer, error) {
	answers, err := f.Replica.Submit(ctx, replica.Request{Client: r.Client, Data: r.Data, Silent: r.Silent})
	out := make([]web.Answer, len(answers))
	for i := range answers {
		out[i] = webAnswer(&answers[i])
	}
	return out, webErr(err)
}

func webAnswer(a *replica.Answer) web.Answer {
	return web.Answer{ID: a.ID, Fate: web.Fate(a.Fate), Receipt: a.Receipt}
}

func (f face) Fate(id exchange.CommandID) (web.Answer, error) {
	a, err := f.Replica.Fate(id)
	return webAnswer(&a), webErr(err)
}

func webLeaf(p *replica.LeafProof) web.LeafProof {
	return web.LeafProof{Key: p.Key, Value: p.Value, Proof: p.Proof, Root: p.Root, Height: p.Height}
}

func webResult(p *replica.ResultProof) web.ResultProof {
	return web.ResultProof{Entry: p.Entry, List: p.List, Clock: webLeaf(&p.Clock)}
}

func (f face) ProveLeaf(key merkle.Key) (web.LeafProof, error) {
	p, err := f.Replica.ProveLeaf(key)
	return webLeaf(&p), webErr(err)
}

func (f face) ProveResult(height uint64, index uint32) (web.ResultProof, error) {
	p, err := f.Replica.ProveResult(height, index)
	return webResult(&p), webErr(err)
}

func (f face) ProveReceipt(id exchange.CommandID) (web.ResultProof, error) {
	p, err := f.Replica.ProveReceipt(id)
	return webResult(&p), webErr(err)
}

func (f face) Trades(id market.ID, before web.Cursor) iter.Seq2[web.Trade, error] {
	return func(yield func(web.Trade, error) bool) {
		for t, err := range f.Replica.Trades(id, replica.Cursor(before)) {
			if !yield(web.Trade{Trade: t.Trade, Index: t.Index}, webErr(err)) {
				return
			}
		}
	}
}

func (f face) Auction(id market.ID, height uint64) (web.Auction, bool, error) {
	a, ok, err := f.Replica.Auction(id, height)
	return web.Auction(a), ok, webErr(err)
}

func (f face) Fills(account identity.Address, before web.Cursor) iter.Seq2[web.Fill, error] {
	return func(yield func(web.Fill, error) bool) {
		for x, err := range f.Replica.Fills(account, replica.Cursor(before)) {
			if !yield(web.Fill(x), webErr(err)) {
				return
			}
		}
	}
}

func (f face) Cancels(account identity.Address) iter.Seq2[web.Cancelled, error] {
	return func(yield func(web.Cancelled, error) bool) {
		for x, err := range f.Replica.Cancels(account) {
			if !yield(web.Cancelled(x), webErr(err)) {
				return
			}
		}
	}
}

func (f face) Follow(ctx context.Context, from uint64) iter.Seq2[*archive.Block, error] {
	return func(yield func(*archive.Block, error) bool) {
		for b, err := range f.Replica.Follow(ctx, from) {
			var gone *replica.GoneError
			if errors.As(err, &gone) {
				err = &web.GoneError{Oldest: gone.Oldest}
			}
			if !yield(b, webErr(err)) {
				return
			}
		}
	}
}

func (f face) Silent() []web.Silence {
	var all []web.Silence
	for _, m := range f.Members() {
		if m.Reports > 0 {
			all = append(all, web.Silence{Member: m.ID, Reports: m.Reports, Last: uint64(m.LastReport.UnixMilli())})
		}
	}
	return all
}
