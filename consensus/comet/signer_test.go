package comet_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	"github.com/cometbft/cometbft/types"
	"pgregory.net/rapid"

	"souk/consensus/comet"
)

const chain = "souk-test"

var key = testKey("signer")

func vote(height int64, round int32, kind cmtproto.SignedMsgType, block byte, at int64) *cmtproto.Vote {
	v := &cmtproto.Vote{Type: kind, Height: height, Round: round, Timestamp: time.Unix(at, 0).UTC()}
	if block != 0 {
		hash := bytes.Repeat([]byte{block}, 32)
		v.BlockID = cmtproto.BlockID{Hash: hash, PartSetHeader: cmtproto.PartSetHeader{Total: 1, Hash: hash}}
	}
	return v
}

func proposal(height int64, round int32, block byte, at int64) *cmtproto.Proposal {
	hash := bytes.Repeat([]byte{block}, 32)
	return &cmtproto.Proposal{
		Type: cmtproto.ProposalType, Height: height, Round: round, PolRound: -1, Timestamp: time.Unix(at, 0).UTC(),
		BlockID: cmtproto.BlockID{Hash: hash, PartSetHeader: cmtproto.PartSetHeader{Total: 1, Hash: hash}},
	}
}

// C-40, C-41, C-42.
func TestSignerOrder(t *testing.T) {
	dir := t.TempDir()
	s, err := comet.OpenSigner(dir, key)
	if err != nil {
		t.Fatal(err)
	}
	first := vote(5, 1, cmtproto.PrevoteType, 1, 100)
	if err := s.SignVote(chain, first); err != nil {
		t.Fatal(err)
	}
	check := func(name string, want bool, err error) {
		t.Helper()
		if (err == nil) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
	same := func(name string) {
		t.Helper()
		again := vote(5, 1, cmtproto.PrevoteType, 1, 200)
		check(name, true, s.SignVote(chain, again))
		if !again.Timestamp.Equal(first.Timestamp) || !bytes.Equal(again.Signature, first.Signature) {
			t.Errorf("%s: other time or signature", name)
		}
	}
	same("the same vote later")
	check("another block", false, s.SignVote(chain, vote(5, 1, cmtproto.PrevoteType, 2, 100)))
	check("nil", false, s.SignVote(chain, vote(5, 1, cmtproto.PrevoteType, 0, 100)))
	check("proposal of the same round", false, s.SignProposal(chain, proposal(5, 1, 1, 100)))
	check("older round", false, s.SignVote(chain, vote(5, 0, cmtproto.PrecommitType, 1, 100)))
	check("older height", false, s.SignVote(chain, vote(4, 9, cmtproto.PrecommitType, 1, 100)))
	check("another chain", false, s.SignVote("other", vote(5, 1, cmtproto.PrevoteType, 1, 100)))
	check("no vote", false, s.SignVote(chain, vote(6, 0, cmtproto.ProposalType, 1, 100)))
	same("after refusals")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	check("when closed", false, s.SignVote(chain, vote(6, 0, cmtproto.PrevoteType, 1, 100)))
	if s, err = comet.OpenSigner(dir, key); err != nil {
		t.Fatal(err)
	}
	same("after restart")
	check("older height after restart", false, s.SignVote(chain, vote(4, 9, cmtproto.PrecommitType, 1, 100)))
	check("precommit", true, s.SignVote(chain, vote(5, 1, cmtproto.PrecommitType, 1, 100)))
	p := proposal(6, 0, 1, 100)
	check("proposal", true, s.SignProposal(chain, p))
	again := proposal(6, 0, 1, 200)
	check("the same proposal", true, s.SignProposal(chain, again))
	if !bytes.Equal(p.Signature, again.Signature) || !again.Timestamp.Equal(p.Timestamp) {
		t.Error("proposal signed twice")
	}
	check("another proposal", false, s.SignProposal(chain, proposal(6, 0, 2, 100)))
	public, err := s.GetPubKey()
	if err != nil || !public.VerifySignature(types.ProposalSignBytes(chain, again), again.Signature) {
		t.Error("signature does not verify")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// C-43.
func TestSignerLock(t *testing.T) {
	dir := t.TempDir()
	s, err := comet.OpenSigner(dir, key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := comet.OpenSigner(dir, key); !errors.Is(err, comet.ErrKeyInUse) {
		t.Errorf("opened twice: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = comet.OpenSigner(dir, key); err != nil {
		t.Fatal(err)
	}
	_ = s.Close()
}

// C-44.
func TestSignerDamage(t *testing.T) {
	file := func(dir string) string { return filepath.Join(dir, key.Public().String()[:16]+".signed") }
	fill := func(t *testing.T, n int) string {
		dir := t.TempDir()
		s, err := comet.OpenSigner(dir, key)
		if err != nil {
			t.Fatal(err)
		}
		for i := range n {
			if err := s.SignVote(chain, vote(int64(i+1), 0, cmtproto.PrevoteType, 1, 1)); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	flip := func(t *testing.T, dir string, at int64) {
		f, err := os.OpenFile(file(dir), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = f.Close() }()
		b := make([]byte, 1)
		_, _ = f.ReadAt(b, at)
		b[0] ^= 0x40
		_, _ = f.WriteAt(b, at)
	}
	const slot = 4096
	for _, c := range []struct {
		name  string
		n     int
		spoil func(t *testing.T, dir string)
		ok    bool
	}{
		{"one of the middle", 20, func(t *testing.T, dir string) { flip(t, dir, 18%16*slot+40) }, false},
		{"the one to be written next", 20, func(t *testing.T, dir string) { flip(t, dir, 21%16*slot+40) }, true},
		{"the newest, as if never finished", 3, func(t *testing.T, dir string) { flip(t, dir, 3*slot+40) }, true},
		{"the magic of an old one", 20, func(t *testing.T, dir string) { flip(t, dir, 10*slot) }, false},
		{"cut short", 20, func(t *testing.T, dir string) {
			if err := os.Truncate(file(dir), 5*slot); err != nil {
				t.Fatal(err)
			}
		}, false},
		{"cut to nothing signed yet", 0, func(t *testing.T, dir string) {
			if err := os.Truncate(file(dir), 5*slot); err != nil {
				t.Fatal(err)
			}
		}, true},
		{"too long", 1, func(t *testing.T, dir string) {
			if err := os.Truncate(file(dir), 100*slot); err != nil {
				t.Fatal(err)
			}
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := fill(t, c.n)
			c.spoil(t, dir)
			s, err := comet.OpenSigner(dir, key)
			if (err == nil) != c.ok || err != nil && !errors.Is(err, comet.ErrSignLog) {
				t.Errorf("opened: %v", err)
			}
			if err == nil {
				_ = s.Close()
			}
		})
	}
}

var errCrash = errors.New("crash")

// crashFile is a file on a disk that may lose power: what was not synced is then
// there, or not, or there in part.
type crashFile struct {
	t       *rapid.T
	durable []byte
	page    []byte // written and not synced
	at      int64
	crash   string // where the next write stops: "", "write", "sync" or "after"
	dead    bool
}

func (f *crashFile) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > int64(len(f.durable)) {
		return 0, io.EOF
	}
	return copy(p, f.durable[off:]), nil
}

func (f *crashFile) WriteAt(p []byte, off int64) (int, error) {
	if f.dead {
		return 0, errCrash
	}
	f.page, f.at = bytes.Clone(p), off
	if f.crash == "write" {
		f.lose()
		return 0, errCrash
	}
	return len(p), nil
}

func (f *crashFile) Sync() error {
	if f.dead {
		return errCrash
	}
	if f.crash == "sync" {
		f.lose()
		return errCrash
	}
	copy(f.durable[f.at:], f.page)
	f.page = nil
	if f.crash == "after" {
		f.dead = true
		return errCrash
	}
	return nil
}

// lose loses power: of every sector that was being written, the new or the old
// content survives, or garbage.
func (f *crashFile) lose() {
	f.dead = true
	const sector = 512
	for at := 0; at < len(f.page); at += sector {
		old := f.durable[f.at+int64(at):][:sector]
		switch rapid.IntRange(0, 2).Draw(f.t, "sector") {
		case 0:
		case 1:
			copy(old, f.page[at:])
		case 2:
			copy(old, bytes.Repeat([]byte{0xa5}, sector))
		}
	}
}

func (*crashFile) Close() error { return nil }

// C-40: whatever is asked for and whenever the power fails, no height, round and
// step gets two signatures of different things.
func TestSignerCrashes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		file := &crashFile{t: t, durable: make([]byte, comet.SignLogSize)}
		signed := make(map[string]string)
		s, err := comet.SignerOn(file, key)
		if err != nil {
			t.Fatal(err)
		}
		height, round := int64(1), int32(0)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch rapid.IntRange(0, 9).Draw(t, "move") {
			case 0, 1:
				height, round = height+1, 0
			case 2:
				round++
			case 3:
				height = max(1, height-1)
			case 4:
				round = max(0, round-1)
			}
			file.crash = rapid.SampledFrom([]string{"", "", "", "", "write", "sync", "after"}).Draw(t, "crash")
			block := byte(rapid.IntRange(1, 3).Draw(t, "block"))
			at := int64(rapid.IntRange(1, 3).Draw(t, "time"))
			var name, bytes string
			var err error
			switch step := rapid.IntRange(1, 3).Draw(t, "step"); step {
			case 1:
				p := proposal(height, round, block, at)
				err = s.SignProposal(chain, p)
				name, bytes = fmt.Sprint(height, round, step), string(types.ProposalSignBytes(chain, p))
			default:
				v := vote(height, round, cmtproto.SignedMsgType(step-1), block, at)
				err = s.SignVote(chain, v)
				name, bytes = fmt.Sprint(height, round, step), string(types.VoteSignBytes(chain, v))
			}
			if err == nil {
				if before, ok := signed[name]; ok && before != bytes {
					t.Fatalf("%s signed twice", name)
				}
				signed[name] = bytes
			}
			if file.dead {
				file.dead, file.page, file.crash = false, nil, ""
				if s, err = comet.SignerOn(file, key); err != nil {
					t.Fatalf("after a crash: %v", err)
				}
			}
		}
	})
}
