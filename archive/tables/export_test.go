package tables

import (
	"strings"

	"souk/archive"
)

// Columns are the columns of all tables, with their types.
func Columns() map[string]string {
	types := map[archive.ColumnKind]string{archive.Integer: "BIGINT", archive.Text: "TEXT", archive.Bytes: "BYTEA", archive.Decimal: "NUMERIC"}
	known := map[string]string{}
	for _, t := range all {
		var columns []string
		for _, c := range t.columns {
			columns = append(columns, c.Name+" "+types[c.Kind])
		}
		known[t.name] = strings.Join(columns, ", ")
	}
	return known
}
