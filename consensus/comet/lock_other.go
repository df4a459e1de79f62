//go:build !unix

package comet

import (
	"fmt"
	"os"
)

// lockFile makes a folder this process's own until the file is closed or the
// process ends: the system refuses to remove or make again a file that is open.
func lockFile(path string) (*os.File, error) {
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return nil, fmt.Errorf("%w: %s: %w", ErrKeyInUse, path, err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrKeyInUse, path, err)
	}
	return f, nil
}
