package exchangetest

import (
	"crypto/sha256"
	"fmt"

	"souk/asset"
	"souk/exchange"
	"souk/identity"
)

// Crowd is many accounts with money whose commands are not signed: Apply does not verify.
type Crowd struct {
	*World
	People []identity.PublicKey
	nonces []uint64
	serial uint64
}

// NewCrowd is a world after Founding(1) and so many people, who have a million of each
// of some assets.
func NewCrowd(people int, assets ...asset.ID) *Crowd {
	c := &Crowd{World: New(1)}
	c.Join(people, assets...)
	return c
}

// Join adds people who have a million of each of some assets.
func (c *Crowd) Join(people int, assets ...asset.ID) {
	first := len(c.People)
	for i := range people {
		c.People = append(c.People, identity.NewKey(sha256.Sum256(fmt.Append(nil, "crowd ", first+i))).Public())
		c.nonces = append(c.nonces, 0)
	}
	var commands []exchange.Command
	for _, id := range assets {
		for _, p := range c.People[first:] {
			if commands = append(commands, c.Command("issuer", &exchange.Mint{Asset: id, Amount: 1_000_000 * Coin, To: identity.AddressOf(p)})); len(commands) == 1000 {
				c.ok(commands)
				commands = commands[:0]
			}
		}
	}
	c.ok(commands)
}

// By is a command of the i-th of the people.
func (c *Crowd) By(i int, body exchange.Body) exchange.Command {
	c.nonces[i]++
	cmd := exchange.Command{
		Kind: body.Kind(), Account: identity.AddressOf(c.People[i]), Key: c.People[i], Nonce: c.nonces[i], Expiry: c.Time + 60_000, Body: body.Append(nil),
	}
	c.number(&cmd)
	return cmd
}

func (c *Crowd) number(cmd *exchange.Command) {
	c.serial++
	cmd.ID = exchange.CommandID{1, byte(c.serial), byte(c.serial >> 8), byte(c.serial >> 16), byte(c.serial >> 24)} //nolint:gosec // its bytes
}

// All lets everybody do something so many times, in full blocks. It panics if
// something fails.
func (c *Crowd) All(times int, body func(i, n int) exchange.Body) {
	var commands []exchange.Command
	for n := range times {
		for i := range c.People {
			if commands = append(commands, c.By(i, body(i, n))); len(commands) == exchange.MaxBlockCommands {
				c.ok(commands)
				commands = commands[:0]
			}
		}
	}
	c.ok(commands)
}

// ok applies a block, unless there is nothing to do, and panics if something fails.
func (c *Crowd) ok(commands []exchange.Command) {
	if len(commands) == 0 {
		return
	}
	r := c.Block(commands...)
	for i := range r.Receipts {
		if code := r.Receipts[i].Code; code != exchange.OK {
			panic(fmt.Sprintf("exchangetest: %s of a crowd: %s", commands[i].Kind, code)) //nolint:forbidigo // a test that cannot start
		}
	}
}
