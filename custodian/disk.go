package custodian

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/crypto/cryptobyte"

	"souk/asset"
	"souk/chain"
	"souk/exchange/custody"
	"souk/script"
)

// What is remembered over a restart is no secret and can be found again by reading
// blocks: a file that is missing, of another bank or damaged counts as none.

const (
	seenFile  = "seen"
	seenMagic = "souk/custodian/seen/1\n"
)

// save writes what was seen, if there is news.
func (c *Custodian) save() error {
	if c.cfg.Dir == "" || !c.own.changed {
		return nil
	}
	path := filepath.Join(c.cfg.Dir, seenFile)
	part := path + ".part"
	if err := os.WriteFile(part, c.encode(), 0o600); err != nil {
		return fmt.Errorf("save what was seen: %w", err)
	}
	if err := os.Rename(part, path); err != nil {
		return fmt.Errorf("save what was seen: %w", err)
	}
	c.own.changed = false
	return nil
}

// load reads what was seen.
func (c *Custodian) load() error {
	if c.cfg.Dir == "" {
		return nil
	}
	if err := os.MkdirAll(c.cfg.Dir, 0o700); err != nil {
		return err
	}
	if err := c.loadKept(); err != nil {
		return err
	}
	data, err := os.ReadFile(filepath.Join(c.cfg.Dir, seenFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if !c.decode(data) {
		c.own, c.watch.covered, c.watch.coveredAt = own{}, nil, 0
		c.log.Warn("what was seen is damaged, blocks are read again")
	}
	return nil
}

func (c *Custodian) encode() []byte {
	o, u32 := &c.own, binary.BigEndian.AppendUint32
	out := u32([]byte(seenMagic), uint32(c.cfg.Bank))
	out = append(out, c.cfg.Network.Genesis[:]...)
	out = u32(out, uint32(len(o.locator)))
	out = o.locator.Append(out)
	out = u32(u32(u32(out, o.time), o.base), uint32(len(o.hashes)))
	for i := range o.hashes {
		out = append(out, o.hashes[i][:]...)
	}
	out = u32(out, uint32(len(o.payments)))
	for i := range o.payments {
		p := &o.payments[i]
		out = appendOutpoint(u32(out, p.Height), p.At)
		out = binary.BigEndian.AppendUint64(out, uint64(p.Amount))
		out = append(u32(u32(u32(out, p.Series), p.Branch), p.Index), flag(p.PegOut), flag(p.coinbase))
	}
	out = u32(out, uint32(len(o.spends)))
	for i := range o.spends {
		p := &o.spends[i]
		out = append(appendOutpoint(u32(out, p.Height), p.At), p.Tx[:]...)
	}
	out = u32(u32(out, c.watch.coveredAt), uint32(len(c.watch.covered)))
	for _, n := range c.watch.covered {
		out = u32(out, n)
	}
	sum := sha256.Sum256(out)
	return append(out, sum[:]...)
}

func (c *Custodian) decode(data []byte) bool {
	n := len(data) - sha256.Size
	if n < 0 || sha256.Sum256(data[:n]) != [sha256.Size]byte(data[n:]) {
		return false
	}
	body, ok := bytes.CutPrefix(data[:n], []byte(seenMagic))
	r := reader{s: cryptobyte.String(body), ok: ok}
	if custody.Bank(r.u32()) != c.cfg.Bank || r.hash() != c.cfg.Network.Genesis {
		return false
	}
	o := &c.own
	var points []byte
	r.ok = r.ok && r.s.ReadBytes(&points, int(r.count(36))*36)
	locator, err := chain.ParseLocator(points)
	if err != nil {
		return false
	}
	o.locator, o.time, o.base = locator, r.u32(), r.u32()
	for range r.count(32) {
		o.hashes = append(o.hashes, r.hash())
	}
	for range r.count(62) {
		p := payment{Payment: custody.Payment{Height: r.u32(), At: r.outpoint(), Amount: r.amount(), Series: r.u32(), Branch: r.u32(), Index: r.u32()}}
		p.PegOut, p.coinbase = r.flag(), r.flag()
		o.payments = append(o.payments, p)
	}
	for range r.count(72) {
		o.spends = append(o.spends, custody.Spend{Height: r.u32(), At: r.outpoint(), Tx: r.hash()})
	}
	c.watch.coveredAt = r.u32()
	for range r.count(4) {
		c.watch.covered = append(c.watch.covered, r.u32())
	}
	last, some := o.locator.Last()
	if !r.ok || !r.s.Empty() || !some || len(o.hashes) == 0 || last != o.tip() {
		return false
	}
	o.index()
	return true
}

// reader reads until something is missing.
type reader struct {
	s  cryptobyte.String
	ok bool
}

func (r *reader) u32() (v uint32) {
	r.ok = r.ok && r.s.ReadUint32(&v)
	return v
}

func (r *reader) u64() (v uint64) {
	r.ok = r.ok && r.s.ReadUint64(&v)
	return v
}

// count reads how many entries of a size follow.
func (r *reader) count(size int) uint32 {
	n := r.u32()
	if r.ok = r.ok && uint64(n)*uint64(size) <= uint64(len(r.s)); !r.ok {
		return 0
	}
	return n
}

func (r *reader) hash() (h script.Hash) {
	r.ok = r.ok && r.s.CopyBytes(h[:])
	return h
}

func (r *reader) outpoint() script.Outpoint { return script.Outpoint{Tx: r.hash(), Index: r.u32()} }

func (r *reader) amount() (a asset.Amount) {
	r.ok = r.ok && r.s.ReadUint64((*uint64)(&a))
	return a
}

func (r *reader) flag() bool {
	var b uint8
	r.ok = r.ok && r.s.ReadUint8(&b) && b <= 1
	return b == 1
}

func appendOutpoint(dst []byte, at script.Outpoint) []byte {
	return binary.BigEndian.AppendUint32(append(dst, at.Tx[:]...), at.Index)
}

func flag(b bool) byte {
	if b {
		return 1
	}
	return 0
}
