package api

// EventStream is the media type of a stream of server-sent events.
const EventStream = "text/event-stream"

// BlockEvents is what one block did, as far as a stream of events was asked for it: one
// message of the stream. A stream has a message for each block that did something of what
// was asked for, in order, each once. Cursors are the same on all servers of a virtual
// server, so a stream that broke goes on at any of them (H-80).
type BlockEvents struct {
	Cursor string `json:"cursor" doc:"To go on behind this block: after of a later request, or Last-Event-ID."`
	Height uint64 `json:"height"`
	Time   uint64 `json:"time,omitempty" doc:"Block time, ms. Absent where it is not known, in a message that only has the cursor."`
	// Markets are those that changed.
	Markets []MarketEvents `json:"markets,omitempty" nullable:"false"`
	// Account is what happened to the account whose events were asked for.
	Account *AccountEvents `json:"account,omitempty"`
}

// MarketEvents is what a block did to one market.
type MarketEvents struct {
	Market uint32        `json:"market"`
	Symbol string        `json:"symbol"`
	Bids   []LevelChange `json:"bids,omitempty" nullable:"false" doc:"Prices that changed and what is there now; quantity 0: nobody any more."`
	Asks   []LevelChange `json:"asks,omitempty" nullable:"false" doc:"Prices that changed and what is there now; quantity 0: nobody any more."`
	Trades []Trade       `json:"trades,omitempty" nullable:"false" doc:"In the order in which they happened."`
}

// LevelChange is what a price of a book holds now.
type LevelChange struct {
	Price    string `json:"price"`
	Quantity string `json:"quantity" doc:"Sum in the base asset; 0: nobody is there any more."`
}

// AccountEvents is what a block did to one account.
type AccountEvents struct {
	Address  string         `json:"address"`
	Events   []AccountEvent `json:"events" nullable:"false" doc:"Commands first, in the order in which the block had them, then what happened, in this order."`
	Balances []Balance      `json:"balances,omitempty" nullable:"false" doc:"Balances that the block changed, as they are after it."`
}

// AccountEvent is one thing that happened to an account. Which fields are there is said
// by its kind.
type AccountEvent struct {
	Kind   string `json:"kind" enum:"order_opened,order_reduced,order_triggered,order_closed,fill,paid,received,minted,burned,issued,escrow_locked,escrow_paid,escrow_back,escrow_disputed,keys_changed,rotated,fee,timer_fired,address,deposited,withdrawal_asked,withdrawal_cancelled,withdrawal_sent,withdrawal_back,withdrawn,withdrawals_set,donated,command"`
	Order  *Order `json:"order,omitempty" doc:"As it stood after the event."`
	Reason string `json:"reason,omitempty" enum:"filled,cancelled,withdrawn,amended,timer,expired,remainder,killed,would-take,self-trade,self-cross,linked" doc:"Why an order was closed."`
	Fill   *Fill  `json:"fill,omitempty"`
	Asset  string `json:"asset,omitempty" doc:"Symbol."`
	Amount string `json:"amount,omitempty"`
	Other  string `json:"other,omitempty" doc:"The other account: who paid or was paid, the other party of an escrow, the issuer of what was received new."`
	Memo   string `json:"memo,omitempty"`
	Number uint64 `json:"number,omitempty" doc:"Of the escrow or the withdrawal; series*4294967296+index of a deposit address; ms from which withdrawal settings are in force; ledger units that ended a deficit."`
	// Command is the receipt of a command of this account, of any of its keys.
	Command *Receipt `json:"command,omitempty"`
}
