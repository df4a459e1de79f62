package tables

import (
	"strings"

	"souk/archive"
)

// table is a table as the migrations make it.
type table struct {
	name    string
	columns []archive.Column
	key     string // by which rows are ordered
}

func (t *table) names() []string {
	names := make([]string, len(t.columns))
	for i := range t.columns {
		names[i] = t.columns[i].Name
	}
	return names
}

// columnsOf reads a list of columns: those that are no integers have their kind behind a
// colon.
func columnsOf(list string) []archive.Column {
	kinds := map[string]archive.ColumnKind{"": archive.Integer, "text": archive.Text, "bytes": archive.Bytes, "decimal": archive.Decimal}
	var all []archive.Column
	for _, field := range strings.Fields(list) {
		name, kind, _ := strings.Cut(field, ":")
		all = append(all, archive.Column{Name: name, Kind: kinds[kind]})
	}
	return all
}

func makeTable(name, key, list string) *table { return &table{name, columnsOf(list), key} }

// All tables, in the order of their columns in the migrations (TestColumns).
var ( //nolint:gochecknoglobals // constants
	tableArchive     = makeTable("archive", "id", "id server:bytes height time")
	tableGaps        = makeTable("gaps", "first", "first last")
	tableAssets      = makeTable("assets", "id", "id symbol:text decimals issuer:text")
	tableMarkets     = makeTable("markets", "id", "id base quote")
	tableAccounts    = makeTable("accounts", "id", "id address:text")
	tableOrders      = makeTable("orders", "id", "id account market side kind tif post_only status reason price quantity quote trigger_price expiry client:text sibling placed time filled value fee hold changed updated")
	tableFills       = makeTable("fills", "trade", "trade market height time price quantity buyer seller maker taker taking inner_cross paid got buyer_fee seller_fee")
	tableCandles     = makeTable("candles", "market, span, start", "market span start open high low close trades base:decimal quote:decimal taker_base:decimal taker_quote:decimal")
	tableBalances    = makeTable("balances", "account, asset", "account asset available held")
	tableHistory     = makeTable("balance_history", "account, height, asset", "account height asset time available held")
	tableEvents      = makeTable("events", "height, place", "height place time kind account other asset amount number memo:text action:bytes")
	tableWithdrawals = makeTable("withdrawals", "id", "id account asset state amount height time changed updated")
	tableCommands    = makeTable("commands", "height, place", "height place time id:bytes account kind code number filled cost fee status")
	tableBanks       = makeTable("banks", "id", "id asset network:text number")
	tableWallets     = makeTable("wallets", "bank, wallet", "bank wallet total")

	all = []*table{
		tableArchive, tableGaps, tableAssets, tableMarkets, tableAccounts, tableOrders, tableFills, tableCandles,
		tableBalances, tableHistory, tableEvents, tableWithdrawals, tableCommands, tableBanks, tableWallets,
	}
)

// upsert is a statement that adds a row or, where there is one of its key, changes it: the
// named columns, or all but the key.
func (t *table) upsert(change ...string) string {
	key := strings.Split(t.key, ", ")
	if len(change) == 0 {
		for _, c := range t.names()[len(key):] {
			change = append(change, c+" = excluded."+c)
		}
	}
	return InsertText(t.name, t.names()) + " ON CONFLICT (" + t.key +
		") DO UPDATE SET " + strings.Join(change, ", ")
}

// InsertText is a statement that adds a row.
func InsertText(table string, columns []string) string {
	return "INSERT INTO " + table + " (" + strings.Join(columns, ", ") + ") VALUES (" + places(len(columns)) + ")"
}

// places are so many places for arguments.
func places(n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString("$" + decimal(i+1))
	}
	return b.String()
}
