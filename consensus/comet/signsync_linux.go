package comet

import (
	"os"
	"syscall"
)

// dataSync syncs a file's content without its times, which need not survive.
type dataSync struct{ *os.File }

func (f dataSync) Sync() error {
	for {
		err := syscall.Fdatasync(int(f.Fd()))
		if err != syscall.EINTR { //nolint:errorlint // system calls return it bare
			return os.NewSyscallError("fdatasync", err)
		}
	}
}
