package cli_test

import (
	"regexp"
	"strings"
	"testing"

	"souk/api"
	"souk/cli"
)

// four is the status of server a of four, which is connected with some of the others.
func four(height uint64, peers ...api.Peer) *api.Status {
	s := &api.Status{Member: "alice", Height: height, Active: height, Peers: peers}
	for i, name := range []string{"carol", "alice", "dave", "bob"} {
		s.Members = append(s.Members, api.Member{ID: uint32(i + 1), Name: name, P2P: name + "@127.0.0.1:1", Power: 1_000_000})
	}
	return s
}

func peer(name string, height uint64) api.Peer { return api.Peer{ID: name, Height: height} }

// The table of status says in words how every member stands, and first of all when no
// block can be decided.
func TestShowStatus(t *testing.T) {
	fresh := four(0)
	fresh.CatchingUp = true
	behind := four(5, peer("bob", 90), peer("carol", 90), peer("dave", 90))
	behind.CatchingUp = true
	demoted := four(90, peer("bob", 90), peer("carol", 40))
	demoted.Members[2].Power, demoted.Members[2].Demoted = 1, true
	demoted.Members[0].Silent = 7
	well := api.BankHealth{Asset: "BTC", Network: "bitcoin", Works: true, Agreed: 70, Attested: 70, Members: 4, Seeing: 4, Needed: 3, Reserve: "0.01000000"}
	banks := func(change func(*api.Status, *api.BankHealth)) *api.Status {
		s := four(90, peer("bob", 90), peer("carol", 89), peer("dave", 90))
		b := well
		change(s, &b)
		s.Banks = []api.BankHealth{b}
		return s
	}
	for name, c := range map[string]struct {
		status *api.Status
		say    []string
		not    []string
	}{
		"all is well": {
			four(90, peer("bob", 90), peer("carol", 89), peer("dave", 90)),
			[]string{"height 90 (newest block)", "2 alice 1000000 this server", "1 carol 1000000 connected"},
			[]string{"NO BLOCK", "behind", "NOT CONNECTED", "catching up"},
		},
		"nobody else is up yet": {
			fresh,
			[]string{"NO BLOCK YET: this server reaches 1 of 4 members", "missing: carol (no. 1), dave (no. 3), bob (no. 4)", "souk serve", "waits for the others"},
			[]string{"behind", "Refounding"},
		},
		"two are gone": {
			four(90, peer("bob", 90)),
			[]string{"NO BLOCK CAN BE DECIDED", "reaches 2 of 4 members", "missing: carol (no. 1), dave (no. 3)", "1 carol 1000000 NOT CONNECTED", "Refounding"},
			nil,
		},
		"one is gone": {
			four(90, peer("bob", 90), peer("carol", 90)),
			[]string{"3 dave 1000000 NOT CONNECTED"},
			[]string{"NO BLOCK"},
		},
		"one is demoted, one behind and silent": {
			demoted,
			[]string{"dave 1 NOT CONNECTED with this server; demoted", "carol 1000000 connected, 50 blocks behind; left 7 commands unanswered"},
			[]string{"NO BLOCK"},
		},
		"a bank is well": {
			banks(func(*api.Status, *api.BankHealth) {}),
			[]string{"bank of BTC bitcoin: agreed up to block 70 by 4 of 4 members, attested by this server up to 70"},
			[]string{"BAD", "note"},
		},
		"the banks are halted, and lack something": {
			banks(func(s *api.Status, b *api.BankHealth) {
				s.BanksHalted, b.Deficit = &api.Halt{Reason: "theft", Bank: 1, Height: 70}, "1.50000000"
			}),
			[]string{"banks halted BAD: ALL BANKS ARE HALTED: a coin was spent", "souk vote lift-bank ASSET", "BAD: It lacks 1.50000000 BTC: souk donate BTC 1.50000000"},
			nil,
		},
		"members are blind": {
			banks(func(_ *api.Status, b *api.BankHealth) {
				b.Works, b.Problem, b.Seeing, b.Blind = false, "no node", 2, []string{"alice", "dave"}
			}),
			[]string{"THIS SERVER DOES NOT DO ITS PART: no node", "BAD: 2 of 4 members see the chain, and 3 must: nothing is credited", "more of alice, dave: their operators see why with souk doctor"},
			nil,
		},
		"one is blind": {
			banks(func(_ *api.Status, b *api.BankHealth) { b.Seeing, b.Blind = 3, []string{"dave"} }),
			[]string{"note: dave does not see the chain, or is late"},
			[]string{"BAD"},
		},
		"the reserve is short, and coins and withdrawals wait": {
			banks(func(_ *api.Status, b *api.BankHealth) {
				b.WaitsToBump, b.WaitsToSweep, b.WaitsForRate, b.WaitsToMine, b.Waiting, b.Transactions = true, true, true, true, 1, 2
			}),
			[]string{
				"1 withdrawal not in a transaction yet; 2 transactions under way", "BAD: A transaction should pay more to be mined, and the reserve has only 0.01000000 BTC: souk donate BTC AMOUNT",
				"souk federation rotate --show says how much is missing", "note: Withdrawals wait until one of the transactions under way is mined", "note: Coins that are worth too little at the fee rate of now",
			},
			nil,
		},
		"two are catching up": {
			four(90, peer("bob", 90), api.Peer{ID: "carol", Behind: true}, api.Peer{ID: "dave", Behind: true}),
			[]string{"NO BLOCK IS DECIDED NOW: too many servers are still catching up: carol (no. 1), dave (no. 3)"},
			nil,
		},
		"this one is behind": {
			behind,
			[]string{"this server has block 5, the others have block 90", "alice 1000000 this server; 85 blocks behind"},
			[]string{"NO BLOCK"},
		},
	} {
		text := strings.Join(strings.Fields(cli.ShowStatus(c.status)), " ")
		for _, say := range c.say {
			if !strings.Contains(text, say) {
				t.Errorf("%s: does not say %q:\n%s", name, say, text)
			}
		}
		for _, not := range c.not {
			if strings.Contains(text, not) {
				t.Errorf("%s: says %q:\n%s", name, not, text)
			}
		}
	}
}

// Whose own server does not answer sees his own member marked, and which one answered.
func TestShowStatusOfAnother(t *testing.T) {
	text := cli.ShowStatusOf(four(90, peer("bob", 90), peer("carol", 90)), "dave")
	for _, say := range []string{"alice +1000000 +the one that answers here\n", "dave +1000000 +YOUR SERVER, which does not answer you; NOT CONNECTED with the one that answers\n"} {
		if !regexp.MustCompile(strings.ReplaceAll(say, " +", `\s+`)).MatchString(text) {
			t.Errorf("does not say %q:\n%s", say, text)
		}
	}
	if strings.Contains(text, "this server\n") {
		t.Errorf("somebody else's is called this server:\n%s", text)
	}
}

// The status of a home whose server is dead fails, and says so first.
func TestStatusOfADeadServer(t *testing.T) {
	s := openShopOf(t, 4)
	if err := s.Stop(1); err != nil {
		t.Fatal(err)
	}
	out, status := s.souk("status", "--home", string(s.Homes[1]))
	if status != 1 || !strings.HasPrefix(out, "YOUR SERVER at "+s.URLs[1]+" DOES NOT ANSWER") || !strings.Contains(out, "the one that answers here") {
		t.Errorf("%d: %s", status, out)
	}
	if out, status := s.souk("status", "--home", string(s.Homes[0])); status != 0 || strings.Contains(out, "DOES NOT ANSWER") || !strings.Contains(out, "this server") {
		t.Errorf("%d: %s", status, out)
	}
}
