package node

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"github.com/pelletier/go-toml/v2"

	"souk/web"
)

// ErrConfig is returned for a configuration that cannot be used; the text says
// which line, and what to write instead.
var ErrConfig = errors.New("configuration")

// Config is config.toml in a server's home.
type Config struct {
	HTTP   HTTP   `toml:"http"`
	Admin  Admin  `toml:"admin"`
	Log    Log    `toml:"log"`
	Memory Memory `toml:"memory"`
	Events Events `toml:"events"`
	// Archive is one for each virtual server.
	Archive ArchiveConfig `toml:"archive"`
	// Practice is of the first virtual server.
	Practice PracticeConfig `toml:"practice"`
	// Network is of this server among peers.
	Network NetworkConfig `toml:"network"`
	// Chains say how this server sees the chains of banks, by network.
	Chains  map[string]ChainConfig `toml:"chains"`
	Virtual []VirtualConfig        `toml:"virtual_server"`
}

// HTTP says where clients reach this server.
type HTTP struct {
	Listen  string   `toml:"listen"`
	Hosts   []string `toml:"hosts"`
	Page    bool     `toml:"page"`
	Origins []string `toml:"origins"`
	TLSCert string   `toml:"tls_cert"`
	TLSKey  string   `toml:"tls_key"`
	Plain   bool     `toml:"plain"`
	Proxies []string `toml:"trusted_proxies"`
	Conns   int      `toml:"connections"`
}

// proxies are the networks of trusted proxies.
func (h *HTTP) proxies() (list []netip.Prefix, err error) {
	for _, text := range h.Proxies {
		p, err := netip.ParsePrefix(text)
		if err != nil || p.Masked() != p || p.Bits() == 0 || p.Addr().Is4In6() {
			return nil, fmt.Errorf("http.trusted_proxies %q: write a network that only proxies of yours are in, like 127.0.0.1/32 or 2001:db8:1::/64", text)
		}
		list = append(list, p)
	}
	return list, nil
}

// Log says what is logged to standard error.
type Log struct {
	Level  string `toml:"level"`
	Format string `toml:"format"`
}

// VirtualConfig is one virtual server that this server hosts.
type VirtualConfig struct {
	Founding      string `toml:"founding"`
	Keys          string `toml:"keys"`
	Listen        string `toml:"listen"`
	KeepBlocks    uint64 `toml:"keep_blocks"`
	SnapshotEvery uint64 `toml:"snapshot_every"`
	HistoryDays   int    `toml:"history_days"`
	Audit         bool   `toml:"audit_signatures"`
	StateSync     bool   `toml:"state_sync"`
	TrustHeight   uint64 `toml:"trust_height"`
	TrustHash     string `toml:"trust_hash"`
	Origin        string `toml:"origin"`
}

// DefaultConfig is what applies where a config file is silent.
func DefaultConfig() Config {
	return Config{HTTP: HTTP{Listen: "127.0.0.1:8640", Page: true, Conns: 1024}, Admin: Admin{Listen: "admin.sock"}, Log: Log{Level: "info", Format: "text"}, Events: Events{Keep: "24h"}, Archive: ArchiveConfig{Engine: archiveNone}, Practice: PracticeConfig{Key: practiceKey}, Network: defaultNetwork()}
}

// defaultVirtual is what applies where a virtual server's section is silent.
func defaultVirtual() VirtualConfig {
	return VirtualConfig{Keys: firstKeys, KeepBlocks: 20_000, SnapshotEvery: 10_000, HistoryDays: 30}
}

// ReadConfig reads a config file strictly: an unknown key is an error.
func ReadConfig(path string) (Config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return ParseConfig(data)
}

// ParseConfig is ReadConfig for text.
func ParseConfig(data []byte) (Config, error) {
	c := DefaultConfig()
	if err := parseTOML(data, &c); err != nil {
		return Config{}, fmt.Errorf("%w, %w", ErrConfig, err)
	}
	if err := refuseZeros(data); err != nil {
		return c, err
	}
	for i := range c.Virtual {
		c.Virtual[i].fill()
	}
	if err := c.check(); err != nil {
		return c, err
	}
	return c, checkChains(c.Chains, numberLines(data))
}

// refuseZeros refuses values that would stand for the default: what a file says applies.
func refuseZeros(data []byte) error {
	var said struct {
		HTTP struct {
			Conns *int `toml:"connections"`
		} `toml:"http"`
		Virtual []struct {
			Keys          *string `toml:"keys"`
			KeepBlocks    *uint64 `toml:"keep_blocks"`
			SnapshotEvery *uint64 `toml:"snapshot_every"`
			HistoryDays   *int    `toml:"history_days"`
		} `toml:"virtual_server"`
	}
	if err := toml.Unmarshal(data, &said); err != nil {
		return fmt.Errorf("%w, %w", ErrConfig, err)
	}
	lines := numberLines(data)
	bad := func(table, key, value, write string, otherwise any) error {
		where := ""
		if line := lines.of(table + "." + key); line != 0 {
			where = fmt.Sprintf("line %d: ", line)
		}
		return fmt.Errorf("%w, %s%s = %s: write %s, or leave the line out for the default, %v", ErrConfig, where, key, value, write, otherwise)
	}
	if n := said.HTTP.Conns; n != nil && *n < 1 {
		return bad("http", "connections", fmt.Sprint(*n), "1 or more", DefaultConfig().HTTP.Conns)
	}
	d := defaultVirtual()
	for i, v := range said.Virtual {
		table := fmt.Sprintf("virtual_server.%d", i)
		switch {
		case v.Keys != nil && *v.Keys == "":
			return bad(table, "keys", `""`, "the folder of the keys", d.Keys)
		case v.KeepBlocks != nil && *v.KeepBlocks == 0:
			return bad(table, "keep_blocks", "0", "1 or more", d.KeepBlocks)
		case v.SnapshotEvery != nil && *v.SnapshotEvery == 0:
			return bad(table, "snapshot_every", "0", "1 or more", d.SnapshotEvery)
		case v.HistoryDays != nil && *v.HistoryDays == 0:
			return bad(table, "history_days", "0", "1 or more, or a negative number for ever", d.HistoryDays)
		}
	}
	return nil
}

// fill puts defaults where the section is silent.
func (v *VirtualConfig) fill() {
	d := defaultVirtual()
	if v.Keys == "" {
		v.Keys = d.Keys
	}
	if v.KeepBlocks == 0 {
		v.KeepBlocks = d.KeepBlocks
	}
	if v.SnapshotEvery == 0 {
		v.SnapshotEvery = d.SnapshotEvery
	}
	if v.HistoryDays == 0 {
		v.HistoryDays = d.HistoryDays
	}
}

func (c *Config) check() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", ErrConfig, fmt.Sprintf(format, args...))
	}
	if (c.HTTP.TLSCert == "") != (c.HTTP.TLSKey == "") {
		return bad("http.tls_cert and http.tls_key go together")
	}
	for _, o := range c.HTTP.Origins {
		if plain, ok := web.Origin(o); !ok || plain != o {
			return bad("http.origins %q: write it as browsers do, like https://trade.example or http://127.0.0.1:5173", o)
		}
	}
	if _, err := c.HTTP.proxies(); err != nil {
		return bad("%v", err)
	}
	if err := c.Admin.check(); err != nil {
		return bad("admin.listen %v", err)
	}
	if _, _, err := parseLevels(c.Log.Level); err != nil {
		return bad("log.level %v", err)
	}
	if _, err := c.Memory.bytes(); err != nil {
		return bad("memory.limit %v", err)
	}
	if _, err := c.Events.duration(); err != nil {
		return bad("events.keep %v", err)
	}
	if err := c.Archive.check(); err != nil {
		return bad("%v", err)
	}
	if err := c.Practice.check(); err != nil {
		return bad("%v", err)
	}
	if err := c.Network.check(); err != nil {
		return bad("%v", err)
	}
	if c.Log.Format != "text" && c.Log.Format != "json" {
		return bad("log.format %q: write text or json", c.Log.Format)
	}
	for i := range c.Virtual {
		v := &c.Virtual[i]
		if v.Founding == "" {
			return bad("virtual_server %d has no founding: name the file that souk federation create wrote", i+1)
		}
		if (v.TrustHeight == 0) != (v.TrustHash == "") {
			return bad("virtual_server %d: trust_height and trust_hash go together", i+1)
		}
	}
	return nil
}

// configText is a config file with comments.
func configText(c *Config) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, `# Configuration of a Souk server. An unknown key is an error; a missing one has the
# default shown. souk config show --origin prints what applies and where it comes from.

[http]
# Where clients reach this server. Other machines need TLS, or a proxy that does it.
listen = %s
# Host names, besides this machine's own, under which clients may ask for it.
hosts = %s
# Show browsers the page where people trade.
page = %t
# Origins of pages that may use this server besides those of the members' servers, such as
# https://trade.example. Pages of all others can neither read from it nor send to it.
origins = %s
# PEM files of a certificate and its key. SIGHUP reads them again.
tls_cert = %s
tls_key = %s
# true: a proxy in front does TLS.
plain = %t
# Networks of proxies in front, such as ["127.0.0.1/32"]. Limits for one address are then for
# the one that the proxy wrote last into X-Forwarded-For; without this, for the proxy's own.
trusted_proxies = %s
# Most open connections.
connections = %d

[admin]
# Where this machine's operator reaches the running server, for souk log level, metrics and
# profiles: a socket in this folder that only its owner may use; a port of this machine,
# such as 127.0.0.1:8642, which every user of the machine may; or off.
listen = %s

[log]
# debug, info, warn or error, and behind it exceptions for parts of the server: node, web,
# consensus, state, chain, bank, network; such as info,consensus=debug,web=warn. Changed while the
# server runs by souk log level, or here and by SIGHUP.
level = %s
# text or json
format = %s

[memory]
# Soft limit of the process's memory, such as 2GiB; off: none; empty: three quarters of
# what the machine has or its service is left. GOMEMLIMIT in the environment goes before it.
limit = %s

[events]
# For how long (of block time) what blocks did is kept for those who follow it: streams of
# events go on from there, and the archive. 0: what is in memory, some seconds; forever.
keep = %s

[archive]
# Where what blocks did is kept in tables, for questions about the past: none, sqlite or
# postgres. It is made from what [events] keeps; souk archive rebuild makes it anew.
engine = %s
# For sqlite: the folder of its files, one for each virtual server. Empty: beside the state.
path = %s
# For postgres: a file with the DSN in one line, that only this user can read, such as
# postgres://souk:PASSWORD@localhost/souk. Tables are in a schema for each virtual server.
dsn_file = %s
%s%s%s`, tomlString(c.HTTP.Listen), tomlList(c.HTTP.Hosts), c.HTTP.Page, tomlList(c.HTTP.Origins), tomlString(c.HTTP.TLSCert), tomlString(c.HTTP.TLSKey), c.HTTP.Plain, tomlList(c.HTTP.Proxies), c.HTTP.Conns, tomlString(c.Admin.Listen),
		tomlString(c.Log.Level), tomlString(c.Log.Format), tomlString(c.Memory.Limit), tomlString(c.Events.Keep),
		tomlString(c.Archive.Engine), tomlString(c.Archive.Path), tomlString(c.Archive.DSNFile), c.Practice.Text(), c.Network.text(), chainsHelp)
	for _, network := range slices.Sorted(maps.Keys(c.Chains)) {
		chain := c.Chains[network]
		b.WriteString(chain.text(network))
	}
	for i := range c.Virtual {
		b.WriteString(c.Virtual[i].text())
	}
	return []byte(b.String())
}

func (v *VirtualConfig) text() string {
	return fmt.Sprintf(`
[[virtual_server]]
# The founding contract, relative to this folder.
founding = %s
# The folder of the consensus and node key with which it is served.
keys = %s
# Where the other servers reach this one: IP address and port. Empty: this server only dials.
listen = %s
# How many of the newest blocks are kept.
keep_blocks = %d
# A copy of the state for servers that join is made every so many blocks.
snapshot_every = %d
# For how many days trades and fills are kept; negative: for ever.
history_days = %d
# Verify signatures again when blocks are executed.
audit_signatures = %t
# Join from a copy of the state instead of executing all blocks. With
# trust_height and trust_hash of a header that two members confirm, or, while the
# founding is younger than 14 days, without.
state_sync = %t
trust_height = %d
trust_hash = %s
# The export that a refounded virtual server begins with.
origin = %s
`, tomlString(v.Founding), tomlString(v.Keys), tomlString(v.Listen), v.KeepBlocks, v.SnapshotEvery, v.HistoryDays, v.Audit, v.StateSync, v.TrustHeight, tomlString(v.TrustHash), tomlString(v.Origin))
}

func tomlList(list []string) string {
	quoted := make([]string, len(list))
	for i, s := range list {
		quoted[i] = tomlString(s)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// tomlString is text as TOML quotes it. Go's own form knows escapes that TOML does not.
func tomlString(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteRune('\\')
			b.WriteRune(r)
		case unicode.IsControl(r):
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// WriteConfig writes a config file with comments; it does not replace one.
func WriteConfig(path string, c *Config) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	if _, err := f.Write(configText(c)); err != nil {
		f.Close() //nolint:errcheck // the write failed already
		return fmt.Errorf("write configuration: %w", err)
	}
	return f.Close()
}

// in makes a path of the config absolute.
func (h Home) in(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(string(h), path)
}
