package api

// BlockEvents is what one block did, as far as a stream of events was asked for it: one
// message of the stream. A stream has a message for each block that did something of what
// was asked for, in order, each once. Cursors are the same on all servers of a virtual
// server, so a stream that broke goes on at any of them (H-80).
type BlockEvents struct {
	Cursor string `json:"cursor" doc:"To go on behind this block: after of a later request, or Last-Event-ID."`
	Height uint64 `json:"height"`
	Time   uint64 `json:"time" doc:"Block time, ms."`
	// Markets are those that changed.
	Markets []MarketEvents `json:"markets,omitempty"`
	// Account is what happened to the account whose events were asked for.
	Account *AccountEvents `json:"account,omitempty"`
}

// MarketEvents is what a block did to one market.
type MarketEvents struct {
	Market uint32  `json:"market"`
	Symbol string  `json:"symbol"`
	Bids   []Level `json:"bids,omitempty" doc:"Prices that changed and what is there now; quantity 0: nobody any more."`
	Asks   []Level `json:"asks,omitempty" doc:"Prices that changed and what is there now; quantity 0: nobody any more."`
	Trades []Trade `json:"trades,omitempty" doc:"In the order in which they happened."`
}

// AccountEvents is what a block did to one account.
type AccountEvents struct {
	Address  string         `json:"address"`
	Events   []AccountEvent `json:"events" nullable:"false" doc:"In the order in which they happened."`
	Balances []Balance      `json:"balances,omitempty" doc:"All that changed, as they are now."`
}

// AccountEvent is one thing that happened to an account. Which fields are there is said
// by its kind.
type AccountEvent struct {
	Kind   string `json:"kind" enum:"order_opened,order_reduced,order_triggered,order_closed,fill,paid,received,minted,burned,issued,escrow_locked,escrow_paid,escrow_back,escrow_disputed,keys_changed,rotated,fee,timer_fired,address,deposited,withdrawal_asked,withdrawal_cancelled,withdrawal_sent,withdrawal_back,withdrawn,withdrawals_set,donated,command"`
	Order  *Order `json:"order,omitempty" doc:"As it stood after the event."`
	Reason string `json:"reason,omitempty" doc:"Why an order was closed."`
	Fill   *Fill  `json:"fill,omitempty"`
	Asset  string `json:"asset,omitempty" doc:"Symbol."`
	Amount string `json:"amount,omitempty"`
	Other  string `json:"other,omitempty" doc:"The other account."`
	Memo   string `json:"memo,omitempty"`
	Number uint64 `json:"number,omitempty" doc:"Of the escrow, the withdrawal, or series<<32|index of a deposit address."`
	// Command is the receipt of a command of this account, of any of its keys.
	Command *Receipt `json:"command,omitempty"`
}
