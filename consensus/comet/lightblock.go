package comet

import (
	"encoding/binary"
	"errors"
	"fmt"

	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	"github.com/cometbft/cometbft/types"
)

// maxLightBlock is the largest light block anybody is asked to read: header,
// commit and two validator sets of 100 members are about 60 KB.
const maxLightBlock = 1 << 20

// ErrLightBlock is returned for bytes that are no light block.
var ErrLightBlock = errors.New("malformed light block")

// lightBlock is what a server says about one height: the signed header, its
// validators, and those of the height after it. The last are proven by the
// header's NextValidatorsHash, so that a server can join at the newest height
// without waiting for another block.
type lightBlock struct {
	*types.LightBlock
	next *types.ValidatorSet
}

// encode writes each part after its length as a uvarint.
func (b *lightBlock) encode() ([]byte, error) {
	pb, err := b.ToProto()
	if err != nil {
		return nil, fmt.Errorf("encode light block: %w", err)
	}
	head, err := pb.Marshal()
	if err != nil {
		return nil, fmt.Errorf("encode light block: %w", err)
	}
	next, err := encodeSet(b.next)
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, len(head)+len(next)+8)
	out = append(binary.AppendUvarint(out, uint64(len(head))), head...)
	return append(binary.AppendUvarint(out, uint64(len(next))), next...), nil
}

// decodeLightBlock reads a light block and checks that its parts belong together
// and to the chain. It does not check signatures.
func decodeLightBlock(chain string, raw []byte) (*lightBlock, error) {
	if len(raw) > maxLightBlock {
		return nil, fmt.Errorf("%d bytes: %w", len(raw), ErrLightBlock)
	}
	head, rest, ok := cutPart(raw)
	if !ok {
		return nil, fmt.Errorf("cut short: %w", ErrLightBlock)
	}
	tail, rest, ok := cutPart(rest)
	if !ok || len(rest) > 0 {
		return nil, fmt.Errorf("cut short or too long: %w", ErrLightBlock)
	}
	var pb cmtproto.LightBlock
	if err := pb.Unmarshal(head); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrLightBlock, err)
	}
	lb, err := types.LightBlockFromProto(&pb)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrLightBlock, err)
	}
	if err := lb.ValidateBasic(chain); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrLightBlock, err)
	}
	next, err := decodeSet(tail)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrLightBlock, err)
	}
	if string(next.Hash()) != string(lb.NextValidatorsHash) {
		return nil, fmt.Errorf("next validators are not the header's: %w", ErrLightBlock)
	}
	return &lightBlock{LightBlock: lb, next: next}, nil
}

func cutPart(raw []byte) (part, rest []byte, ok bool) {
	size, n := binary.Uvarint(raw)
	if n <= 0 || size > uint64(len(raw)-n) {
		return nil, nil, false
	}
	end := n + int(size)
	return raw[n:end], raw[end:], true
}
