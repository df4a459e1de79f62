package postgrestest

import "syscall"

// dying makes a child end with the thread that started it, and so with the process.
func dying() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGINT} }
