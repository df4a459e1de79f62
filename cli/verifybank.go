package cli

import (
	"context"
	"fmt"
	"strconv"

	"souk/api"
	"souk/script"
)

// verifiedSeries proves the keys of a series.
func verifiedSeries(ctx context.Context, s *session, v *api.Verifier, args []string) (f facts, proven api.Proven, err error) {
	t, err := vaultOf(ctx, s, args[1])
	if err != nil {
		return f, proven, err
	}
	number, err := strconv.ParseUint(args[2], 10, 32)
	if err != nil {
		return f, proven, usageError{fmt.Errorf("%q is no number of a series: souk bank %s shows them", args[2], args[1])}
	}
	x, proven, err := s.client.VerifiedSeries(ctx, v, t.Bank.ID, uint32(number))
	if err != nil {
		return f, proven, err
	}
	f.add("bank", args[1])
	f.add("network", t.Bank.Network)
	f.line("series", args[2], "series", number)
	f.line("keys", keysText(int(x.K), len(x.Keys)), "threshold", x.K)
	var keys []string
	for i, k := range x.Keys {
		keys = append(keys, k.String())
		f.lines = append(f.lines, [2]string{fmt.Sprintf("member no. %d", x.Members[i]), k.String()})
	}
	f.set("keys", keys)
	if r := x.Recovery; r != nil {
		var holders []string
		for _, k := range r.Keys {
			holders = append(holders, k.String())
		}
		f.line("recovery", fmt.Sprintf("%d of %d other keys", r.K, len(r.Keys)), "recovery", map[string]any{
			"threshold": r.K, "keys": holders, "blocks": r.Blocks, "seconds": uint64(r.Intervals) * script.IntervalSeconds,
		})
	}
	f.line("addresses", strconv.FormatUint(uint64(x.Allotted), 10), "addresses", x.Allotted)
	return f, proven, nil
}

// verifiedAddress proves that an address is derived from a bank's keys, and the user's.
func verifiedAddress(ctx context.Context, s *session, who *api.Signer, args []string) (f facts, proven api.Proven, err error) {
	t, err := vaultOf(ctx, s, args[1])
	if err != nil {
		return f, proven, err
	}
	for page := (api.BankedPage{Bank: args[1]}); ; {
		list, err := s.client.Addresses(ctx, who, page)
		if err != nil {
			return f, proven, err
		}
		for i := range list.Addresses {
			x := &list.Addresses[i]
			if x.Address != args[2] {
				continue
			}
			own, err := t.Own(ctx, who, x.Series, x.Index)
			if err != nil {
				return f, proven, err
			}
			f.add("address", own.Text)
			f.add("network", t.Bank.Network)
			f.line("keys", fmt.Sprintf("%s, series %d, address %d", keysText(int(own.Series.K), len(own.Series.Keys)), x.Series, x.Index), "series", x.Series)
			f.set("index", x.Index)
			f.line("owner", "you", "owner", who.Account.String())
			f.line("used", strconv.FormatBool(own.Used), "used", own.Used)
			return f, own.At, nil
		}
		if page.Before = list.Next; list.Next == "" {
			return f, proven, fmt.Errorf("%s is none of your addresses, as far as the server says: do not pay to it", args[2])
		}
	}
}
