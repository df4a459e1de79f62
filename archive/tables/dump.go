package tables

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"souk/archive"
)

// Dump hands out everything, as of one moment.
func (a *Archive) Dump(ctx context.Context, begin func(string, []archive.Column) error, row func([]any) error) error {
	tx, err := a.engine.Reader().BeginTx(ctx, &sql.TxOptions{Isolation: a.engine.Snapshot(), ReadOnly: true})
	if err != nil {
		return asked(err)
	}
	defer tx.Rollback() //nolint:errcheck // it only reads
	for _, t := range all {
		if err := begin(t.name, t.columns); err != nil {
			return err
		}
		if err := dumpTable(ctx, tx, t, row); err != nil {
			return err
		}
	}
	return nil
}

func dumpTable(ctx context.Context, tx *sql.Tx, t *table, row func([]any) error) error {
	rows, err := tx.QueryContext(ctx, "SELECT "+strings.Join(t.names(), ", ")+" FROM "+t.name+" ORDER BY "+t.key) //nolint:gosec // constants
	if err != nil {
		return asked(err)
	}
	defer rows.Close() //nolint:errcheck // Err tells
	integers, texts, raw := make([]int64, len(t.columns)), make([]string, len(t.columns)), make([][]byte, len(t.columns))
	into, values := make([]any, len(t.columns)), make([]any, len(t.columns))
	for i, c := range t.columns {
		switch c.Kind {
		case archive.Integer:
			into[i] = &integers[i]
		case archive.Text, archive.Decimal:
			into[i] = &texts[i]
		case archive.Bytes:
			into[i] = &raw[i]
		}
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return asked(err)
		}
		for i, c := range t.columns {
			switch c.Kind {
			case archive.Integer:
				values[i] = integers[i]
			case archive.Text, archive.Decimal:
				values[i] = texts[i]
			case archive.Bytes:
				values[i] = raw[i]
			}
		}
		if err := row(values); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read the archive's %s: %w", t.name, err)
	}
	return nil
}
