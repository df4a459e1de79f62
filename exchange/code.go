package exchange

import "strconv"

// Code is the numeric result of a command. Numbers are append-only: a number
// never changes its meaning and is never used again (docs/spec/03-codes.md).
type Code uint16

// Result codes. Codes below 100 left no trace: not even the nonce was burnt.
const (
	OK Code = 0

	// Before the nonce: nothing changed at all.
	BadSignature   Code = 1  // the signature does not verify, or is for another virtual server
	BadEncoding    Code = 2  // not the canonical encoding of a command
	Expired        Code = 3  // the command's expiry is not after the block's time
	ExpiryTooFar   Code = 4  // the expiry is more than ten minutes after the block's time
	UnknownAccount Code = 5  // the account has never been credited
	UnknownKey     Code = 6  // neither the account's owner key nor one of its delegates
	NonceUsed      Code = 7  // the command, or another with its nonce, was executed before
	NonceStale     Code = 8  // more than 1,024 below the key's highest nonce
	NonceTooFar    Code = 9  // more than 65,536 above the key's highest nonce
	AccountBusy    Code = 10 // the account has more commands in this block than it may have; send it again
	NotEntitled    Code = 11 // the key can send no such command now: scope, market, expiry, or no member's
	FeeUnpaid      Code = 12 // the account does not have the command fee

	// From here on the nonce is burnt.
	BadBody Code = 100 // the body is not the canonical body of its kind
	// 101 was the lack of the command fee when it still burnt the nonce.
	KeyRevoked       Code = 102 // the key was removed in this same block
	OutOfScope       Code = 103 // the delegate was limited in this same block, or names a place of it in another market
	Insufficient     Code = 104 // available funds do not cover it
	BadAmount        Code = 105 // an amount of zero, or above the largest supply
	UnknownAsset     Code = 106
	SelfTransfer     Code = 107 // payer and payee are the same account
	UnknownMarket    Code = 108
	MarketPaused     Code = 109
	BadTick          Code = 110 // the price is no multiple of the market's tick, or zero
	BadLot           Code = 111 // the quantity is no multiple of the market's lot, or zero
	BelowMinimum     Code = 112 // the order's value is below the market's minimum notional
	OutsideBand      Code = 113 // the price is outside the market's band around the last price
	BadOrderKind     Code = 114 // order kind, time in force and flags do not go together
	DuplicateClient  Code = 115 // a live order of the account has this client order id
	TooManyFOK       Code = 116 // one fill-or-kill order per account, market and block
	BadOrderExpiry   Code = 117 // good-till-date is not in the future or too far ahead
	BadTrigger       Code = 118 // trigger price missing, off tick, or not allowed for the kind
	OrderOverflow    Code = 119 // price times quantity does not fit
	TooManyOrders    Code = 120 // the account has too many live orders in the market
	UnknownOrder     Code = 121 // no live order of the account has that id
	Withdrawn        Code = 122 // the order was cancelled or amended by another command of its block
	BadAmend         Code = 123 // the amendment changes nothing or may not be made to this order
	BadDelegate      Code = 124 // key, scopes, markets or expiry of the delegate are not allowed
	TooManyDelegates Code = 125 // the account has 16 delegates
	UnknownDelegate  Code = 126 // no delegate of the account has that key
	RotationPending  Code = 127 // another key rotation is pending
	NoRotation       Code = 128 // no key rotation is pending
	BadKey           Code = 129 // the key is in use already or not a usable key
	BadSymbol        Code = 130 // not 2 to 10 of A-Z and 0-9, a letter first
	SymbolTaken      Code = 131 // another asset has this symbol
	SymbolReserved   Code = 132 // only a vote can let the account issue this symbol
	BadDecimals      Code = 133 // more than 18 decimals
	NotIssuer        Code = 134 // only the asset's issuer may
	SupplyExceeded   Code = 135 // above the asset's largest supply
	BadDeadline      Code = 136 // not after now, too far ahead, or a dispute window that is not allowed
	UnknownEscrow    Code = 137 // no such escrow, or it is closed
	NotParty         Code = 138 // the account has no part in the escrow, or not this part
	WrongPreimage    Code = 139 // its SHA-256 is not the escrow's hash
	TooEarly         Code = 140 // a refund before the deadline
	TooLate          Code = 141 // a claim or dispute at or after the deadline, a decision after the window
	NoArbiter        Code = 142 // the escrow has no arbiter
	Disputed         Code = 143 // only the arbiter decides now
	NotDisputed      Code = 144 // nobody opened a dispute
	NotMember        Code = 145 // the member was removed, or got another server, in this same block
	BadAction        Code = 146 // the vote's action is not valid now
	AlreadyVoted     Code = 147 // the member approves of the action already
	NotVoted         Code = 148 // the member does not approve of the action
	NotDemoted       Code = 149 // the server has full power
	BackingOff       Code = 150 // the server may not return yet
	MemberBarred     Code = 151 // the server signed twice and must be replaced by vote
	Decided          Code = 152 // these action bytes passed a short while ago; use another salt
	TooManyVotes     Code = 153 // the member has too many open votes
	TooManyEscrows   Code = 154 // the payer has too many open escrows
	BadTimer         Code = 155 // cancel-all-after delay out of range
	BadParties       Code = 156 // payer, payee and arbiter are not different accounts
	BookFull         Code = 157 // the market has as many live orders as it can
	TooManyBalances  Code = 158 // the account that would be given the asset has no place for it
	BlockBusy        Code = 159 // cancel-alls have ended as many orders in this block as they may; make another
	TooFewActive     Code = 160 // the action would leave too few members with full power; let those without return first
	TooManyIssued    Code = 161 // the account has issued as many assets as it may
	UnknownBank      Code = 162 // no such bank
	BadStatement     Code = 163 // an attestation or signature with more, or other numbers, than it may have
	BadChainHeight   Code = 164 // a height that is forgotten, too far ahead, or without a hash
	BadParent        Code = 165 // the hashes do not continue what the member or all have said
	TooManyOfBank    Code = 166 // the account, member or bank has as many of these as it may
	BadOutput        Code = 167 // not an output that the bank may pay to
	FeeBoundTooLow   Code = 168 // the bound does not pay for the output at the lowest rate
	NotAllowed       Code = 169 // the account pays to its allowed outputs only
	UnknownPayout    Code = 170 // no such withdrawal of the account, or it is settled
	UnknownBatch     Code = 171 // no such batch or version, or it is settled
	InBatch          Code = 172 // a transaction pays the withdrawal already
	BadSettings      Code = 173 // delay or allowed outputs are not possible
	NotSigner        Code = 174 // no input of the batch has a key of the member
	BanksHalted      Code = 175 // the bank is halted
	AccountExists    Code = 176 // the address has an account already
	BadPossession    Code = 177 // the key does not come with a proof that this member has it
	SignersNeeded    Code = 178 // too few would be left to sign what a bank has; open a series without the member first

	lastCode = SignersNeeded
)

var codeNames = map[Code]string{
	OK: "ok", BadSignature: "bad signature", BadEncoding: "bad encoding", Expired: "expired", ExpiryTooFar: "expiry too far ahead",
	UnknownAccount: "unknown account", UnknownKey: "unknown key", NonceUsed: "nonce used", NonceStale: "nonce too old",
	NonceTooFar: "nonce too far ahead", AccountBusy: "too many commands of this account in one block", NotEntitled: "key not entitled", BadBody: "bad body",
	FeeUnpaid: "command fee not covered", KeyRevoked: "key removed", OutOfScope: "key not allowed to do this",
	Insufficient: "insufficient funds", BadAmount: "bad amount", UnknownAsset: "unknown asset", SelfTransfer: "transfer to itself",
	UnknownMarket: "unknown market", MarketPaused: "market paused", BadTick: "price off tick", BadLot: "quantity off lot",
	BelowMinimum: "below minimum notional", OutsideBand: "price outside band", BadOrderKind: "order kind not allowed",
	DuplicateClient: "client order id in use", TooManyFOK: "one fill-or-kill per block", BadOrderExpiry: "bad order expiry",
	BadTrigger: "bad trigger price", OrderOverflow: "order too large", TooManyOrders: "too many orders", UnknownOrder: "unknown order",
	Withdrawn: "withdrawn in its own block", BadAmend: "amendment not allowed", BadDelegate: "bad delegate",
	TooManyDelegates: "too many delegates", UnknownDelegate: "unknown delegate", RotationPending: "rotation pending",
	NoRotation: "no rotation pending", BadKey: "bad key", BadSymbol: "bad symbol", SymbolTaken: "symbol taken",
	SymbolReserved: "symbol reserved", BadDecimals: "bad decimals", NotIssuer: "not the issuer", SupplyExceeded: "supply exceeded",
	BadDeadline: "bad deadline", UnknownEscrow: "unknown escrow", NotParty: "not a party", WrongPreimage: "wrong preimage",
	TooEarly: "too early", TooLate: "too late", NoArbiter: "no arbiter", Disputed: "disputed", NotDisputed: "not disputed",
	NotMember: "not a member", BadAction: "bad action", AlreadyVoted: "already voted", NotVoted: "not voted",
	NotDemoted: "not demoted", BackingOff: "backing off", MemberBarred: "member barred", Decided: "decided already", TooManyVotes: "too many open votes",
	TooManyEscrows: "too many escrows", BadTimer: "bad timer", BadParties: "bad parties", BookFull: "book full",
	TooManyBalances: "too many assets", BlockBusy: "too many orders cancelled in one block",
	TooFewActive: "too few active members", TooManyIssued: "too many assets issued", UnknownBank: "unknown bank", BadStatement: "bad statement",
	BadChainHeight: "bad height of the chain", BadParent: "bad parent", TooManyOfBank: "too many of these at the bank", BadOutput: "bad output",
	FeeBoundTooLow: "bound of the fee too low", NotAllowed: "output not allowed", UnknownPayout: "unknown withdrawal",
	UnknownBatch: "unknown batch", InBatch: "withdrawal in a transaction", BadSettings: "bad settings", NotSigner: "not a signer",
	BanksHalted: "bank is halted", AccountExists: "account exists", BadPossession: "key not proven",
	SignersNeeded: "signers needed",
}

// String is a short English name, for people; programs use the number.
func (c Code) String() string {
	if s, ok := codeNames[c]; ok {
		return s
	}
	return "code " + strconv.Itoa(int(c))
}

// Burns tells whether a command with this result used up its nonce.
func (c Code) Burns() bool { return c == OK || c >= BadBody }

// Codes are all codes in ascending order.
func Codes() []Code {
	all := []Code{OK}
	for c := BadSignature; c <= lastCode; c++ {
		if _, ok := codeNames[c]; ok {
			all = append(all, c)
		}
	}
	return all
}
