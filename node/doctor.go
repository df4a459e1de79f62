package node

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// Finding is the result of one of Doctor's checks.
type Finding struct {
	What   string `json:"what"`
	Bad    bool   `json:"bad"`
	Detail string `json:"detail"` // what was found, and if it is bad what to do
}

const (
	leastDisk = 2 << 30 // bytes free below which a server is at risk
	mostSkew  = time.Second
)

// Doctor looks for what could keep a server from working. It changes nothing.
func Doctor(ctx context.Context, h Home) []Finding {
	c, err := ReadConfig(h.Config())
	if err != nil {
		return []Finding{{"configuration", true, err.Error()}}
	}
	all := []Finding{{"configuration", false, h.Config()}, checkCard(h), checkFiles(h), checkDisk(h), checkPort("http port", c.HTTP.Listen)}
	for i := range c.Virtual {
		v := &c.Virtual[i]
		f, err := ReadFounding(h.in(v.Founding))
		if err != nil {
			all = append(all, Finding{"founding contract", true, err.Error()})
			continue
		}
		id := f.ID()
		all = append(all, Finding{"founding contract", false, fmt.Sprintf("virtual server %x, %d members", id[:8], len(f.Members))})
		if _, err := os.Stat(filepath.Join(h.in(v.Keys), RoleConsensus+".age")); err != nil {
			all = append(all, Finding{"consensus key", true, err.Error() + ": the keys of this section of config.toml are those of a card; souk card list shows which there are"})
		}
		if v.Listen != "" {
			all = append(all, checkPort("consensus port", v.Listen))
		}
		for j := range f.Members {
			all = append(all, checkMember(ctx, f.Members[j].Name, f.Members[j].URL))
		}
	}
	return all
}

func checkCard(h Home) Finding {
	card, err := h.Card()
	if err != nil {
		return Finding{"member card", true, err.Error()}
	}
	return Finding{"member card", false, card.Name}
}

func checkFiles(h Home) Finding {
	paths, err := filepath.Glob(h.key("*"))
	if err != nil || len(paths) == 0 {
		return Finding{"keys", true, "no keys in " + filepath.Dir(h.key("x")) + ": make a server with souk init"}
	}
	if more, err := filepath.Glob(filepath.Join(string(h), "cards", "*", "*.age")); err == nil {
		paths = append(paths, more...)
	}
	folders := map[string]bool{}
	for _, p := range paths {
		folders[filepath.Dir(p)] = true
	}
	for _, p := range slices.AppendSeq(slices.Clone(paths), maps.Keys(folders)) {
		info, err := os.Stat(p)
		if err != nil {
			return Finding{"keys", true, err.Error()}
		}
		if info.Mode().Perm()&0o077 != 0 {
			return Finding{"keys", true, fmt.Sprintf("others may read %s: chmod 600 files and 700 folders", p)}
		}
	}
	return Finding{"keys", false, fmt.Sprintf("%d sealed; keep copies of them and of the passphrase elsewhere", len(paths))}
}

func checkDisk(h Home) Finding {
	var s syscall.Statfs_t
	if err := syscall.Statfs(string(h), &s); err != nil {
		return Finding{"disk", true, err.Error()}
	}
	free := s.Bavail * uint64(s.Bsize)
	f := Finding{What: "disk", Detail: fmt.Sprintf("%d MB free", free>>20)}
	if free < leastDisk {
		f.Bad, f.Detail = true, f.Detail+": make room; a server stops when the disk is full"
	}
	return f
}

// checkPort tells whether a port can be listened on, or a server does already.
func checkPort(what, listen string) Finding {
	l, err := net.Listen("tcp", listen)
	if err == nil {
		l.Close() //nolint:errcheck // nothing was served
		return Finding{what, false, listen + " is free"}
	}
	conn, derr := net.DialTimeout("tcp", listen, time.Second)
	if derr == nil {
		conn.Close() //nolint:errcheck // nothing was sent
		return Finding{what, false, listen + " is in use; fine if this server is running"}
	}
	return Finding{what, true, err.Error()}
}

// checkMember asks a member's server whether it lives, and compares clocks.
func checkMember(ctx context.Context, name, url string) Finding {
	what := "member " + name
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/livez", nil)
	if err != nil {
		return Finding{what, true, err.Error()}
	}
	begin := time.Now()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return Finding{what, true, "does not answer: " + err.Error()}
	}
	defer resp.Body.Close() //nolint:errcheck // nothing is read
	took := time.Since(begin)
	f := Finding{what, false, fmt.Sprintf("%s answers in %v", url, took.Round(time.Millisecond))}
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		// The header counts whole seconds.
		if skew := time.Since(date.Add(time.Second / 2)); skew.Abs() > mostSkew+time.Second/2+took {
			f.Bad, f.Detail = true, fmt.Sprintf("its clock and this one differ by about %v: run a time service on both", skew.Round(time.Second))
		}
	}
	return f
}
