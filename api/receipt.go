package api

import (
	"encoding/hex"
	"fmt"
	"strconv"

	"souk/asset"
	"souk/exchange"
	"souk/exchange/market"
)

// ReceiptSize is the length of a receipt's binary encoding in bytes.
const ReceiptSize = 1 + 32 + 2 + 6*8 + 1

// AppendReceipts appends the binary form of a response to commands: the receipts'
// encodings one after the other, in the order of the commands (H-14).
func AppendReceipts(dst []byte, receipts []exchange.Receipt) []byte {
	for i := range receipts {
		dst = receipts[i].Append(dst)
	}
	return dst
}

// ParseReceipts reads what AppendReceipts writes.
func ParseReceipts(data []byte) ([]exchange.Receipt, error) {
	if len(data)%ReceiptSize != 0 {
		return nil, fmt.Errorf("%d bytes are not whole receipts: %w", len(data), exchange.ErrEncoding)
	}
	receipts := make([]exchange.Receipt, 0, len(data)/ReceiptSize)
	for ; len(data) > 0; data = data[ReceiptSize:] {
		r, err := exchange.ParseReceipt(data[:ReceiptSize])
		if err != nil {
			return nil, fmt.Errorf("receipt %d: %w", len(receipts)+1, err)
		}
		receipts = append(receipts, r)
	}
	return receipts, nil
}

// AppendReceiptsJSON appends a JSON list of receipts, as encoding ReceiptValue of
// each would, without the cost of reflection.
func AppendReceiptsJSON(dst []byte, receipts []exchange.Receipt) []byte {
	dst = append(dst, '[')
	for i := range receipts {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendReceiptJSON(dst, &receipts[i])
	}
	return append(dst, ']')
}

func appendReceiptJSON(dst []byte, r *exchange.Receipt) []byte {
	dst = append(dst, `{"id":"`...)
	dst = hex.AppendEncode(dst, r.ID[:])
	dst = append(dst, `","code":`...)
	dst = strconv.AppendUint(dst, uint64(r.Code), 10)
	dst = append(dst, `,"name":"`...)
	dst = append(dst, r.Code.String()...) // plain ASCII without quotes
	dst = append(dst, `","message":"`...)
	dst = append(dst, Message(r.Code)...) // likewise
	dst = append(dst, `","height":`...)
	dst = strconv.AppendUint(dst, r.Height, 10)
	dst = append(dst, `,"time":`...)
	dst = strconv.AppendUint(dst, r.Time, 10)
	if r.Number != 0 {
		dst = append(dst, `,"number":`...)
		dst = strconv.AppendUint(dst, r.Number, 10)
	}
	dst = appendUnits(dst, "filled_units", r.Filled)
	dst = appendUnits(dst, "cost_units", r.Cost)
	dst = appendUnits(dst, "fee_units", r.Fee)
	if r.Status != market.Gone || r.Filled != 0 {
		dst = append(dst, `,"status":"`...)
		dst = append(dst, StatusName(r.Status)...)
		dst = append(dst, '"')
	}
	return append(dst, '}')
}

func appendUnits(dst []byte, name string, a asset.Amount) []byte {
	if a == 0 {
		return dst
	}
	dst = append(dst, `,"`...)
	dst = append(dst, name...)
	dst = append(dst, `":"`...)
	dst = strconv.AppendUint(dst, uint64(a), 10)
	return append(dst, '"')
}
