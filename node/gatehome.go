package node

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"

	"souk/api"
	"souk/exchange"
	"souk/gate"
	"souk/identity"
	"souk/store/sealed"
)

// GateHome is a gate's folder:
//
//	gate.toml     what it is for, and what its owner configured
//	key.age       the delegate's key, sealed
//	clients/      the keys of programs
//	tls/          the authority for this machine's names, and its certificate
//	state/        what the gate remembers
//	trust.toml    what was proven
//	.cookie       who can read it may use the wallet door, while the gate runs
type GateHome string

// Config is the path of the config file.
func (h GateHome) Config() string { return filepath.Join(string(h), "gate.toml") }

// Clients is the folder of the keys of programs.
func (h GateHome) Clients() string { return filepath.Join(string(h), "clients") }

// Authority is the folder of certificates.
func (h GateHome) Authority() gate.Authority {
	return gate.Authority(filepath.Join(string(h), "tls"))
}

// Cookie is the file that who uses the wallet door reads.
func (h GateHome) Cookie() string { return filepath.Join(string(h), ".cookie") }

func (h GateHome) keyFile() string { return filepath.Join(string(h), "key.age") }
func (h GateHome) trust() string   { return filepath.Join(string(h), "trust.toml") }

// roleGate is the role of a gate's key.
const roleGate = "gate"

// Policies of a gate that ends.
const (
	StopKeep   = "keep"
	StopCancel = "cancel"
)

// GateConfig is gate.toml.
type GateConfig struct {
	Server  string   `toml:"virtual_server"`
	Servers []string `toml:"servers"`
	Account string   `toml:"account"`
	Key     string   `toml:"key"` // the delegate's public half

	Listen   string     `toml:"listen"`
	Hosts    []string   `toml:"hosts"`
	TLSCert  string     `toml:"tls_cert"`
	TLSKey   string     `toml:"tls_key"`
	Proofs   string     `toml:"proofs"`
	OnStop   string     `toml:"on_stop"`
	Withdraw bool       `toml:"allow_withdraw"`
	Wallet   GateWallet `toml:"wallet"`
	Log      Log        `toml:"log"`
}

// GateWallet configures the wallet door.
type GateWallet struct {
	Default string   `toml:"default"`
	Users   []string `toml:"users"`
}

// DefaultGate is what applies where a gate's config is silent.
func DefaultGate() GateConfig {
	return GateConfig{Listen: "127.0.0.1:8650", Proofs: "later", OnStop: StopKeep, Log: Log{Level: "info", Format: "text"}}
}

// ReadGate reads a gate's config strictly.
func ReadGate(h GateHome) (GateConfig, error) {
	c := DefaultGate()
	data, err := os.ReadFile(h.Config())
	if errors.Is(err, fs.ErrNotExist) {
		return c, fmt.Errorf("%w: there is no gate in %s: make one with souk gate init", ErrConfig, h)
	}
	if err != nil {
		return c, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	if err := parseTOML(data, &c); err != nil {
		return c, fmt.Errorf("%w, %w", ErrConfig, err)
	}
	return c, c.check()
}

func (c *GateConfig) check() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", ErrConfig, fmt.Sprintf(format, args...))
	}
	if _, err := api.ParseServerID(c.Server); err != nil {
		return bad("%v", err)
	}
	if _, err := identity.ParseAddress(c.Account); err != nil {
		return bad("account %q is no address", c.Account)
	}
	if len(c.Servers) == 0 {
		return bad("servers names none")
	}
	if _, ok := proofPolicies[c.Proofs]; !ok {
		return bad("proofs %q: write later, first or never", c.Proofs)
	}
	if c.OnStop != StopKeep && c.OnStop != StopCancel {
		return bad("on_stop %q: write %s or %s", c.OnStop, StopKeep, StopCancel)
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		return bad("tls_cert and tls_key go together")
	}
	if _, _, err := parseLevels(c.Log.Level); err != nil {
		return bad("log.level %v", err)
	}
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return bad("listen %q: write an address and a port, such as 127.0.0.1:8650", c.Listen)
	}
	if ip := net.ParseIP(host); c.TLSCert == "" && host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return bad("listen %q: others could reach the gate there, so it needs a certificate for its name (tls_cert, tls_key); without one it listens on 127.0.0.1", c.Listen)
	}
	return nil
}

var proofPolicies = map[string]gate.Proofs{"later": gate.ProveLater, "first": gate.ProveFirst, "never": gate.ProveNever}

// SampleGate is the config file of a gate, with every setting and what applies without it.
func SampleGate() []byte {
	c := DefaultGate()
	return c.text()
}

// text is the config file, with comments.
func (c *GateConfig) text() []byte {
	return fmt.Appendf(nil, `# Configuration of a Souk gate. An unknown key is an error; a missing one has the default.

# The virtual server, its servers, the account, and the gate's own key, which the account's
# owner has let act. souk gate init writes them.
virtual_server = %s
servers = %s
account = %s
key = %s

# Where programs reach the gate. Other machines need a certificate for the name they use.
listen = %s
# Host names, besides this machine's own, under which programs may ask for it.
hosts = %s
# PEM files of a certificate and its key, for other machines. Empty: the gate's own, for this one.
tls_cert = %s
tls_key = %s
# Receipts are proven: later, just after they are answered; first, before they are; never.
proofs = %s
# Orders when the gate ends: keep, or cancel.
on_stop = %s
# Programs may send coins away, if the gate's key may.
allow_withdraw = %t

[wallet]
# The wallet at the path /, such as btc. Empty: the only one there is.
default = %s
# Users besides the cookie, as lines NAME:SALT$HASH, as bitcoind's rpcauth has them.
# souk gate password NAME makes one.
users = %s

[log]
# debug, info, warn or error
level = %s
# text or json
format = %s
`, tomlString(c.Server), tomlList(c.Servers), tomlString(c.Account), tomlString(c.Key), tomlString(c.Listen), tomlList(c.Hosts),
		tomlString(c.TLSCert), tomlString(c.TLSKey), tomlString(c.Proofs), tomlString(c.OnStop), c.Withdraw,
		tomlString(c.Wallet.Default), tomlList(c.Wallet.Users), tomlString(c.Log.Level), tomlString(c.Log.Format))
}

// Save writes the config: whole, for its owner only.
func (c *GateConfig) Save(h GateHome) error {
	f, err := os.CreateTemp(string(h), ".gate-*") // mode 0600
	if err != nil {
		return fmt.Errorf("write the gate's configuration: %w", err)
	}
	defer os.Remove(f.Name()) //nolint:errcheck // gone after the rename, or of no use
	_, err = f.Write(c.text())
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), h.Config())
	}
	if err != nil {
		return fmt.Errorf("write the gate's configuration: %w", err)
	}
	return nil
}

// GateTerms are what a gate is made for.
type GateTerms struct {
	ID      exchange.ID
	Servers []string
	Account identity.Address
	Listen  string // empty: the default, or what the config says
	// Withdraw lets programs send coins away.
	Withdraw bool
}

// InitGate makes a gate's folder, key and config; of one that is there already it changes
// what the terms say, and keeps the key. It answers the public half, which the owner lets act.
func InitGate(h GateHome, t *GateTerms, pass sealed.Passphrase, work int) (identity.PublicKey, error) {
	var none identity.PublicKey
	if err := os.MkdirAll(string(h), 0o700); err != nil {
		return none, fmt.Errorf("make the gate's folder: %w", err)
	}
	c, err := ReadGate(h)
	if _, missing := os.Stat(h.Config()); missing != nil {
		c, err = DefaultGate(), nil
	}
	if err != nil {
		return none, err
	}
	c.Servers, c.Account, c.Withdraw = t.Servers, t.Account.String(), t.Withdraw
	c.Server = fmt.Sprintf("%x", t.ID[:])
	if t.Listen != "" {
		c.Listen = t.Listen
	}
	public, err := h.ensureKey(&c, pass, work)
	if err != nil {
		return none, err
	}
	if err := c.check(); err != nil {
		return none, err
	}
	return public, c.Save(h)
}

// ensureKey makes the gate's key, or reads the public half of the one that is there.
func (h GateHome) ensureKey(c *GateConfig, pass sealed.Passphrase, work int) (identity.PublicKey, error) {
	var none identity.PublicKey
	if _, err := os.Stat(h.keyFile()); err == nil {
		if c.Key != "" {
			return identity.ParsePublicKey(c.Key)
		}
		key, err := openKey(h.keyFile(), roleGate, pass)
		if err != nil {
			return none, err
		}
		defer key.Wipe()
		c.Key = key.Public().String()
		return key.Public(), nil
	}
	key, err := identity.GenerateKey(rand.Reader)
	if err != nil {
		return none, fmt.Errorf("make the gate's key: %w", err)
	}
	defer key.Wipe()
	if err := sealKey(h.keyFile(), roleGate, key, pass, work); err != nil {
		return none, err
	}
	c.Key = key.Public().String()
	return key.Public(), nil
}

// Key opens the gate's key.
func (h GateHome) Key(pass sealed.Passphrase) (identity.PrivateKey, error) {
	return openKey(h.keyFile(), roleGate, pass)
}

// GateURL is where programs of this machine reach the gate of a folder.
func GateURL(h GateHome) (string, error) {
	c, err := ReadGate(h)
	if err != nil {
		return "", err
	}
	return gateURL(c.Listen), nil
}

// gateURL is where programs of this machine reach a gate that listens at an address.
func gateURL(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "https://" + listen
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return "https://" + net.JoinHostPort(strings.Trim(host, "[]"), port)
}
