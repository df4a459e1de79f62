package threshold_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/ecdsa"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"souk/asset"
	"souk/script"
	"souk/threshold"
)

func unhex(tb testing.TB, s string) []byte {
	tb.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// key returns a member's private key, the same for the same number.
func key(number int) script.PrivateMemberKey {
	k, ok := made[number]
	if !ok {
		seed := sha256.Sum256(binary.BigEndian.AppendUint32([]byte("member"), uint32(number)))
		k = must(script.NewPrivateMemberKey(seed[:]))
		made[number] = k
	}
	return k
}

// made keeps what key returns: making keys is slow under the race detector.
var made = map[int]script.PrivateMemberKey{}

func publics(list []script.PrivateMemberKey) []script.MemberKey {
	var public []script.MemberKey
	for _, k := range list {
		public = append(public, k.Public())
	}
	return public
}

func keys(from, n int) []script.PrivateMemberKey {
	var list []script.PrivateMemberKey
	for i := range n {
		list = append(list, key(from+i))
	}
	return list
}

func network(name string) *script.Network {
	n, ok := script.ByName(name)
	if !ok {
		panic(name)
	}
	return n
}

// P-11, P-12, P-15: the spends that Namecoin and Litecoin nodes mined come out byte for byte.
func TestRecordedSpends(t *testing.T) {
	var vault struct {
		Keys   []string
		K      int
		Script string
		Spends []struct {
			Network string
			Coin    struct {
				At     script.Outpoint
				Amount asset.Amount
			}
			Outputs []struct {
				Script string
				Amount asset.Amount
			}
			Raw    string
			TxID   script.Hash
			Weight uint64
		}
	}
	if err := json.Unmarshal(must(os.ReadFile("testdata/vault.json")), &vault); err != nil {
		t.Fatal(err)
	}
	if len(vault.Spends) != 2 {
		t.Fatalf("%d spends", len(vault.Spends))
	}
	var public [][33]byte
	for _, k := range vault.Keys {
		public = append(public, [33]byte(unhex(t, k)))
	}
	for _, s := range vault.Spends {
		plan := &threshold.Plan{
			Network: network(s.Network), Version: script.Version, Sequence: script.SequenceReplace,
			Inputs: []threshold.Coin{{At: s.Coin.At, Amount: s.Coin.Amount}},
		}
		for _, o := range s.Outputs {
			plan.Outputs = append(plan.Outputs, script.Output{Script: unhex(t, o.Script), Amount: o.Amount})
		}
		if err := plan.Check(); err != nil {
			t.Fatal(err)
		}
		if plan.TxID() != s.TxID {
			t.Errorf("%s: id %v, want %v", s.Network, plan.TxID(), s.TxID)
		}
		session, err := threshold.OpenKeys(plan, vault.K, public, unhex(t, vault.Script))
		if err != nil {
			t.Fatal(err)
		}
		var said []threshold.Partial
		for _, i := range []uint8{3, 0, 1} { // keys 4, 1 and 2
			secret := sha256.Sum256(fmt.Appendf(nil, "vault-key-%d", i+1))
			private, _ := btcec.PrivKeyFromBytes(secret[:])
			said = append(said, threshold.Partial{Key: i, Signature: threshold.SignWith(private, session.Digests()[0])})
		}
		raw, faults, err := session.Combine(said)
		if err != nil || faults != nil {
			t.Fatalf("faults %v, %v", faults, err)
		}
		if got := hex.EncodeToString(raw); got != s.Raw {
			t.Errorf("%s: %s, recorded %s", s.Network, got, s.Raw)
		}
		// Signatures of 72, 71 and 71 bytes.
		series := &script.Series{K: 3, Keys: make([]script.MemberKey, 4)}
		weight := script.TransactionWeight([]uint64{series.InputWeight(false)}, weights(plan.Outputs))
		if weight != s.Weight+2 {
			t.Errorf("%s: weight %d, recorded %d", s.Network, weight, s.Weight)
		}
	}
}

func weights(outputs []script.Output) []uint64 {
	var list []uint64
	for i := range outputs {
		list = append(list, script.OutputWeight(outputs[i].Script))
	}
	return list
}

// P-11: the digest of the 6-of-6 example in BIP-143.
func TestDigestBIP143(t *testing.T) {
	var public [][33]byte
	for _, k := range []string{
		"0307b8ae49ac90a048e9b53357a2354b3334e9c8bee813ecb98e99a7e07e8c3ba3", "03b28f0c28bfab54554ae8c658ac5c3e0ce6e79ad336331f78c428dd43eea8449b",
		"034b8113d703413d57761b8b9781957b8c0ac1dfe69f492580ca4195f50376ba4a", "033400f6afecb833092a9a21cfdf1ed1376e58c5d1f47de74683123987e967a8f4",
		"03a6d48b1131e94ba04d9737d61acdaa1322008af9602b3b14862c07a1789aac16", "02d8b661b0b3302ee2f162b09e07a55ad5dfbe673a9f01d9f0c19617681024306b",
	} {
		public = append(public, [33]byte(unhex(t, k)))
	}
	witness := []byte{0x56}
	for i := range public { // not sorted there
		witness = append(append(witness, 33), public[i][:]...)
	}
	witness = append(witness, 0x56, 0xae)
	plan := &threshold.Plan{
		Version: 1, Sequence: 0xffffffff,
		Inputs: []threshold.Coin{{
			At:     must(script.ParseOutpoint("6eb98797a21c6c10aa74edf29d618be109f48a8e94c694f3701e08ca69186436:1")),
			Amount: 987_654_321,
		}},
		Outputs: []script.Output{
			{Script: unhex(t, "76a914389ffce9cd9ae88dcc0631e88a821ffdbe9bfe2688ac"), Amount: 900_000_000},
			{Script: unhex(t, "76a9147480a33f950689af511e6e84c138dbbd3c3ee41588ac"), Amount: 87_000_000},
		},
	}
	session, err := threshold.OpenKeys(plan, 6, public, witness)
	if err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(sliceOf(session.Digests()[0])); got != "185c0be5263dce5b4bb50a047973c1b6272bfbd0103a89444597dc40b248ee7c" {
		t.Errorf("digest %s", got)
	}
}

func sliceOf(d [32]byte) []byte { return d[:] }

// drawn is a plan and the keys that spend its coins.
type drawn struct {
	kind    *threshold.Multisig
	plan    *threshold.Plan
	holders [][]script.PrivateMemberKey // by series: the members', or the recovery's
}

// drawPlan draws one or two series, and a plan that spends their coins.
func drawPlan(t *rapid.T) *drawn {
	d := &drawn{kind: &threshold.Multisig{Recovery: rapid.Bool().Draw(t, "recovery")}}
	lock := rapid.Uint32Range(1, script.MaxLock).Draw(t, "lock")
	blocks := rapid.Bool().Draw(t, "blocks")
	for i := range rapid.IntRange(1, 2).Draw(t, "series") {
		draw := func(from int) (uint8, []script.PrivateMemberKey) {
			n := rapid.SampledFrom([]int{1, 1, 2, 2, 3, 3, 4, 4, 4, 5, 7, 15}).Draw(t, "n")
			// A later series has members of the first, at other positions.
			return uint8(rapid.IntRange(1, n).Draw(t, "k")), keys(from+i, n)
		}
		s := &script.Series{}
		var members, holders []script.PrivateMemberKey
		s.K, members = draw(0)
		s.Keys = publics(members)
		if d.kind.Recovery || rapid.Bool().Draw(t, "has recovery") {
			s.Recovery = &script.Recovery{}
			s.Recovery.K, holders = draw(100)
			s.Recovery.Keys = publics(holders)
			if blocks {
				s.Recovery.Blocks = rapid.Uint32Range(1, lock).Draw(t, "blocks")
			} else {
				s.Recovery.Intervals = rapid.Uint32Range(1, lock).Draw(t, "intervals")
			}
		}
		if d.kind.Recovery {
			members = holders
		}
		d.kind.Series, d.holders = append(d.kind.Series, s), append(d.holders, members)
	}
	d.plan = &threshold.Plan{
		Network: rapid.SampledFrom(script.Networks()).Draw(t, "network"), Version: script.Version, Sequence: script.SequenceReplace,
	}
	if d.kind.Recovery {
		d.plan.Sequence = lock
		if !blocks {
			d.plan.Sequence |= 1 << 22
		}
	}
	for i := range rapid.SampledFrom([]int{1, 1, 2, 2, 3}).Draw(t, "inputs") {
		index := rapid.Uint32Range(0, script.Hardened-1)
		c := threshold.Coin{
			At:     script.Outpoint{Tx: script.Hash{byte(i)}, Index: rapid.Uint32().Draw(t, "output")},
			Amount: asset.Amount(rapid.Uint64Range(1e6, 1e15).Draw(t, "amount")),
			Series: uint32(rapid.IntRange(0, len(d.kind.Series)-1).Draw(t, "of series")),
			Branch: rapid.Uint32Range(0, 1).Draw(t, "branch"), Index: index.Draw(t, "index"),
		}
		d.plan.Inputs = append(d.plan.Inputs, c)
	}
	hash := make([]byte, 20)
	for range rapid.SampledFrom([]int{1, 2, 5, 30}).Draw(t, "outputs") {
		d.plan.Outputs = append(d.plan.Outputs, script.Output{
			Script: slices.Concat([]byte{0, 20}, hash), Amount: asset.Amount(rapid.Uint64Range(20_000, 30_000).Draw(t, "paid")),
		})
	}
	return d
}

// P-11 to P-17: whoever signs, in whatever order and among whatever rubbish, what
// is combined has the id of the plan, passes btcd's script engine under the rules
// of relaying, and weighs at most what was computed before.
func TestCombine(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := drawPlan(t)
		session, err := d.kind.Open(d.plan)
		if err != nil {
			t.Fatal(err)
		}
		all := map[string]script.PrivateMemberKey{}
		for _, list := range d.holders {
			for _, k := range list {
				all[k.Public().String()] = k
			}
		}
		var said []threshold.Partial
		for _, name := range slices.Sorted(keysOf(all)) {
			partials, err := session.Sign(all[name], nil)
			switch {
			case errors.Is(err, threshold.ErrStranger): // of a series without a coin here
			case err != nil:
				t.Fatal(err)
			}
			said = append(said, partials...)
		}
		// Only some signatures arrive, some of them twice, in any order.
		said = rapid.Permutation(said).Draw(t, "order")
		said = said[:rapid.IntRange(0, len(said)).Draw(t, "arrived")]
		if len(said) > 0 && rapid.Bool().Draw(t, "twice") {
			said = append(said, said[0])
		}
		honest := slices.Clone(said)
		bad := rapid.IntRange(0, 3).Draw(t, "bad")
		for range bad {
			said = slices.Insert(said, rapid.IntRange(0, len(said)).Draw(t, "place"), drawBad(t, d, honest))
		}
		raw, faults, err := session.Combine(said)
		if len(faults) != bad {
			t.Fatalf("%d bad partials, faults %v", bad, faults)
		}
		enough := true
		for i := range d.plan.Inputs {
			enough = enough && count(honest, i) >= threshOf(d, i)
		}
		if !enough {
			if !errors.Is(err, threshold.ErrTooFew) || raw != nil {
				t.Fatalf("too few signatures, yet %x, %v", raw, err)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		check(t, d, raw)
		slices.Reverse(honest)
		if again, faults, err := session.Combine(honest); err != nil || faults != nil || !bytes.Equal(again, raw) {
			t.Fatalf("in another order, without the bad: %x, %v, %v; before %x", again, faults, err, raw)
		}
	})
}

func keysOf[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// threshOf is the number of signatures that an input needs.
func threshOf(d *drawn, input int) int {
	s := d.kind.Series[d.plan.Inputs[input].Series]
	if d.kind.Recovery {
		return int(s.Recovery.K)
	}
	return int(s.K)
}

// count is the number of keys that signed an input.
func count(said []threshold.Partial, input int) int {
	signed := map[uint8]bool{}
	for _, p := range said {
		if int(p.Input) == input {
			signed[p.Key] = true
		}
	}
	return len(signed)
}

// drawBad draws a partial that is of no use.
func drawBad(t *rapid.T, d *drawn, good []threshold.Partial) threshold.Partial {
	if len(good) == 0 {
		return threshold.Partial{Signature: rapid.SliceOfN(rapid.Byte(), 0, 80).Draw(t, "noise")}
	}
	p := rapid.SampledFrom(good).Draw(t, "spoilt")
	p.Signature = slices.Clone(p.Signature)
	n := len(p.Signature)
	switch rapid.IntRange(0, 7).Draw(t, "how") {
	case 0:
		p.Input = uint32(len(d.plan.Inputs))
	case 1:
		p.Key = uint8(len(d.holders[d.plan.Inputs[p.Input].Series]))
	case 2:
		p.Signature = p.Signature[:rapid.IntRange(0, n-1).Draw(t, "length")]
	case 3:
		p.Signature[n-1] = rapid.SampledFrom([]byte{0, 2, 3, 0x81, 0x41}).Draw(t, "hash type")
	case 4: // high S, which is as valid
		p.Signature = highS(p.Signature)
	case 5: // a byte behind the signature, before the hash type
		p.Signature = append(p.Signature[:n-1:n-1], 0, 1)
	case 6:
		p.Signature[rapid.IntRange(0, n-1).Draw(t, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
	default: // of another input or another key
		digest := sha256.Sum256([]byte("another message"))
		private, err := threshold.Child(d.holders[d.plan.Inputs[p.Input].Series][p.Key], &d.plan.Inputs[p.Input])
		if err != nil {
			t.Fatal(err)
		}
		p.Signature = threshold.SignWith(private, digest)
	}
	return p
}

// highS returns the same signature with S in the upper half.
func highS(signature []byte) []byte {
	parsed := must(ecdsa.ParseDERSignature(signature[:len(signature)-1]))
	r, s := parsed.R(), parsed.S()
	s.Negate()
	part := func(x btcec.ModNScalar) []byte {
		b := x.Bytes()
		v := bytes.TrimLeft(b[:], "\x00")
		if v[0] >= 0x80 {
			v = append([]byte{0}, v...)
		}
		return append([]byte{2, byte(len(v))}, v...)
	}
	body := append(part(r), part(s)...)
	return append(append([]byte{0x30, byte(len(body))}, body...), 1)
}

// check holds a signed transaction to its plan and to btcd.
func check(t *rapid.T, d *drawn, raw []byte) {
	tx := &wire.MsgTx{}
	if err := tx.Deserialize(bytes.NewReader(raw)); err != nil {
		t.Fatal(err)
	}
	if id := script.Hash(tx.TxHash()); id != d.plan.TxID() {
		t.Fatalf("id %v, the plan's %v", id, d.plan.TxID())
	}
	fetcher := txscript.NewMultiPrevOutFetcher(nil)
	var inputs []uint64
	spare := uint64(0)
	for i := range d.plan.Inputs {
		c := &d.plan.Inputs[i]
		out, err := d.kind.Series[c.Series].Output(c.Branch, c.Index)
		if err != nil {
			t.Fatal(err)
		}
		at := wire.OutPoint{Hash: chainhash.Hash(c.At.Tx), Index: c.At.Index}
		fetcher.AddPrevOut(at, wire.NewTxOut(int64(c.Amount), out))
		inputs = append(inputs, d.kind.Series[c.Series].InputWeight(d.kind.Recovery))
		for _, item := range tx.TxIn[i].Witness {
			if len(item) > 40 && item[0] == 0x30 {
				spare += uint64(threshold.MaxSignature - len(item))
			}
		}
	}
	hashes := txscript.NewTxSigHashes(tx, fetcher)
	for i := range tx.TxIn {
		out := fetcher.FetchPrevOutput(tx.TxIn[i].PreviousOutPoint)
		vm, err := txscript.NewEngine(out.PkScript, tx, i, txscript.StandardVerifyFlags, nil, hashes, out.Value, fetcher)
		if err != nil {
			t.Fatal(err)
		}
		if err := vm.Execute(); err != nil {
			t.Fatalf("input %d: %v", i, err)
		}
	}
	weight := uint64(3*tx.SerializeSizeStripped() + tx.SerializeSize())
	bound := script.TransactionWeight(inputs, weights(d.plan.Outputs))
	signatures := 0
	for i := range d.plan.Inputs {
		signatures += threshOf(d, i)
	}
	if bound != weight+spare || bound > weight+2*uint64(signatures) {
		t.Fatalf("weight %d, computed %d, %d signatures are %d bytes shorter than the longest", weight, bound, signatures, spare)
	}
}

// four is a series of 3 of 4 members with a recovery of 2 of 3.
func four() (*threshold.Multisig, []script.PrivateMemberKey, []script.PrivateMemberKey) {
	members, holders := keys(0, 4), keys(100, 3)
	return &threshold.Multisig{Series: []*script.Series{{
		K: 3, Keys: publics(members), Recovery: &script.Recovery{K: 2, Keys: publics(holders), Blocks: 100},
	}}}, members, holders
}

func simple() *threshold.Plan {
	return &threshold.Plan{
		Network: network("bitcoin-regtest"), Version: script.Version, Sequence: script.SequenceReplace,
		Inputs: []threshold.Coin{
			{At: script.Outpoint{Index: 1}, Amount: 1e8, Branch: 1, Index: 7},
			{At: script.Outpoint{Index: 2}, Amount: 2e8, Branch: 0, Index: 1 << 24},
		},
		Outputs: []script.Output{
			{Script: append([]byte{0, 20}, make([]byte, 20)...), Amount: 5e7},
			{Script: append([]byte{0, 32}, make([]byte, 32)...), Amount: 2.4e8},
		},
	}
}

// P-13: a key signs what it has a part in. A recovery's key is no member's.
func TestStranger(t *testing.T) {
	kind, members, holders := four()
	session, err := kind.Open(simple())
	if err != nil {
		t.Fatal(err)
	}
	for name, k := range map[string]script.PrivateMemberKey{"nobody": key(50), "holder": holders[0]} {
		if said, err := session.Sign(k, nil); !errors.Is(err, threshold.ErrStranger) {
			t.Errorf("%s signs %v, %v", name, said, err)
		}
	}
	said, err := session.Sign(members[2], nil)
	if err != nil || len(said) != 2 || said[0].Key != 2 || said[1].Input != 1 {
		t.Errorf("member 2 says %v, %v", said, err)
	}
	again, err := session.Sign(members[2], said)
	if diff := cmp.Diff(said, again); err != nil || diff != "" {
		t.Errorf("signing again: %v, %s", err, diff)
	}
}

// P-11: every part of a plan is signed.
func TestDigestsDiffer(t *testing.T) {
	kind, _, _ := four()
	seen := map[[32]byte]string{}
	for name, change := range map[string]func(p *threshold.Plan){
		"as it is":       func(*threshold.Plan) {},
		"lock time":      func(p *threshold.Plan) { p.LockTime++ },
		"sequence":       func(p *threshold.Plan) { p.Sequence++ },
		"coin":           func(p *threshold.Plan) { p.Inputs[0].At.Index = 9 },
		"amount":         func(p *threshold.Plan) { p.Inputs[0].Amount++ },
		"index":          func(p *threshold.Plan) { p.Inputs[0].Index++ },
		"branch":         func(p *threshold.Plan) { p.Inputs[0].Branch = 0 },
		"another coin":   func(p *threshold.Plan) { p.Inputs[1].At.Index = 9 },
		"paid":           func(p *threshold.Plan) { p.Outputs[1].Amount-- },
		"script":         func(p *threshold.Plan) { p.Outputs[0].Script[5]++ },
		"one output":     func(p *threshold.Plan) { p.Outputs = p.Outputs[:1] },
		"outputs' order": func(p *threshold.Plan) { slices.Reverse(p.Outputs) },
	} {
		plan := simple()
		change(plan)
		session, err := kind.Open(plan)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		digest := session.Digests()[0]
		if other, ok := seen[digest]; ok {
			t.Errorf("%s and %s have one digest", name, other)
		}
		seen[digest] = name
	}
}

// P-17: a recovery spends after its lock and not before, and only with its own keys.
func TestRecovery(t *testing.T) {
	kind, members, holders := four()
	kind.Recovery = true
	plan := simple()
	for _, sequence := range []uint32{0, 99, 1<<22 | 100, 1<<31 | 100, script.SequenceReplace} {
		plan.Sequence = sequence
		if _, err := kind.Open(plan); !errors.Is(err, threshold.ErrPlan) {
			t.Errorf("sequence %#x: %v", sequence, err)
		}
	}
	plan.Sequence = 100
	session, err := kind.Open(plan)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := session.Sign(members[0], nil); !errors.Is(err, threshold.ErrStranger) {
		t.Errorf("a member signs for the holders: %v", err)
	}
	var said []threshold.Partial
	for _, h := range holders[1:] {
		said = append(said, must(session.Sign(h, nil))...)
	}
	raw, faults, err := session.Combine(said)
	if err != nil || faults != nil {
		t.Fatalf("%v, %v", faults, err)
	}
	tx := &wire.MsgTx{}
	if err := tx.Deserialize(bytes.NewReader(raw)); err != nil {
		t.Fatal(err)
	}
	// The engine refuses the same witness in a transaction that is not locked.
	for _, c := range []struct {
		sequence uint32
		code     txscript.ErrorCode
	}{{99, txscript.ErrUnsatisfiedLockTime}, {script.SequenceReplace, txscript.ErrUnsatisfiedLockTime}} {
		early := tx.Copy()
		early.TxIn[0].Sequence = c.sequence
		out := must(kind.Series[0].Output(1, 7))
		fetcher := txscript.NewCannedPrevOutputFetcher(out, 1e8)
		vm := must(txscript.NewEngine(out, early, 0, txscript.StandardVerifyFlags, nil, txscript.NewTxSigHashes(early, fetcher), 1e8, fetcher))
		if err := vm.Execute(); !txscript.IsErrorCode(err, c.code) {
			t.Errorf("sequence %#x: %v", c.sequence, err)
		}
	}
	kind.Series[0].Recovery = nil
	if _, err := kind.Open(plan); !errors.Is(err, threshold.ErrPlan) {
		t.Errorf("a recovery that is not there: %v", err)
	}
}

// P-2, P-10: what is not a plan.
func TestPlanCheck(t *testing.T) {
	kind, _, _ := four()
	for name, change := range map[string]func(p *threshold.Plan){
		"no network":         func(p *threshold.Plan) { p.Network = nil },
		"version":            func(p *threshold.Plan) { p.Version = 1 },
		"no inputs":          func(p *threshold.Plan) { p.Inputs = nil },
		"no outputs":         func(p *threshold.Plan) { p.Outputs = nil },
		"too many inputs":    func(p *threshold.Plan) { p.Inputs = make([]threshold.Coin, threshold.MaxInputs+1) },
		"too many outputs":   func(p *threshold.Plan) { p.Outputs = make([]script.Output, threshold.MaxOutputs+1) },
		"a coin twice":       func(p *threshold.Plan) { p.Inputs[1].At = p.Inputs[0].At },
		"hardened branch":    func(p *threshold.Plan) { p.Inputs[1].Branch = script.Hardened },
		"hardened index":     func(p *threshold.Plan) { p.Inputs[1].Index = script.Hardened },
		"no template":        func(p *threshold.Plan) { p.Outputs[0].Script = []byte{0x6a} },
		"dust":               func(p *threshold.Plan) { p.Outputs[0].Amount = 545 },
		"more than there is": func(p *threshold.Plan) { p.Outputs[0].Amount = 6.1e7 },
		"sums overflow":      func(p *threshold.Plan) { p.Outputs[0].Amount, p.Outputs[1].Amount = 1<<63, 1<<63 },
		"coins overflow":     func(p *threshold.Plan) { p.Inputs[0].Amount, p.Inputs[1].Amount = 1<<62, 1<<62 },
		"series":             func(p *threshold.Plan) { p.Inputs[0].Series = 1 },
		"sequence":           func(p *threshold.Plan) { p.Sequence = 100 },
		"taproot on Namecoin": func(p *threshold.Plan) {
			p.Network, p.Outputs[0].Script = network("namecoin-regtest"), append([]byte{0x51, 32}, make([]byte, 32)...)
		},
		"taproot without a key": func(p *threshold.Plan) { p.Outputs[0].Script = append([]byte{0x51, 32}, make([]byte, 32)...) },
		"too heavy": func(p *threshold.Plan) {
			p.Inputs = nil
			for i := range uint32(900) {
				p.Inputs = append(p.Inputs, threshold.Coin{At: script.Outpoint{Index: i}, Amount: 1e8})
			}
		},
	} {
		plan := simple()
		change(plan)
		if _, err := kind.Open(plan); !errors.Is(err, threshold.ErrPlan) {
			t.Errorf("%s: %v", name, err)
		}
	}
	fee, ok := simple().Fee()
	if !ok || fee != 1e7 {
		t.Errorf("fee %d, %v", fee, ok)
	}
	taproot := simple()
	taproot.Outputs[0].Script = append(append([]byte{0x51, 32}, make([]byte, 31)...), 1)
	if _, err := kind.Open(taproot); err != nil {
		t.Errorf("taproot on Bitcoin: %v", err)
	}
}

// P-3: a plan has one encoding.
func TestPlanEncoding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		plan := drawPlan(t).plan
		b := plan.AppendTo([]byte{1})[1:]
		got, err := threshold.ParsePlan(b)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(plan, got); diff != "" {
			t.Fatal(diff)
		}
		if _, err := threshold.ParsePlan(append(b, 0)); !errors.Is(err, threshold.ErrSyntax) {
			t.Fatalf("trailing byte: %v", err)
		}
		if _, err := threshold.ParsePlan(b[:rapid.IntRange(0, len(b)-1).Draw(t, "length")]); !errors.Is(err, threshold.ErrSyntax) {
			t.Fatalf("cut short: %v", err)
		}
	})
}

func FuzzParsePlan(f *testing.F) {
	f.Add([]byte{})
	f.Add(simple().AppendTo(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		plan, err := threshold.ParsePlan(b)
		if err != nil {
			return
		}
		if !bytes.Equal(plan.AppendTo(nil), b) {
			t.Fatalf("%x is read, and written as %x", b, plan.AppendTo(nil))
		}
		plan.TxID()
	})
}

// P-14: whatever stands for a signature is checked without harm, and what passes
// is what the signer makes.
func FuzzCheck(f *testing.F) {
	kind, members, _ := four()
	session, err := kind.Open(simple())
	if err != nil {
		f.Fatal(err)
	}
	said, err := session.Sign(members[0], nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint32(0), uint8(0), said[0].Signature)
	f.Add(uint32(1), uint8(0), said[1].Signature)
	f.Add(uint32(0), uint8(0), highS(said[0].Signature))
	f.Add(uint32(7), uint8(9), []byte{})
	f.Fuzz(func(t *testing.T, input uint32, position uint8, signature []byte) {
		p := threshold.Partial{Input: input, Key: position, Signature: signature}
		err := session.Check(p)
		switch {
		case err == nil && (position != 0 || !bytes.Equal(signature, said[input].Signature)):
			t.Fatalf("%+v passes", p)
		case err != nil && !errors.Is(err, threshold.ErrPartial):
			t.Fatal(err)
		}
	})
}

// A withdrawal of ten coins of a series of 3 of 4.
func BenchmarkTenInputs(b *testing.B) {
	kind, members, _ := four()
	plan := simple()
	plan.Inputs = nil
	for i := range uint32(10) {
		plan.Inputs = append(plan.Inputs, threshold.Coin{At: script.Outpoint{Index: i}, Amount: 1e8, Branch: 1, Index: i})
	}
	session := must(kind.Open(plan))
	var said []threshold.Partial
	for _, k := range members[:3] {
		said = append(said, must(session.Sign(k, nil))...)
	}
	b.Run("open", func(b *testing.B) {
		for b.Loop() {
			must(kind.Open(plan))
		}
	})
	b.Run("sign", func(b *testing.B) {
		for b.Loop() {
			must(session.Sign(members[0], nil))
		}
	})
	b.Run("combine", func(b *testing.B) {
		for b.Loop() {
			if _, _, err := session.Combine(said); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("id", func(b *testing.B) {
		for b.Loop() {
			plan.TxID()
		}
	})
}
