package terms

import (
	"cmp"
	"slices"
)

// MaxWays is the most ways that Ways finds.
const MaxWays = 64

// Step is what a payment by a way takes.
type Step uint8

// Steps.
const (
	Transfer Step = 1 // a transfer on a virtual server where both have the asset
	Outside  Step = 2 // a payment by a method and in a currency that both have
	Convert  Step = 3 // the payer trades for the payee's asset on a virtual server of both, then transfers
)

// Way is one answer to "how could I pay you".
type Way struct {
	Step    Step
	Give    Entry  // of the payer's terms
	Take    Entry  // of the payee's
	Version uint16 // the highest that both speak

	give, take int // positions in the lists
}

// Ways are how the payer could pay the payee by what both have said, best first: what is
// direct before what has to be converted, then by the sum of the positions in both lists,
// then by the payee's position. That the terms hold is for the caller to have checked.
func Ways(payer, payee *Terms) []Way {
	var ways []Way
	for i := range payer.Entries {
		for j := range payee.Entries {
			if w, ok := way(&payer.Entries[i], &payee.Entries[j]); ok {
				w.give, w.take = i, j
				ways = append(ways, w)
			}
		}
	}
	slices.SortFunc(ways, func(a, b Way) int {
		return cmp.Or(
			cmp.Compare(a.detour(), b.detour()), cmp.Compare(a.give+a.take, b.give+b.take), cmp.Compare(a.take, b.take),
		)
	})
	return ways[:min(len(ways), MaxWays)]
}

func (w *Way) detour() int {
	if w.Step == Convert {
		return 1
	}
	return 0
}

func way(give, take *Entry) (Way, bool) {
	version := min(give.Max, take.Max)
	if give.Use&Gives == 0 || take.Use&Takes == 0 || version < max(give.Min, take.Min) || give.Kind != take.Kind {
		return Way{}, false
	}
	w := Way{Give: *give, Take: *take, Version: version}
	switch {
	case same(give, take) && give.Kind == Account:
		w.Step = Transfer
	case same(give, take):
		w.Step = Outside
	case give.Kind == Account && give.Server == take.Server:
		w.Step = Convert
	}
	return w, w.Step != 0
}
