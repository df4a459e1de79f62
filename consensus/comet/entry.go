package comet

import (
	"bytes"
	"errors"
	"fmt"

	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	"github.com/cometbft/cometbft/types"

	"souk/consensus"
	"souk/identity"
)

// What stands in a block of the chain. CometBFT calls these transactions; each
// begins with a byte that says what it is. See C-10 to C-13.
const (
	entryPayload = 0x00 // a payload of the application
	entryTurns   = 0x01 // consensus keys that missed their turns at the previous height
	entryDouble  = 0x02 // two votes that one key signed for the same thing
)

// Limits of a block's entries.
const (
	maxDoubles    = 4    // double signatures in one block
	maxDoubleSize = 2048 // bytes of one
	keySize       = len(identity.PublicKey{})
)

var errEntry = errors.New("malformed block entry")

// entries are a block's content, parted by kind.
type entries struct {
	turns    []identity.PublicKey
	doubles  []double
	payloads [][]byte // parts of the transactions they came in
}

// parseEntries reads what a proposer put into a block: at most one list of
// missed turns, then double signatures, then payloads.
func parseEntries(txs [][]byte) (entries, error) {
	var e entries
	size, last := 0, byte(entryTurns)
	for i, tx := range txs {
		if len(tx) < 2 {
			return entries{}, fmt.Errorf("entry %d is empty: %w", i, errEntry)
		}
		kind, body := tx[0], tx[1:]
		if rank(kind) < rank(last) || kind == entryTurns && i > 0 {
			return entries{}, fmt.Errorf("entry %d is out of order: %w", i, errEntry)
		}
		last = kind
		switch kind {
		case entryTurns:
			turns, err := parseTurns(body)
			if err != nil {
				return entries{}, err
			}
			e.turns = turns
		case entryDouble:
			d, err := parseDouble(body)
			if err != nil {
				return entries{}, err
			}
			if e.doubles = append(e.doubles, d); len(e.doubles) > maxDoubles {
				return entries{}, fmt.Errorf("more than %d double signatures: %w", maxDoubles, errEntry)
			}
		case entryPayload:
			if size += len(body); len(body) > consensus.MaxPayload || size > consensus.MaxBlock {
				return entries{}, fmt.Errorf("payloads are too large: %w", errEntry)
			}
			e.payloads = append(e.payloads, body)
		default:
			return entries{}, fmt.Errorf("entry %d is of kind %#x: %w", i, kind, errEntry)
		}
	}
	return e, nil
}

// rank is the order of kinds in a block.
func rank(kind byte) int {
	switch kind {
	case entryTurns:
		return 0
	case entryDouble:
		return 1
	default:
		return 2
	}
}

// encodeEntries writes a block's content as transactions.
func encodeEntries(e entries) [][]byte {
	txs := make([][]byte, 0, 1+len(e.doubles)+len(e.payloads))
	if len(e.turns) > 0 {
		tx := make([]byte, 1, 1+keySize*len(e.turns))
		tx[0] = entryTurns
		for _, k := range e.turns {
			tx = append(tx, k[:]...)
		}
		txs = append(txs, tx)
	}
	for i := range e.doubles {
		txs = append(txs, e.doubles[i].encode())
	}
	for _, p := range e.payloads {
		txs = append(txs, payloadEntry(p))
	}
	return txs
}

// payloadEntry is the transaction that carries a payload.
func payloadEntry(payload []byte) []byte {
	tx := make([]byte, 1+len(payload))
	tx[0] = entryPayload
	copy(tx[1:], payload)
	return tx
}

func parseTurns(body []byte) ([]identity.PublicKey, error) {
	if len(body)%keySize != 0 || len(body)/keySize > types.MaxVotesCount {
		return nil, fmt.Errorf("list of missed turns of %d bytes: %w", len(body), errEntry)
	}
	keys := make([]identity.PublicKey, 0, len(body)/keySize)
	for len(body) > 0 {
		keys = append(keys, identity.PublicKey(body))
		body = body[keySize:]
	}
	return keys, nil
}

// double is proof that a validator signed two votes where it may sign one. It
// needs no history to check: the key, and what it signed.
type double struct {
	key  identity.PublicKey
	a, b *types.Vote
}

// newDouble orders two conflicting votes. The result is not verified.
func newDouble(key identity.PublicKey, a, b *types.Vote) double {
	if a.BlockID.Key() > b.BlockID.Key() {
		a, b = b, a
	}
	return double{key: key, a: a, b: b}
}

func (d *double) encode() []byte {
	pair := cmtproto.DuplicateVoteEvidence{VoteA: d.a.ToProto(), VoteB: d.b.ToProto()}
	raw, err := pair.Marshal()
	if err != nil {
		panic(err) //nolint:forbidigo // votes that were decoded or made here always encode
	}
	tx := make([]byte, 0, 1+keySize+len(raw))
	tx = append(tx, entryDouble)
	tx = append(tx, d.key[:]...)
	return append(tx, raw...)
}

func parseDouble(body []byte) (double, error) {
	if len(body) <= keySize || len(body) > maxDoubleSize {
		return double{}, fmt.Errorf("double signature of %d bytes: %w", len(body), errEntry)
	}
	var pair cmtproto.DuplicateVoteEvidence
	if err := pair.Unmarshal(body[keySize:]); err != nil {
		return double{}, fmt.Errorf("double signature: %w: %w", errEntry, err)
	}
	a, err := voteFromProto(pair.VoteA)
	if err != nil {
		return double{}, err
	}
	b, err := voteFromProto(pair.VoteB)
	if err != nil {
		return double{}, err
	}
	d := double{key: identity.PublicKey(body[:keySize]), a: a, b: b}
	if !bytes.Equal(d.encode()[1:], body) {
		return double{}, fmt.Errorf("double signature is not canonical: %w", errEntry)
	}
	return d, nil
}

func voteFromProto(pb *cmtproto.Vote) (*types.Vote, error) {
	if pb == nil {
		return nil, fmt.Errorf("double signature lacks a vote: %w", errEntry)
	}
	v, err := types.VoteFromProto(pb)
	if err != nil {
		return nil, fmt.Errorf("vote: %w: %w", errEntry, err)
	}
	return v, nil
}

// verify checks the proof against the validators who may be accused.
func (d *double) verify(chain string, members *types.ValidatorSet) error {
	key := cometKey(d.key)
	address := key.Address()
	a, b := d.a, d.b
	switch {
	case !members.HasAddress(address):
		return fmt.Errorf("double signature by %s, who is no validator: %w", d.key, errEntry)
	case a.Height != b.Height || a.Round != b.Round || a.Type != b.Type || a.Height < 1:
		return fmt.Errorf("votes are for different things: %w", errEntry)
	case !bytes.Equal(a.ValidatorAddress, address) || !bytes.Equal(b.ValidatorAddress, address):
		return fmt.Errorf("votes are by different keys: %w", errEntry)
	case a.BlockID.Key() >= b.BlockID.Key():
		return fmt.Errorf("votes do not conflict or are out of order: %w", errEntry)
	case len(a.Extension)+len(b.Extension)+len(a.ExtensionSignature)+len(b.ExtensionSignature) > 0:
		return fmt.Errorf("votes have extensions: %w", errEntry)
	}
	for _, v := range []*types.Vote{a, b} {
		if err := v.Verify(chain, key); err != nil {
			return fmt.Errorf("vote: %w: %w", errEntry, err)
		}
	}
	return nil
}
