package irc_test

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"souk/internal/ports"
)

const channel = "#soukmeet"

// ircd starts a real server on this machine and returns its address. Its operator is "bot"
// with the password "secret".
func ircd(t *testing.T) string {
	t.Helper()
	program, err := exec.LookPath("ngircd")
	if err != nil {
		program = "/usr/sbin/ngircd"
		if _, err := os.Stat(program); err != nil {
			t.Skip("ngircd is not installed: scripts/setup race installs it where it can")
		}
	}
	port, err := ports.Claim(1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ports.Release(port...) })
	config := filepath.Join(t.TempDir(), "ngircd.conf")
	if err := os.WriteFile(config, fmt.Appendf(nil, `[Global]
	Name = irc%d.example.org
	Info = test
	Listen = 127.0.0.1
	Ports = %d
	MotdPhrase = hello
[Limits]
	MaxConnectionsIP = 0
	MaxPenaltyTime = 0
	MaxJoins = 0
	ConnectRetry = 60
[Options]
	PAM = no
	DNS = no
	Ident = no
	OperCanUseMode = yes
[Operator]
	Name = bot
	Password = secret
[Channel]
	Name = %s
	Modes = +mnt
`, port[0], port[0], channel), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-n", "-f", config)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("ngircd:\n%s", log.String())
		}
	})
	addr := ports.Address(port[0])
	for end := time.Now().Add(20 * time.Second); ; {
		conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(t.Context(), "tcp", addr)
		if err == nil {
			_ = conn.Close()
			return addr
		}
		if time.Now().After(end) {
			t.Fatalf("ngircd does not answer: %v\n%s", err, log.String())
		}
		runtimeYield()
	}
}

// runtimeYield waits for a moment between two tries of something outside this process.
func runtimeYield() { <-time.After(10 * time.Millisecond) }

// client is a person with a plain connection, who says and reads lines.
type client struct {
	t     *testing.T
	conn  net.Conn
	lines *bufio.Scanner
	nick  string
}

func dialIRC(t *testing.T, addr, nick, realname string) *client {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	c := &client{t, conn, bufio.NewScanner(conn), nick}
	c.say("NICK " + nick)
	c.say("USER person 0 * :" + realname)
	c.until(" 001 ")
	c.say("JOIN " + channel)
	c.until(" 366 ")
	return c
}

func (c *client) say(line string) {
	c.t.Helper()
	if _, err := c.conn.Write([]byte(line + "\r\n")); err != nil {
		c.t.Fatal(err)
	}
}

// until reads lines until one contains something, and answers pings.
func (c *client) until(what string) string {
	c.t.Helper()
	_ = c.conn.SetReadDeadline(time.Now().Add(30 * time.Second))
	for c.lines.Scan() {
		line := c.lines.Text()
		if rest, ok := strings.CutPrefix(line, "PING "); ok {
			c.say("PONG " + rest)
		}
		if strings.Contains(line, what) {
			return line
		}
	}
	c.t.Fatalf("%s never saw %q: %v", c.nick, what, c.lines.Err())
	return ""
}

// socks is a SOCKS5 proxy that counts what goes through it.
func socks(t *testing.T) (addr string, hosts func() []string) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	seen := make(chan string, 100)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go serveSOCKS(t.Context(), conn, seen)
		}
	}()
	return l.Addr().String(), func() (out []string) {
		for {
			select {
			case h := <-seen:
				out = append(out, h)
			default:
				return out
			}
		}
	}
}
