package tables

import (
	"context"
	"fmt"
	"strings"

	"souk/archive/tables/query"
)

// maxCoins is how many assets have a column in the view of users: the first ones.
// Databases have bounds for columns, and anybody may issue assets.
const maxCoins = 400

// view is a view with the shape of a table of the founding document (G-40).
type view struct{ name, text string }

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
	return Views(ctx, s, a.config.Number, a.engine.Fraction)
}

// Views are those of the assets and banks that there are, in the words of the database
// that fraction is of.
func Views(ctx context.Context, db query.DBTX, number int, fraction func(amount string, decimals int64) string) ([]view, error) {
	q := query.New(db)
	assets, err := q.Assets(ctx)
	if err != nil {
		return nil, err
	}
	banks, err := q.Banks(ctx)
	if err != nil {
		return nil, err
	}
	server := fmt.Sprintf("virtual_server_%03d", number)
	decimals := map[int64]int64{}
	var columns strings.Builder
	for i := range assets {
		decimals[assets[i].ID] = assets[i].Decimals
		if i < maxCoins {
			sum := fmt.Sprintf("MAX(CASE WHEN b.asset = %d THEN b.available + b.held ELSE 0 END)", assets[i].ID)
			fmt.Fprintf(&columns, ", %s AS coins_%s", fraction(sum, assets[i].Decimals), strings.ToLower(assets[i].Symbol))
		}
	}
	list := []view{{server + "_user", "SELECT a.address AS user_id_key" + columns.String() +
		" FROM accounts a LEFT JOIN balances b ON b.account = a.id GROUP BY a.id, a.address"}}
	for _, b := range banks {
		coin := strings.Map(func(r rune) rune {
			if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
				return r
			}
			return '_'
		}, b.Network)
		list = append(list, view{
			fmt.Sprintf("%s_%s_wallet_bank_%03d", server, coin, b.Number),
			fmt.Sprintf("SELECT 'wallet.vs-%03d.bank-%03d.%s-' || CASE WHEN wallet < 9 THEN '0' ELSE '' END || CAST(wallet + 1 AS TEXT) AS wallet_id, %s AS coin_amount FROM wallets WHERE bank = %d",
				number, b.Number, b.Network, fraction("total", decimals[b.Asset]), b.ID),
		})
	}
	return list, nil
}
