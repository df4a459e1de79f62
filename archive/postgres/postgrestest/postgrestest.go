// Package postgrestest starts PostgreSQL servers for tests, from the machine's own
// package: each in a folder of its own, reachable through a socket there and nowhere else.
package postgrestest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// User is the role that owns everything on a server.
const User = "souk"

// Server is a running server.
type Server struct {
	dir string
	cmd *exec.Cmd
}

// DSN is where the server is reached.
func (s *Server) DSN() string { return fmt.Sprintf("host=%s user=%s dbname=postgres", s.dir, User) }

// Start makes a server and waits until it can be used. It serves this process only, and is
// gone when that ends.
func Start() (s *Server, err error) {
	bin, err := folder()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "souk-pg-") // sockets have short names
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	attr, err := unprivileged(dir)
	if err != nil {
		return nil, err
	}
	data := filepath.Join(dir, "data")
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-D", data, "-U", User, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions") //nolint:gosec // the machine's own programs
	initdb.SysProcAttr, initdb.Dir = attr, dir
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	s = &Server{dir: dir, cmd: exec.Command(filepath.Join(bin, "postgres"), "-D", data, //nolint:gosec // the machine's own programs
		"-k", dir, "-c", "listen_addresses=", "-c", "fsync=off",
		"-c", "full_page_writes=off", "-c", "max_wal_size=256MB", "-c", "max_connections=60", "-c", "lc_messages=C")}
	s.cmd.SysProcAttr, s.cmd.Dir = attr, dir
	log, err := s.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	if err := ready(log); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// ready waits for the line that says so, and goes on reading the log behind it.
func ready(log io.Reader) error {
	var seen strings.Builder
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		fmt.Fprintln(&seen, lines.Text())
		if strings.Contains(lines.Text(), "ready to accept connections") {
			go io.Copy(io.Discard, log) //nolint:errcheck // nobody reads it
			return nil
		}
	}
	return fmt.Errorf("postgres did not start:\n%s", seen.String())
}

// Stop ends the server and removes its folder.
func (s *Server) Stop() error {
	err := s.cmd.Process.Signal(syscall.SIGINT) // ends connections, and then itself
	s.cmd.Wait()                                //nolint:errcheck // it was told to end
	return errors.Join(err, os.RemoveAll(s.dir))
}

// folder is where the server's programs are: the newest version's.
func folder() (string, error) {
	all, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil {
		return "", err
	}
	if len(all) == 0 {
		path, err := exec.LookPath("initdb")
		if err != nil {
			return "", errors.New("PostgreSQL is not installed: run scripts/setup, or install it (Debian: postgresql)")
		}
		return filepath.Dir(path), nil
	}
	version := func(path string) int {
		n, _ := strconv.Atoi(strings.Split(path, "/")[4])
		return n
	}
	return filepath.Dir(slices.MaxFunc(all, func(x, y string) int { return version(x) - version(y) })), nil
}

// unprivileged gives a folder to somebody who is not root, as whom the server runs:
// PostgreSQL refuses to be root.
func unprivileged(dir string) (*syscall.SysProcAttr, error) {
	attr := dying()
	if os.Geteuid() != 0 {
		return attr, nil
	}
	u, err := user.Lookup("nobody")
	if err != nil {
		return nil, err
	}
	id, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	group, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	attr.Credential = &syscall.Credential{Uid: uint32(id), Gid: uint32(group)}
	return attr, os.Chown(dir, int(id), int(group))
}
