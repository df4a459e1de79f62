// Package workload makes commands for a simulated federation by seed: every kind of
// command and order, mostly sensible and some impossible, on accounts that they
// share so that they get in each other's way. The mix differs from seed to seed.
//
// It knows accounts, keys and nonces, and reads a state to name live orders. It
// leaves sending, losing and repeating commands to the simulation, and judging what
// they do to sim/check. It stands beside the floors.
package workload

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"

	"souk/asset"
	"souk/exchange"
	"souk/exchange/exchangetest"
	"souk/exchange/ledger"
	"souk/exchange/market"
	"souk/exchange/roster"
	"souk/identity"
)

// Accounts is how many accounts trade.
const Accounts = 16

// lifetime is for how many ms of block time most commands are good.
const lifetime = 60_000

// key is a private key and what is made of it.
type key struct {
	private identity.PrivateKey
	public  identity.PublicKey
	address identity.Address
}

// Keys are the keys of everybody who may take part in any seed. Making them takes
// longer than most seeds' signatures, so all seeds share them. They are read only.
type Keys struct {
	names map[string]*key
	known map[identity.PublicKey]*key
}

// Servers is for how many servers there are keys, replacements and later members included.
const Servers = 12

// NewKeys makes the keys.
func NewKeys() *Keys {
	k := &Keys{names: map[string]*key{}, known: map[identity.PublicKey]*key{}}
	k.add("issuer")
	for i := range Accounts {
		name := account(i)
		k.add(name, name+"/bot0", name+"/bot1", name+"/next")
	}
	for i := range Servers {
		name := exchangetest.MemberName(i)
		k.add(name, name+"/server", name+"/consensus", name+"/server2", name+"/consensus2")
	}
	for i := range strangers {
		k.add(stranger(i))
	}
	return k
}

// strangers is how many addresses get money and never sign, but for the first of
// their commands, which the ledger must learn their key from.
const strangers = 6

func account(i int) string  { return fmt.Sprintf("a%d", i) }
func stranger(i int) string { return fmt.Sprintf("new%d", i) }

func (k *Keys) add(names ...string) {
	for _, name := range names {
		private := exchangetest.Key(name)
		public := private.Public()
		made := &key{private, public, identity.AddressOf(public)}
		k.names[name], k.known[public] = made, made
	}
}

// Public is the public key of a name.
func (k *Keys) Public(name string) identity.PublicKey { return k.names[name].public }

// Address is the address of a name's account.
func (k *Keys) Address(name string) identity.Address { return k.names[name].address }

// Workload makes commands. It is not safe for concurrent use.
type Workload struct {
	keys    *Keys
	id      exchange.ID
	rng     *rand.Rand
	nonces  map[identity.Address]uint64
	mix     [kinds]int
	sum     int
	odd     int // one in so many commands is odd in its envelope
	escrows int // ids of escrows are drawn from so many
	bodies  [kinds]func(s *exchange.State, name string, now uint64) exchange.Body
	history []exchange.Command
}

// Kinds of things that a workload does.
const (
	doPlace = iota
	doOCO
	doCancel
	doCancelAll
	doTimer
	doAmend
	doTransfer
	doKeys
	doIssue
	doSupply
	doEscrow
	doVote
	doReturn
	doGarbage
	kinds
)

// usual are the shares of what is done, out of about a hundred.
var usual = [kinds]int{
	doPlace: 44, doOCO: 4, doCancel: 10, doCancelAll: 1, doTimer: 1, doAmend: 6, doTransfer: 10, doKeys: 5, doIssue: 1, doSupply: 3,
	doEscrow: 9, doVote: 3, doReturn: 1, doGarbage: 2,
}

// New makes a workload for a virtual server.
func New(keys *Keys, f *exchange.Founding, seed uint64) *Workload {
	w := &Workload{
		keys: keys, id: f.ID(), rng: rand.New(rand.NewPCG(seed, 0x10ad)), //nolint:gosec // reproducible by seed
		nonces: map[identity.Address]uint64{},
	}
	for i, share := range usual {
		w.mix[i] = share * (1 + w.rng.IntN(4))
		if w.rng.IntN(8) == 0 {
			w.mix[i] *= 4
		}
		w.sum += w.mix[i]
	}
	w.odd = 20 + w.rng.IntN(60)
	w.escrows = 10
	w.bodies = [kinds]func(*exchange.State, string, uint64) exchange.Body{
		doPlace: w.place, doOCO: w.oco, doCancel: w.cancel, doCancelAll: w.cancelAll, doTimer: w.timer, doAmend: w.amend,
		doTransfer: w.transfer, doKeys: w.keyChange, doIssue: w.issue, doSupply: w.supply, doEscrow: w.escrow,
	}
	return w
}

// Funding gives all accounts money to begin with.
func (w *Workload) Funding(now uint64) []exchange.Command {
	fees := exchange.Mint{Asset: exchangetest.EUR, Amount: exchangetest.Coin, To: w.keys.Address("issuer")}
	all := []exchange.Command{w.sign("issuer", "issuer", &fees, now+10*lifetime-10_000)}
	for i := range Accounts {
		for _, m := range []exchange.Mint{
			{Asset: exchangetest.BTC, Amount: 10 * exchangetest.Coin},
			{Asset: exchangetest.EUR, Amount: 500_000 * exchangetest.Coin},
			{Asset: exchangetest.LTC, Amount: 1_000 * exchangetest.Coin},
		} {
			m.To = w.keys.Address(account(i))
			all = append(all, w.sign("issuer", "issuer", &m, now+10*lifetime-10_000))
		}
	}
	w.history = append(w.history, all...)
	return all
}

// LeaveRoster ends votes and returns. Members that are few may vote a quorum away,
// which no exchange can prevent and no liveness test should do.
func (w *Workload) LeaveRoster() {
	for _, kind := range []int{doVote, doReturn} {
		w.sum -= w.mix[kind]
		w.mix[kind] = 0
	}
}

// Next makes a command, with the help of a state that may be old, at a time in ms.
func (w *Workload) Next(s *exchange.State, now uint64) exchange.Command {
	c := w.make(s, now)
	if len(w.history) < 256 {
		w.history = append(w.history, c)
	} else {
		w.history[w.rng.IntN(len(w.history))] = c
	}
	return c
}

func (w *Workload) make(s *exchange.State, now uint64) exchange.Command {
	kind, at := 0, w.rng.IntN(w.sum)
	for ; at >= w.mix[kind]; kind++ {
		at -= w.mix[kind]
	}
	switch kind {
	case doVote:
		return w.Vote(w.server(s), w.action(s), uint32(w.rng.IntN(3)), w.rng.IntN(8) != 0, now)
	case doReturn:
		return w.Return(w.server(s), w.rng.IntN(2) == 0, now)
	case doGarbage:
		return w.garbage(s, now)
	}
	name := account(w.rng.IntN(Accounts))
	if kind == doSupply && w.rng.IntN(3) != 0 {
		name = "issuer"
	}
	body := w.bodies[kind](s, name, now)
	signer := w.signer(s, name)
	expiry := now + lifetime
	switch w.rng.IntN(w.odd) {
	case 0: // by the time it is in a block it may have expired
		expiry = now + uint64(w.rng.IntN(500))
	case 1:
		expiry = now + 600_000 + uint64(w.rng.IntN(60_000))
	case 2: // far ahead, perhaps too far
		w.nonces[w.keys.Address(name)] += uint64(w.rng.IntN(700))
	case 3:
		return w.far(name, signer, body, expiry)
	}
	return w.sign(name, signer, body, expiry)
}

// far is a command with a nonce that cannot be used.
func (w *Workload) far(name, signer string, body exchange.Body, expiry uint64) exchange.Command {
	k := w.keys.names[signer]
	c := exchange.Command{Kind: body.Kind(), Account: w.keys.Address(name), Expiry: expiry, Body: body.Append(nil)}
	if w.rng.IntN(2) == 0 {
		c.Nonce = w.nonces[c.Account] + 70_000 + w.rng.Uint64N(1_000_000)
	}
	w.seal(&c, k)
	return c
}

// signer is who signs for an account: mostly its owner as the state knows him,
// sometimes a bot that may or may not be a delegate, sometimes the key before or after.
func (w *Workload) signer(s *exchange.State, name string) string {
	if name == "issuer" {
		return name
	}
	switch w.rng.IntN(20) {
	case 0, 1:
		return fmt.Sprintf("%s/bot%d", name, w.rng.IntN(2))
	case 2:
		return name
	}
	n, ok := s.Ledger().Find(w.keys.Address(name))
	if ok && s.Ledger().Account(n).Owner == w.keys.Public(name+"/next") {
		return name + "/next"
	}
	return name
}

// sign makes a command of an account with a fresh nonce. All keys of an account
// draw from one row of numbers, so that a new owner's are above the old one's.
func (w *Workload) sign(name, signer string, body exchange.Body, expiry uint64) exchange.Command {
	k := w.keys.names[signer]
	c := exchange.Command{Kind: body.Kind(), Account: w.keys.Address(name), Expiry: expiry, Body: body.Append(nil)}
	w.nonces[c.Account]++
	c.Nonce = w.nonces[c.Account]
	w.seal(&c, k)
	return c
}

func (w *Workload) seal(c *exchange.Command, k *key) {
	if err := c.Sign(w.id, k.private); err != nil {
		panic(err) //nolint:forbidigo // bodies made here can be signed
	}
}

// Vote is a member's vote on an action, or the withdrawal of his yes.
func (w *Workload) Vote(server string, a roster.Action, salt uint32, approve bool, now uint64) exchange.Command {
	return w.sign(server, server, &exchange.Vote{Approve: approve, Action: roster.AppendAction(nil, a, salt)}, now+lifetime)
}

// Return asks for a server's full power back; with its second server key if the
// member has been given a new server.
func (w *Workload) Return(server string, second bool, now uint64) exchange.Command {
	signer := server + "/server"
	if second {
		signer += "2"
	}
	return w.sign(server, signer, exchange.Return{}, now+lifetime)
}

// Probe is a payment that must succeed on a federation that works: the issuer makes a unit.
func (w *Workload) Probe(now uint64) exchange.Command {
	return w.sign("issuer", "issuer", &exchange.Mint{Asset: exchangetest.EUR, Amount: 1, To: w.keys.Address(account(0))}, now+lifetime)
}

// Forge is a copy of a command that was made before, spoilt so that no block may hold it.
func (w *Workload) Forge() exchange.Command {
	c := w.history[w.rng.IntN(len(w.history))]
	switch w.rng.IntN(4) {
	case 0:
		c.Signature[w.rng.IntN(len(c.Signature))] ^= 1 << w.rng.IntN(8)
	case 1: // signed for another virtual server
		other := w.id
		other[0] ^= 1
		if err := c.Sign(other, w.keys.names["issuer"].private); err != nil {
			panic(err) //nolint:forbidigo // it was signed before
		}
	case 2:
		c.Nonce++
	case 3:
		c.Expiry += lifetime
	}
	return c
}

// Old is a command that was made before.
func (w *Workload) Old() exchange.Command { return w.history[w.rng.IntN(len(w.history))] }

// server is the name of a member, or of a server that is none.
func (w *Workload) server(s *exchange.State) string {
	return exchangetest.MemberName(w.rng.IntN(s.Roster().Len() + 1))
}

// garbage is a well-signed command with a body that is none.
func (w *Workload) garbage(s *exchange.State, now uint64) exchange.Command {
	all := exchange.Kinds()
	name := account(w.rng.IntN(Accounts))
	c := exchange.Command{Kind: all[w.rng.IntN(len(all))], Account: w.keys.Address(name), Expiry: now + lifetime}
	w.nonces[c.Account]++
	c.Nonce = w.nonces[c.Account]
	c.Body = make([]byte, w.rng.IntN(80))
	for i := range c.Body {
		c.Body[i] = byte(w.rng.IntN(1 + 255*w.rng.IntN(2)))
	}
	w.seal(&c, w.keys.names[w.signer(s, name)])
	return c
}

func (w *Workload) action(s *exchange.State) roster.Action {
	to := w.keys.Address(account(w.rng.IntN(Accounts)))
	small := func(n int) uint32 { return uint32(w.rng.IntN(n)) }
	actions := []roster.Action{
		roster.ResumeMarket{Market: small(3)},
		roster.SetMarket{Market: 1, MakerPPM: small(3000), TakerPPM: 2000, ReservePPM: 100_000},
		roster.SpendHouse{House: uint8(1 + small(3)), Asset: asset.ID(1 + small(3)), Amount: asset.Amount(small(100)), To: to},
		roster.AllowSymbol{Symbol: fmt.Sprintf("T%d", small(20)), Issuer: to},
		roster.ReserveSymbol{Symbol: fmt.Sprintf("R%d", small(20))},
		roster.SetProtocol{Version: 2 * small(2), Height: s.Height() + uint64(small(30))},
		roster.RemoveMember{Member: 999},
	}
	return actions[w.rng.IntN(len(actions))]
}

// preimage is the secret behind the hash of an escrow.
func preimage(i int) [32]byte { return sha256.Sum256(fmt.Append(nil, "preimage ", i)) }

func (w *Workload) keyChange(_ *exchange.State, name string, now uint64) exchange.Body {
	bot := w.keys.Public(fmt.Sprintf("%s/bot%d", name, w.rng.IntN(2)))
	switch w.rng.IntN(8) {
	case 0, 1:
		return &exchange.RemoveDelegate{Key: bot}
	case 2:
		return &exchange.Rotate{Key: w.keys.Public(name + "/next")}
	case 3:
		return exchange.CancelRotation{}
	}
	a := &exchange.AddDelegate{Key: bot, Scopes: ledger.Scope(w.rng.IntN(16)), Markets: []uint32{1, 2}[:w.rng.IntN(3)]}
	if w.rng.IntN(4) == 0 {
		a.Expiry = now + uint64(w.rng.IntN(5_000))
	}
	return a
}

func (w *Workload) issue(*exchange.State, string, uint64) exchange.Body {
	return &exchange.Issue{Symbol: fmt.Sprintf("T%d", w.rng.IntN(20)), Decimals: uint8(w.rng.IntN(20)), MaxSupply: 1e9, Contract: "a promise"}
}

// supply mints or burns, not always by the issuer.
func (w *Workload) supply(s *exchange.State, _ string, _ uint64) exchange.Body {
	id := asset.ID(1 + w.rng.IntN(s.Ledger().Assets()))
	amount := asset.Amount(w.rng.Int64N(int64(exchangetest.Coin)))
	if w.rng.IntN(2) == 0 {
		return &exchange.Burn{Asset: id, Amount: amount}
	}
	if w.rng.IntN(10) == 0 {
		amount = asset.MaxSupply - amount
	}
	return &exchange.Mint{Asset: id, Amount: amount, To: w.payee()}
}

func (w *Workload) payee() identity.Address {
	if w.rng.IntN(12) == 0 {
		return w.keys.Address(stranger(w.rng.IntN(strangers)))
	}
	if w.rng.IntN(6) == 0 {
		return w.keys.Address("issuer")
	}
	return w.keys.Address(account(w.rng.IntN(Accounts)))
}

func (w *Workload) transfer(*exchange.State, string, uint64) exchange.Body {
	return &exchange.Transfer{
		To: w.payee(), Asset: asset.ID(1 + w.rng.IntN(4)), Amount: asset.Amount(w.rng.Int64N(int64(2 * exchangetest.Coin))), Memo: "rent",
	}
}

func (w *Workload) escrow(_ *exchange.State, _ string, now uint64) exchange.Body {
	id := uint64(1 + w.rng.IntN(w.escrows))
	secret := preimage(w.rng.IntN(4))
	switch w.rng.IntN(8) {
	case 0, 1:
		return &exchange.Claim{Escrow: id, Preimage: secret[:]}
	case 2:
		return &exchange.Refund{Escrow: id}
	case 3:
		return &exchange.Dispute{Escrow: id}
	case 4:
		return &exchange.Resolve{Escrow: id, Pay: w.rng.IntN(2) == 0}
	}
	w.escrows++
	l := &exchange.Lock{
		Payee: w.payee(), Asset: asset.ID(1 + w.rng.IntN(3)), Amount: exchangetest.Coin / 100, Hash: sha256.Sum256(secret[:]),
		Deadline: now + uint64(w.rng.IntN(8_000)), Memo: "wire",
	}
	if w.rng.IntN(2) == 0 {
		l.Arbiter, l.Window = w.payee(), 3_000
	}
	return l
}

func (w *Workload) cancelAll(*exchange.State, string, uint64) exchange.Body {
	return &exchange.CancelAll{Market: market.ID(w.rng.IntN(3))}
}

func (w *Workload) timer(*exchange.State, string, uint64) exchange.Body {
	return &exchange.CancelAllAfter{Delay: uint64(w.rng.IntN(4) * 1000)}
}
