// Package clustertest is what tests of whole processes share: traders who run the souk
// program as its users do, with a purse and a gate of their own.
//
// Beside the floors; only tests import it.
package clustertest

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"souk/identity"
	"souk/internal/cluster"
	"souk/internal/ports"
	"souk/node"
	"souk/purse"
	"souk/store/sealed"
)

// patience is how long one command may take, and a gate until it is open.
const patience = 2 * time.Minute

// Trader is somebody with a folder of his own, and the souk program.
type Trader struct {
	binary, dir string
	local       *node.Local
	gate        *cluster.Program

	Address identity.Address // once he has a purse
}

// NewTrader is somebody who has nothing yet but an empty folder, in which he writes down
// the passphrase of his purse and his gate.
func NewTrader(binary, dir string, local *node.Local) (*Trader, error) {
	tr := &Trader{binary: binary, dir: dir, local: local}
	return tr, os.WriteFile(tr.pass(), []byte("correct horse battery staple\n"), 0o600)
}

func (tr *Trader) pass() string { return filepath.Join(tr.dir, "passphrase") }

// Purse is the folder of his purse.
func (tr *Trader) Purse() string { return filepath.Join(tr.dir, "purse") }

// Home is the folder of his gate.
func (tr *Trader) Home() node.GateHome { return node.GateHome(filepath.Join(tr.dir, "gate")) }

// Souk runs a command with his passphrase and reads what it answers in JSON.
func (tr *Trader) Souk(ctx context.Context, into any, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, tr.binary, append(args, "--passphrase-file", tr.pass(), "-o", "json")...) //nolint:gosec // our own program
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err == nil && into != nil {
		err = json.Unmarshal(out, into)
	}
	if err != nil {
		return fmt.Errorf("souk %s: %w\n%s%s", strings.Join(args, " "), err, &errs, out)
	}
	return nil
}

// New makes his purse, as people do: with new words, which takes a second.
func (tr *Trader) New(ctx context.Context) error {
	var made struct{ Address string }
	if err := tr.Souk(ctx, &made, "account", "new", "--purse", tr.Purse(), "--server", tr.local.URLs[0]); err != nil {
		return err
	}
	var err error
	tr.Address, err = identity.ParseAddress(made.Address)
	return err
}

// Import makes his purse from a key, and seals the key of the gate that is to be made. Both
// are sealed with little work, for tests that make many.
func (tr *Trader) Import(key identity.PrivateKey) error {
	id, pass := tr.local.Founding.ID(), sealed.FromFile(tr.pass())
	book := purse.Book{Server: hex.EncodeToString(id[:]), Servers: tr.local.URLs}
	var err error
	if tr.Address, err = purse.Purse(tr.Purse()).Import(key, book, pass, sealed.TestWork); err != nil {
		return err
	}
	terms := &node.GateTerms{ID: id, Servers: tr.local.URLs, Account: tr.Address}
	_, err = node.InitGate(tr.Home(), terms, pass, sealed.TestWork)
	return err
}

// Gate makes his gate, with further flags of souk gate init, starts it as a process, and
// waits until it is open. The account must be there.
func (tr *Trader) Gate(ctx context.Context, more ...string) error {
	free, err := ports.Claim(1)
	if err != nil {
		return err
	}
	args := []string{"gate", "init", "--purse", tr.Purse(), "--home", string(tr.Home()), "--gate-passphrase-file", tr.pass(), "--listen", ports.Address(free[0])}
	if err := tr.Souk(ctx, nil, append(args, more...)...); err != nil {
		return err
	}
	if tr.gate, err = cluster.Run(tr.binary, filepath.Join(tr.dir, "gate.log"), "gate", "--home", string(tr.Home()), "--passphrase-file", tr.pass()); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return tr.gate.Says(ctx, "the gate is open")
}

// Close ends his gate.
func (tr *Trader) Close() error {
	if tr.gate == nil {
		return nil
	}
	return tr.gate.Close()
}

// Key is a key of a program, and how the program reaches the gate.
type Key struct {
	ID      string
	Secret  string // of HMAC
	Private string `json:"private_key"` // of Ed25519, PEM
	URL     string
	CA      string // the file with the authority to trust
}

// Key makes a key for a program that uses his gate.
func (tr *Trader) Key(ctx context.Context, kind string) (k Key, err error) {
	if err := tr.Souk(ctx, &k, "key", "new", "--home", string(tr.Home()), "--kind", kind); err != nil {
		return k, err
	}
	var ca struct{ CA, URL string }
	if err := tr.Souk(ctx, &ca, "tls", "ca", "--home", string(tr.Home())); err != nil {
		return k, err
	}
	if ca.CA != k.CA || ca.URL != k.URL {
		return k, fmt.Errorf("souk key new says %s and %s, souk tls ca %s and %s", k.URL, k.CA, ca.URL, ca.CA)
	}
	return k, nil
}
