package sim

import (
	"math/rand/v2"

	"souk/exchange/exchangetest"
	"souk/exchange/market"
	"souk/exchange/roster"
	"souk/sim/workload"
)

// plans are what the members decide by vote while a seed runs.
type plans struct {
	f     *federation
	rng   *rand.Rand
	salt  uint32
	count int
}

func newPlans(f *federation, seed uint64) *plans {
	return &plans{f: f, rng: rand.New(rand.NewPCG(seed, 0x907e))} //nolint:gosec // reproducible by seed
}

func (p *plans) start() { p.f.loop.after(uint64(2_000_000+p.rng.IntN(2_000_000)), p.next) }

func (p *plans) next() {
	if p.f.calm {
		return
	}
	p.f.loop.after(uint64(1_500_000+p.rng.IntN(4_000_000)), p.next)
	if p.f.outage {
		return
	}
	if a := p.action(); a != nil {
		p.vote(a)
	}
}

// vote lets all members say yes, each in his own time.
func (p *plans) vote(a roster.Action) {
	p.salt++
	p.count++
	salt := 1000 + p.salt
	p.f.log("plan", int(a.Kind()))
	for m := range p.f.audit.State().Roster().Members {
		p.f.loop.after(uint64(p.rng.IntN(1_500_000)), func() {
			p.f.clients.send(p.f.load.Vote(m.Name, a, salt, true, p.f.clients.now()), p.f.clients.any())
		})
	}
}

// action is what to vote on next; nil for nothing.
func (p *plans) action() roster.Action {
	st := p.f.audit.State()
	id := uint32(1 + p.rng.IntN(2))
	switch p.rng.IntN(12) {
	case 0, 1:
		p.f.loop.after(2_500_000, func() { p.vote(roster.ResumeMarket{Market: id}) })
		return roster.PauseMarket{Market: id}
	case 2:
		return roster.SetMarket{
			Market: id, MakerPPM: uint32(p.rng.IntN(3000)), TakerPPM: uint32(p.rng.IntN(5000)), ReservePPM: 250_000,
			BandPPM: uint32(p.rng.IntN(2) * 20_000),
		}
	case 3:
		terms := market.Terms{Tick: 100, Lot: 1e5, MinNotional: 1_000, MakerPPM: 500, TakerPPM: 700, Reference: 150_000}
		return roster.CreateMarket{Base: exchangetest.LTC, Quote: exchangetest.EUR, Terms: terms.Append(nil)}
	case 4:
		params := st.Params()
		drawParams(p.rng, &params)
		params.FeeAsset, params.Fee = 0, 0
		if p.rng.IntN(2) == 0 {
			params.FeeAsset, params.Fee = exchangetest.EUR, 1_000
		}
		return roster.SetParams{Params: params.Append(nil)}
	case 5:
		if version := st.Roster().Version(p.f.head()); version < 2 {
			return roster.SetProtocol{Version: 2, Height: p.f.head() + uint64(5+p.rng.IntN(40))}
		}
	case 6, 7:
		return p.add()
	case 8:
		return p.remove()
	case 9, 10:
		return p.replace()
	case 11:
		return roster.SpendHouse{House: 1, Asset: exchangetest.EUR, Amount: 100, To: p.f.keys.Address("a1")}
	}
	return nil
}

// add is a vote on a new member, whose server starts at once.
func (p *plans) add() roster.Action {
	i := len(p.f.servers)
	if i == 1 || i >= workload.Servers || p.f.audit.State().Roster().Len() >= 8 {
		return nil
	}
	s := newServer(p.f, i)
	s.founder = false
	p.f.servers = append(p.f.servers, s)
	card := exchangetest.Card(s.name)
	s.boot()
	return roster.AddMember{Card: card.Roster()}
}

// member is one of the members, and his server.
func (p *plans) member() (roster.Member, *server) {
	r := p.f.audit.State().Roster()
	at := p.rng.IntN(r.Len())
	for m := range r.Members {
		if at == 0 {
			for _, s := range p.f.servers {
				if s.name == m.Name {
					return m, s
				}
			}
		}
		at--
	}
	return roster.Member{}, nil
}

func (p *plans) remove() roster.Action {
	m, s := p.member()
	if s == nil || p.f.audit.State().Roster().Len() < 5 {
		return nil
	}
	return roster.RemoveMember{Member: m.ID}
}

// replace is a vote on new keys for a member's server, each member once.
func (p *plans) replace() roster.Action {
	m, s := p.member()
	if s == nil || len(s.keys) > 1 {
		return nil
	}
	s.keys = append(s.keys, p.f.keys.Public(s.name+"/consensus2"))
	return roster.ReplaceMember{
		Member: m.ID, Server: p.f.keys.Public(s.name + "/server2"), Consensus: s.keys[1], P2P: m.P2P, URL: m.URL,
	}
}
