package packaging_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"souk/internal/ports"
)

// machine is a folder that dpkg installs packages into, as on a machine of its own: maintainer
// scripts run in it, and what they ask of systemd is written into asked.
type machine struct {
	t    *testing.T
	root string
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	need(t, "dpkg", "dpkg-deb", "ldd", "sh")
	if os.Geteuid() != 0 {
		t.Skip("dpkg runs maintainer scripts for root only")
	}
	m := &machine{t, t.TempDir()}
	for _, dir := range []string{"bin", "sbin", "dev", "etc", "run", "tmp", "var/lib/dpkg/info", "var/lib/dpkg/updates"} {
		m.mkdir(dir)
	}
	for _, file := range []string{"var/lib/dpkg/status", "var/lib/dpkg/available", "dev/null"} {
		m.write(file, "", 0o666)
	}
	for _, program := range []string{"sh", "install", "cat"} {
		m.adopt(program)
	}
	for _, program := range []string{"systemd-sysusers", "systemd-tmpfiles", "deb-systemd-helper", "deb-systemd-invoke", "systemctl", "ldconfig", "start-stop-daemon"} {
		m.write("bin/"+program, "#!/bin/sh\necho \"${0##*/} $*\" >>/asked\n", 0o755)
	}
	m.mkdir("run/systemd/system") // as where systemd runs
	return m
}

func (m *machine) path(name string) string { return filepath.Join(m.root, name) }

func (m *machine) mkdir(dir string) {
	m.t.Helper()
	if err := os.MkdirAll(m.path(dir), 0o755); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) write(file, text string, mode os.FileMode) {
	m.t.Helper()
	if err := os.WriteFile(m.path(file), []byte(text), mode); err != nil {
		m.t.Fatal(err)
	}
}

// adopt copies a program of this machine with the libraries that it needs.
func (m *machine) adopt(program string) {
	m.t.Helper()
	file, err := exec.LookPath(program)
	if err != nil {
		m.t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		m.t.Fatal(err)
	}
	m.write("bin/"+program, string(text), 0o755)
	for _, lib := range regexp.MustCompile(`/\S+`).FindAllString(strings.ReplaceAll(output(m.t, "ldd", file), file+":", ""), -1) {
		text, err := os.ReadFile(lib)
		if err != nil {
			m.t.Fatal(err)
		}
		m.mkdir(filepath.Dir(lib))
		m.write(lib, string(text), 0o755)
	}
}

// dpkg runs dpkg on the machine, and answers what maintainer scripts asked of systemd.
func (m *machine) dpkg(args ...string) string {
	m.t.Helper()
	m.write("asked", "", 0o644)
	c := exec.Command("dpkg", append([]string{"--root=" + m.root, "--force-depends", "--force-not-root", "--no-triggers"}, args...)...)
	c.Env = append(os.Environ(), "PATH=/usr/bin:/bin:/usr/sbin:/sbin", "DEBIAN_FRONTEND=noninteractive")
	if out, err := c.CombinedOutput(); err != nil {
		m.t.Fatalf("dpkg %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	asked, err := os.ReadFile(m.path("asked"))
	if err != nil {
		m.t.Fatal(err)
	}
	return string(asked)
}

// souk runs the installed program.
func (m *machine) souk(args ...string) string {
	m.t.Helper()
	return output(m.t, m.path("usr/bin/souk"), args...)
}

// service is the installed program as its unit runs it.
type service struct {
	cmd    *exec.Cmd
	heard  *net.UnixConn
	stderr bytes.Buffer
}

// serve starts the server as systemd does: it tells when it is ready.
func (m *machine) serve(home, pass string) *service {
	t := m.t
	t.Helper()
	dir, err := os.MkdirTemp("", "souk-") // the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) }) //nolint:errcheck // temporary
	s := &service{}
	socket := filepath.Join(dir, "notify")
	if s.heard, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"}); err != nil {
		t.Fatal(err)
	}
	unit, err := os.ReadFile(m.path("lib/systemd/system/souk.service"))
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^ExecStart=/usr/bin/souk (.*)$`).FindSubmatch(unit)
	if line == nil {
		t.Fatalf("%s", unit)
	}
	args := strings.Fields(strings.NewReplacer("/var/lib/souk", home, "%d/passphrase", pass).Replace(string(line[1])))
	s.cmd = exec.Command(m.path("usr/bin/souk"), args...)
	s.cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+socket, "WATCHDOG_USEC=600000")
	s.cmd.Stderr = &s.stderr
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if s.cmd.ProcessState == nil {
			s.cmd.Process.Kill() //nolint:errcheck // it has failed
			s.cmd.Wait()         //nolint:errcheck // as above
		}
		s.heard.Close() //nolint:errcheck // nobody sends
	})
	s.hear(t, "READY=1")
	return s
}

// hear waits until the server has said something.
func (s *service) hear(t *testing.T, words string) {
	t.Helper()
	if err := s.heard.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	for buf := make([]byte, 1000); ; {
		n, err := s.heard.Read(buf)
		if err != nil {
			t.Fatalf("waiting for %s: %v\n%s", words, err, s.stderr.String())
		}
		if strings.HasPrefix(string(buf[:n]), words) {
			return
		}
	}
}

// stop ends it as systemctl stop does.
func (s *service) stop(t *testing.T) {
	t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	s.hear(t, "STOPPING=1")
	if err := s.cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, s.stderr.String())
	}
}

// An operator installs the package, makes a server, serves, upgrades, and removes it: what
// the server knows and its keys outlast all of that.
func TestDebianPackage(t *testing.T) {
	m := newMachine(t)
	if asked := m.dpkg("-i", deb(t, "0.0.9")); !strings.Contains(asked, "systemd-sysusers /usr/lib/sysusers.d/souk.conf") || strings.Contains(asked, "restart") {
		t.Errorf("at first: %s", asked)
	}
	for _, file := range []string{"doc/souk/gate.md", "doc/souk/clients.md", "doc/souk/archive.md", "doc/souk/network.md", "doc/souk/operations.md.gz", "man/man1/souk.1.gz", "man/man5/souk-config.toml.5.gz", "man/man5/souk-gate.toml.5.gz", "man/man5/souk-peer.toml.5.gz"} {
		if _, err := os.Stat(m.path("usr/share/" + file)); err != nil {
			t.Error(err)
		}
	}
	free, err := ports.Claim(2)
	if err != nil {
		t.Fatal(err)
	}
	home, pass, purse := m.path("var/lib/souk"), m.path("etc/passphrase"), m.path("purse")
	m.write("etc/passphrase", "correct horse battery staple\n", 0o600)
	web, p2p := ports.Address(free[0]), ports.Address(free[1])
	// Found, with an issuer who has a purse.
	issuer := strings.TrimSpace(m.souk("account", "new", "--purse", purse, "--passphrase-file", pass))
	card := m.souk("init", "--home", home, "--name", "alice", "--url", "http://"+web, "--http", web, "--p2p", p2p, "--passphrase-file", pass)
	m.write("card", card, 0o644)
	m.write("terms.toml", fmt.Sprintf("name = \"one\"\n\n[[asset]]\nsymbol = \"EUR\"\ndecimals = 2\nissuer = %q\n", strings.Fields(issuer)[0]), 0o644)
	m.souk("federation", "create", "--terms", m.path("terms.toml"), "--out", m.path("founding"), m.path("card"))
	m.souk("federation", "join", m.path("founding"), "--home", home, "--listen", p2p)
	m.souk("config", "check", "--home", home)

	s := m.serve(home, pass)
	s.hear(t, "WATCHDOG=1")
	m.souk("account", "connect", "--server", "http://"+web, "--purse", purse)
	m.souk("mint", "1000", "EUR", "--to", strings.Fields(issuer)[0], "--purse", purse, "--passphrase-file", pass, "--timeout", "1m")
	m.souk("log", "level", "warn", "--home", home)
	s.stop(t)

	config, err := os.ReadFile(filepath.Join(home, "config.toml"))
	if err != nil {
		t.Fatal(err)
	}
	if asked := m.dpkg("-i", deb(t, "")); !strings.Contains(asked, "deb-systemd-invoke try-restart souk.service") {
		t.Errorf("upgrade: %s", asked)
	}
	s = m.serve(home, pass)
	if shown := m.souk("account", "show", "--purse", purse, "--passphrase-file", pass); !strings.Contains(shown, "1000.00") {
		t.Errorf("after the upgrade: %s", shown)
	}
	s.stop(t)
	if asked := m.dpkg("-r", "souk"); !strings.Contains(asked, "deb-systemd-invoke stop souk.service") {
		t.Errorf("remove: %s", asked)
	}
	m.dpkg("-P", "souk")
	kept, err := os.ReadFile(filepath.Join(home, "config.toml"))
	if err != nil || !bytes.Equal(kept, config) {
		t.Errorf("the configuration after purging: %v", err)
	}
	for _, file := range []string{"keys/operator.age", "keys/bank.key", "vs"} {
		if _, err := os.Stat(filepath.Join(home, file)); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(m.path("usr/bin/souk")); !os.IsNotExist(err) {
		t.Errorf("the program is still there: %v", err)
	}
}

// Where systemd runs, the server runs under it as the unit says, with another name, folder
// and user.
func TestSystemd(t *testing.T) {
	need(t, "systemd-run", "systemctl")
	if _, err := os.Stat("/run/systemd/system"); err != nil || os.Geteuid() != 0 || !*systemd {
		t.Skip("systemd does not run here, or this is not root")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	name := fmt.Sprintf("souk-test-%d", os.Getpid())
	dir := filepath.Join("/var/lib", name)
	t.Cleanup(func() { os.RemoveAll(dir) }) //nolint:errcheck // the test's own
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	program, pass := filepath.Join("/usr/local/bin", name), filepath.Join("/etc", name+".passphrase")
	text, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	unit, err := os.ReadFile("systemd/souk.service")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join("/run/systemd/system", name+".service")
	changed := strings.NewReplacer("/usr/bin/souk", program, "/var/lib/souk", dir, "/etc/souk/passphrase", pass,
		"StateDirectory=souk", "StateDirectory="+name, "User=souk", "DynamicUser=yes\nUser="+name, "Group=souk", "").Replace(string(unit))
	for path, x := range map[string]struct {
		text []byte
		mode os.FileMode
	}{program: {text, 0o755}, pass: {[]byte("correct horse\n"), 0o600}, file: {[]byte(changed), 0o644}} {
		t.Cleanup(func() { os.Remove(path) }) //nolint:errcheck // the test's own
		if err := os.WriteFile(path, x.text, x.mode); err != nil {
			t.Fatal(err)
		}
	}
	free, err := ports.Claim(2)
	if err != nil {
		t.Fatal(err)
	}
	web, p2p := ports.Address(free[0]), ports.Address(free[1])
	home := t.TempDir()
	made := filepath.Join(home, "home")
	card := output(t, binary, "init", "--home", made, "--name", "alice", "--url", "http://"+web, "--http", web, "--p2p", p2p, "--passphrase-file", pass)
	if err := os.WriteFile(filepath.Join(home, "card"), []byte(card), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, "terms.toml"), []byte("name = \"one\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	output(t, binary, "federation", "create", "--terms", filepath.Join(home, "terms.toml"), "--out", filepath.Join(home, "founding"), filepath.Join(home, "card"))
	output(t, binary, "federation", "join", filepath.Join(home, "founding"), "--home", made, "--listen", p2p)
	output(t, "cp", "-a", made+"/.", dir)
	output(t, "systemctl", "daemon-reload")
	t.Cleanup(func() { exec.Command("systemctl", "stop", name).Run() }) //nolint:errcheck // it may have stopped
	if out, err := exec.CommandContext(ctx, "systemctl", "start", name).CombinedOutput(); err != nil {
		log, _ := exec.Command("journalctl", "-u", name, "--no-pager").CombinedOutput()
		t.Fatalf("%v\n%s\n%s", err, out, log)
	}
	output(t, "systemctl", "reload", name)
	output(t, binary, "status", "--server", "http://"+web)
	output(t, "systemctl", "stop", name)
}
