package replica_test

import (
	"testing"

	"souk/replica"
)

// TestReplicasAgree executes random commands on four servers and on a model.
func TestReplicasAgree(t *testing.T) {
	c := newChain(t, 4, replica.Config{})
	random := c.random(20, 1)
	for i := range 30 {
		c.commands(i%4, 40, random.Block(100))
	}
	for _, n := range c.nodes {
		if got := n.Position(); got.Height != uint64(len(c.blocks)) || got.Root != c.world.State.Root() || got.Time != c.world.Time {
			t.Errorf("server %d is at %+v", n.index, got)
		}
	}
}
