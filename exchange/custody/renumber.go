package custody

import (
	"cmp"
	"maps"
	"slices"

	"souk/script"
)

// goneFrom is where the numbers begin that members get who are not of a new
// federation. No roster gives such numbers.
const goneFrom Member = 1 << 31

// Renumber gives the members the numbers that they have in a new federation, which
// takes the banks over. What members said, their keys and their signatures stay
// theirs. now answers the new number of a member of the old roster; false for one
// who is not of the new federation. He keeps his part in what there is under a
// number that nobody gets (Y-96). SetMembers follows in the next block.
func (s *State) Renumber(now func(Member) (Member, bool)) {
	last := goneFrom
	s.memberLists(func(list *[]Member) {
		for _, m := range *list {
			last = max(last, m)
		}
	})
	number := func(m Member) Member {
		if m >= goneFrom {
			return m
		}
		if next, ok := now(m); ok {
			return next
		}
		return last + m
	}
	for _, b := range s.banks {
		b.renumber(s, number)
	}
	s.memberLists(func(list *[]Member) {
		for i, m := range *list {
			(*list)[i] = number(m)
		}
		slices.Sort(*list)
	})
	for _, key := range slices.Sorted(maps.Keys(s.entries)) {
		if r := s.entries[key].record; r != nil {
			s.touch(r)
		}
	}
}

// memberLists calls visit for all lists of members but those of series, and for
// every single member as a list of one.
func (s *State) memberLists(visit func(list *[]Member)) {
	visit(&s.members.Present)
	one := func(m Member) { visit(&[]Member{m}) }
	for _, key := range slices.Sorted(maps.Keys(s.entries)) {
		switch x := s.entries[key].record.(type) {
		case *block:
			for i := range x.votes {
				visit(&x.votes[i].who)
			}
		case *coin:
			for i := range x.said {
				visit(&x.said[i].who)
			}
			for i := range x.spends {
				visit(&x.spends[i].who)
			}
			visit(&x.judged)
		case *attestor:
			one(x.member)
		case *slots:
			one(x.member)
		case *series:
			for _, m := range x.members {
				one(m)
			}
		}
	}
}

// renumber does it in what a bank sorts or finds by member.
func (b *bank) renumber(s *State, number func(Member) Member) {
	for _, a := range b.attestors {
		s.drop(a)
	}
	for _, t := range b.live {
		for _, x := range b.signs[t.Number] {
			s.drop(x)
		}
	}
	for _, a := range b.attestors {
		a.member = number(a.member)
		s.touch(a)
	}
	slices.SortFunc(b.attestors, func(x, y *attestor) int { return cmp.Compare(x.member, y.member) })
	for _, t := range b.live {
		list := b.signs[t.Number]
		for _, x := range list {
			x.member = number(x.member)
			s.touch(x)
		}
		slices.SortFunc(list, (*slots).compare)
	}
	open := map[Member]opened{}
	for _, m := range slices.Sorted(maps.Keys(b.open)) {
		open[number(m)] = b.open[m]
	}
	b.open = open
	for _, r := range b.series {
		r.renumber(number)
	}
}

// renumber brings a series' members and their keys into the order of new numbers.
// Its scripts sort the keys themselves and stay what they are.
func (r *series) renumber(number func(Member) Member) {
	keys := map[Member]script.MemberKey{}
	for i, m := range r.members {
		r.members[i] = number(m)
		keys[r.members[i]] = r.Keys[i]
	}
	slices.Sort(r.members)
	again := *r.Series
	again.Keys = nil
	for _, m := range r.members {
		again.Keys = append(again.Keys, keys[m])
	}
	r.Series = &again
}
