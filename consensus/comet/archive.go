package comet

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/cometbft/cometbft/types"
)

// archiveAge is how long all light blocks at which validators changed are kept: a
// client's trust is worth nothing after half of it. Of older ones those are kept that
// a proof from the founding needs.
const archiveAge = 2 * TrustPeriod

// archivePrefix begins the keys under which light blocks are archived, in the
// state store's database; the height follows, big-endian.
const archivePrefix = "soukLight:"

func archiveKey(height int64) []byte {
	return binary.BigEndian.AppendUint64([]byte(archivePrefix), uint64(height))
}

// build makes the light block of a height whose block is here.
func (s *stores) build(h int64) (*lightBlock, error) {
	meta, commit := s.blocks.LoadBlockMeta(h), s.blocks.LoadBlockCommit(h)
	if commit == nil {
		commit = s.blocks.LoadSeenCommit(h)
	}
	if meta == nil || commit == nil {
		return nil, fmt.Errorf("height %d: %w", h, ErrNoBlock)
	}
	set, err := s.state.LoadValidators(h)
	if err != nil {
		return nil, fmt.Errorf("height %d: %w: %w", h, ErrNoBlock, err)
	}
	next, err := s.state.LoadValidators(h + 1)
	if err != nil {
		return nil, fmt.Errorf("height %d: %w: %w", h, ErrNoBlock, err)
	}
	return &lightBlock{
		LightBlock: &types.LightBlock{
			SignedHeader: &types.SignedHeader{Header: &meta.Header, Commit: commit}, ValidatorSet: set,
		},
		next: next,
	}, nil
}

// archive keeps the light blocks on both sides of a change of validators, and the
// first block's, when the blocks themselves are forgotten: by them a client gets
// from any height of the trust period to the newest, and a proof from the founding. height is the newest block's.
func (s *stores) archive(height int64) error {
	before, now := s.state.recent(height-1), s.state.recent(height)
	switch {
	case height == 1:
		return s.archiveOne(1)
	case before == nil || now == nil || string(before.Hash()) == string(now.Hash()):
		return nil
	}
	for _, h := range []int64{height - 1, height} {
		if err := s.archiveOne(h); err != nil {
			return err
		}
	}
	return s.thin(time.Now().Add(-archiveAge))
}

func (s *stores) archiveOne(height int64) error {
	b, err := s.build(height)
	if err != nil {
		return nil //nolint:nilerr // the server began above it, from a snapshot: others have it
	}
	raw, err := b.encode()
	if err != nil {
		return err
	}
	if err := s.state.db.Set(archiveKey(height), raw); err != nil {
		return fmt.Errorf("archive light block %d: %w", height, err)
	}
	return nil
}

// archived returns the light block with the greatest height at or below one.
func (s *stores) archived(height int64) ([]byte, error) {
	it, err := s.state.db.ReverseIterator(archiveKey(0), archiveKey(height+1))
	if err != nil {
		return nil, fmt.Errorf("archive: %w", err)
	}
	defer func() { _ = it.Close() }()
	if !it.Valid() {
		return nil, fmt.Errorf("height %d: %w", height, ErrNoBlock)
	}
	return append([]byte(nil), it.Value()...), nil
}

// thinnedKey holds the height of the archived light block up to which old ones were
// looked through.
const thinnedKey = "soukThinned"

// thin removes, of what was archived before a time, whatever a proof can do without
// (C-90): light blocks between two of which the second is signed by those whom the
// first names. What is left leads from the founding to today for ever.
func (s *stores) thin(before time.Time) error {
	from, err := s.state.db.Get([]byte(thinnedKey))
	if err != nil {
		return fmt.Errorf("archive: %w", err)
	}
	if len(from) != 8 {
		from = make([]byte, 8)
	}
	it, err := s.state.db.Iterator(append([]byte(archivePrefix), from...), archiveKey(1<<62))
	if err != nil {
		return fmt.Errorf("archive: %w", err)
	}
	defer func() { _ = it.Close() }()
	chain := s.state.newest().ChainID
	var kept, last *lightBlock
	for ; it.Valid(); it.Next() {
		b, err := decodeLightBlock(chain, it.Value())
		if err != nil {
			return fmt.Errorf("archive: %w", err)
		}
		if !b.Time.Before(before) {
			break
		}
		switch {
		case kept == nil:
			kept = b
			continue
		case last == nil:
		case needless(chain, kept, b):
			if err := s.state.db.Delete(archiveKey(last.Height)); err != nil {
				return fmt.Errorf("archive: %w", err)
			}
		default:
			kept = last
		}
		last = b
	}
	if kept == nil {
		return nil
	}
	return s.state.db.Set([]byte(thinnedKey), binary.BigEndian.AppendUint64(nil, uint64(kept.Height)))
}

// needless tells whether a proof gets from one light block to another without any between.
func needless(chain string, from, to *lightBlock) bool {
	_, err := link{from.Height, from.next}.step(chain, to)
	return err == nil
}
