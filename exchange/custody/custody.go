// Package custody owns the banks of a virtual server: which coins they have on
// their chains as the members attest them, to whom deposits are credited, in which
// wallet every coin lies, which withdrawals wait, which transactions pay them, and
// when everything halts.
//
// It moves no money: it answers events, and exchange posts them to the ledger. It
// signs nothing and sees no chain: members tell it what they saw, and it counts.
// It knows accounts and members as numbers only. The rules are
// docs/spec/14-custody.md.
//
// Where to look: founding in definition.go, keys and addresses in series.go, what
// members say in attest.go, what is agreed in tally.go, wallets in wallet.go,
// requests in withdraw.go and settings.go, transactions in plan.go, batch.go and
// bump.go, their inputs in tray.go, coins kept for large withdrawals in keep.go, what becomes of batches that
// lose inputs in renew.go, their end in settle.go, signatures in sign.go, halts and
// sums in halt.go, leaves in leaf.go and load.go.
//
// Floor 1: it imports floor 0 only.
package custody

import (
	"cmp"
	"fmt"
	"slices"

	"souk/asset"
	"souk/merkle"
	"souk/script"
)

// Bank is a bank's number, sequential from 1 in the founding. Zero is no bank.
type Bank uint32

// Owner is the number of an account. Zero is no account.
type Owner uint32

// Member is the number of a member of the roster. Zero is no member.
type Member uint32

// ID is a withdrawal's number, sequential from 1. Zero is no withdrawal.
type ID uint64

// Limits.
const (
	MaxBanks     = 16
	MaxWallets   = 16
	MaxHashes    = 64     // of an attestation
	MaxPayments  = 1000   // of an attestation
	MaxSpends    = 1000   // of an attestation
	MaxAhead     = 256    // blocks that a member may say beyond the agreed ones
	Keep         = 2016   // agreed blocks that are remembered
	Late         = 6      // blocks after which a member is behind, and what he alone says is wrong
	MaxOpen      = 16_384 // payments that a member says and that are not agreed
	MaxAlone     = 2048   // of these, which nobody else says
	MaxUnused    = 20     // addresses of an account and series to which nothing was paid
	MaxPending   = 65_536 // withdrawals of a bank that wait
	MaxOwn       = 64     // withdrawals of an account in a bank that wait
	MaxOutputs   = 100    // payouts of a batch
	MaxInputs    = 200    // of a batch
	MaxVersions  = 8      // of a batch that spend the same inputs
	MaxRenewed   = 32     // versions of a batch at all
	MaxTaken     = 400    // inputs of a batch's versions together
	MaxBatches   = 4      // new transactions of a bank in a block
	MaxLive      = 16     // batches of a bank that are not mined, children and slow ones not counted
	MaxUnmined   = 64     // the same with slow ones
	SlowBlocks   = 36     // agreed blocks after which a batch that is not mined is slow
	MaxChildren  = 8      // of one another, that are not mined
	MaxCredits   = 1000   // of a bank in a block
	MaxForget    = 1000   // old records dropped in a block
	Gap          = 20     // addresses beyond the used ones that members watch
	MaxSignature = 72     // bytes
	MaxRate      = 1_000_000
	PassOver     = 60 * 60 * 1000           // ms for which others may overtake a withdrawal that cannot be paid yet
	KeepAnew     = 24 * 60 * 60 * 1000      // ms after which what comes back for such a withdrawal is counted anew
	RecordFor    = 30 * 24 * 60 * 60 * 1000 // ms for which a settled withdrawal is remembered
	MaxDelay     = 30 * 24 * 60 * 60 * 1000 // ms, the longest delay of a withdrawal
	hour         = 60 * 60 * 1000
	manyCoins    = 64 // coins of a wallet above which the small ones are put together
	putTogether  = 50 // how many at a time
	bumpPerMille = 1250
	slowFactor   = 4
	bumpRoom     = 4
	maxHeight    = 1 << 31 // of a block of a chain
)

// Code is why an operation was refused. Numbers are append-only.
type Code uint8

// Codes.
const (
	OK          Code = iota
	UnknownBank      // there is no such bank
	NotMember        // the member is not in the roster, or barred
	BadForm          // more of something than a message may hold, or a number out of its range
	BadHeight        // a height below what is remembered, too far ahead, or without a hash of the member
	BadParent        // the first hash does not continue what the member or all have said
	TooMany          // the account, member or bank has as many of these as it may
	BadScript        // not an output that the bank may pay to
	BadAmount        // below the least or above the most
	FeeTooLow        // the bound does not pay for the output at the lowest rate
	NotAllowed       // not on the account's list of allowed outputs
	Unknown          // no such withdrawal, batch or version
	NotOwner         // another account's
	InBatch          // a transaction pays it already
	BadSettings      // malformed settings
	NotSigner        // no input of the batch has a key of this member
	IsHalted         // the bank is halted
	NotHalted        // there is nothing to lift
	Unbalanced       // the bank has less than it owes
	NotReady         // a member without a key, or with one that is too new
	BadKey           // not a key, or one that is in use
	SameSeries       // the newest series is of these members' keys already
	Unseen           // a reason for the halt has come that was not known
	Needed           // too few would be left to sign what a bank has in one of its series
)

// Members is who may attest and who counts.
type Members struct {
	Present []Member // those who may attest, ascending
	Count   int      // all members of the roster, those who are barred included
}

// carried tells whether more than two thirds of all members stand behind something (Y-10).
func (m *Members) carried(yes int) bool { return yes*3 > m.Count*2 }

// faults is how many members may fail or lie without harm: all but those who carry
// something.
func (m *Members) faults() int { return m.Count - Threshold(m.Count) }

// counted is how many of some members count now.
func (m *Members) counted(who []Member) (n int) {
	for _, id := range who {
		if m.has(id) {
			n++
		}
	}
	return n
}

func (m *Members) has(id Member) bool {
	_, ok := slices.BinarySearch(m.Present, id)
	return ok
}

// State is all banks. It is not safe for concurrent use.
type State struct {
	members Members
	halt    Halt
	newest  Halt   // the reason that came last, while any bank is halted
	reasons uint32 // for halts, since the founding
	last    ID     // the last withdrawal's number

	banks    []*bank // by number from 1
	accounts map[Owner]*account
	records  []*done // settled withdrawals by (time, id)

	entries map[string]*entry // by leaf key
	dirty   []merkle.Key

	events []Event // since the last step began
	work   uint64  // how many coins and questions the last step looked at; tests hold it to a bound
}

// bank is a bank with its indexes.
type bank struct {
	Definition
	id      Bank
	network *script.Network

	// Its leaf.
	next      Limits // in force from nextAt on
	nextAt    uint64 // ms; zero for no change to come
	tip       uint32 // the newest agreed block
	floor     uint32 // the oldest block that is remembered
	ruled     uint32 // the newest block for which it was counted who was wrong
	books     asset.Amount
	used      asset.Amount // of the hourly limit at usedAt
	usedAt    uint64
	planned   uint64 // ms when batches were last made
	waits     Wait
	lifted    bool // a vote has lifted the halt for this bank
	lastBatch uint64
	changes   []uint32 // by wallet: how many change addresses were used

	// Indexes.
	series    []*series
	addresses map[place]*address
	blocks    map[uint32]*block
	attestors []*attestor // ascending by member
	coins     map[script.Outpoint]*coin
	heard     []*coin           // of which somebody says something, by outpoint
	open      map[Member]opened // what members say and is not agreed
	wallets   []wallet          // by number
	free      asset.Amount      // of credited coins that no batch spends
	change    asset.Amount      // that batches will bring back
	lost      asset.Amount      // of credited coins that are in doubt or stolen
	pending   []*withdrawal     // ascending by id
	waiting   []*withdrawal     // the same by (time from which on, id)
	live      []*batch          // ascending
	settled   []*batch          // by (height, number)
	versions  map[script.Hash]*batch
	signs     map[uint64][]*slots // by batch

	// What the next step has to look at.
	touched []uint32 // heights whose votes changed
	stirred []*coin  // coins whose votes changed
	look    bool     // something may be ready to be credited or settled
}

// wallet is a part of a bank's coins.
type wallet struct {
	free  []*coin      // that no batch spends, by (amount, outpoint)
	sum   asset.Amount // of free
	total asset.Amount // of free, and of the change to come
}

// New returns a state without banks for Load to fill.
func New() *State {
	return &State{accounts: map[Owner]*account{}, entries: map[string]*entry{}}
}

// bank returns a bank, or nil.
func (s *State) bank(id Bank) *bank {
	if id == 0 || uint64(id) > uint64(len(s.banks)) {
		return nil
	}
	return s.banks[id-1]
}

func newBank(id Bank, d Definition, n *script.Network) *bank {
	return &bank{
		Definition: d, id: id, network: n,
		changes: make([]uint32, d.Wallets), wallets: make([]wallet, d.Wallets),
		addresses: map[place]*address{}, blocks: map[uint32]*block{}, coins: map[script.Outpoint]*coin{},
		open: map[Member]opened{}, versions: map[script.Hash]*batch{}, signs: map[uint64][]*slots{}, look: true,
	}
}

// SetMembers tells who may attest from now on. Call it at the beginning of every
// block (Y-10). What members said who are not any more does not count.
func (s *State) SetMembers(m Members) {
	if slices.Equal(m.Present, s.members.Present) && m.Count == s.members.Count {
		return
	}
	s.members = Members{slices.Clone(m.Present), m.Count}
	s.touch((*global)(s))
	for _, b := range s.banks {
		for _, a := range slices.Clone(b.attestors) {
			if !s.members.has(a.member) && !a.holds(b) {
				b.attestors = slices.DeleteFunc(b.attestors, func(x *attestor) bool { return x == a })
				s.drop(a)
			}
		}
		b.touchAll()
	}
}

// touchAll makes the next step count everything anew.
func (b *bank) touchAll() {
	b.touched = b.touched[:0]
	for h := b.floor + 1; h <= b.tip+MaxAhead; h++ {
		if b.blocks[h] != nil {
			b.touched = append(b.touched, h)
		}
	}
	b.stirAll()
}

// stirAll makes the next step count all statements on coins anew.
func (b *bank) stirAll() {
	b.stirred = append(b.stirred[:0], b.heard...)
	b.look = true
}

// add adds amounts that together cannot exceed what exists of an asset.
func add(a, b asset.Amount) asset.Amount {
	sum, ok := a.Add(b)
	if !ok {
		broken("amounts of %d and %d overflow", a, b)
	}
	return sum
}

// sub takes away what is there.
func sub(a, b asset.Amount) asset.Amount {
	rest, ok := a.Sub(b)
	if !ok {
		broken("%d is to be taken from %d", b, a)
	}
	return rest
}

// broken ends the replica, for an invariant of ours does not hold.
func broken(format string, args ...any) {
	panic("custody: " + fmt.Sprintf(format, args...)) //nolint:forbidigo // an invariant of ours is broken
}

// insert puts x into a slice sorted by order.
func insert[T any](list *[]T, x T, order func(a, b T) int) {
	i, _ := slices.BinarySearchFunc(*list, x, order)
	*list = slices.Insert(*list, i, x)
}

// remove takes x, which is there, out of a slice sorted by order.
func remove[T any](list *[]T, x T, order func(a, b T) int) {
	i, ok := slices.BinarySearchFunc(*list, x, order)
	if !ok {
		broken("what is to be removed is not there")
	}
	*list = slices.Delete(*list, i, i+1)
}

func compareOutpoints(a, b script.Outpoint) int {
	return cmp.Or(slices.Compare(a.Tx[:], b.Tx[:]), cmp.Compare(a.Index, b.Index))
}
