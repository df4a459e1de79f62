package node

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// ErrServed is returned by Open while another process serves the home.
var ErrServed = errors.New("runs already")

// lock makes a home one process's, until the file is closed or the process ends.
func (h Home) lock() (*os.File, error) {
	f, err := os.Open(string(h))
	if err != nil {
		return nil, fmt.Errorf("open the home: %w", err)
	}
	switch err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); {
	case errors.Is(err, syscall.EWOULDBLOCK):
		return nil, errors.Join(fmt.Errorf("the server of %s %w, in another process: souk status --home %s shows how it is", h, ErrServed, h), f.Close())
	case err != nil && !errors.Is(err, syscall.ENOTSUP) && !errors.Is(err, syscall.ENOLCK): // some disks know no locks
		return nil, errors.Join(fmt.Errorf("lock the home: %w", err), f.Close())
	}
	return f, nil
}
