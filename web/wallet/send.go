package wallet

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
)

// maxPayments is how many payments one request may have.
const maxPayments = 100

// unsupported refuses arguments that would change what is sent (J-53).
func (c *call) unsupported(subtract, rate int) error {
	raw := c.params[subtract]
	if raw != nil && string(raw) != "false" && string(bytes.TrimSpace(raw)) != "[]" {
		return fault(codeParameter, "The fee comes on top of the amount: what it will be is known only when the transaction is made, so it is not subtracted.")
	}
	if c.params[rate] != nil {
		return fault(codeParameter, "The bank's members agree on the fee rate of its transactions; nobody sets it.")
	}
	return nil
}

func sendToAddress(ctx context.Context, c *call) (any, error) {
	r := &Request{ID: c.id}
	var err error
	p := Payment{}
	if p.Address, err = c.text(0); err != nil {
		return nil, err
	}
	if p.Amount, err = c.coins(1); err != nil {
		return nil, err
	}
	if p.Amount == 0 {
		return nil, fault(codeType, "Invalid amount for send")
	}
	if r.Comment, err = c.text(2); err != nil {
		return nil, err
	}
	if r.To, err = c.text(3); err != nil {
		return nil, err
	}
	if err := c.unsupported(4, 9); err != nil {
		return nil, err
	}
	verbose, err := c.flag(10)
	if err != nil {
		return nil, err
	}
	r.Payments = []Payment{p}
	sent, err := c.pay(ctx, r)
	if err != nil {
		return nil, err
	}
	if verbose {
		return map[string]any{"txid": sent[0].ID, "fee_reason": "Agreed on by the bank's members"}, nil
	}
	return sent[0].ID, nil
}

func sendMany(ctx context.Context, c *call) (any, error) {
	dummy, err := c.text(0)
	if err != nil {
		return nil, err
	}
	if dummy != "" {
		return nil, fault(codeParameter, "Dummy value must be set to \"\"")
	}
	r := &Request{ID: c.id}
	if r.Payments, err = payments(c.params[1]); err != nil {
		return nil, err
	}
	if r.Comment, err = c.text(3); err != nil {
		return nil, err
	}
	if err := c.unsupported(4, 8); err != nil {
		return nil, err
	}
	verbose, err := c.flag(9)
	if err != nil {
		return nil, err
	}
	sent, err := c.pay(ctx, r)
	if err != nil {
		return nil, err
	}
	if verbose {
		return map[string]any{"txid": sent[0].ID, "fee_reason": "Agreed on by the bank's members"}, nil
	}
	return sent[0].ID, nil
}

// payments reads an object of addresses and amounts, in its order. An address that stands
// there twice is refused.
func payments(raw json.RawMessage) ([]Payment, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, fault(codeType, "JSON value of type %s is not of expected type object", kind(raw))
	}
	seen := map[string]bool{}
	var list []Payment
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, fault(codeParse, "Parse error")
		}
		p := Payment{Address: fmt.Sprint(t)}
		if seen[p.Address] {
			return nil, fault(codeParameter, "Invalid parameter, duplicated address: %s", p.Address)
		}
		seen[p.Address] = true
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, fault(codeParse, "Parse error")
		}
		var e *rpcError
		if p.Amount, e = amount(value); e != nil {
			return nil, e
		}
		if p.Amount == 0 {
			return nil, fault(codeType, "Invalid amount for send")
		}
		if list = append(list, p); len(list) > maxPayments {
			return nil, fault(codeParameter, "at most %d payments in one request", maxPayments)
		}
	}
	if len(list) == 0 {
		return nil, fault(codeParameter, "Transaction must have at least one recipient")
	}
	return list, nil
}

func (c *call) pay(ctx context.Context, r *Request) ([]Movement, error) {
	name, err := c.name(ctx)
	if err != nil {
		return nil, err
	}
	return c.account().Pay(ctx, name, r)
}
