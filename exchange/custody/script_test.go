package custody_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"souk/asset"
	"souk/exchange/custody"
	"souk/script"
)

var people = []string{"nobody", "alice", "bob", "carol"}

// reader runs the commands of a file in testdata, which a person can read. Amounts
// are in coins.
type reader struct {
	*world
	names map[string]*tx
}

func text(d *datadriven.TestData, name, otherwise string) string {
	for _, a := range d.CmdArgs {
		if a.Key == name && len(a.Vals) > 0 {
			return strings.Join(a.Vals, ",")
		}
	}
	return otherwise
}

func number(t *testing.T, d *datadriven.TestData, name string, otherwise int) int {
	n, err := strconv.Atoi(text(d, name, strconv.Itoa(otherwise)))
	if err != nil {
		d.Fatalf(t, "%s: %v", name, err)
	}
	return n
}

func coins(t *testing.T, d *datadriven.TestData, name, otherwise string) asset.Amount {
	a, err := asset.Parse(text(d, name, otherwise), 8)
	if err != nil {
		d.Fatalf(t, "%s: %v", name, err)
	}
	return a
}

func who(name string) custody.Owner { return custody.Owner(slices.Index(people, name)) }

func (x *reader) list(t *testing.T, d *datadriven.TestData, name string) []custody.Member {
	if text(d, name, "all") == "all" {
		return x.members
	}
	var list []custody.Member
	for _, word := range strings.Split(text(d, name, ""), ",") {
		n, err := strconv.Atoi(word)
		if err != nil {
			d.Fatalf(t, "%s: %v", name, err)
		}
		list = append(list, custody.Member(n))
	}
	return list
}

// describe is an event as a person reads it.
func describe(e custody.Event) string {
	amount, fee := asset.Format(e.Amount, 8), asset.Format(e.Fee, 8)
	switch e.Kind {
	case custody.Credited:
		return fmt.Sprintf("%s is credited %s", people[e.Owner], amount)
	case custody.ReserveUp:
		return "the reserve gets " + amount
	case custody.ReserveDown:
		return "the reserve pays " + amount
	case custody.Recorded:
		return fmt.Sprintf("withdrawal %d goes into batch %d: %s and a fee of %s leave %s's hold", e.Withdrawal, e.Batch, amount, fee, people[e.Owner])
	case custody.Restored:
		return fmt.Sprintf("withdrawal %d waits again: %s and %s are held for %s", e.Withdrawal, amount, fee, people[e.Owner])
	case custody.Paid:
		return fmt.Sprintf("withdrawal %d is paid: %s, %s has %s of his bound back", e.Withdrawal, amount, people[e.Owner], asset.Format(e.Back, 8))
	case custody.Sent:
		return fmt.Sprintf("batch %d version %d is to be signed, fee %s", e.Batch, e.Version, fee)
	case custody.Reorganised:
		return fmt.Sprintf("blocks from %d on are replaced", e.Height)
	case custody.Stopped:
		return "all banks halt: " + []string{"", "reorganisation", "theft", "vote", "books"}[e.Reason]
	}
	return "?"
}

func (x *reader) out() string {
	var lines []string
	for _, e := range x.step() {
		lines = append(lines, describe(e))
	}
	return strings.Join(lines, "\n")
}

func codeName(c custody.Code) string {
	return []string{
		"ok", "unknown bank", "not a member", "bad form", "bad height", "bad parent", "too many", "bad script", "bad amount",
		"fee too low", "not allowed", "unknown", "not the owner", "in a batch", "bad settings", "not a signer", "halted",
		"not halted", "unbalanced", "not ready", "bad key", "same series",
		"a reason that was not seen", "signers needed",
	}[c]
}

func (x *reader) run(t *testing.T, d *datadriven.TestData) string {
	if x.world != nil {
		x.t = t
	}
	switch d.Cmd {
	case "found":
		def := definition(text(d, "network", "bitcoin-regtest"), uint8(number(t, d, "wallets", 1)))
		def.BumpBlocks = uint32(number(t, d, "bump", 2))
		x.world = newWorld(t, number(t, d, "members", 4), def)
		x.names = map[string]*tx{}
		x.turn(0, 2)
		return fmt.Sprintf("%d members sign %d of %d", x.count, custody.Threshold(x.count), x.count)
	case "pay": // to an account's address, or with to=nobody to an address of nobody
		amount := coins(t, d, "amount", "1")
		owner := who(text(d, "to", "nobody"))
		p := x.gift
		if owner != 0 {
			p = func(bank int, amount asset.Amount) *tx { return x.deposit(owner, bank, amount) }
		}
		x.names[text(d, "as", "")] = p(0, amount)
		return ""
	case "mine": // blocks that members see, with a step after each
		var lines []string
		for range number(t, d, "blocks", 1) {
			x.chains[0].mine(func(*tx) bool { return text(d, "with", "all") == "all" })
			x.attest(0, x.list(t, d, "seen")...)
			if out := x.out(); out != "" {
				lines = append(lines, out)
			}
		}
		return strings.Join(lines, "\n")
	case "back":
		x.chains[0].back(number(t, d, "blocks", 1))
		return ""
	case "forget": // transactions that were in the blocks taken back
		x.chains[0].pool = nil
		return ""
	case "attest":
		x.attest(0, x.list(t, d, "by")...)
		return x.out()
	case "lie": // of a payment in the newest block
		a := x.address(who(text(d, "to", "alice")), 0)
		info, _ := x.s.Bank(1)
		x.sent++
		return codeName(x.s.Attest(custody.Member(number(t, d, "by", 4)), &custody.Attestation{Bank: 1, Payments: []custody.Payment{{
			Height: info.Tip.Height, At: script.Outpoint{Tx: hashOf("lie", x.sent)}, Amount: coins(t, d, "amount", "1"),
			Series: a.Series, Branch: script.Deposits, Index: a.Index,
		}}}))
	case "withdraw":
		_, code := x.withdraw(who(text(d, "by", "alice")), 0, text(d, "to", "outside"), coins(t, d, "amount", "1"), coins(t, d, "bound", "0.00010000"))
		if code != custody.OK {
			return codeName(code)
		}
		return x.out()
	case "cancel":
		return codeName(x.cancel(custody.ID(number(t, d, "withdrawal", 1)), who(text(d, "by", "alice"))))
	case "sign":
		x.sign(0, x.list(t, d, "by")...)
		return ""
	case "send":
		x.send(0, uint64(number(t, d, "batch", 1)), number(t, d, "version", 1))
		return ""
	case "steal":
		at := x.names[text(d, "coin", "")].pays[0].At
		x.chains[0].pool = append(x.chains[0].pool, &tx{id: hashOf("thief", at), spends: []script.Outpoint{at}})
		return ""
	case "rate":
		x.rates[0] = uint64(number(t, d, "to", 1000))
		return ""
	case "join":
		return fmt.Sprintf("member %d has announced a key", x.join())
	case "leave":
		m := custody.Member(number(t, d, "member", 1))
		if code := x.s.CheckLeave(custody.Members{Present: x.members, Count: x.count}, m); code != custody.OK {
			return codeName(code)
		}
		x.members = slices.DeleteFunc(x.members, func(y custody.Member) bool { return y == m })
		x.count = len(x.members)
		return x.out()
	case "rotate":
		if code := x.s.OpenSeries(1, x.members, x.now); code != custody.OK {
			return codeName(code)
		}
		return x.out()
	case "donate":
		burn, rest, code := x.s.Donate(1, coins(t, d, "amount", "1"))
		if code != custody.OK {
			return codeName(code)
		}
		x.available[who(text(d, "by", "alice"))] -= burn + rest
		x.reserves[0] += rest
		return fmt.Sprintf("%s end the deficit, %s are the reserve's", asset.Format(burn, 8), asset.Format(rest, 8))
	case "lift": // after a vote of members who have seen so many reasons
		n, _ := x.s.Reasons()
		return codeName(x.s.Lift(1, uint32(number(t, d, "seen", int(n)))))
	case "members":
		var lines []string
		for _, m := range x.s.Members(1) {
			lines = append(lines, fmt.Sprintf("member %d: %d behind, %d times wrong", m.Member, m.Behind, m.Wrong))
		}
		return strings.Join(lines, "\n")
	case "deposits":
		var lines []string
		for _, dep := range x.s.Deposits(who(text(d, "of", "alice"))) {
			state := "seen"
			if dep.Agreed {
				state = fmt.Sprintf("deep %d of %d", dep.Depth, dep.Required)
			}
			lines = append(lines, fmt.Sprintf("%s, %s, by %d members", asset.Format(dep.Amount, 8), state, dep.Members))
		}
		return strings.Join(lines, "\n")
	case "bank":
		return x.bank()
	case "account":
		o := who(text(d, "of", "alice"))
		return fmt.Sprintf("%s available, %s held", asset.Format(x.available[o], 8), asset.Format(x.held[o], 8))
	case "reload":
		x.reload()
		return ""
	}
	d.Fatalf(t, "unknown command %s", d.Cmd)
	return ""
}

func (x *reader) bank() string {
	info, _ := x.s.Bank(1)
	f := func(a asset.Amount) string { return asset.Format(a, 8) }
	lines := []string{fmt.Sprintf("%s in coins, %s to come, %s lost; books %s, deficit %s",
		f(info.Sums.Free), f(info.Sums.Change), f(info.Sums.Lost), f(info.Sums.Books), f(info.Sums.Deficit))}
	for i, w := range info.Wallets {
		lines = append(lines, fmt.Sprintf("wallet %d: %s in %d coins and change", i, f(w.Total), w.Coins))
	}
	if info.Waits != 0 {
		lines = append(lines, "waits for reserve")
	}
	if info.Pending != 0 {
		lines = append(lines, fmt.Sprintf("%d withdrawals wait", info.Pending))
	}
	return strings.Join(lines, "\n")
}

func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata/scripts", func(t *testing.T, path string) {
		x := &reader{}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			if out := x.run(t, d); out != "" {
				return out + "\n"
			}
			return ""
		})
	})
}
