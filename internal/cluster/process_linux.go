package cluster

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

func dieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

// socketInode is the number of the socket on this machine whose own port is port
// and that is connected with a loopback address; empty if there is none.
func socketInode(port int) string {
	data, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		return ""
	}
	own := fmt.Sprintf("0100007F:%04X", port)
	lines := bufio.NewScanner(bytes.NewReader(data))
	for lines.Scan() {
		// sl local rem st queues timer retransmits uid timeout inode
		f := strings.Fields(lines.Text())
		if len(f) > 9 && f[1] == own && f[9] != "0" {
			return f[9]
		}
	}
	return ""
}

// holds tells whether a process has a socket open.
func holds(pid int, inode string) bool {
	dir := "/proc/" + strconv.Itoa(pid) + "/fd"
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false
	}
	for _, e := range entries {
		if to, err := os.Readlink(dir + "/" + e.Name()); err == nil && to == "socket:["+inode+"]" {
			return true
		}
	}
	return false
}
