//go:build !linux

package chainnode

import (
	"os/exec"
	"syscall"
)

func dieWithParent() *syscall.SysProcAttr { return nil }

// together does nothing here: what a command has started ends by itself.
func together(*exec.Cmd) (rest func()) { return func() {} }
