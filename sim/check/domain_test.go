package check_test

import (
	"testing"

	"souk/exchange"
	"souk/identity"
)

// I16: no signature of a recorded history is worth anything for another virtual
// server, another kind of command, or another purpose.
func TestDomains(t *testing.T) {
	r := record()
	own, other := r.founding.ID(), exchange.ID{1}
	kinds := map[exchange.Kind]int{}
	for _, b := range r.blocks {
		for i := range b.Commands {
			c := &b.Commands[i]
			if kinds[c.Kind]++; kinds[c.Kind] > 8 {
				continue
			}
			signed := c.AppendSignBytes(nil, own)
			if !c.Key.VerifyRaw(signed, c.Signature) {
				t.Fatalf("%s: it does not verify at home", c.Kind)
			}
			if c.Key.VerifyRaw(c.AppendSignBytes(nil, other), c.Signature) {
				t.Errorf("%s: it verifies for another virtual server", c.Kind)
			}
			for kind := range kinds {
				as := *c
				if as.Kind = kind; kind != c.Kind && c.Key.VerifyRaw(as.AppendSignBytes(nil, own), c.Signature) {
					t.Errorf("%s: it verifies as %s", c.Kind, kind)
				}
			}
			message := signed[1+len(identity.TagCommand):]
			for _, tag := range []identity.Tag{
				identity.TagCommand, identity.TagCard, identity.TagRead, identity.TagFounding, identity.TagReceipt, identity.TagPeer,
			} {
				if got := c.Key.Verify(tag, message, c.Signature); got != (tag == identity.TagCommand) {
					t.Errorf("%s: for %s it verifies: %t", c.Kind, tag, got)
				}
			}
		}
	}
	if len(kinds) < 20 {
		t.Errorf("%d kinds of commands are too few", len(kinds))
	}
}
