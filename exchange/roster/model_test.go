package roster_test

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"souk/asset"
	"souk/exchange/roster"
	"souk/identity"
	"souk/merkle"
)

// member, ballot and machine are the roster counted by hand, from the rules in
// docs/spec/07-roster.md, beside the roster itself.
type member struct {
	id        roster.ID
	name      string
	consensus string
	demoted   bool
	barred    bool
	missed    uint32
	doublings uint64
	until     uint64
	returned  uint64
}

func (m *member) full() bool { return !m.demoted && !m.barred }

type ballot struct {
	yes    map[roster.ID]bool
	lapses uint64
	passed uint64
}

type machine struct {
	s           *roster.State
	members     []*member
	ballots     map[string]*ballot // by encoded action
	used        map[string]bool    // consensus keys
	nextID      roster.ID
	height, now uint64
	lastDemoted uint64
	power       map[identity.PublicKey]int64 // as consensus knows it
	tree        map[merkle.Key][]byte
	version     uint32
	plan        [2]uint64
}

func (x *machine) byName(name string) *member {
	for _, m := range x.members {
		if m.name == name {
			return m
		}
	}
	return nil
}

func (x *machine) byID(id roster.ID) *member {
	for _, m := range x.members {
		if m.id == id {
			return m
		}
	}
	return nil
}

func (x *machine) inForce() uint32 {
	if x.plan[1] != 0 && x.height >= x.plan[1] {
		return uint32(x.plan[0])
	}
	return x.version
}

// drawAction draws an action that is often valid.
func (x *machine) drawAction(t *rapid.T) roster.Action {
	id := roster.ID(rapid.IntRange(1, int(x.nextID)).Draw(t, "member"))
	name := rapid.SampledFrom(names).Draw(t, "name")
	consensus := fmt.Sprintf("%s-%d", name, rapid.IntRange(1, 3).Draw(t, "key"))
	switch rapid.IntRange(0, 5).Draw(t, "kind") {
	case 0:
		return roster.AddMember{Card: card(name, consensus)}
	case 1:
		return roster.RemoveMember{Member: id}
	case 2:
		if m := x.byID(id); m != nil {
			name = m.name
		}
		c := card(name, consensus)
		return roster.ReplaceMember{Member: id, Server: c.Server, Consensus: c.Consensus, P2P: c.P2P, URL: c.URL}
	case 3:
		return roster.SetProtocol{Version: uint32(rapid.IntRange(1, 3).Draw(t, "version")), Height: x.height/100*100 + 100}
	}
	return roster.SpendHouse{House: 1, Asset: 1, Amount: asset.Amount(rapid.IntRange(0, 2).Draw(t, "amount"))}
}

func (x *machine) valid(a roster.Action) bool {
	switch a := a.(type) {
	case roster.AddMember:
		return !x.used[wordOf(a.Card.Consensus)] && x.byName(a.Card.Name) == nil
	case roster.RemoveMember:
		return x.byID(a.Member) != nil && len(x.members) > 1
	case roster.ReplaceMember:
		return !x.used[wordOf(a.Consensus)] && x.byID(a.Member) != nil
	case roster.SetProtocol:
		return a.Version == x.inForce()+1 && a.Height > x.height
	case roster.SpendHouse:
		return a.Amount != 0
	}
	return false
}

// forget drops ballots whose time is over.
func (x *machine) forget() {
	for data, b := range x.ballots {
		if b.passed == 0 && b.lapses <= x.height || b.passed != 0 && b.passed+20*60*1000 <= x.now {
			delete(x.ballots, data)
		}
	}
}

func (x *machine) openVotes(id roster.ID) (n int) {
	for _, b := range x.ballots {
		if b.passed == 0 && b.yes[id] {
			n++
		}
	}
	return n
}

func (x *machine) Approve(t *rapid.T) {
	a := x.drawAction(t)
	name := rapid.SampledFrom(names).Draw(t, "by")
	by, ok := x.s.ByOperator(identity.AddressOf(key(name)))
	m := x.byName(name)
	if ok != (m != nil) || ok && by != m.id {
		t.Fatalf("member %s: %d %v", name, by, ok)
	}
	data := roster.AppendAction(nil, a, uint32(rapid.IntRange(0, 1).Draw(t, "salt")))
	blocks := rapid.Uint64Range(10, 200).Draw(t, "blocks")
	x.forget()
	b := x.ballots[string(data)]
	want := roster.OK
	switch {
	case m == nil:
		want = roster.NotMember
	case b != nil && b.passed != 0:
		want = roster.Decided
	case !x.valid(a):
		want = roster.BadAction
	case b != nil && b.yes[m.id]:
		want = roster.AlreadyVoted
	case x.openVotes(m.id) >= roster.MaxOpenVotes:
		want = roster.TooManyVotes
	}
	passed, code := x.s.Approve(by, data, x.height, x.now, blocks)
	if code != want {
		t.Fatalf("approve %+v: %s, want %s", a, codeName(code), codeName(want))
	}
	if want != roster.OK {
		return
	}
	if b == nil {
		b = &ballot{yes: map[roster.ID]bool{}, lapses: x.height + blocks}
		x.ballots[string(data)] = b
	}
	b.yes[m.id] = true
	if wantPassed := x.count(a, b); passed != wantPassed {
		t.Fatalf("passed %v, by hand %v: %v of %d", passed, wantPassed, b.yes, len(x.members))
	}
	if passed {
		b.passed = x.now
		x.carryOut(a)
	}
}

// count counts a ballot by hand.
func (x *machine) count(a roster.Action, b *ballot) bool {
	target := roster.ID(0)
	if r, ok := a.(roster.RemoveMember); ok {
		target = r.Member
	}
	if r, ok := a.(roster.ReplaceMember); ok {
		target = r.Member
	}
	if len(x.members) <= 2 {
		target = 0
	}
	yes, all := 0, 0
	for _, m := range x.members {
		if m.id != target {
			all++
			if b.yes[m.id] {
				yes++
			}
		}
	}
	// More than two thirds of 1 to 7: 1, 2, 3, 3, 4, 5, 5.
	return yes >= []int{0, 1, 2, 3, 3, 4, 5, 5}[all]
}

// wordOf returns the name of a consensus key.
func wordOf(consensus identity.PublicKey) string {
	for _, name := range names {
		for i := range 3 {
			if word := fmt.Sprintf("%s-%d", name, i+1); key(word) == consensus {
				return word
			}
		}
	}
	return ""
}

func (x *machine) carryOut(a roster.Action) {
	switch a := a.(type) {
	case roster.AddMember:
		word := wordOf(a.Card.Consensus)
		x.used[word] = true
		x.members = append(x.members, &member{id: x.nextID, name: a.Card.Name, consensus: word, demoted: true})
		x.nextID++
	case roster.RemoveMember:
		x.members = slices.DeleteFunc(x.members, func(m *member) bool { return m.id == a.Member })
		for data, b := range x.ballots {
			if b.passed == 0 {
				delete(b.yes, a.Member)
				if len(b.yes) == 0 {
					delete(x.ballots, data)
				}
			}
		}
	case roster.ReplaceMember:
		m := x.byID(a.Member)
		word := wordOf(a.Consensus)
		x.used[word] = true
		*m = member{id: m.id, name: m.name, consensus: word, demoted: true}
	case roster.SetProtocol:
		x.version = x.inForce()
		x.plan = [2]uint64{uint64(a.Version), a.Height}
	}
}

func (x *machine) Withdraw(t *rapid.T) {
	x.forget()
	datas := []string{"nothing"}
	for data := range x.ballots {
		datas = append(datas, data)
	}
	slices.Sort(datas)
	data := rapid.SampledFrom(datas).Draw(t, "ballot")
	m := rapid.SampledFrom(x.members).Draw(t, "by")
	b := x.ballots[data]
	want := roster.OK
	switch {
	case b == nil:
		want = roster.NotVoted
	case b.passed != 0:
		want = roster.Decided
	case !b.yes[m.id]:
		want = roster.NotVoted
	}
	if code := x.s.Withdraw(m.id, []byte(data), x.height, x.now); code != want {
		t.Fatalf("withdraw: %s, want %s", codeName(code), codeName(want))
	}
	if want == roster.OK {
		if delete(b.yes, m.id); len(b.yes) == 0 {
			delete(x.ballots, data)
		}
	}
}

func (x *machine) Turns(t *rapid.T) {
	words := []string{"nobody"}
	for _, m := range x.members {
		words = append(words, m.consensus)
	}
	slices.Sort(words)
	missed := rapid.SliceOfN(rapid.SampledFrom(words), 0, 6).Draw(t, "missed")
	proposer := rapid.SampledFrom(words).Draw(t, "proposer")
	const limit = 3
	var keys []identity.PublicKey
	for _, word := range missed {
		keys = append(keys, key(word))
		for _, m := range x.members {
			if m.consensus == word && m.full() {
				m.missed = min(m.missed+1, limit)
			}
		}
	}
	full := 0
	var worst *member
	for _, m := range x.members {
		if m.consensus == proposer {
			m.missed = 0
		}
		if m.full() {
			full++
			if m.missed >= limit && worst == nil {
				worst = m
			}
		}
	}
	n := len(x.members)
	if x.lastDemoted != 0 && x.height < x.lastDemoted+10 || full <= n-[]int{0, 0, 0, 0, 1, 1, 1, 2}[n] {
		worst = nil
	}
	want := roster.ID(0)
	if worst != nil {
		want = worst.id
		for since := x.now - worst.returned; since >= 600_000 && worst.doublings > 0; since -= 600_000 {
			worst.doublings--
		}
		worst.demoted, worst.until = true, x.now+[]uint64{5000, 10_000, 20_000, 40_000, 80_000, 160_000, 320_000, 600_000}[worst.doublings]
		worst.doublings = min(worst.doublings+1, 7)
		x.lastDemoted = x.height
	}
	if got := x.s.Turns(x.height, x.now, keys, key(proposer), limit); got != want {
		t.Fatalf("demoted %d, want %d", got, want)
	}
}

func (x *machine) Return(t *rapid.T) {
	m := rapid.SampledFrom(x.members).Draw(t, "member")
	want := roster.OK
	switch {
	case m.barred:
		want = roster.Barred
	case !m.demoted:
		want = roster.NotDemoted
	case x.now < m.until:
		want = roster.BackingOff
	}
	if code := x.s.Return(m.id, x.now); code != want {
		t.Fatalf("return: %s, want %s", codeName(code), codeName(want))
	}
	if want == roster.OK {
		m.demoted, m.missed, m.until, m.returned = false, 0, 0, x.now
	}
}

func (x *machine) Evidence(t *rapid.T) {
	if rapid.IntRange(0, 9).Draw(t, "rare") != 0 {
		t.Skip("double signing is rare")
	}
	m := rapid.SampledFrom(x.members).Draw(t, "member")
	id, ok := x.s.Evidence(key(m.consensus))
	if ok == m.barred || ok && id != m.id {
		t.Fatalf("evidence: %d %v", id, ok)
	}
	m.barred = true
}

func (x *machine) Pass(t *rapid.T) {
	x.height += rapid.Uint64Range(1, 12).Draw(t, "blocks")
	x.now += rapid.OneOf(rapid.Uint64Range(1, 20_000), rapid.Just(uint64(500_000))).Draw(t, "ms")
}

func (x *machine) Lapse(*rapid.T) {
	x.forget()
	x.s.Lapse(x.height, x.now)
}

// Commit applies changes and updates, as the state tree and consensus do.
func (x *machine) Commit(t *rapid.T) {
	seen := map[merkle.Key]bool{}
	x.s.Changes(func(key merkle.Key, value []byte) {
		if seen[key] {
			t.Fatalf("leaf %s is emitted twice", key)
		}
		seen[key] = true
		if delete(x.tree, key); value != nil {
			x.tree[key] = value
		}
	})
	all := leaves(x.s)
	if len(all) != len(x.tree) {
		t.Fatalf("%d leaves, %d by their changes", len(all), len(x.tree))
	}
	for _, l := range all {
		one, ok := x.s.Leaf(l.Key)
		if !bytes.Equal(x.tree[l.Key], l.Value) || !ok || !bytes.Equal(one, l.Value) {
			t.Fatalf("leaf %s is stale", l.Key)
		}
	}
	updates := x.s.ValidatorUpdates()
	if !slices.IsSortedFunc(updates, func(a, b roster.Validator) int { return bytes.Compare(a.Key[:], b.Key[:]) }) {
		t.Fatalf("updates are not sorted")
	}
	for _, v := range updates {
		if x.power[v.Key] == v.Power {
			t.Fatalf("an update of %s changes nothing", v.Key)
		}
		if x.power[v.Key] = v.Power; v.Power == 0 {
			delete(x.power, v.Key)
		}
	}
	if len(x.power) != len(x.members) {
		t.Fatalf("consensus has %d validators, %d are members", len(x.power), len(x.members))
	}
	for _, m := range x.members {
		want := int64(1)
		if m.full() {
			want = 1_000_000
		}
		if x.power[key(m.consensus)] != want {
			t.Fatalf("consensus gives %s %d, want %d", m.name, x.power[key(m.consensus)], want)
		}
	}
}

func (x *machine) Reload(t *rapid.T) {
	x.Commit(t)
	x.s = reload(t, x.s)
}

func (x *machine) Check(t *rapid.T) {
	if err := x.s.Check(); err != nil {
		t.Fatal(err)
	}
	if x.s.Len() != len(x.members) || x.s.Version(x.height) != x.inForce() {
		t.Fatalf("%d members, version %d; want %d, %d", x.s.Len(), x.s.Version(x.height), len(x.members), x.inForce())
	}
	i := 0
	for got := range x.s.Members {
		m := x.members[i]
		i++
		want := roster.Member{
			ID: m.id, Card: card(m.name, m.consensus), Demoted: m.demoted, Barred: m.barred, Missed: m.missed,
			Level: uint8(m.doublings), Until: m.until, ReturnedAt: m.returned,
		}
		if got != want {
			t.Fatalf("member\n%+v, want\n%+v", got, want)
		}
	}
	n := 0
	for v := range x.s.Votes {
		b := x.ballots[string(v.Action)]
		if b == nil {
			if v.Passed == 0 && v.Lapses > x.height {
				t.Fatalf("there is an open vote that nobody cast")
			}
			continue
		}
		n++
		if v.Lapses != b.lapses || v.Passed != b.passed || len(v.Approved) != len(b.yes) && b.passed == 0 {
			t.Fatalf("vote %+v, want %+v", v, b)
		}
	}
	if n != len(x.ballots) {
		t.Fatalf("%d votes, want %d", n, len(x.ballots))
	}
}

// The roster agrees with votes and turns counted by hand.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 5).Draw(t, "members")
		x := &machine{
			s: found(t, n), ballots: map[string]*ballot{}, used: map[string]bool{}, nextID: roster.ID(n + 1),
			height: 100, now: 1_000_000, power: map[identity.PublicKey]int64{}, tree: map[merkle.Key][]byte{}, version: 1,
		}
		for i, name := range names[:n] {
			x.members = append(x.members, &member{id: roster.ID(i + 1), name: name, consensus: name + "-1"})
			x.used[name+"-1"] = true
		}
		t.Repeat(rapid.StateMachineActions(x))
		x.Commit(t)
	})
}

// what cannot be founded.
func TestFoundRefuses(t *testing.T) {
	good := []roster.Card{card("alice", "alice-1"), card("bob", "bob-1")}
	for name, change := range map[string]func(c *roster.Card){
		"name twice":            func(c *roster.Card) { c.Name = "alice" },
		"operator twice":        func(c *roster.Card) { c.Operator = identity.AddressOf(key("alice")) },
		"server key twice":      func(c *roster.Card) { c.Server = key("alice-server") },
		"consensus key twice":   func(c *roster.Card) { c.Consensus = key("alice-1") },
		"a key in two parts":    func(c *roster.Card) { c.Consensus = key("alice-server") },
		"the other way round":   func(c *roster.Card) { c.Server = key("alice-1") },
		"one key for both":      func(c *roster.Card) { c.Consensus = c.Server },
		"one key for two parts": func(c *roster.Card) { c.Operator = identity.AddressOf(c.Server) },
		"no name":               func(c *roster.Card) { c.Name = "" },
		"long name":             func(c *roster.Card) { c.Name = "abcdefghijklmnopqrstuvwxyzabcdefg" },
		"odd name":              func(c *roster.Card) { c.Name = "Bob" },
		"no operator":           func(c *roster.Card) { c.Operator = identity.Address{} },
		"no server key":         func(c *roster.Card) { c.Server = identity.PublicKey{} },
		"weak consensus key":    func(c *roster.Card) { c.Consensus = identity.PublicKey{1} },
		"no address":            func(c *roster.Card) { c.P2P = "bob.example:26656" },
		"no node":               func(c *roster.Card) { c.P2P = "@bob.example:26656" },
		"no host":               func(c *roster.Card) { c.P2P = "0123@" },
		"address with a space":  func(c *roster.Card) { c.P2P = "0123@bob example" },
		"long address":          func(c *roster.Card) { c.P2P = "0@" + string(bytes.Repeat([]byte{'a'}, 254)) },
		"URL with a line end":   func(c *roster.Card) { c.URL += "\n" },
	} {
		cards := slices.Clone(good)
		change(&cards[1])
		if _, err := roster.Found(cards, 1); !errors.Is(err, roster.ErrCards) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := roster.Found(nil, 1); !errors.Is(err, roster.ErrCards) {
		t.Errorf("no members: %v", err)
	}
	if _, err := roster.Found(make([]roster.Card, roster.MaxMembers+1), 1); !errors.Is(err, roster.ErrCards) {
		t.Errorf("too many members: %v", err)
	}
	s, err := roster.Found(good, 1)
	if err != nil {
		t.Fatal(err)
	}
	if id, ok := s.ByServer(key("bob-server")); id != 2 || !ok {
		t.Errorf("bob by his server key: %d, %v", id, ok)
	}
	if _, ok := s.ByServer(key("bob-1")); ok {
		t.Error("a consensus key is taken for a server key")
	}
	if s.Return(9, 0) != roster.NotMember || s.Withdraw(9, nil, 0, 0) != roster.NotMember {
		t.Error("member 9 exists")
	}
	if _, code := s.Approve(1, []byte{9}, 0, 0, 10); code != roster.BadAction {
		t.Error(codeName(code))
	}
}

// one member can keep only so many votes open.
func TestTooManyVotes(t *testing.T) {
	s := found(t, 4)
	for i := range uint32(roster.MaxOpenVotes + 1) {
		_, code := s.Approve(1, roster.AppendAction(nil, roster.PauseMarket{Market: i + 1}, 0), 1, 1, 10)
		if (code == roster.OK) != (i < roster.MaxOpenVotes) || code != roster.OK && code != roster.TooManyVotes {
			t.Fatalf("vote %d: %s", i+1, codeName(code))
		}
	}
	if _, code := s.Approve(1, roster.AppendAction(nil, roster.PauseMarket{Market: 99}, 0), 11, 1, 10); code != roster.OK {
		t.Errorf("after the others lapsed: %s", codeName(code))
	}
}

// a member can be added until there are MaxMembers.
func TestTooManyMembers(t *testing.T) {
	var cards []roster.Card
	for i := range roster.MaxMembers {
		cards = append(cards, card(fmt.Sprintf("m%d", i), fmt.Sprintf("m%d-1", i)))
	}
	s, err := roster.Found(cards, 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, code := s.Approve(1, roster.AppendAction(nil, roster.AddMember{Card: card("one-more", "one-more-1")}, 0), 1, 1, 10); code != roster.BadAction {
		t.Error(codeName(code))
	}
	if n := len(s.ValidatorUpdates()); n != roster.MaxMembers {
		t.Errorf("%d updates", n)
	}
	reload(t, s)
}

func everyAction() []roster.Action {
	c := card("erin", "erin-1")
	return []roster.Action{
		roster.AddMember{Card: c},
		roster.RemoveMember{Member: 7},
		roster.ReplaceMember{Member: 7, Server: c.Server, Consensus: c.Consensus, P2P: c.P2P, URL: c.URL},
		roster.SetProtocol{Version: 2, Height: 1000},
		roster.PauseMarket{Market: 1},
		roster.ResumeMarket{Market: 1},
		roster.CreateMarket{Base: 1, Quote: 2, Terms: []byte{1, 2, 3}},
		roster.SetMarket{Market: 1, MakerPPM: 2, TakerPPM: 3, ReservePPM: 4, BandPPM: 5},
		roster.ReserveSymbol{Symbol: "GOLD"},
		roster.AllowSymbol{Symbol: "GOLD", Issuer: identity.Address{1}},
		roster.SpendHouse{House: 1, Asset: 2, Amount: 3, To: identity.Address{4}},
		roster.SetParams{Params: []byte{9}},
	}
}

// every action has one encoding.
func TestActions(t *testing.T) {
	for i, a := range everyAction() {
		data := roster.AppendAction(nil, a, 5)
		if int(a.Kind()) != i+1 || data[0] != byte(i+1) {
			t.Errorf("%T has kind %d and begins with %d", a, a.Kind(), data[0])
		}
		got, salt, err := roster.ParseAction(data)
		if err != nil || salt != 5 || fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", a) {
			t.Errorf("%T: %+v, salt %d, %v", a, got, salt, err)
		}
		for n := range data {
			if _, _, err := roster.ParseAction(data[:n]); !errors.Is(err, roster.ErrAction) {
				t.Errorf("%T cut to %d bytes: %v", a, n, err)
			}
		}
		if _, _, err := roster.ParseAction(append(data, 0)); !errors.Is(err, roster.ErrAction) {
			t.Errorf("%T with a byte more: %v", a, err)
		}
	}
	// The example of docs/spec/07-roster.md.
	data := roster.AppendAction(nil, roster.SpendHouse{House: 1, Asset: 2, Amount: 300, To: identity.Address{0xaa}}, 1)
	want := slices.Concat([]byte{11}, []byte{0, 0, 0, 1}, []byte{1}, []byte{0, 0, 0, 2}, []byte{0, 0, 0, 0, 0, 0, 1, 44}, []byte{0xaa}, make([]byte, 19))
	if !bytes.Equal(data, want) {
		t.Errorf("%x, want %x", data, want)
	}
}

// FuzzAction: bytes that are read as an action are its one encoding, and voting
// on them harms nothing.
func FuzzAction(f *testing.F) {
	for _, a := range everyAction() {
		f.Add(roster.AppendAction(nil, a, 0))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		a, salt, err := roster.ParseAction(data)
		if err != nil {
			return
		}
		if again := roster.AppendAction(nil, a, salt); !bytes.Equal(again, data) {
			t.Fatalf("%x is written as %x", data, again)
		}
		s := found(t, 1)
		s.Approve(1, data, 100, 100, 10)
		s.Turns(101, 101, []identity.PublicKey{key("alice-1")}, key("alice-1"), 3)
		if err := s.Check(); err != nil {
			t.Fatal(err)
		}
		reload(t, s)
	})
}

// sample is a state with everything in it.
func sample(t failer) *roster.State {
	s := found(t, 4)
	approve := func(a roster.Action, by ...roster.ID) {
		for _, id := range by {
			if _, code := s.Approve(id, roster.AppendAction(nil, a, 0), 10, 1000, 100); code != roster.OK {
				t.Fatalf("approve: %s", codeName(code))
			}
		}
	}
	c := card("carol", "carol-2")
	approve(roster.ReplaceMember{Member: 3, Server: c.Server, Consensus: c.Consensus, P2P: c.P2P, URL: c.URL}, 1, 2, 4)
	approve(roster.PauseMarket{Market: 1}, 1, 3)
	approve(roster.SetProtocol{Version: 2, Height: 500}, 1, 2, 3)
	s.Return(3, 1000)
	s.Turns(12, 2000, []identity.PublicKey{key("bob-1"), key("bob-1"), key("bob-1"), key("alice-1")}, key("dave-1"), 3)
	s.Evidence(key("dave-1"))
	return s
}

func pack(all []leaf) (b []byte) {
	for _, l := range all {
		b = append(b, l.Key[:]...)
		b = append(b, byte(len(l.Value)>>8), byte(len(l.Value)))
		b = append(b, l.Value...)
	}
	return b
}

func unpack(b []byte) (all []leaf) {
	for len(b) >= 34 {
		n := min(int(b[32])<<8|int(b[33]), len(b)-34)
		all = append(all, leaf{merkle.Key(b), b[34 : 34+n]})
		b = b[34+n:]
	}
	return all
}

// FuzzLoad: whatever is loaded is refused, or is exactly what comes out again.
func FuzzLoad(f *testing.F) {
	f.Add(pack(leaves(sample(f))))
	f.Add(pack(leaves(found(f, 1))))
	f.Fuzz(func(t *testing.T, data []byte) {
		s := roster.New()
		all := unpack(data)
		for _, l := range all {
			if err := s.Load(l.Key, l.Value); err != nil {
				if !errors.Is(err, roster.ErrLeaf) {
					t.Fatal(err)
				}
				return
			}
		}
		if s.Finish() != nil {
			return
		}
		slices.SortFunc(all, func(a, b leaf) int { return a.Key.Compare(b.Key) })
		if !slices.EqualFunc(all, leaves(s), func(a, b leaf) bool { return a.Key == b.Key && bytes.Equal(a.Value, b.Value) }) {
			t.Fatal("leaves differ")
		}
		s.Lapse(1<<64-1, 1<<64-1)
		s.Turns(1<<64-1, 1<<64-1, nil, identity.PublicKey{}, 0)
		for m := range s.Members {
			s.Return(m.ID, 1<<64-1)
			s.Evidence(m.Consensus)
		}
		if err := s.Check(); err != nil {
			t.Fatal(err)
		}
	})
}

// leaves cut short, lengthened or bent, and leaves that do not fit together.
func TestLoadRefuses(t *testing.T) {
	all := leaves(sample(t))
	refuse := func(name string, in []leaf) {
		s := roster.New()
		var err error
		for _, l := range in {
			err = cmp.Or(err, s.Load(l.Key, l.Value))
		}
		if err = cmp.Or(err, s.Finish()); !errors.Is(err, roster.ErrLeaf) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for i, l := range all {
		for n := range l.Value {
			if err := roster.New().Load(l.Key, l.Value[:n]); !errors.Is(err, roster.ErrLeaf) {
				t.Errorf("leaf %s cut to %d bytes: %v", l.Key, n, err)
			}
		}
		if err := roster.New().Load(l.Key, append(slices.Clone(l.Value), 0)); !errors.Is(err, roster.ErrLeaf) {
			t.Errorf("leaf %s with a byte more: %v", l.Key, err)
		}
		refuse(fmt.Sprintf("leaf %s twice", l.Key), append(slices.Clone(all), all[i]))
		tail := l
		tail.Key[31] ^= 1
		refuse(fmt.Sprintf("leaf %s with another key", l.Key), append(slices.Delete(slices.Clone(all), i, i+1), tail))
	}
	without := func(key merkle.Key) []leaf {
		return slices.DeleteFunc(slices.Clone(all), func(l leaf) bool { return l.Key == key })
	}
	refuse("no roster leaf", without(roster.Key()))
	refuse("nothing", nil)
	refuse("a member who approves is missing", without(roster.MemberKey(1)))
	retired := slices.IndexFunc(all, func(l leaf) bool { return l.Key[0] == roster.LeafRoster && l.Key != roster.Key() })
	old := slices.Clone(without(roster.MemberKey(2)))
	m := all[slices.IndexFunc(all, func(l leaf) bool { return l.Key == roster.MemberKey(2) })]
	bob := key("bob-1")
	m.Value = bytes.Replace(m.Value, bob[:], all[retired].Value, 1)
	refuse("a member has a retired key", append(old, m))
	refuse("a key of another kind", []leaf{{merkle.Key{1}, nil}})
}

// leaves are read by those who check a proof.
func TestParse(t *testing.T) {
	s := sample(t)
	for m := range s.Members {
		value, _ := s.Leaf(roster.MemberKey(m.ID))
		got, err := roster.ParseMember(roster.MemberKey(m.ID), value)
		if err != nil || got != m {
			t.Errorf("%+v, %v, want %+v", got, err, m)
		}
	}
	for v := range s.Votes {
		value, _ := s.Leaf(roster.VoteKey(v.Action))
		got, err := roster.ParseVote(roster.VoteKey(v.Action), value)
		if err != nil || fmt.Sprint(got) != fmt.Sprint(v) {
			t.Errorf("%+v, %v, want %+v", got, err, v)
		}
	}
	for _, k := range []merkle.Key{{}, {7}, {8}, {9, 1}, roster.MemberKey(99)} {
		if _, ok := s.Leaf(k); ok {
			t.Errorf("there is a leaf %s", k)
		}
	}
	if _, ok := roster.New().Leaf(roster.Key()); ok {
		t.Error("an empty roster has a leaf")
	}
}

// the back-off doubles up to ten minutes and is forgiven step by step.
func TestBackoff(t *testing.T) {
	s := found(t, 4)
	height, now := uint64(100), uint64(1_000_000)
	demote := func() uint64 {
		height += 10
		bob := key("bob-1")
		if id := s.Turns(height, now, []identity.PublicKey{bob, bob, bob}, key("alice-1"), 3); id != 2 {
			t.Fatalf("demoted %d", id)
		}
		m, _ := s.Member(2)
		backoff := m.Until - now
		now = m.Until
		if code := s.Return(2, now); code != roster.OK {
			t.Fatal(codeName(code))
		}
		return backoff / 1000
	}
	for _, want := range []uint64{5, 10, 20, 40, 80, 160, 320, 600, 600, 600} {
		if got := demote(); got != want {
			t.Fatalf("back-off of %d s, want %d", got, want)
		}
	}
	now += 10*60*1000 - 1
	if got := demote(); got != 600 {
		t.Errorf("a millisecond less than ten minutes forgives: %d s", got)
	}
	now += 10 * 60 * 1000
	if got := demote(); got != 320 {
		t.Errorf("ten minutes forgive not one doubling: %d s", got)
	}
	now += 365 * 24 * 3600 * 1000
	if got := demote(); got != 5 {
		t.Errorf("a year does not forgive everything: %d s", got)
	}
}
