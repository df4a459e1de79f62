package replica

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"golang.org/x/crypto/cryptobyte"

	"souk/asset"
	"souk/exchange"
	"souk/exchange/market"
	"souk/identity"
	"souk/merkle"
)

// First bytes of the store's keys (S-10). All integers are big-endian, so that
// keys sort by them; those that are to be read newest first stand inverted.
const (
	keyMeta     = 0x01 // what is stored: version, height, time, root
	keyFounding = 0x02 // the founding contract
	keyLeaf     = 0x03 // leaf key: value of a state leaf
	keyBlock    = 0x04 // height: what an active block's proofs need
	keyResults  = 0x05 // height, page: entries of an active block's result list
	keyRun      = 0x06 // span, height: which receipts a run lists
	keyRunPage  = 0x07 // span, height, page: where those receipts are
	keyTrades   = 0x08 // inverted day, market, inverted height: trades of a block
	keyFills    = 0x09 // inverted day, account, inverted height: the account's fills in a block
	keySnapshot = 0x0a // height: a snapshot's description
	keyChunk    = 0x0b // height, number: a chunk of a snapshot
	keySpan     = 0x0c // span: height of its first block
	keyJournal  = 0x0d // number: a piece of a journal; without one: how many there are
	keyCancels  = 0x0e // inverted day, account, inverted height: the account's withdrawals that were cancelled in a block
	keyLog      = 0x0f // height, piece: what an active block did; without them: what the log holds
)

const (
	// metaVersion is the version of this layout.
	metaVersion = 1
	// pageEntries is the number of result entries in one page.
	pageEntries = 128
	// pieceEntries is the most trades or fills in one value.
	pieceEntries = 4096
	// spanLength is the part of block time, in ms, whose receipts are forgotten together.
	spanLength = 120_000
	// receiptsKept is for how much block time, in ms, receipts are kept at least:
	// the furthest expiry, and some more (S-14).
	receiptsKept = 600_000 + spanLength
	// dayLength is the part of block time, in ms, whose trades are forgotten together.
	dayLength = 86_400_000
)

// errValue is returned for a stored value that is not what was written.
var errValue = errors.New("stored value is malformed")

// meta describes what the store holds (S-11).
type meta struct {
	Position
}

func (m *meta) append(dst []byte) []byte {
	dst = append(dst, metaVersion)
	dst = binary.BigEndian.AppendUint64(dst, m.Height)
	dst = binary.BigEndian.AppendUint64(dst, m.Time)
	dst = append(dst, m.Root[:]...)
	return binary.BigEndian.AppendUint64(dst, m.RootHeight)
}

func parseMeta(value []byte) (m meta, err error) {
	s := cryptobyte.String(value)
	var version uint8
	if !s.ReadUint8(&version) {
		return meta{}, errValue
	}
	if version != metaVersion {
		return meta{}, fmt.Errorf("the store is of version %d, this program knows %d", version, metaVersion)
	}
	if !s.ReadUint64(&m.Height) || !s.ReadUint64(&m.Time) || !s.CopyBytes(m.Root[:]) || !s.ReadUint64(&m.RootHeight) || len(s) != 0 {
		return meta{}, errValue
	}
	return m, nil
}

// blockRecord is what the proofs of an active block's results need (S-12).
type blockRecord struct {
	Time    uint64
	Root    merkle.Hash
	Results uint32 // entries in the result list
	Clock   []byte // value of the clock leaf
	Proof   []byte // that it stands under Root
}

func (b *blockRecord) append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, b.Time)
	dst = append(dst, b.Root[:]...)
	dst = binary.BigEndian.AppendUint32(dst, b.Results)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(b.Clock)))
	return append(append(dst, b.Clock...), b.Proof...)
}

func parseBlockRecord(value []byte) (b blockRecord, err error) {
	s := cryptobyte.String(value)
	var clock cryptobyte.String
	if !s.ReadUint64(&b.Time) || !s.CopyBytes(b.Root[:]) || !s.ReadUint32(&b.Results) || !s.ReadUint16LengthPrefixed(&clock) {
		return blockRecord{}, errValue
	}
	b.Clock, b.Proof = clock, s
	return b, nil
}

// appendPage appends result entries behind their lengths.
func appendPage(dst []byte, entries [][]byte) []byte {
	for _, e := range entries {
		dst = binary.BigEndian.AppendUint16(dst, uint16(len(e)))
		dst = append(dst, e...)
	}
	return dst
}

// parsePage appends a page's entries, which alias value.
func parsePage(dst [][]byte, value []byte) ([][]byte, error) {
	for s := cryptobyte.String(value); len(s) > 0; {
		var e cryptobyte.String
		if !s.ReadUint16LengthPrefixed(&e) {
			return nil, errValue
		}
		dst = append(dst, e)
	}
	return dst, nil
}

// place is where an entry of a result list is.
type place struct {
	Height uint64
	Index  uint32
}

// tradeSize is the size of an entry of keyTrades: index, and the trade's encoding.
const tradeSize = 4 + 1 + 8 + 4 + 8 + 8 + 8 + 8 + 1 + 1 + 8 + 8

func (t *Trade) append(dst []byte) []byte {
	return t.Append(binary.BigEndian.AppendUint32(dst, t.Index))
}

func parseTrades(value []byte) ([]Trade, error) {
	var all []Trade
	for entry := range slices.Chunk(value, tradeSize) {
		if len(entry) != tradeSize {
			return nil, errValue
		}
		t, err := exchange.ParseTrade(entry[4:])
		if err != nil {
			return nil, err
		}
		all = append(all, Trade{Trade: t, Index: binary.BigEndian.Uint32(entry)})
	}
	return all, nil
}

// Bits of a stored fill's flags.
const (
	fillBuys  = 1
	fillMaker = 2
	fillInner = 4
)

// append appends the entry of keyFills. Height and time of the block stand before
// all entries.
func (f *Fill) append(dst []byte) []byte {
	var flags byte
	if f.Side == market.Buy {
		flags |= fillBuys
	}
	if f.Maker {
		flags |= fillMaker
	}
	if f.Inner {
		flags |= fillInner
	}
	dst = binary.BigEndian.AppendUint32(dst, f.Index)
	dst = binary.BigEndian.AppendUint64(dst, uint64(f.Trade))
	dst = binary.BigEndian.AppendUint32(dst, uint32(f.Market))
	dst = binary.BigEndian.AppendUint64(dst, uint64(f.Order))
	dst = append(dst, flags)
	for _, n := range []uint64{uint64(f.Price), uint64(f.Quantity), uint64(f.Value), uint64(f.Fee)} {
		dst = binary.BigEndian.AppendUint64(dst, n)
	}
	return dst
}

// fillSize is the size of an entry of keyFills, fillsHead that of what stands before them.
const (
	fillSize  = 4 + 8 + 4 + 8 + 1 + 4*8
	fillsHead = 8 + 8
)

func parseFills(value []byte) ([]Fill, error) {
	s := cryptobyte.String(value)
	var height, time uint64
	if !s.ReadUint64(&height) || !s.ReadUint64(&time) {
		return nil, errValue
	}
	var all []Fill
	for len(s) > 0 {
		f := Fill{Height: height, Time: time, Side: market.Sell}
		var flags uint8
		if !s.ReadUint32(&f.Index) || !s.ReadUint64((*uint64)(&f.Trade)) || !s.ReadUint32((*uint32)(&f.Market)) ||
			!s.ReadUint64((*uint64)(&f.Order)) || !s.ReadUint8(&flags) || !readAmounts(&s, &f) {
			return nil, errValue
		}
		if flags&fillBuys != 0 {
			f.Side = market.Buy
		}
		f.Maker, f.Inner = flags&fillMaker != 0, flags&fillInner != 0
		all = append(all, f)
	}
	return all, nil
}

func readAmounts(s *cryptobyte.String, f *Fill) bool {
	for _, a := range []*asset.Amount{(*asset.Amount)(&f.Price), &f.Quantity, &f.Value, &f.Fee} {
		if !s.ReadUint64((*uint64)(a)) {
			return false
		}
	}
	return true
}

// span is the number of the span of receipts that a block time lies in.
func span(ms uint64) uint32 { return clamp(ms / spanLength) }

// day is the number of the day that a block time lies in.
func day(ms uint64) uint32 { return clamp(ms / dayLength) }

func clamp(n uint64) uint32 { return uint32(min(n, math.MaxUint32)) }

func leafKey(dst []byte, k *merkle.Key) []byte { return append(append(dst, keyLeaf), k[:]...) }

func blockKey(height uint64) []byte { return heightKey(keyBlock, height) }

// heightKey is a key of one of the kinds that are numbered by heights.
func heightKey(kind byte, height uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{kind}, height)
}

func pageKey(height uint64, page uint32) []byte {
	return binary.BigEndian.AppendUint32(heightKey(keyResults, height), page)
}

func chunkKey(height uint64, number uint32) []byte {
	return binary.BigEndian.AppendUint32(heightKey(keyChunk, height), number)
}

func runKey(span uint32, height uint64) []byte {
	return binary.BigEndian.AppendUint64(spanKey(keyRun, span), height)
}

func runPageKey(span uint32, height, page uint64) []byte {
	k := binary.BigEndian.AppendUint64(spanKey(keyRunPage, span), height)
	return binary.BigEndian.AppendUint16(k, uint16(page))
}

func journalKey(number uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte{keyJournal}, number)
}

func spanKey(kind byte, span uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte{kind}, span)
}

// dayKey is what keys of keyTrades or keyFills of a day begin with.
func dayKey(kind byte, day uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte{kind}, ^day)
}

func tradesKey(day uint32, id market.ID, height uint64) []byte {
	k := binary.BigEndian.AppendUint32(dayKey(keyTrades, day), uint32(id))
	return binary.BigEndian.AppendUint64(k, ^height)
}

func fillsKey(day uint32, a *identity.Address, height uint64) []byte {
	return binary.BigEndian.AppendUint64(append(dayKey(keyFills, day), a[:]...), ^height)
}
