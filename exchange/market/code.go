package market

// Code says whether a request was taken, or why not.
type Code uint8

// Codes.
const (
	OK               Code = iota
	UnknownMarket         // no market has that number
	Paused                // the market is paused
	BadTick               // the price is zero, above MaxPrice or no multiple of the tick
	BadLot                // the quantity is zero or no multiple of the lot
	BelowMinNotional      // the order's value is below the market's minimum
	OutsideBand           // the price is outside the band around the reference price
	BadKind               // side, kind, time in force, flags and amounts do not go together
	BadClient             // the client order id is too long or not printable
	DuplicateClient       // a live order of the owner has this client order id
	TooManyFOK            // the owner has a fill-or-kill order in this batch already
	BadExpiry             // an expiry that is missing, not in the future, or not allowed
	BadTrigger            // a trigger that is missing, off tick, or not allowed
	Overflow              // more than MaxLots, or a value above the largest supply
	TooManyOrders         // the owner has as many orders in this market as he may have
	BookFull              // the market has MaxBook live orders
	BadPair               // the legs of an OCO pair do not go together
	UnknownOrder          // no live order has that id
	BadReduce             // not a reduction that keeps an order's place
	BadMarket             // terms of a market that are not possible
	DuplicateMarket       // the pair has a market already
)
