package recovery

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"souk/asset"
	"souk/chain"
	"souk/script"
	"souk/threshold"
)

// File is a plan of a recovery as it goes from holder to holder: transactions, and what
// has been signed of them. Nothing in it is secret.
type File struct {
	Network      *script.Network
	Series       []Series
	Transactions []Transaction
	// Seen is how far the chain was read when the plan was made; Watch looks for the
	// transactions behind it.
	Seen chain.Locator
}

// Transaction is one transaction of a plan.
type Transaction struct {
	Plan *threshold.Plan
	Said []threshold.Partial
	// Opens and Until are those of the last of its coins to open. They are for people
	// and for patience: nodes decide by the coins.
	Opens, Until uint32
}

// Sums are what a transaction does, read from the bytes that are signed.
type Sums struct {
	ID            script.Hash
	Coins         int
	In, Paid, Fee asset.Amount
	Address       string       // that all of Paid goes to
	Rate          asset.Amount // units per 1,000 virtual bytes
}

// seen shortens a locator to what Watch needs: the beginning, and points behind which no
// reorganisation is expected.
func seen(l chain.Locator) chain.Locator {
	const kept = 24
	if len(l) <= kept+1 {
		return l
	}
	return slices.Concat(l[:1], l[len(l)-kept:])
}

// check refuses what no holder should sign.
func (f *File) check() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: %w", ErrFile, fmt.Errorf(format, args...))
	}
	if f.Network == nil {
		return bad("there is no such network")
	}
	if err := checkSeries(f.Series); err != nil {
		return bad("%w", err)
	}
	if len(f.Transactions) == 0 {
		return bad("it has no transaction")
	}
	taken := map[script.Outpoint]bool{}
	var to []byte
	for i := range f.Transactions {
		p := f.Transactions[i].Plan
		if p.Network != f.Network {
			return bad("transaction %d is on %s, the plan on %s", i+1, p.Network.Name, f.Network.Name)
		}
		if len(p.Outputs) != 1 || i > 0 && !bytes.Equal(p.Outputs[0].Script, to) {
			return bad("transaction %d pays to more than one address: a recovery pays everything to one", i+1)
		}
		to = p.Outputs[0].Script
		for j := range p.Inputs {
			if at := p.Inputs[j].At; taken[at] {
				return bad("coin %s is spent twice", at)
			}
			taken[p.Inputs[j].At] = true
		}
		if _, err := f.open(i); err != nil {
			return bad("transaction %d: %w", i+1, err)
		}
		sums, err := f.Sums(i)
		if err != nil {
			return bad("transaction %d: %w", i+1, err)
		}
		if sums.Rate > chain.MaxRate {
			return bad("transaction %d pays a fee of %d units per 1,000 virtual bytes, nodes relay none above %d", i+1, sums.Rate, chain.MaxRate)
		}
	}
	return nil
}

// open opens a transaction for signing.
func (f *File) open(i int) (threshold.Session, error) {
	series := byNumber(f.Series)
	p := f.Transactions[i].Plan
	for j := range p.Inputs {
		if n := p.Inputs[j].Series; uint64(n) >= uint64(len(series)) || series[n] == nil {
			return nil, fmt.Errorf("coin %s is of series %d, which is not in the file", p.Inputs[j].At, n)
		}
	}
	kind := threshold.Multisig{Series: series, Recovery: true}
	return kind.Open(p)
}

// Sums reads what a transaction, by its place in Transactions, does from what is signed.
// An error says what does not fit together; a file that Parse has read has none.
func (f *File) Sums(i int) (s Sums, err error) {
	p := f.Transactions[i].Plan
	s.ID, s.Coins, s.Paid = p.TxID(), len(p.Inputs), p.Outputs[0].Amount
	var ok bool
	if s.Fee, ok = p.Fee(); !ok {
		return s, errors.New("it pays more than it has")
	}
	s.In = s.Paid + s.Fee // a sum that Fee found to fit
	if s.Address, err = f.Network.Address(p.Outputs[0].Script); err != nil {
		return s, err
	}
	series := byNumber(f.Series)
	weights := make([]uint64, len(p.Inputs))
	for j := range p.Inputs {
		n := p.Inputs[j].Series
		if uint64(n) >= uint64(len(series)) || series[n] == nil {
			return s, fmt.Errorf("coin %s is of series %d, which is not in the file", p.Inputs[j].At, n)
		}
		weights[j] = series[n].InputWeight(true)
	}
	size := (script.TransactionWeight(weights, []uint64{script.OutputWeight(p.Outputs[0].Script)}) + 3) / 4
	rate, ok := asset.Mul(uint64(s.Fee), 1000).DivUp(size)
	if !ok {
		return s, errors.New("its fee is out of range")
	}
	s.Rate = asset.Amount(rate)
	return s, nil
}

// Holder is what a holder has contributed to a transaction.
type Holder struct {
	Key    script.MemberKey
	Number int   // in the recovery, from 1
	Signed bool  // every input that he has a part in
	Bad    error // of a signature of his that is none; nil if there is none
}

// Standing is how far the signing of a transaction is.
type Standing struct {
	Holders []Holder
	Needed  int // signatures for each input
	Missing int // holders who must sign still
}

// Standing checks the signatures of a transaction, by its place in Transactions. Errors
// are those of threshold about its plan.
func (f *File) Standing(i int) (Standing, error) {
	session, err := f.open(i)
	if err != nil {
		return Standing{}, err
	}
	t := &f.Transactions[i]
	series := byNumber(f.Series)
	type slot struct {
		input uint32
		key   uint8
	}
	good, bad := map[slot]bool{}, map[slot]error{}
	for _, said := range t.Said {
		if err := session.Check(said); err != nil {
			bad[slot{said.Input, said.Key}] = err
		} else {
			good[slot{said.Input, said.Key}] = true
		}
	}
	var s Standing
	at := map[script.MemberKey]int{}
	for j := range t.Plan.Inputs {
		r := series[t.Plan.Inputs[j].Series].Recovery
		have := 0
		for n, key := range r.Keys {
			k, ok := at[key]
			if !ok {
				k, at[key] = len(s.Holders), len(s.Holders)
				s.Holders = append(s.Holders, Holder{Key: key, Number: n + 1, Signed: true})
			}
			place := slot{uint32(j), uint8(n)}
			if good[place] {
				have++
			} else {
				s.Holders[k].Signed = false
			}
			if err := bad[place]; err != nil && s.Holders[k].Bad == nil {
				s.Holders[k].Bad = err
			}
		}
		s.Needed, s.Missing = max(s.Needed, int(r.K)), max(s.Missing, int(r.K)-have)
	}
	return s, nil
}

// Sign adds a holder's signatures to all transactions. What was there in his name and is
// no signature goes. It answers how many transactions he has signed, and returns
// ErrStranger if the key has no part in any.
func (f *File) Sign(key script.PrivateMemberKey) (signed int, err error) {
	for i := range f.Transactions {
		session, err := f.open(i)
		if err != nil {
			return signed, err
		}
		own, err := session.Sign(key, nil)
		if errors.Is(err, threshold.ErrStranger) {
			continue
		}
		if err != nil {
			return signed, fmt.Errorf("sign transaction %d: %w", i+1, err)
		}
		t := &f.Transactions[i]
		t.Said = slices.DeleteFunc(t.Said, func(p threshold.Partial) bool {
			return slices.ContainsFunc(own, func(o threshold.Partial) bool { return o.Input == p.Input && o.Key == p.Key })
		})
		t.Said = append(t.Said, own...)
		signed++
	}
	if signed == 0 {
		return 0, ErrStranger
	}
	return signed, nil
}

// Merge adds the signatures of another copy of the same plan. A good one goes before one
// that is none. It returns ErrOther for a copy of another plan.
func (f *File) Merge(other *File) error {
	if len(other.Transactions) != len(f.Transactions) {
		return ErrOther
	}
	for i := range f.Transactions {
		if !bytes.Equal(f.Transactions[i].Plan.AppendTo(nil), other.Transactions[i].Plan.AppendTo(nil)) {
			return fmt.Errorf("%w: transaction %d differs", ErrOther, i+1)
		}
	}
	for i := range f.Transactions {
		session, err := f.open(i)
		if err != nil {
			return err
		}
		t := &f.Transactions[i]
		for _, p := range other.Transactions[i].Said {
			n := slices.IndexFunc(t.Said, func(q threshold.Partial) bool { return q.Input == p.Input && q.Key == p.Key })
			switch {
			case n < 0:
				t.Said = append(t.Said, p)
			case session.Check(t.Said[n]) != nil:
				t.Said[n] = p
			}
		}
	}
	return nil
}

// Combine returns a signed transaction as it is broadcast. It returns ErrUnsigned, and
// says whose signatures are missing or bad, while there are too few.
func (f *File) Combine(i int) ([]byte, error) {
	session, err := f.open(i)
	if err != nil {
		return nil, err
	}
	raw, _, err := session.Combine(f.Transactions[i].Said)
	if errors.Is(err, threshold.ErrTooFew) {
		return nil, fmt.Errorf("transaction %d: %w: %w", i+1, ErrUnsigned, err)
	}
	return raw, err
}
