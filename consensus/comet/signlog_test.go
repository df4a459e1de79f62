package comet_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"testing"

	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"

	"souk/consensus/comet"
)

// logBytes is a sign log's file in memory.
type logBytes []byte

func (l logBytes) ReadAt(p []byte, at int64) (int, error) {
	if at >= int64(len(l)) {
		return 0, io.EOF
	}
	return copy(p, l[at:]), nil
}

func (l logBytes) WriteAt(p []byte, at int64) (int, error) { return copy(l[at:], p), nil }

func (logBytes) Sync() error { return nil }

func (logBytes) Close() error { return nil }

// FuzzSignLog reads records of signatures with slots that a fuzzer makes up, on request with
// a sum that fits. A record is refused as damaged, or its key signs nothing again that
// it holds (C-40, C-42).
func FuzzSignLog(f *testing.F) {
	good := make(logBytes, comet.SignLogSize)
	s, err := comet.SignerOn(good, key)
	if err != nil {
		f.Fatal(err)
	}
	const slot = 4096
	for height := range int64(3) {
		if err := s.SignVote(chain, vote(height+1, 0, cmtproto.PrevoteType, 1, 100)); err != nil {
			f.Fatal(err)
		}
	}
	f.Add([]byte{}, uint8(4), false)
	for i := 1; i <= 3; i++ {
		f.Add(bytes.TrimRight(good[i*slot:(i+1)*slot-1], "\x00"), uint8(i), false)
		f.Add(bytes.Clone(good[i*slot:i*slot+slot/8]), uint8(i), true)
	}
	f.Fuzz(func(t *testing.T, page []byte, at uint8, sealed bool) {
		file := bytes.Clone(good)
		here := file[int(at)%16*slot:][:slot]
		clear(here)
		copy(here, page)
		if sealed {
			if end := 31 + int(binary.BigEndian.Uint16(here[29:])) + 64; end+sha256.Size <= slot {
				sum := sha256.Sum256(here[:end])
				copy(here[end:], sum[:])
			}
		}
		s, err := comet.SignerOn(logBytes(file), key)
		if err != nil {
			if !errors.Is(err, comet.ErrSignLog) {
				t.Fatal(err)
			}
			return
		}
		// A vote for another block than the newest that is untouched.
		last := int64(3)
		if int(at)%16 == 3 {
			last = 2
		}
		if err := s.SignVote(chain, vote(last, 0, cmtproto.PrevoteType, 2, 100)); err == nil {
			t.Fatalf("a second vote at height %d", last)
		}
		if err := s.SignVote(chain, vote(1<<40, 0, cmtproto.PrecommitType, 1, 100)); err == nil {
			if s, err = comet.SignerOn(logBytes(file), key); err != nil {
				t.Fatalf("what it has written is damaged: %v", err)
			}
			if err := s.SignVote(chain, vote(1<<40, 0, cmtproto.PrecommitType, 2, 100)); err == nil {
				t.Fatal("a second vote")
			}
		}
	})
}
