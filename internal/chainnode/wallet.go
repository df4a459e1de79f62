package chainnode

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/btcsuite/btcd/address/v2"
	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"

	"souk/chain"
	"souk/script"
)

// replaceable is the sequence number of inputs that allow replacement.
const replaceable = 0xfffffffd

// Wallet holds keys that are derived from a text: for money of test networks only.
type Wallet struct {
	seed  string
	count uint32
	keys  map[string]*btcec.PrivateKey // by script
}

// NewWallet returns the wallet of a text.
func NewWallet(seed string) *Wallet {
	return &Wallet{seed: seed, keys: map[string]*btcec.PrivateKey{}}
}

// Script returns the P2WPKH output of the next key.
func (w *Wallet) Script() []byte {
	secret := sha256.Sum256(binary.BigEndian.AppendUint32([]byte(w.seed), w.count))
	w.count++
	key, public := btcec.PrivKeyFromBytes(secret[:])
	out := append([]byte{txscript.OP_0, 20}, address.Hash160(public.SerializeCompressed())...)
	w.keys[string(out)] = key
	return out
}

// Sign returns a transaction that spends coins of the wallet. It signals that it
// may be replaced.
func (w *Wallet) Sign(coins []chain.Payment, outputs []script.Output) ([]byte, error) {
	msg := wire.NewMsgTx(2)
	spent := txscript.NewMultiPrevOutFetcher(nil)
	for _, c := range coins {
		from := wire.OutPoint{Hash: chainhash.Hash(c.At.Tx), Index: c.At.Index}
		in := wire.NewTxIn(&from, nil, nil)
		in.Sequence = replaceable
		msg.AddTxIn(in)
		spent.AddPrevOut(from, wire.NewTxOut(int64(c.Amount), c.Script))
	}
	for _, o := range outputs {
		msg.AddTxOut(wire.NewTxOut(int64(o.Amount), o.Script))
	}
	hashes := txscript.NewTxSigHashes(msg, spent)
	for i, c := range coins {
		key, ok := w.keys[string(c.Script)]
		if !ok {
			return nil, errors.New("coin of another wallet")
		}
		witness, err := txscript.WitnessSignature(msg, hashes, i, int64(c.Amount), c.Script, txscript.SigHashAll, key, true)
		if err != nil {
			return nil, fmt.Errorf("sign input %d: %w", i, err)
		}
		msg.TxIn[i].Witness = witness
	}
	var raw bytes.Buffer
	if err := msg.Serialize(&raw); err != nil {
		return nil, err
	}
	return raw.Bytes(), nil
}

// idOf returns the id of a serialised transaction.
func idOf(raw []byte) (script.Hash, error) {
	msg := &wire.MsgTx{}
	if err := msg.Deserialize(bytes.NewReader(raw)); err != nil {
		return script.Hash{}, err
	}
	return script.Hash(msg.TxHash()), nil
}
