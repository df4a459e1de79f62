package cli

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// didYouMean is a question after a word that is not known: which of some words was meant;
// empty if none is near.
func didYouMean(word string, known []string) string {
	type near struct {
		text string
		far  int
	}
	var all []near
	for _, k := range known {
		far := distance(strings.ToLower(word), strings.ToLower(k))
		if most := min(2, len(k)/2); far <= most || len(word) > 2 && strings.HasPrefix(strings.ToLower(k), strings.ToLower(word)) {
			all = append(all, near{k, far})
		}
	}
	slices.SortStableFunc(all, func(x, y near) int { return cmp.Compare(x.far, y.far) })
	var some []string
	for i := range all {
		if all[i].far == all[0].far {
			some = append(some, all[i].text)
		}
	}
	if len(some) == 0 || len(some) > 4 {
		return ""
	}
	return fmt.Sprintf("; did you mean %s?", strings.Join(some, " or "))
}

// distance is how many letters must be changed, added, left out or swapped with their
// neighbour to make one word of another.
func distance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}

// subcommands are the names of a command's subcommands.
func subcommands(c *cobra.Command) (all []string) {
	for _, sub := range c.Commands() {
		all = append(all, sub.Name())
		all = append(all, sub.Aliases...)
	}
	return all
}
