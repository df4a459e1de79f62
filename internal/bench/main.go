// Command bench measures Souk on this machine, in one run: signatures, auctions,
// blocks, whole federations, failure, distance, and the page in a browser. It prints what it finds and
// writes it as one JSON object. make bench runs it.
//
// Figures per CPU-second count the processor time of the measuring process, user
// and system, so that other load on the machine disturbs them least. Figures of
// whole federations are those of souk processes that share this machine with each
// other and with the clients.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// run is one measuring.
type run struct {
	ctx     context.Context //nolint:containedctx // the whole program is one measuring
	binary  string
	dir     string
	figures map[string]any
}

// part is a group of figures that are measured together.
type part struct {
	name    string
	measure func(*run) error
}

var parts = []part{
	{"verify", (*run).verify},
	{"auction", (*run).auction},
	{"apply", (*run).apply},
	{"worst", (*run).worst},
	{"million", (*run).million},
	{"archive", (*run).archive},
	{"one", (*run).one},
	{"door", (*run).door},
	{"crowd", (*run).crowd},
	{"four", (*run).four},
	{"idle", (*run).idle},
	{"gap", (*run).gap},
	{"flood", (*run).flood},
	{"wan", (*run).wan},
	{"sign", (*run).sign},
	{"mail", (*run).mail},
	{"net", (*run).net},
	{"page", (*run).page},
}

// First arguments of the processes that flood starts.
const (
	flooderName = "flooder"
	targetName  = "target"
)

func main() {
	do := bench
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case flooderName:
			do = func() error { return runFlooder(os.Args[2:]) }
		case targetName:
			do = runTarget
		case crowderName:
			do = runCrowder
		}
	}
	if err := do(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func bench() error {
	var names []string
	for _, p := range parts {
		names = append(names, p.name)
	}
	only := flag.String("only", "", "measure only these parts, with commas: "+strings.Join(names, ","))
	out := flag.String("out", "bin/bench.json", "file for the figures")
	binary := flag.String("souk", "bin/souk", "souk binary to measure")
	flag.Parse()
	selected, err := choose(*only)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "souk-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // temporary
	path, err := filepath.Abs(*binary)
	if err != nil {
		return err
	}
	r := &run{ctx: context.Background(), binary: path, dir: dir, figures: map[string]any{}}
	return errors.Join(r.measure(selected), r.verdict(), r.write(*out))
}

// choose answers the parts of a list of names with commas, all if it is empty.
func choose(list string) (chosen []part, err error) {
	if list == "" {
		return parts, nil
	}
	names := strings.Split(list, ",")
	for _, p := range parts {
		if slices.Contains(names, p.name) {
			chosen = append(chosen, p)
		}
	}
	if len(chosen) != len(names) {
		return nil, fmt.Errorf("-only %s: there is a part in it that is none", list)
	}
	return chosen, nil
}

// measure measures parts. One that fails does not keep others from it.
func (r *run) measure(parts []part) error {
	r.set("cores", runtime.NumCPU())
	r.set("go", runtime.Version())
	if load, ok := loadAverage(); ok {
		r.set("load_average_at_start", load)
	}
	var failed error
	for _, p := range parts {
		say("--- %s\n", p.name)
		if err := p.measure(r); err != nil {
			err = fmt.Errorf("%s: %w", p.name, err)
			say("%v\n", err)
			failed = errors.Join(failed, err)
		}
	}
	r.ratios()
	return failed
}

// write writes the figures as JSON.
func (r *run) write(file string) error {
	data, err := json.MarshalIndent(r.figures, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil { //nolint:gosec // nothing secret
		return err
	}
	return os.WriteFile(file, append(data, '\n'), 0o644) //nolint:gosec // nothing secret
}

// set notes a figure and prints it.
func (r *run) set(name string, value any) {
	text := fmt.Sprint(value)
	if f, ok := value.(float64); ok {
		value, text = rounded(f), plain(rounded(f))
	}
	r.figures[name] = value
	say("%-28s %s\n", name, text)
}

// rounded has three digits behind the point, or none.
func rounded(f float64) float64 {
	if f >= 100 {
		return math.Round(f)
	}
	return math.Round(f*1000) / 1000
}

// ratios compares end to end figures with the raw rate of the same run.
func (r *run) ratios() {
	raw, ok := r.figures["raw_verify_per_s"].(float64)
	if !ok {
		return
	}
	if one, ok := r.figures["one_server_per_s"].(float64); ok {
		r.set("one_ratio", one/raw)
	}
	if four, ok := r.figures["four_servers_per_s"].(float64); ok {
		r.set("four_ratio", four/(raw/4))
	}
}

// cpu is the processor time that this process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) //nolint:forbidigo // the call has no reason to fail
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// quantile is the value below which a part of a sorted list lies.
func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

func ms(d time.Duration) float64 { return float64(d) / 1e6 }
