package pebble

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"souk/store"
)

// disk is the file system that the engine sees. The engine was made for a
// process that dies at the first disk error: it panics with locks half undone
// when the log cannot be written, and goes on in a state nobody has thought about
// when the manifest cannot. So it is never told. At the first error of an
// operation that changes the store's folder, disk records the failure and stops
// the goroutine where it stands, and from then on every other that comes to change
// something. What is on the disk then is what a loss of power at that moment would
// have left, or more. An engine so stopped is never heard of again. It keeps its
// memory and its open files until the process ends, but not the folder: since it
// can change nothing there, abandon gives the folder's lock back.
type disk struct {
	vfs.FS
	dir     string
	failed  *failure
	armed   atomic.Bool // errors are returned as they are until Open is done
	changes gate        // changes under way; closed when the store is given up
	lock    lock        // of the folder
}

// change carries out an operation that changes the store's folder.
func (d *disk) change(operation func() error) error {
	if !d.changes.enter() {
		select {}
	}
	armed := d.armed.Load()
	if armed && d.failed.get() != nil {
		d.changes.leave()
		select {}
	}
	err := operation()
	if armed && err != nil {
		_ = d.failed.set(err) // told to those who ask
	}
	d.changes.leave()
	if armed && err != nil {
		select {}
	}
	return err
}

// abandon gives back the folder of a store that has failed, so that it can be
// opened again, as soon as the changes that are under way have ended; there will be
// no others. It waits for that a while only: a dying disk may never end them.
func (d *disk) abandon() error {
	done := make(chan error, 1)
	go func() {
		d.changes.close()
		done <- d.lock.Close()
	}()
	timer := time.NewTimer(abandonWithin)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		return errors.New("the disk does not answer; the folder stays locked until it does")
	}
}

// abandonWithin is how long Close waits for what a failed disk was last asked to do.
const abandonWithin = 5 * time.Second

// inside reports whether name is in the store's folder, not in a checkpoint.
func (d *disk) inside(name string) bool { return d.PathDir(name) == d.dir }

// Create creates a file. The engine points to a new manifest before it has made
// sure that the folder lists it; Create makes sure.
func (d *disk) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := d.file(name, func() (vfs.File, error) { return d.FS.Create(name, category) })
	if err != nil || !d.inside(name) || !strings.HasPrefix(d.PathBase(name), "MANIFEST-") {
		return f, err
	}
	if err := d.sync(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// sync makes what the folder lists durable.
func (d *disk) sync() error {
	f, err := d.OpenDir(d.dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// ReuseForWrite renames an old file and opens it to be written anew.
func (d *disk) ReuseForWrite(old, name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return d.file(name, func() (vfs.File, error) { return d.FS.ReuseForWrite(old, name, category) })
}

// OpenReadWrite opens a file to be read and written.
func (d *disk) OpenReadWrite(name string, category vfs.DiskWriteCategory, options ...vfs.OpenOption) (vfs.File, error) {
	return d.file(name, func() (vfs.File, error) { return d.FS.OpenReadWrite(name, category, options...) })
}

// OpenDir opens a folder to be synced.
func (d *disk) OpenDir(name string) (vfs.File, error) {
	f, err := d.FS.OpenDir(name)
	if err == nil && name == d.dir {
		f = &file{f, d, name}
	}
	return f, err
}

// Rename renames a file.
func (d *disk) Rename(old, name string) error {
	if !d.inside(name) {
		return d.FS.Rename(old, name)
	}
	return d.change(func() error { return d.FS.Rename(old, name) })
}

// Remove removes a file, and it does not matter if it was not there.
func (d *disk) Remove(name string) error {
	if !d.inside(name) {
		return d.FS.Remove(name)
	}
	var missing error
	err := d.change(func() error {
		err := d.FS.Remove(name)
		if errors.Is(err, fs.ErrNotExist) {
			missing, err = err, nil
		}
		return err
	})
	if missing != nil {
		return missing
	}
	return err
}

// MkdirAll makes a folder and its missing parents, for their owner only.
func (d *disk) MkdirAll(dir string, _ fs.FileMode) error { return d.FS.MkdirAll(dir, 0o700) }

// Lock locks a file against this and other processes.
func (d *disk) Lock(name string) (io.Closer, error) {
	held, err := d.FS.Lock(name)
	if err != nil {
		if path := (*fs.PathError)(nil); !errors.As(err, &path) {
			err = fmt.Errorf("%w: %w", store.ErrLocked, err)
		}
		return nil, err
	}
	if !d.inside(name) {
		return held, nil
	}
	d.lock.set(held)
	return &d.lock, nil
}

// lock is a lock that is given back once, by whoever is first.
type lock struct {
	mu   sync.Mutex
	held io.Closer // nil: not held
}

func (l *lock) set(held io.Closer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held = held
}

// Close gives the lock back, if it is held.
func (l *lock) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held == nil {
		return nil
	}
	held := l.held
	l.held = nil
	return held.Close()
}

// file opens a file by a call that may change the folder.
func (d *disk) file(name string, open func() (vfs.File, error)) (f vfs.File, err error) {
	if !d.inside(name) {
		return open()
	}
	err = d.change(func() error {
		f, err = open()
		return err
	})
	if err != nil {
		return nil, err
	}
	return &file{f, d, name}, nil
}

// file is a file, or the folder itself, that may be changed.
type file struct {
	vfs.File
	disk *disk
	name string
}

// Write appends p.
func (f *file) Write(p []byte) (n int, err error) {
	err = f.disk.change(func() error { n, err = f.File.Write(p); return err })
	return n, err
}

// WriteAt writes p at the offset.
func (f *file) WriteAt(p []byte, offset int64) (n int, err error) {
	err = f.disk.change(func() error { n, err = f.File.WriteAt(p, offset); return err })
	return n, err
}

// Sync makes the file durable.
func (f *file) Sync() error { return f.disk.change(f.File.Sync) }

// SyncData makes what is in the file durable.
func (f *file) SyncData() error {
	return f.disk.change(func() error { return f.told(f.File.SyncData()) })
}

// SyncTo starts to make the file's first bytes durable.
func (f *file) SyncTo(length int64) (full bool, err error) {
	err = f.disk.change(func() error { full, err = f.File.SyncTo(length); return f.told(err) })
	return full, err
}

// told adds the file's name to an error of the system that lacks it.
func (f *file) told(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("sync %s: %w", f.name, err)
}

// Close closes the file.
func (f *file) Close() error { return f.disk.change(f.File.Close) }
