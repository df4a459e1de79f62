package tables

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"souk/archive"
)

// Dump hands out everything, as of one moment.
func (a *Archive) Dump(ctx context.Context, begin func(archive.Table) error, row func([]any) error) error {
	tx, err := a.engine.Reader().BeginTx(ctx, &sql.TxOptions{Isolation: a.engine.Snapshot(), ReadOnly: true})
	if err != nil {
		return asked(err)
	}
	defer tx.Rollback() //nolint:errcheck // it only reads
	for _, t := range all {
		of := archive.Table{Name: t.name, Columns: t.columns, Key: strings.Count(t.key, ",") + 1}
		question := "SELECT " + strings.Join(t.names(), ", ") + " FROM " + t.name + " ORDER BY " + t.key
		if err := dump(ctx, tx, of, question, begin, row); err != nil {
			return err
		}
	}
	views, err := a.wanted(ctx, tx)
	if err != nil {
		return asked(err)
	}
	for _, v := range views {
		if err := dump(ctx, tx, archive.Table{Name: v.name, Columns: v.columns, Key: 1, View: true}, v.text+" ORDER BY "+v.order, begin, row); err != nil {
			return err
		}
	}
	return nil
}

// dump hands out what is answered to a question.
func dump(ctx context.Context, tx *sql.Tx, of archive.Table, question string, begin func(archive.Table) error, row func([]any) error) error {
	if err := begin(of); err != nil {
		return err
	}
	rows, err := tx.QueryContext(ctx, question)
	if err != nil {
		return asked(err)
	}
	defer rows.Close() //nolint:errcheck // Err tells
	n := len(of.Columns)
	integers, texts, raw := make([]int64, n), make([]string, n), make([][]byte, n)
	into, values := make([]any, n), make([]any, n)
	for i, c := range of.Columns {
		switch c.Kind {
		case archive.Integer:
			into[i] = &integers[i]
		case archive.Text, archive.Decimal, archive.Fraction:
			into[i] = &texts[i]
		case archive.Bytes:
			into[i] = &raw[i]
		}
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return asked(err)
		}
		for i, c := range of.Columns {
			switch c.Kind {
			case archive.Integer:
				values[i] = integers[i]
			case archive.Text, archive.Decimal, archive.Fraction:
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
		return fmt.Errorf("read the archive's %s: %w", of.Name, err)
	}
	return nil
}
