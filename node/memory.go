package node

import (
	"fmt"
	"log/slog"
	"math"
	"os"
	"path"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
)

// Memory says how much memory the process should get along with.
type Memory struct {
	Limit string `toml:"limit"`
}

// leastLimit is the smallest limit that can be set: below it a server would collect
// garbage all the time.
const leastLimit = 256 << 20

// units of a limit, as GOMEMLIMIT has them.
var units = []struct {
	name string
	size int64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40}, {"B", 1}}

// bytes is the limit; 0 if there shall be none, -1 if the machine decides.
func (m Memory) bytes() (int64, error) {
	switch m.Limit {
	case "":
		return -1, nil
	case "off":
		return 0, nil
	}
	for _, u := range units {
		text, ok := strings.CutSuffix(m.Limit, u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
		if err != nil || n < 0 || n > math.MaxInt64/u.size {
			break
		}
		if n*u.size < leastLimit {
			return 0, fmt.Errorf("%s is less than the least, %dMiB", m.Limit, leastLimit>>20)
		}
		return n * u.size, nil
	}
	return 0, fmt.Errorf("%q: write a size such as 2GiB or 800MiB, off for none, or nothing for three quarters of the machine's memory", m.Limit)
}

// Apply sets the soft limit of this process: near it garbage is collected more
// often, and memory given back to the system. The environment's GOMEMLIMIT goes
// before the config. It answers the limit, 0 if there is none.
func (m Memory) Apply(log *slog.Logger) int64 {
	if os.Getenv("GOMEMLIMIT") != "" { // the runtime has read it
		return debug.SetMemoryLimit(-1)
	}
	limit, err := m.bytes()
	if limit < 0 {
		limit = machineMemory("/") / 4 * 3
	}
	if err != nil || limit < leastLimit { // the config was checked; a machine may not tell
		return 0
	}
	debug.SetMemoryLimit(limit)
	log.Info("soft limit of memory", slog.Int64("bytes", limit))
	return limit
}

// machineMemory is what the machine has or what the process's control groups leave
// it, in bytes; 0 if that cannot be known. root is that of the file system.
func machineMemory(root string) int64 {
	least := int64(0)
	see := func(n int64) {
		if n > 0 && (least == 0 || n < least) {
			least = n
		}
	}
	see(memTotal(root))
	data, err := os.ReadFile(filepath.Join(root, "proc/self/cgroup"))
	if err != nil {
		return least
	}
	for line := range strings.Lines(string(data)) {
		// hierarchy:controllers:path; the second version has no controllers.
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		folder, file := "sys/fs/cgroup", "memory.max"
		switch {
		case parts[1] == "":
		case strings.Contains(","+parts[1]+",", ",memory,"):
			folder, file = "sys/fs/cgroup/memory", "memory.limit_in_bytes"
		default:
			continue
		}
		for group := path.Clean("/" + parts[2]); ; group = path.Dir(group) {
			see(number(filepath.Join(root, folder, group, file)))
			if group == "/" {
				break
			}
		}
	}
	return least
}

// memTotal is the machine's memory, as Linux tells it.
func memTotal(root string) int64 {
	data, err := os.ReadFile(filepath.Join(root, "proc/meminfo"))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "MemTotal:" && f[2] == "kB" {
			if kb, err := strconv.ParseInt(f[1], 10, 53); err == nil {
				return kb << 10
			}
		}
	}
	return 0
}

// number is what stands in a file that holds a number; 0 if it holds none.
func number(file string) int64 {
	data, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64)
	if err != nil {
		return 0
	}
	return n
}
