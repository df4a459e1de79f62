// Package threshold owns how the holders of several keys spend a coin together:
// from a plan of a transaction to what each of them signs, from their signatures
// to the transaction.
//
// It knows kinds of shared signing. A kind opens a session for a plan; the session
// takes what the others said and answers what is to be said next, so that kinds
// with one message each and kinds with rounds look the same. Messages travel, and
// are kept, elsewhere. The one kind so far is Multisig, k of n signatures on
// Bitcoin, Litecoin and Namecoin.
//
// Who may spend what is decided by exchange/custody; that a plan is the ledger's
// is for signer to make sure before it signs. Here nothing is drawn at random, and
// everyone computes the same. The rules are docs/spec/13-threshold.md. Floor 1: it
// imports asset and script.
package threshold

import (
	"errors"

	"souk/script"
)

// Errors.
var (
	// ErrPlan is returned for a plan that cannot become a transaction which nodes relay.
	ErrPlan = errors.New("not a plan")
	// ErrSyntax is returned for bytes that encode no plan.
	ErrSyntax = errors.New("malformed")
	// ErrStranger is returned by Sign for a key that has no part in any input.
	ErrStranger = errors.New("the key has no part in this plan")
	// ErrPartial is returned for a partial signature that is of no use.
	ErrPartial = errors.New("bad partial signature")
	// ErrTooFew is returned by Combine while an input lacks partial signatures.
	ErrTooFew = errors.New("too few signatures")
)

// MaxSignature is the length of the longest partial signature in bytes.
const MaxSignature = 72

// Kind is a way in which the members of series sign together.
type Kind interface {
	// Open prepares for signing a plan, checking it and its coins' series:
	// ErrPlan, or what package script says of a series or key.
	Open(plan *Plan) (Session, error)
}

// Session is one plan being signed. A session is not safe for concurrent use. One
// that has secrets of its own (the nonces of kinds with rounds) is for one
// signature only and is never stored.
type Session interface {
	// Digests returns what is signed, by input.
	Digests() [][32]byte
	// Sign returns what the holder of a key says after having seen what has been
	// said; nothing if it is not his turn. It returns ErrStranger if the key has no
	// part in the plan.
	Sign(key script.PrivateMemberKey, said []Partial) ([]Partial, error)
	// Check tells whether something said is of use: ErrPartial says why not.
	Check(p Partial) error
	// Combine returns the signed transaction as it is broadcast. What is of no use
	// is left out and listed in the order in which it was said; it is no error
	// unless too little is left (ErrTooFew).
	Combine(said []Partial) (raw []byte, faults []Fault, err error)
}

// Partial is what one key contributes to one input.
type Partial struct {
	Input     uint32 // position in the plan
	Key       uint8  // position in the keys of the series that the input's coin is of
	Signature []byte // in DER with low S, and its hash type
}

// Fault names who said what was of no use.
type Fault struct {
	Input uint32
	Key   uint8
	Err   error // wraps ErrPartial
}
