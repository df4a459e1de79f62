package archive

import (
	"encoding/binary"
	"errors"

	"souk/asset"
	"souk/exchange"
	"souk/exchange/custody"
	"souk/exchange/market"
	"souk/identity"
)

// ErrBlock is returned by Parse for bytes that are not the one encoding of a block.
var ErrBlock = errors.New("not an encoded block")

// version is the first byte of an encoded block (G-10).
const version = 1

// Least bytes of the elements of lists. They bound what Parse allocates.
const (
	leastCommand = 1 + 1 + 1 + 32
	leastEvent   = 1 + 2
	leastLevel   = 4
	leastBalance = 4
	leastWallet  = 3
	leastAsset   = 4
	leastMarket  = 3
)

// Append appends the block's one encoding (G-10 to G-14). Lists that are empty become nil
// when they are read again.
func Append(dst []byte, b *Block) []byte {
	c := coder{data: append(dst, version), accounts: make(map[identity.Address]uint32, len(b.Commands)/2+8)}
	at := *b // read only
	c.block(&at)
	return c.data
}

// Parse reads an encoded block, which shares no memory with data.
func Parse(data []byte) (*Block, error) {
	if len(data) == 0 || data[0] != version {
		return nil, ErrBlock
	}
	c := coder{data: data[1:], reading: true, seen: map[identity.Address]struct{}{}}
	b := new(Block)
	if c.block(b); c.failed || len(c.data) != 0 {
		return nil, ErrBlock
	}
	return b, nil
}

// coder writes a block, or reads one: the same calls do both, so that the two agree.
type coder struct {
	reading bool
	failed  bool   // reading: what follows does not count
	data    []byte // what was written, or what is still to be read

	height, time uint64 // of the block

	// Accounts by their numbers in the block, and the other way round.
	accounts map[identity.Address]uint32 // writing
	listed   []identity.Address          // reading
	seen     map[identity.Address]struct{}
}

func (c *coder) block(b *Block) {
	number(c, &b.Height)
	number(c, &b.Time)
	c.height, c.time = b.Height, b.Time
	list(c, &b.Commands, leastCommand, c.command)
	list(c, &b.Events, leastEvent, c.event)
	list(c, &b.Levels, leastLevel, c.level)
	list(c, &b.Balances, leastBalance, c.balance)
	list(c, &b.Wallets, leastWallet, c.wallet)
	list(c, &b.Assets, leastAsset, c.asset)
	list(c, &b.Markets, leastMarket, c.market)
}

func (c *coder) command(x *Command) {
	c.account(&x.Account)
	number(c, &x.Kind)
	r := &x.Receipt
	f := c.fields(1)
	optional(&f, &r.Number, 0)
	optional(&f, &r.Filled, 0)
	optional(&f, &r.Cost, 0)
	optional(&f, &r.Fee, 0)
	optional(&f, &r.Code, 0)
	optional(&f, &r.Status, 0)
	optional(&f, &r.Height, c.height)
	optional(&f, &r.Time, c.time)
	f.end()
	c.fixed(r.ID[:])
}

func (c *coder) level(l *Level) {
	number(c, &l.Market)
	number(c, &l.Side)
	number(c, &l.Price)
	number(c, &l.Quantity)
}

func (c *coder) balance(b *Balance) {
	c.account(&b.Account)
	number(c, &b.Asset)
	number(c, &b.Available)
	number(c, &b.Held)
}

func (c *coder) wallet(w *Wallet) {
	number(c, &w.Bank)
	number(c, &w.Wallet)
	number(c, &w.Total)
}

func (c *coder) asset(a *Asset) {
	number(c, &a.ID)
	c.text(&a.Symbol)
	number(c, &a.Decimals)
	c.account(&a.Issuer)
}

func (c *coder) market(m *Market) {
	number(c, &m.ID)
	number(c, &m.Base)
	number(c, &m.Quote)
}

func (c *coder) event(e *exchange.Event) {
	number(c, &e.Kind)
	f := c.fields(2)
	optional(&f, &e.Reason, 0)
	optional(&f, &e.Market, 0)
	optional(&f, &e.Asset, 0)
	optional(&f, &e.Number, 0)
	optional(&f, &e.Amount, 0)
	for _, a := range [...]*identity.Address{&e.Account, &e.Other} {
		if f.has(!a.IsZero()) {
			c.account(a)
			c.refuse(a.IsZero())
		}
	}
	if f.has(e.Memo != "") {
		c.text(&e.Memo)
		c.refuse(e.Memo == "")
	}
	if f.has(len(e.Action) > 0) {
		c.bytes(&e.Action)
		c.refuse(len(e.Action) == 0)
	}
	if f.has(e.Order != nil) {
		pointed(c, &e.Order)
		c.order(e.Order, e.Market)
	}
	if f.has(e.Fill != nil) {
		pointed(c, &e.Fill)
		c.fill(e.Fill, e.Market)
	}
	if f.has(e.Withdrawal != nil) {
		pointed(c, &e.Withdrawal)
		c.withdrawal(e.Withdrawal)
	}
	f.end()
}

// order is an order of an event about a market.
func (c *coder) order(o *market.Order, of market.ID) {
	number(c, &o.ID)
	number(c, &o.Owner)
	number(c, &o.Side)
	number(c, &o.Kind)
	number(c, &o.TIF)
	number(c, &o.Status)
	number(c, &o.Price)
	number(c, &o.Quantity)
	number(c, &o.Nonce)
	f := c.fields(3)
	optional(&f, &o.Hold.Asset, 0)
	optional(&f, &o.Hold.Amount, 0)
	if f.has(o.Client != "") {
		c.text(&o.Client)
		c.refuse(o.Client == "")
	}
	optional(&f, &o.Placed, c.height)
	optional(&f, &o.Time, c.time)
	optional(&f, &o.Joined, 0)
	optional(&f, &o.Filled, 0)
	optional(&f, &o.Value, 0)
	optional(&f, &o.Fee, 0)
	for _, w := range [...]*asset.Wide{&o.Cost, &o.FeeSum} {
		optional(&f, &w.Hi, 0)
		optional(&f, &w.Lo, 0)
	}
	optional(&f, &o.Quote, 0)
	optional(&f, &o.Trigger, 0)
	optional(&f, &o.Expiry, 0)
	optional(&f, &o.Sibling, 0)
	f.flag(&o.PostOnly)
	optional(&f, &o.Market, of)
	f.end()
}

// fill is a fill of an event about a market.
func (c *coder) fill(x *market.Fill, of market.ID) {
	number(c, &x.Trade)
	number(c, &x.Price)
	number(c, &x.Quantity)
	number(c, &x.Maker)
	number(c, &x.Taker)
	number(c, &x.Buyer)
	number(c, &x.Seller)
	number(c, &x.TakerSide)
	number(c, &x.BuyerPaid)
	f := c.fields(1)
	f.flag(&x.Inner)
	optional(&f, &x.BuyerReleased, 0)
	optional(&f, &x.SellerGot, x.BuyerPaid)
	optional(&f, &x.BuyerFee, 0)
	optional(&f, &x.SellerFee, 0)
	optional(&f, &x.Market, of)
	f.end()
}

func (c *coder) withdrawal(w *custody.Withdrawal) {
	number(c, &w.ID)
	number(c, &w.Bank)
	number(c, &w.Owner)
	number(c, &w.Amount)
	number(c, &w.MaxFee)
	number(c, &w.Asked)
	number(c, &w.From)
	number(c, &w.Batch)
	c.bytes(&w.Script)
	c.fixed(w.Salt[:])
	list(c, &w.GivenUp, 1, func(n *uint64) { number(c, n) })
}

// account is an account by its number in the block, where it first appears followed by
// its address (G-12).
func (c *coder) account(a *identity.Address) {
	if !c.reading {
		n, known := c.accounts[*a]
		if !known {
			n = uint32(len(c.accounts))
			c.accounts[*a] = n
		}
		number(c, &n)
		if !known {
			c.fixed(a[:])
		}
		return
	}
	var n uint32
	number(c, &n)
	switch {
	case c.failed:
	case int(n) < len(c.listed):
		*a = c.listed[n]
	case int(n) == len(c.listed):
		c.fixed(a[:])
		_, twice := c.seen[*a]
		c.refuse(twice)
		c.seen[*a] = struct{}{}
		c.listed = append(c.listed, *a)
	default:
		c.failed = true
	}
}

// refuse fails reading if what was read is not the one way to write it.
func (c *coder) refuse(is bool) {
	if is && c.reading {
		c.failed = true
	}
}

// number is an integer in as few groups of seven bits as it takes, lowest first.
func number[T ~uint8 | ~uint16 | ~uint32 | ~uint64](c *coder, p *T) {
	if !c.reading {
		c.data = binary.AppendUvarint(c.data, uint64(*p))
		return
	}
	n, size := binary.Uvarint(c.data)
	if c.failed || size <= 0 || size > 1 && c.data[size-1] == 0 || uint64(T(n)) != n {
		c.failed = true
		*p = 0
		return
	}
	*p, c.data = T(n), c.data[size:]
}

// fixed is bytes whose number is known.
func (c *coder) fixed(p []byte) {
	if !c.reading {
		c.data = append(c.data, p...)
		return
	}
	if c.failed || len(c.data) < len(p) {
		c.failed = true
		return
	}
	c.data = c.data[copy(p, c.data):]
}

// bytes is bytes behind their number; none are nil.
func (c *coder) bytes(p *[]byte) {
	n := len(*p)
	if c.length(&n, 1); c.reading {
		*p = nil
		if n > 0 && !c.failed {
			*p = make([]byte, n)
		}
	}
	c.fixed(*p)
}

func (c *coder) text(p *string) {
	n := len(*p)
	if c.length(&n, 1); !c.reading {
		c.data = append(c.data, *p...)
		return
	}
	if !c.failed {
		*p, c.data = string(c.data[:n]), c.data[n:]
	}
}

// length is the number of elements that follow, each of at least so many bytes.
func (c *coder) length(n *int, least int) {
	size := uint64(*n)
	if number(c, &size); !c.reading {
		return
	}
	if size > uint64(len(c.data)/least) {
		c.failed, size = true, 0
	}
	*n = int(size)
}

// list is elements behind their number; none are nil.
func list[T any](c *coder, p *[]T, least int, element func(*T)) {
	n := len(*p)
	if c.length(&n, least); c.reading {
		*p = nil
		if n > 0 && !c.failed {
			*p = make([]T, n)
		}
	}
	all := *p
	for i := range all {
		if element(&all[i]); c.failed {
			return
		}
	}
}

// pointed makes what a pointer is to point to.
func pointed[T any](c *coder, p **T) {
	if c.reading {
		*p = new(T)
	}
}

// fields are those of a value that are written only if they are not as they mostly are.
// Bits in front of them say which are there, from the lowest on (G-13).
type fields struct {
	c    *coder
	at   int // writing: where the bits stand
	size int // of the bits in bytes
	next uint
	bits uint32
}

func (c *coder) fields(size int) fields {
	f := fields{c: c, at: len(c.data), size: size}
	var bits [4]byte
	if c.fixed(bits[:size]); c.reading {
		f.bits = binary.LittleEndian.Uint32(bits[:])
	}
	return f
}

// has tells whether the next field is there; present says so when writing.
func (f *fields) has(present bool) bool {
	bit := uint32(1) << f.next
	f.next++
	if f.c.reading {
		return f.bits&bit != 0 && !f.c.failed
	}
	if present {
		f.bits |= bit
	}
	return present
}

// flag is a field that has no more than its bit.
func (f *fields) flag(p *bool) {
	if has := f.has(*p); f.c.reading {
		*p = has
	}
}

// optional is a number that is mostly usual.
func optional[T ~uint8 | ~uint16 | ~uint32 | ~uint64](f *fields, p *T, usual T) {
	if !f.has(*p != usual) {
		if f.c.reading {
			*p = usual
		}
		return
	}
	number(f.c, p)
	f.c.refuse(*p == usual)
}

func (f *fields) end() {
	if f.c.reading {
		f.c.refuse(f.bits>>f.next != 0)
		return
	}
	var bits [4]byte
	binary.LittleEndian.PutUint32(bits[:], f.bits)
	copy(f.c.data[f.at:f.at+f.size], bits[:])
}
