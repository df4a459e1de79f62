package node

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"souk/exchange"
	"souk/replica"
)

// ErrOrigin is returned where a virtual server that goes on from another one lacks
// the export to begin with, or was given that of another state. The text says which
// it needs and how to get it.
var ErrOrigin = errors.New("the export to begin with")

// originFile is what the copy of an export is called in a virtual server's folder.
const originFile = "origin"

// neededOrigin says which export a founding contract needs, and how a home is given it.
func neededOrigin(h Home, f *exchange.Founding) string {
	o := f.Origin
	return fmt.Sprintf("this founding contract goes on from virtual server %x with the state after block %d, root %s. "+
		"Take the file that souk federation refound made it from; a member who still has that server's home makes it with souk export --id %x --out souk-export. "+
		"Then: souk federation join FOUNDING --home %s --origin souk-export", o.Server[:8], o.Height, o.Root, o.Server[:8], h)
}

// readOrigin checks that a file is the export that a founding contract names, by what
// it begins with, and that the members of the virtual server it comes from have signed
// that. What follows is checked by wholeOrigin.
func readOrigin(path string, f *exchange.Founding) error {
	in, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrOrigin, err)
	}
	defer in.Close() //nolint:errcheck // nothing was written
	e, err := replica.ReadExport(in, verifyProof)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrOrigin, path, err)
	}
	o := f.Origin
	if id := e.Founding.ID(); id != o.Server {
		return fmt.Errorf("%w: %s is that of virtual server %x, and the founding contract goes on from %x", ErrOrigin, path, id[:8], o.Server[:8])
	}
	if height := e.Newest.Block.Height; height != o.Height {
		return fmt.Errorf("%w: %s has the state after block %d; the founding contract goes on from block %d, root %s",
			ErrOrigin, path, height, o.Height, o.Root)
	}
	return nil
}

// wholeOrigin is readOrigin, and checks that the state has the root that the contract names.
func wholeOrigin(path string, f *exchange.Founding) error {
	if err := readOrigin(path, f); err != nil {
		return err
	}
	o, _, err := ReadOrigin(path)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrOrigin, err)
	}
	if o.Root != f.Origin.Root {
		return fmt.Errorf("%w: %s has the state after block %d, root %s; the founding contract goes on from block %d, root %s",
			ErrOrigin, path, o.Height, o.Root, f.Origin.Height, f.Origin.Root)
	}
	return nil
}

// keepOrigin copies the export that a virtual server begins with into the home, so
// that nothing outside is needed, and answers the path to be configured. was is what
// is configured already.
func (h Home) keepOrigin(f *exchange.Founding, v *VirtualConfig, was string) (string, error) {
	switch {
	case f.Origin == nil && v.Origin != "":
		return "", fmt.Errorf("%w: the founding contract goes on from no other virtual server: leave --origin out", ErrOrigin)
	case f.Origin == nil:
		return "", nil
	case v.Origin == "" && was != "":
		return was, nil
	case v.Origin == "" && v.StateSync: // the state comes from the others
		return "", nil
	case v.Origin == "":
		return "", fmt.Errorf("%w is missing: %s", ErrOrigin, neededOrigin(h, f))
	}
	if err := wholeOrigin(v.Origin, f); err != nil {
		return "", err
	}
	to := filepath.Join(h.virtual(f.ID()), originFile)
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return "", fmt.Errorf("make folder: %w", err)
	}
	if same, err := sameFile(v.Origin, to); err != nil || !same {
		if err = errors.Join(err, copyFile(v.Origin, to)); err != nil {
			return "", fmt.Errorf("keep %w: %w", ErrOrigin, err)
		}
	}
	rel, err := filepath.Rel(string(h), to)
	if err != nil {
		return "", fmt.Errorf("keep %w: %w", ErrOrigin, err)
	}
	return rel, nil
}

func sameFile(a, b string) (bool, error) {
	x, err := os.Stat(a)
	if err != nil {
		return false, err
	}
	y, err := os.Stat(b)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && os.SameFile(x, y), err
}

// copyFile copies a file, whole or not at all, for the owner's eyes only.
func copyFile(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()                                         //nolint:errcheck // nothing was written
	out, err := os.CreateTemp(filepath.Dir(to), ".origin-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(out.Name()) //nolint:errcheck // gone after the rename, or of no use
	_, err = io.Copy(out, in)
	if err == nil {
		err = out.Sync()
	}
	if err = errors.Join(err, out.Close()); err == nil {
		err = os.Rename(out.Name(), to)
	}
	return err
}

// checkOrigin is the doctor's look at the export that a virtual server begins with.
func checkOrigin(h Home, v *VirtualConfig, f *exchange.Founding) Finding {
	const what = "export to begin with"
	_, err := os.Stat(filepath.Join(filepath.Dir(h.in(v.Founding)), "state"))
	begun := err == nil
	switch {
	case v.Origin == "" && v.StateSync:
		return Finding{What: what, Detail: "none: the state comes from the other members (state_sync)"}
	case v.Origin == "" && begun:
		return Finding{What: what, Note: true, Detail: "none: fine once this virtual server has begun here; if it does not start, " + neededOrigin(h, f)}
	case v.Origin == "":
		return Finding{What: what, Bad: true, Detail: neededOrigin(h, f)}
	}
	if err := readOrigin(h.in(v.Origin), f); err != nil {
		return Finding{What: what, Bad: !begun, Note: begun, Detail: err.Error() + ". " + neededOrigin(h, f)}
	}
	return Finding{What: what, Detail: fmt.Sprintf("%s: virtual server %x after block %d, root %s", v.Origin, f.Origin.Server[:8], f.Origin.Height, f.Origin.Root)}
}
