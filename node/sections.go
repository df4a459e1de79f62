package node

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"souk/exchange"
)

// ErrServes is returned by Join for a virtual server that stands in the way of the
// one to be joined, and by Leave for one that is not served.
var ErrServes = errors.New("virtual servers")

// hosted is a virtual server of a config file.
type hosted struct {
	id       exchange.ID
	founding *exchange.Founding
	listen   string
	keys     string
}

// hosts are the virtual servers of a home's config file, in its order.
func (h Home) hosts() ([]hosted, error) {
	c, err := ReadConfig(h.Config())
	if err != nil {
		return nil, err
	}
	var all []hosted
	for i := range c.Virtual {
		f, err := ReadFounding(h.in(c.Virtual[i].Founding))
		if err != nil {
			return nil, fmt.Errorf("virtual server %d of %s: %w", i+1, h.Config(), err)
		}
		all = append(all, hosted{f.ID(), f, c.Virtual[i].Listen, c.Virtual[i].Keys})
	}
	return all, nil
}

// find is the index of the one virtual server whose id begins with a text.
func find(all []hosted, text string) (int, error) {
	found := -1
	for i := range all {
		if id := fmt.Sprintf("%x", all[i].id[:]); text != "" && strings.HasPrefix(id, strings.ToLower(text)) {
			if found >= 0 {
				return 0, fmt.Errorf("%w: %q fits several: write more of the id", ErrServes, text)
			}
			found = i
		}
	}
	if found < 0 {
		return 0, fmt.Errorf("%w: no id begins with %q: souk config show names them", ErrServes, text)
	}
	return found, nil
}

// section is the nth section of a config file.
func (h Home) section(n int) (VirtualConfig, error) {
	c, err := ReadConfig(h.Config())
	if err != nil {
		return VirtualConfig{}, err
	}
	return c.Virtual[n], nil
}

// with is a section with what another one says, where that is not silent.
func (v *VirtualConfig) with(other *VirtualConfig) VirtualConfig {
	w := *v
	if other.Listen != "" {
		w.Listen = other.Listen
	}
	if other.StateSync {
		w.StateSync = true
	}
	if other.TrustHeight != 0 {
		w.TrustHeight, w.TrustHash = other.TrustHeight, other.TrustHash
	}
	return w
}

// choose is the index of the virtual server that a text names, or of the only one.
func (h Home) choose(all []hosted, id string) (int, error) {
	switch {
	case len(all) == 0:
		return 0, fmt.Errorf("%w: %s names none", ErrServes, h.Config())
	case id != "":
		return find(all, id)
	case len(all) > 1:
		return 0, fmt.Errorf("%w: there are %d: say with --id which one, such as --id %x", ErrServes, len(all), all[0].id[:8])
	}
	return 0, nil
}

// Served is a virtual server of a home, and where to ask for it.
type Served struct {
	Founding *exchange.Founding
	// Servers are base URLs: this server's own first, then those of the other members
	// of the founding contract.
	Servers []string
	// Own is this server's own URL, and Member its name; empty if no card of the home is
	// for its keys.
	Own, Member string
}

// Serves is the virtual server of a home whose id begins with a text; it may be
// empty if there is one only.
func (h Home) Serves(id string) (Served, error) {
	all, err := h.hosts()
	if err != nil {
		return Served{}, err
	}
	at, err := h.choose(all, id)
	if err != nil {
		return Served{}, err
	}
	s := Served{Founding: all[at].founding}
	cards, err := h.Cards()
	if err != nil {
		return s, err
	}
	for i := range cards {
		if cards[i].Keys == all[at].keys {
			s.Servers = append(s.Servers, cards[i].Card.URL)
			s.Own, s.Member = cards[i].Card.URL, cards[i].Card.Name
		}
	}
	for i := range s.Founding.Members {
		if url := s.Founding.Members[i].URL; !slices.Contains(s.Servers, url) {
			s.Servers = append(s.Servers, url)
		}
	}
	return s, nil
}

// Leave takes a virtual server out of a home's config file: its section stays as a
// comment, its data stay where they are. It answers its id.
func (h Home) Leave(id string, now time.Time) (exchange.ID, error) {
	all, err := h.hosts()
	if err != nil {
		return exchange.ID{}, err
	}
	i, err := find(all, id)
	if err != nil {
		return exchange.ID{}, err
	}
	return all[i].id, h.rewrite(i, len(all), "left on "+now.UTC().Format(time.DateOnly), "")
}

// rewrite makes the nth of a config file's sections of virtual servers a comment and
// puts a text behind it; if n is negative it puts the text behind all.
func (h Home) rewrite(n, of int, why, more string) error {
	data, err := os.ReadFile(h.Config())
	if err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	text := string(data)
	if n >= 0 {
		var ok bool
		if text, ok = retire(text, n, of, why, more); !ok {
			return fmt.Errorf("%w: %s is written in a way that is not understood here: take the section of the virtual server out by hand", ErrConfig, h.Config())
		}
		more = ""
	}
	if !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	return replaceFile(h.Config(), []byte(text+more))
}

// retire makes the nth of so many sections of virtual servers a comment, with a text
// behind it; false if there are not so many.
func retire(text string, n, of int, why, more string) (string, bool) {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	var begins []int
	for i, line := range lines {
		if head, _, _ := strings.Cut(line, "#"); strings.Join(strings.Fields(head), "") == "[[virtual_server]]" {
			begins = append(begins, i)
		}
	}
	if len(begins) != of {
		return "", false
	}
	end := begins[n]
	for ; end < len(lines); end++ {
		line := strings.TrimSpace(lines[end])
		if end > begins[n] && strings.HasPrefix(line, "[") {
			break
		}
		if line != "" && line[0] != '#' {
			lines[end] = "# " + lines[end]
		}
	}
	lines[begins[n]] = "# This virtual server was " + why + "; its data are still in this home.\n" + lines[begins[n]]
	if more != "" {
		lines = slices.Insert(lines, end, strings.TrimRight(more, "\n")+"\n")
	}
	return strings.Join(lines, "\n"), true
}

// replaceFile puts new content into a file, whole or not at all.
func replaceFile(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".config-*") // mode 0600
	if err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	defer os.Remove(f.Name()) //nolint:errcheck // gone after the rename, or of no use
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	return nil
}

// replaced is which of a home's virtual servers a new one takes the place of: the
// one that its operator names, or the one that it was refounded from. It answers -1
// if there is none, and ErrServes if one that stays is in the way.
func replaced(all []hosted, f *exchange.Founding, listen, named string) (int, error) {
	at := -1
	if named != "" {
		i, err := find(all, named)
		if err != nil {
			return 0, err
		}
		at = i
	} else if f.Origin != nil {
		for i := range all {
			if all[i].id == f.Origin.Server {
				at = i
			}
		}
	}
	for i := range all {
		if i != at && listen != "" && all[i].listen == listen {
			return 0, fmt.Errorf("%w: %x listens on %s already: give this one another address with --listen, which must be that of its card, or end the other with --replace %x",
				ErrServes, all[i].id[:8], listen, all[i].id[:8])
		}
	}
	return at, nil
}
