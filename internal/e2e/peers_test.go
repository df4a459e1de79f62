package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"souk/internal/ports"
	"souk/node"
	"souk/store/sealed"
)

// peerProcess is souk peer serve.
type peerProcess struct {
	t    *testing.T
	home node.Home
	pass string
	addr string // KEY@ADDRESS
	key  string
	cmd  *exec.Cmd
	log  *os.File
}

// newPeer makes a peer on loopback that knows others, and runs it.
func newPeer(t *testing.T, name string, full bool, others ...*peerProcess) *peerProcess {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	x := &peerProcess{t: t, home: node.Home(filepath.Join(dir, "home")), pass: filepath.Join(dir, "pass")}
	if err := os.WriteFile(x.pass, []byte("correct horse battery staple\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	free, err := ports.Claim(1)
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(ports.Address(free[0]))
	if err != nil {
		t.Fatal(err)
	}
	s := node.PeerSetup{
		Listen: []string{"/ip4/127.0.0.1/tcp/" + port}, Full: full, Prompt: true, Pass: sealed.FromFile(x.pass), Work: sealed.TestWork,
	}
	for _, o := range others {
		s.Peers = append(s.Peers, o.addr)
	}
	key, err := node.InitPeer(x.home, &s)
	if err != nil {
		t.Fatal(err)
	}
	x.key = key.String()
	x.addr = x.key + "@" + s.Listen[0]
	if x.log, err = os.Create(filepath.Join(dir, "log")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		x.stop()
		if t.Failed() {
			text, _ := os.ReadFile(x.log.Name()) // of what there is
			t.Logf("%s says:\n%s", name, text)
		}
		_ = x.log.Close()
	})
	x.start()
	return x
}

func (x *peerProcess) start() {
	x.t.Helper()
	x.cmd = exec.Command(binary, "peer", "serve", "--home", string(x.home), "--passphrase-file", x.pass)
	x.cmd.Stdout, x.cmd.Stderr = x.log, x.log
	if err := x.cmd.Start(); err != nil {
		x.t.Fatal(err)
	}
}

// stop ends it as an operator does.
func (x *peerProcess) stop() {
	x.t.Helper()
	if x.cmd == nil {
		return
	}
	err := x.cmd.Process.Signal(syscall.SIGTERM)
	if err = errors.Join(err, x.cmd.Wait()); err != nil {
		x.t.Error(err)
	}
	x.cmd = nil
}

// souk runs a command of the peer's, and reads what it answers.
func (x *peerProcess) souk(into any, in string, args ...string) error {
	x.t.Helper()
	out, err := try(x.t, in, append(args, "--home", string(x.home), "-o", "json")...)
	if err != nil || into == nil {
		return err
	}
	return json.Unmarshal([]byte(out), into)
}

// sees tells how a peer sees another one; nil if it does not know it.
func (x *peerProcess) sees(other *peerProcess) (*node.NetPeer, error) {
	var all node.NetPeers
	if err := x.souk(&all, "", "peers"); err != nil {
		return nil, err
	}
	for i := range all.Peers {
		if all.Peers[i].Key == other.key {
			return &all.Peers[i], nil
		}
	}
	return nil, nil //nolint:nilnil // it is not known
}

// connected waits until two peers are.
func connected(t *testing.T, x, y *peerProcess) {
	t.Helper()
	eventually(t, 20*time.Second, "two peers are connected", func() error {
		p, err := x.sees(y)
		if err == nil && (p == nil || !p.Connected) {
			err = fmt.Errorf("%+v", p)
		}
		return err
	})
}

// Three peers that find each other by a list: a letter from one to another is read through
// the command line and its receipt comes, peers are listed, and a ban holds, also over a
// restart, until it is lifted.
func TestPeers(t *testing.T) {
	if skipped() {
		t.Skip("whole processes")
	}
	beside(t)
	carol := newPeer(t, "carol", true)
	alice := newPeer(t, "alice", false, carol)
	bob := newPeer(t, "bob", false, carol)
	connected(t, alice, carol)
	connected(t, bob, carol)

	var card struct{ Card string }
	if err := bob.souk(&card, "", "mail", "card", "--tags", "1"); err != nil {
		t.Fatal(err)
	}
	if err := alice.souk(nil, "", "mail", "contacts", "add", "bob", card.Card); err != nil {
		t.Fatal(err)
	}
	var sent node.MailSent
	words := "at noon?\nbring \x1b[31mmoney"
	if err := alice.souk(&sent, words, "mail", "send", "--to", "bob", "--subject", "lunch", "--wait", "60s"); err != nil {
		t.Fatal(err)
	}
	if sent.State != node.MailArrived || sent.Delivered == 0 || sent.To != "bob" {
		t.Errorf("the letter: %+v", sent)
	}
	var letters []node.MailLetter
	if err := bob.souk(&letters, "", "mail", "read"); err != nil || len(letters) != 1 {
		t.Fatalf("bob reads %+v, %v", letters, err)
	}
	if l := letters[0]; string(l.Body) != words || l.Subject != "lunch" || !l.New {
		t.Errorf("bob reads %+v", l)
	}
	shown, err := try(t, "", "mail", "read", letters[0].ID[:8], "--home", string(bob.home))
	if err != nil || !strings.Contains(shown, "at noon?") || strings.Contains(shown, "\x1b") {
		t.Errorf("bob is shown %q, %v", shown, err)
	}
	// Bob answers somebody whose card came with the letter.
	if err := bob.souk(&sent, "yes", "mail", "send", "--to", letters[0].Key[:12], "--wait", "60s"); err != nil || sent.State != node.MailArrived {
		t.Errorf("the answer: %+v, %v", sent, err)
	}

	if err := carol.souk(nil, "", "peers", "ban", alice.key[:12], "--for", "1h", "--why", "a test"); err != nil {
		t.Fatal(err)
	}
	shut := func() error {
		p, err := carol.sees(alice)
		if err == nil && (p == nil || p.Connected || p.Banned == 0 || p.Why != "a test") {
			err = fmt.Errorf("%+v", p)
		}
		return err
	}
	eventually(t, 5*time.Second, "alice is cut", shut)
	carol.stop()
	carol.start()
	connected(t, carol, bob)
	if err := shut(); err != nil {
		t.Errorf("after a restart: %v", err)
	}
	if err := carol.souk(nil, "", "peers", "unban", alice.key); err != nil {
		t.Fatal(err)
	}
	out, err := try(t, "", "net", "doctor", "--home", string(bob.home))
	if err != nil || !strings.Contains(out, "finding peers: the list") {
		t.Errorf("doctor: %v\n%s", err, out)
	}
}
