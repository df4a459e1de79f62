package comet

import (
	"errors"
	"os"
	"syscall"
)

// dataSync syncs a file's content without its times, which need not survive.
type dataSync struct{ *os.File }

func (f dataSync) Sync() error {
	for {
		err := syscall.Fdatasync(int(f.Fd()))
		if !errors.Is(err, syscall.EINTR) {
			return os.NewSyscallError("fdatasync", err)
		}
	}
}
