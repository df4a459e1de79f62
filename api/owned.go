package api

// States of a deposit.
const (
	DepositSeen     = "seen"     // some members have seen it
	DepositDeep     = "deep"     // more than two thirds have, and its depth grows
	DepositCredited = "credited" // the account has it
)

// States of a withdrawal.
const (
	WithdrawalDelayed = "delayed" // its delay is not over
	WithdrawalWaiting = "waiting" // for a transaction
	WithdrawalSigning = "signing" // a transaction pays it, and the members sign
	WithdrawalSigned  = "signed"  // enough have, and it is on its way to a block
	WithdrawalMined   = "mined"   // it stands in a block
	WithdrawalPaid    = "paid"    // deep enough to be settled

	WithdrawalCancelled = "cancelled" // its owner took it back
)

// Reasons for which a withdrawal waits.
const (
	WaitsForTurn = "turn"  // for the next look, or for change that is under way
	WaitsForHour = "hour"  // the bank's hourly limit is used up
	WaitsForFee  = "fee"   // its bound of the fee is too low for the rate now
	WaitsForRate = "rate"  // too few members know a rate
	WaitsForLift = "halt"  // all banks are halted
	WaitsForTime = "delay" // its delay is not over

	WaitsForBlock = "block" // as many transactions as may be wait to be mined
)

// Address is a deposit address of an account. Only its owner's keys may read it.
type Address struct {
	Bank    uint32 `json:"bank"`
	Symbol  string `json:"symbol"`
	Network string `json:"network"`
	Series  uint32 `json:"series"`
	Index   uint32 `json:"index"`
	Address string `json:"address" doc:"Derive it from the keys of the series; believe no server."`
	Used    bool   `json:"used" doc:"Something that was paid to it was credited."`
	Proof   *Proof `json:"proof,omitempty" doc:"Of the address' leaf, which names the account's number."`
}

// Addresses are deposit addresses of an account, newest first.
type Addresses struct {
	At
	Addresses []Address `json:"addresses" nullable:"false"`
	Next      string    `json:"next,omitempty" doc:"Where to go on: before of the next request. Absent: that was all."`
}

// Deposit is a payment to an address of an account. Only its owner's keys may read it.
type Deposit struct {
	Bank     uint32 `json:"bank"`
	Symbol   string `json:"symbol"`
	Network  string `json:"network"`
	Tx       string `json:"tx"`
	Output   uint32 `json:"output"`
	Amount   string `json:"amount"`
	Series   uint32 `json:"series"`
	Index    uint32 `json:"index"`
	Address  string `json:"address"`
	State    string `json:"state" enum:"seen,deep,credited"`
	Members  int    `json:"members,omitempty" doc:"How many members have seen it there, until it is credited."`
	Needed   int    `json:"needed,omitempty" doc:"How many must, while it is not agreed on."`
	Height   uint32 `json:"height,omitempty" doc:"Block in which it stands."`
	Depth    uint32 `json:"depth" doc:"Blocks from there on."`
	Required uint32 `json:"required,omitempty" doc:"Blocks at which it is credited."`
}

// Deposits are payments to addresses of an account: first those that are not credited,
// then the others from the newest block on.
type Deposits struct {
	At
	Deposits []Deposit `json:"deposits" nullable:"false"`
	Next     string    `json:"next,omitempty" doc:"Where to go on: before of the next request. Absent: that was all."`
}

// Withdrawal is a withdrawal of an account. Only its owner's keys may read it.
type Withdrawal struct {
	ID       uint64 `json:"id"`
	Bank     uint32 `json:"bank"`
	Symbol   string `json:"symbol"`
	Network  string `json:"network"`
	Address  string `json:"address"`
	Script   string `json:"script" doc:"The output, hexadecimal."`
	Amount   string `json:"amount"`
	MaxFee   string `json:"max_fee,omitempty" doc:"Bound of its share of the fee; it is held as well."`
	Fee      string `json:"fee,omitempty" doc:"Its share, once a transaction pays it."`
	Asked    uint64 `json:"asked,omitempty" doc:"ms"`
	From     uint64 `json:"from,omitempty" doc:"Not before is it put into a transaction, ms."`
	State    string `json:"state" enum:"delayed,waiting,signing,signed,mined,paid,cancelled"`
	Reason   string `json:"reason,omitempty" enum:"turn,hour,fee,rate,halt,delay,block" doc:"What it waits for."`
	Batch    uint64 `json:"batch,omitempty"`
	Version  int    `json:"version,omitempty" doc:"Of the transaction; there may be several, of which one is mined."`
	Tx       string `json:"tx,omitempty" doc:"Id of the newest version, or of the one that was mined."`
	Output   uint32 `json:"output" doc:"Where in it the payout stands."`
	Signed   int    `json:"signed,omitempty" doc:"Members who have signed the newest version."`
	Needed   int    `json:"needed,omitempty" doc:"How many must."`
	Height   uint32 `json:"height,omitempty" doc:"Block of the chain in which it was mined."`
	Depth    uint32 `json:"depth,omitempty" doc:"Blocks from there on."`
	Required uint32 `json:"required,omitempty" doc:"Blocks at which it is settled."`
	Time     uint64 `json:"time,omitempty" doc:"When it was settled or cancelled, ms."`
}

// Withdrawals are withdrawals of an account, newest first: those that are not settled,
// and those that were settled or cancelled in the last 30 days, the latter as far as the
// server was there.
type Withdrawals struct {
	At
	Withdrawals []Withdrawal `json:"withdrawals" nullable:"false"`
	Next        uint64       `json:"next,omitempty" doc:"Where to go on: before of the next request. Absent: that was all."`
}

// WithdrawalSettings are what an account says about its withdrawals. Only its owner's
// keys may read them.
type WithdrawalSettings struct {
	At
	Now  PayRules  `json:"now" doc:"In force."`
	Next *PayRules `json:"next,omitempty" doc:"To come."`
	From uint64    `json:"from,omitempty" doc:"When Next comes into force, ms."`
	Wait uint64    `json:"wait" doc:"ms until a change takes effect that lets something through sooner."`

	Proof *Proof `json:"proof,omitempty" doc:"Of the settings' leaf."`
}

// PayRules are settings of an account's withdrawals.
type PayRules struct {
	Delay   uint64   `json:"delay" doc:"ms that a withdrawal to an output waits that is not allowed."`
	Only    bool     `json:"only" doc:"Nothing but allowed outputs is paid to."`
	Allowed []Output `json:"allowed" nullable:"false"`
}

// Output is an output of a bank's network.
type Output struct {
	Bank    uint32 `json:"bank"`
	Symbol  string `json:"symbol"`
	Address string `json:"address"`
	Script  string `json:"script" doc:"Hexadecimal."`
}
