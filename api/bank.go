package api

import (
	"encoding/hex"

	"souk/asset"
	"souk/exchange/custody"
	"souk/exchange/ledger"
	"souk/script"
)

// BankDecimals is how many decimals the assets of banks have (Y-85).
const BankDecimals = 8

// Bank is what a bank has and owes, and what it does, in numbers that name no account.
type Bank struct {
	ID            uint32         `json:"id"`
	Asset         uint32         `json:"asset" doc:"Asset whose coins it keeps."`
	Symbol        string         `json:"symbol" example:"BTC"`
	Network       string         `json:"network" example:"bitcoin"`
	Tip           Block          `json:"tip" doc:"Newest block of the chain that more than two thirds of the members agree on."`
	Wallets       []Wallet       `json:"wallets" nullable:"false" doc:"By number, from 0."`
	Coins         int            `json:"coins" doc:"Coins that no transaction spends, and those that transactions under way spend."`
	Sums          Solvency       `json:"sums"`
	Limits        Limits         `json:"limits" doc:"In force now."`
	Next          *NextLimits    `json:"next,omitempty" doc:"Limits that were voted and come into force."`
	HourUsed      string         `json:"hour_used" doc:"Of max_per_hour. It drains evenly."`
	Waiting       int            `json:"waiting" doc:"Withdrawals that no transaction pays yet."`
	Delayed       int            `json:"delayed" doc:"Those of them whose delay is not over."`
	Batches       int            `json:"batches" doc:"Transactions that are not settled."`
	WaitsToBump   bool           `json:"waits_to_bump" doc:"A transaction should pay more, and the reserve is short."`
	WaitsToSweep  bool           `json:"waits_to_sweep" doc:"Coins should move to the newest series, and the reserve is short."`
	WaitsForRate  bool           `json:"waits_for_rate" doc:"Coins of older series are worth too little to be moved at the rate of now (Y-24)."`
	WaitsToMine   bool           `json:"waits_to_mine" doc:"Withdrawals wait until a transaction under way is mined (Y-51)."`
	Rate          uint64         `json:"rate" doc:"Units per 1,000 virtual bytes that transactions pay now; 0: too few members know one."`
	Series        uint32         `json:"series" doc:"How many series of keys there are. New addresses are of the last."`
	Threshold     int            `json:"threshold" doc:"How many keys of the newest series sign."`
	Keys          int            `json:"keys" doc:"Of how many."`
	Confirmations []Confirmation `json:"confirmations" nullable:"false" doc:"Blocks until payments are credited, by the sum paid to the bank in one block."`
	PegOutBlocks  uint32         `json:"peg_out_blocks,omitempty" doc:"Blocks more for coins straight out of an extension block."`
	Gather        uint64         `json:"gather" doc:"ms from one look at withdrawals that wait to the next."`
	BumpBlocks    uint32         `json:"bump_blocks" doc:"Blocks after which a transaction that is not mined may pay more."`
	CoolDown      uint64         `json:"cool_down" doc:"ms from a member's new key to a series with it."`
	Start         Block          `json:"start" doc:"Block from which on members attest."`
}

// Block is a block of a bank's chain.
type Block struct {
	Height uint32 `json:"height"`
	Hash   string `json:"hash"`
}

// Wallet is a part of a bank's coins.
type Wallet struct {
	Total string `json:"total" doc:"Free coins, and change that transactions under way bring back."`
	Coins int    `json:"coins" doc:"Free ones."`
}

// Solvency is the sum of a bank (Y-73): free + change - lost + deficit = books.
type Solvency struct {
	Free     string `json:"free" doc:"Credited coins that no transaction spends."`
	Change   string `json:"change" doc:"What transactions under way bring back at least."`
	Lost     string `json:"lost" doc:"Of both: stolen, or not known to stand on the chain any more."`
	Books    string `json:"books" doc:"What the bank owes: every unit of the asset."`
	Deficit  string `json:"deficit"`
	Supply   string `json:"supply" doc:"Units of the asset, as the ledger counts them."`
	Reserve  string `json:"reserve" doc:"Of the books: for fees of transactions that nobody else pays."`
	Balanced bool   `json:"balanced" doc:"The sum adds up, there is no deficit, and books are the supply."`
}

// Limits are what a vote may change of a bank.
type Limits struct {
	MinDeposit    string `json:"min_deposit" doc:"Smaller payments are lost to their sender."`
	MinWithdrawal string `json:"min_withdrawal"`
	MaxPerHour    string `json:"max_per_hour" doc:"Most that leaves the bank in an hour."`
	DelayAbove    string `json:"delay_above" doc:"A larger withdrawal to an output that is new for the account waits."`
	Delay         uint64 `json:"delay" doc:"For so long, ms."`
}

// NextLimits are limits to come.
type NextLimits struct {
	Limits
	From uint64 `json:"from" doc:"In force from here on, ms."`
}

// Confirmation is how many blocks payments up to a sum need.
type Confirmation struct {
	UpTo   string `json:"up_to,omitempty" doc:"Sum of all payments to the bank in a block; absent: any."`
	Blocks uint32 `json:"blocks"`
}

// Halt is why banks do not pay or credit.
type Halt struct {
	Reason string `json:"reason" enum:"reorganisation,theft,vote,books"`
	Bank   uint32 `json:"bank,omitempty" doc:"The bank on whose chain it happened."`
	Height uint32 `json:"height,omitempty" doc:"Block of that chain."`
	// Reasons is what a vote on lifting names: who approves has seen so many.
	Reasons uint32      `json:"reasons" doc:"Reasons for halts since the founding. A vote on lifting names this number, so it lifts nothing that came later."`
	Newest  *HaltReason `json:"newest,omitempty" doc:"The reason that came last, if it is another one."`
	// Only are the symbols of the banks that are still halted, if a vote has lifted it for others.
	Only []string `json:"only,omitempty" nullable:"false" doc:"The banks that are still halted, if a vote has lifted it for others."`
}

// HaltReason is a reason for a halt.
type HaltReason struct {
	Reason string `json:"reason" enum:"reorganisation,theft,vote,books"`
	Bank   uint32 `json:"bank,omitempty" doc:"The bank on whose chain it happened."`
	Height uint32 `json:"height,omitempty" doc:"Block of that chain."`
}

// Banks are all banks of a virtual server.
type Banks struct {
	At
	Halt  *Halt  `json:"halt,omitempty" doc:"Why banks are halted: all but those that a vote has lifted it for."`
	Banks []Bank `json:"banks" nullable:"false" doc:"By id."`
}

// BankPage is a bank with its series, transactions and members.
type BankPage struct {
	At
	Bank
	Halt       *Halt        `json:"halt,omitempty" doc:"Why it is halted."`
	AllSeries  []Series     `json:"all_series" nullable:"false" doc:"Newest first; at most 100."`
	Unsettled  []Batch      `json:"unsettled" nullable:"false" doc:"Transactions that are not settled."`
	Attestors  []BankMember `json:"attestors" nullable:"false" doc:"What the bank knows of each member of the roster."`
	CoinsAt    uint64       `json:"coins_at" doc:"Block of which the series' coins are counted; it may be a moment old."`
	NeedsVotes int          `json:"needs" doc:"How many members must say the same."`
	Old        OldCoins     `json:"old" doc:"What has still to move to the newest series."`
	Rotation   OldCoins     `json:"rotation" doc:"What would have to move if a series were opened now: all free coins."`
}

// OldCoins are coins that a rotation moves to the newest series (Y-24).
type OldCoins struct {
	Coins       int    `json:"coins" doc:"Free ones."`
	Amount      string `json:"amount"`
	Small       int    `json:"small" doc:"Of them, those that wait for a lower fee rate."`
	SmallAmount string `json:"small_amount"`
	Cost        string `json:"cost" doc:"About what it takes to move the others at the rate of now, out of the reserve."`
	Missing     string `json:"missing" doc:"What the reserve lacks for that."`
}

// Series is k of n keys, from which addresses are derived.
type Series struct {
	Number    uint32      `json:"number"`
	Threshold int         `json:"threshold" doc:"How many of the keys sign."`
	Keys      []SeriesKey `json:"keys" nullable:"false" doc:"In the order of the members."`
	Recovery  *Recovery   `json:"recovery,omitempty" doc:"Other keys that can spend coins that have not moved for long."`
	Opened    uint64      `json:"opened" doc:"ms"`
	Addresses uint32      `json:"addresses" doc:"Deposit addresses that were allotted: the indexes below it."`
	Coins     int         `json:"coins" doc:"Coins of the series that the bank still has."`
	Amount    string      `json:"amount" doc:"Sum of these."`
	Proof     *Proof      `json:"proof,omitempty"`
}

// SeriesPage is a series and the state that it was read from.
type SeriesPage struct {
	At
	Series
}

// SeriesKey is a member's key in a series.
type SeriesKey struct {
	Member uint32 `json:"member" doc:"Number of the member; from 2^31 on: one of a virtual server before this one."`
	Name   string `json:"name,omitempty" doc:"Absent: not in the roster any more."`
	Key    string `json:"key" doc:"Extended public key (xpub), without its place in a tree."`
}

// Recovery is how a series can be spent without its members.
type Recovery struct {
	Threshold int      `json:"threshold"`
	Keys      []string `json:"keys" nullable:"false"`
	Blocks    uint32   `json:"blocks,omitempty" doc:"After so many blocks."`
	Seconds   uint64   `json:"seconds,omitempty" doc:"After so much time on the chain."`
}

// Batch is a transaction of a bank that is not settled.
type Batch struct {
	Number   uint64   `json:"number"`
	Kind     string   `json:"kind" enum:"payout,sweep,together,child"`
	Inputs   int      `json:"inputs"`
	Payouts  int      `json:"payouts"`
	Version  int      `json:"version" doc:"The newest."`
	Tx       string   `json:"tx" doc:"Its id."`
	Made     uint64   `json:"made" doc:"When it was made, ms."`
	Rate     uint64   `json:"rate" doc:"Units per 1,000 virtual bytes."`
	Fee      string   `json:"fee"`
	Signed   []uint32 `json:"signed" nullable:"false" doc:"Members whose signatures of all their inputs are there."`
	Missing  []uint32 `json:"missing" nullable:"false" doc:"Members who could sign and have not."`
	Wrong    []uint32 `json:"wrong" nullable:"false" doc:"Members whose signature is none."`
	Needed   int      `json:"needed" doc:"How many must sign."`
	Mined    uint32   `json:"mined,omitempty" doc:"Height at which a version stands."`
	Depth    uint32   `json:"depth,omitempty"`
	Required uint32   `json:"required,omitempty" doc:"Depth at which it is settled."`
}

// BankMember is what a bank knows of a member.
type BankMember struct {
	Member   uint32 `json:"member"`
	Name     string `json:"name"`
	Barred   bool   `json:"barred,omitempty" doc:"It signed blocks twice; what it says does not count."`
	Height   uint32 `json:"height" doc:"Last block that it attested; 0: none yet."`
	Behind   uint32 `json:"behind" doc:"Agreed blocks that it has not attested."`
	Late     bool   `json:"late" doc:"More than 6 behind."`
	Wrong    uint32 `json:"wrong" doc:"How often it said what the others contradict."`
	Rate     uint64 `json:"rate" doc:"Units per 1,000 virtual bytes that it sees; 0: it knows none."`
	Key      string `json:"key,omitempty" doc:"Key that it announced last."`
	KeySince uint64 `json:"key_since,omitempty" doc:"When, ms; absent: at the founding."`
	InSeries bool   `json:"in_series" doc:"A key of its is in the newest series."`
	Unsigned int    `json:"unsigned" doc:"Transactions that wait for its signature."`
	SignLate bool   `json:"sign_late" doc:"One of them for more than a minute."`
	BadSigns int    `json:"bad_signs" doc:"Transactions for which it gave something that is no signature."`
}

// Coin is an output that a bank has.
type Coin struct {
	Tx      string `json:"tx"`
	Output  uint32 `json:"output"`
	Amount  string `json:"amount"`
	Series  uint32 `json:"series"`
	Branch  uint32 `json:"branch" doc:"0: change, 1: deposits."`
	Index   uint32 `json:"index"`
	Wallet  uint8  `json:"wallet"`
	Height  uint32 `json:"height,omitempty" doc:"Block in which it stands; absent: none is known."`
	Batch   uint64 `json:"batch,omitempty" doc:"Transaction that spends it; absent: it is free."`
	Lost    bool   `json:"lost,omitempty" doc:"Stolen or in doubt."`
	Unmined bool   `json:"unmined,omitempty" doc:"Change that is spent before it is mined."`
}

// Coins are the coins of a bank, by outpoint, or a page of them.
type Coins struct {
	At
	Bank  uint32 `json:"bank"`
	Coins []Coin `json:"coins" nullable:"false"`
	Next  string `json:"next,omitempty" doc:"Where to go on: after of the next request. Absent: that was all."`
}

// FormatCoins writes an amount of an asset that a bank keeps.
func FormatCoins(a asset.Amount) string { return asset.Format(a, BankDecimals) }

// LimitsValue are limits as they stand in JSON.
func LimitsValue(l *custody.Limits) Limits {
	return Limits{
		MinDeposit: FormatCoins(l.MinDeposit), MinWithdrawal: FormatCoins(l.MinWithdrawal), MaxPerHour: FormatCoins(l.MaxPerHour),
		DelayAbove: FormatCoins(l.DelayAbove), Delay: l.Delay,
	}
}

// BankValue is a bank and its asset as they stand in JSON at a time. What the limits
// have used up, and the keys, are left for the caller.
func BankValue(b *custody.Info, of *ledger.Asset, n *script.Network, now uint64) Bank {
	v := Bank{
		ID: uint32(b.ID), Asset: uint32(b.Asset), Symbol: of.Symbol, Network: b.Network, Tip: blockValue(b.Tip), Wallets: make([]Wallet, len(b.Wallets)),
		Sums: Solvency{
			Free: FormatCoins(b.Sums.Free), Change: FormatCoins(b.Sums.Change), Lost: FormatCoins(b.Sums.Lost),
			Books: FormatCoins(b.Sums.Books), Deficit: FormatCoins(b.Sums.Deficit),
			Supply: FormatCoins(of.Supply), Reserve: FormatCoins(of.Reserve), Balanced: b.Sums.Deficit == 0 && of.Supply == b.Sums.Books,
		},
		Limits: LimitsValue(&b.Limits), Waiting: b.Pending, Batches: len(b.Live), Rate: b.Accepted, Series: b.Series,
		WaitsToBump: b.Waits&custody.WaitsToBump != 0, WaitsToSweep: b.Waits&custody.WaitsToSweep != 0,
		WaitsForRate: b.Waits&custody.WaitsForRate != 0, WaitsToMine: b.Waits&custody.WaitsToMine != 0,
		PegOutBlocks: n.PegOutExtra, Gather: b.Gather, BumpBlocks: b.BumpBlocks, CoolDown: b.CoolDown, Start: blockValue(b.Start),
	}
	for i, w := range b.Wallets {
		v.Wallets[i] = Wallet{Total: FormatCoins(w.Total), Coins: w.Coins}
		v.Coins += w.Coins
	}
	switch {
	case b.NextAt > now:
		v.Next = &NextLimits{LimitsValue(&b.Next), b.NextAt}
	case b.NextAt != 0:
		v.Limits = LimitsValue(&b.Next)
	}
	v.Confirmations = Confirmations(n)
	return v
}

// Confirmations is how deep payments of a network must be.
func Confirmations(n *script.Network) []Confirmation {
	list := make([]Confirmation, len(n.Confirmations))
	for i, c := range n.Confirmations {
		list[i].Blocks = c.Blocks
		if c.UpTo < asset.MaxSupply {
			list[i].UpTo = FormatCoins(c.UpTo)
		}
	}
	return list
}

func blockValue(p custody.Point) Block { return Block{p.Height, p.Hash.String()} }

// HaltValue is the halt of banks as it stands in JSON; nil if there is none.
func HaltValue(s *custody.State) *Halt {
	h := s.Halted()
	if h.Reason == custody.Running {
		return nil
	}
	n, newest := s.Reasons()
	v := &Halt{Reason: HaltName(h.Reason), Bank: uint32(h.Bank), Height: h.Height, Reasons: n}
	if newest != h {
		v.Newest = &HaltReason{Reason: HaltName(newest.Reason), Bank: uint32(newest.Bank), Height: newest.Height}
	}
	return v
}

// SeriesValue is a series as it stands in JSON; name answers a member's name.
func SeriesValue(number uint32, s *custody.SeriesRecord, name func(custody.Member) string) Series {
	v := Series{
		Number: number, Threshold: int(s.K), Keys: make([]SeriesKey, len(s.Keys)), Opened: s.Opened, Addresses: s.Allotted, Amount: FormatCoins(0),
	}
	for i, k := range s.Keys {
		v.Keys[i] = SeriesKey{Member: uint32(s.Members[i]), Name: name(s.Members[i]), Key: k.String()}
	}
	if r := s.Recovery; r != nil {
		v.Recovery = &Recovery{Threshold: int(r.K), Keys: []string{}, Blocks: r.Blocks, Seconds: uint64(r.Intervals) * script.IntervalSeconds}
		for _, k := range r.Keys {
			v.Recovery.Keys = append(v.Recovery.Keys, k.String())
		}
	}
	return v
}

// CoinValue is a coin as it stands in JSON.
func CoinValue(c *custody.Coin) Coin {
	return Coin{
		Tx: c.At.Tx.String(), Output: c.At.Index, Amount: FormatCoins(c.Amount), Series: c.Series, Branch: c.Branch, Index: c.Index,
		Wallet: c.Wallet, Height: c.Height, Batch: c.Batch, Lost: c.Lost, Unmined: c.Unmined,
	}
}

// ScriptText is an output as an address of its network, and in hexadecimal.
func ScriptText(n *script.Network, out []byte) (address, text string) {
	address, err := n.Address(out)
	if err != nil {
		address = ""
	}
	return address, hex.EncodeToString(out)
}
