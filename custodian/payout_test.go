package custodian_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"souk/asset"
	"souk/custodian/custodiantest"
	"souk/exchange"
	"souk/exchange/custody"
	"souk/exchange/exchangetest"
	"souk/exchange/roster"
	"souk/internal/bulk"
)

// Two of four can sign nothing: their signatures are in the ledger and nothing comes
// of them. With the third the payout goes out (W-31).
func TestTwoOfFour(t *testing.T) {
	f := federation(t, custodiantest.Config{Verify: true})
	deposit(t, f, "alice", 3*coin)
	f.Members[1].Kill()
	f.Members[2].Kill()
	id := withdraw(t, f, "alice", "shop", coin, 1e6)
	f.Calm()
	for range 100 {
		f.Round()
	}
	s := f.Members[0].Custodian.Status()
	if len(s.Live) != 1 || s.Live[0].Signed != 2 || s.Live[0].Sent != 0 || len(f.Chain.Pool()) != 0 {
		t.Fatalf("%+v", s)
	}
	if err := f.Members[2].Start(); err != nil {
		t.Fatal(err)
	}
	f.Calm()
	if len(f.Chain.Pool()) != 1 {
		t.Fatalf("%+v", f.Members[0].Custodian.Status())
	}
	f.Mine(2)
	if _, ok := f.Banks().Settled(id); !ok {
		t.Error("not settled")
	}
}

// Bad signatures of one member hold nothing up, and he is named, also if he is late (W-31).
func TestBadSignatures(t *testing.T) {
	for name, spoil := range map[string]func(x *exchange.Sign){
		"other":  func(x *exchange.Sign) { x.Signatures[0][20]++ },
		"short":  func(x *exchange.Sign) { x.Signatures[0] = x.Signatures[0][:8] },
		"noise":  func(x *exchange.Sign) { x.Signatures[0] = []byte("nothing of the kind") },
		"others": func(x *exchange.Sign) { slices.Reverse(x.Signatures); x.Signatures[0][5] ^= 4 },
	} {
		t.Run(name, func(t *testing.T) {
			f := federation(t, custodiantest.Config{Verify: true})
			deposit(t, f, "alice", 3*coin, 2*coin)
			bad := f.Members[1]
			f.Change = func(m *custodiantest.Member, body exchange.Body) exchange.Body {
				if x, ok := body.(*exchange.Sign); ok && m == bad {
					spoil(x)
				}
				return body
			}
			withdraw(t, f, "alice", "shop", 4*coin, 1e6)
			f.Calm()
			for _, m := range f.Members {
				s := m.Custodian.Status()
				if len(s.Faults) != 1 || s.Faults[0].Member != bad.ID() || s.Faults[0].Count != 1 {
					t.Errorf("%s: %+v", m.Name, s.Faults)
				}
			}
			f.Mine(3)
			if f.Chain.Balance(exchangetest.Output("shop")) != 4*coin {
				t.Error("not paid")
			}
		})
	}
}

// A transaction that nodes have dropped is broadcast again (W-32).
func TestEviction(t *testing.T) {
	f := federation(t, custodiantest.Config{})
	deposit(t, f, "alice", 3*coin)
	id := withdraw(t, f, "alice", "shop", coin, 1e6)
	f.Calm()
	for i := range 3 {
		if !f.Chain.Evict(f.Chain.Pool()[0]) {
			t.Fatal("not there")
		}
		if i == 2 {
			f.Chain.MineEmpty(1) // with a new block at once
			f.Round()
		}
		for range 25 {
			f.Round()
		}
		if len(f.Chain.Pool()) != 1 {
			t.Fatal("not there again")
		}
	}
	f.Mine(2)
	if _, ok := f.Banks().Settled(id); !ok {
		t.Error("not settled")
	}
}

// When fees rise fifty times, the next version pays more and takes the place of the
// one before, which is not broadcast again (W-32).
func TestFeeSpike(t *testing.T) {
	f := federation(t, custodiantest.Config{Verify: true})
	deposit(t, f, "alice", 3*coin, 4*coin)
	f.Do("alice", &exchange.Donate{Bank: bank, Amount: coin})
	book := custodiantest.NewBook(f)
	id := withdraw(t, f, "alice", "shop", coin, 1e6)
	f.Calm()
	first := f.Chain.Pool()
	f.Chain.SetRate(100_000)
	f.Chain.SetFloor(90_000)
	f.Mine(3)
	second := f.Chain.Pool()
	if len(first) != 1 || len(second) != 1 || first[0] == second[0] || book.Versions(id) < 2 {
		t.Fatalf("%d versions; %v, %v", book.Versions(id), first, second)
	}
	for range 100 {
		f.Round()
	}
	if got := f.Chain.Pool(); !slices.Equal(got, second) {
		t.Errorf("%v instead of %v", got, second)
	}
	// The newest is dropped everywhere: it comes again, not the older one.
	f.Chain.Evict(second[0])
	for range 25 {
		f.Round()
	}
	if got := f.Chain.Pool(); !slices.Equal(got, second) {
		t.Errorf("%v instead of %v", got, second)
	}
	f.Mine(3)
	if err := book.Settled(); err != nil {
		t.Error(err)
	}
	if err := book.Conflicts(); err != nil {
		t.Error(err)
	}
}

// On a network without replacement a child pays for both; both are broadcast (W-32).
func TestFeeChild(t *testing.T) {
	f := federation(t, custodiantest.Config{Network: "litecoin-regtest", Blocks: 450, Verify: true, Found: func(f *exchange.Founding) {
		f.Banks[0].MinDeposit, f.Banks[0].MinWithdrawal = 20_000, 20_000
	}})
	deposit(t, f, "alice", 3*coin, 4*coin)
	f.Do("alice", &exchange.Donate{Bank: bank, Amount: coin})
	book := custodiantest.NewBook(f)
	withdraw(t, f, "alice", "shop", coin, 1e6)
	f.Calm()
	f.Chain.SetRate(100_000)
	f.Chain.SetFloor(90_000)
	f.Mine(3)
	if got := f.Chain.Pool(); len(got) != 2 {
		t.Fatalf("%v wait", got)
	}
	f.Mine(4)
	if err := book.Settled(); err != nil {
		t.Error(err)
	}
}

// While the banks are halted nothing is signed or passed on (W-33).
func TestHalted(t *testing.T) {
	f := federation(t, custodiantest.Config{})
	deposit(t, f, "alice", 3*coin, 3*coin)
	vote := func(a roster.Action) {
		for i := range 3 {
			f.Ask(f.Members[i].Name, &exchange.Vote{Approve: true, Action: roster.AppendAction(nil, a, 0)})
		}
		f.Block()
	}
	f.Members[0].Kill()
	f.Members[1].Kill()
	id := withdraw(t, f, "alice", "shop", coin, 1e6)
	f.Calm()
	vote(roster.HaltBanks{})
	for _, m := range f.Members[:2] {
		if err := m.Start(); err != nil {
			t.Fatal(err)
		}
	}
	f.Calm()
	f.Mine(3)
	if n := len(f.Chain.Pool()); n != 0 || f.Banks().Halted().Reason != custody.Vote {
		t.Fatalf("%d transactions", n)
	}
	vote(exchangetest.Lift(f.State()))
	for range 300 {
		f.Round()
	}
	f.Mine(3)
	if _, ok := f.Banks().Settled(id); !ok {
		t.Errorf("not settled: %+v", f.Members[0].Custodian.Status())
	}
}

// A new series is opened: its addresses are used, every coin moves, and what comes to
// the old addresses is found (Y-23, Y-24, W-23).
func TestRotation(t *testing.T) {
	f := federation(t, custodiantest.Config{Members: 5, Verify: true})
	_, old := f.Address("alice")
	deposit(t, f, "alice", 3*coin, 4*coin)
	deposit(t, f, "bob", coin, 2*coin, 3*coin)
	f.Do("alice", &exchange.Donate{Bank: bank, Amount: coin})
	for _, members := range [][]roster.ID{{1, 2, 3, 4}, {1, 2, 3, 4, 5}} {
		for i := range 4 {
			f.Ask(f.Members[i].Name, &exchange.Vote{
				Approve: true, Action: roster.AppendAction(nil, roster.OpenSeries{Bank: uint32(bank), Members: members}, uint32(len(members))),
			})
		}
		f.Block()
		f.Calm()
		if at, _ := f.Address("carol"); at.Index == 0 && len(members) == 5 {
			t.Error("an address of the first series is allotted again") // its keys are the same
		}
		f.Chain.Pay(old, coin) // to the old address, during the sweep
		f.Mine(20)
		if r := f.State().Solvency()[0]; r.Deficit != 0 {
			t.Errorf("sums %+v", r)
		}
		info, _ := f.Banks().Bank(bank)
		f.Banks().Coins(bank, func(c custody.Coin) bool {
			if c.Series != info.Series-1 {
				t.Errorf("coin %s is of series %d", c.At, c.Series)
			}
			return true
		})
	}
	if got := f.Available("alice"); got != 8*coin {
		t.Errorf("Alice has %d", got)
	}
}

// A member that the bank knows no key of announces one (W-29).
func TestAnnounce(t *testing.T) {
	f := federation(t, custodiantest.Config{})
	card := exchangetest.BankCard("newcomer")
	for i := range 3 {
		f.Ask(f.Members[i].Name, &exchange.Vote{Approve: true, Action: roster.AppendAction(nil, roster.AddMember{Card: card.Roster()}, 0)})
	}
	f.Block()
	if err := f.Join("newcomer"); err != nil {
		t.Fatal(err)
	}
	f.Calm()
	deposit(t, f, "alice", coin)
	m := f.Members[4]
	s := m.Custodian.Status()
	list := f.Banks().Members(bank)
	if !s.HasKey || s.Attested != s.Agreed || list[len(list)-1].Key != exchangetest.MemberKey("newcomer").Public() {
		t.Errorf("%+v", s)
	}
}

// Fifty withdrawals while signers and custodians are killed at random moments, their
// answers get lost, journals are restored from old backups, nodes drop what waits and
// fees rise fifty times: each is paid once, to the unit, its fee within its bound, and
// of all that was ever signed for it any two conflict (W-10 to W-13).
func TestFifty(t *testing.T) {
	for seed := range uint64(bulk.Count(2)) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { fifty(t, seed) })
	}
}

func fifty(t *testing.T, seed uint64) {
	f := federation(t, custodiantest.Config{Seed: seed, Verify: seed == 0})
	for _, name := range []string{"alice", "bob", "carol"} {
		deposit(t, f, name, 20*coin, 3*coin, coin, coin/2)
	}
	f.Do("alice", &exchange.Donate{Bank: bank, Amount: 2 * coin})
	book := custodiantest.NewBook(f)
	c := &chaos{f: f, backups: map[int][][]byte{}}
	f.Lose = func(*custodiantest.Member, exchange.Body) bool { return f.Random.IntN(5) == 0 }
	asked, bounds := 0, []asset.Amount{3_000, 100_000, 2_000_000}
	n := max(10, bulk.Count(50))
	for round := 0; asked < n || round < 4*n; round++ {
		if asked < n && f.Random.IntN(3) == 0 {
			name := []string{"alice", "bob", "carol"}[f.Random.IntN(3)]
			amount := asset.Amount(20_000 + f.Random.Int64N(60_000_000))
			book.Withdraw(name, fmt.Sprintf("to %d", asked), amount, bounds[f.Random.IntN(3)])
			asked++
		}
		c.round()
	}
	c.calm()
	if book.Asked() != n {
		t.Fatalf("%d of %d were taken", book.Asked(), n)
	}
	if err := book.Settled(); err != nil {
		t.Errorf("%v; %+v", err, f.Members[0].Custodian.Status())
	}
	if err := book.Conflicts(); err != nil {
		t.Error(err)
	}
	if s := f.State().Solvency()[0]; s.Deficit != 0 || f.Banks().Halted().Reason != custody.Running {
		t.Errorf("sums %+v, %+v", s, f.Banks().Halted())
	}
	clear(f.Refused) // a journal from a backup may make a custodian say what others gave up
}

// chaos does what goes wrong.
type chaos struct {
	f       *custodiantest.Federation
	backups map[int][][]byte // of journals, by member
}

func (c *chaos) round() {
	f, r := c.f, c.f.Random
	for i, m := range f.Members {
		journal := filepath.Join(m.Dir(), "journal", "bank-1")
		switch n := r.IntN(20); {
		case m.Up && n == 0:
			m.Kill()
		case m.Up && n == 1:
			m.Step() // and what it did is on its way when it dies
			m.Kill()
		case !m.Up && n < 8:
			if old := c.backups[i]; len(old) > 0 && r.IntN(3) == 0 {
				if err := os.WriteFile(journal, old[r.IntN(len(old))], 0o600); err != nil {
					panic(err)
				}
			}
			if err := m.Start(); err != nil {
				panic(err)
			}
		case n == 9:
			if data, err := os.ReadFile(journal); err == nil {
				c.backups[i] = append(c.backups[i], data)
			}
		}
	}
	switch r.IntN(30) {
	case 0:
		f.Chain.SetRate(100_000)
		f.Chain.SetFloor(80_000)
	case 1, 2:
		f.Chain.SetRate(2_000)
		f.Chain.SetFloor(1_000)
	case 3, 4:
		if pool := f.Chain.Pool(); len(pool) > 0 {
			f.Chain.Evict(pool[r.IntN(len(pool))])
		}
	case 5:
		f.Chain.Disconnect(1)
		f.Chain.Mine(2)
	case 6, 7, 8, 9, 10:
		f.Chain.Mine(1)
	}
	f.Round()
}

// calm ends what goes wrong, and waits until all is paid.
func (c *chaos) calm() {
	f := c.f
	f.Lose = nil
	for _, m := range f.Members {
		if !m.Up {
			if err := m.Start(); err != nil {
				panic(err)
			}
		}
	}
	f.Chain.SetRate(2_000)
	f.Chain.SetFloor(1_000)
	for range 40 {
		f.Mine(1)
		if info, _ := f.Banks().Bank(bank); info.Pending == 0 && len(info.Live) == 0 {
			return
		}
	}
}

// A thousand withdrawals that wait are paid by transactions of at most 100 outputs (Y-51).
func TestDrain(t *testing.T) {
	f := federation(t, custodiantest.Config{Found: func(f *exchange.Founding) {
		f.Banks[0].MaxPerHour = 10_000 * coin
		f.Banks[0].Gather = 60_000
	}})
	names := make([]string, 20)
	for i := range names {
		names[i] = fmt.Sprintf("trader %d", i)
	}
	f.Open(names...)
	deposit(t, f, "alice", slices.Repeat([]asset.Amount{4 * coin}, 40)...)
	for _, name := range names {
		f.Ask("alice", &exchange.Transfer{To: exchangetest.Address(name), Asset: custodiantest.TBC, Amount: 3 * coin})
	}
	f.Block()
	book := custodiantest.NewBook(f)
	n := bulk.Count(1000)
	for i := range n {
		book.Withdraw(names[i%20], fmt.Sprintf("to %d", i), 1e6+asset.Amount(i), 1e5)
		if i%250 == 249 {
			f.Block()
		}
	}
	f.Block()
	if book.Asked() != n {
		t.Fatalf("%d were taken", book.Asked())
	}
	batches := map[uint64]bool{}
	for range 60 {
		f.Time += 60_000
		f.Calm()
		info, _ := f.Banks().Bank(bank)
		for _, number := range info.Live {
			b, _ := f.Banks().Batch(bank, number)
			if len(b.Payouts) > custody.MaxOutputs {
				t.Fatalf("%d payouts", len(b.Payouts))
			}
			batches[number] = true
		}
		if info.Pending+len(info.Live) == 0 {
			break
		}
		f.Mine(1)
	}
	if err := book.Settled(); err != nil {
		t.Error(err)
	}
	if err := book.Conflicts(); err != nil {
		t.Error(err)
	}
	t.Logf("%d transactions", len(batches))
	if len(batches) > 100 {
		t.Errorf("%d transactions", len(batches))
	}
}
