package wallet

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"souk/asset"
)

// movements are what came and went of the call's wallet, the oldest first.
func (c *call) movements(ctx context.Context) ([]Movement, error) {
	name, err := c.name(ctx)
	if err != nil {
		return nil, err
	}
	return c.account().Movements(ctx, name)
}

// value is a movement as lists have it.
func (m *Movement) value() map[string]any {
	v := map[string]any{
		"address": m.Address, "vout": m.Output, "confirmations": m.Confirmations, "txid": m.ID, "wtxid": m.ID,
		"walletconflicts": []string{}, "mempoolconflicts": []string{}, "time": m.Time / 1000, "timereceived": m.Time / 1000,
		"bip125-replaceable": "unknown", "souk_state": m.State,
	}
	if m.Send {
		v["category"], v["amount"], v["fee"], v["abandoned"] = "send", less(m.Amount), less(m.Fee), m.Abandoned
	} else {
		v["category"], v["amount"], v["label"], v["abandoned"] = "receive", coins(m.Amount), m.Label, false
	}
	if m.Height != 0 {
		v["blockheight"] = m.Height
	} else {
		v["trusted"] = m.Trusted
	}
	if m.Comment != "" {
		v["comment"] = m.Comment
	}
	if m.To != "" {
		v["to"] = m.To
	}
	if m.Tx != "" {
		v["souk_txid"] = m.Tx
	}
	return v
}

func listTransactions(ctx context.Context, c *call) (any, error) {
	label, err := get(c, 0, "*", "string")
	if err != nil {
		return nil, err
	}
	count, err := c.integer(1, 10)
	if err != nil {
		return nil, err
	}
	skip, err := c.integer(2, 0)
	if err != nil {
		return nil, err
	}
	switch {
	case count < 0:
		return nil, fault(codeParameter, "Negative count")
	case skip < 0:
		return nil, fault(codeParameter, "Negative from")
	}
	list, err := c.movements(ctx)
	if err != nil {
		return nil, err
	}
	if label != "*" {
		list = slices.DeleteFunc(list, func(m Movement) bool { return m.Send || m.Label != label })
	}
	list = list[:max(0, len(list)-skip)]
	list = list[max(0, len(list)-count):]
	return values(list), nil
}

func values(list []Movement) []map[string]any {
	all := []map[string]any{}
	for i := range list {
		all = append(all, list[i].value())
	}
	return all
}

// listSinceBlock answers everything: which blocks are behind another is not known here.
func listSinceBlock(ctx context.Context, c *call) (any, error) {
	list, err := c.movements(ctx)
	if err != nil {
		return nil, err
	}
	chain, err := c.chain(ctx)
	if err != nil {
		return nil, err
	}
	return map[string]any{"transactions": values(list), "removed": []string{}, "lastblock": chain.Hash}, nil
}

// getTransaction is the movements of one transaction.
func getTransaction(ctx context.Context, c *call) (any, error) {
	id, err := c.text(0)
	if err != nil {
		return nil, err
	}
	if len(id) != 64 || strings.Trim(id, "0123456789abcdefABCDEF") != "" {
		return nil, fault(codeParameter, "txid must be of length 64 (not %d, for '%.70s')", len(id), id)
	}
	list, err := c.movements(ctx)
	if err != nil {
		return nil, err
	}
	id = strings.ToLower(id)
	list = slices.DeleteFunc(list, func(m Movement) bool { return m.ID != id && m.Tx != id })
	if len(list) == 0 {
		return nil, fault(codeAddress, "Invalid or non-wallet transaction id")
	}
	v := list[0].value()
	for _, only := range []string{"address", "vout", "category", "label", "abandoned"} {
		delete(v, only)
	}
	var in, out, fee asset.Amount
	details := []map[string]any{}
	for i := range list {
		m := &list[i]
		d := map[string]any{"address": m.Address, "vout": m.Output, "label": m.Label}
		if m.Send {
			out, fee = out+m.Amount, fee+m.Fee
			d["category"], d["amount"], d["fee"], d["abandoned"] = "send", less(m.Amount), less(m.Fee), m.Abandoned
		} else {
			in += m.Amount
			d["category"], d["amount"] = "receive", coins(m.Amount)
		}
		details = append(details, d)
	}
	var net json.Number
	if out > in {
		net = less(out - in)
	} else {
		net = coins(in - out)
	}
	v["amount"], v["details"], v["hex"] = net, details, ""
	if delete(v, "fee"); out > 0 {
		v["fee"] = less(fee)
	}
	return v, nil
}

// received is what an address has been paid.
type received struct {
	address, label string
	amount         asset.Amount
	confirmations  int64
	ids            []string
}

// receipts are what the addresses of the call's wallet have been paid, in payments that are
// so deep.
func (c *call) receipts(ctx context.Context, least int) ([]*received, error) {
	name, err := c.name(ctx)
	if err != nil {
		return nil, err
	}
	addresses, err := c.account().Addresses(ctx, name)
	if err != nil {
		return nil, err
	}
	list, err := c.account().Movements(ctx, name)
	if err != nil {
		return nil, err
	}
	var all []*received
	by := map[string]*received{}
	for _, a := range addresses {
		r := &received{address: a.Text, label: a.Label, ids: []string{}}
		by[a.Text], all = r, append(all, r)
	}
	for i := range list {
		m := &list[i]
		r := by[m.Address]
		if m.Send || r == nil || m.Confirmations < int64(least) {
			continue
		}
		if len(r.ids) == 0 || m.Confirmations < r.confirmations {
			r.confirmations = m.Confirmations
		}
		r.amount += m.Amount
		r.ids = append(r.ids, m.ID)
	}
	return all, nil
}

func listReceived(ctx context.Context, c *call) (any, error) {
	least, err := c.integer(0, 1)
	if err != nil {
		return nil, err
	}
	empty, err := c.flag(1)
	if err != nil {
		return nil, err
	}
	only, err := c.text(3)
	if err != nil {
		return nil, err
	}
	all, err := c.receipts(ctx, least)
	if err != nil {
		return nil, err
	}
	list := []map[string]any{}
	for _, r := range all {
		if only != "" && r.address != only || len(r.ids) == 0 && !empty {
			continue
		}
		list = append(list, map[string]any{"address": r.address, "amount": coins(r.amount), "confirmations": r.confirmations, "label": r.label, "txids": r.ids})
	}
	return list, nil
}

func getReceived(ctx context.Context, c *call) (any, error) {
	address, err := c.text(0)
	if err != nil {
		return nil, err
	}
	least, err := c.integer(1, 1)
	if err != nil {
		return nil, err
	}
	all, err := c.receipts(ctx, least)
	if err != nil {
		return nil, err
	}
	for _, r := range all {
		if r.address == address {
			return coins(r.amount), nil
		}
	}
	name, err := c.name(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := c.account().Script(ctx, name, address); err != nil {
		return nil, err
	}
	return nil, fault(codeWallet, "Address not found in wallet")
}
