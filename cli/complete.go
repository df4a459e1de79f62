package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// quickly is how long somebody who pressed the tab key waits for a server.
const quickly = 800 * time.Millisecond

// completer offers what one argument may be.
type completer func(ctx context.Context, a *app) []string

// fixed offers the same words always.
func fixed(words ...string) completer {
	return func(context.Context, *app) []string { return words }
}

// completers are for arguments as the line of use names them.
var completers = map[string]completer{
	"MARKET": someMarkets,
	"NAME":   someMarkets, // of souk verify market
	"ASSET":  someAssets,
	"SYMBOL": someAssets,
	"ORDER":  someOrders,
}

// flagCompleters are for values of flags.
var flagCompleters = map[string]completer{
	"output": fixed("table", "json"),
	"market": someMarkets,
	"kind":   fixed("limit", "market", "stop", "stop-limit", "take-profit", "take-profit-limit"),
	"tif":    fixed("gtc", "gtd", "ioc", "fok"),
}

// fileWords are arguments that name files, which the shell completes itself.
var fileWords = []string{"FILE", "COPY", "CARD", "FOUNDING", "DIR|FILE", "FILE|-"}

// completable makes every command offer what its line of use says that it takes: words of
// the line itself, names of files, and what a server that answers at once tells.
func (a *app) completable(c *cobra.Command) {
	for _, sub := range c.Commands() {
		a.completable(sub)
	}
	for name, offer := range flagCompleters {
		if c.LocalFlags().Lookup(name) == nil {
			continue
		}
		err := c.RegisterFlagCompletionFunc(name, func(c *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
			return a.offer(c, offer), cobra.ShellCompDirectiveNoFileComp
		})
		if err != nil { // the tree is ours
			panic(err) //nolint:forbidigo // a flag that is there has one completion
		}
	}
	if c.HasSubCommands() && c.RunE == nil || c.ValidArgsFunction != nil {
		return
	}
	c.ValidArgsFunction = func(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		word := argument(c.Use, args)
		if slices.Contains(fileWords, word) {
			return nil, cobra.ShellCompDirectiveDefault
		}
		if offer, ok := completers[word]; ok {
			return a.offer(c, offer), cobra.ShellCompDirectiveNoFileComp
		}
		if word == "" || word != strings.ToLower(word) {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return strings.Split(word, "|"), cobra.ShellCompDirectiveNoFileComp
	}
}

// offer asks for words, for a short while.
func (a *app) offer(c *cobra.Command, words completer) []string {
	ctx := c.Context()
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, cancel := context.WithTimeout(ctx, quickly)
	defer cancel()
	return words(ctx, a)
}

// argument is the word with which a line of use names the argument that comes after
// some; empty if none does. Lower-case words stand for themselves.
func argument(use string, before []string) string {
	_, line, _ := strings.Cut(use, " ")
	if inner, ok := strings.CutPrefix(line, "["); ok && strings.HasSuffix(inner, "]") && strings.Contains(inner, "|") && strings.Contains(inner, " ") {
		return alternative(strings.Split(strings.TrimSuffix(inner, "]"), "|"), before)
	}
	var words []string
	for _, word := range strings.Fields(line) {
		if strings.HasPrefix(strings.TrimLeft(word, "[("), "--") {
			break // flags are offered otherwise
		}
		words = append(words, strings.Trim(word, "[]"))
	}
	return nth(words, len(before))
}

// alternative is the argument after some, where a line of use names several ways to go on.
func alternative(ways, before []string) string {
	var first []string
	for _, way := range ways {
		words := strings.Fields(way)
		if len(words) == 0 {
			continue
		}
		if len(before) > 0 && words[0] == before[0] {
			return nth(words[1:], len(before)-1)
		}
		first = append(first, words[0])
	}
	if len(before) > 0 {
		return ""
	}
	return strings.Join(first, "|")
}

// nth is the nth of some words, the last of which may be repeated.
func nth(words []string, n int) string {
	if len(words) == 0 {
		return ""
	}
	last, repeated := words[len(words)-1], false
	for _, dots := range []string{"...", "…"} {
		if text, ok := strings.CutSuffix(last, dots); ok {
			last, repeated = strings.TrimRight(text, "[] "), true
		}
	}
	switch {
	case n < len(words)-1:
		return words[n]
	case n == len(words)-1 || repeated:
		return last
	}
	return ""
}

// someMarkets are the markets of the server that answers.
func someMarkets(ctx context.Context, a *app) (all []string) {
	s, err := a.session()
	if err != nil {
		return nil
	}
	defer s.client.Close()
	markets, err := s.client.Markets(ctx)
	if err != nil {
		return nil
	}
	for i := range markets.Markets {
		all = append(all, markets.Markets[i].Symbol)
	}
	return all
}

// someAssets are the assets of the server that answers.
func someAssets(ctx context.Context, a *app) (all []string) {
	s, err := a.session()
	if err != nil {
		return nil
	}
	defer s.client.Close()
	assets, err := s.client.Assets(ctx)
	if err != nil {
		return nil
	}
	for i := range assets.Assets {
		all = append(all, assets.Assets[i].Symbol)
	}
	return all
}

// someOrders are the live orders of the purse's account. They are nobody else's business,
// so the purse's key is needed: without --passphrase-file nothing is offered, and nobody asked.
func someOrders(ctx context.Context, a *app) (all []string) {
	if a.pass.file == "" {
		return nil
	}
	s, err := a.session()
	if err != nil || !s.pinned {
		return nil
	}
	defer s.client.Close()
	who, err := a.signer(s) // takes a second: less than typing a number
	if err != nil {
		return nil
	}
	defer who.Key.Wipe()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), quickly)
	defer cancel()
	orders, err := s.client.Orders(ctx, who, "")
	if err != nil {
		return nil
	}
	for i := range orders.Orders {
		o := &orders.Orders[i]
		all = append(all, fmt.Sprintf("%d\t%s %s %s", o.ID, o.Side, o.Quantity, o.Symbol))
	}
	return all
}
