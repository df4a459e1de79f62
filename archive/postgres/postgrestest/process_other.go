//go:build !linux

package postgrestest

import "syscall"

func dying() *syscall.SysProcAttr { return &syscall.SysProcAttr{} }
