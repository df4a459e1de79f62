package replica

import (
	"encoding/binary"
	"errors"
	"fmt"

	"souk/consensus"
	"souk/exchange"
	"souk/exchange/roster"
)

// MaxBatch is the most commands of one batch payload (S-3).
const MaxBatch = 1024

// First bytes of payloads.
const (
	payloadClock = 0x01
	payloadBatch = 0x02
)

const (
	clockSize   = 1 + 8
	batchHeader = 1 + 4 + 8 + 2
)

// ErrPayload is returned for bytes that are not a payload, or that may not stand
// where they stand in a block.
var ErrPayload = errors.New("payload is not valid")

// Batch is a payload of commands (S-3).
type Batch struct {
	Member   roster.ID // the member whose server says that it made the batch; not proven
	Seq      uint64    // tells the member's batches apart
	Commands []exchange.Command
}

// AppendClock appends the payload that states a block's time in ms (S-2).
func AppendClock(dst []byte, ms uint64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, payloadClock), ms)
}

// ParseClock reads a clock payload.
func ParseClock(payload []byte) (ms uint64, err error) {
	if len(payload) != clockSize || payload[0] != payloadClock {
		return 0, fmt.Errorf("%w: not a clock", ErrPayload)
	}
	return binary.BigEndian.Uint64(payload[1:]), nil
}

// AppendBatch appends the payload of 1 to MaxBatch commands. Its size must stay
// within consensus.MaxPayload, or nobody will take it.
func AppendBatch(dst []byte, b *Batch) []byte {
	dst = appendBatchHeader(dst, b.Member, b.Seq, len(b.Commands))
	for i := range b.Commands {
		dst = b.Commands[i].Append(dst)
	}
	return dst
}

func appendBatchHeader(dst []byte, member roster.ID, seq uint64, count int) []byte {
	dst = binary.BigEndian.AppendUint32(append(dst, payloadBatch), uint32(member))
	dst = binary.BigEndian.AppendUint64(dst, seq)
	return binary.BigEndian.AppendUint16(dst, uint16(count))
}

// ParseBatch reads a batch for virtual server vs. The commands have their ids;
// their bodies alias payload. It checks form only, not signatures.
func ParseBatch(vs exchange.ID, payload []byte) (Batch, error) {
	b, count, err := parseBatchHeader(payload)
	if err != nil {
		return Batch{}, err
	}
	b.Commands, err = parseCommands(vs, payload[batchHeader:], count)
	if err != nil {
		return Batch{}, fmt.Errorf("%w: %w", ErrPayload, err)
	}
	return b, nil
}

// parseBatchHeader reads all of a batch but its commands.
func parseBatchHeader(payload []byte) (b Batch, count int, err error) {
	if len(payload) < batchHeader || payload[0] != payloadBatch {
		return Batch{}, 0, fmt.Errorf("%w: not a batch", ErrPayload)
	}
	if len(payload) > consensus.MaxPayload {
		return Batch{}, 0, fmt.Errorf("%w: %d bytes, at most %d", ErrPayload, len(payload), consensus.MaxPayload)
	}
	b.Member = roster.ID(binary.BigEndian.Uint32(payload[1:]))
	b.Seq = binary.BigEndian.Uint64(payload[5:])
	count = int(binary.BigEndian.Uint16(payload[13:]))
	if count == 0 || count > MaxBatch {
		return Batch{}, 0, fmt.Errorf("%w: batch of %d commands, 1 to %d are possible", ErrPayload, count, MaxBatch)
	}
	return b, count, nil
}

// parseCommands reads exactly count commands that fill data.
func parseCommands(vs exchange.ID, data []byte, count int) ([]exchange.Command, error) {
	if got, whole := countCommands(data); !whole || got != count {
		return nil, fmt.Errorf("%d commands in %d bytes do not fit together: %w", count, len(data), exchange.ErrEncoding)
	}
	commands := make([]exchange.Command, count)
	for i := range commands {
		var err error
		if commands[i], data, err = exchange.Parse(vs, data); err != nil {
			return nil, fmt.Errorf("command %d: %w", i+1, err)
		}
	}
	return commands, nil
}

// countCommands counts the commands that data seems to hold by hopping over their
// bodies, so that memory is taken once and only for data that is there. whole
// tells whether the last one ends where data does.
func countCommands(data []byte) (n int, whole bool) {
	for len(data) > 0 {
		size, ok := exchange.Skip(data)
		if !ok || len(data) < size {
			return n, false
		}
		data = data[size:]
		n++
	}
	return n, true
}
