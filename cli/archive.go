package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"souk/node"
)

// archiveFlags say which archive of a home is meant.
type archiveFlags struct {
	home   string
	config node.ArchiveConfig
}

func (f *archiveFlags) add(c *cobra.Command) {
	homeFlag(c, &f.home)
	c.Flags().StringVar(&f.config.Engine, "engine", "", "sqlite or postgres, if not as in the configuration")
	c.Flags().StringVar(&f.config.Path, "path", "", "folder of the files of sqlite (default: beside the state)")
	c.Flags().StringVar(&f.config.DSNFile, "dsn-file", "", "file with the DSN of a PostgreSQL database, that only you can read")
}

// given is the place that flags name; nil for that of the configuration.
func (f *archiveFlags) given() (*node.ArchiveConfig, error) {
	if f.config == (node.ArchiveConfig{}) {
		return nil, nil //nolint:nilnil // nothing is given, which is no error
	}
	if f.config.Engine == "" {
		return nil, usageError{fmt.Errorf("say with --engine which kind of archive that is: sqlite or postgres")}
	}
	return &f.config, nil
}

func (a *app) archiveCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "archive", Short: "Make the archive of a server anew, or write it into files",
		Long: `An archive keeps what happened in tables: orders, fills, candles, balances over time, deposits, withdrawals
and commands. A server fills one if [archive] in its configuration says so. It is made from the log of what
blocks did, which goes back as far as keep in [events] says.`,
	}
	c.AddCommand(a.archiveRebuild(), a.archiveExport())
	return c
}

func (a *app) archiveRebuild() *cobra.Command {
	var f archiveFlags
	var forget bool
	c := &cobra.Command{
		Use: "rebuild", Short: "Make the archive of a virtual server anew from its log", Args: cobra.NoArgs,
		Long: `Make the archive of a virtual server anew from its log. If the server is stopped this reads the log itself, and
can make another archive than that of the configuration. If it runs, the archive is emptied and the server
fills it again; this waits until that is done. What the log does not have any more cannot be made anew: then
this refuses, unless you say --forget.`,
		Example: "  souk archive rebuild --home ./home\n  souk archive rebuild --home ./home --engine postgres --dsn-file ./dsn",
		RunE: func(c *cobra.Command, _ []string) error {
			given, err := f.given()
			if err != nil {
				return err
			}
			done, err := node.RebuildArchive(c.Context(), node.Home(f.home), a.id, node.Rebuild{Archive: given, Forget: forget, Progress: func(height, newest uint64) {
				a.busy(fmt.Sprintf("block %d of %d", height, newest))
			}})
			if err != nil {
				return err
			}
			return a.show(done, func(w io.Writer) {
				if done.From > done.Height {
					p(w, "the archive has no blocks yet: the log begins at %d\n", done.From)
					return
				}
				p(w, "the archive has blocks %d to %d\n", done.From, done.Height)
				if done.Blocks > 0 {
					p(w, "%d blocks that did something, in %.1f s\n", done.Blocks, done.Seconds)
				}
			})
		},
	}
	f.add(c)
	c.Flags().BoolVar(&forget, "forget", false, "also if the archive knows more than the log does")
	return c
}

func (a *app) archiveExport() *cobra.Command {
	var f archiveFlags
	var format, out string
	c := &cobra.Command{
		Use: "export", Short: "Write the archive of a virtual server into files", Args: cobra.NoArgs,
		Long: `Write all that is in the archive of a virtual server into files: a folder of comma-separated values, an SQLite
database, or a dump that MySQL and MariaDB load. The tables of users and wallet banks
(virtual_server_001_user, virtual_server_001_bitcoin_wallet_bank_001) are among them. The server may be
running. Balances of everybody are in there: keep it as you keep the server.`,
		Example: "  souk archive export --home ./home --format csv --out ./csv\n  souk archive export --home ./home --format mysql --out dump.sql",
		RunE: func(c *cobra.Command, _ []string) error {
			given, err := f.given()
			if err != nil {
				return err
			}
			if out == "" || format != node.FormatCSV && format != node.FormatSQLite && format != node.FormatMySQL {
				return usageError{fmt.Errorf("say with --format csv, sqlite or mysql what is to be written, and with --out where to")}
			}
			if err := node.ExportArchive(c.Context(), node.Home(f.home), a.id, given, format, out); err != nil {
				return err
			}
			return a.show(map[string]string{"format": format, "out": out}, func(w io.Writer) { p(w, "the archive is in %s\n", out) })
		},
	}
	f.add(c)
	c.Flags().StringVar(&format, "format", "", "csv, sqlite or mysql")
	c.Flags().StringVar(&out, "out", "", "folder or file to write, which is not there yet")
	return c
}
