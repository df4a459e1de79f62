package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"souk/node"
)

// What a flood is.
const (
	floodConnections = 1_000 // kept to each of two ports
	floodConnects    = 1_000 // opened in a second at most, at each port
	floodRequests    = 1_000 // valid requests in a second at most
	floodKept        = 0.9   // the least of these that makes it a flood
	floodNice        = 10
)

// flood floods both ports of one server for as long as it measures what the clients
// of the others notice. The same is measured before and after, on the same federation.
func (r *run) flood() error {
	const flooded = 3
	c, err := r.start("flood", node.LocalSetup{Servers: 4})
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // measured
	accounts, err := r.traders(c, 4)
	if err != nil {
		return err
	}
	used, begin := processCPU(c.PID(flooded)), time.Now()
	quiet, err := r.latency(c, accounts, 300, 0, 1, 2)
	if err != nil {
		return err
	}
	r.set("flood_server_quiet_cpu_percent", 100*(processCPU(c.PID(flooded))-used).Seconds()/time.Since(begin).Seconds())
	config, err := node.ReadConfig(c.Homes[flooded].Config())
	if err != nil {
		return err
	}
	r.set("flood_how", fmt.Sprintf("a process of its own, nice %d, keeps %d connections to each port, opens at most %d a second at each and sends at most %d valid requests a second",
		floodNice, floodConnections, floodConnects, floodRequests))
	f, err := r.startFlooder(strings.TrimPrefix(c.URLs[flooded], "http://"), config.Virtual[0].Listen)
	if err != nil {
		return err
	}
	defer f.kill()
	used, begin = processCPU(c.PID(flooded)), time.Now()
	busy, err := r.latency(c, accounts, 600, 0, 1, 2)
	if err != nil {
		return err
	}
	r.set("flood_server_cpu_percent", 100*(processCPU(c.PID(flooded))-used).Seconds()/time.Since(begin).Seconds())
	report, err := f.end()
	if err != nil {
		return err
	}
	status, err := c.Status(r.ctx, 0)
	if err != nil {
		return err
	}
	demoted := 0
	for i := range status.Members {
		if status.Members[i].Demoted {
			demoted++
		}
	}
	r.set("flood_demoted", demoted)
	if err := r.fullPower(r.ctx, c); err != nil {
		return err
	}
	more, err := r.latency(c, accounts, 300, 0, 1, 2)
	if err != nil {
		return err
	}
	quiet = append(quiet, more...)
	slices.Sort(quiet)
	r.set("flood_quiet_p50_ms", ms(quantile(quiet, 0.5)))
	r.set("flood_p50_ms", ms(quantile(busy, 0.5)))
	r.set("flood_quiet_p99_ms", ms(quantile(quiet, 0.99)))
	r.set("flood_p99_ms", ms(quantile(busy, 0.99)))
	r.set("flood_p99_ratio", float64(quantile(busy, 0.99))/float64(quantile(quiet, 0.99)))
	return r.flooded(report)
}

// flooded notes what a flood was, and complains of one that was none.
func (r *run) flooded(report *floodReport) error {
	r.set("flood_seconds", report.Seconds)
	r.set("flood_answers_per_s", report.Answers)
	r.set("flood_flooder_cpu_percent", report.CPU)
	var err error
	for _, port := range []struct {
		name string
		floodPortReport
	}{{"http", report.HTTP}, {"consensus", report.Consensus}} {
		name := "flood_" + port.name
		r.set(name+"_open", port.Open)
		r.set(name+"_attempts_per_s", port.Attempts)
		r.set(name+"_opened_per_s", port.Opened)
		r.set(name+"_open_by_kind", port.Kinds)
		switch {
		case port.Open >= floodKept*floodConnections:
			r.set(name+"_was", fmt.Sprintf("%.0f of %d connections open on average", port.Open, floodConnections))
		case port.Attempts >= floodKept*floodConnects:
			r.set(name+"_was", fmt.Sprintf("%.0f attempts to connect a second: the server closes or refuses, %.0f of %d were open on average", port.Attempts, port.Open, floodConnections))
		default:
			err = errors.Join(err, fmt.Errorf("the %s port was not flooded: %.0f of %d connections open on average, %.0f of %d attempts a second",
				port.name, port.Open, floodConnections, port.Attempts, floodConnects))
		}
	}
	return err
}

// flooding is a flooder's process.
type flooding struct {
	cmd *exec.Cmd
	in  interface{ Close() error }
	out *bufio.Reader
}

// startFlooder starts a flooder, and answers when it counts.
func (r *run) startFlooder(web, consensus string) (*flooding, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	number := strconv.Itoa
	cmd := exec.CommandContext(r.ctx, "nice", "-n", number(floodNice), self, flooderName, "-http", web, "-consensus", consensus, //nolint:gosec // our own program
		"-connections", number(floodConnections), "-connects", number(floodConnects), "-requests", number(floodRequests))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the flooder: %w", err)
	}
	f := &flooding{cmd: cmd, in: in, out: bufio.NewReader(out)}
	if line, err := f.out.ReadString('\n'); err != nil || line != "ready\n" {
		f.kill()
		return nil, fmt.Errorf("the flooder says %q: %w", line, err)
	}
	time.Sleep(2 * time.Second) // until the server does with it what it does
	if _, err := in.Write([]byte("count\n")); err != nil {
		f.kill()
		return nil, err
	}
	return f, nil
}

// end ends the flood and answers what it was.
func (f *flooding) end() (*floodReport, error) {
	if err := f.in.Close(); err != nil {
		return nil, err
	}
	report := &floodReport{}
	err := json.NewDecoder(f.out).Decode(report)
	return report, errors.Join(err, f.cmd.Wait())
}

// kill ends the process; it may have ended.
func (f *flooding) kill() {
	f.cmd.Process.Kill() //nolint:errcheck // it may have ended
	f.cmd.Wait()         //nolint:errcheck // it was killed
}
