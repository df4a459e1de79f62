package custodian_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"souk/asset"
	"souk/chain"
	"souk/chain/memchain"
	"souk/custodian"
	"souk/custodian/custodiantest"
	"souk/exchange"
	"souk/exchange/custody"
	"souk/exchange/exchangetest"
	"souk/internal/bulk"
	"souk/script"
)

// A reorganisation of any depth: a payment that comes back is credited once, at its
// depth; one that is gone is forgotten if it was not credited, and else halts all
// banks. Nobody's balance falls (Y-16, W-20).
func TestReorganise(t *testing.T) {
	for depth := 1; depth <= max(2, bulk.Count(8)); depth++ {
		for _, back := range []bool{true, false} {
			t.Run(fmt.Sprintf("%d/%v", depth, back), func(t *testing.T) { reorganise(t, depth, back) })
		}
	}
}

func reorganise(t *testing.T, depth int, back bool) {
	f := federation(t, custodiantest.Config{Blocks: 20})
	deposit(t, f, "bob", coin)
	_, out := f.Address("alice")
	at := f.Chain.Pay(out, 3*coin)
	f.Mine(depth)
	credited := depth >= 2
	want := asset.Amount(0)
	if credited {
		want = 3 * coin
	}
	if got := f.Available("alice"); got != want {
		t.Fatalf("%d are credited at depth %d", got, depth)
	}
	f.Chain.Disconnect(depth)
	if !back {
		f.Chain.Evict(at.Tx)
	}
	f.Chain.Mine(depth + 1)
	for range 2 { // the blocks in which all members say it
		f.Round()
	}
	if h := f.Banks().Halted(); (h.Reason == custody.Reorganisation) != credited {
		t.Fatalf("halted: %+v", h)
	}
	f.Calm()
	f.Mine(3)
	if back {
		want = 3 * coin // whether it had been credited before or only now
	}
	if got := f.Available("alice"); got != want {
		t.Fatalf("Alice has %d, not %d", got, want)
	}
	sums := f.State().Solvency()[0]
	if lost := credited && !back; (sums.Deficit != 0) != lost || lost && sums.Deficit != 3*coin {
		t.Errorf("sums %+v", sums)
	}
	for _, m := range f.Members {
		if s := m.Custodian.Status(); s.Problem != "" || s.Attested != s.Node {
			t.Errorf("%s: %+v", m.Name, s)
		}
	}
}

// One member's node shows payments that are not there, other blocks, or not the
// payments that are: nothing is credited that should not be, nothing waits for it,
// and it is named.
func TestLiar(t *testing.T) {
	for name, faults := range map[string]func(f *custodiantest.Federation, out []byte) memchain.Faults{
		"forges": func(f *custodiantest.Federation, out []byte) memchain.Faults {
			return memchain.Faults{Forge: []memchain.Forgery{{Height: f.Chain.Tip().Height + 1, Transaction: chain.Transaction{
				ID: script.Hash{1, 2, 3}, Outputs: []script.Output{{Script: out, Amount: 50 * coin}},
			}}}}
		},
		"invents": func(*custodiantest.Federation, []byte) memchain.Faults { return memchain.Faults{Invent: 3} },
		"other amount": func(f *custodiantest.Federation, out []byte) memchain.Faults {
			at := f.Chain.Pay(out, coin)
			return memchain.Faults{Hide: []script.Hash{at.Tx}, Forge: []memchain.Forgery{{
				Height: f.Chain.Tip().Height + 1, Transaction: chain.Transaction{ID: at.Tx, Outputs: []script.Output{{Script: out, Amount: 2 * coin}}},
			}}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := federation(t, custodiantest.Config{})
			_, out := f.Address("alice")
			_, other := f.Address("bob")
			liar := f.Members[1]
			liar.Node.SetFaults(faults(f, out))
			f.Chain.Pay(other, coin)
			f.Mine(10)
			if got := f.Available("bob"); got != coin {
				t.Errorf("Bob got %d", got)
			}
			if got := f.Available("alice"); got > coin {
				t.Errorf("Alice got %d", got)
			}
			for _, m := range f.Banks().Members(bank) {
				if (m.Wrong > 0) != (m.Member == liar.ID()) {
					t.Errorf("member %d was wrong %d times", m.Member, m.Wrong)
				}
			}
			withdraw(t, f, "bob", "shop", coin/2, 1e6)
			f.Calm()
			f.Mine(3)
			if f.Chain.Balance(exchangetest.Output("shop")) != coin/2 {
				t.Error("Bob is not paid")
			}
		})
	}
}

// One member says nothing, because its node is away or hides its last blocks:
// nothing waits for it, it is named as late, and when it is back it says the rest (W-22, W-27).
func TestSilent(t *testing.T) {
	for name, faults := range map[string]memchain.Faults{
		"away": custodiantest.Down(), "behind": {Behind: 200}, "other": {Down: chain.ErrWrongNetwork}, "starting": {Down: chain.ErrWarmup},
	} {
		t.Run(name, func(t *testing.T) {
			f := federation(t, custodiantest.Config{})
			silent := f.Members[2]
			silent.Node.SetFaults(faults)
			deposit(t, f, "alice", coin, 2*coin)
			f.Mine(80)
			s := silent.Custodian.Status()
			if silent.Err == nil || s.Problem == "" || s.Attested+80 > s.Agreed {
				t.Errorf("status %+v, %v", s, silent.Err)
			}
			for _, m := range f.Banks().Members(bank) {
				if late := m.Behind >= custody.Late; late != (m.Member == silent.ID()) {
					t.Errorf("member %d is %d behind", m.Member, m.Behind)
				}
			}
			silent.Node.SetFaults(memchain.Faults{})
			said := statements(f, silent)
			f.Calm()
			if s := silent.Custodian.Status(); s.Problem != "" || s.Attested != s.Agreed {
				t.Errorf("back: %+v", s)
			}
			if *said > 2 {
				t.Errorf("%d statements to say one block", *said)
			}
		})
	}
}

// statements counts what a member says from now on.
func statements(f *custodiantest.Federation, m *custodiantest.Member) *int {
	n := 0
	f.Seen = func(commands []exchange.Command, _ *exchange.Result) {
		for i := range commands {
			if commands[i].Kind == exchange.KindAttest && commands[i].Key == exchangetest.Key(m.Name+"/server").Public() {
				n++
			}
		}
	}
	return &n
}

// A node that is still reading old blocks, by their time, is not believed (W-27).
func TestStale(t *testing.T) {
	f := federation(t, custodiantest.Config{Network: "bitcoin"})
	f.Mine(1)
	for _, m := range f.Members {
		if s := m.Custodian.Status(); !errors.Is(m.Err, custodian.ErrBehind) || !strings.Contains(s.Problem, "day old") {
			t.Errorf("%s: %v, %+v", m.Name, m.Err, s)
		}
	}
	if info, _ := f.Banks().Bank(bank); info.Tip.Height != 3 {
		t.Error("something was attested")
	}
}

// Answers that are lost come again, later and later; what the ledger has does not.
func TestLost(t *testing.T) {
	f := federation(t, custodiantest.Config{})
	left := 9
	said := statements(f, f.Members[0])
	f.Lose = func(m *custodiantest.Member, body exchange.Body) bool {
		_, is := body.(*exchange.Attest)
		if !is || m != f.Members[0] || left == 0 {
			return false
		}
		left--
		return true
	}
	f.Chain.Mine(1)
	for range 2000 {
		f.Round()
	}
	if s := f.Members[0].Custodian.Status(); left != 0 || *said != 1 || s.Attested != s.Agreed {
		t.Errorf("%d losses left, %d statements, %+v", left, *said, s)
	}
}

// counted is a backend that counts what is read.
type counted struct {
	*memchain.Node
	scans *int
}

func (c counted) Scan(ctx context.Context, at chain.Point, filter *chain.Filter) (chain.Found, error) {
	*c.scans++
	return c.Node.Scan(ctx, at, filter)
}

// A custodian that was killed goes on where it was; one that has lost its folder, or
// finds it damaged, reads what still counts again (W-28).
func TestRestart(t *testing.T) {
	scans := make([]int, 4)
	f := federation(t, custodiantest.Config{Backend: func(i int, node *memchain.Node) chain.Backend { return counted{node, &scans[i]} }})
	deposit(t, f, "alice", coin)
	f.Mine(50)
	m := f.Members[0]
	file := filepath.Join(m.Dir(), "custodian", "seen")
	for name, do := range map[string]func(data []byte){
		"whole":   func([]byte) {},
		"cut":     func(data []byte) { write(t, file, data[:len(data)/2]) },
		"changed": func(data []byte) { data[len(data)/2]++; write(t, file, data) },
		"none":    func([]byte) { _ = os.Remove(file) },
	} {
		m.Kill()
		f.Mine(5)
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		do(data)
		scans[0] = 0
		if err := m.Start(); err != nil {
			t.Fatal(err)
		}
		f.Calm()
		if scans[0] == 5 != (name == "whole") || scans[0] < 5 {
			t.Errorf("%s: %d blocks were read", name, scans[0])
		}
		if s := m.Custodian.Status(); s.Problem != "" || s.Attested != s.Agreed {
			t.Errorf("%s: %+v", name, s)
		}
	}
	deposit(t, f, "bob", coin)
}

func write(t *testing.T, file string, data []byte) {
	t.Helper()
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// Payments to addresses that are allotted later are found, in whatever block they
// stand: soon ones at once, others when blocks are read again (W-23, W-24).
func TestLateAddress(t *testing.T) {
	for _, index := range []uint32{0, 7, 30} {
		f := federation(t, custodiantest.Config{})
		f.Chain.Pay(f.Output(0, script.Deposits, index), 3*coin)
		f.Chain.Mine(1)
		f.Calm()
		for i := range index + 1 {
			if at, _ := f.Address([]string{"alice", "bob"}[i%2]); at.Index != i {
				t.Fatal("another index")
			}
			f.Calm()
		}
		f.Mine(2)
		if index > 20 {
			f.Mine(36)
		}
		if got := f.Available([]string{"alice", "bob"}[index%2]); got != 3*coin {
			t.Errorf("index %d: %d", index, got)
		}
	}
}

// A crowd of payments in one block, more than a member has room for before others say
// them too (W-21).
func TestCrowd(t *testing.T) {
	f := federation(t, custodiantest.Config{})
	_, out := f.Address("alice")
	f.Calm()
	const n = custody.MaxAlone + 500
	for range n {
		f.Chain.Pay(out, coin/1000)
	}
	f.Mine(4)
	if got := f.Available("alice"); got != n*coin/1000 {
		t.Errorf("%d of %d are credited", got/(coin/1000), n)
	}
}

// A copy of the ledger that was behind learns of many addresses at once, long after
// they were paid to: what they got is found (W-24).
func TestLateCopy(t *testing.T) {
	f := federation(t, custodiantest.Config{})
	m := f.Members[3]
	for i := range 25 {
		f.Address([]string{"carol", "bob"}[i%2])
	}
	f.Calm()
	m.Held = true
	var last []byte
	for i := range 40 {
		_, last = f.Address([]string{"dave", "erin", "alice"}[i%3])
	}
	f.Chain.Pay(last, coin)
	f.Mine(4)
	if f.Available("dave") != coin {
		t.Fatal("the others have not credited it")
	}
	f.Chain.Pay(last, coin) // now the first member falls silent
	f.Members[0].Kill()
	f.Chain.Mine(1)
	f.Calm()
	f.Chain.Mine(1)
	f.Calm()
	if f.Available("dave") != coin {
		t.Fatal("two of four have credited")
	}
	m.Held = false
	f.Ask("bob", &exchange.Donate{Bank: bank}) // any command, for a block
	f.Block()
	f.Calm()
	f.Mine(1)
	if got := f.Available("dave"); got != 2*coin {
		t.Errorf("%d", got)
	}
}

// A block's reward is said when it can be spent (W-25).
func TestCoinbase(t *testing.T) {
	f := federation(t, custodiantest.Config{})
	_, out := f.Address("alice")
	f.Calm()
	f.Chain.RewardTo(out)
	f.Chain.Mine(1)
	f.Chain.RewardTo([]byte{0x51})
	f.Mine(98)
	if f.Available("alice") != 0 {
		t.Error("credited before it is mature")
	}
	f.Mine(2)
	if got := f.Available("alice"); got != 50*coin {
		t.Errorf("%d", got)
	}
}

// A payment out of a HogEx that a reorganisation moves is credited once (T-70).
func TestPegOut(t *testing.T) {
	f := federation(t, custodiantest.Config{Network: "litecoin-regtest", Blocks: 450, Found: func(f *exchange.Founding) {
		f.Banks[0].MinDeposit, f.Banks[0].MinWithdrawal = 20_000, 20_000
	}})
	_, out := f.Address("alice")
	f.Calm()
	f.Chain.PegOut(out, 2*coin)
	f.Mine(3)
	f.Chain.Disconnect(3)
	f.Chain.Mine(4)
	f.Calm()
	f.Mine(3)
	if f.Available("alice") != 0 {
		t.Error("credited too early")
	}
	f.Mine(6)
	if got := f.Available("alice"); got != 2*coin {
		t.Errorf("%d", got)
	}
}

// Somebody who pays to an address of change gives it to the bank, for all members
// see it (W-23).
func TestDonation(t *testing.T) {
	f := federation(t, custodiantest.Config{})
	index, _ := script.ChangeIndex(1, 3)
	f.Chain.Pay(f.Output(0, script.Change, index), coin)
	f.Mine(3)
	if a, _ := f.State().Ledger().Asset(custodiantest.TBC); a.Reserve != coin {
		t.Errorf("the reserve has %d", a.Reserve)
	}
}

// A bank that remembers little of a long chain: a member who was away for more than
// that goes on (W-26).
func TestLongAway(t *testing.T) {
	if !bulk.Whole() {
		t.Skip("2,200 blocks, with nothing at once")
	}
	f := federation(t, custodiantest.Config{})
	deposit(t, f, "alice", coin)
	m := f.Members[0]
	m.Kill()
	for range 2200/60 + 1 {
		f.Chain.Mine(60)
		f.Calm()
	}
	if err := m.Start(); err != nil {
		t.Fatal(err)
	}
	for range 40 {
		f.Round()
	}
	if s := m.Custodian.Status(); s.Problem != "" || s.Attested != s.Agreed {
		t.Errorf("%+v", s)
	}
	deposit(t, f, "bob", coin)
	// The old coin is still watched and can be spent.
	withdraw(t, f, "alice", "shop", coin/2, 1e6)
	f.Calm()
	f.Mine(3)
	if f.Chain.Balance(exchangetest.Output("shop")) != coin/2 {
		t.Error("not paid")
	}
}
