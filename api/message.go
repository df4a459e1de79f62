package api

import "souk/exchange"

// Message says in a sentence what a result code means for the sender, and what
// to do next. It never takes part in a decision: programs use the number.
func Message(c exchange.Code) string {
	if m, ok := messages[c]; ok {
		return m
	}
	return "This program does not know the code; look it up in docs/spec/03-codes.md."
}

// messages has an entry for every code.
var messages = map[exchange.Code]string{
	exchange.OK: "Done.",

	exchange.BadSignature:   "The signature does not verify. Sign the command for this virtual server's id and send it again.",
	exchange.BadEncoding:    "The bytes are not a command. Encode it as docs/spec/02-commands.md says.",
	exchange.Expired:        "The command's expiry has passed. Make a new one with a later expiry.",
	exchange.ExpiryTooFar:   "The expiry is more than ten minutes ahead. Check the clock, or use an earlier expiry.",
	exchange.UnknownAccount: "Nobody has paid this account yet. An account exists once it has been credited.",
	exchange.UnknownKey:     "The key is neither the account's owner key nor a delegate. Sign with one that is.",
	exchange.NonceUsed:      "A command with this nonce was executed before. If it was this one, ask for its receipt; else use a higher nonce.",
	exchange.NonceStale:     "The nonce is more than 1,024 below the key's highest. Use a nonce above the highest.",
	exchange.NonceTooFar:    "The nonce is more than 65,536 above the key's highest. Use the one after the highest.",
	exchange.AccountBusy:    "The account has too many commands in this block. Send it again.",
	exchange.NotEntitled:    "The key can send no such command now. Use the owner key, or a delegate that has not expired and has the scope and the market.",
	exchange.FeeUnpaid:      "The account does not have the command fee. Pay in some of the fee asset, then send the command again.",

	exchange.BadBody:          "The body is not the body of a command of this kind. Encode it as docs/spec/02-commands.md says.",
	exchange.KeyRevoked:       "The key was removed in the same block. Sign with another key.",
	exchange.OutOfScope:       "The key may not do this. Use the owner key, or a delegate with the scope and the market that has not expired.",
	exchange.Insufficient:     "The available funds do not cover it. Lower the amount, or cancel orders that hold funds.",
	exchange.BadAmount:        "The amount is zero or larger than an asset's supply can be.",
	exchange.UnknownAsset:     "There is no asset with this id. List the assets first.",
	exchange.SelfTransfer:     "Payer and payee are the same account.",
	exchange.UnknownMarket:    "There is no market with this id. List the markets first.",
	exchange.MarketPaused:     "The members have paused the market. Cancels still work; try the order again later.",
	exchange.BadTick:          "The price is zero or not a multiple of the market's tick.",
	exchange.BadLot:           "The quantity is zero or not a multiple of the market's lot.",
	exchange.BelowMinimum:     "The order is worth less than the market's minimum notional.",
	exchange.OutsideBand:      "The price is too far from the last price for this market's band.",
	exchange.BadOrderKind:     "This kind of order does not go with this time in force, flag or amount.",
	exchange.DuplicateClient:  "A live order of the account has this client order id. Use another id, or cancel that order.",
	exchange.TooManyFOK:       "Only one fill-or-kill order per account, market and block. Send it again.",
	exchange.BadOrderExpiry:   "The order's own expiry is missing, not in the future, or not allowed for this time in force.",
	exchange.BadTrigger:       "The trigger price is missing, off tick, or not allowed for this kind of order.",
	exchange.OrderOverflow:    "The order is too large.",
	exchange.TooManyOrders:    "The account has too many live orders in this market. Cancel some first.",
	exchange.UnknownOrder:     "The account has no live order with this id. It may have been filled or cancelled.",
	exchange.Withdrawn:        "Another command of the same block took the order back.",
	exchange.BadAmend:         "The amendment changes nothing, or this order cannot be amended so.",
	exchange.BadDelegate:      "Scopes, markets or expiry of the delegate are not allowed.",
	exchange.TooManyDelegates: "The account has as many delegates as it may have. Remove one first.",
	exchange.UnknownDelegate:  "The account has no delegate with this key.",
	exchange.RotationPending:  "A rotation of the owner key is pending. Cancel it first.",
	exchange.NoRotation:       "No rotation of the owner key is pending.",
	exchange.BadKey:           "The key is in use already or is not a usable key.",
	exchange.BadSymbol:        "A symbol is 2 to 10 characters, A to Z and 0 to 9, a letter first.",
	exchange.SymbolTaken:      "Another asset has this symbol.",
	exchange.SymbolReserved:   "The members have reserved this symbol. Ask them for a vote.",
	exchange.BadDecimals:      "An asset has 0 to 18 decimals.",
	exchange.NotIssuer:        "Only the asset's issuer may do this.",
	exchange.SupplyExceeded:   "The asset's largest supply would be exceeded.",
	exchange.BadDeadline:      "The deadline or the dispute window is not allowed.",
	exchange.UnknownEscrow:    "There is no escrow with this id, or not any more.",
	exchange.NotParty:         "The account has not the part in this escrow that this takes.",
	exchange.WrongPreimage:    "The preimage's SHA-256 is not the escrow's hash.",
	exchange.TooEarly:         "A refund is possible from the deadline on.",
	exchange.TooLate:          "The deadline has passed.",
	exchange.NoArbiter:        "The escrow has no arbiter.",
	exchange.Disputed:         "The escrow is in dispute; only its arbiter decides now.",
	exchange.NotDisputed:      "Nobody has opened a dispute over this escrow.",
	exchange.NotMember:        "The account is not a member's operator or server.",
	exchange.BadAction:        "The action of the vote is not valid now.",
	exchange.AlreadyVoted:     "The member approves of this action already.",
	exchange.NotVoted:         "The member has not approved of this action.",
	exchange.NotDemoted:       "The server has full power.",
	exchange.BackingOff:       "The server may not return yet; status shows from when.",
	exchange.MemberBarred:     "The server signed twice. The members must vote to replace it.",
	exchange.Decided:          "The same action passed a short while ago. To have it again, vote on it with another salt.",
	exchange.TooManyVotes:     "The member approves of as many open votes as it may. Withdraw one first.",
	exchange.TooManyEscrows:   "The account has as many escrows locked as it may have.",
	exchange.BadTimer:         "The delay of the dead-man timer is out of range.",
	exchange.BadParties:       "Payer, payee and arbiter must be different accounts that exist.",
	exchange.BookFull:         "The market has as many live orders as it can have. Try again later.",
	exchange.TooManyBalances:  "The account that it would go to has too many assets to be given another one.",
	exchange.BlockBusy:        "Too many orders were cancelled in this block by commands of this kind. Nothing was; send another one, or cancel single orders.",
	exchange.TooFewActive:     "Too few members would be left with full power. Let those without it return, or replace or remove them, first.",
	exchange.TooManyIssued:    "The account has issued as many assets as it may. The members can reserve a symbol for it, or raise the limit, by vote.",
}
