package roster_test

import (
	"bytes"
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

// weakens says by hand what R-16 does not let happen.
func (x *machine) weakens(a roster.Action) bool {
	others := 0 // members with full power whom the action leaves alone
	for _, m := range x.members {
		if r, ok := a.(roster.ReplaceMember); m.full() && (!ok || r.Member != m.id) {
			others++
		}
	}
	least := []int{0, 0, 1, 2, 3, 4, 5, 5, 6} // by the number of members afterwards
	switch a := a.(type) {
	case roster.AddMember:
		return others < least[len(x.members)+1]
	case roster.ReplaceMember:
		return x.byID(a.Member).full() && others < least[len(x.members)]
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
	case x.weakens(a):
		want = roster.TooFewActive
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
