// Package cluster runs a federation on this machine as processes of the souk
// binary: the demonstration, the measurements and the tests of whole processes
// start, kill, stop and restart servers through it.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"souk/api"
	"souk/exchange"
	"souk/node"
)

// Cluster is a federation whose servers are processes.
type Cluster struct {
	*node.Local
	binary  string
	servers []*process
}

// process is one server.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}
	log  *os.File
}

// Start founds a federation and starts all its servers. binary is the souk
// program; what a server logs goes to the file log in its home.
func Start(binary string, s node.LocalSetup) (*Cluster, error) {
	local, err := node.FoundLocal(s)
	if err != nil {
		return nil, err
	}
	c := &Cluster{Local: local, binary: binary, servers: make([]*process, len(local.Homes))}
	for i := range local.Homes {
		if err := c.Restart(i); err != nil {
			return nil, errors.Join(err, c.Close())
		}
	}
	return c, nil
}

// Restart starts a server that is not running.
func (c *Cluster) Restart(i int) error {
	home := c.Homes[i]
	log, err := os.OpenFile(filepath.Join(string(home), "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	cmd := exec.Command(c.binary, "serve", "--home", string(home), "--passphrase-file", home.PassphraseFile()) //nolint:gosec // our own program
	cmd.Stdout, cmd.Stderr = log, log
	// A server must not outlive whoever started it for a trial.
	cmd.SysProcAttr = dieWithParent()
	if err := cmd.Start(); err != nil {
		return errors.Join(fmt.Errorf("start server %d: %w", i+1, err), log.Close())
	}
	p := &process{cmd: cmd, done: make(chan struct{}), log: log}
	go func() {
		cmd.Wait()  //nolint:errcheck,gosec // the log says why
		log.Close() //nolint:errcheck,gosec // written by the process
		close(p.done)
	}()
	c.servers[i] = p
	return nil
}

// Signal sends a signal to a server, such as SIGSTOP and SIGCONT.
func (c *Cluster) Signal(i int, s syscall.Signal) error {
	return c.servers[i].cmd.Process.Signal(s)
}

// Kill ends a server as a loss of power does to a process, and waits for its end.
func (c *Cluster) Kill(i int) {
	c.servers[i].cmd.Process.Kill() //nolint:errcheck,gosec // it may be gone
	<-c.servers[i].done
}

// PID is a server's process id.
func (c *Cluster) PID(i int) int { return c.servers[i].cmd.Process.Pid }

// Close stops all servers in good order and waits for them.
func (c *Cluster) Close() error {
	for _, p := range c.servers {
		if p != nil {
			p.cmd.Process.Signal(syscall.SIGCONT) //nolint:errcheck,gosec // it may be gone
			p.cmd.Process.Signal(syscall.SIGTERM) //nolint:errcheck,gosec // it may be gone
		}
	}
	for _, p := range c.servers {
		if p == nil {
			continue
		}
		select {
		case <-p.done:
		case <-time.After(20 * time.Second):
			p.cmd.Process.Kill() //nolint:errcheck,gosec // it may be gone
			<-p.done
		}
	}
	return nil
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

// CaughtUp waits until a server answers and is where the others are.
func (c *Cluster) CaughtUp(ctx context.Context, i int) error {
	for {
		s, err := c.Status(ctx, i)
		if err == nil && !s.CatchingUp && c.near(ctx, i, s.Height) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("server %d does not catch up: %w", i+1, errors.Join(ctx.Err(), err))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// near tells whether no running server is more than two blocks ahead of height.
func (c *Cluster) near(ctx context.Context, i int, height uint64) bool {
	for j := range c.URLs {
		if j == i {
			continue
		}
		select {
		case <-c.servers[j].done:
			continue
		default:
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

// Roots waits until all servers have the same state root, and answers it.
func (c *Cluster) Roots(ctx context.Context) (root string, err error) {
	for {
		same := true
		for i := range c.URLs {
			s, err := c.Status(ctx, i)
			if err != nil {
				return "", err
			}
			if i == 0 {
				root = s.Root
			}
			same = same && s.Root == root
		}
		if same {
			return root, nil
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("the servers' states differ: %w", ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
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
