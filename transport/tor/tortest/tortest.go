// Package tortest starts a private network of tor on this machine, for tests: authorities,
// relays and a client, which speak to each other alone. Only tests import it. Floor 2.
package tortest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"souk/internal/ports"
)

// Network is a network that runs.
type Network struct {
	Socks   string // host:port of the client's SOCKS port
	Control string // host:port of its control port, which lets in who can read its cookie
}

const (
	authorities = 3
	relays      = 4
	patience    = 90 * time.Second
)

// member is one tor.
type member struct {
	dir                   string
	orPort, dirPort       int
	identity, fingerprint string // of an authority
}

// Start starts a network, and ends it with the test. Without a tor the test is skipped.
func Start(t testing.TB) Network {
	t.Helper()
	for _, program := range []string{"tor", "tor-gencert"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("there is no %s (Debian: tor)", program)
		}
	}
	dir := t.TempDir()
	free, err := ports.Claim(2*(authorities+relays) + 2)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ports.Release(free...) })
	next := free
	take := func() int {
		p := next[0]
		next = next[1:]
		return p
	}
	var members []*member
	var trust strings.Builder
	for i := range authorities + relays {
		m := &member{dir: filepath.Join(dir, fmt.Sprint("tor", i)), orPort: take(), dirPort: take()}
		if err := os.MkdirAll(filepath.Join(m.dir, "keys"), 0o700); err != nil {
			t.Fatal(err)
		}
		if i < authorities {
			m.authorize(t)
			fmt.Fprintf(&trust, "DirAuthority a%d orport=%d no-v2 v3ident=%s 127.0.0.1:%d %s\n", i, m.orPort, m.identity, m.dirPort, m.fingerprint)
		}
		members = append(members, m)
	}
	for i, m := range members {
		lines := fmt.Sprintf("Nickname t%d\nAddress 127.0.0.1\nORPort 127.0.0.1:%d\nSocksPort 0\nExitRelay 1\nExitPolicyRejectPrivate 0\nExitPolicy accept *:*\n", i, m.orPort)
		if i < authorities {
			lines += fmt.Sprintf("DirPort 127.0.0.1:%d\nAuthoritativeDirectory 1\nV3AuthoritativeDirectory 1\nContactInfo tests@localhost\n", m.dirPort) + voting
		}
		m.run(t, trust.String()+lines)
	}
	n := Network{Socks: fmt.Sprint("127.0.0.1:", take()), Control: fmt.Sprint("127.0.0.1:", take())}
	client := &member{dir: filepath.Join(dir, "client")}
	client.run(t, trust.String()+fmt.Sprintf("SocksPort %s\nControlPort %s\nCookieAuthentication 1\n", n.Socks, n.Control))
	client.await(t, "Bootstrapped 100%")
	return n
}

// What makes a network of seven, on one machine, within seconds.
const common = `TestingTorNetwork 1
AssumeReachable 1
PathsNeededToBuildCircuits 0.25
ShutdownWaitLength 0
`

const voting = `TestingDirAuthVoteExit *
TestingDirAuthVoteGuard *
TestingDirAuthVoteHSDir *
TestingMinExitFlagThreshold 0
TestingV3AuthInitialVotingInterval 10
TestingV3AuthInitialVoteDelay 2
TestingV3AuthInitialDistDelay 2
V3AuthVotingInterval 20
V3AuthVoteDelay 4
V3AuthDistDelay 4
V3AuthNIntervalsValid 2
`

// authorize makes the keys of an authority.
func (m *member) authorize(t testing.TB) {
	t.Helper()
	keys := filepath.Join(m.dir, "keys")
	cert := command(t, keys, "tor-gencert", "--create-identity-key", "-m", "12", "-a", fmt.Sprint("127.0.0.1:", m.dirPort), "--passphrase-fd", "0")
	cert.Stdin = strings.NewReader("a passphrase\n")
	if out, err := cert.CombinedOutput(); err != nil {
		t.Fatalf("tor-gencert: %v\n%s", err, out)
	}
	m.identity = word(t, filepath.Join(keys, "authority_certificate"), "fingerprint ")
	rc := filepath.Join(m.dir, "first.torrc")
	lines := common + fmt.Sprintf("DataDirectory %s\nORPort 127.0.0.1:%d\nAddress 127.0.0.1\nSocksPort 0\nDirAuthority x 127.0.0.1:1 %040d\n", m.dir, m.orPort, 0)
	if err := os.WriteFile(rc, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := command(t, m.dir, "tor", "--list-fingerprint", "-f", rc, "--hush").CombinedOutput(); err != nil {
		t.Fatalf("tor --list-fingerprint: %v\n%s", err, out)
	}
	m.fingerprint = word(t, filepath.Join(m.dir, "fingerprint"), "Unnamed ")
}

func command(t testing.TB, dir, name string, args ...string) *exec.Cmd {
	t.Helper()
	c := exec.CommandContext(t.Context(), name, args...) //nolint:gosec // programs of this test
	c.Dir = dir
	return c
}

// word is what stands behind a beginning of a line in a file.
func word(t testing.TB, file, before string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(text), "\n") {
		if rest, ok := strings.CutPrefix(line, before); ok {
			return strings.TrimSpace(rest)
		}
	}
	t.Fatalf("there is no %q in %s:\n%s", before, file, text)
	return ""
}

// run starts a tor, which ends with the test.
func (m *member) run(t testing.TB, lines string) {
	t.Helper()
	if err := os.MkdirAll(m.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	rc := filepath.Join(m.dir, "torrc")
	lines = common + lines + fmt.Sprintf("DataDirectory %s\nLog notice file %s\n", m.dir, m.log())
	if err := os.WriteFile(rc, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	c := exec.CommandContext(ctx, "tor", "-f", rc) //nolint:gosec // a program of this test
	c.Dir = m.dir
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	if err := c.Start(); err != nil {
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = c.Wait()
		if t.Failed() {
			log, _ := os.ReadFile(m.log())
			t.Logf("tor of %s:\n%s%s", m.dir, tail(out.Bytes()), tail(log))
		}
	})
}

func (m *member) log() string { return filepath.Join(m.dir, "notices.log") }

func tail(b []byte) []byte { return b[max(0, len(b)-2000):] }

// await waits for words in the log.
func (m *member) await(t testing.TB, words string) {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for begin := time.Now(); ; <-tick.C {
		log, err := os.ReadFile(m.log())
		if err == nil && bytes.Contains(log, []byte(words)) {
			return
		}
		if time.Since(begin) > patience {
			t.Fatalf("tor does not say %q", words)
		}
	}
}
