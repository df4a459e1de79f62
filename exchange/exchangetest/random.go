package exchangetest

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"slices"

	"souk/asset"
	"souk/exchange"
	"souk/exchange/custody"
	"souk/exchange/ledger"
	"souk/exchange/market"
	"souk/exchange/roster"
)

// Random makes commands of every kind by seed: mostly sensible, some impossible,
// on accounts that they share, so that they get in each other's way.
type Random struct {
	World *World
	Names []string
	Chain *Chain // of the bank; nil if there is none
	rng   *rand.Rand
	made  int
}

// NewBankRandom is NewRandom for a world of BankFounding: the accounts have
// addresses, are paid there, and withdraw.
func NewBankRandom(w *World, accounts int, seed uint64) *Random {
	r := NewRandom(w, accounts, seed)
	r.Chain = NewChain(w)
	var commands []exchange.Command
	for _, name := range r.Names {
		commands = append(commands, w.Command(name, &exchange.NewAddress{Bank: Bank}))
	}
	w.Block(commands...)
	r.pay()
	r.Chain.Mine(8)
	w.Block(r.Chain.Attest()...)
	return r
}

// pay pays something to addresses of all accounts, and to one of nobody.
func (r *Random) pay() {
	for i := range r.Names {
		r.Chain.Pay(0, uint32(i), asset.Amount(1+r.rng.IntN(300))*1e6) //nolint:gosec // small
	}
	r.Chain.Pay(0, 1_000_000, asset.Amount(20_000+r.rng.IntN(100))) //nolint:gosec // small
}

// chain lets something happen on the bank's chain, and the members say it.
func (r *Random) chain() []exchange.Command {
	switch n := r.rng.IntN(20); {
	case n < 3:
		r.pay()
	case n < 12:
		r.Chain.MineBatches()
	case n == 12:
		r.Chain.Back(min(2, r.Chain.Tip-BankStart))
	}
	r.Chain.Mine(uint32(1 + r.rng.IntN(4))) //nolint:gosec // small
	commands := r.Chain.Attest()
	if r.rng.IntN(3) == 0 { // some of whom have accounts
		stranger := Address(fmt.Sprint("stranger ", r.rng.IntN(20)))
		commands = append(commands, r.World.ByServer(MemberName(r.rng.IntN(2)), &exchange.Admit{Bank: Bank, Account: stranger}))
	}
	return commands
}

// bank is a body about the bank.
func (r *Random) bank() exchange.Body {
	switch r.rng.IntN(10) {
	case 0:
		return &exchange.NewAddress{Bank: Bank}
	case 1:
		return &exchange.Donate{Bank: Bank, Amount: asset.Amount(r.rng.IntN(100_000))} //nolint:gosec // small
	case 2:
		return &exchange.CancelWithdrawal{Withdrawal: custody.ID(1 + r.rng.IntN(60))} //nolint:gosec // small
	case 3:
		return &exchange.SetWithdrawals{Settings: custody.Settings{Delay: uint64(r.rng.IntN(3)) * 50}, Salt: custody.Salt{1, 2}} //nolint:gosec // small
	case 4:
		return &exchange.Transfer{To: Address(r.name()), Asset: TBC, Amount: asset.Amount(1 + r.rng.IntN(1e7))} //nolint:gosec // small
	}
	return &exchange.Withdraw{Request: custody.Request{
		Bank: Bank, Script: Output(fmt.Sprint(r.rng.IntN(9))), Amount: asset.Amount(1+r.rng.IntN(60)) * 1e6, //nolint:gosec // small
		MaxFee: asset.Amount(r.rng.IntN(20_000)), Salt: custody.Salt{3, 4}, //nolint:gosec // small
	}}
}

// sign is a member's signature of some live batch.
func (r *Random) sign() (exchange.Command, bool) {
	info, _ := r.World.State.Banks().Bank(Bank)
	if len(info.Live) == 0 {
		return exchange.Command{}, false
	}
	t, _ := r.World.State.Banks().Batch(Bank, info.Live[r.rng.IntN(len(info.Live))])
	x := &exchange.Sign{Signature: custody.Signature{Bank: Bank, Batch: t.Number, Version: uint8(len(t.Versions))}} //nolint:gosec // small
	for range t.Spends(len(t.Versions)) {
		x.Signatures = append(x.Signatures, []byte{byte(r.rng.IntN(256))}) //nolint:gosec // a byte
	}
	return r.World.ByServer(MemberName(r.rng.IntN(4)), x), true
}

// NewRandom funds accounts a0, a1, ... of the world and makes commands for them.
func NewRandom(w *World, accounts int, seed uint64) *Random {
	r := &Random{World: w, rng: rand.New(rand.NewPCG(seed, 1))} //nolint:gosec // reproducible by seed
	for i := range accounts {
		r.Names = append(r.Names, fmt.Sprintf("a%d", i))
	}
	w.Fund(BTC, 10*Coin, r.Names...)
	w.Fund(EUR, 500_000*Coin, r.Names...)
	w.Fund(LTC, 1_000*Coin, r.Names...)
	return r
}

// Block makes n commands.
func (r *Random) Block(n int) []exchange.Command {
	commands := make([]exchange.Command, n)
	for i := range commands {
		commands[i] = r.Command()
	}
	if r.Chain != nil && r.rng.IntN(3) > 0 {
		commands = slices.Concat(commands, r.chain())
	}
	return commands
}

// Command makes one command.
func (r *Random) Command() exchange.Command {
	name := r.name()
	body := r.body(name)
	if r.Chain != nil && r.rng.IntN(4) == 0 {
		if body = r.bank(); r.rng.IntN(4) == 0 {
			if c, ok := r.sign(); ok {
				return c
			}
		}
	}
	if v, ok := body.(*exchange.Vote); ok {
		return r.World.Command(MemberName(r.rng.IntN(len(r.World.State.Founding().Members))), v)
	}
	if r.rng.IntN(10) == 0 { // by a delegate, if there is one
		return r.World.CommandBy(Address(name), Key(fmt.Sprintf("%s/bot%d", name, r.rng.IntN(2))), body)
	}
	c := r.World.Command(name, body)
	if r.rng.IntN(50) == 0 {
		c.Expiry = r.World.Time + uint64(r.rng.IntN(20)) //nolint:gosec // small
		c.Sign(r.World.State.ID(), Key(name))            //nolint:errcheck // a body of this size can be signed
	}
	return c
}

func (r *Random) name() string { return r.Names[r.rng.IntN(len(r.Names))] }

func (r *Random) body(name string) exchange.Body {
	switch n := r.rng.IntN(100); {
	case n < 45:
		return r.place()
	case n < 49:
		return r.oco()
	case n < 60:
		return &exchange.Cancel{Target: r.target(name)}
	case n < 62:
		return &exchange.CancelAll{Market: market.ID(r.rng.IntN(3))} //nolint:gosec // small
	case n < 63:
		return &exchange.CancelAllAfter{Delay: uint64(r.rng.IntN(3) * 1000)} //nolint:gosec // small
	case n < 70:
		return &exchange.Amend{Target: r.target(name), Price: r.price(r.market()) * asset.Price(r.rng.IntN(2)), Quantity: r.quantity()} //nolint:gosec // small
	case n < 82:
		return r.transfer()
	case n < 86:
		return r.keys(name)
	case n < 87:
		return &exchange.Issue{Symbol: fmt.Sprintf("T%d", r.rng.IntN(20)), Decimals: 2, MaxSupply: 1e9, Contract: "test"}
	case n < 96:
		return r.escrow()
	default:
		return r.vote()
	}
}

func (r *Random) market() market.ID { return market.ID(1 + r.rng.IntN(2)) } //nolint:gosec // small

func (r *Random) price(m market.ID) asset.Price {
	if m == BTCEUR {
		return asset.Price(50_000e8 + (r.rng.Int64N(200)-100)*1e8) //nolint:gosec // positive
	}
	return asset.Price(150_000 + (r.rng.Int64N(200)-100)*100) //nolint:gosec // positive
}

func (r *Random) quantity() asset.Amount { return asset.Amount(1+r.rng.IntN(50)) * 1e6 } //nolint:gosec // small

// client is a client order id out of few, so that they collide.
func (r *Random) client() string {
	if r.rng.IntN(3) == 0 {
		return ""
	}
	return fmt.Sprintf("c%d", r.rng.IntN(40))
}

func (r *Random) target(name string) exchange.Target {
	if r.rng.IntN(2) == 0 {
		return exchange.Target{Client: fmt.Sprintf("c%d", r.rng.IntN(40))}
	}
	n, _ := r.World.State.Ledger().Find(Address(name))
	if own := r.World.State.Markets().Owned(nil, market.Owner(n)); len(own) > 0 {
		return exchange.Target{Order: own[r.rng.IntN(len(own))]}
	}
	return exchange.Target{Order: market.OrderID(1 + r.rng.IntN(1000))} //nolint:gosec // small
}

func (r *Random) place() exchange.Body {
	m := r.market()
	p := &exchange.Place{
		Market: m, Side: market.Side(1 + r.rng.IntN(2)), Order: market.LimitOrder, TIF: market.GTC, //nolint:gosec // small
		Price: r.price(m), Quantity: r.quantity(), Client: r.client(),
	}
	switch r.rng.IntN(12) {
	case 0:
		p.TIF = market.IOC
	case 1:
		p.TIF = market.FOK
	case 2:
		p.PostOnly = true
	case 3:
		p.TIF, p.Expiry = market.GTD, r.World.Time+uint64(r.rng.IntN(2000)) //nolint:gosec // small
	case 4:
		p.Order, p.TIF = market.MarketOrder, market.IOC
	case 5:
		p.Order, p.TIF = market.MarketOrder, market.IOC
		p.Quantity, p.Quote = 0, asset.Amount(1+r.rng.IntN(100))*Coin //nolint:gosec // small
	case 6:
		p.Order, p.Trigger = market.StopOrder, r.price(m)
	case 7:
		p.Order, p.Trigger = market.Kind(4+r.rng.IntN(3)), r.price(m) //nolint:gosec // small
	}
	return p
}

func (r *Random) oco() exchange.Body {
	m := r.market()
	return &exchange.PlaceOCO{
		Market: m, Side: market.Side(1 + r.rng.IntN(2)), Quantity: r.quantity(), Limit: r.price(m), Trigger: r.price(m), //nolint:gosec // small
		Price: r.price(m), StopLimit: r.rng.IntN(2) == 0, LimitClient: r.client(), StopClient: r.client(),
	}
}

func (r *Random) transfer() exchange.Body {
	to := r.name()
	if r.rng.IntN(10) == 0 {
		to = fmt.Sprintf("new%d", r.rng.IntN(10))
	}
	return &exchange.Transfer{
		To: Address(to), Asset: asset.ID(1 + r.rng.IntN(4)), Amount: asset.Amount(r.rng.Int64N(int64(12 * Coin))), Memo: "rent", //nolint:gosec // small
	}
}

func (r *Random) keys(name string) exchange.Body {
	key := Key(fmt.Sprintf("%s/bot%d", name, r.rng.IntN(2))).Public()
	switch r.rng.IntN(6) {
	case 0:
		return &exchange.RemoveDelegate{Key: key}
	case 1:
		return &exchange.Rotate{Key: Key(name + "/next").Public()}
	case 2:
		return exchange.CancelRotation{}
	default:
		return &exchange.AddDelegate{Key: key, Scopes: ledger.Scope(r.rng.IntN(16)), Markets: []uint32{1, 2}[:r.rng.IntN(3)]} //nolint:gosec // small
	}
}

// Preimage is the secret behind the hash of the i-th escrow.
func Preimage(i int) [32]byte { return sha256.Sum256([]byte(fmt.Sprint("preimage ", i))) }

func (r *Random) escrow() exchange.Body {
	id := uint64(1 + r.rng.IntN(20)) //nolint:gosec // small
	secret := Preimage(r.rng.IntN(4))
	switch r.rng.IntN(6) {
	case 0, 1:
		return &exchange.Claim{Escrow: id, Preimage: secret[:]}
	case 2:
		return &exchange.Refund{Escrow: id}
	case 3:
		return &exchange.Dispute{Escrow: id}
	case 4:
		return &exchange.Resolve{Escrow: id, Pay: r.rng.IntN(2) == 0}
	}
	l := &exchange.Lock{
		Payee: Address(r.name()), Asset: asset.ID(1 + r.rng.IntN(3)), Amount: Coin / 100, Hash: sha256.Sum256(secret[:]), //nolint:gosec // small
		Deadline: r.World.Time + uint64(r.rng.IntN(500)), Memo: "wire", //nolint:gosec // small
	}
	if r.rng.IntN(2) == 0 {
		l.Arbiter, l.Window = Address(r.name()), 300
	}
	return l
}

func (r *Random) vote() exchange.Body {
	actions := []roster.Action{
		roster.PauseMarket{Market: uint32(r.rng.IntN(3))},                                                                      //nolint:gosec // small
		roster.ResumeMarket{Market: uint32(r.rng.IntN(3))},                                                                     //nolint:gosec // small
		roster.SetMarket{Market: 1, MakerPPM: uint32(r.rng.IntN(3000)), TakerPPM: 2000, ReservePPM: 100_000},                   //nolint:gosec // small
		roster.SpendHouse{House: uint8(1 + r.rng.IntN(3)), Asset: 1, Amount: asset.Amount(r.rng.IntN(100)), To: Address("a0")}, //nolint:gosec // small
		roster.AllowSymbol{Symbol: fmt.Sprintf("T%d", r.rng.IntN(20)), Issuer: Address(r.name())},
		roster.SetProtocol{Version: 2, Height: r.World.Height + uint64(r.rng.IntN(30))}, //nolint:gosec // small
	}
	a := actions[r.rng.IntN(len(actions))]
	r.made++
	return &exchange.Vote{Approve: r.rng.IntN(8) != 0, Action: roster.AppendAction(nil, a, uint32(r.rng.IntN(3)))} //nolint:gosec // small
}
