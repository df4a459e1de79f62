package node_test

import (
	"errors"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"

	"souk/node"
)

// The soft limit of memory is that of the environment, of the config, or three
// quarters of what the machine has, in this order.
func TestMemoryLimit(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	t.Cleanup(func() { debug.SetMemoryLimit(before) })
	t.Setenv("GOMEMLIMIT", "")
	for limit, want := range map[string]int64{"300MiB": 300 << 20, "2GiB": 2 << 30, "4 GiB": 4 << 30, "1073741824B": 1 << 30} {
		if got := (node.Memory{Limit: limit}).Apply(slog.New(slog.DiscardHandler)); got != want || debug.SetMemoryLimit(-1) != want {
			t.Errorf("%s: %d, and %d is set", limit, got, debug.SetMemoryLimit(-1))
		}
	}
	debug.SetMemoryLimit(math.MaxInt64)
	if got := (node.Memory{Limit: "off"}).Apply(slog.New(slog.DiscardHandler)); got != 0 || debug.SetMemoryLimit(-1) != math.MaxInt64 {
		t.Errorf("off: %d", got)
	}
	if total := node.MachineMemory("/"); total > 0 {
		if got := (node.Memory{}).Apply(slog.New(slog.DiscardHandler)); got != total/4*3 || debug.SetMemoryLimit(-1) != got {
			t.Errorf("%d of %d", got, total)
		}
	}
	t.Setenv("GOMEMLIMIT", "500MiB") // the runtime has read it at the start
	debug.SetMemoryLimit(500 << 20)
	if got := (node.Memory{Limit: "2GiB"}).Apply(slog.New(slog.DiscardHandler)); got != 500<<20 || debug.SetMemoryLimit(-1) != got {
		t.Errorf("the environment's limit became %d", got)
	}
	for _, bad := range []string{"2", "2GB", "GiB", "-1GiB", "0.5GiB", "1MiB", "99999999999TiB", "on"} {
		if _, err := node.ParseConfig([]byte("[memory]\nlimit = \"" + bad + "\"")); !errors.Is(err, node.ErrConfig) || !strings.Contains(err.Error(), "memory.limit") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// What a machine has is the least of its memory and of what control groups, of both
// versions and at every level, leave the process.
func TestMachineMemory(t *testing.T) {
	const meminfo = "MemTotal:        8388608 kB\nMemFree:         100 kB\n"
	for _, c := range []struct {
		name  string
		files map[string]string
		want  int64
	}{
		{"nothing is known", nil, 0},
		{"no groups", map[string]string{"proc/meminfo": meminfo}, 8 << 30},
		{"a group without a limit", map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "max\n",
		}, 8 << 30},
		{"a group above", map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "0::/a/b\n",
			"sys/fs/cgroup/a/b/memory.max": "max\n", "sys/fs/cgroup/a/memory.max": "1073741824\n",
		}, 1 << 30},
		{"the first version", map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "4:cpu,cpuacct:/c\n3:memory:/c\n",
			"sys/fs/cgroup/memory/c/memory.limit_in_bytes": "2147483648\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
		}, 2 << 30},
		{"nonsense", map[string]string{"proc/meminfo": "MemTotal: much\n", "proc/self/cgroup": "?"}, 0},
	} {
		root := t.TempDir()
		for name, text := range c.files {
			file := filepath.Join(root, filepath.FromSlash(name))
			if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got := node.MachineMemory(root); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}
