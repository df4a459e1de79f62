package custodian

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/crypto/cryptobyte"

	"souk/chain"
	"souk/exchange/custody"
	"souk/script"
)

// Transactions of batches that settled are kept for a while: should a reorganisation take
// one out of the chain, nobody else may have it any more (W-34). Those of live batches are
// kept, too, from before they are broadcast, for a batch may settle before a custodian that
// was started again has put its transaction together anew. They are no secret. A
// file that is missing, of another bank or damaged counts as none.

const (
	keptFile  = "kept"
	keptMagic = "souk/custodian/kept/2\n"
	// keepBlocks is for how many agreed blocks after it was mined a transaction is kept
	// that stands in the chain. keepMost and keepBytes bound how many there are.
	keepBlocks = 288
	keepMost   = 512
	keepBytes  = 8 << 20
)

// kept is a transaction of a batch that settled.
type kept struct {
	batch  uint64
	height uint32          // where it was mined
	input  script.Outpoint // its first
	raw    []byte
	tried  chain.Point // the tip when it was broadcast last
	step   uint64      // and the step
}

// whole is a version of a live batch that enough have signed, as it stands in the file.
type whole struct {
	batch uint64
	tx    script.Hash
	raw   []byte
}

// restore makes versions whole that were so before the process was started again. Batches
// that the state does not know yet are still to come.
func (c *Custodian) restore(banks *custody.State, live []uint64) {
	c.loaded = slices.DeleteFunc(c.loaded, func(l whole) bool {
		if _, ok := banks.Batch(c.cfg.Bank, l.batch); !ok {
			return len(live) > 0 && l.batch < slices.Max(live)
		}
		w := c.works[l.batch]
		if w == nil {
			w = &work{}
			c.works[l.batch] = w
		}
		c.readBatch(banks, w, l.batch)
		at := slices.IndexFunc(w.batch.Versions, func(v custody.Version) bool { return v.Tx == l.tx })
		if at >= 0 && w.versions[at].raw == nil {
			w.versions[at].raw = l.raw
		}
		return at >= 0
	})
}

// retire takes batches that are not live any more off the list, and keeps the
// transactions of those that settled.
func (c *Custodian) retire(banks *custody.State, live []uint64) {
	for _, number := range slices.Sorted(maps.Keys(c.works)) {
		if slices.Contains(live, number) {
			continue
		}
		w := c.works[number]
		delete(c.works, number)
		b, ok := banks.Batch(c.cfg.Bank, number)
		if !ok || b.Settled == 0 {
			continue
		}
		if v := w.toKeep(b.Spends(int(b.Settled)), int(b.Settled)); v != nil {
			c.kept = append(c.kept, &kept{batch: number, height: b.Height, input: v.inputs[0].At, raw: v.raw})
			c.keptNew = true
		}
	}
	c.forgetKept()
}

// toKeep is the version of a settled batch that is whole: the settled one, from 1, or else the
// newest other one that spends the same inputs, for it pays the same; nil for none.
func (w *work) toKeep(inputs []custody.Input, settled int) (best *version) {
	for i, v := range w.versions {
		if v.raw == nil || !slices.Equal(v.inputs, inputs) {
			continue
		}
		if best = v; i+1 == settled {
			break
		}
	}
	return best
}

// forgetKept forgets transactions that have stood in the chain long enough, what the bank has
// forgotten, and the oldest ones if there are too many.
func (c *Custodian) forgetKept() {
	before := len(c.kept)
	tip := c.seen.info.Tip.Height
	c.kept = slices.DeleteFunc(c.kept, func(k *kept) bool {
		return tip > k.height+custody.Keep || tip > k.height+keepBlocks && c.own.spent[k.input]
	})
	slices.SortFunc(c.kept, func(x, y *kept) int { return cmp.Compare(x.batch, y.batch) })
	size := 0
	for _, k := range c.kept {
		size += len(k.raw)
	}
	for len(c.kept) > keepMost || size > keepBytes {
		size -= len(c.kept[0].raw)
		c.kept = c.kept[1:]
	}
	c.keptNew = c.keptNew || len(c.kept) != before
}

// passAgain broadcasts kept transactions that the member's chain does not hold, in the order
// of their batches: one may spend the change of another.
func (c *Custodian) passAgain(ctx context.Context) {
	o := &c.own
	if len(o.hashes) == 0 || o.tip() != o.end {
		return // not all of the chain was read
	}
	for _, k := range c.kept {
		if o.spent[k.input] || o.end.Height < k.height || k.step != 0 && k.tried == o.end && c.steps < k.step+again || ctx.Err() != nil {
			continue
		}
		err := c.cfg.Backend.Broadcast(ctx, k.raw)
		if err != nil && !errors.Is(err, chain.ErrRefused) {
			return // the node was not there; the next step tries again
		}
		if k.step == 0 {
			c.log.WarnContext(ctx, "a settled payout is not in the chain, broadcast again", slog.Uint64("batch", k.batch))
		}
		k.tried, k.step = o.end, c.steps
	}
}

// saveKept writes the transactions that are kept, settled and live ones, if there is news.
func (c *Custodian) saveKept() error {
	if c.cfg.Dir == "" || !c.keptNew {
		return nil
	}
	u32 := binary.BigEndian.AppendUint32
	out := u32([]byte(keptMagic), uint32(c.cfg.Bank))
	out = u32(append(out, c.cfg.Network.Genesis[:]...), uint32(len(c.kept)))
	for _, k := range c.kept {
		out = appendOutpoint(u32(binary.BigEndian.AppendUint64(out, k.batch), k.height), k.input)
		out = append(u32(out, uint32(len(k.raw))), k.raw...)
	}
	all := c.wholes()
	out = u32(out, uint32(len(all)))
	for _, l := range all {
		out = append(binary.BigEndian.AppendUint64(out, l.batch), l.tx[:]...)
		out = append(u32(out, uint32(len(l.raw))), l.raw...)
	}
	sum := sha256.Sum256(out)
	path := filepath.Join(c.cfg.Dir, keptFile)
	if err := os.WriteFile(path+".part", append(out, sum[:]...), 0o600); err != nil {
		return fmt.Errorf("save transactions: %w", err)
	}
	if err := os.Rename(path+".part", path); err != nil {
		return fmt.Errorf("save transactions: %w", err)
	}
	c.keptNew = false
	return nil
}

// wholes are the versions of live batches that are whole, and those of which nothing is
// known yet since the process was started.
func (c *Custodian) wholes() []whole {
	all := slices.Clone(c.loaded)
	for _, number := range slices.Sorted(maps.Keys(c.works)) {
		w := c.works[number]
		for i, v := range w.versions {
			if v.raw != nil {
				all = append(all, whole{number, w.batch.Versions[i].Tx, v.raw})
			}
		}
	}
	return all
}

// loadKept reads the transactions that were kept.
func (c *Custodian) loadKept() error {
	data, err := os.ReadFile(filepath.Join(c.cfg.Dir, keptFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if !c.decodeKept(data) {
		c.kept, c.loaded = nil, nil
		c.log.Warn("the transactions that were kept are damaged")
	}
	return nil
}

func (c *Custodian) decodeKept(data []byte) bool {
	n := len(data) - sha256.Size
	if n < 0 || sha256.Sum256(data[:n]) != [sha256.Size]byte(data[n:]) {
		return false
	}
	body, ok := bytes.CutPrefix(data[:n], []byte(keptMagic))
	r := reader{s: cryptobyte.String(body), ok: ok}
	if custody.Bank(r.u32()) != c.cfg.Bank || r.hash() != c.cfg.Network.Genesis {
		return false
	}
	for range r.count(52) {
		k := &kept{batch: r.u64(), height: r.u32(), input: r.outpoint()}
		r.ok = r.ok && r.s.ReadBytes(&k.raw, int(r.count(1)))
		c.kept = append(c.kept, k)
	}
	for range r.count(44) {
		l := whole{batch: r.u64(), tx: r.hash()}
		r.ok = r.ok && r.s.ReadBytes(&l.raw, int(r.count(1)))
		c.loaded = append(c.loaded, l)
	}
	return r.ok && r.s.Empty()
}
