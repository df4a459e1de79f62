package ui_test

import (
	"encoding/hex"
	"testing"
	"time"

	"github.com/cometbft/cometbft/types"

	"souk/asset"
	"souk/consensus/comet"
	"souk/exchange"
	"souk/exchange/custody"
	. "souk/exchange/exchangetest"
	"souk/exchange/ledger"
	"souk/exchange/market"
	"souk/exchange/roster"
	"souk/identity"
	"souk/merkle"
	"souk/script"
)

// worldVectors are a virtual server with a bank, as its members' servers would answer for it:
// the headers that they signed, and the leaves and results of some states with their proofs.
type worldVectors struct {
	ID       string   `json:"id"`
	Founding string   `json:"founding"`
	Now      uint64   `json:"now"` // ms, soon after the last header
	Headers  []string `json:"headers"`
	// Forged are headers of the last height: of another root, signed by two of the four
	// members, and by all of them.
	Forged    []string     `json:"forged"`
	ForgedBy  string       `json:"forged_leaf"` // value of the asset's leaf under the forged root
	ForgedAt  []byte       `json:"forged_path"`
	Texts     []string     `json:"texts"` // deposit addresses of series 0 by index
	Seeds     seeds        `json:"seeds"`
	Address   string       `json:"address"` // Alice's
	Stranger  string       `json:"stranger"`
	Order     uint64       `json:"order"` // Alice's, live
	OthersOne uint64       `json:"others_order"`
	Receipt   string       `json:"receipt"` // id of the command of her trade
	Trade     uint64       `json:"trade"`
	Results   []resultWith `json:"results"`
	Moments   []moment     `json:"moments"`
	Deposit   deposit      `json:"deposit"`
}

type seeds struct {
	Alice string `json:"alice"`
}

type resultWith struct {
	ID    string `json:"id"` // of the command, or the number of the trade
	Proof proof  `json:"proof"`
}

// proof is as the API writes it.
type proof struct {
	Height uint64 `json:"height"`
	Leaf   []byte `json:"leaf,omitempty"`
	Path   []byte `json:"path,omitempty"`
	Item   []byte `json:"item,omitempty"`
	List   []byte `json:"list,omitempty"`
}

// moment is a state: what leads to its leaves, and what they say.
type moment struct {
	Name   string           `json:"name"`
	Height uint64           `json:"height"` // of the header that states its root
	Leaves map[string]proof `json:"leaves"`
	Coins  []string         `json:"coins"` // outpoints that a server would list
	Sums   custody.Sums     `json:"sums"`
	Said   said             `json:"said"`
}

// said is what the ledger itself says, for comparison.
type said struct {
	Account struct {
		Number    uint32            `json:"number"`
		Available map[uint32]uint64 `json:"available"`
		Held      map[uint32]uint64 `json:"held"`
	} `json:"account"`
	Supply uint64 `json:"supply"` // of TBC
	Last   uint64 `json:"last"`   // price in market 1
}

type deposit struct {
	Bank    uint32 `json:"bank"`
	Series  uint32 `json:"series"`
	Index   uint32 `json:"index"`
	Text    string `json:"text"`
	Salt    string `json:"salt"`
	Others  uint32 `json:"others"` // index of Bob's address
	Other   string `json:"other"`  // text of Alice's address in the newer series
	Network string `json:"network"`
}

// recorder makes blocks, and remembers their roots and results.
type recorder struct {
	*World
	t     *testing.T
	v     *worldVectors
	roots []merkle.Hash // after block 0, 1, ...
	times []uint64
	res   *exchange.Result
}

func (r *recorder) block(commands ...exchange.Command) *exchange.Result {
	r.t.Helper()
	r.res = r.Must(r.t, commands...)
	r.roots, r.times = append(r.roots, r.State.Root()), append(r.times, r.Time)
	return r.res
}

// result remembers the proof of an entry of the block that was made last.
func (r *recorder) result(id string, index int) {
	var list merkle.List
	for _, x := range r.res.Results {
		list.Append(x)
	}
	value, path := r.State.Prove(exchange.ClockKey())
	r.v.Results = append(r.v.Results, resultWith{id, proof{
		Height: r.Height + 1, Leaf: value, Path: path.Encode(), Item: r.res.Results[index], List: list.Prove(index).Encode(),
	}})
}

func (r *recorder) moment(name string) {
	m := moment{Name: name, Height: r.Height + 1, Leaves: map[string]proof{}}
	add := func(k merkle.Key) {
		value, path := r.State.Prove(k)
		m.Leaves[k.String()] = proof{Height: m.Height, Leaf: value, Path: path.Encode()}
	}
	add(exchange.ClockKey())
	for id := range TBC + 2 {
		add(exchange.AssetKey(id))
	}
	for id := range BTCEUR + 3 {
		add(exchange.MarketKey(id))
	}
	for _, name := range []string{"alice", "bob", "stranger"} {
		add(exchange.AccountKey(Address(name)))
	}
	for id := range market.OrderID(5) {
		add(exchange.OrderKey(id))
	}
	for n := range uint32(3) {
		add(custody.BankKey(custody.Bank(n)))
		add(custody.SeriesKey(Bank, n))
		for index := range uint32(4) {
			add(custody.AddressKey(Bank, n, index))
		}
		add(custody.BatchKey(Bank, uint64(n)))
	}
	r.State.Banks().Coins(Bank, func(c custody.Coin) bool {
		add(custody.CoinKey(Bank, c.At))
		m.Coins = append(m.Coins, c.At.String())
		return true
	})
	add(custody.CoinKey(Bank, script.Outpoint{}))
	m.Sums = r.State.Solvency()[0]
	n, _ := r.State.Ledger().Find(Address("alice"))
	m.Said.Account.Number = uint32(n)
	m.Said.Account.Available, m.Said.Account.Held = map[uint32]uint64{}, map[uint32]uint64{}
	for id := BTC; id <= TBC; id++ {
		m.Said.Account.Available[uint32(id)] = uint64(r.Available("alice", id))
		m.Said.Account.Held[uint32(id)] = uint64(r.Held("alice", id))
	}
	a, _ := r.State.Ledger().Asset(TBC)
	m.Said.Supply = uint64(a.Supply)
	b, _ := r.State.Markets().Market(BTCEUR)
	m.Said.Last = uint64(b.Last)
	r.v.Moments = append(r.v.Moments, m)
}

// live makes the world: Alice and Bob trade, and have money at the bank; then some of it is stolen.
func (r *recorder) live() {
	r.block(
		r.Command("issuer", &exchange.Mint{Asset: BTC, Amount: 10 * Coin, To: Address("alice")}),
		r.Command("issuer", &exchange.Mint{Asset: EUR, Amount: 1e6 * Coin, To: Address("bob")}),
	)
	salt := custody.Salt{1, 2, 3}
	alice := r.block(r.Command("alice", &exchange.NewAddress{Bank: Bank, Salt: salt})).Receipts[0].Number
	bob := r.block(r.Command("bob", &exchange.NewAddress{Bank: Bank, Salt: custody.Salt{4}})).Receipts[0].Number
	chain := NewChain(r.World)
	var paid []script.Outpoint
	for i := range 4 {
		paid = append(paid, chain.Pay(uint32(alice>>32), uint32(alice), Coin*asset.Amount(2+i)))
	}
	chain.Pay(uint32(bob>>32), uint32(bob), 7*Coin)
	chain.Mine(6)
	r.block(chain.Attest()...)
	d := &r.v.Deposit
	*d = deposit{
		Bank: uint32(Bank), Series: uint32(alice >> 32), Index: uint32(alice), Salt: hex.EncodeToString(salt[:]), Others: uint32(bob), Network: BankNetwork,
	}
	for i := range uint32(4) {
		r.v.Texts = append(r.v.Texts, r.text(0, i))
	}
	d.Text = r.v.Texts[d.Index]
	r.moment("early")

	sell := &exchange.Place{Market: BTCEUR, Side: market.Sell, Order: market.LimitOrder, TIF: market.GTC, Price: 50_000e8, Quantity: Coin, Client: "mine"}
	place := r.Command("alice", sell)
	r.v.Order = r.block(place).Receipts[0].Number
	buy := &exchange.Place{Market: BTCEUR, Side: market.Buy, Order: market.LimitOrder, TIF: market.GTC, Price: 50_000e8, Quantity: Coin / 4}
	taken := r.Command("bob", buy)
	r.block(taken)
	r.v.Receipt = hex.EncodeToString(taken.ID[:])
	r.result(r.v.Receipt, 0)
	trade, err := exchange.ParseTrade(r.res.Results[1])
	if err != nil {
		r.t.Fatal(err)
	}
	r.v.Trade = uint64(trade.ID)
	r.result("trade", 1)
	r.result("auction", 2)
	low := &exchange.Place{Market: BTCEUR, Side: market.Buy, Order: market.LimitOrder, TIF: market.GTC, Price: 40_000e8, Quantity: Coin}
	r.v.OthersOne = r.block(r.Command("bob", low)).Receipts[0].Number
	r.block(
		r.Command("alice", &exchange.AddDelegate{Key: Key("bot").Public(), Scopes: ledger.Trade, Markets: []uint32{1}, Expiry: r.Time + 1e6}),
		r.Command("alice", &exchange.Withdraw{Request: custody.Request{Bank: Bank, Script: Output("shop"), Amount: 5 * Coin / 2, MaxFee: 1e6}}),
	)
	r.Time += 2000
	r.block()
	r.moment("paying")
	r.rotate()
	r.moment("newer")

	chain.Spend(paid[3], BankHash("thief"))
	chain.Mine(1)
	r.block(chain.Attest()...)
	r.moment("stolen")
}

// rotate opens another series with a new key of one member, and gives Alice an address of it.
func (r *recorder) rotate() {
	key := MemberKey("another key of server-1")
	r.block(r.CommandBy(Address(MemberName(0)), Key(MemberName(0)+"/server"), r.Announce(MemberName(0), key)))
	r.Time += 1000
	open := &exchange.Vote{Approve: true, Action: roster.AppendAction(nil, roster.OpenSeries{Bank: uint32(Bank), Members: []roster.ID{1, 2, 3, 4}}, 0)}
	var votes []exchange.Command
	for i := range 3 {
		votes = append(votes, r.Command(MemberName(i), open))
	}
	r.block(votes...)
	number := r.block(r.Command("alice", &exchange.NewAddress{Bank: Bank, Salt: custody.Salt{5}})).Receipts[0].Number
	if number>>32 != 1 {
		r.t.Fatalf("the new address is of series %d", number>>32)
	}
	r.v.Deposit.Other = r.text(1, uint32(number))
}

func (r *recorder) text(series, index uint32) string {
	value, _ := r.State.Prove(custody.SeriesKey(Bank, series))
	s, err := custody.ParseSeries(custody.SeriesKey(Bank, series), value)
	if err != nil {
		r.t.Fatal(err)
	}
	out, err := s.Output(script.Deposits, index)
	if err != nil {
		r.t.Fatal(err)
	}
	network, _ := script.ByName(BankNetwork)
	text, err := network.Address(out)
	if err != nil {
		r.t.Fatal(err)
	}
	return text
}

// headers signs the roots.
func (r *recorder) headers() {
	id := r.State.ID()
	var keys []identity.PrivateKey
	for _, m := range r.State.Founding().Members {
		keys = append(keys, Key(m.Name+"/consensus"))
	}
	set := setOf(func(int) int64 { return roster.FullPower }, keys...)
	last := types.BlockID{}
	var raw []byte
	for i, root := range r.roots {
		h := header{
			height: int64(i + 1), time: time.UnixMilli(int64(r.times[i])).Add(time.Microsecond), last: last, root: root[:], set: set, next: set,
			signers: keys, chain: comet.ChainID(merkle.Hash(id)),
		}
		if i == len(r.roots)-1 {
			forged := h
			value, path, root := r.forge()
			forged.root, forged.signers = root[:], keys[:2]
			half, _ := forged.block(r.t)
			forged.signers = keys
			whole, _ := forged.block(r.t)
			r.v.Forged = []string{hex.EncodeToString(half), hex.EncodeToString(whole)}
			r.v.ForgedBy, r.v.ForgedAt = hex.EncodeToString(value), path.Encode()
		}
		raw, last = h.block(r.t)
		r.v.Headers = append(r.v.Headers, hex.EncodeToString(raw))
	}
	r.v.Now = r.times[len(r.times)-1] + 1000
}

// forge is a state of one leaf, in which EUR has other decimals.
func (r *recorder) forge() (value []byte, path merkle.Proof, root merkle.Hash) {
	value, _ = r.State.Prove(exchange.AssetKey(EUR))
	value = append([]byte(nil), value...)
	value[1+len("EUR")] = 10
	tree := merkle.New()
	tree.Update([]merkle.Change{{Key: exchange.AssetKey(EUR), Value: value}})
	return value, tree.Prove(exchange.AssetKey(EUR)), tree.Root()
}

// The page proves what the ledger says, and nothing else (H-60 to H-65, H-103).
func TestWorldVectors(t *testing.T) {
	f := BankFounding(4)
	SetRecovery(&f.Banks[0], script.Recovery{K: 1, Intervals: script.RecoveryIntervals}, "vault")
	w := From(f)
	id := f.ID()
	seed := Key("alice").Seed()
	v := &worldVectors{
		ID: hex.EncodeToString(id[:]), Founding: hex.EncodeToString(f.Append(nil)), Address: Address("alice").String(), Stranger: Address("stranger").String(),
		Seeds: seeds{Alice: hex.EncodeToString(seed[:])},
	}
	r := &recorder{World: w, t: t, v: v, roots: []merkle.Hash{w.State.Root()}, times: []uint64{w.Time}}
	r.live()
	// A header of its own states the last root.
	r.headers()
	current(t, "world.json", v)
}
