package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
)

// bar is what a figure has to reach, or not to exceed.
type bar struct {
	figure string
	least  bool // the figure is to be at least the limit, else at most
	strict bool // and not equal to it
	limit  float64
	what   string
}

func atLeast(figure string, limit float64, what string) bar {
	return bar{figure, true, false, limit, what}
}

func atMost(figure string, limit float64, what string) bar {
	return bar{figure, false, false, limit, what}
}

func under(figure string, limit float64, what string) bar {
	return bar{figure, false, true, limit, what}
}

// bars are all of them, in the order of the parts that measure them.
func bars() []bar {
	list := []bar{
		atLeast("auction_per_cpu_s", 2_000_000, "commands per CPU-second in the auction of one market"),
		atLeast("apply_per_cpu_s", 200_000, "commands per CPU-second in whole blocks of 1,024"),
		atLeast("one_ratio", 0.60, "commands a second by one server, of the raw verification rate"),
		atLeast("four_ratio", 0.60, "the same by four servers, of a quarter of it"),
		atMost("one_server_p50_ms", 5, "one server, from submission to the committed answer"),
		atMost("door_added_p50_ms", 5, "what a gate adds to an order of a client on its machine, one server"),
		atMost("crowd_gate_p99_ratio", 3, "p99 of an honest client of a gate while a crowd behaves badly, of that before"),
		atMost("crowd_server_p99_ratio", 3, "the same of an honest client of the server"),
		atMost("crowd_failed", 0, "honest orders that failed meanwhile"),
		atMost("crowd_bad_wrongly_answered", 0, "bad requests with another status than is right"),
		atMost("four_servers_p50_ms", 40, "the same, four servers"),
		atMost("four_servers_p99_ms", 100, ""),
		atMost("gap_p50_ms", 500, "pause while one of four servers is killed"),
		under("gap_p99_ratio", 2, "p99 from 5 s after a kill on, of that before"),
		atMost("idle_four_blocks", 0, "four idle servers in one process"),
		under("idle_four_cpu_percent", 3, "of one core"),
		under("idle_four_rss_mb", 150, ""),
		atMost("wan_p50_ms", 400, "four servers 40 ms apart"),
		under("flood_p99_ratio", 2, "p99 of the others while one member is flooded, of that before and after"),
		atMost("sign_p50_ms", 200, "signing a withdrawal by three of four members"),
		atLeast("sign_inputs", signInputs, "its inputs"),
		under("page_book_p50_ms", 1000, "a cold load of the page until the book is seen"),
		atMost("page_longest_frame_ms", 100, "while the book changes a hundred times a second, for a minute"),
		under("page_heap_growth_mb", 5, "meanwhile"),
		atMost("mail_foreign_us", 1, "a message of strangers, after its stamp was checked"),
		atMost("net_missing", 0, "40 peers over TCP, 20 messages a second: deliveries that were none or a second one"),
		atMost("net_p50_ms", 10, "from a peer to another one"),
		atMost("net_p99_ms", 30, ""),
		under("net_mb_per_peer", 3.5, "resident"),
		atMost("net_flood_missing", 0, "the same while one identity floods"),
		atMost("net_flood_cut_ms", 1000, "until it is cut"),
		atMost("net_flood_p99_ratio", 3, "p99 of honest messages meanwhile, of that before"),
		atLeast("archive_fills_per_s", 10_000, "fills, with all that goes with them, into an archive made anew"),
	}
	for _, load := range []string{"apply", "apply_10000", "one_server", "four_servers"} {
		list = append(list, under(load+"_rejected_percent", 1, "load: commands rejected"),
			atLeast(load+"_traded_on_arrival_percent", 25, "load: limit orders that trade on arrival"))
	}
	return list
}

// judged is what became of a bar, as it stands in the JSON.
type judged struct {
	Figure string  `json:"figure"`
	What   string  `json:"what,omitempty"`
	Value  float64 `json:"value"`
	Bar    string  `json:"bar"`
	Met    bool    `json:"met"`
}

// text is the bar as people write it.
func (b bar) text() string {
	switch {
	case b.least:
		return fmt.Sprintf(">= %s", plain(b.limit))
	case b.strict:
		return fmt.Sprintf("< %s", plain(b.limit))
	}
	return fmt.Sprintf("<= %s", plain(b.limit))
}

func (b bar) met(value float64) bool {
	switch {
	case b.least:
		return value >= b.limit
	case b.strict:
		return value < b.limit
	}
	return value <= b.limit
}

// plain is a number without an exponent.
func plain(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

// judge compares what was measured with its bars.
func (r *run) judge() (list []judged, missed int) {
	for _, b := range bars() {
		value, ok := number(r.figures[b.figure])
		if !ok {
			continue
		}
		j := judged{b.figure, b.what, value, b.text(), b.met(value)}
		if !j.Met {
			missed++
		}
		list = append(list, j)
	}
	return list, missed
}

func number(figure any) (float64, bool) {
	switch f := figure.(type) {
	case float64:
		return f, true
	case int:
		return float64(f), true
	}
	return 0, false
}

// verdict prints the bars of what was measured, and what to think of the machine; it
// returns an error if one is missed.
func (r *run) verdict() error {
	list, missed := r.judge()
	r.figures["bars"], r.figures["bars_missed"] = list, missed
	if len(list) == 0 {
		return nil
	}
	say("\n%-40s %12s  %-12s\n", "figure", "measured", "bar")
	for _, j := range list {
		result := "met"
		if !j.Met {
			result = "MISSED"
		}
		say("%-40s %12s  %-12s %-7s %s\n", j.Figure, plain(j.Value), j.Bar, result, j.What)
	}
	say("\n%s\n", r.machine())
	if missed > 0 {
		return fmt.Errorf("%d of %d bars missed", missed, len(list))
	}
	return nil
}

// machine says how quiet the machine was.
func (r *run) machine() string {
	raw := "raw verification was not measured"
	if rate, ok := number(r.figures["raw_verify_per_s"]); ok {
		raw = fmt.Sprintf("raw verification %.0f a second", rate)
	}
	load := "the load average at the start is not known"
	if l, ok := r.figures["load_average_at_start"].(string); ok {
		load = "load average at the start " + l
	}
	return fmt.Sprintf("this machine: %d cores, %s, %s", runtime.NumCPU(), load, raw)
}

// loadAverage is that of the last one, five and fifteen minutes.
func loadAverage() (string, bool) {
	data, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "", false
	}
	fields := strings.Fields(string(data))
	if len(fields) < 3 {
		return "", false
	}
	return strings.Join(fields[:3], " "), true
}

func say(format string, args ...any) {
	fmt.Printf(format, args...) //nolint:forbidigo // this is the program's output
}
