package custodian

import (
	"slices"

	"souk/chain"
	"souk/exchange/custody"
	"souk/script"
)

// Reread decodes what is remembered and encodes it again; false if it is refused.
func Reread(network *script.Network, data []byte) ([]byte, bool) {
	c := &Custodian{cfg: Config{Bank: 1, Network: network}}
	if !c.decode(data) {
		return nil, false
	}
	return c.encode(), true
}

// Seen encodes a memory of some blocks.
func Seen(network *script.Network, hashes ...script.Hash) []byte {
	c := &Custodian{cfg: Config{Bank: 1, Network: network}}
	c.own.reset(chain.Point{Height: 5, Hash: script.Hash{5}})
	for i, h := range hashes {
		tip := c.own.tip()
		b := chain.Block{Point: chain.Point{Height: tip.Height + 1, Hash: h}, Parent: tip.Hash, Time: uint32(i)}
		c.connect(&b, &chain.Found{})
	}
	c.own.payments = append(c.own.payments, payment{coinbase: true})
	return c.encode()
}

// Rescans counts how often blocks are read again if an address that is late is allotted
// before each of some blocks.
func Rescans(blocks int) (n int) {
	c := &Custodian{}
	c.own.reset(chain.Point{Height: 500, Hash: script.Hash{5}})
	for i := range blocks {
		if len(c.watch.fresh) == 0 {
			c.watch.freshAt = c.own.tip().Height
		}
		c.watch.fresh, c.watch.late = append(c.watch.fresh, []byte{byte(i)}), true
		if c.newRescan() != nil {
			n++
		}
		tip := c.own.tip()
		b := chain.Block{Point: chain.Point{Height: tip.Height + 1, Hash: script.Hash{6, byte(i)}}, Parent: tip.Hash}
		c.connect(&b, &chain.Found{})
	}
	return n
}

// Kept is which version, from 1, of a batch that settled is kept, of some that are whole or
// not and spend these coins; zero for none.
func Kept(spends []string, whole []bool, settled int) int {
	w := &work{}
	for i := range spends {
		v := &version{}
		for _, n := range []byte(spends[i]) {
			v.inputs = append(v.inputs, custody.Input{At: script.Outpoint{Tx: script.Hash{n}}})
		}
		if whole[i] {
			v.raw = []byte{byte(i + 1)}
		}
		w.versions = append(w.versions, v)
	}
	v := w.toKeep(w.versions[settled-1].inputs, settled)
	return 1 + slices.Index(w.versions, v)
}
