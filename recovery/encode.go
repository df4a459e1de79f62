package recovery

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"souk/asset"
	"souk/chain"
	"souk/script"
	"souk/threshold"
)

// form is what a file says that it is.
const form = "souk recovery plan 1"

// MaxFile is the size of the largest file that Parse reads.
const MaxFile = 64 << 20

// The file. What stands in "words" is for people who look into it; nobody reads it back.
type (
	fileText struct {
		Form         string            `json:"form"`
		Network      string            `json:"network"`
		Series       []seriesText      `json:"series"`
		Seen         []pointText       `json:"seen"`
		Transactions []transactionText `json:"transactions"`
	}
	seriesText struct {
		Number uint32 `json:"number"`
		Series string `json:"series"`
	}
	pointText struct {
		Height uint32      `json:"height"`
		Hash   script.Hash `json:"hash"`
	}
	transactionText struct {
		Words      string        `json:"words"`
		Plan       string        `json:"plan"` // P-3
		Opens      uint32        `json:"opens"`
		Until      uint32        `json:"until,omitempty"`
		Signatures []partialText `json:"signatures"`
	}
	partialText struct {
		Input     uint32 `json:"input"`
		Key       uint8  `json:"key"`
		Signature string `json:"signature"`
	}
)

// Encode returns the file's text, which Parse reads.
func (f *File) Encode() ([]byte, error) {
	t := fileText{Form: form, Network: f.Network.Name}
	for i := range f.Series {
		s := &f.Series[i]
		t.Series = append(t.Series, seriesText{s.Number, hex.EncodeToString(s.AppendTo(nil))})
	}
	for _, p := range f.Seen {
		t.Seen = append(t.Seen, pointText{p.Height, p.Hash})
	}
	for i := range f.Transactions {
		x := &f.Transactions[i]
		sums, err := f.Sums(i)
		if err != nil {
			return nil, err
		}
		one := transactionText{
			Words: sums.words(f.Network), Plan: hex.EncodeToString(x.Plan.AppendTo(nil)),
			Opens: x.Opens, Until: x.Until, Signatures: []partialText{},
		}
		for _, p := range x.Said {
			one.Signatures = append(one.Signatures, partialText{p.Input, p.Key, hex.EncodeToString(p.Signature)})
		}
		t.Transactions = append(t.Transactions, one)
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", " ")
	if err := e.Encode(&t); err != nil {
		return nil, fmt.Errorf("encode the plan: %w", err)
	}
	return b.Bytes(), nil
}

func (s *Sums) words(n *script.Network) string {
	coins := func(x asset.Amount) string { return asset.Format(x, 8) + " " + n.Ticker }
	return fmt.Sprintf("%s: %d coins with %s; pays %s to %s, fee %s", s.ID, s.Coins, coins(s.In), coins(s.Paid), s.Address, coins(s.Fee))
}

// Parse reads a file and refuses, with ErrFile, what no holder should sign.
// Signatures are not looked at.
func Parse(data []byte) (*File, error) {
	var t fileText
	if len(data) > MaxFile {
		return nil, fmt.Errorf("%w: %d bytes", ErrFile, len(data))
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&t); err != nil || d.More() {
		return nil, fmt.Errorf("%w: it is damaged, or something else", ErrFile)
	}
	if t.Form != form {
		return nil, fmt.Errorf("%w: its form is %q, this program reads %q", ErrFile, t.Form, form)
	}
	f := &File{}
	f.Network, _ = script.ByName(t.Network)
	for _, s := range t.Series {
		data, err := hex.DecodeString(s.Series)
		if err != nil {
			return nil, fmt.Errorf("%w: series %d: %w", ErrFile, s.Number, err)
		}
		series, err := script.ParseSeries(data)
		if err != nil {
			return nil, fmt.Errorf("%w: series %d: %w", ErrFile, s.Number, err)
		}
		f.Series = append(f.Series, Series{Number: s.Number, Series: series})
	}
	for i, p := range t.Seen {
		if i > 0 && p.Height <= t.Seen[i-1].Height {
			return nil, fmt.Errorf("%w: blocks that were seen are not in their order", ErrFile)
		}
		f.Seen = append(f.Seen, chain.Point{Height: p.Height, Hash: p.Hash})
	}
	for i := range t.Transactions {
		x, err := t.Transactions[i].parse()
		if err != nil {
			return nil, fmt.Errorf("%w: transaction %d: %w", ErrFile, i+1, err)
		}
		f.Transactions = append(f.Transactions, x)
	}
	return f, f.check()
}

func (t *transactionText) parse() (x Transaction, err error) {
	data, err := hex.DecodeString(t.Plan)
	if err != nil {
		return x, err
	}
	x.Opens, x.Until = t.Opens, t.Until
	if x.Plan, err = threshold.ParsePlan(data); err != nil {
		return x, err
	}
	if most := len(x.Plan.Inputs) * script.MaxKeys; len(t.Signatures) > most {
		return x, fmt.Errorf("%d signatures, at most %d", len(t.Signatures), most)
	}
	for _, p := range t.Signatures {
		signature, err := hex.DecodeString(p.Signature)
		if err != nil || len(signature) > threshold.MaxSignature {
			signature = nil // which is none, and is named so
		}
		x.Said = append(x.Said, threshold.Partial{Input: p.Input, Key: p.Key, Signature: signature})
	}
	return x, nil
}
