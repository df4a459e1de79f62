package sealed

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// disk is what of the file system can fail in ways that tests must see.
type disk struct {
	sync func(*os.File) error
	link func(old, path string) error
}

func osDisk() disk { return disk{sync: (*os.File).Sync, link: os.Link} }

// prepare makes the folder for a new file at path, and checks that it may be
// written there.
func (d disk) prepare(path string) error {
	if _, err := os.Lstat(path); err == nil {
		return ErrExists
	}
	dir := filepath.Dir(path)
	if err := d.makeFolder(dir); err != nil {
		return err
	}
	return privateFolder(dir)
}

// makeFolder makes a folder and its missing parents, durably.
func (d disk) makeFolder(dir string) error {
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	parent := filepath.Dir(dir)
	if err := d.makeFolder(parent); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return d.syncFolder(parent)
}

// place makes a new file appear, whole or not at all, and durably.
func (d disk) place(path string, data []byte) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".sealing-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) //nolint:errcheck // gone after the link, or of no use
	_, err = f.Write(data)
	if err == nil {
		err = d.sync(f)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	// Unlike a rename, a link does not replace a file that appeared meanwhile.
	if err := d.link(f.Name(), path); errors.Is(err, fs.ErrExist) {
		return ErrExists
	} else if err != nil {
		return err
	}
	if err := d.syncFolder(dir); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// syncFolder makes what a folder lists durable.
func (d disk) syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.sync(f), f.Close())
}

// private refuses a file that others may read.
func private(path string, info fs.FileInfo) error {
	if info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%w: %s has mode %04o; run chmod 600 on it, and change the secret if others were there",
			ErrPermissions, path, info.Mode().Perm())
	}
	return nil
}

// privateFolder refuses a folder that others may enter.
func privateFolder(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is not a folder", dir)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%w: the folder %s has mode %04o; run chmod 700 on it", ErrPermissions, dir, info.Mode().Perm())
	}
	return nil
}
