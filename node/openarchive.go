package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"souk/archive"
	"souk/archive/postgres"
	"souk/archive/sqlite"
	"souk/archive/tables"
	"souk/exchange"
)

// Engines of archives.
const (
	archiveNone     = "none"
	archiveSQLite   = "sqlite"
	archivePostgres = "postgres"
)

// rebuildCache is what an archive keeps in memory while it is made anew.
const rebuildCache = 256 << 20

// ArchiveConfig says where what blocks did is kept for questions about the past.
type ArchiveConfig struct {
	Engine  string `toml:"engine"`
	Path    string `toml:"path"`
	DSNFile string `toml:"dsn_file"`
}

// Archive is an archive that was opened.
type Archive interface {
	archive.Archive
	archive.Reader
	archive.Dumper
}

// check tells what is wrong with the section: the field and why.
func (c *ArchiveConfig) check() error {
	switch {
	case c.Engine != archiveNone && c.Engine != archiveSQLite && c.Engine != archivePostgres:
		return fmt.Errorf("archive.engine %q: write none, sqlite or postgres", c.Engine)
	case c.Engine == archivePostgres && c.DSNFile == "":
		return errors.New("archive.engine is postgres: say with archive.dsn_file where the DSN is, in a file that only you can read")
	case c.Engine != archivePostgres && c.DSNFile != "":
		return fmt.Errorf("archive.dsn_file is for the engine postgres, and archive.engine is %s", c.Engine)
	case c.Engine == archivePostgres && c.Path != "":
		return errors.New("archive.path is for the engine sqlite, and archive.engine is postgres")
	}
	return nil
}

// archiveOf says what archive is opened of a virtual server: the numberth of a home, whose
// files are in dir.
type archiveOf struct {
	founding *exchange.Founding
	number   int
	dir      string
	cache    int64 // 0 for service
}

// openArchive opens an archive; nil if none is configured.
func (h Home) openArchive(ctx context.Context, c *ArchiveConfig, of archiveOf) (Archive, error) {
	conf := tables.Config{Founding: of.founding, Number: of.number}
	switch c.Engine {
	case archiveSQLite:
		path := h.archiveFile(c, of)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return nil, fmt.Errorf("open the archive: %w", err)
		}
		return opened(sqlite.Open(ctx, sqlite.Config{Config: conf, Path: path, Cache: of.cache}))
	case archivePostgres:
		dsn, err := ReadDSN(h.in(c.DSNFile))
		if err != nil {
			return nil, err
		}
		return opened(postgres.Open(ctx, postgres.Config{Config: conf, DSN: dsn}))
	}
	return nil, nil //nolint:nilnil // there is none, which is no error
}

// archiveFile is where an archive in SQLite is.
func (h Home) archiveFile(c *ArchiveConfig, of archiveOf) string {
	if c.Path == "" {
		return filepath.Join(of.dir, "archive.db")
	}
	id := of.founding.ID()
	return filepath.Join(h.in(c.Path), fmt.Sprintf("%x.db", id[:8]))
}

// opened is an archive, or nothing beside an error.
func opened(a *tables.Archive, err error) (Archive, error) {
	if err != nil {
		return nil, err
	}
	return a, nil
}

// ReadDSN reads a DSN from a file that nobody else may read: there may be a password in it.
func ReadDSN(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("%w: archive.dsn_file: %w", ErrConfig, err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("%w: archive.dsn_file %s: others may read it (chmod 600)", ErrConfig, path)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("%w: archive.dsn_file: %w", ErrConfig, err)
	}
	dsn := strings.TrimSpace(string(data))
	if dsn == "" || strings.ContainsAny(dsn, "\n\x00") {
		return "", fmt.Errorf("%w: archive.dsn_file %s holds no DSN: write one line such as postgres://souk:PASSWORD@localhost/souk", ErrConfig, path)
	}
	return dsn, nil
}

// openArchive opens the archive of a virtual server; nil if none is configured.
func (v *virtual) openArchive(ctx context.Context) (Archive, error) {
	a, err := v.node.home.openArchive(ctx, &v.node.config.Archive, archiveOf{founding: v.founding, number: v.number(), dir: v.dir})
	if a == nil {
		return nil, err
	}
	return a, nil
}

// number is the virtual server's place in the configuration, from 1. Views are named by it.
func (v *virtual) number() int {
	for i := range v.node.config.Virtual {
		if v.config == &v.node.config.Virtual[i] {
			return i + 1
		}
	}
	return 0
}
