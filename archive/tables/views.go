package tables

import (
	"context"
	"fmt"
	"strings"

	"souk/archive"
	"souk/archive/tables/query"
)

// maxCoins is how many assets have a column in the view of users: the first ones.
// Databases have bounds for columns, and anybody may issue assets.
const maxCoins = 400

// view is a view with the shape of a table of the founding document (G-40).
type view struct {
	name, text, order string
	columns           []archive.Column
}

// views makes the views anew.
func (a *Archive) views(ctx context.Context, s Session) error {
	if err := a.dropViews(ctx, s); err != nil {
		return err
	}
	list, err := a.wanted(ctx, s)
	if err != nil {
		return err
	}
	for _, v := range list {
		if _, err := s.ExecContext(ctx, "CREATE VIEW "+v.name+" AS "+v.text); err != nil {
			return fmt.Errorf("make the view %s: %w", v.name, err)
		}
	}
	return nil
}

// dropViews removes the views that are wanted now. Assets and banks only become more.
func (a *Archive) dropViews(ctx context.Context, s Session) error {
	list, err := a.wanted(ctx, s)
	if err != nil {
		return err
	}
	for _, v := range list {
		if _, err := s.ExecContext(ctx, "DROP VIEW IF EXISTS "+v.name); err != nil {
			return err
		}
	}
	return nil
}

// wanted are the views of the assets and banks that there are.
func (a *Archive) wanted(ctx context.Context, s query.DBTX) ([]view, error) {
	q := query.New(s)
	assets, err := q.Assets(ctx)
	if err != nil {
		return nil, err
	}
	banks, err := q.Banks(ctx)
	if err != nil {
		return nil, err
	}
	server := fmt.Sprintf("virtual_server_%03d", a.config.Number)
	list := []view{a.users(server, assets)}
	decimals := map[int64]int64{}
	for _, x := range assets {
		decimals[x.ID] = x.Decimals
	}
	for i := range banks {
		list = append(list, a.bank(server, &banks[i], decimals[banks[i].Asset]))
	}
	return list, nil
}

// users is the view of accounts: one column for each coin.
func (a *Archive) users(server string, assets []query.Asset) view {
	v := view{name: server + "_user", order: "a.id", columns: []archive.Column{{Name: "user_id_key", Kind: archive.Text}}}
	var coins strings.Builder
	for _, x := range assets[:min(len(assets), maxCoins)] {
		sum := fmt.Sprintf("MAX(CASE WHEN b.asset = %d THEN b.available + b.held ELSE 0 END)", x.ID)
		name := "coins_" + strings.ToLower(x.Symbol)
		fmt.Fprintf(&coins, ", %s AS %s", a.engine.Fraction(sum, x.Decimals), name)
		v.columns = append(v.columns, archive.Column{Name: name, Kind: archive.Fraction, Decimals: int(x.Decimals)})
	}
	v.text = "SELECT a.address AS user_id_key" + coins.String() + " FROM accounts a LEFT JOIN balances b ON b.account = a.id GROUP BY a.id, a.address"
	return v
}

// bank is the view of a bank's wallets.
func (a *Archive) bank(server string, b *query.Bank, decimals int64) view {
	coin := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, b.Network)
	return view{
		name: fmt.Sprintf("%s_%s_wallet_bank_%03d", server, coin, b.Number), order: "wallet",
		columns: []archive.Column{{Name: "wallet_id", Kind: archive.Text}, {Name: "coin_amount", Kind: archive.Fraction, Decimals: int(decimals)}},
		text: fmt.Sprintf("SELECT 'wallet.vs-%03d.bank-%03d.%s-' || CASE WHEN wallet < 9 THEN '0' ELSE '' END || CAST(wallet + 1 AS TEXT) AS wallet_id, "+
			"%s AS coin_amount FROM wallets WHERE bank = %d", a.config.Number, b.Number, b.Network, a.engine.Fraction("total", decimals), b.ID),
	}
}
