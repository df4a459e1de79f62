package ui_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	cmted25519 "github.com/cometbft/cometbft/crypto/ed25519"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	cmtversion "github.com/cometbft/cometbft/proto/tendermint/version"
	"github.com/cometbft/cometbft/types"
	"github.com/cometbft/cometbft/version"

	"souk/consensus/comet"
	"souk/exchange/exchangetest"
	"souk/identity"
	"souk/merkle"
)

// update writes what the page's own tests read, instead of comparing it.
var update = flag.Bool("update", false, "write src/testdata anew")

// current compares a file of vectors for the page with what this program makes of them.
func current(t *testing.T, name string, made any) {
	t.Helper()
	data, err := json.MarshalIndent(made, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	data = append(data, '\n')
	file := filepath.Join("src", "testdata", name)
	if *update {
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	kept, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(kept, data) {
		t.Errorf("%s is not what this program makes: go test ./web/ui -update", file)
	}
}

// header is what a test decides of a light block.
type header struct {
	height  int64
	time    time.Time
	last    types.BlockID
	root    []byte
	set     *types.ValidatorSet
	next    *types.ValidatorSet
	round   int32
	signers []identity.PrivateKey
	chain   string
	// spoil changes the signatures when they are made.
	spoil func([]types.CommitSig)
}

func (h *header) id(hash []byte) types.BlockID {
	parts := sha256.Sum256(hash)
	return types.BlockID{Hash: hash, PartSetHeader: types.PartSetHeader{Total: 1, Hash: parts[:]}}
}

// block makes the light block, and its id, which the next one names.
func (h *header) block(t *testing.T) ([]byte, types.BlockID) {
	t.Helper()
	fill := func(s string) []byte {
		sum := sha256.Sum256([]byte(s))
		return sum[:]
	}
	head := &types.Header{
		Version: cmtversion.Consensus{Block: version.BlockProtocol, App: 1}, ChainID: h.chain, Height: h.height, Time: h.time.UTC(),
		LastBlockID: h.last, LastCommitHash: fill("commit"), DataHash: fill("data"), ValidatorsHash: h.set.Hash(),
		NextValidatorsHash: h.next.Hash(), ConsensusHash: fill("params"), AppHash: h.root, LastResultsHash: fill("results"),
		EvidenceHash: fill("evidence"), ProposerAddress: h.set.Validators[0].Address,
	}
	id := h.id(head.Hash())
	commit := &types.Commit{Height: h.height, Round: h.round, BlockID: id}
	for i, v := range h.set.Validators {
		sig := types.NewCommitSigAbsent()
		for _, k := range h.signers {
			if public := k.Public(); !bytes.Equal(cmted25519.PubKey(public[:]).Address(), v.Address) {
				continue
			}
			vote := &cmtproto.Vote{
				Type: cmtproto.PrecommitType, Height: h.height, Round: h.round, BlockID: id.ToProto(),
				Timestamp: head.Time.Add(time.Duration(i)), ValidatorAddress: v.Address, ValidatorIndex: int32(i),
			}
			seed := k.Seed()
			sig = types.CommitSig{
				BlockIDFlag: types.BlockIDFlagCommit, ValidatorAddress: v.Address, Timestamp: vote.Timestamp,
				Signature: ed25519.Sign(ed25519.NewKeyFromSeed(seed[:]), types.VoteSignBytes(h.chain, vote)),
			}
		}
		commit.Signatures = append(commit.Signatures, sig)
	}
	if h.spoil != nil {
		h.spoil(commit.Signatures)
	}
	b := &types.LightBlock{SignedHeader: &types.SignedHeader{Header: head, Commit: commit}, ValidatorSet: h.set}
	return encodeLight(t, b, h.next), id
}

// encodeLight is a light block as servers answer it (C-60).
func encodeLight(t *testing.T, b *types.LightBlock, next *types.ValidatorSet) []byte {
	t.Helper()
	whole, err := b.ToProto()
	if err != nil {
		t.Fatal(err)
	}
	set, err := next.ToProto()
	if err != nil {
		t.Fatal(err)
	}
	head, err := whole.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	tail, err := set.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	out := append(binary.AppendUvarint(nil, uint64(len(head))), head...)
	return append(binary.AppendUvarint(out, uint64(len(tail))), tail...)
}

func setOf(power func(i int) int64, keys ...identity.PrivateKey) *types.ValidatorSet {
	vs := make([]*types.Validator, len(keys))
	for i, k := range keys {
		public := k.Public()
		vs[i] = types.NewValidator(cmted25519.PubKey(public[:]), power(i))
	}
	return types.NewValidatorSet(vs)
}

func full(int) int64 { return 1_000_000 }

// lightVectors are blocks of one chain, true and forged, and what the light client of the
// servers says of each by each other one.
type lightVectors struct {
	ID     string         `json:"id"`
	Blocks []lightVector  `json:"blocks"`
	Hops   []lightVerdict `json:"hops"`
}

type lightVector struct {
	Name   string `json:"name"`
	Raw    string `json:"raw"`
	Height int64  `json:"height"`
	Time   int64  `json:"time"` // ms
	Root   string `json:"root"`
	Hash   string `json:"hash"`
}

type lightVerdict struct {
	From int    `json:"from"` // index of the trusted block
	To   int    `json:"to"`
	Now  int64  `json:"now"`  // ms
	Says string `json:"says"` // good, expired, refused
}

// people are the members of the chain of TestLightVectors, who change one by one.
var people = []string{"alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi"}

func membersAt(height int64) []identity.PrivateKey {
	first := int(min(height-1, 11) / 3)
	var keys []identity.PrivateKey
	for _, name := range people[first : first+4] {
		keys = append(keys, exchangetest.Key(name))
	}
	return keys
}

// lightChain makes the blocks: 12 of a chain whose members change every three blocks, and
// forgeries of it.
func lightChain(t *testing.T, id merkle.Hash) (blocks []lightVector) {
	start := time.Date(2027, 1, 15, 8, 0, 0, 123456789, time.UTC)
	last := types.BlockID{}
	var before []types.BlockID
	add := func(name string, h header) types.BlockID {
		h.chain = comet.ChainID(id)
		if h.time.IsZero() {
			h.time = start.Add(time.Duration(h.height) * time.Hour)
		}
		if h.set == nil {
			h.set, h.next = setOf(full, membersAt(h.height)...), setOf(full, membersAt(h.height+1)...)
		}
		if h.root == nil {
			root := sha256.Sum256(fmt.Appendf(nil, "root %d", h.height))
			h.root = root[:]
		}
		raw, id := h.block(t)
		blocks = append(blocks, lightVector{
			Name: name, Raw: hex.EncodeToString(raw), Height: h.height, Time: h.time.UnixMilli(), Root: hex.EncodeToString(h.root), Hash: hex.EncodeToString(id.Hash),
		})
		return id
	}
	for height := int64(1); height <= 12; height++ {
		before = append(before, last)
		last = add(fmt.Sprintf("block %d", height), header{height: height, last: last, signers: membersAt(height)})
	}
	false7, bad := sha256.Sum256([]byte("forged root")), membersAt(7)
	add("7 signed by half", header{height: 7, last: before[6], signers: bad[:2]})
	add("7 signed by three, in round 2", header{height: 7, last: before[6], signers: bad[1:], round: 2})
	add("7 of another root, signed by all", header{height: 7, last: before[6], root: false7[:], signers: bad})
	add("7 of another root, signed by half", header{height: 7, last: before[6], root: false7[:], signers: bad[:2]})
	add("7 of members who left", header{
		height: 7, last: before[6], root: false7[:], signers: membersAt(1), set: setOf(full, membersAt(1)...), next: setOf(full, membersAt(1)...),
	})
	add("7 of strangers", header{
		height: 7, last: before[6], signers: membersAt(13), set: setOf(full, membersAt(13)...), next: setOf(full, membersAt(13)...),
	})
	add("7 with a wrong signature", header{height: 7, last: before[6], signers: bad, spoil: func(s []types.CommitSig) { s[1].Signature[5] ^= 1 }})
	add("7 with a signature at another's place", header{height: 7, last: before[6], signers: bad, spoil: func(s []types.CommitSig) { s[0], s[1] = s[1], s[0] }})
	add("7 voted against", header{height: 7, last: before[6], signers: bad, spoil: func(s []types.CommitSig) {
		s[0].BlockIDFlag, s[1].BlockIDFlag = types.BlockIDFlagNil, types.BlockIDFlagNil
	}})
	add("7 before its time", header{height: 7, last: before[6], signers: bad, time: start.Add(time.Minute)})
	add("7 from the future", header{height: 7, last: before[6], signers: bad, time: start.Add(60 * 24 * time.Hour)})
	add("7 with unequal powers", header{
		height: 7, last: before[6], signers: bad[:1], set: setOf(func(i int) int64 { return []int64{9, 1, 1, 1}[i] }, bad...), next: setOf(full, membersAt(8)...),
	})
	three := membersAt(7)[:3]
	add("7 with exactly two thirds", header{height: 7, last: before[6], signers: three[:2], set: setOf(full, three...), next: setOf(full, membersAt(8)...)})
	return blocks
}

// The page reads light blocks and judges them as the servers' own light client does (C-60, C-61).
func TestLightVectors(t *testing.T) {
	id := merkle.Hash(sha256.Sum256([]byte("the page's light vectors")))
	v := lightVectors{ID: hex.EncodeToString(id[:]), Blocks: lightChain(t, id)}
	raw := make([][]byte, len(v.Blocks))
	for i := range v.Blocks {
		raw[i], _ = hex.DecodeString(v.Blocks[i].Raw)
	}
	const hour = int64(time.Hour / time.Millisecond)
	count := map[string]int{}
	for from := range 12 {
		for to := range v.Blocks {
			for _, now := range []int64{v.Blocks[11].Time + hour, v.Blocks[from].Time + 14*24*hour, v.Blocks[to].Time - 10_000} {
				verified, err := comet.VerifyLight(id, raw[from], raw[to], time.UnixMilli(now).Add(456789*time.Nanosecond))
				verdict := lightVerdict{From: from, To: to, Now: now, Says: "refused"}
				switch {
				case err == nil:
					verdict.Says = "good"
					if b := &v.Blocks[to]; hex.EncodeToString(verified.Root[:]) != b.Root || hex.EncodeToString(verified.Hash[:]) != b.Hash {
						t.Fatalf("%s is not what was made", b.Name)
					}
				case errors.Is(err, comet.ErrExpired):
					verdict.Says = "expired"
				case errors.Is(err, comet.ErrLightBlock):
					t.Fatalf("%s cannot be read: %v", v.Blocks[to].Name, err)
				}
				count[verdict.Says]++
				v.Hops = append(v.Hops, verdict)
			}
		}
	}
	if count["good"] < 20 || count["expired"] < 20 || count["refused"] < 100 {
		t.Errorf("verdicts are one-sided: %v", count)
	}
	current(t, "light.json", v)
}
