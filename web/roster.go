package web

import (
	"context"
	"strconv"

	"souk/api"
	"souk/exchange"
	"souk/exchange/roster"
)

func (v *virtual) members(context.Context, *Nothing) (*Reply[api.Members], error) {
	r := api.Members{Members: []api.Member{}}
	err := v.look(func(s *exchange.State) {
		r.At = at(s)
		for m := range s.Roster().Members {
			r.Members = append(r.Members, api.MemberValue(&m))
		}
	})
	if err != nil {
		return nil, refuse(err)
	}
	return &Reply[api.Members]{r}, nil
}

// MemberInput names a member.
type MemberInput struct {
	Member string `path:"member" maxLength:"32" doc:"Number or name."`
	Proving
}

func (v *virtual) memberPage(ctx context.Context, in *MemberInput) (*Reply[api.MemberPage], error) {
	var r api.MemberPage
	err := v.view(func(s *exchange.State) error {
		r.At = at(s)
		for m := range s.Roster().Members {
			if m.Name == in.Member || strconv.FormatUint(uint64(m.ID), 10) == in.Member {
				r.Member = api.MemberValue(&m)
				return nil
			}
		}
		return api.NewError(api.NotFound, "path.member", "There is no member %q. /v1/members lists them by number and name.", cut(in.Member))
	})
	if err != nil {
		return nil, refuse(err)
	}
	if !in.Proof {
		return &Reply[api.MemberPage]{r}, nil
	}
	key := exchange.MemberKey(roster.ID(r.ID))
	if r.Proof, err = v.proveLeaf(ctx, key); err != nil {
		return nil, refuse(err)
	}
	m, err := roster.ParseMember(key, r.Proof.Leaf)
	if err != nil {
		return nil, refuse(err)
	}
	r.Member = api.MemberValue(&m)
	return &Reply[api.MemberPage]{r}, nil
}

// ParamsInput says whether a proof is wanted.
type ParamsInput struct {
	Proving
}

func (v *virtual) params(ctx context.Context, in *ParamsInput) (*Reply[api.Params], error) {
	var r api.Params
	var p *api.Proof
	var params *exchange.Params
	if in.Proof {
		var err error
		if p, err = v.proveLeaf(ctx, exchange.ClockKey()); err != nil {
			return nil, refuse(err)
		}
		clock, err := exchange.ParseClock(p.Leaf)
		if err != nil {
			return nil, refuse(err)
		}
		params = &clock.Params
	}
	err := v.look(func(s *exchange.State) {
		if params == nil {
			now := s.Params()
			params = &now
		}
		r = api.ParamsValue(params, s.Ledger())
		r.At, r.Proof = at(s), p
	})
	if err != nil {
		return nil, refuse(err)
	}
	return &Reply[api.Params]{r}, nil
}
