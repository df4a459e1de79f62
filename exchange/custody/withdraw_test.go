package custody_test

import (
	"testing"

	"souk/asset"
	"souk/exchange/custody"
	"souk/script"
)

// Y-60: what is refused, and with which code.
func TestWithdrawRefuses(t *testing.T) {
	d := definition("namecoin-regtest", 1)
	d.MinDeposit, d.MinWithdrawal, d.MaxPerHour = 20_000_000, 20_000_000, 10*coin
	w := newWorld(t, 4, d)
	good := custody.Request{Bank: 1, Script: output("alice"), Amount: coin, MaxFee: 1_000_000}
	taproot := append([]byte{0x51, 32}, make([]byte, 32)...)
	for name, x := range map[string]struct {
		change func(*custody.Request)
		want   custody.Code
	}{
		"good":          {func(*custody.Request) {}, custody.OK},
		"no bank":       {func(r *custody.Request) { r.Bank = 2 }, custody.UnknownBank},
		"bank zero":     {func(r *custody.Request) { r.Bank = 0 }, custody.UnknownBank},
		"taproot":       {func(r *custody.Request) { r.Script = taproot }, custody.BadScript},
		"no script":     {func(r *custody.Request) { r.Script = nil }, custody.BadScript},
		"too little":    {func(r *custody.Request) { r.Amount = 19_999_999 }, custody.BadAmount},
		"too much":      {func(r *custody.Request) { r.Amount = 10*coin + 1 }, custody.BadAmount},
		"overflow":      {func(r *custody.Request) { r.MaxFee = ^asset.Amount(0) }, custody.BadAmount},
		"more than all": {func(r *custody.Request) { r.MaxFee = asset.MaxSupply }, custody.BadAmount},
		"low bound":     {func(r *custody.Request) { r.MaxFee = 3099 }, custody.FeeTooLow},
		"just enough":   {func(r *custody.Request) { r.MaxFee = 3100 }, custody.OK},
	} {
		r := good
		x.change(&r)
		if code := w.s.CheckWithdraw(1, &r, w.now); code != x.want {
			t.Errorf("%s: %d, want %d", name, code, x.want)
		}
		if _, code := w.s.Withdraw(1, &r, w.now); code != x.want {
			t.Errorf("%s: %d, want %d", name, code, x.want)
		}
	}
	for range custody.MaxOwn - 2 {
		if _, code := w.s.Withdraw(1, &good, w.now); code != custody.OK {
			t.Fatal(code)
		}
	}
	if _, code := w.s.Withdraw(1, &good, w.now); code != custody.TooMany {
		t.Error(code)
	}
	if _, code := w.s.Cancel(1, 2); code != custody.NotOwner {
		t.Error(code)
	}
	if _, code := w.s.Cancel(99, 1); code != custody.Unknown {
		t.Error(code)
	}
	if x, code := w.s.Cancel(1, 1); code != custody.OK || x.Amount != coin {
		t.Error(code)
	}
	if _, code := w.s.Cancel(1, 1); code != custody.Unknown {
		t.Error(code)
	}
	if _, code := w.s.Withdraw(1, &good, w.now); code != custody.OK {
		t.Error(code)
	}
	if list := w.s.Withdrawals(1); len(list) != custody.MaxOwn || list[0].ID == 1 {
		t.Error(len(list))
	}
}

// Y-61, Y-62: a withdrawal to a new output above an amount waits, and so do looser
// settings; stricter ones do not.
func TestDelays(t *testing.T) {
	const minute = 60_000
	d := definition("bitcoin-regtest", 1)
	d.DelayAbove, d.Delay = coin, 10*minute
	w := newWorld(t, 4, d)
	w.turn(0, 2)
	w.deposit(1, 0, 50*coin)
	w.gift(0, coin)
	w.turn(0, 4)
	from := func(to string, amount asset.Amount) uint64 {
		t.Helper()
		id, code := w.withdraw(1, 0, to, amount, 10_000)
		if code != custody.OK {
			t.Fatal(code)
		}
		x, _ := w.s.Withdrawal(id)
		return x.From - x.Asked
	}
	if ms := from("alice", coin); ms != 0 {
		t.Errorf("small: %d", ms)
	}
	if ms := from("alice", coin+1); ms != 10*minute {
		t.Errorf("new: %d", ms)
	}
	w.step()
	if due, ok := w.s.NextDue(); !ok || due <= w.now || due > w.now+10*minute {
		t.Errorf("due in %d ms", due-w.now)
	}
	w.work(0, 4)
	if len(w.paid) != 1 {
		t.Fatalf("%d paid", len(w.paid))
	}
	if ms := from("alice", coin+1); ms != 10*minute {
		t.Errorf("paid a moment ago: %d", ms)
	}
	w.now += 10 * minute
	w.work(0, 6)
	if ms := from("alice", 2*coin); ms != 0 {
		t.Errorf("known: %d", ms)
	}
	w.work(0, 6)
	if _, ok := w.s.NextDue(); ok || len(w.paid) != 4 {
		t.Errorf("%d paid", len(w.paid))
	}
	// An own delay is in force at once; an allowed output only after it.
	if at, code := w.s.SetAccount(1, custody.Settings{Delay: 60 * minute}, saltOf("settings"), w.now); code != custody.OK || at != w.now {
		t.Fatal(at-w.now, code)
	}
	if ms := from("alice", coin); ms != 60*minute {
		t.Errorf("own delay: %d", ms)
	}
	allowed := custody.Settings{Only: true, Allowed: []custody.Allowed{{Bank: 1, Script: output("bob")}}}
	if at, code := w.s.SetAccount(1, allowed, saltOf("settings"), w.now); code != custody.OK || at != w.now+60*minute {
		t.Fatal(at-w.now, code)
	}
	w.step()
	w.reload()
	if _, next, at := w.s.Account(1, w.now); at == 0 || !next.Only {
		t.Error("no change to come")
	}
	if ms := from("bob", coin); ms != 60*minute {
		t.Errorf("not allowed yet: %d", ms)
	}
	w.now += 60 * minute
	if ms := from("bob", 5*coin); ms != 0 {
		t.Errorf("allowed: %d", ms)
	}
	if _, code := w.withdraw(1, 0, "alice", coin, 10_000); code != custody.NotAllowed {
		t.Error(code)
	}
	// To take the list away is looser, and waits for the bank's delay.
	if at, code := w.s.SetAccount(1, custody.Settings{}, saltOf("settings"), w.now); code != custody.OK || at != w.now+10*minute {
		t.Error(at-w.now, code)
	}
	if at, code := w.s.SetAccount(1, custody.Settings{Only: true}, saltOf("settings"), w.now); code != custody.OK || at != w.now {
		t.Error(at-w.now, code)
	}
	for name, x := range map[string]custody.Settings{
		"a long delay": {Delay: custody.MaxDelay + 1},
		"no bank":      {Allowed: []custody.Allowed{{Bank: 2, Script: output("bob")}}},
		"no script":    {Allowed: []custody.Allowed{{Bank: 1}}},
		"twice":        {Allowed: []custody.Allowed{{Bank: 1, Script: output("bob")}, {Bank: 1, Script: output("bob")}}},
		"many":         {Allowed: make([]custody.Allowed, custody.MaxAllowed+1)},
	} {
		if _, code := w.s.SetAccount(1, x, saltOf("settings"), w.now); code != custody.BadSettings {
			t.Errorf("%s: %d", name, code)
		}
	}
}

// Y-62: the same of a bank's limits.
func TestSetLimits(t *testing.T) {
	d := definition("bitcoin-regtest", 1)
	d.Delay, d.DelayAbove, d.MaxPerHour = 60_000, coin, 10*coin
	w := newWorld(t, 4, d)
	tight := d.Limits
	tight.MaxPerHour = 5 * coin
	if code := w.s.SetLimits(1, tight, w.now); code != custody.OK {
		t.Fatal(code)
	}
	info, _ := w.s.Bank(1)
	if info.MaxPerHour != 5*coin || info.NextAt != 0 {
		t.Errorf("%+v", info)
	}
	loose := tight
	loose.MaxPerHour, loose.Delay = 20*coin, 0
	if code := w.s.SetLimits(1, loose, w.now); code != custody.OK {
		t.Fatal(code)
	}
	w.step()
	w.reload()
	if info, _ = w.s.Bank(1); info.MaxPerHour != 5*coin || info.Next.MaxPerHour != 20*coin {
		t.Errorf("%+v", info)
	}
	w.now += 60_000
	w.step()
	if info, _ = w.s.Bank(1); info.MaxPerHour != 20*coin || info.Delay != 0 || info.NextAt != 0 {
		t.Errorf("%+v", info)
	}
	loose.MinWithdrawal = 600
	if w.s.SetLimits(1, loose, w.now) != custody.BadSettings || w.s.SetLimits(2, tight, w.now) != custody.UnknownBank {
		t.Error("limits that nobody could have")
	}
}

// Y-64: signatures go into slots, one for each member, input and version.
func TestSign(t *testing.T) {
	w := regtest(t)
	w.turn(0, 2)
	w.deposit(1, 0, coin)
	w.turn(0, 3)
	w.withdraw(1, 0, "alice", coin/2, 10_000)
	w.step()
	m := w.join()
	w.step()
	one := func(change func(*custody.Signature)) custody.Signature {
		x := custody.Signature{Bank: 1, Batch: 1, Version: 1, Signatures: [][]byte{{1}}}
		change(&x)
		return x
	}
	for name, x := range map[string]struct {
		by   custody.Member
		sign custody.Signature
		want custody.Code
	}{
		"good":       {1, one(func(*custody.Signature) {}), custody.OK},
		"replaced":   {1, one(func(x *custody.Signature) { x.Signatures = [][]byte{make([]byte, custody.MaxSignature)} }), custody.OK},
		"no bank":    {1, one(func(x *custody.Signature) { x.Bank = 3 }), custody.UnknownBank},
		"no batch":   {1, one(func(x *custody.Signature) { x.Batch = 2 }), custody.Unknown},
		"no version": {1, one(func(x *custody.Signature) { x.Version = 2 }), custody.Unknown},
		"version 0":  {1, one(func(x *custody.Signature) { x.Version = 0 }), custody.Unknown},
		"no member":  {77, one(func(*custody.Signature) {}), custody.NotMember},
		"no signer":  {m, one(func(*custody.Signature) {}), custody.NotSigner},
		"too many":   {1, one(func(x *custody.Signature) { x.Signatures = [][]byte{{1}, {2}} }), custody.BadForm},
		"too far":    {1, one(func(x *custody.Signature) { x.First = 1 }), custody.BadForm},
		"none":       {1, one(func(x *custody.Signature) { x.Signatures = nil }), custody.BadForm},
		"empty":      {1, one(func(x *custody.Signature) { x.Signatures = [][]byte{{}} }), custody.BadForm},
		"long":       {1, one(func(x *custody.Signature) { x.Signatures = [][]byte{make([]byte, 73)} }), custody.BadForm},
	} {
		if code := w.s.Sign(x.by, &x.sign); code != x.want {
			t.Errorf("%s: %d, want %d", name, code, x.want)
		}
	}
	members, given := w.s.Signatures(1, 1, 1)
	if len(members) != 1 || members[0] != 1 || len(given[0]) != 1 {
		t.Errorf("%v %v", members, given)
	}
	w.s.HaltAll(custody.Vote)
	x := one(func(*custody.Signature) {})
	if code := w.s.Sign(2, &x); code != custody.IsHalted {
		t.Error(code)
	}
	if liftNow(w.s, 1) != custody.OK {
		t.Error("not lifted")
	}
	w.reload()
	w.work(0, 3)
	if members, _ := w.s.Signatures(1, 1, 1); len(members) != 0 {
		t.Error("signatures of a settled batch are there")
	}
}

// Y-11, Y-15: what a member cannot say.
func TestAttestRefuses(t *testing.T) {
	w := regtest(t)
	w.turn(0, 3)
	tip := w.chains[0].blocks[3].hash
	payment := custody.Payment{Height: 503, At: script.Outpoint{Tx: hashOf("x")}, Amount: coin, Branch: script.Deposits}
	with := func(change func(p *custody.Payment)) *custody.Attestation {
		p := payment
		change(&p)
		return &custody.Attestation{Bank: 1, Payments: []custody.Payment{p}}
	}
	for name, x := range map[string]struct {
		say  *custody.Attestation
		want custody.Code
	}{
		"nothing":       {&custody.Attestation{Bank: 1}, custody.OK},
		"good":          {&custody.Attestation{Bank: 1, From: 504, Parent: tip, Hashes: []script.Hash{{1}}}, custody.OK},
		"no bank":       {&custody.Attestation{Bank: 9}, custody.UnknownBank},
		"from alone":    {&custody.Attestation{Bank: 1, From: 504}, custody.BadForm},
		"zero hash":     {&custody.Attestation{Bank: 1, From: 504, Parent: tip, Hashes: []script.Hash{{}}}, custody.BadForm},
		"many hashes":   {&custody.Attestation{Bank: 1, From: 504, Parent: tip, Hashes: make([]script.Hash, 65)}, custody.BadForm},
		"many payments": {&custody.Attestation{Bank: 1, Payments: make([]custody.Payment, 1001)}, custody.BadForm},
		"many spends":   {&custody.Attestation{Bank: 1, Spends: make([]custody.Spend, 1001)}, custody.BadForm},
		"too deep":      {&custody.Attestation{Bank: 1, From: 500, Parent: tip, Hashes: []script.Hash{{1}}}, custody.BadHeight},
		"too far":       {&custody.Attestation{Bank: 1, From: 503 + custody.MaxAhead + 1, Parent: tip, Hashes: []script.Hash{{1}}}, custody.BadHeight},
		"a gap":         {&custody.Attestation{Bank: 1, From: 600, Parent: tip, Hashes: []script.Hash{{1}}}, custody.BadParent},
		"other parent":  {&custody.Attestation{Bank: 1, From: 504, Parent: hashOf("y"), Hashes: []script.Hash{{1}}}, custody.BadParent},
		"no amount":     {with(func(p *custody.Payment) { p.Amount = 0 }), custody.BadForm},
		"all and more":  {with(func(p *custody.Payment) { p.Amount = asset.MaxSupply + 1 }), custody.BadForm},
		"no branch":     {with(func(p *custody.Payment) { p.Branch = 2 }), custody.BadForm},
		"no index":      {with(func(p *custody.Payment) { p.Index = script.Hardened }), custody.BadForm},
		"no series":     {with(func(p *custody.Payment) { p.Series = 1 }), custody.BadForm},
		"no block":      {with(func(p *custody.Payment) { p.Height = 505 }), custody.BadHeight},
		"old block":     {with(func(p *custody.Payment) { p.Height = 500 }), custody.BadHeight},
		"old spend":     {&custody.Attestation{Bank: 1, Spends: []custody.Spend{{Height: 500}}}, custody.BadHeight},
	} {
		if code := w.s.Attest(1, x.say); code != x.want {
			t.Errorf("%s: %d, want %d", name, code, x.want)
		}
	}
	// One member can say only so much that nobody else does (Y-18).
	for n := 0; ; n += custody.MaxPayments {
		a := &custody.Attestation{Bank: 1}
		for i := range custody.MaxPayments {
			p := payment
			p.At.Tx, p.At.Index = hashOf("many"), uint32(n+i)
			a.Payments = append(a.Payments, p)
		}
		code := w.s.Attest(2, a)
		if (code == custody.OK) != (n+custody.MaxPayments <= custody.MaxAlone) {
			t.Fatalf("%d payments: %d", n, code)
		}
		if code != custody.OK {
			break
		}
	}
}

// Y-30: an account has only so many addresses to which nothing was paid.
func TestAddresses(t *testing.T) {
	w := regtest(t)
	for i := range custody.MaxUnused {
		if a, code := w.s.NewAddress(1, 1, custody.Salt{}); code != custody.OK || a.Index != uint32(i) {
			t.Fatal(a, code)
		}
	}
	if _, code := w.s.NewAddress(1, 1, custody.Salt{}); code != custody.TooMany {
		t.Error(code)
	}
	if a, code := w.s.NewAddress(2, 1, custody.Salt{}); code != custody.OK || a.Index != custody.MaxUnused {
		t.Error(a, code)
	}
	if _, code := w.s.NewAddress(0, 1, custody.Salt{}); code != custody.UnknownBank {
		t.Error(code)
	}
	w.turn(0, 1)
	w.deposit(1, 0, coin)
	w.turn(0, 1)
	list := w.s.Deposits(1)
	if len(list) != 1 || !list[0].Agreed || list[0].Depth != 1 || list[0].Required != 2 || list[0].Members != 4 || len(w.s.Deposits(2)) != 0 {
		t.Errorf("%+v", list)
	}
	w.turn(0, 2)
	if _, code := w.s.NewAddress(1, 1, custody.Salt{}); code != custody.OK || !w.s.Addresses(1)[0].Used || len(w.s.Deposits(1)) != 0 {
		t.Error(code)
	}
	if o, ok := w.s.OwnerOf(1, 0, custody.MaxUnused); o != 2 || !ok {
		t.Error(o)
	}
	owners := 0
	w.s.Owners(func(custody.Owner, asset.ID) bool { owners++; return true })
	if owners != 2 {
		t.Error(owners)
	}
	w.step()
	w.reload()
}
