package script_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"github.com/btcsuite/btcd/address/v2"
	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"souk/asset"
	"souk/script"
)

// vault is testdata/vault.json.
type vault struct {
	Keys           []string
	K              uint8
	Script, Output string
	Spends         []struct {
		Network, Address string
		Coin             struct {
			At     script.Outpoint
			Amount asset.Amount
		}
		Outputs []struct {
			Address, Script string
			Amount          asset.Amount
		}
		Raw    string
		TxID   script.Hash
		Weight uint64
	}
}

func readVault(tb testing.TB) *vault {
	tb.Helper()
	var v vault
	vectors(tb, "vault.json", &v)
	if len(v.Keys) != 4 || len(v.Spends) != 2 {
		tb.Fatal("the recorded vault is incomplete")
	}
	return &v
}

func publicKeys(tb testing.TB, texts []string) [][33]byte {
	tb.Helper()
	var keys [][33]byte
	for _, s := range texts {
		keys = append(keys, [33]byte(unhex(tb, s)))
	}
	return keys
}

// fataler is a test of any kind.
type fataler interface {
	Helper()
	Fatal(args ...any)
}

// member returns a member's key, the same for the same number.
func member(tb fataler, number uint32) script.MemberKey {
	tb.Helper()
	if k, ok := made[number]; ok {
		return k
	}
	seed := sha256.Sum256(binary.BigEndian.AppendUint32([]byte("member"), number))
	k, err := script.NewPrivateMemberKey(seed[:])
	if err != nil {
		tb.Fatal(err)
	}
	made[number] = k.Public()
	return made[number]
}

// made keeps what member returns: making keys is slow under the race detector.
var made = map[uint32]script.MemberKey{}

func members(tb fataler, from, n uint32) []script.MemberKey {
	tb.Helper()
	var list []script.MemberKey
	for i := range n {
		list = append(list, member(tb, from+i))
	}
	return list
}

// the vectors of BIP-67.
func TestScriptsBIP67(t *testing.T) {
	var file struct {
		Vectors []struct {
			K               uint8
			Keys            []string
			Script, Address string
		}
	}
	vectors(t, "bip67.json", &file)
	if len(file.Vectors) != 4 {
		t.Fatalf("%d vectors", len(file.Vectors))
	}
	for _, v := range file.Vectors {
		keys := publicKeys(t, v.Keys)
		before := slices.Clone(keys)
		got := script.Multisig(v.K, keys)
		if !bytes.Equal(got, unhex(t, v.Script)) {
			t.Errorf("script %x, want %s", got, v.Script)
		}
		if !slices.Equal(keys, before) {
			t.Error("the keys were sorted in place")
		}
		hash := address.Hash160(got)
		a, err := network(t, "bitcoin").Address(slices.Concat([]byte{0xa9, 20}, hash, []byte{0x87}))
		if err != nil || a != v.Address {
			t.Errorf("address %s, %v; want %s", a, err, v.Address)
		}
	}
}

// the vault that nodes were paid to and spent from.
func TestRecordedVault(t *testing.T) {
	v := readVault(t)
	got := script.Multisig(v.K, publicKeys(t, v.Keys))
	if !bytes.Equal(got, unhex(t, v.Script)) {
		t.Errorf("script %x, want %s", got, v.Script)
	}
	if out := script.WitnessOutput(got); !bytes.Equal(out, unhex(t, v.Output)) {
		t.Errorf("output %x, want %s", out, v.Output)
	}
}

// a series derives the children of its keys, sorts them, and pays to the script.
func TestSeries(t *testing.T) {
	s := &script.Series{K: 3, Keys: members(t, 0, 4)}
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
	index, ok := script.ChangeIndex(3, 9)
	if !ok || index != 3<<24|9 {
		t.Fatalf("index %d, %v", index, ok)
	}
	d, err := s.Derive(script.Change, index)
	if err != nil {
		t.Fatal(err)
	}
	var keys [][33]byte
	var theirs []*address.AddressPubKey
	for _, k := range s.Keys {
		for _, i := range []uint32{script.Change, index} {
			if k, err = k.Child(i); err != nil {
				t.Fatal(err)
			}
		}
		keys = append(keys, k.Key)
	}
	if diff := cmp.Diff(keys, d.Keys); diff != "" || d.Recovery != nil {
		t.Errorf("keys in the order of members: %s", diff)
	}
	slices.SortFunc(keys, func(a, b [33]byte) int { return bytes.Compare(a[:], b[:]) })
	for i := range keys {
		a, err := address.NewAddressPubKey(keys[i][:], &chaincfg.RegressionNetParams)
		if err != nil {
			t.Fatal(err)
		}
		theirs = append(theirs, a)
	}
	want, err := txscript.MultiSigScript(theirs, 3)
	if err != nil || !bytes.Equal(d.Script, want) {
		t.Errorf("script %x, btcd makes %x, %v", d.Script, want, err)
	}
	got, err := s.WitnessScript(script.Change, index)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("script %x, %v", got, err)
	}
	hash := sha256.Sum256(want)
	out, err := s.Output(script.Change, index)
	if err != nil || !bytes.Equal(out, append([]byte{0, 32}, hash[:]...)) || !bytes.Equal(out, d.Output()) {
		t.Errorf("output %x, %v", out, err)
	}
	// Neither branch, index nor order of members may be lost.
	reversed := &script.Series{K: 3, Keys: slices.Clone(s.Keys)}
	slices.Reverse(reversed.Keys)
	if again, err := reversed.Output(script.Change, index); err != nil || !bytes.Equal(again, out) {
		t.Errorf("the order of members changes the output: %x, %v", again, err)
	}
	for _, at := range [][2]uint32{{script.Deposits, index}, {script.Change, index + 1}} {
		if other, err := s.Output(at[0], at[1]); err != nil || bytes.Equal(other, out) {
			t.Errorf("%v has the same output, %v", at, err)
		}
	}
	for _, at := range [][2]uint32{{script.Hardened, 0}, {0, script.Hardened}} {
		if _, err := s.Output(at[0], at[1]); !errors.Is(err, script.ErrKey) {
			t.Errorf("%v: %v", at, err)
		}
	}
	if _, ok := script.ChangeIndex(128, 0); ok {
		t.Error("a wallet above 127 has an index")
	}
	if _, ok := script.ChangeIndex(0, 1<<24); ok {
		t.Error("a number of 2^24 has an index")
	}
}

// the script of a recovery is what btcd's builder makes, for every lock.
func TestRecoveryScript(t *testing.T) {
	for _, c := range []struct {
		blocks, intervals, sequence, opens uint32
	}{
		{1, 0, 1, 1},
		{16, 0, 16, 16},
		{17, 0, 17, 17},
		{127, 0, 127, 127},
		{128, 0, 128, 128},
		{26_208, 0, 26_208, 26_208},
		{0x7fff, 0, 0x7fff, 0x7fff},
		{0x8000, 0, 0x8000, 0x8000},
		{0xffff, 0, 0xffff, 0xffff},
		{0, 1, 1<<22 | 1, 0},
		{0, script.RecoveryIntervals, 1<<22 | 30_713, 26_208},
		{0, 0xffff, 1<<22 | 0xffff, 55_923},
	} {
		s := &script.Series{K: 11, Keys: members(t, 0, 15), Recovery: &script.Recovery{
			K: 2, Keys: members(t, 100, 3), Blocks: c.blocks, Intervals: c.intervals,
		}}
		if err := s.Check(); err != nil {
			t.Fatal(err)
		}
		if got := s.Recovery.Sequence(); got != c.sequence {
			t.Errorf("sequence %d, want %d", got, c.sequence)
		}
		if got := s.Recovery.Opens(network(t, "bitcoin")); got != c.opens {
			t.Errorf("opens after %d blocks, want %d", got, c.opens)
		}
		d, err := s.Derive(1, 5)
		if err != nil {
			t.Fatal(err)
		}
		b := txscript.NewScriptBuilder().AddOp(txscript.OP_IF).AddOps(script.Multisig(11, d.Keys)).AddOp(txscript.OP_ELSE).
			AddInt64(int64(c.sequence)).AddOp(txscript.OP_CHECKSEQUENCEVERIFY).AddOp(txscript.OP_DROP).
			AddOps(script.Multisig(2, d.Recovery)).AddOp(txscript.OP_ENDIF)
		if want, err := b.Script(); err != nil || !bytes.Equal(d.Script, want) {
			t.Errorf("%d, %d: script %x, btcd builds %x, %v", c.blocks, c.intervals, d.Script, want, err)
		}
	}
	if got := (&script.Recovery{Intervals: script.RecoveryIntervals}).Opens(network(t, "litecoin")); got != 104_833 {
		t.Errorf("26 weeks of Litecoin are %d blocks", got)
	}
}

// what is not a series.
func TestSeriesCheck(t *testing.T) {
	with := func(change func(s *script.Series)) *script.Series {
		s := &script.Series{K: 3, Keys: members(t, 0, 4), Recovery: &script.Recovery{K: 2, Keys: members(t, 10, 3), Blocks: 100}}
		change(s)
		return s
	}
	if err := with(func(*script.Series) {}).Check(); err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]*script.Series{
		"no threshold":            with(func(s *script.Series) { s.K = 0 }),
		"threshold above n":       with(func(s *script.Series) { s.K = 5 }),
		"no keys":                 with(func(s *script.Series) { s.Keys = nil }),
		"too many keys":           with(func(s *script.Series) { s.Keys = members(t, 20, 16) }),
		"a key twice":             with(func(s *script.Series) { s.Keys[3] = s.Keys[0] }),
		"a member's key recovers": with(func(s *script.Series) { s.Recovery.Keys[2] = s.Keys[0] }),
		"no key":                  with(func(s *script.Series) { s.Keys[1] = script.MemberKey{} }),
		"no recovery threshold":   with(func(s *script.Series) { s.Recovery.K = 0 }),
		"no recovery keys":        with(func(s *script.Series) { s.Recovery.Keys = nil }),
		"no lock":                 with(func(s *script.Series) { s.Recovery.Blocks = 0 }),
		"two locks":               with(func(s *script.Series) { s.Recovery.Intervals = 1 }),
		"a lock too long":         with(func(s *script.Series) { s.Recovery.Blocks = 1 << 16 }),
		"intervals too long":      with(func(s *script.Series) { s.Recovery.Blocks, s.Recovery.Intervals = 0, 1<<16 }),
	} {
		if err := s.Check(); !errors.Is(err, script.ErrSeries) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := script.ParseSeries(s.AppendTo(nil)); err == nil && name != "two locks" { // which has no encoding
			t.Errorf("%s can be read", name)
		}
	}
}

// the largest series keeps to what nodes relay.
func TestSeriesIsStandard(t *testing.T) {
	s := &script.Series{K: 15, Keys: members(t, 0, 15), Recovery: &script.Recovery{K: 15, Keys: members(t, 20, 15), Intervals: script.MaxLock}}
	b, err := s.WitnessScript(1, 1)
	if err != nil {
		t.Fatal(err)
	}
	if len(b) > 3600 || int(s.K)+3 > 100 {
		t.Errorf("script of %d bytes", len(b))
	}
	// Nodes count 20 units of weight for each key that a script may check.
	if sigops := uint64(len(s.Keys) + len(s.Recovery.Keys)); s.InputWeight(true) < 20*sigops {
		t.Errorf("weight %d for %d keys", s.InputWeight(true), sigops)
	}
}

// drawSeries draws a series, with a recovery or without.
func drawSeries(t *rapid.T) *script.Series {
	draw := func(from uint32) (k uint8, keys []script.MemberKey) {
		n := rapid.IntRange(1, script.MaxKeys).Draw(t, "n")
		return uint8(rapid.IntRange(1, n).Draw(t, "k")), members(t, from, uint32(n))
	}
	s := &script.Series{}
	s.K, s.Keys = draw(0)
	if rapid.Bool().Draw(t, "recovery") {
		s.Recovery = &script.Recovery{}
		s.Recovery.K, s.Recovery.Keys = draw(100)
		lock := rapid.Uint32Range(1, script.MaxLock).Draw(t, "lock")
		if rapid.Bool().Draw(t, "blocks") {
			s.Recovery.Blocks = lock
		} else {
			s.Recovery.Intervals = lock
		}
	}
	return s
}

// a series has one encoding.
func TestSeriesEncoding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSeries(t)
		b := s.AppendTo([]byte{1, 2})[2:]
		got, err := script.ParseSeries(b)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(s, got); diff != "" {
			t.Fatal(diff)
		}
		if _, err := script.ParseSeries(append(b, 0)); !errors.Is(err, script.ErrSyntax) {
			t.Fatalf("trailing byte: %v", err)
		}
		if _, err := script.ParseSeries(b[:len(b)-1]); !errors.Is(err, script.ErrSyntax) {
			t.Fatalf("last byte missing: %v", err)
		}
	})
}

func FuzzParseSeries(f *testing.F) {
	f.Add([]byte{})
	f.Add((&script.Series{K: 1, Keys: members(f, 0, 1)}).AppendTo(nil))
	f.Add((&script.Series{K: 2, Keys: members(f, 0, 3), Recovery: &script.Recovery{K: 1, Keys: members(f, 9, 2), Intervals: 7}}).AppendTo(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := script.ParseSeries(b)
		if err != nil {
			return
		}
		if !bytes.Equal(s.AppendTo(nil), b) {
			t.Fatalf("%x is read, and written as %x", b, s.AppendTo(nil))
		}
		if _, err := s.Output(0, 0); err != nil {
			t.Fatal(err)
		}
	})
}

func BenchmarkOutput(b *testing.B) {
	s := &script.Series{K: 3, Keys: members(b, 0, 4)}
	b.Run("series", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.Output(1, 1); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("branch", func(b *testing.B) {
		branch, err := s.Branch(1)
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			if _, err := branch.Derive(1); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// The points of the vectors above are checked where keys come in.
func TestMemberKeyIsAPoint(t *testing.T) {
	k := member(t, 0)
	if _, err := btcec.ParsePubKey(k.Key[:]); err != nil {
		t.Fatal(err)
	}
	k.Key[0] = 4
	if err := k.Check(); !errors.Is(err, script.ErrKey) {
		t.Errorf("a key with another first byte: %v", err)
	}
}
