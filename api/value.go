package api

// Status is how a virtual server stands, as one of its servers sees it.
type Status struct {
	ID          string   `json:"id" doc:"Virtual server: the hash of its founding contract."`
	Name        string   `json:"name" doc:"Name in the founding contract."`
	Member      string   `json:"member" doc:"Name of the member whose server answers; empty if it is no member's."`
	Software    string   `json:"software" doc:"Version of the answering binary."`
	Protocol    uint32   `json:"protocol" doc:"Protocol version in force."`
	Plan        *Plan    `json:"plan,omitempty" doc:"Protocol version that comes into force."`
	Height      uint64   `json:"height" doc:"Newest block."`
	Active      uint64   `json:"active" doc:"Newest block that executed something."`
	Time        uint64   `json:"time" doc:"Time of the newest block that executed something, ms."`
	Root        string   `json:"root" doc:"State root after the newest block."`
	CatchingUp  bool     `json:"catching_up" doc:"This server is behind and fetches old blocks."`
	Waiting     int      `json:"waiting" doc:"Batches of commands that wait for a block here."`
	Stalled     uint64   `json:"stalled,omitempty" doc:"For how long a block has been wanted and none came, ms."`
	Halted      string   `json:"halted,omitempty" doc:"Why this virtual server has stopped here."`
	Accounts    int      `json:"accounts" doc:"Number of accounts."`
	Orders      int      `json:"orders" doc:"Number of live orders."`
	Members     []Member `json:"members" nullable:"false" doc:"Member servers by number."`
	Params      []byte   `json:"params,omitempty" doc:"Encoding of the rules in force, as a vote that sets them has it."`
	Peers       []Peer   `json:"peers" nullable:"false" doc:"Servers that this one is connected to."`
	BanksHalted *Halt    `json:"banks_halted,omitempty" doc:"Why banks are halted: all but those that a vote has lifted it for."`
	// Banks are how they stand, and how the answering server does its part; none if there are no banks.
	Banks []BankHealth `json:"banks,omitempty" nullable:"false" doc:"How the banks stand, and how the answering server sees their chains and does its part."`
}

// BankHealth is how one server does its part in a bank.
type BankHealth struct {
	Asset        string `json:"asset"`
	Network      string `json:"network"`
	Works        bool   `json:"works" doc:"It sees the chain, attests and signs."`
	Node         uint32 `json:"node" doc:"Height of the chain as its node has it."`
	Height       uint32 `json:"height" doc:"Height up to which it has read the chain."`
	Agreed       uint32 `json:"agreed" doc:"Height that the members agree on."`
	Attested     uint32 `json:"attested" doc:"Height up to which it has attested."`
	Waiting      int    `json:"waiting" doc:"Withdrawals that no transaction pays yet."`
	Transactions int    `json:"transactions" doc:"Transactions of the bank that are not settled."`
	Problem      string `json:"problem,omitempty" doc:"What keeps it from its part, for its operator."`

	// What the state says of the bank, whichever server is asked.
	Members      int      `json:"members" doc:"Of the roster."`
	Seeing       int      `json:"seeing" doc:"Members who attest, and are not late."`
	Needed       int      `json:"needed" doc:"How many must say the same."`
	Blind        []string `json:"blind" nullable:"false" doc:"Names of members who do not attest, or are late or barred."`
	NoRate       bool     `json:"no_rate,omitempty" doc:"Too few members know a fee rate, so nothing is paid."`
	Reserve      string   `json:"reserve" doc:"For fees that nobody else pays."`
	Deficit      string   `json:"deficit,omitempty" doc:"What it lacks; absent: nothing."`
	WaitsToBump  bool     `json:"waits_to_bump,omitempty" doc:"A transaction should pay more, and the reserve is short."`
	WaitsToSweep bool     `json:"waits_to_sweep,omitempty" doc:"Coins should move to the newest series, and the reserve is short."`
	WaitsForRate bool     `json:"waits_for_rate,omitempty" doc:"Coins of older series are worth too little to be moved at the rate of now (Y-24)."`
	WaitsToMine  bool     `json:"waits_to_mine,omitempty" doc:"Withdrawals wait until a transaction under way is mined (Y-51)."`
}

// Plan is a protocol version and the height at which it comes into force.
type Plan struct {
	Version uint32 `json:"version"`
	Height  uint64 `json:"height"`
}

// Member is a member server.
type Member struct {
	ID        uint32 `json:"id" doc:"Number, never used again."`
	Name      string `json:"name"`
	Operator  string `json:"operator" doc:"Account that votes."`
	Consensus string `json:"consensus" doc:"Consensus key."`
	URL       string `json:"url" doc:"Base URL of its HTTP API."`
	P2P       string `json:"p2p" doc:"Consensus address, nodeid@host:port."`
	Power     int64  `json:"power" doc:"Voting power; 1,000,000 is full power."`
	Demoted   bool   `json:"demoted" doc:"Has minimal power because it missed proposer turns."`
	Barred    bool   `json:"barred" doc:"Signed twice; the members must vote to replace it."`
	Missed    uint32 `json:"missed" doc:"Proposer turns missed in a row."`
	Until     uint64 `json:"until,omitempty" doc:"Time before which a demoted server may not return, ms."`
	// Silent is what clients told this server (H-25). Anybody can say so; it is
	// a hint for operators and moves nothing.
	Silent   uint64 `json:"silent" doc:"How many commands came here after their senders, as they say, had no answer from this member; since the answering server started."`
	SilentAt uint64 `json:"silent_at,omitempty" doc:"Time of the newest such report, ms."`
}

// Peer is a directly connected server.
type Peer struct {
	ID       string `json:"id"`
	Address  string `json:"address"`
	Outbound bool   `json:"outbound"`
	Since    uint64 `json:"since" doc:"ms"`
	Height   uint64 `json:"height" doc:"Newest block that it has, as it says."`
	Behind   bool   `json:"catching_up" doc:"It fetches old blocks, and has not said which it has."`
}

// At says which state a response was read from.
type At struct {
	Height uint64 `json:"height" doc:"Newest block that executed something when the response was made."`
	Time   uint64 `json:"time" doc:"Time of that block, ms."`
}

// Asset is an asset as it stands.
type Asset struct {
	ID        uint32 `json:"id"`
	Symbol    string `json:"symbol" example:"BTC"`
	Decimals  uint8  `json:"decimals"`
	Issuer    string `json:"issuer,omitempty" doc:"Account that may mint; empty: only the virtual server itself."`
	MaxSupply string `json:"max_supply" example:"21000000.00000000"`
	Supply    string `json:"supply"`
	Contract  string `json:"contract" doc:"SHA-256 of the issuer's promise."`
	Proof     *Proof `json:"proof,omitempty"`
}

// Assets is a list of assets, or a page of it.
type Assets struct {
	At
	Assets []Asset `json:"assets" nullable:"false" doc:"By id."`
	Next   uint32  `json:"next,omitempty" doc:"Where to go on: after of the next request. Absent: that was all."`
}

// Market is a market as it stands. Prices are in the quote asset per whole base coin.
type Market struct {
	ID            uint32 `json:"id"`
	Symbol        string `json:"symbol" example:"BTC-EUR"`
	Base          string `json:"base"`
	Quote         string `json:"quote"`
	BaseID        uint32 `json:"base_id"`
	QuoteID       uint32 `json:"quote_id"`
	BaseDecimals  uint8  `json:"base_decimals"`
	QuoteDecimals uint8  `json:"quote_decimals"`
	Tick          string `json:"tick" doc:"Prices are multiples of it."`
	Lot           string `json:"lot" doc:"Quantities are multiples of it."`
	MinNotional   string `json:"min_notional" doc:"Least value of an order, in the quote asset."`
	MakerPPM      uint32 `json:"maker_ppm" doc:"Fee of makers in millionths."`
	TakerPPM      uint32 `json:"taker_ppm" doc:"Fee of takers in millionths."`
	ReservePPM    uint32 `json:"reserve_ppm" doc:"Share of the fees for the bank's reserve, in millionths."`
	BandPPM       uint32 `json:"band_ppm" doc:"How far a price may be from the last one, in millionths; 0 is no band."`
	Reference     string `json:"reference" doc:"Reference price until the first trade."`
	Last          string `json:"last,omitempty" doc:"Price of the last trade."`
	Paused        bool   `json:"paused"`
	Proof         *Proof `json:"proof,omitempty"`
}

// Markets is a list of markets.
type Markets struct {
	At
	Markets []Market `json:"markets" nullable:"false"`
}

// Book is the resting orders of a market by price, best first.
type Book struct {
	At
	Market uint32  `json:"market"`
	Symbol string  `json:"symbol"`
	Bids   []Level `json:"bids" nullable:"false" doc:"Highest price first."`
	Asks   []Level `json:"asks" nullable:"false" doc:"Lowest price first."`
}

// Level is one price of a book.
type Level struct {
	Price    string `json:"price"`
	Quantity string `json:"quantity" doc:"Sum in the base asset."`
	Orders   int    `json:"orders"`
}

// Trade is a fill as everybody may see it.
type Trade struct {
	ID       uint64 `json:"id"`
	Market   uint32 `json:"market"`
	Symbol   string `json:"symbol"`
	Price    string `json:"price"`
	Quantity string `json:"quantity"`
	Maker    uint64 `json:"maker" doc:"Order that waited; in the inner cross the sell order."`
	Taker    uint64 `json:"taker" doc:"Order that came; in the inner cross the buy order."`
	Side     string `json:"side" enum:"buy,sell" doc:"Side of the taker."`
	Inner    bool   `json:"inner" doc:"From the inner cross, where neither waited."`
	Height   uint64 `json:"height"`
	Time     uint64 `json:"time" doc:"ms"`
	Proof    *Proof `json:"proof,omitempty"`
}

// Auction says why the trades of a block in a market have the prices they have (M-90).
type Auction struct {
	Market    uint32 `json:"market"`
	Symbol    string `json:"symbol"`
	Height    uint64 `json:"height"`
	Time      uint64 `json:"time" doc:"ms"`
	Reference string `json:"reference" doc:"Price before the block, from which ties are measured."`
	Bid       string `json:"bid,omitempty" doc:"Best price that somebody waited to buy at before the auction; absent: nobody did."`
	Ask       string `json:"ask,omitempty" doc:"Best price that somebody waited to sell at before the auction; absent: nobody did."`
	Cross     *Cross `json:"cross,omitempty" doc:"Where new orders met each other; absent: they traded with waiting ones only."`
	Proof     *Proof `json:"proof,omitempty"`
}

// Cross is the inner cross of an auction: the one price at which new orders met.
type Cross struct {
	Price  string `json:"price"`
	Volume string `json:"volume" doc:"What traded at it, in the base asset."`
	// Demand and Supply may be more than there is of an asset.
	Demand  string `json:"demand" doc:"What new orders wanted to buy at it, in the base asset."`
	Supply  string `json:"supply" doc:"What new orders wanted to sell at it, in the base asset."`
	Surplus string `json:"surplus" doc:"The difference of the two, which no other price with that volume makes smaller."`
}

// Trades is a list of trades, newest first.
type Trades struct {
	At
	Trades []Trade `json:"trades" nullable:"false"`
	Next   string  `json:"next,omitempty" doc:"Where to go on: before of the next request. Absent: that was all."`
}

// Account is all that is known of an account. Only its own keys may read it.
type Account struct {
	At
	Address   string     `json:"address" example:"souk1..."`
	Number    uint32     `json:"number" doc:"Number that the ledger gave the account; order leaves name it."`
	Owner     string     `json:"owner,omitempty" doc:"Owner key; empty until the owner's first command."`
	Rotation  *Rotation  `json:"rotation,omitempty" doc:"Pending change of the owner key."`
	Timer     uint64     `json:"timer,omitempty" doc:"When the dead-man timer cancels all orders, ms."`
	Delegates []Delegate `json:"delegates" nullable:"false"`
	Balances  []Balance  `json:"balances" nullable:"false" doc:"Assets of which the account has any, by id."`
	Proof     *Proof     `json:"proof,omitempty"`
}

// Rotation is a pending change of an owner key.
type Rotation struct {
	Key string `json:"key"`
	Due uint64 `json:"due" doc:"ms"`
}

// Delegate is a key that may act for an account within limits.
type Delegate struct {
	Key     string   `json:"key"`
	Scopes  []string `json:"scopes" nullable:"false" example:"read,trade"`
	Markets []uint32 `json:"markets" nullable:"false" doc:"Empty: all markets."`
	Expiry  uint64   `json:"expiry,omitempty" doc:"ms; absent: never."`
}

// Balance is what an account has of one asset.
type Balance struct {
	Asset     uint32 `json:"asset"`
	Symbol    string `json:"symbol"`
	Available string `json:"available" doc:"Can be spent."`
	Held      string `json:"held" doc:"Set aside for live orders, and for withdrawals with their bounds."`
	// Withdrawing is no part of the account's leaf: a server says it.
	Withdrawing string `json:"withdrawing,omitempty" doc:"Of held: for withdrawals, their bounds included. Absent in answers with a proof, and for assets without a bank."`
}

// Nonce is what a key needs to know to make its next command.
type Nonce struct {
	Top  uint64 `json:"top" doc:"Highest nonce that counts as used."`
	Time uint64 `json:"time" doc:"The server's clock, ms."`
}

// Order is a live order. Only its owner's keys may read it.
type Order struct {
	ID       uint64 `json:"id"`
	Client   string `json:"client,omitempty" doc:"Client order id."`
	Market   uint32 `json:"market"`
	Symbol   string `json:"symbol"`
	Side     string `json:"side" enum:"buy,sell"`
	Kind     string `json:"kind" enum:"limit,market,stop,stop-limit,take-profit,take-profit-limit"`
	TIF      string `json:"tif" enum:"gtc,gtd,ioc,fok" doc:"Time in force."`
	PostOnly bool   `json:"post_only"`
	Status   string `json:"status" enum:"gone,staged,resting,waiting"`
	Price    string `json:"price" doc:"Limit or worst price."`
	Quantity string `json:"quantity,omitempty" doc:"Whole quantity, the filled part included."`
	Quote    string `json:"quote,omitempty" doc:"Quote amount, of orders by quote amount."`
	Trigger  string `json:"trigger,omitempty"`
	Expiry   uint64 `json:"expiry,omitempty" doc:"ms"`
	Filled   string `json:"filled" doc:"In the base asset."`
	Value    string `json:"value" doc:"Paid (buy) or got before fees (sell) so far, in the quote asset."`
	Fee      string `json:"fee" doc:"Charged so far, in the base asset (buy) or the quote asset (sell)."`
	Hold     string `json:"hold" doc:"Set aside now, in the quote asset (buy) or the base asset (sell)."`
	Sibling  uint64 `json:"sibling,omitempty" doc:"Other leg of an OCO pair."`
	Placed   uint64 `json:"placed" doc:"Height at which it was placed."`
	Time     uint64 `json:"time" doc:"Time at which it was placed, ms."`
	Proof    *Proof `json:"proof,omitempty"`
}

// Orders is a list of live orders by market and id.
type Orders struct {
	At
	Orders []Order `json:"orders" nullable:"false"`
}

// Fill is one's own side of a trade.
type Fill struct {
	Trade    uint64 `json:"trade"`
	Order    uint64 `json:"order"`
	Market   uint32 `json:"market"`
	Symbol   string `json:"symbol"`
	Side     string `json:"side" enum:"buy,sell"`
	Role     string `json:"role" enum:"maker,taker"`
	Inner    bool   `json:"inner"`
	Price    string `json:"price"`
	Quantity string `json:"quantity"`
	Value    string `json:"value" doc:"Paid (buy) or got before the fee (sell), in the quote asset."`
	Fee      string `json:"fee" doc:"In the base asset (buy) or the quote asset (sell)."`
	Height   uint64 `json:"height"`
	Time     uint64 `json:"time" doc:"ms"`
	Proof    *Proof `json:"proof,omitempty"`
}

// Fills is a list of one's own fills, newest first.
type Fills struct {
	At
	Fills []Fill `json:"fills" nullable:"false"`
	Next  string `json:"next,omitempty" doc:"Where to go on: before of the next request. Absent: that was all."`
}

// Escrow is an amount locked under a hash and a deadline. Only its parties may read it.
type Escrow struct {
	ID       uint64 `json:"id"`
	Payer    string `json:"payer"`
	Payee    string `json:"payee"`
	Asset    uint32 `json:"asset"`
	Symbol   string `json:"symbol"`
	Amount   string `json:"amount"`
	Hash     string `json:"hash" doc:"SHA-256 of the preimage that pays the payee."`
	Deadline uint64 `json:"deadline" doc:"A claim needs a block time before it, ms."`
	Arbiter  string `json:"arbiter,omitempty"`
	Window   uint64 `json:"window,omitempty" doc:"How long after the deadline the arbiter decides a dispute, ms."`
	Memo     string `json:"memo,omitempty"`
	Disputed bool   `json:"disputed"`
	Proof    *Proof `json:"proof,omitempty"`
}

// Escrows is a list of locked escrows that an account has a part in, newest first.
type Escrows struct {
	At
	Escrows []Escrow `json:"escrows" nullable:"false"`
	Next    uint64   `json:"next,omitempty" doc:"Where to go on: before of the next request. Absent: that was all."`
}

// Audit is every term of the conservation sum of every asset, or a page of them.
type Audit struct {
	At
	Balanced bool         `json:"balanced" doc:"All sums that are listed add up."`
	Assets   []AssetAudit `json:"assets" nullable:"false" doc:"By id."`
	Next     uint32       `json:"next,omitempty" doc:"Where to go on: after of the next request. Absent: that was all."`
}

// AssetAudit is every term of an asset's conservation sum: supply = available +
// held + locked + fees + dust + reserve.
type AssetAudit struct {
	Asset     uint32 `json:"asset"`
	Symbol    string `json:"symbol"`
	Supply    string `json:"supply"`
	Available string `json:"available" doc:"Sum over all accounts."`
	Held      string `json:"held" doc:"Sum over all accounts, for live orders and withdrawals."`
	Locked    string `json:"locked" doc:"In escrow."`
	Fees      string `json:"fees"`
	Dust      string `json:"dust"`
	Reserve   string `json:"reserve"`
	Balanced  bool   `json:"balanced"`
}

// Vote is an open vote, or one that passed a short while ago.
type Vote struct {
	Kind     string   `json:"kind" example:"pause-market"`
	Action   []byte   `json:"action" doc:"Encoding of the action, to vote on the same."`
	Approved []uint32 `json:"approved" nullable:"false" doc:"Members that approve."`
	Lapses   uint64   `json:"lapses" doc:"Height from which it is void."`
	Passed   uint64   `json:"passed,omitempty" doc:"When it passed, ms."`
}

// Votes is a list of votes.
type Votes struct {
	At
	Votes []Vote `json:"votes" nullable:"false"`
}

// Receipt is a command's fate. Amounts are counted in ledger units, not in coins:
// a receipt does not name its market (H-31).
type Receipt struct {
	ID      string `json:"id"`
	Code    uint16 `json:"code" doc:"Result code; 0 is success."`
	Name    string `json:"name" doc:"The code in a few words."`
	Message string `json:"message" doc:"What it means and what to do next."`
	Height  uint64 `json:"height" doc:"Block that executed the command; 0: refused before it reached a block."`
	Time    uint64 `json:"time" doc:"Time of that block, ms."`
	Number  uint64 `json:"number,omitempty" doc:"Id of the order, escrow or asset that the command made."`
	Filled  string `json:"filled_units,omitempty" doc:"What the order traded in that block, in ledger units of the base asset."`
	Cost    string `json:"cost_units,omitempty" doc:"Paid (buy) or got before the fee (sell), in ledger units of the quote asset."`
	Fee     string `json:"fee_units,omitempty" doc:"In ledger units of the base asset (buy) or the quote asset (sell)."`
	Status  string `json:"status,omitempty" enum:"gone,staged,resting,waiting" doc:"Where the order was after that block."`
}

// Gift is what a practice market gives of one asset.
type Gift struct {
	Asset  uint32 `json:"asset" doc:"Number of the asset."`
	Symbol string `json:"symbol"`
	Amount string `json:"amount"`
}

// Network says whether browsers can be peers of the network of mail by a server, and where.
type Network struct {
	Offered   bool       `json:"offered" doc:"Whether this server has a peer that browsers reach."`
	Addresses []string   `json:"addresses" nullable:"false" doc:"Where browsers reach it, by WebSocket or WebRTC, as multiaddrs that end with the peer's name; empty if nowhere."`
	Relays    bool       `json:"relays" doc:"Whether browsers reach each other through it."`
	Stamps    StampPrice `json:"stamps" doc:"What stamps cost in its network."`
}

// StampPrice is what stamps of mail cost (O-11).
type StampPrice struct {
	PerByte uint64 `json:"per_byte" doc:"Hashes for each byte, and for each byte kept for 65,536 seconds."`
	Extra   uint64 `json:"extra" doc:"Bytes that are added to every size."`
	Hello   uint64 `json:"hello" doc:"How many times dearer a first letter is."`
}

// Practice says whether a server gives play money.
type Practice struct {
	At
	Offered bool   `json:"offered" doc:"Whether play money is given here now."`
	Gifts   []Gift `json:"gifts" nullable:"false" doc:"What is given to an address, once; empty if nothing is."`
}

// What became of a request for play money.
const (
	PracticeGiven  = "given"
	PracticeBefore = "before"
)

// Practiced says what became of a request for play money.
type Practiced struct {
	At
	State    string    `json:"state" enum:"given,before" doc:"given: now; before: this server has given it already, or the account has as much of everything."`
	Gifts    []Gift    `json:"gifts" nullable:"false" doc:"What is given to an address, once."`
	Receipts []Receipt `json:"receipts" nullable:"false" doc:"Of the transfers, one for each gift; empty if it was given before."`
}

// Fates of a command.
const (
	FateCommitted = "committed" // a block executed it; the receipt is that of the block
	FateWaiting   = "waiting"   // it waits for a block
	FateRefused   = "refused"   // this server did not pass it on; the receipt says why
	FateElsewhere = "elsewhere" // its nonce was used, but its receipt is not here: ask another server
	FateUnknown   = "unknown"   // this server has not seen it
)

// Fate is what became of a command.
type Fate struct {
	ID      string   `json:"id"`
	Fate    string   `json:"fate" enum:"committed,waiting,refused,elsewhere,unknown"`
	Receipt *Receipt `json:"receipt,omitempty"`
	Proof   *Proof   `json:"proof,omitempty"`
}

// Proof shows that something stands in the state that more than two thirds of
// the virtual server signed (H-60). Of a leaf of the state it has Leaf and Path. Of
// a receipt or a trade, Leaf and Path are those of the clock leaf, which names the
// results of its block, and Item and List lead from there.
type Proof struct {
	Height uint64 `json:"height" doc:"Height of the signed header that states the root."`
	Leaf   []byte `json:"leaf,omitempty" doc:"Value of the leaf; absent: there is no such leaf."`
	Path   []byte `json:"path,omitempty" doc:"Merkle proof from the leaf to the root."`
	Item   []byte `json:"item,omitempty" doc:"Receipt or trade in the block's list of results."`
	List   []byte `json:"list,omitempty" doc:"Merkle proof from the item to the root of the list."`
}
