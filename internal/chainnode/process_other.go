//go:build !linux

package chainnode

import "syscall"

func dieWithParent() *syscall.SysProcAttr { return nil }
