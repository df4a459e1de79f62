package script

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"

	"souk/asset"
)

// What a bank's transactions say.
const (
	// Version is the version of a transaction; relative locks need it.
	Version = 2
	// SequenceReplace, as the sequence of an input, allows a replacement and asks
	// for no lock.
	SequenceReplace = 0xfffffffd
	// MaxWeight is the weight above which nodes do not relay a transaction.
	MaxWeight = 400_000
)

// Output is an output of a transaction.
type Output struct {
	Script []byte
	Amount asset.Amount
}

// Transaction is a transaction without its witnesses. All its inputs spend segwit
// outputs, so that its id is known before anybody signs and no signature changes it.
type Transaction struct {
	Version  uint32
	Inputs   []Outpoint
	Sequence uint32 // of every input
	Outputs  []Output
	LockTime uint32
}

// ID returns the id of the transaction.
func (t *Transaction) ID() Hash {
	first := sha256.Sum256(t.AppendTo(make([]byte, 0, t.size())))
	return sha256.Sum256(first[:])
}

// size is the number of bytes that AppendTo appends.
func (t *Transaction) size() int {
	n := 4 + compactSize(len(t.Inputs)) + inputSize*len(t.Inputs) + compactSize(len(t.Outputs)) + 4
	for i := range t.Outputs {
		n += outputSize(t.Outputs[i].Script)
	}
	return n
}

// AppendTo appends the transaction without witnesses as chains hash it.
func (t *Transaction) AppendTo(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, t.Version)
	dst = appendCompact(dst, len(t.Inputs))
	for i := range t.Inputs {
		dst = append(dst, t.Inputs[i].Tx[:]...)
		dst = binary.LittleEndian.AppendUint32(dst, t.Inputs[i].Index)
		dst = append(dst, 0) // no signature script
		dst = binary.LittleEndian.AppendUint32(dst, t.Sequence)
	}
	dst = appendCompact(dst, len(t.Outputs))
	for i := range t.Outputs {
		dst = binary.LittleEndian.AppendUint64(dst, uint64(t.Outputs[i].Amount))
		dst = appendCompact(dst, len(t.Outputs[i].Script))
		dst = append(dst, t.Outputs[i].Script...)
	}
	return binary.LittleEndian.AppendUint32(dst, t.LockTime)
}

// appendCompact appends a length as chains write it.
func appendCompact(dst []byte, n int) []byte {
	switch {
	case n < 0xfd:
		return append(dst, byte(n)) //nolint:gosec // below 0xfd
	case n <= 0xffff:
		return binary.LittleEndian.AppendUint16(append(dst, 0xfd), uint16(n))
	}
	return binary.LittleEndian.AppendUint32(append(dst, 0xfe), uint32(n)) //nolint:gosec // nothing here is that long
}

// compactSize is the number of bytes that appendCompact appends.
func compactSize(n int) int {
	switch {
	case n < 0xfd:
		return 1
	case n <= 0xffff:
		return 3
	}
	return 5
}

const (
	// witnessScale is the weight of a byte that is not of a witness.
	witnessScale = 4
	// inputSize is an input without witness: outpoint, empty script, sequence.
	inputSize = 32 + 4 + 1 + 4
	// signatureSize is a signature with low S in its longest form, and its hash type.
	signatureSize = 71 + 1
)

func outputSize(out []byte) int { return 8 + compactSize(len(out)) + len(out) }

// OutputWeight returns the weight of an output with this script.
func OutputWeight(out []byte) uint64 {
	return witnessScale * uint64(outputSize(out)) //nolint:gosec // a length
}

// TransactionWeight returns the weight of a transaction whose inputs and outputs
// have these weights. With those of InputWeight it is never below the real
// one, and above by one for each signature that is a byte shorter than the longest.
func TransactionWeight(inputs, outputs []uint64) uint64 {
	w := witnessScale*uint64(4+compactSize(len(inputs))+compactSize(len(outputs))+4) + 2 //nolint:gosec // lengths
	for _, in := range inputs {
		w += in
	}
	for _, out := range outputs {
		w += out
	}
	return w
}

// Fee returns what a transaction of this weight pays at a rate in units per 1,000
// virtual bytes, rounded up. ok is false if it does not fit.
func Fee(rate asset.Amount, weight uint64) (fee asset.Amount, ok bool) {
	size, carry := bits.Add64(weight, witnessScale-1, 0)
	units, fits := asset.Mul(uint64(rate), size/witnessScale).DivUp(1000)
	return asset.Amount(units), fits && carry == 0
}
