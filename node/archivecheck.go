package node

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// checkArchive looks at the archive of a home's virtual server, if there is to be one.
func checkArchive(ctx context.Context, h Home, c *Config, number int) []Finding {
	if c.Archive.Engine == archiveNone {
		return nil
	}
	f := Finding{What: "archive", Detail: "in PostgreSQL"}
	if c.Archive.Engine == archivePostgres {
		if _, err := ReadDSN(h.in(c.Archive.DSNFile)); err != nil {
			return []Finding{{What: f.What, Bad: true, Detail: err.Error()}}
		}
	} else if err := f.file(h, c, number); err != nil {
		return []Finding{{What: f.What, Bad: true, Detail: err.Error()}}
	}
	f.standing(ctx, h, number+1)
	return []Finding{f}
}

// file looks at the file of an archive in SQLite.
func (f *Finding) file(h Home, c *Config, number int) error {
	v := &c.Virtual[number]
	founding, err := ReadFounding(h.in(v.Founding))
	if err != nil {
		return err
	}
	path := h.archiveFile(&c.Archive, archiveOf{founding: founding, dir: filepath.Dir(h.in(v.Founding))})
	info, err := os.Stat(path)
	switch {
	case os.IsNotExist(err):
		f.Note, f.Detail = true, "not made yet: the server makes it when it runs"
	case err != nil:
		return err
	case info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("others may read %s, which has the balances of everybody: chmod 600", path)
	default:
		f.Detail = fmt.Sprintf("%s, %d MB", path, info.Size()>>20)
	}
	return nil
}

// standing asks the running server how its archive is doing.
func (f *Finding) standing(ctx context.Context, h Home, number int) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	var got eventsBody
	if err := h.ask(ctx, http.MethodGet, fmt.Sprintf("/events/%d", number), nil, &got); err != nil || got.Archive == nil {
		return // it does not run, or has its admin port switched off
	}
	a := got.Archive
	behind := time.Duration(a.Behind * float64(time.Second))
	switch {
	case a.Problem != "":
		f.Bad, f.Detail = true, fmt.Sprintf("it does not take blocks (%s): trading goes on without it, and it is tried again", a.Problem)
	case behind > archiveLate:
		f.Note, f.Detail = true, fmt.Sprintf("%s; at block %d, %s behind", f.Detail, a.Height, behind.Round(time.Second))
	default:
		f.Note, f.Detail = false, fmt.Sprintf("%s; at block %d", f.Detail, a.Height)
	}
}
