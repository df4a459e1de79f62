package script

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/crypto/cryptobyte"
)

// Branches of a series. Below the branch of change every wallet has its own range
// of indexes.
const (
	Change   = 0
	Deposits = 1
)

// Limits of a series.
const (
	// MaxKeys is how many keys the members, or the holders of a recovery, may have.
	MaxKeys = 15
	// MaxLock is the longest relative lock, in blocks or intervals (BIP-68).
	MaxLock = 1<<16 - 1
	// IntervalSeconds is the length of an interval of a relative lock.
	IntervalSeconds = 512
	// RecoveryIntervals is a relative lock of 26 weeks.
	RecoveryIntervals = 30_713

	intervalFlag = 1 << 22
)

// ErrSeries is returned for a series whose script nobody should pay to.
var ErrSeries = errors.New("not a series")

// Series is k of n member keys, and perhaps another way to spend for the holders
// of a recovery. It stands for one script per branch and index.
type Series struct {
	K        uint8
	Keys     []MemberKey // in the order of members
	Recovery *Recovery   // nil for none
}

// Recovery is k of n keys of offline holders that can spend a coin once it has
// been on its chain for a time: Blocks, or Intervals of 512 seconds; the other one
// is zero. 65,535 blocks are 65 weeks of Bitcoin but only 16 of Litecoin.
type Recovery struct {
	K         uint8
	Keys      []MemberKey
	Blocks    uint32
	Intervals uint32
}

// Sequence returns the lock as an input's sequence and as the operand in the
// script (BIP-68, BIP-112).
func (r *Recovery) Sequence() uint32 {
	if r.Intervals != 0 {
		return intervalFlag | r.Intervals
	}
	return r.Blocks
}

// Opens returns after about how many blocks of the network the lock opens. It is
// exact for a lock in blocks.
func (r *Recovery) Opens(n *Network) uint32 {
	if r.Intervals != 0 {
		return r.Intervals * IntervalSeconds / n.BlockSeconds
	}
	return r.Blocks
}

// ChangeIndex returns the index below Change of a wallet's address with a number
// . ok is false for a wallet above 127 or a number of 2^24 or more.
func ChangeIndex(wallet uint8, number uint32) (index uint32, ok bool) {
	return uint32(wallet)<<24 | number, wallet < 128 && number < 1<<24
}

// Check returns ErrSeries, with the reason, for a series that breaks a rule:
// thresholds, numbers of keys, a key that is none or stands there twice, a lock
// that is none.
func (s *Series) Check() error {
	if err := checkKeys(s.K, s.Keys); err != nil {
		return fmt.Errorf("members: %w: %w", err, ErrSeries)
	}
	all := s.Keys
	if r := s.Recovery; r != nil {
		if err := checkKeys(r.K, r.Keys); err != nil {
			return fmt.Errorf("recovery: %w: %w", err, ErrSeries)
		}
		if r.Blocks > MaxLock || r.Intervals > MaxLock || (r.Blocks == 0) == (r.Intervals == 0) {
			return fmt.Errorf("recovery after %d blocks and %d intervals; one is 0, the other 1 to %d: %w", r.Blocks, r.Intervals, MaxLock, ErrSeries)
		}
		all = slices.Concat(s.Keys, r.Keys)
	}
	for i := range all {
		for j := range i {
			if all[i].Key == all[j].Key {
				return fmt.Errorf("key %x stands there twice: %w", all[i].Key, ErrSeries)
			}
		}
	}
	return nil
}

func checkKeys(k uint8, keys []MemberKey) error {
	if len(keys) == 0 || len(keys) > MaxKeys || k == 0 || int(k) > len(keys) {
		return fmt.Errorf("%d of %d keys; at most %d", k, len(keys), MaxKeys)
	}
	for i := range keys {
		if err := keys[i].Check(); err != nil {
			return err
		}
	}
	return nil
}

// Branch is a series at one branch. It derives the children of an index in half
// the time of the series itself. It is safe for concurrent use.
type Branch struct {
	series         *Series
	keys, recovery []parent
}

// Branch returns the series at a branch below Hardened. The series must be one
// that Check accepts and may not change while the branch is used.
func (s *Series) Branch(branch uint32) (*Branch, error) {
	b := &Branch{series: s}
	var err error
	if b.keys, err = branchKeys(s.Keys, branch); err != nil {
		return nil, err
	}
	if s.Recovery != nil {
		b.recovery, err = branchKeys(s.Recovery.Keys, branch)
	}
	return b, err
}

func branchKeys(keys []MemberKey, branch uint32) ([]parent, error) {
	if len(keys) == 0 || len(keys) > MaxKeys {
		return nil, fmt.Errorf("%d keys: %w", len(keys), ErrSeries)
	}
	list := make([]parent, len(keys))
	for i := range keys {
		child, err := keys[i].Child(branch)
		if err != nil {
			return nil, err
		}
		if list[i], err = newParent(&child); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// Derived is what a series is at a branch and index.
type Derived struct {
	Keys     [][33]byte // in the order of members
	Recovery [][33]byte // in the order of holders; nil without a recovery
	Script   []byte     // the witness script
}

// Output returns the output script that pays to the witness script.
func (d *Derived) Output() []byte { return witnessOutput(d.Script) }

func witnessOutput(script []byte) []byte {
	hash := sha256.Sum256(script)
	return append([]byte{op0, 32}, hash[:]...)
}

// Derive returns the keys and the script at an index below Hardened.
func (b *Branch) Derive(index uint32) (*Derived, error) {
	keys, err := childKeys(b.keys, index)
	if err != nil {
		return nil, err
	}
	d := &Derived{Keys: keys}
	s := b.series
	if s.Recovery == nil {
		d.Script = appendMultisig(nil, s.K, d.Keys)
		return d, nil
	}
	if d.Recovery, err = childKeys(b.recovery, index); err != nil {
		return nil, err
	}
	d.Script = recoverable(s.K, d.Keys, s.Recovery.K, d.Recovery, s.Recovery.Sequence())
	return d, nil
}

func childKeys(keys []parent, index uint32) ([][33]byte, error) {
	list := make([][33]byte, len(keys))
	for i := range keys {
		key, err := keys[i].child(index)
		if err != nil {
			return nil, fmt.Errorf("derive index %d: %w", index, err)
		}
		list[i] = key
	}
	return list, nil
}

// Derive returns the keys and the script at a branch and index below Hardened. In
// one of 2^127 cases there is none; then the index is left out.
func (s *Series) Derive(branch, index uint32) (*Derived, error) {
	b, err := s.Branch(branch)
	if err != nil {
		return nil, err
	}
	return b.Derive(index)
}

// WitnessScript returns the script at a branch and index.
func (s *Series) WitnessScript(branch, index uint32) ([]byte, error) {
	d, err := s.Derive(branch, index)
	if err != nil {
		return nil, err
	}
	return d.Script, nil
}

// Output returns the output script (P2WSH) that pays to the series at a branch
// and index.
func (s *Series) Output(branch, index uint32) ([]byte, error) {
	d, err := s.Derive(branch, index)
	if err != nil {
		return nil, err
	}
	return d.Output(), nil
}

// recoverable is: members now, holders later.
func recoverable(k uint8, keys [][33]byte, k2 uint8, holders [][33]byte, lock uint32) []byte {
	s := append(make([]byte, 0, 2*(3+34*MaxKeys)+9), opIf)
	s = appendMultisig(s, k, keys)
	s = append(s, opElse)
	s = appendNumber(s, lock)
	s = append(s, opCheckSequence, opDrop)
	s = appendMultisig(s, k2, holders)
	return append(s, opEndIf)
}

// appendMultisig appends k of n, the keys sorted (BIP-67).
func appendMultisig(dst []byte, k uint8, keys [][33]byte) []byte {
	sorted := slices.Clone(keys)
	slices.SortFunc(sorted, func(a, b [33]byte) int { return bytes.Compare(a[:], b[:]) })
	dst = append(dst, op1-1+k)
	for i := range sorted {
		dst = append(append(dst, byte(len(sorted[i]))), sorted[i][:]...)
	}
	return append(dst, op1-1+byte(len(sorted)), opCheckMultiSig) //nolint:gosec // at most MaxKeys
}

// appendNumber appends the shortest push of a number above zero and below 2^31.
func appendNumber(dst []byte, n uint32) []byte {
	if n <= 16 {
		return append(dst, op1-1+byte(n))
	}
	b := binary.LittleEndian.AppendUint32(nil, n)
	for b[len(b)-1] == 0 {
		b = b[:len(b)-1]
	}
	if b[len(b)-1]&0x80 != 0 { // or it would be negative
		b = append(b, 0)
	}
	return append(append(dst, byte(len(b))), b...) //nolint:gosec // at most 5
}

// InputWeight returns the weight of an input that spends a coin of the series,
// through its recovery or not, with signatures in their longest form.
func (s *Series) InputWeight(recovery bool) uint64 {
	size := 3 + 34*len(s.Keys)
	k, selector := int(s.K), 0
	if r := s.Recovery; r != nil {
		size += 3 + 34*len(r.Keys) + 5 + len(appendNumber(nil, r.Sequence()))
		selector = 2 // length and 1
		if recovery {
			k, selector = int(r.K), 1 // length
		}
	}
	witness := 1 + 1 + k*(1+signatureSize) + selector + compactSize(size) + size
	return uint64(witnessScale*inputSize + witness) //nolint:gosec // lengths
}

// AppendTo appends the series' one encoding.
func (s *Series) AppendTo(dst []byte) []byte {
	dst = appendKeys(dst, s.K, s.Keys)
	if s.Recovery == nil {
		return append(dst, 0)
	}
	dst = binary.BigEndian.AppendUint32(append(dst, 1), s.Recovery.Sequence())
	return appendKeys(dst, s.Recovery.K, s.Recovery.Keys)
}

func appendKeys(dst []byte, k uint8, keys []MemberKey) []byte {
	dst = append(dst, k, byte(len(keys))) //nolint:gosec // at most MaxKeys
	for i := range keys {
		dst = append(append(dst, keys[i].Key[:]...), keys[i].ChainCode[:]...)
	}
	return dst
}

// ParseSeries reads what AppendTo appended, and checks it. It returns ErrSyntax
// for bytes that are no series' encoding, and ErrSeries as Check does.
func ParseSeries(b []byte) (*Series, error) {
	in := cryptobyte.String(b)
	s := &Series{}
	var recovery uint8
	ok := readKeys(&in, &s.K, &s.Keys) && in.ReadUint8(&recovery) && recovery <= 1
	if ok && recovery == 1 {
		s.Recovery = &Recovery{}
		var lock uint32
		ok = in.ReadUint32(&lock) && readKeys(&in, &s.Recovery.K, &s.Recovery.Keys)
		if lock&intervalFlag != 0 {
			s.Recovery.Intervals = lock &^ intervalFlag
		} else {
			s.Recovery.Blocks = lock
		}
	}
	if !ok || !in.Empty() {
		return nil, fmt.Errorf("series of %d bytes: %w", len(b), ErrSyntax)
	}
	if err := s.Check(); err != nil {
		return nil, err
	}
	return s, nil
}

func readKeys(in *cryptobyte.String, k *uint8, keys *[]MemberKey) bool {
	var n uint8
	if !in.ReadUint8(k) || !in.ReadUint8(&n) || n > MaxKeys {
		return false
	}
	*keys = make([]MemberKey, n)
	for i := range *keys {
		if !in.CopyBytes((*keys)[i].Key[:]) || !in.CopyBytes((*keys)[i].ChainCode[:]) {
			return false
		}
	}
	return true
}
