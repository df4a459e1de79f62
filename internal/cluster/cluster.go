// Package cluster runs a federation on this machine as processes of the souk
// binary: the demonstration, the measurements and the tests of whole processes
// start, kill, stop and restart servers through it, and, through forwarders
// between them, cut and hold the links of their network (network.go).
package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"souk/api"
	"souk/exchange"
	"souk/internal/ports"
	"souk/node"
)

// Cluster is a federation whose servers are processes. Its methods may be called
// concurrently.
type Cluster struct {
	*node.Local
	// Net is the network between the servers, if they were founded with Networked.
	Net    *Network
	binary string

	mu      sync.Mutex // guards what follows
	servers []*process // nil: never started
}

// process is one server.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}
}

// begin starts the souk program; what it writes is added to the file log.
func begin(binary, log string, args ...string) (*process, error) {
	to, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	cmd := exec.Command(binary, args...) //nolint:gosec // our own program
	cmd.Stdout, cmd.Stderr = to, to
	// It must not outlive whoever started it for a trial.
	cmd.SysProcAttr = dieWithParent()
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start: %w", err), to.Close())
	}
	p := &process{cmd: cmd, done: make(chan struct{})}
	go func() {
		cmd.Wait() //nolint:errcheck // the log says why
		to.Close() //nolint:errcheck // written by the process
		close(p.done)
	}()
	return p, nil
}

// running tells whether the process has not ended.
func (p *process) running() bool {
	if p == nil {
		return false
	}
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Start founds a federation and starts all its servers. binary is the souk
// program; what a server logs goes to the file log in its home.
func Start(binary string, s node.LocalSetup) (*Cluster, error) {
	c, err := Found(binary, s)
	if err != nil {
		return nil, err
	}
	return c.startAll()
}

// Networked is Start with a Network of forwarders between the servers, which delay
// everything by delay plus or minus up to jitter, one way.
func Networked(binary string, s node.LocalSetup, delay, jitter time.Duration) (*Cluster, error) {
	free, err := ports.Claim(3 * s.Servers)
	if err != nil {
		return nil, err
	}
	s.HTTP, s.Consensus = free[0], free[s.Servers]
	n := &Network{delay: delay, jitter: jitter}
	if err := n.listen(&s, free[2*s.Servers]); err != nil {
		return nil, errors.Join(err, n.close())
	}
	c, err := Found(binary, s)
	if err != nil {
		return nil, errors.Join(err, n.close())
	}
	c.Net, n.cluster = n, c
	return c.startAll()
}

func (c *Cluster) startAll() (*Cluster, error) {
	for i := range c.Homes {
		if err := c.Restart(i); err != nil {
			return nil, errors.Join(err, c.Close())
		}
	}
	return c, nil
}

// Found founds a federation and starts nothing: Restart does.
func Found(binary string, s node.LocalSetup) (*Cluster, error) {
	local, err := node.FoundLocal(s)
	if err != nil {
		return nil, err
	}
	return Adopt(binary, local), nil
}

// Adopt runs homes that were founded otherwise. Nothing is started; each home needs
// a passphrase file where Home.PassphraseFile says.
func Adopt(binary string, local *node.Local) *Cluster {
	return &Cluster{Local: local, binary: binary, servers: make([]*process, len(local.Homes))}
}

// Add adds a server that has joined the federation, and answers its number. Nothing is started.
func (c *Cluster) Add(home node.Home, url string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Homes, c.URLs, c.servers = append(c.Homes, home), append(c.URLs, url), append(c.servers, nil)
	return len(c.Homes) - 1
}

// LogFile is where a server's log is.
func (c *Cluster) LogFile(i int) string { return filepath.Join(string(c.Homes[i]), "log") }

// Restart starts a server that is not running.
func (c *Cluster) Restart(i int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.servers[i].running() {
		return fmt.Errorf("server %d is running already", i+1)
	}
	home := c.Homes[i]
	p, err := begin(c.binary, c.LogFile(i), "serve", "--home", string(home), "--passphrase-file", home.PassphraseFile())
	if err != nil {
		return fmt.Errorf("server %d: %w", i+1, err)
	}
	c.servers[i] = p
	return nil
}

// process is a server's process, nil if it was never started.
func (c *Cluster) process(i int) *process {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.servers[i]
}

// Running tells whether a server's process runs.
func (c *Cluster) Running(i int) bool { return c.process(i).running() }

// Ended answers when a server's process has ended.
func (c *Cluster) Ended(i int) <-chan struct{} { return c.process(i).done }

// ExitCode is the exit status of a server's process that has ended, -1 if a signal
// ended it or it runs.
func (c *Cluster) ExitCode(i int) int {
	p := c.process(i)
	if p == nil || p.running() {
		return -1
	}
	return p.cmd.ProcessState.ExitCode()
}

// Signal sends a signal to a server, such as SIGSTOP and SIGCONT.
func (c *Cluster) Signal(i int, s syscall.Signal) error {
	if p := c.process(i); p != nil {
		return p.cmd.Process.Signal(s)
	}
	return fmt.Errorf("server %d: %w", i+1, os.ErrProcessDone)
}

// Kill ends servers at once, as a loss of power does to a process, and waits for
// their end.
func (c *Cluster) Kill(servers ...int) {
	for _, i := range servers {
		if p := c.process(i); p.running() {
			p.cmd.Process.Kill() //nolint:errcheck // it may be gone
		}
	}
	for _, i := range servers {
		if p := c.process(i); p != nil {
			<-p.done
		}
	}
}

// stopWithin is how long a server may take to stop in good order.
const stopWithin = 20 * time.Second

// Stop ends servers in good order and waits for their end. One that takes too long
// is killed, which the error says.
func (c *Cluster) Stop(servers ...int) error {
	for _, i := range servers {
		if p := c.process(i); p.running() {
			p.cmd.Process.Signal(syscall.SIGCONT) //nolint:errcheck // it may be gone
			p.cmd.Process.Signal(syscall.SIGTERM) //nolint:errcheck // it may be gone
		}
	}
	timer := time.NewTimer(stopWithin)
	defer timer.Stop()
	for _, i := range servers {
		p := c.process(i)
		if p == nil {
			continue
		}
		select {
		case <-p.done:
		case <-timer.C:
			c.Kill(servers...)
			return fmt.Errorf("server %d did not stop within %v", i+1, stopWithin)
		}
	}
	return nil
}

// PID is a server's process id, 0 if it does not run.
func (c *Cluster) PID(i int) int {
	if p := c.process(i); p.running() {
		return p.cmd.Process.Pid
	}
	return 0
}

// Close stops all servers in good order, waits for them, and ends the network
// between them.
func (c *Cluster) Close() error {
	all := make([]int, len(c.Homes))
	for i := range all {
		all[i] = i
	}
	err := c.Stop(all...)
	if c.Net != nil {
		err = errors.Join(err, c.Net.close())
	}
	return err
}

// Client talks to some of the servers, the first one preferred; without numbers to all.
func (c *Cluster) Client(servers ...int) (*api.Client, error) {
	urls := c.URLs
	if len(servers) > 0 {
		urls = nil
		for _, i := range servers {
			urls = append(urls, c.URLs[i])
		}
	}
	return api.NewClient(api.Config{Servers: urls, ID: c.Founding.ID()})
}

// Status asks one server how it stands.
func (c *Cluster) Status(ctx context.Context, i int) (*api.Status, error) {
	client, err := c.Client(i)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	return client.Status(ctx)
}

// IssuerActor is the issuer of the play money at work.
func (c *Cluster) IssuerActor(client *api.Client) *api.Actor { return client.As(api.OwnerOf(c.Issuer)) }

// Ready waits until all servers answer and none is catching up.
func (c *Cluster) Ready(ctx context.Context) error {
	for i := range c.URLs {
		if err := c.CaughtUp(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

// CaughtUp waits until a server answers and is where the others are. It does not
// wait for one whose process has ended.
func (c *Cluster) CaughtUp(ctx context.Context, i int) error {
	for {
		if !c.Running(i) {
			return fmt.Errorf("server %d has ended: %s", i+1, c.lastWords(i))
		}
		short, cancel := context.WithTimeout(ctx, time.Second)
		s, err := c.Status(short, i)
		cancel()
		if err == nil && !s.CatchingUp && s.Halted == "" && c.near(ctx, i, s.Height) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("server %d does not catch up: %w", i+1, errors.Join(ctx.Err(), err))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// lastWords is the end of a server's log.
func (c *Cluster) lastWords(i int) string {
	return lastWords(c.LogFile(i))
}

func lastWords(log string) string {
	data, err := os.ReadFile(log)
	if err != nil {
		return err.Error()
	}
	text := strings.TrimSpace(string(data))
	return text[max(0, len(text)-400):]
}

// near tells whether no running server is more than two blocks ahead of height.
func (c *Cluster) near(ctx context.Context, i int, height uint64) bool {
	for j := range c.URLs {
		if j == i || !c.Running(j) {
			continue
		}
		short, cancel := context.WithTimeout(ctx, time.Second)
		s, err := c.Status(short, j)
		cancel()
		if err == nil && s.Height > height+2 {
			return false
		}
	}
	return true
}

// Roots waits until all running servers have the same state root at the same
// height, and answers it.
func (c *Cluster) Roots(ctx context.Context) (root string, err error) {
	for {
		root, err = c.sameRoot(ctx)
		if err == nil {
			return root, nil
		}
		select {
		case <-ctx.Done():
			return "", errors.Join(ctx.Err(), err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (c *Cluster) sameRoot(ctx context.Context) (string, error) {
	var first *api.Status
	for i := range c.URLs {
		if !c.Running(i) {
			continue
		}
		s, err := c.Status(ctx, i)
		if err != nil {
			return "", err
		}
		if first == nil {
			first = s
		}
		if s.Root != first.Root {
			return "", fmt.Errorf("the servers' states differ: %s after block %d at %s, %s after block %d at %s",
				first.Root, first.Height, first.Member, s.Root, s.Height, s.Member)
		}
	}
	if first == nil {
		return "", errors.New("no server runs")
	}
	return first.Root, nil
}

// MustOK returns an error unless all receipts say success.
func MustOK(receipts []exchange.Receipt, err error) error {
	if err != nil {
		return err
	}
	for i := range receipts {
		if receipts[i].Code != exchange.OK {
			return fmt.Errorf("a command failed: %s", receipts[i].Code)
		}
	}
	return nil
}
