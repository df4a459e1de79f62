// Package chainnode runs nodes of chains as child processes, for demonstrations
// and tests: btcd and ltcd, which it builds itself in pinned versions when they are
// asked for the first time, and bitcoind, litecoind and namecoind from binaries that
// are named to it. All run on a regression test network of their own, on loopback,
// in a folder of the caller's. A Miner makes their blocks.
//
// Beside nothing of a product's: the nodes of a real bank are run by its operators.
// Floor 5.
package chainnode

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"souk/chain"
	"souk/chain/bitcoin"
	"souk/chain/litecoin"
	"souk/chain/namecoin"
	"souk/chain/rpc"
	"souk/internal/ports"
	"souk/script"
)

// Kind is a program that follows a chain.
type Kind string

// Kinds.
const (
	Btcd      Kind = "btcd"
	Ltcd      Kind = "ltcd"
	Bitcoind  Kind = "bitcoind" // or Knots
	Litecoind Kind = "litecoind"
	Namecoind Kind = "namecoind"
)

// module is what is built of a kind, exactly. c is set if part of it is in C.
type module struct {
	path, version string
	c             bool
}

var modules = map[Kind]module{
	Btcd: {"github.com/btcsuite/btcd", "v0.26.2", false},
	Ltcd: {"github.com/ltcsuite/ltcd", "v0.23.6", true}, // its curve
}

// btcctl is built with btcd, for people.
const btcctl = "github.com/btcsuite/btcd/cmd/btcctl"

const (
	startPatience = 60 * time.Second
	stopPatience  = 20 * time.Second
	// buildDelay is how long a build that was called off may take to clear up.
	buildDelay = 2 * time.Second
)

// Network returns the network that nodes of a kind are run on.
func (k Kind) Network() *script.Network {
	name := "bitcoin-regtest"
	switch k {
	case Ltcd, Litecoind:
		name = "litecoin-regtest"
	case Namecoind:
		name = "namecoin-regtest"
	case Btcd, Bitcoind:
	}
	n, ok := script.ByName(name)
	if !ok {
		panic("no network " + name) //nolint:forbidigo // a constant of the table
	}
	return n
}

// Cache returns the folder that built nodes are kept in.
func Cache() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("folder for nodes: %w", err)
	}
	return filepath.Join(dir, "souk", "nodes"), nil
}

// Btcctl is the program that asks btcd, and whatever speaks as it does. It is built with
// btcd.
func Btcctl(ctx context.Context, log io.Writer) (string, error) {
	binary, err := Build(ctx, Btcd, log)
	if err != nil {
		return "", err
	}
	return filepath.Join(filepath.Dir(binary), "btcctl-"+modules[Btcd].version), nil
}

// Build returns the path of a node of kind Btcd or Ltcd in the cache. If it is not
// there yet it is fetched as a Go module, whose hash the checksum database of Go
// vouches for, and built, which takes a minute or two; log is told so. Building needs
// Go, and for ltcd a C compiler. Several processes may ask at once, one of them builds.
func Build(ctx context.Context, kind Kind, log io.Writer) (string, error) {
	m, ok := modules[kind]
	if !ok {
		return "", fmt.Errorf("%s is not built here: name its binary", kind)
	}
	cache, err := Cache()
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(cache, 0o700); err != nil {
		return "", fmt.Errorf("folder for nodes: %w", err)
	}
	binary := filepath.Join(cache, string(kind)+"-"+m.version)
	if _, err := os.Stat(binary); err == nil {
		return binary, nil
	}
	unlock, err := lock(ctx, binary+".lock")
	if err != nil {
		return "", fmt.Errorf("lock %s: %w", binary, err)
	}
	defer unlock()
	if _, err := os.Stat(binary); err == nil {
		return binary, nil
	}
	if _, err := exec.LookPath("go"); err != nil {
		return "", fmt.Errorf("%s %s is not in %s, and building it needs Go: %w", kind, m.version, cache, err)
	}
	cgo := "CGO_ENABLED=0"
	if m.c {
		cgo = "CGO_ENABLED=1"
		if err := findCompiler(ctx); err != nil {
			return "", fmt.Errorf("%s %s is not in %s, and building it needs a C compiler, as gcc: %w", kind, m.version, cache, err)
		}
	}
	fmt.Fprintf(log, "building %s %s, once\n", kind, m.version)
	part, err := os.MkdirTemp(cache, "building-")
	if err != nil {
		return "", fmt.Errorf("folder to build %s in: %w", kind, err)
	}
	defer os.RemoveAll(part) //nolint:errcheck // what is left is harmless
	args := []string{"go", "install", "-trimpath", m.path + "@" + m.version}
	if kind == Btcd {
		args = append(args, btcctl+"@"+m.version)
	}
	if nice, err := exec.LookPath("nice"); err == nil {
		args = append([]string{nice, "-n", "10"}, args...)
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...) //nolint:gosec // constants
	cmd.Dir = part
	cmd.Env = append(os.Environ(), "GOBIN="+part, "GOFLAGS=", "GOWORK=off", cgo)
	rest := together(cmd)
	cmd.WaitDelay = buildDelay
	output, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		rest()
		return "", fmt.Errorf("build %s %s: %w", kind, m.version, ctx.Err())
	}
	if err != nil {
		return "", fmt.Errorf("build %s %s: %w\n%s", kind, m.version, err, tail(output))
	}
	if kind == Btcd {
		if err := os.Rename(filepath.Join(part, "btcctl"), filepath.Join(cache, "btcctl-"+m.version)); err != nil {
			return "", fmt.Errorf("keep btcctl: %w", err)
		}
	}
	if err := os.Rename(filepath.Join(part, string(kind)), binary); err != nil {
		return "", fmt.Errorf("keep %s: %w", kind, err)
	}
	return binary, nil
}

// findCompiler looks for the C compiler that Go would use.
func findCompiler(ctx context.Context) error {
	name, err := exec.CommandContext(ctx, "go", "env", "CC").Output()
	if err != nil {
		return err
	}
	fields := strings.Fields(string(name))
	if len(fields) == 0 {
		return exec.ErrNotFound
	}
	_, err = exec.LookPath(fields[0])
	return err
}

func tail(output []byte) string {
	const most = 2000
	return strings.TrimSpace(string(output[max(0, len(output)-most):]))
}

// Config says which node runs where.
type Config struct {
	Kind Kind
	// Binary is the program. Empty stands for Build's.
	Binary string
	// Dir is the node's own folder. Started in it again, btcd and ltcd begin a new
	// chain, as they do on regression test networks; the others have theirs again.
	Dir string
	// Reward is the script that the rewards of its blocks go to.
	Reward []byte
	// Log gets what there is to tell, and the node's own words. Nil drops it.
	Log io.Writer
}

// Node is a running node.
type Node struct {
	kind   Kind
	reward string
	rpc    rpc.Config
	peer   string
	ports  []int // claimed
	client *rpc.Client
	cmd    *exec.Cmd
	done   chan struct{}
}

// Start starts a node and waits until it answers, a minute at most. What it writes goes
// to c.Log. Nothing is left running when it returns an error.
func Start(ctx context.Context, c Config) (*Node, error) {
	if c.Log == nil {
		c.Log = io.Discard
	}
	if c.Binary == "" {
		var err error
		if c.Binary, err = Build(ctx, c.Kind, c.Log); err != nil {
			return nil, err
		}
	}
	reward, err := c.Kind.Network().Address(c.Reward)
	if err != nil {
		return nil, fmt.Errorf("reward of %s: %w", c.Kind, err)
	}
	free, err := ports.Claim(2)
	if err != nil {
		return nil, err
	}
	n := &Node{kind: c.Kind, reward: reward, peer: ports.Address(free[1]), ports: free, done: make(chan struct{})}
	n.rpc = rpc.Config{URL: "http://" + ports.Address(free[0]), Warmup: startPatience}
	args, err := n.configure(c.Dir, free[0])
	if err != nil {
		return nil, err
	}
	n.cmd = exec.Command(c.Binary, args...) //nolint:gosec // the caller's choice
	n.cmd.Dir = c.Dir
	n.cmd.Env = append(os.Environ(), "HOME="+c.Dir) // it looks for nothing in ours
	n.cmd.Stdout, n.cmd.Stderr = c.Log, c.Log
	n.cmd.SysProcAttr = dieWithParent()
	if err := n.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Kind, err)
	}
	go func() {
		n.cmd.Wait() //nolint:errcheck // it does not matter how it ends
		close(n.done)
	}()
	if n.client, err = rpc.NewClient(n.rpc); err != nil {
		return nil, errors.Join(err, n.Stop())
	}
	if err := n.await(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", c.Kind, err), n.Stop())
	}
	return n, nil
}

// configure writes the node's configuration, credentials included, where only its
// owner can read it, and returns the arguments that name it.
func (n *Node) configure(dir string, port int) ([]string, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("folder of %s: %w", n.kind, err)
	}
	var text string
	var args []string
	file := filepath.Join(dir, "node.conf")
	switch n.kind {
	case Btcd, Ltcd:
		n.rpc.User, n.rpc.Password = rand.Text(), rand.Text()
		text = fmt.Sprintf("[Application Options]\nregtest=1\nnotls=1\nnodnsseed=1\nrpcuser=%s\nrpcpass=%s\n"+
			"rpclisten=127.0.0.1:%d\nlisten=%s\nminingaddr=%s\ndatadir=%s\nlogdir=%s\nrpcmaxclients=100\ntrickleinterval=100ms\n",
			n.rpc.User, n.rpc.Password, port, n.peer, n.reward, filepath.Join(dir, "data"), filepath.Join(dir, "logs"))
		if n.kind == Ltcd {
			text += "rejectreplacement=1\n" // as Litecoin's miners do
		}
		args = []string{"-C", file}
	case Bitcoind, Litecoind, Namecoind:
		n.rpc.CookieFile = filepath.Join(dir, "regtest", ".cookie")
		text = fmt.Sprintf("regtest=1\nserver=1\ndnsseed=0\nblockfilterindex=1\npeerblockfilters=1\n[regtest]\nrpcbind=127.0.0.1\n"+
			"rpcallowip=127.0.0.1\nrpcport=%d\nbind=%s\nlisten=1\n", port, n.peer)
		if n.kind == Litecoind {
			text += "vbparams=mweb:-2:0\n" // else block 432 needs a peg-in
		}
		args = []string{"-datadir=" + dir, "-conf=" + file}
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, fmt.Errorf("configuration of %s: %w", n.kind, err)
	}
	return args, nil
}

func (n *Node) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	for {
		_, err := n.client.Call(ctx, nil, "getblockcount")
		if err == nil || !errors.Is(err, chain.ErrUnavailable) && !errors.Is(err, chain.ErrDenied) {
			return err
		}
		select {
		case <-n.done:
			return errors.New("it has ended")
		case <-ctx.Done():
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// RPC says how to call the node. Printing it shows no credentials.
func (n *Node) RPC() rpc.Config { return n.rpc }

// Peer returns the address at which other nodes and light clients meet this one.
func (n *Node) Peer() string { return n.peer }

// Connect makes the node and another one of its kind tell each other of blocks and
// transactions.
func (n *Node) Connect(ctx context.Context, other *Node) error {
	_, err := n.client.Do(ctx, nil, "addnode", other.peer, "add")
	return err
}

// Backend opens a backend of the chain port over the node.
func (n *Node) Backend() (chain.Backend, error) {
	switch n.kind {
	case Ltcd, Litecoind:
		return litecoin.Open(n.kind.Network(), n.rpc)
	case Namecoind:
		return namecoin.Open(n.kind.Network(), n.rpc)
	case Btcd, Bitcoind:
	}
	return bitcoin.Open(n.kind.Network(), n.rpc)
}

// Generate makes blocks.
func (n *Node) Generate(ctx context.Context, blocks int) error {
	var err error
	switch n.kind {
	case Btcd, Ltcd:
		_, err = n.client.Do(ctx, nil, "generate", blocks)
	case Bitcoind, Litecoind, Namecoind:
		_, err = n.client.Do(ctx, nil, "generatetoaddress", blocks, n.reward)
	}
	return err
}

// Stop ends the node and waits for its end.
func (n *Node) Stop() error {
	defer ports.Release(n.ports...)
	if n.client != nil {
		n.client.Close() //nolint:errcheck // never fails
	}
	signal := os.Interrupt
	if runtime.GOOS == "windows" {
		signal = os.Kill
	}
	if err := n.cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", n.kind, err)
	}
	select {
	case <-n.done:
		return nil
	case <-time.After(stopPatience):
	}
	if err := n.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill %s: %w", n.kind, err)
	}
	<-n.done
	return nil
}
