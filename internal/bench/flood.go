package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"souk/internal/cluster"
	"souk/internal/load"
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
// of the others notice. The same is measured before and after, on the same federation,
// and while a program is flooded in the same way that is no server of Souk: what is lost
// then, this machine has lost, which all of them share.
func (r *run) flood() error {
	const victim = 3
	c, err := r.start("flood", node.LocalSetup{Servers: 4})
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // measured
	accounts, err := r.traders(c, 4)
	if err != nil {
		return err
	}
	r.set("flood_how", fmt.Sprintf("a process of its own, nice %d, keeps %d connections to each port, opens at most %d a second at each and sends at most %d valid requests a second",
		floodNice, floodConnections, floodConnects, floodRequests))
	begin, used := time.Now(), processCPU(c.PID(victim))
	share := func() float64 {
		return 100 * (processCPU(c.PID(victim)) - used).Seconds() / time.Since(begin).Seconds()
	}
	quiet, err := r.latency(c, accounts, 300, 0, 1, 2)
	if err != nil {
		return err
	}
	r.set("flood_server_quiet_cpu_percent", share())
	control, err := r.floodTarget(c, accounts)
	if err != nil {
		return err
	}
	config, err := node.ReadConfig(c.Homes[victim].Config())
	if err != nil {
		return err
	}
	begin, used = time.Now(), processCPU(c.PID(victim))
	busy, report, err := r.flooding(c, accounts, strings.TrimPrefix(c.URLs[victim], "http://"), config.Virtual[0].Listen)
	if err != nil {
		return err
	}
	r.set("flood_server_cpu_percent", share())
	if err := r.demoted(c); err != nil {
		return err
	}
	more, err := r.latency(c, accounts, 300, 0, 1, 2)
	if err != nil {
		return err
	}
	quiet = append(quiet, more...)
	slices.Sort(quiet)
	for _, x := range []struct {
		name string
		took []time.Duration
	}{{"flood_quiet", quiet}, {"flood_control", control}, {"flood", busy}} {
		r.set(x.name+"_p50_ms", ms(quantile(x.took, 0.5)))
		r.set(x.name+"_p99_ms", ms(quantile(x.took, 0.99)))
	}
	r.set("flood_control_p99_ratio", float64(quantile(control, 0.99))/float64(quantile(quiet, 0.99)))
	r.set("flood_p99_ratio", float64(quantile(busy, 0.99))/float64(quantile(quiet, 0.99)))
	return r.flooded(report)
}

// flooding measures what clients of three servers notice while two ports are flooded.
func (r *run) flooding(c *cluster.Cluster, accounts []load.Account, web, consensus string) ([]time.Duration, *floodReport, error) {
	f, err := r.startFlooder(web, consensus)
	if err != nil {
		return nil, nil, err
	}
	defer f.kill()
	took, err := r.latency(c, accounts, 600, 0, 1, 2)
	if err != nil {
		return nil, nil, err
	}
	report, err := f.end()
	return took, report, err
}

// floodTarget measures the same while a floodable program is flooded.
func (r *run) floodTarget(c *cluster.Cluster, accounts []load.Account) ([]time.Duration, error) {
	f, err := r.startChild(targetName)
	if err != nil {
		return nil, err
	}
	defer f.kill()
	line, err := f.out.ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("what is to be flooded: %w", err)
	}
	web, consensus, _ := strings.Cut(strings.TrimSpace(line), " ")
	took, _, err := r.flooding(c, accounts, web, consensus)
	return took, err
}

// demoted notes how many members have lost their power, and waits until none has.
func (r *run) demoted(c *cluster.Cluster) error {
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
	ctx, cancel := context.WithTimeout(r.ctx, 2*time.Minute)
	defer cancel()
	return r.fullPower(ctx, c)
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

// child is a process of this program that does something else.
type child struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// startChild starts this program anew with arguments; a flooder is nicer than others.
func (r *run) startChild(args ...string) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(r.ctx, self, args...) //nolint:gosec // our own program
	if args[0] == flooderName || args[0] == crowderName {
		cmd = exec.CommandContext(r.ctx, "nice", append([]string{"-n", strconv.Itoa(floodNice), self}, args...)...) //nolint:gosec // our own program
	}
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
		return nil, fmt.Errorf("start the %s: %w", args[0], err)
	}
	return &child{cmd, in, bufio.NewReader(out)}, nil
}

// startFlooder starts a flooder, and answers when it counts.
func (r *run) startFlooder(web, consensus string) (*child, error) {
	n := strconv.Itoa
	f, err := r.startChild(flooderName, "-http", web, "-consensus", consensus,
		"-connections", n(floodConnections), "-connects", n(floodConnects), "-requests", n(floodRequests))
	if err != nil {
		return nil, err
	}
	if line, err := f.out.ReadString('\n'); err != nil || line != "ready\n" {
		f.kill()
		return nil, fmt.Errorf("the flooder says %q: %w", line, err)
	}
	time.Sleep(2 * time.Second) // until the server does with it what it does
	if _, err := io.WriteString(f.in, "count\n"); err != nil {
		f.kill()
		return nil, err
	}
	return f, nil
}

// end ends the flood and answers what it was.
func (f *child) end() (*floodReport, error) {
	if err := f.in.Close(); err != nil {
		return nil, err
	}
	report := &floodReport{}
	err := json.NewDecoder(f.out).Decode(report)
	return report, errors.Join(err, f.cmd.Wait())
}

// kill ends the process; it may have ended.
func (f *child) kill() {
	f.cmd.Process.Kill() //nolint:errcheck // it may have ended
	f.cmd.Wait()         //nolint:errcheck // it was killed
}
