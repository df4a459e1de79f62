package roster_test

import (
	stdcmp "cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/google/go-cmp/cmp"

	"souk/asset"
	"souk/exchange/roster"
	"souk/identity"
	"souk/merkle"
)

// keys remembers what key has worked out, which takes a while.
var keys = map[string]identity.PublicKey{}

// key returns the public key with a name, always the same.
func key(name string) identity.PublicKey {
	if k, ok := keys[name]; ok {
		return k
	}
	var seed [32]byte
	copy(seed[:], name)
	keys[name] = identity.NewKey(seed).Public()
	return keys[name]
}

// card is the card of a named member; its consensus key is of the given name.
func card(name, consensus string) roster.Card {
	return roster.Card{
		Name: name, Operator: identity.AddressOf(key(name)), Server: key(name + "-server"), Consensus: key(consensus),
		P2P: "0123456789abcdef@" + name + ".example:26656", URL: "https://" + name + ".example",
	}
}

var names = []string{"alice", "bob", "carol", "dave", "erin", "frank", "grace"}

func found(t failer, n int) *roster.State {
	var cards []roster.Card
	for _, name := range names[:n] {
		cards = append(cards, card(name, name+"-1"))
	}
	s, err := roster.Found(cards, 1)
	if err != nil {
		t.Fatalf("found: %v", err)
	}
	return s
}

// failer is what *testing.T, *testing.F and *rapid.T have in common here.
type failer interface {
	Fatalf(format string, args ...any)
}

type leaf struct {
	Key   merkle.Key
	Value []byte
}

func leaves(s *roster.State) []leaf {
	var all []leaf
	s.Leaves(func(key merkle.Key, value []byte) { all = append(all, leaf{key, value}) })
	return all
}

// reload builds a second state from the leaves of the first, in reverse order.
func reload(t failer, s *roster.State) *roster.State {
	saved := leaves(s)
	if !slices.IsSortedFunc(saved, func(a, b leaf) int { return a.Key.Compare(b.Key) }) {
		t.Fatalf("leaves are not in the order of their keys")
	}
	loaded := roster.New()
	for _, l := range slices.Backward(saved) {
		if err := loaded.Load(l.Key, l.Value); err != nil {
			t.Fatalf("load: %v", err)
		}
	}
	if err := loaded.Finish(); err != nil {
		t.Fatalf("finish: %v", err)
	}
	if diff := cmp.Diff(saved, leaves(loaded)); diff != "" {
		t.Fatalf("leaves differ after loading:\n%s", diff)
	}
	loaded.Changes(func(key merkle.Key, _ []byte) { t.Fatalf("leaf %s is dirty after loading", key) })
	if updates := loaded.ValidatorUpdates(); len(updates) > 0 {
		t.Fatalf("validators change by loading: %v", updates)
	}
	return loaded
}

func codeName(c roster.Code) string {
	return []string{
		"ok", "not a member", "bad action", "already voted", "not voted", "decided", "too many votes", "not demoted", "backing off", "barred",
		"too few active",
	}[c]
}

// script runs the commands of a file in testdata, which a person can read.
type script struct {
	s           *roster.State
	height, now uint64
}

// args are the arguments of one command.
type args struct {
	t *testing.T
	d *datadriven.TestData
}

func (a args) text(name, otherwise string) string {
	for _, arg := range a.d.CmdArgs {
		if arg.Key == name {
			return strings.Join(arg.Vals, ",")
		}
	}
	return otherwise
}

func (a args) list(name string) (keys []identity.PublicKey) {
	for _, word := range strings.FieldsFunc(a.text(name, ""), func(r rune) bool { return r == ',' || r == ' ' }) {
		keys = append(keys, key(word))
	}
	return keys
}

func (a args) num(name string, otherwise uint64) uint64 {
	v, err := strconv.ParseUint(a.text(name, strconv.FormatUint(otherwise, 10)), 10, 64)
	if err != nil {
		a.d.Fatalf(a.t, "%s: %v", name, err)
	}
	return v
}

// action reads "add name=..", "remove member=.." and so on from the arguments.
func (a args) action() roster.Action {
	member := roster.ID(a.num("member", 0))
	what := a.d.CmdArgs[slices.IndexFunc(a.d.CmdArgs, func(arg datadriven.CmdArg) bool { return len(arg.Vals) == 0 })].Key
	switch what {
	case "add":
		name := a.text("name", "")
		return roster.AddMember{Card: card(name, a.text("consensus", name+"-1"))}
	case "remove":
		return roster.RemoveMember{Member: member}
	case "replace":
		c := card(a.text("name", ""), a.text("consensus", ""))
		return roster.ReplaceMember{Member: member, Server: c.Server, Consensus: c.Consensus, P2P: c.P2P, URL: c.URL}
	case "protocol":
		return roster.SetProtocol{Version: uint32(a.num("version", 0)), Height: a.num("from", 0)}
	case "pause":
		return roster.PauseMarket{Market: uint32(a.num("market", 0))}
	case "spend":
		return roster.SpendHouse{House: 1, Asset: 1, Amount: asset.Amount(a.num("amount", 0)), To: identity.Address{1}}
	default:
		a.d.Fatalf(a.t, "unknown action %s", what)
		return nil
	}
}

func (x *script) run(t *testing.T, d *datadriven.TestData) string {
	a := args{t, d}
	x.height, x.now = a.num("height", x.height), a.num("at", x.now)
	by, _ := x.s.ByOperator(identity.AddressOf(key(a.text("by", "nobody"))))
	switch d.Cmd {
	case "found":
		x.s = found(t, int(a.num("members", 4)))
		return x.members()
	case "approve", "withdraw":
		action := a.action()
		data := roster.AppendAction(nil, action, uint32(a.num("salt", 0)))
		if d.Cmd == "withdraw" {
			return codeName(x.s.Withdraw(by, data, x.height, x.now))
		}
		passed, code := x.s.Approve(by, data, x.height, x.now, a.num("blocks", 1000))
		if passed {
			return fmt.Sprintf("passed: %T", action)
		}
		return codeName(code)
	case "votes":
		return x.votes()
	case "members":
		return x.members()
	case "turns":
		demoted := x.s.Turns(x.height, x.now, a.list("missed"), key(a.text("proposer", "nobody")), uint32(a.num("limit", 3)))
		if demoted == 0 {
			return "nobody is demoted"
		}
		m, _ := x.s.Member(demoted)
		return fmt.Sprintf("%s is demoted and may return after %d", m.Name, m.Until)
	case "return":
		return codeName(x.s.Return(by, x.now))
	case "evidence":
		if id, ok := x.s.Evidence(key(a.text("key", ""))); ok {
			m, _ := x.s.Member(id)
			return m.Name + " is barred"
		}
		return "nobody is barred"
	case "updates":
		return x.updates()
	case "version":
		version, height := x.s.Plan()
		return fmt.Sprintf("version %d at height %d; plan: version %d at height %d", x.s.Version(x.height), x.height, version, height)
	case "reload":
		x.s.ValidatorUpdates()
		x.s = reload(t, x.s)
		return fmt.Sprintf("%d leaves", len(leaves(x.s)))
	}
	d.Fatalf(t, "unknown command %s", d.Cmd)
	return ""
}

func (x *script) members() string {
	var b strings.Builder
	for m := range x.s.Members {
		fmt.Fprintf(&b, "%d %s: power %d", m.ID, m.Name, m.Power())
		if m.Missed > 0 {
			fmt.Fprintf(&b, ", missed %d", m.Missed)
		}
		if m.Demoted {
			fmt.Fprintf(&b, ", may return after %d", m.Until)
		}
		if m.Barred {
			b.WriteString(", barred")
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func (x *script) votes() string {
	var lines []string
	for v := range x.s.Votes {
		a, salt, err := roster.ParseAction(v.Action)
		state := fmt.Sprintf("open below height %d", v.Lapses)
		if v.Passed != 0 {
			state = fmt.Sprintf("passed at %d", v.Passed)
		}
		lines = append(lines, fmt.Sprintf("%T salt %d: approved by %v, %s", a, salt, v.Approved, state))
		if err != nil {
			lines = append(lines, err.Error())
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func (x *script) updates() string {
	byKey := map[identity.PublicKey]string{}
	for _, name := range names {
		for i := 1; i <= 3; i++ {
			word := fmt.Sprintf("%s-%d", name, i)
			byKey[key(word)] = word
		}
	}
	var lines []string
	for _, v := range x.s.ValidatorUpdates() {
		lines = append(lines, fmt.Sprintf("%s: %d", byKey[v.Key], v.Power))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata/scripts", func(t *testing.T, path string) {
		x := &script{s: roster.New()}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			out := x.run(t, d)
			if err := x.s.Check(); err != nil {
				d.Fatalf(t, "%v", err)
			}
			return stdcmp.Or(strings.TrimRight(out, "\n"), "none") + "\n"
		})
	})
}

// How many approvals are missing is what decides a vote.
func TestTally(t *testing.T) {
	for n, want := range map[int]int{1: 1, 2: 2, 3: 3, 4: 3, 5: 4, 6: 5, 7: 5, 10: 7, 13: 9} {
		var members []roster.ID
		for i := range n {
			members = append(members, roster.ID(i+1))
		}
		if _, needed := roster.Tally(roster.PauseMarket{Market: 1}, members, nil); needed != want {
			t.Errorf("%d members: %d needed, not %d", n, needed, want)
		}
	}
	four := []roster.ID{1, 2, 3, 4}
	if yes, needed := roster.Tally(roster.RemoveMember{Member: 4}, four, []roster.ID{2, 4}); yes != 1 || needed != 3 {
		t.Errorf("to remove the fourth: %d of %d", yes, needed)
	}
}
