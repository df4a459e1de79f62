package threshold

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/crypto/cryptobyte"

	"souk/asset"
	"souk/script"
)

// Limits of a plan. What nodes relay is less (script.MaxWeight).
const (
	MaxInputs  = 2000
	MaxOutputs = 4000
)

// Coin is an output that a bank has been paid.
type Coin struct {
	At            script.Outpoint
	Amount        asset.Amount
	Series        uint32 // number of the series
	Branch, Index uint32 // of the address
}

// Plan is all that a transaction says before it is signed. The transaction is a
// function of the plan, and its id does not depend on who signs.
type Plan struct {
	Network  *script.Network
	Version  uint32 // script.Version
	Sequence uint32 // of every input: script.SequenceReplace, or a recovery's lock
	LockTime uint32
	Inputs   []Coin          // as they stand in the transaction
	Outputs  []script.Output // as they stand in the transaction, change included
}

// Transaction returns the transaction without witnesses. It shares the outputs.
func (p *Plan) Transaction() *script.Transaction {
	t := &script.Transaction{
		Version: p.Version, Sequence: p.Sequence, LockTime: p.LockTime,
		Inputs: make([]script.Outpoint, len(p.Inputs)), Outputs: p.Outputs,
	}
	for i := range p.Inputs {
		t.Inputs[i] = p.Inputs[i].At
	}
	return t
}

// TxID returns the id of the transaction.
func (p *Plan) TxID() script.Hash { return p.Transaction().ID() }

// Fee returns the inputs less the outputs. ok is false if the outputs are more, or
// a sum does not fit.
func (p *Plan) Fee() (fee asset.Amount, ok bool) {
	in, ok := total(p.Inputs, func(c *Coin) asset.Amount { return c.Amount })
	out, fits := total(p.Outputs, func(o *script.Output) asset.Amount { return o.Amount })
	fee, covered := in.Sub(out)
	return fee, ok && fits && covered
}

func total[T any](list []T, amount func(*T) asset.Amount) (sum asset.Amount, ok bool) {
	for i := range list {
		if sum, ok = sum.Add(amount(&list[i])); !ok || sum > asset.MaxSupply {
			return 0, false
		}
	}
	return sum, true
}

// Check returns ErrPlan, with the reason, for a plan that breaks a rule (P-2).
func (p *Plan) Check() error {
	switch {
	case p.Network == nil:
		return fmt.Errorf("no network: %w", ErrPlan)
	case p.Version != script.Version:
		return fmt.Errorf("version %d: %w", p.Version, ErrPlan)
	case len(p.Inputs) == 0 || len(p.Inputs) > MaxInputs:
		return fmt.Errorf("%d inputs, 1 to %d are possible: %w", len(p.Inputs), MaxInputs, ErrPlan)
	case len(p.Outputs) == 0 || len(p.Outputs) > MaxOutputs:
		return fmt.Errorf("%d outputs, 1 to %d are possible: %w", len(p.Outputs), MaxOutputs, ErrPlan)
	}
	seen := make(map[script.Outpoint]bool, len(p.Inputs))
	for i := range p.Inputs {
		c := &p.Inputs[i]
		if seen[c.At] {
			return fmt.Errorf("coin %s stands there twice: %w", c.At, ErrPlan)
		}
		seen[c.At] = true
		if c.Branch >= script.Hardened || c.Index >= script.Hardened {
			return fmt.Errorf("coin %s at branch %d, index %d: %w", c.At, c.Branch, c.Index, ErrPlan)
		}
	}
	for i := range p.Outputs {
		o := &p.Outputs[i]
		if err := p.Network.Payable(o.Script, script.Never); err != nil {
			return fmt.Errorf("output %d: %w: %w", i, err, ErrPlan)
		}
		if o.Amount < p.Network.Dust {
			return fmt.Errorf("output %d of %d units, less than nodes relay: %w", i, o.Amount, ErrPlan)
		}
	}
	if _, ok := p.Fee(); !ok {
		return fmt.Errorf("the outputs are more than the inputs: %w", ErrPlan)
	}
	return nil
}

// AppendTo appends the plan's one encoding (P-3).
func (p *Plan) AppendTo(dst []byte) []byte {
	dst = append(append(dst, byte(len(p.Network.Name))), p.Network.Name...) //nolint:gosec // a name of the table
	dst = binary.BigEndian.AppendUint32(dst, p.Version)
	dst = binary.BigEndian.AppendUint32(dst, p.Sequence)
	dst = binary.BigEndian.AppendUint32(dst, p.LockTime)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(p.Inputs))) //nolint:gosec // at most MaxInputs
	for i := range p.Inputs {
		c := &p.Inputs[i]
		dst = append(dst, c.At.Tx[:]...)
		dst = binary.BigEndian.AppendUint32(dst, c.At.Index)
		dst = binary.BigEndian.AppendUint64(dst, uint64(c.Amount))
		dst = binary.BigEndian.AppendUint32(dst, c.Series)
		dst = binary.BigEndian.AppendUint32(dst, c.Branch)
		dst = binary.BigEndian.AppendUint32(dst, c.Index)
	}
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(p.Outputs))) //nolint:gosec // at most MaxOutputs
	for i := range p.Outputs {
		o := &p.Outputs[i]
		dst = binary.BigEndian.AppendUint64(dst, uint64(o.Amount))
		dst = append(append(dst, byte(len(o.Script))), o.Script...) //nolint:gosec // of a template
	}
	return dst
}

// ParsePlan reads what AppendTo appended, and checks it. It returns ErrSyntax for
// bytes that are no plan's encoding, and ErrPlan as Check does.
func ParsePlan(b []byte) (*Plan, error) {
	in := cryptobyte.String(b)
	p := &Plan{}
	var name cryptobyte.String
	var n uint16
	ok := in.ReadUint8LengthPrefixed(&name) && in.ReadUint32(&p.Version) && in.ReadUint32(&p.Sequence) &&
		in.ReadUint32(&p.LockTime) && in.ReadUint16(&n) && n <= MaxInputs
	if ok {
		p.Inputs = make([]Coin, n)
	}
	for i := range p.Inputs {
		c := &p.Inputs[i]
		ok = ok && in.CopyBytes(c.At.Tx[:]) && in.ReadUint32(&c.At.Index) && in.ReadUint64((*uint64)(&c.Amount)) &&
			in.ReadUint32(&c.Series) && in.ReadUint32(&c.Branch) && in.ReadUint32(&c.Index)
	}
	if ok = ok && in.ReadUint16(&n) && n <= MaxOutputs; ok {
		p.Outputs = make([]script.Output, n)
	}
	for i := range p.Outputs {
		o := &p.Outputs[i]
		var out cryptobyte.String
		ok = ok && in.ReadUint64((*uint64)(&o.Amount)) && in.ReadUint8LengthPrefixed(&out)
		o.Script = out
	}
	if !ok || !in.Empty() {
		return nil, fmt.Errorf("plan of %d bytes: %w", len(b), ErrSyntax)
	}
	if p.Network, ok = script.ByName(string(name)); !ok {
		return nil, fmt.Errorf("plan for network %q: %w", name, ErrSyntax)
	}
	if err := p.Check(); err != nil {
		return nil, err
	}
	return p, nil
}
