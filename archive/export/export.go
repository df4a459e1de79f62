// Package export writes all that is in an archive into files that other programs read:
// comma-separated values, and a dump that MySQL and MariaDB load.
//
// Floor 2, beside the port archive; rules are docs/spec/19-archive.md (G-41, G-42).
package export

import (
	"bufio"
	"context"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"souk/archive"
)

// CSV writes a file for each table and view into a folder, which must not be there yet.
// The first line of each has the names of columns. Bytes are in hexadecimal.
func CSV(ctx context.Context, from archive.Dumper, dir string) (err error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	var f *os.File
	var w *csv.Writer
	finish := func() error {
		if f == nil {
			return nil
		}
		w.Flush()
		err := errors.Join(w.Error(), f.Close())
		f = nil
		return err
	}
	defer func() { err = errors.Join(err, finish()) }()
	var line []string
	var columns []archive.Column
	return from.Dump(ctx, func(t archive.Table) error {
		err := finish()
		if err != nil {
			return err
		}
		if f, err = os.OpenFile(filepath.Join(dir, t.Name+".csv"), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
			return err
		}
		w = csv.NewWriter(f)
		columns, line = t.Columns, line[:0]
		for _, c := range t.Columns {
			line = append(line, c.Name)
		}
		return w.Write(line)
	}, func(values []any) error {
		line = line[:0]
		for i, v := range values {
			s := text(v)
			if columns[i].Kind == archive.Text {
				s = noFormula(s)
			}
			line = append(line, s)
		}
		return w.Write(line)
	})
}

// noFormula keeps spreadsheets from taking a text for a formula, which some trader has put
// into a memo or a client order id for whoever opens the file: an apostrophe stands before it.
func noFormula(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r\n'", rune(s[0])) {
		return "'" + s
	}
	return s
}

func text(v any) string {
	switch v := v.(type) {
	case int64:
		return strconv.FormatInt(v, 10)
	case []byte:
		return hex.EncodeToString(v)
	case string:
		return v
	}
	return fmt.Sprint(v)
}

// maxStatement is how long a statement of a dump may get: databases take a megabyte.
const maxStatement = 512 << 10

// MySQL writes a dump. Views are tables in it, as the founding document has them.
func MySQL(ctx context.Context, from archive.Dumper, to io.Writer) error {
	w := bufio.NewWriterSize(to, 1<<16)
	d := &mysqlDump{w: w}
	d.printf("-- An archive of Souk. Amounts are ledger units but in tables named virtual_server_...\n" +
		"SET NAMES utf8mb4;\nSET sql_mode = 'NO_BACKSLASH_ESCAPES';\nSET autocommit = 0;\n")
	if err := from.Dump(ctx, d.begin, d.row); err != nil {
		return err
	}
	d.end()
	d.printf("COMMIT;\n")
	return errors.Join(d.err, w.Flush())
}

// mysqlDump writes statements.
type mysqlDump struct {
	w      *bufio.Writer
	err    error
	table  archive.Table
	length int // of the open statement
}

func (d *mysqlDump) printf(format string, args ...any) {
	if d.err == nil {
		_, d.err = fmt.Fprintf(d.w, format, args...)
	}
}

// end ends the open statement.
func (d *mysqlDump) end() {
	if d.length > 0 {
		d.printf(";\n")
	}
	d.length = 0
}

func (d *mysqlDump) begin(t archive.Table) error {
	d.end()
	d.table = t
	d.printf("\nDROP TABLE IF EXISTS `%s`;\nCREATE TABLE `%s` (\n", t.Name, t.Name)
	for i, c := range t.Columns {
		kind := map[archive.ColumnKind]string{
			archive.Integer: "BIGINT", archive.Text: "TEXT", archive.Bytes: "LONGBLOB", archive.Decimal: "DECIMAL(40, 0)",
			archive.Fraction: fmt.Sprintf("DECIMAL(40, %d)", c.Decimals),
		}[c.Kind]
		if c.Kind == archive.Text && i < t.Key {
			kind = "VARCHAR(190)"
		}
		d.printf("  `%s` %s NOT NULL,\n", c.Name, kind)
	}
	var key []string
	for _, c := range t.Columns[:t.Key] {
		key = append(key, "`"+c.Name+"`")
	}
	d.printf("  PRIMARY KEY (%s)\n) DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;\n", strings.Join(key, ", "))
	return d.err
}

func (d *mysqlDump) row(values []any) error {
	if d.length > maxStatement {
		d.end()
	}
	var b strings.Builder
	if d.length == 0 {
		fmt.Fprintf(&b, "INSERT INTO `%s` VALUES\n(", d.table.Name)
	} else {
		b.WriteString(",\n(")
	}
	for i, v := range values {
		if i > 0 {
			b.WriteString(", ")
		}
		switch v := v.(type) {
		case int64:
			b.WriteString(strconv.FormatInt(v, 10))
		case []byte:
			b.WriteString("x'" + hex.EncodeToString(v) + "'")
		case string:
			b.WriteString("'" + strings.ReplaceAll(v, "'", "''") + "'")
		}
	}
	b.WriteByte(')')
	d.length += b.Len()
	d.printf("%s", b.String())
	return d.err
}
