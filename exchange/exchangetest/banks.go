package exchangetest

import (
	"crypto/sha256"
	"fmt"
	"slices"

	"souk/asset"
	"souk/exchange"
	"souk/exchange/custody"
	"souk/exchange/roster"
	"souk/script"
)

// The bank of BankFounding, and its asset by number.
const (
	TBC  asset.ID     = 4
	Bank custody.Bank = 1

	// BankNetwork is the network of the bank.
	BankNetwork = "bitcoin-regtest"
	// BankStart is the height from which the members attest.
	BankStart = 100
)

// BankHash makes a hash of words and numbers.
func BankHash(parts ...any) script.Hash { return sha256.Sum256(fmt.Append(nil, parts...)) }

// MemberKey is a member's private key for the bank, by name.
func MemberKey(name string) script.PrivateMemberKey {
	seed := BankHash("exchangetest bank ", name)
	k, err := script.NewPrivateMemberKey(seed[:])
	if err != nil {
		panic(err) //nolint:forbidigo // a test that cannot start
	}
	return k
}

// BankCard is Card with a key for the bank.
func BankCard(name string) exchange.Card {
	c := Card(name)
	SetBankKeys(&c, BankNetwork)
	return c
}

// SetBankKeys gives a card the member's key, for one network, and signs it.
func SetBankKeys(c *exchange.Card, network string) {
	c.Banks = []exchange.BankKey{proven(c.Claim(network), MemberKey(c.Name))}
	c.Sign(Key(c.Name))
}

func proven(claim script.Claim, key script.PrivateMemberKey) exchange.BankKey {
	k, err := exchange.ProveBankKey(claim, key)
	if err != nil {
		panic(err) //nolint:forbidigo // a test that cannot start
	}
	return k
}

// SetRecovery gives a bank a recovery by the keys of some holders.
func SetRecovery(b *exchange.FoundingBank, r script.Recovery, holders ...string) {
	r.Keys, b.Possessions = nil, nil
	for _, name := range holders {
		k := proven(exchange.RecoveryClaim(b.Network), MemberKey(name))
		r.Keys, b.Possessions = append(r.Keys, k.Key), append(b.Possessions, k.Possession)
	}
	b.Recovery = &r
}

// Announce is a member's announcement of a key for the bank.
func (w *World) Announce(member string, key script.PrivateMemberKey) *exchange.AnnounceKey {
	id, _ := w.State.Roster().ByServer(Key(member + "/server").Public())
	claim, _ := w.State.Claim(id, BankNetwork)
	k := proven(claim, key)
	return &exchange.AnnounceKey{Bank: Bank, Key: k.Key, Possession: k.Possession}
}

// BankFounding is Founding with a bank of the asset TBC.
func BankFounding(members int) *exchange.Founding {
	f := Founding(members)
	f.Members = nil
	for i := range members {
		f.Members = append(f.Members, BankCard(MemberName(i)))
	}
	f.SortMembers()
	f.Assets = append(f.Assets, exchange.FoundingAsset{Symbol: "TBC", Decimals: 8, MaxSupply: asset.MaxSupply, Contract: "one coin of the chain"})
	f.Banks = []exchange.FoundingBank{{Symbol: "TBC", Definition: custody.Definition{
		Asset: TBC, Network: BankNetwork, Wallets: 4,
		Limits: custody.Limits{MinDeposit: 10_000, MinWithdrawal: 10_000, MaxPerHour: 100 * Coin, DelayAbove: 5 * Coin, Delay: 1000},
		Gather: 20, BumpBlocks: 3, CoolDown: 100, Start: custody.Point{Height: BankStart, Hash: BankHash("block", BankStart, 0)},
	}}}
	return f
}

// Chain is a scripted chain of the bank, as all honest members see it: blocks by
// number of their branch, what was paid to the bank in them, and what was spent.
type Chain struct {
	World  *World
	Tip    uint32
	Branch map[uint32]int // by height, of blocks after a reorganisation
	said   uint32         // up to which block the members have attested
	pays   []custody.Payment
	spends []custody.Spend
	made   int
}

// NewChain is the chain of a world from BankFounding.
func NewChain(w *World) *Chain {
	return &Chain{World: w, Tip: BankStart, said: BankStart, Branch: map[uint32]int{}}
}

func (c *Chain) hash(height uint32) script.Hash { return BankHash("block", height, c.Branch[height]) }

// Pay pays an amount to an address of the bank in the next block.
func (c *Chain) Pay(series, index uint32, amount asset.Amount) script.Outpoint {
	c.made++
	at := script.Outpoint{Tx: BankHash("payment", c.made), Index: uint32(c.made % 3)} //nolint:gosec // small
	c.pays = append(c.pays, custody.Payment{Height: c.Tip + 1, At: at, Amount: amount, Series: series, Branch: script.Deposits, Index: index})
	return at
}

// Spend spends an outpoint of the bank by a transaction in the next block.
func (c *Chain) Spend(at script.Outpoint, tx script.Hash) {
	c.spends = append(c.spends, custody.Spend{Height: c.Tip + 1, At: at, Tx: tx})
}

// MineBatches puts the newest version of every live batch into the next block.
func (c *Chain) MineBatches() (n int) {
	info, _ := c.World.State.Banks().Bank(Bank)
	for _, number := range info.Live {
		t, _ := c.World.State.Banks().Batch(Bank, number)
		if slices.ContainsFunc(c.spends, func(s custody.Spend) bool { return s.At == t.Spends(len(t.Versions))[0].At }) {
			continue
		}
		n++
		for _, in := range t.Spends(len(t.Versions)) {
			c.Spend(in.At, t.Versions[len(t.Versions)-1].Tx)
		}
	}
	return n
}

// Mine makes blocks.
func (c *Chain) Mine(blocks uint32) { c.Tip += blocks }

// Back takes the newest blocks off, with all that stood in them; others will come.
func (c *Chain) Back(blocks uint32) {
	for range blocks {
		c.Branch[c.Tip]++
		c.pays = slices.DeleteFunc(c.pays, func(p custody.Payment) bool { return p.Height == c.Tip })
		c.spends = slices.DeleteFunc(c.spends, func(p custody.Spend) bool { return p.Height == c.Tip })
		c.Tip--
	}
	c.said = min(c.said, c.Tip)
}

// Attestation is what a member says who has said everything up to a height.
func (c *Chain) Attestation(said uint32) *exchange.Attest {
	a := &exchange.Attest{Attestation: custody.Attestation{Bank: Bank, Rate: 2_000}}
	if said < c.Tip {
		a.From, a.Parent = said+1, c.hash(said)
	}
	for h := said + 1; h <= c.Tip && len(a.Hashes) < custody.MaxHashes; h++ {
		a.Hashes = append(a.Hashes, c.hash(h))
	}
	for _, p := range c.pays {
		if p.Height > said && p.Height <= c.Tip {
			a.Payments = append(a.Payments, p)
		}
	}
	for _, p := range c.spends {
		if p.Height > said && p.Height <= c.Tip {
			a.Spends = append(a.Spends, p)
		}
	}
	return a
}

// Attest are the commands by which all members say what is new.
func (c *Chain) Attest() []exchange.Command {
	body := c.Attestation(c.said)
	c.said = c.Tip
	var commands []exchange.Command
	for i := range c.World.State.Founding().Members {
		commands = append(commands, c.World.ByServer(MemberName(i), body))
	}
	return commands
}

// ByServer is a body that a member's server signs.
func (w *World) ByServer(member string, body exchange.Body) exchange.Command {
	return w.CommandBy(Address(member), Key(member+"/server"), body)
}

// Output is a script of somebody outside, by name.
func Output(name string) []byte {
	h := BankHash("output", name)
	return append([]byte{0, 20}, h[:20]...)
}

// Lift is the action that ends the halt of the bank, of somebody who has seen all reasons for it.
func Lift(s *exchange.State) roster.LiftBank {
	n, _ := s.Banks().Reasons()
	return roster.LiftBank{Bank: uint32(Bank), Reasons: max(n, 1)}
}
