package script

import (
	"errors"
	"fmt"

	"github.com/btcsuite/btcd/btcec/v2"
)

// Errors of outputs.
var (
	// ErrTemplate is returned for an output script that no bank pays to.
	ErrTemplate = errors.New("not an output that can be paid to")
	// ErrInactive is returned for an output that its network does not yet, or not
	// at all, protect: anybody could spend it.
	ErrInactive = errors.New("not active on this network")
	// ErrUnspendable is returned for a taproot output whose 32 bytes are not the x of
	// a point of the curve: nobody has a key for it, and no script can be shown.
	ErrUnspendable = errors.New("no key belongs to it, so what is paid to it is lost for ever")
)

// Template is the form of an output script.
type Template uint8

// Templates. Numbers are append-only.
const (
	P2PKH  Template = iota + 1 // hash of a key
	P2SH                       // hash of a script
	P2WPKH                     // witness version 0, hash of a key
	P2WSH                      // witness version 0, hash of a script
	P2TR                       // witness version 1
)

// Opcodes.
const (
	op0             = 0x00
	op1             = 0x51
	opIf            = 0x63
	opElse          = 0x67
	opEndIf         = 0x68
	opDrop          = 0x75
	opDup           = 0x76
	opEqual         = 0x87
	opEqualVerify   = 0x88
	opHash160       = 0xa9
	opCheckSig      = 0xac
	opCheckMultiSig = 0xae
	opCheckSequence = 0xb2
)

// TemplateOf returns the template of an output script, or ErrTemplate.
func TemplateOf(out []byte) (Template, error) {
	switch {
	case len(out) == 25 && out[0] == opDup && out[1] == opHash160 && out[2] == 20 && out[23] == opEqualVerify && out[24] == opCheckSig:
		return P2PKH, nil
	case len(out) == 23 && out[0] == opHash160 && out[1] == 20 && out[22] == opEqual:
		return P2SH, nil
	case len(out) == 22 && out[0] == op0 && out[1] == 20:
		return P2WPKH, nil
	case len(out) == 34 && out[0] == op0 && out[1] == 32:
		return P2WSH, nil
	case len(out) == 34 && out[0] == op1 && out[1] == 32:
		return P2TR, nil
	}
	return 0, fmt.Errorf("script %x: %w", out[:min(len(out), 64)], ErrTemplate)
}

// Payable tells whether a bank may pay to an output script in a block of this
// height: ErrTemplate, ErrInactive and ErrUnspendable say why not.
func (n *Network) Payable(out []byte, height uint32) error {
	template, err := TemplateOf(out)
	if err != nil {
		return err
	}
	active := uint32(0)
	switch template {
	case P2PKH, P2SH:
	case P2WPKH, P2WSH:
		active = n.SegwitHeight
	case P2TR:
		active = n.TaprootHeight
	}
	if active == Never {
		return fmt.Errorf("taproot on %s: %w", n.Name, ErrInactive)
	}
	if height < active {
		return fmt.Errorf("block %d of %s, active from block %d: %w", height, n.Name, active, ErrInactive)
	}
	if template == P2TR && !onCurve(out[2:]) {
		return ErrUnspendable
	}
	return nil
}

// onCurve tells whether 32 bytes are the x of a point of secp256k1.
func onCurve(x []byte) bool {
	_, err := btcec.ParsePubKey(append([]byte{2}, x...))
	return err == nil
}
