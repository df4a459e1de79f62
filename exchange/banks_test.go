package exchange_test

import (
	"fmt"
	"slices"
	"testing"

	"souk/asset"
	"souk/exchange"
	"souk/exchange/custody"
	. "souk/exchange/exchangetest"
	"souk/exchange/ledger"
	"souk/exchange/roster"
	"souk/identity"
)

// bankWorld is a world with a bank and its chain.
func bankWorld(t *testing.T) (*World, *Chain) {
	t.Helper()
	w := From(BankFounding(4))
	w.Fund(EUR, Coin, "alice", "bob")
	return w, NewChain(w)
}

// bankBlock applies commands, all of which must be OK, and checks the state.
func bankBlock(t *testing.T, w *World, commands ...exchange.Command) *exchange.Result {
	t.Helper()
	res := w.Must(t, commands...)
	checked(t, w)
	return res
}

// checked counts everything anew, and loads the state from its leaves.
func checked(t *testing.T, w *World) {
	t.Helper()
	if err := w.State.Check(); err != nil {
		t.Fatal(err)
	}
	back, err := exchange.Load(w.State.Founding(), w.State.Leaves)
	if err != nil {
		t.Fatal(err)
	}
	if back.Root() != w.State.Root() {
		t.Fatal("another root after loading")
	}
}

// kinds are the kinds of a block's events.
func kinds(res *exchange.Result) (all []exchange.EventKind) {
	for i := range res.Events {
		all = append(all, res.Events[i].Kind)
	}
	return all
}

// deposited gives Alice an address and an amount that is credited.
func deposited(t *testing.T, w *World, c *Chain, amount asset.Amount) {
	t.Helper()
	number := bankBlock(t, w, w.Command("alice", &exchange.NewAddress{Bank: Bank})).Receipts[0].Number
	c.Pay(uint32(number>>32), uint32(number), amount)
	c.Mine(6)
	if res := bankBlock(t, w, c.Attest()...); !slices.Contains(kinds(res), exchange.EventDeposited) {
		t.Fatalf("nothing was credited: %v", kinds(res))
	}
}

// TestBankLife: a deposit is credited, a withdrawal is held, paid and settled, and the sums fit throughout (Y-80 to Y-84, Y-73).
func TestBankLife(t *testing.T) {
	w, c := bankWorld(t)
	deposited(t, w, c, 3*Coin)
	if got := w.Available("alice", TBC); got != 3*Coin {
		t.Fatalf("Alice has %d", got)
	}
	// She pays Bob, who pays somebody outside.
	bankBlock(t, w, w.Command("alice", &exchange.Transfer{To: Address("bob"), Asset: TBC, Amount: Coin}))
	ask := &exchange.Withdraw{Request: custody.Request{Bank: Bank, Script: Output("shop"), Amount: 9e7, MaxFee: 1e6}}
	res := bankBlock(t, w, w.Command("bob", ask))
	id := custody.ID(res.Receipts[0].Number)
	if slices.Contains(kinds(res), exchange.EventWithdrawalSent) {
		if w.Held("bob", TBC) >= 91e6 || w.Available("bob", TBC) != 9e6 {
			t.Fatalf("Bob has %d, held %d", w.Available("bob", TBC), w.Held("bob", TBC))
		}
	} else {
		due, ok := w.State.NextDue()
		if !ok {
			t.Fatal("a withdrawal waits, and no block is due (Y-84)")
		}
		w.Time = max(w.Time, due)
		if res = bankBlock(t, w); !slices.Contains(kinds(res), exchange.EventWithdrawalSent) {
			t.Fatalf("no transaction: %v", kinds(res))
		}
	}
	if _, ok := w.State.NextDue(); ok {
		t.Error("a block is due with nothing to do (Y-84)")
	}
	if code := w.Do("bob", &exchange.CancelWithdrawal{Withdrawal: id}); code != exchange.InBatch {
		t.Errorf("cancelled in a batch: %s", code)
	}
	// The members sign.
	info, _ := w.State.Banks().Bank(Bank)
	batch, _ := w.State.Banks().Batch(Bank, info.Live[0])
	var signs []exchange.Command
	for i := range 3 {
		x := &exchange.Sign{Signature: custody.Signature{Bank: Bank, Batch: batch.Number, Version: 1}}
		for range batch.Inputs {
			x.Signatures = append(x.Signatures, make([]byte, 71))
		}
		signs = append(signs, w.ByServer(MemberName(i), x))
	}
	bankBlock(t, w, signs...)
	c.MineBatches()
	c.Mine(6)
	if res = bankBlock(t, w, c.Attest()...); !slices.Contains(kinds(res), exchange.EventWithdrawn) {
		t.Fatalf("not settled: %v", kinds(res))
	}
	if held, has := w.Held("bob", TBC), w.Available("bob", TBC); held != 0 || has == 0 || has >= Coin-9e7 {
		t.Errorf("Bob has %d, and %d on hold", has, held)
	}
	sums := w.State.Solvency()[0]
	if a := w.State.Audit()[TBC-1]; a.Supply != sums.Books || sums.Deficit != 0 || sums.Free != sums.Books {
		t.Errorf("sums %+v, supply %d", sums, a.Supply)
	}
	// Bob has no address: the place that his withdrawal kept is his balance's alone.
	n, _ := w.State.Ledger().Find(Address("bob"))
	if p := w.State.Ledger().Promised(n, TBC); p != 0 {
		t.Errorf("%d promises are left", p)
	}
}

// TestBankCancel: a withdrawal that waits is taken back with its bound (Y-50, Y-81).
func TestBankCancel(t *testing.T) {
	w, c := bankWorld(t)
	deposited(t, w, c, 10*Coin)
	ask := &exchange.Withdraw{Request: custody.Request{Bank: Bank, Script: Output("shop"), Amount: 6 * Coin, MaxFee: 1e6}}
	res := bankBlock(t, w, w.Command("alice", ask)) // above the bound of the delay
	id := custody.ID(res.Receipts[0].Number)
	if w.Held("alice", TBC) != 6*Coin+1e6 {
		t.Fatalf("%d on hold", w.Held("alice", TBC))
	}
	if code := w.Do("bob", &exchange.CancelWithdrawal{Withdrawal: id}); code != exchange.UnknownPayout {
		t.Errorf("another account's: %s", code)
	}
	bankBlock(t, w, w.Command("alice", &exchange.CancelWithdrawal{Withdrawal: id}))
	if w.Held("alice", TBC) != 0 || w.Available("alice", TBC) != 10*Coin {
		t.Errorf("%d available, %d on hold", w.Available("alice", TBC), w.Held("alice", TBC))
	}
	if code := w.Do("alice", &exchange.CancelWithdrawal{Withdrawal: id}); code != exchange.UnknownPayout {
		t.Errorf("twice: %s", code)
	}
	for _, test := range []struct {
		body exchange.Body
		want exchange.Code
	}{
		{&exchange.Withdraw{Request: custody.Request{Bank: 2, Script: Output("x"), Amount: Coin, MaxFee: 1e6}}, exchange.UnknownBank},
		{&exchange.Withdraw{Request: custody.Request{Bank: Bank, Script: []byte{1}, Amount: Coin, MaxFee: 1e6}}, exchange.BadOutput},
		{&exchange.Withdraw{Request: custody.Request{Bank: Bank, Script: Output("x"), Amount: 1, MaxFee: 1e6}}, exchange.BadAmount},
		{&exchange.Withdraw{Request: custody.Request{Bank: Bank, Script: Output("x"), Amount: Coin}}, exchange.FeeBoundTooLow},
		{&exchange.Withdraw{Request: custody.Request{Bank: Bank, Script: Output("x"), Amount: 10 * Coin, MaxFee: 1e6}}, exchange.Insufficient},
		{&exchange.NewAddress{Bank: 2}, exchange.UnknownBank},
		{&exchange.Donate{Bank: Bank}, exchange.BadAmount},
		{&exchange.Donate{Bank: Bank, Amount: 11 * Coin}, exchange.Insufficient},
		{&exchange.Donate{Bank: Bank, Amount: Coin}, exchange.OK},
		{&exchange.SetWithdrawals{Settings: custody.Settings{Only: true, Allowed: []custody.Allowed{{Bank: Bank, Script: Output("x")}}}}, exchange.OK},
		{&exchange.SetWithdrawals{Settings: custody.Settings{Delay: custody.MaxDelay + 1}}, exchange.BadSettings},
		{&exchange.Mint{Asset: TBC, Amount: 1, To: Address("alice")}, exchange.NotIssuer},
		{&exchange.Burn{Asset: TBC, Amount: 1}, exchange.NotIssuer},
		{&exchange.Attest{Attestation: custody.Attestation{Bank: Bank}}, exchange.NotEntitled},
	} {
		if code := w.Do("alice", test.body); code != test.want {
			t.Errorf("%s: %s, want %s", test.body.Kind(), code, test.want)
		}
		checked(t, w)
	}
	if a, _ := w.State.Ledger().Asset(TBC); a.Reserve != Coin {
		t.Errorf("the reserve has %d", a.Reserve)
	}
}

// TestBankHalt: a theft halts, the deficit is stated, a donation ends it, and a vote lifts the halt (Y-17, Y-74 to Y-76).
func TestBankHalt(t *testing.T) {
	w, c := bankWorld(t)
	number := bankBlock(t, w, w.Command("alice", &exchange.NewAddress{Bank: Bank})).Receipts[0].Number
	at := c.Pay(uint32(number>>32), uint32(number), 2*Coin)
	c.Pay(uint32(number>>32), uint32(number), 5*Coin)
	c.Mine(6)
	bankBlock(t, w, c.Attest()...)
	c.Spend(at, BankHash("thief"))
	c.Mine(1)
	if res := bankBlock(t, w, c.Attest()...); !slices.Contains(kinds(res), exchange.EventBanksHalted) {
		t.Fatalf("no halt: %v", kinds(res))
	}
	if sums := w.State.Solvency()[0]; sums.Deficit != 2*Coin || sums.Books != 7*Coin {
		t.Errorf("sums %+v", sums)
	}
	lift := &exchange.Vote{Approve: true, Action: roster.AppendAction(nil, Lift(w.State), 0)}
	if code := w.Do(MemberName(0), lift); code != exchange.BadAction {
		t.Errorf("lifted with a deficit: %s", code)
	}
	c.Mine(6)
	bankBlock(t, w, c.Attest()...)
	bankBlock(t, w, w.Command("alice", &exchange.Donate{Bank: Bank, Amount: 3 * Coin}))
	if sums := w.State.Solvency()[0]; sums.Deficit != 0 || sums.Books != 5*Coin {
		t.Errorf("sums %+v", sums)
	}
	bankBlock(t, w, w.Command(MemberName(0), lift), w.Command(MemberName(1), lift), w.Command(MemberName(2), lift))
	if h := w.State.Banks().Halted(); h.Reason != custody.Running {
		t.Errorf("still halted: %+v", h)
	}
}

// TestBankVotes: the members open a series, set limits and halt (Y-23, Y-62, Y-75, Y-81).
func TestBankVotes(t *testing.T) {
	w, c := bankWorld(t)
	deposited(t, w, c, Coin)
	var announce []exchange.Command
	for i := range 4 {
		announce = append(announce, w.ByServer(MemberName(i), w.Announce(MemberName(i), MemberKey(MemberName(i)+"/2"))))
	}
	bankBlock(t, w, announce...)
	vote := func(a roster.Action) (codes []exchange.Code) {
		var votes []exchange.Command
		for i := range 3 {
			votes = append(votes, w.Command(MemberName(i), &exchange.Vote{Approve: true, Action: roster.AppendAction(nil, a, 0)}))
		}
		for _, r := range w.Block(votes...).Receipts {
			codes = append(codes, r.Code)
		}
		checked(t, w)
		return codes
	}
	open := roster.OpenSeries{Bank: uint32(Bank), Members: []roster.ID{1, 2, 3, 4}}
	if got := vote(open); got[2] != exchange.BadAction {
		t.Errorf("opened before the cool-down: %v", got)
	}
	w.Time += 200
	if got := vote(open); got[2] != exchange.OK {
		t.Errorf("not opened: %v", got)
	}
	if info, _ := w.State.Banks().Bank(Bank); info.Series != 2 {
		t.Errorf("%d series", info.Series)
	}
	l := w.State.Founding().Banks[0].Limits
	l.MaxPerHour = Coin
	if got := vote(roster.SetLimits{Bank: uint32(Bank), Limits: exchange.AppendLimits(nil, l)}); got[2] != exchange.OK {
		t.Errorf("limits: %v", got)
	}
	if info, _ := w.State.Banks().Bank(Bank); info.MaxPerHour != Coin {
		t.Errorf("limits are %+v", info.Limits)
	}
	if got := vote(roster.HaltBanks{}); got[2] != exchange.OK || w.State.Banks().Halted().Reason != custody.Vote {
		t.Errorf("not halted: %v", got)
	}
	if got := vote(Lift(w.State)); got[2] != exchange.OK || w.State.Banks().Halted().Reason != custody.Running {
		t.Errorf("not lifted: %v", got)
	}
}

// Y-77: who has approved of lifting one halt has not approved of lifting the next: one member
// more does not do that with votes that were left over.
func TestBankLiftLeftOver(t *testing.T) {
	w, _ := bankWorld(t)
	vote := func(action roster.Action, salt uint32, members ...int) (codes []exchange.Code) {
		t.Helper()
		var votes []exchange.Command
		for _, i := range members {
			votes = append(votes, w.Command(MemberName(i), &exchange.Vote{Approve: true, Action: roster.AppendAction(nil, action, salt)}))
		}
		for _, r := range w.Block(votes...).Receipts {
			codes = append(codes, r.Code)
		}
		checked(t, w)
		return codes
	}
	lift := Lift(w.State)
	vote(roster.HaltBanks{}, 1, 0, 1, 2)
	vote(lift, 1, 0, 1)
	vote(lift, 2, 0, 1, 2)
	if h := w.State.Banks().Halted(); h.Reason != custody.Running {
		t.Fatalf("%+v", h)
	}
	vote(roster.HaltBanks{}, 2, 0, 1, 2)
	if got := vote(lift, 1, 3); got[0] != exchange.BadAction || lifts(w) != 0 {
		t.Fatalf("lifted by one: %v, %+v", got, w.State.Banks().Halted())
	}
	lift = Lift(w.State)
	if got := vote(lift, 1, 3); got[0] != exchange.OK || w.State.Banks().Halted().Reason != custody.Vote {
		t.Fatalf("lifted by one: %v, %+v", got, w.State.Banks().Halted())
	}
	if got := vote(lift, 1, 0, 1); got[1] != exchange.OK || w.State.Banks().Halted().Reason != custody.Running {
		t.Errorf("not lifted by three: %v, %+v", got, w.State.Banks().Halted())
	}
}

// Y-34: a member's server opens the account of somebody who has nothing, once, and so
// many in an hour; he is credited and can use it.
func TestBankAdmit(t *testing.T) {
	w, c := bankWorld(t)
	newcomer := Address("newcomer")
	if _, ok := w.State.Ledger().Find(newcomer); ok {
		t.Fatal("he has an account")
	}
	by := func(member string, who identity.Address) exchange.Receipt {
		t.Helper()
		return w.Block(w.ByServer(member, &exchange.Admit{Bank: Bank, Account: who, Salt: custody.Salt{7}})).Receipts[0]
	}
	r := by(MemberName(0), newcomer)
	if r.Code != exchange.OK {
		t.Fatal(r.Code)
	}
	n, ok := w.State.Ledger().Find(newcomer)
	if owner, has := w.State.Banks().OwnerOf(Bank, uint32(r.Number>>32), uint32(r.Number)); !ok || !has || owner != custody.Owner(n) {
		t.Errorf("the address belongs to %d, not to %d", owner, n)
	}
	if got := by(MemberName(1), newcomer).Code; got != exchange.AccountExists {
		t.Errorf("again: %s", got)
	}
	if got := by(MemberName(1), identity.Address{}).Code; got != exchange.BadBody {
		t.Errorf("nobody: %s", got)
	}
	stranger := w.Command("alice", &exchange.Admit{Bank: Bank, Account: Address("friend")})
	if got := w.Block(stranger).Receipts[0]; got.Code != exchange.NotEntitled {
		t.Errorf("not a member: %s", got.Code)
	}
	c.Pay(uint32(r.Number>>32), uint32(r.Number), Coin)
	c.Mine(6)
	bankBlock(t, w, c.Attest()...)
	if got := w.State.Ledger().Available(n, TBC); got != Coin {
		t.Errorf("he was credited %d", got)
	}
	if got := w.Do("newcomer", &exchange.Transfer{To: Address("alice"), Asset: TBC, Amount: 5}); got != exchange.OK {
		t.Errorf("he cannot pay: %s", got)
	}

	for i := 1; i < custody.MaxAdmitted; {
		var commands []exchange.Command
		for ; len(commands) < 50 && i < custody.MaxAdmitted; i++ {
			commands = append(commands, w.ByServer(MemberName(0), &exchange.Admit{Bank: Bank, Account: Address(fmt.Sprint("crowd ", i))}))
		}
		for _, r := range w.Block(commands...).Receipts {
			if r.Code != exchange.OK {
				t.Fatalf("%d: %s", i, r.Code)
			}
		}
	}
	last := Address("one too many")
	if got := by(MemberName(0), last).Code; got != exchange.TooManyOfBank {
		t.Errorf("beyond the hour's: %s", got)
	}
	if _, ok := w.State.Ledger().Find(last); ok {
		t.Error("he has an account all the same")
	}
	if got := by(MemberName(1), last).Code; got != exchange.OK {
		t.Errorf("another member's: %s", got)
	}
	w.Time += 3_600_000
	if got := by(MemberName(0), Address("next hour")).Code; got != exchange.OK {
		t.Errorf("in the next hour: %s", got)
	}
	checked(t, w)
}

// TestBankBytes: a member has so many bytes of attestations in a block, and the rest is refused without a trace (B-9).
func TestBankBytes(t *testing.T) {
	w, c := bankWorld(t)
	c.Mine(1)
	body := c.Attestation(BankStart)
	for i := range custody.MaxPayments {
		body.Payments = append(body.Payments, custody.Payment{Height: BankStart + 1, Amount: asset.Amount(i) + 1})
		body.Payments[i].At.Index = uint32(i)
	}
	for i := range custody.MaxSpends {
		body.Spends = append(body.Spends, custody.Spend{Height: BankStart + 1})
		body.Spends[i].At.Index = uint32(i)
	}
	for len(body.Hashes) < custody.MaxHashes {
		body.Hashes = append(body.Hashes, BankHash(len(body.Hashes)))
	}
	if n := len(body.Append(nil)); n > exchange.MaxMemberBody {
		t.Fatalf("the largest attestation has %d bytes", n)
	}
	first := w.ByServer(MemberName(0), body)
	second := w.ByServer(MemberName(0), body)
	other := w.ByServer(MemberName(1), body)
	data := first.Append(nil)
	if size, ok := exchange.Skip(data); !ok || size != len(data) || first.Size() != size {
		t.Fatalf("%d of %d bytes", size, len(data))
	}
	back, rest, err := exchange.Parse(w.State.ID(), data)
	if err != nil || len(rest) != 0 || back.ID != first.ID {
		t.Fatalf("not read back: %v", err)
	}
	res := w.Block(first, second, other)
	if a, b, c := res.Receipts[0].Code, res.Receipts[1].Code, res.Receipts[2].Code; a != exchange.OK || b != exchange.AccountBusy || c != exchange.OK {
		t.Errorf("%s, %s, %s", a, b, c)
	}
	checked(t, w)
}

// TestBankFounding: what is refused of contracts with banks, and that a contract is read back (Y-2, Y-20).
func TestBankFounding(t *testing.T) {
	f := BankFounding(4)
	back, err := exchange.ParseFounding(f.Append(nil))
	if err != nil || back.ID() != f.ID() {
		t.Fatalf("not read back: %v", err)
	}
	for name, spoil := range map[string]func(*exchange.Founding){
		"issuer":   func(f *exchange.Founding) { f.Assets[3].Issuer = Address("issuer") },
		"decimals": func(f *exchange.Founding) { f.Assets[3].Decimals = 2 },
		"asset":    func(f *exchange.Founding) { f.Banks[0].Symbol = "XYZ" },
		"network":  func(f *exchange.Founding) { f.Banks[0].Network = "litecoin" },
		"twice":    func(f *exchange.Founding) { f.Banks = append(f.Banks, f.Banks[0]) },
		"wallets":  func(f *exchange.Founding) { f.Banks[0].Wallets = 0 },
		"members":  func(f *exchange.Founding) { f.Members = f.Members[:3] },
		"keys":     func(f *exchange.Founding) { f.Members[0] = Card(f.Members[0].Name) },
	} {
		f := BankFounding(4)
		spoil(f)
		if f.Check() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	card := BankCard("server-1")
	if back, err := exchange.ParseCardText(card.String()); err != nil || len(back.Banks) != 1 {
		t.Errorf("card: %v", err)
	}
}

// TestNoBanks: without banks nobody is entitled to their commands.
func TestNoBanks(t *testing.T) {
	w := New(4)
	w.Fund(EUR, Coin, "alice")
	for _, body := range samples() {
		if k := body.Kind(); k >= exchange.KindAttest && k <= exchange.KindAdmit {
			if code := w.Do("alice", body); code != exchange.NotEntitled {
				t.Errorf("%s: %s", k, code)
			}
		}
	}
	n, _ := w.State.Ledger().Find(Address("alice"))
	if w.State.Ledger().Authorize(n, Key("alice").Public(), ledger.Owner, 0, 0) != ledger.OK {
		t.Error("Alice lost her key")
	}
}

// TestBankRefound: banks go on in a new federation, whose members have other numbers (Y-96).
func TestBankRefound(t *testing.T) {
	w, c := bankWorld(t)
	deposited(t, w, c, 3*Coin)
	ask := &exchange.Withdraw{Request: custody.Request{Bank: Bank, Script: Output("shop"), Amount: Coin, MaxFee: 1e6}}
	bankBlock(t, w, w.Command("alice", ask))
	w.Time += 100
	bankBlock(t, w)
	info, _ := w.State.Banks().Bank(Bank)
	if len(info.Live) != 1 {
		t.Fatal("no batch")
	}
	x := &exchange.Sign{Signature: custody.Signature{Bank: Bank, Batch: info.Live[0], Version: 1, Signatures: [][]byte{{1}}}}
	bankBlock(t, w, w.ByServer(MemberName(0), x), w.ByServer(MemberName(2), x))
	c.Pay(0, 0, Coin) // Alice's next deposit is on its way
	c.Mine(1)
	bankBlock(t, w, c.Attest()...)
	for _, names := range [][]string{{"server-1", "server-2", "server-3", "server-4"}, {"server-4", "server-2", "server-3", "new-1", "new-2"}} {
		f := BankFounding(4)
		f.Assets, f.Markets, f.Reserved, f.Banks, f.Members = nil, nil, nil, nil, nil
		for _, name := range names {
			f.Members = append(f.Members, BankCard(name))
		}
		f.SortMembers()
		f.Origin = &exchange.Origin{Server: w.State.ID(), Height: w.Height, Root: w.State.Root()}
		s, err := exchange.Refound(f, w.State.Leaves)
		if err != nil {
			t.Fatal(err)
		}
		clone(t, s)
		next, chain := *w, *c
		next.State, next.Height, chain.World = s, 0, &next
		twin := clone(t, s)
		chain.Mine(6)
		body := chain.Attestation(chain.Tip - 6)
		var commands []exchange.Command
		for _, name := range names {
			commands = append(commands, next.ByServer(name, body))
		}
		root := twin.Apply(block(&next, commands)).Root
		res := next.Block(commands...)
		if res.Root != root {
			t.Error("a state that was loaded after the refounding goes another way")
		}
		for _, r := range res.Receipts {
			if r.Code != exchange.OK {
				t.Errorf("%v: %s", names, r.Code)
			}
		}
		checked(t, &next)
		said := 0
		for _, e := range res.Events {
			if e.Kind == exchange.EventDeposited && e.Account == Address("alice") && e.Amount == Coin {
				said++
			}
		}
		if said != 1 {
			t.Errorf("%v: Alice was credited %d times", names, said)
		}
		members, _ := s.Banks().Signatures(Bank, info.Live[0], 1)
		if len(members) != 2 {
			t.Errorf("%v: signatures of %v", names, members)
		}
	}
}
