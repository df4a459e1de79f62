package threshold

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/ecdsa"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"

	"souk/script"
)

// Multisig is the kind in which k of the n keys of a series sign each input.
type Multisig struct {
	// Series are a bank's series by number. Each must be one that Check accepts.
	Series []*script.Series
	// Recovery is for the holders of the recoveries: they sign instead of the
	// members, once the lock of every coin is open.
	Recovery bool
}

var _ Kind = (*Multisig)(nil)

// session is a Multisig's plan. Nothing in it is secret.
type session struct {
	tx     *wire.MsgTx // without witnesses
	inputs []input
}

// input is a coin being spent.
type input struct {
	members  []script.MemberKey // of the series, or the recovery
	at       [2]uint32          // branch, index
	k        int
	keys     []*btcec.PublicKey // children of members
	order    []int              // positions in keys, in the order of the script
	script   []byte
	selector [][]byte // what the witness has between signatures and script
	digest   [32]byte
}

// Open prepares for signing a plan (P-10). Its errors are as Kind says.
func (m *Multisig) Open(plan *Plan) (Session, error) {
	if err := plan.Check(); err != nil {
		return nil, err
	}
	branches := map[[2]uint32]*script.Branch{}
	inputs := make([]input, len(plan.Inputs))
	var weights, outputs []uint64
	for i := range plan.Inputs {
		c := &plan.Inputs[i]
		if uint64(c.Series) >= uint64(len(m.Series)) {
			return nil, fmt.Errorf("coin %s of series %d, which does not exist: %w", c.At, c.Series, ErrPlan)
		}
		series := m.Series[c.Series]
		if err := m.checkLock(plan, series); err != nil {
			return nil, fmt.Errorf("coin %s: %w", c.At, err)
		}
		branch, ok := branches[[2]uint32{c.Series, c.Branch}]
		if !ok {
			var err error
			if branch, err = series.Branch(c.Branch); err != nil {
				return nil, fmt.Errorf("coin %s: %w", c.At, err)
			}
			branches[[2]uint32{c.Series, c.Branch}] = branch
		}
		derived, err := branch.Derive(c.Index)
		if err != nil {
			return nil, fmt.Errorf("coin %s: %w", c.At, err)
		}
		in, err := m.input(series, derived)
		if err != nil {
			return nil, fmt.Errorf("coin %s: %w", c.At, err)
		}
		in.at = [2]uint32{c.Branch, c.Index}
		inputs[i] = in
		weights = append(weights, series.InputWeight(m.Recovery))
	}
	for i := range plan.Outputs {
		outputs = append(outputs, script.OutputWeight(plan.Outputs[i].Script))
	}
	if w := script.TransactionWeight(weights, outputs); w > script.MaxWeight {
		return nil, fmt.Errorf("a weight of %d, nodes relay %d: %w", w, script.MaxWeight, ErrPlan)
	}
	return open(plan, inputs)
}

// checkLock tells whether the plan's sequence suits the way in which coins of a
// series are spent: a spend by members asks for no lock, one by a recovery for its lock (P-10, P-17).
func (m *Multisig) checkLock(plan *Plan, series *script.Series) error {
	const disabled, value = 1 << 31, 1<<16 - 1
	if !m.Recovery {
		if plan.Sequence&disabled == 0 {
			return fmt.Errorf("sequence %#x asks for a lock: %w", plan.Sequence, ErrPlan)
		}
		return nil
	}
	if series.Recovery == nil {
		return fmt.Errorf("its series has no recovery: %w", ErrPlan)
	}
	lock := series.Recovery.Sequence()
	if plan.Sequence&^value != lock&^value || plan.Sequence&value < lock&value {
		return fmt.Errorf("sequence %#x does not open the lock %#x: %w", plan.Sequence, lock, ErrPlan)
	}
	return nil
}

func (m *Multisig) input(series *script.Series, derived *script.Derived) (input, error) {
	in := input{members: series.Keys, k: int(series.K), script: derived.Script}
	keys := derived.Keys
	if r := series.Recovery; r != nil {
		in.selector = [][]byte{{1}}
		if m.Recovery {
			in.members, in.k, in.selector, keys = r.Keys, int(r.K), [][]byte{{}}, derived.Recovery
		}
	}
	return in, in.set(keys)
}

// set takes the keys of the script, in the order of members.
func (in *input) set(keys [][33]byte) error {
	for i := range keys {
		key, err := btcec.ParsePubKey(keys[i][:])
		if err != nil {
			return fmt.Errorf("key %x: %w", keys[i], err)
		}
		in.keys, in.order = append(in.keys, key), append(in.order, i)
	}
	slices.SortFunc(in.order, func(a, b int) int { return bytes.Compare(keys[a][:], keys[b][:]) })
	return nil
}

// open computes what is signed: the digests of BIP-143 with SIGHASH_ALL.
func open(plan *Plan, inputs []input) (*session, error) {
	s := &session{tx: wire.NewMsgTx(int32(plan.Version)), inputs: inputs} //nolint:gosec // checked
	s.tx.LockTime = plan.LockTime
	for i := range plan.Inputs {
		c := &plan.Inputs[i]
		in := wire.NewTxIn(wire.NewOutPoint((*chainhash.Hash)(&c.At.Tx), c.At.Index), nil, nil)
		in.Sequence = plan.Sequence
		s.tx.AddTxIn(in)
	}
	for i := range plan.Outputs {
		s.tx.AddTxOut(wire.NewTxOut(int64(plan.Outputs[i].Amount), plan.Outputs[i].Script)) //nolint:gosec // checked
	}
	// All inputs are of one kind, so that any output of it stands for them.
	hashes := txscript.NewTxSigHashes(s.tx, txscript.NewCannedPrevOutputFetcher(nil, 0))
	for i := range s.inputs {
		in := &s.inputs[i]
		amount := int64(plan.Inputs[i].Amount) //nolint:gosec // checked
		digest, err := txscript.CalcWitnessSigHash(in.script, hashes, txscript.SigHashAll, s.tx, i, amount)
		if err != nil {
			return nil, fmt.Errorf("hash input %d: %w", i, err)
		}
		in.digest = [32]byte(digest)
	}
	return s, nil
}

// Digests implements Session.
func (s *session) Digests() [][32]byte {
	list := make([][32]byte, len(s.inputs))
	for i := range s.inputs {
		list[i] = s.inputs[i].digest
	}
	return list
}

// Sign implements Session: one signature for every input that the key has a part in.
// What has been said does not matter.
func (s *session) Sign(key script.PrivateMemberKey, _ []Partial) ([]Partial, error) {
	public := key.Public()
	var list []Partial
	for i := range s.inputs {
		in := &s.inputs[i]
		position := slices.Index(in.members, public)
		if position < 0 {
			continue
		}
		child, err := key.Child(in.at[0], in.at[1])
		if err != nil {
			return nil, err
		}
		signature := sign(child, in.digest)
		child.Zero()
		p := Partial{uint32(i), uint8(position), signature} //nolint:gosec // at most MaxInputs, script.MaxKeys
		if err := s.Check(p); err != nil {
			return nil, fmt.Errorf("own signature, broken: %w", err) // a fault of the machine could give the key away
		}
		list = append(list, p)
	}
	if list == nil {
		return nil, ErrStranger
	}
	return list, nil
}

// sign signs by RFC 6979 with low S.
func sign(key *btcec.PrivateKey, digest [32]byte) []byte {
	return append(ecdsa.Sign(key, digest[:]).Serialize(), byte(txscript.SigHashAll))
}

// Check implements Session.
func (s *session) Check(p Partial) error {
	if uint64(p.Input) >= uint64(len(s.inputs)) {
		return fmt.Errorf("input %d of %d: %w", p.Input, len(s.inputs), ErrPartial)
	}
	in := &s.inputs[p.Input]
	if int(p.Key) >= len(in.keys) {
		return fmt.Errorf("key %d of %d: %w", p.Key, len(in.keys), ErrPartial)
	}
	n := len(p.Signature) - 1
	if n < 0 || n >= MaxSignature || p.Signature[n] != byte(txscript.SigHashAll) {
		return fmt.Errorf("input %d, key %d: %d bytes, or not of the hash type ALL: %w", p.Input, p.Key, n+1, ErrPartial)
	}
	signature, err := ecdsa.ParseDERSignature(p.Signature[:n])
	// What nodes relay has one form: what Serialize makes, with low S and nothing behind it.
	if err != nil || !bytes.Equal(signature.Serialize(), p.Signature[:n]) {
		return fmt.Errorf("input %d, key %d: not in strict DER with low S: %w", p.Input, p.Key, ErrPartial)
	}
	if !signature.Verify(in.digest[:], in.keys[p.Key]) {
		return fmt.Errorf("input %d, key %d: the signature is wrong: %w", p.Input, p.Key, ErrPartial)
	}
	return nil
}

// Combine implements Session. Of more signatures than needed the first in the
// order of the script are taken, so that everybody builds the same bytes from the
// same signatures.
func (s *session) Combine(said []Partial) (raw []byte, faults []Fault, err error) {
	good := make([][][]byte, len(s.inputs)) // by input and key
	for i := range good {
		good[i] = make([][]byte, len(s.inputs[i].keys))
	}
	for _, p := range said {
		if err := s.Check(p); err != nil {
			faults = append(faults, Fault{p.Input, p.Key, err})
		} else if good[p.Input][p.Key] == nil {
			good[p.Input][p.Key] = p.Signature
		}
	}
	tx := s.tx.Copy()
	for i := range s.inputs {
		in := &s.inputs[i]
		witness := wire.TxWitness{nil} // CHECKMULTISIG takes one item too many
		for _, position := range in.order {
			if signature := good[i][position]; signature != nil && len(witness) <= in.k {
				witness = append(witness, signature)
			}
		}
		if have := len(witness) - 1; have < in.k {
			return nil, faults, fmt.Errorf("input %d has %d of %d: %w", i, have, in.k, ErrTooFew)
		}
		tx.TxIn[i].Witness = append(append(witness, in.selector...), in.script)
	}
	var b bytes.Buffer
	b.Grow(tx.SerializeSize())
	if err := tx.Serialize(&b); err != nil {
		return nil, faults, fmt.Errorf("serialise: %w", err)
	}
	return b.Bytes(), faults, nil
}
