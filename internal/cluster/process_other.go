//go:build !linux

package cluster

import "syscall"

func dieWithParent() *syscall.SysProcAttr { return nil }

// socketInode and holds need Linux; without them a Network knows no sources.
func socketInode(int) string { return "" }

func holds(int, string) bool { return false }
