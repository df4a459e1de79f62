package exchange

import (
	"souk/exchange/custody"
	"souk/exchange/escrow"
	"souk/exchange/ledger"
	"souk/exchange/market"
	"souk/exchange/roster"
)

// The codes of the packages below, as result codes. A code that a command cannot
// cause is not listed; meeting it is a broken invariant (code 0 would hide it).

var ledgerCodes = [...]Code{
	ledger.OK: OK, ledger.UnknownKey: UnknownKey, ledger.NonceUsed: NonceUsed, ledger.NonceStale: NonceStale, ledger.NonceTooFar: NonceTooFar,
	ledger.OutOfScope: OutOfScope, ledger.BadKey: BadKey, ledger.BadDelegate: BadDelegate, ledger.TooManyDelegates: TooManyDelegates,
	ledger.UnknownDelegate: UnknownDelegate, ledger.RotationPending: RotationPending, ledger.NoRotation: NoRotation,
	ledger.BadAmount: BadAmount, ledger.Insufficient: Insufficient, ledger.UnknownAsset: UnknownAsset, ledger.BadSymbol: BadSymbol,
	ledger.SymbolTaken: SymbolTaken, ledger.SymbolReserved: SymbolReserved, ledger.BadDecimals: BadDecimals, ledger.NotIssuer: NotIssuer,
	ledger.SupplyExceeded: SupplyExceeded, ledger.TooManyBalances: TooManyBalances,
	ledger.TooManyIssued: TooManyIssued,
}

var marketCodes = [...]Code{
	market.OK: OK, market.UnknownMarket: UnknownMarket, market.Paused: MarketPaused, market.BadTick: BadTick, market.BadLot: BadLot,
	market.BelowMinNotional: BelowMinimum, market.OutsideBand: OutsideBand, market.BadKind: BadOrderKind, market.BadClient: BadBody,
	market.DuplicateClient: DuplicateClient, market.TooManyFOK: TooManyFOK, market.BadExpiry: BadOrderExpiry, market.BadTrigger: BadTrigger,
	market.Overflow: OrderOverflow, market.TooManyOrders: TooManyOrders, market.BookFull: BookFull, market.BadPair: BadOrderKind,
	market.UnknownOrder: UnknownOrder, market.BadReduce: BadAmend, market.BadMarket: BadAction, market.DuplicateMarket: BadAction,
}

var escrowCodes = [...]Code{
	escrow.OK: OK, escrow.BadAmount: BadAmount, escrow.BadParties: BadParties, escrow.BadDeadline: BadDeadline, escrow.BadWindow: BadDeadline,
	escrow.BadMemo: BadBody, escrow.TooMany: TooManyEscrows, escrow.Unknown: UnknownEscrow, escrow.NotParty: NotParty,
	escrow.WrongPreimage: WrongPreimage, escrow.TooEarly: TooEarly, escrow.TooLate: TooLate, escrow.NoArbiter: NoArbiter,
	escrow.InDispute: Disputed, escrow.NotInDispute: NotDisputed,
}

var rosterCodes = [...]Code{
	roster.OK: OK, roster.NotMember: NotMember, roster.BadAction: BadAction, roster.AlreadyVoted: AlreadyVoted, roster.NotVoted: NotVoted,
	roster.Decided: Decided, roster.TooManyVotes: TooManyVotes, roster.NotDemoted: NotDemoted, roster.BackingOff: BackingOff, roster.Barred: MemberBarred,
	roster.TooFewActive: TooFewActive,
}

var custodyCodes = [...]Code{
	custody.OK: OK, custody.UnknownBank: UnknownBank, custody.NotMember: NotMember, custody.BadForm: BadStatement,
	custody.BadHeight: BadChainHeight, custody.BadParent: BadParent, custody.TooMany: TooManyOfBank, custody.BadScript: BadOutput,
	custody.BadAmount: BadAmount, custody.FeeTooLow: FeeBoundTooLow, custody.NotAllowed: NotAllowed, custody.Unknown: UnknownPayout,
	custody.NotOwner: UnknownPayout, custody.InBatch: InBatch, custody.BadSettings: BadSettings, custody.NotSigner: NotSigner,
	custody.IsHalted: BanksHalted, custody.BadKey: BadKey,
}
