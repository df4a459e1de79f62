// Package signer owns a member's bank keys and what is signed with them. It rebuilds
// the transaction of a batch's version from the member's own copy of the ledger,
// makes sure that everything fits, writes down what it is about to sign, and then
// signs that and nothing else, but for proofs that the keys are there. No caller can
// hand it a transaction.
//
// What is to be paid is decided by exchange/custody; how a signature is made is
// threshold's; when to sign, and what becomes of the signatures, is the custodian's.
// The journal is in journal.go, what a record must be like in order.go. The rules
// are docs/spec/16-custodian.md.
//
// Floor 3: it imports values, exchange/custody and threshold.
package signer

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"souk/exchange/custody"
	"souk/script"
	"souk/threshold"
)

// Errors of signing. Nothing was signed.
var (
	// ErrUnknown is returned for a bank, batch or version that the ledger does not
	// have, or not any more.
	ErrUnknown = errors.New("the ledger has no such version")
	// ErrHalted is returned while the bank is halted.
	ErrHalted = errors.New("the bank is halted")
	// ErrUnfit is returned for a record of the ledger that does not fit together.
	// The ledger, or this member's copy of it, is damaged.
	ErrUnfit = errors.New("the ledger's record does not fit together")
	// ErrNoKey is returned if there is no key for the bank's network.
	ErrNoKey = errors.New("no key for this network")
	// ErrStranger is returned if no input of the batch has this member's key.
	ErrStranger = errors.New("no input has a key of this member")
	// ErrBound is returned for what the journal forbids: something else was signed
	// for the same withdrawal, batch or coin, and the ledger does not show that it has
	// become impossible (W-10).
	ErrBound = errors.New("the journal forbids it")
	// ErrClosed is returned after Close.
	ErrClosed = errors.New("signer is closed")
)

// Keys are a member's bank keys by the names of their networks.
type Keys map[string]script.PrivateMemberKey

// Signer signs for one member of one virtual server. Its methods may be called by
// several goroutines at once.
type Signer struct {
	dir string

	mu      sync.Mutex
	keys    Keys // nil once it is closed
	books   map[custody.Bank]*book
	adopted map[custody.Bank]bool // what the ledger knows of own signatures is in the book
}

// Open opens the journal in a folder of its own, which it makes if there is none.
// The folder must be the member's alone, for one virtual server, and used by one
// process at a time. It returns ErrPermissions if others could read there and
// ErrJournal for a journal that is damaged. The keys are the signer's from now on.
func Open(dir string, keys Keys) (*Signer, error) {
	books, err := openBooks(dir)
	if err != nil {
		return nil, fmt.Errorf("open signing journal: %w", err)
	}
	own := Keys{}
	for network, key := range keys {
		if _, ok := script.ByName(network); !ok || key.IsZero() {
			return nil, fmt.Errorf("key for network %q: %w", network, script.ErrKey)
		}
		own[network] = key
	}
	return &Signer{dir: dir, keys: own, books: books, adopted: map[custody.Bank]bool{}}, nil
}

// Close wipes the keys, all copies included. Whatever is being signed ends before.
func (s *Signer) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range s.keys {
		key.Wipe()
	}
	s.keys = nil
	return nil
}

// Announce returns the public key for a network; false if there is none.
func (s *Signer) Announce(network string) (script.MemberKey, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key, ok := s.keys[network]
	if !ok {
		return script.MemberKey{}, false
	}
	return key.Public(), true
}

// Possess proves that this member has the key for the network of a claim: the one
// thing besides transactions that is signed, and never to be taken for one (W-4). It
// returns ErrNoKey if there is none.
func (s *Signer) Possess(claim script.Claim) (script.Possession, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key, ok := s.keys[claim.Network]
	if !ok {
		return script.Possession{}, fmt.Errorf("%s: %w", claim.Network, ErrNoKey)
	}
	return key.Possess(claim)
}

// Sign signs a version of a batch with what keys this member has in its inputs. The
// caller keeps the view from changing meanwhile. Who holds a lock for that, and does
// not want to hold it while disks and curves are at work, calls Prepare.
func (s *Signer) Sign(view *custody.State, me custody.Member, id custody.Bank, batch uint64, version uint8) (*custody.Signature, error) {
	sign, err := s.Prepare(view, me, id, batch, version)
	if err != nil {
		return nil, err
	}
	return sign()
}

// Prepare reads from the view all that signing a version needs, checks it, and
// returns what signs. That does not use the view any more and takes the journal as
// it is then. It may be called once or not at all.
func (s *Signer) Prepare(
	view *custody.State, me custody.Member, id custody.Bank, batch uint64, version uint8,
) (sign func() (*custody.Signature, error), err error) {
	order, err := readOrder(view, me, id, batch, version)
	if err != nil {
		return nil, fmt.Errorf("batch %d of bank %d, version %d: %w", batch, id, version, err)
	}
	order.news = s.compare(view, me, id)
	order.news.dead = view.Dead(id, batch)
	return func() (*custody.Signature, error) {
		signature, err := s.sign(order)
		if err != nil {
			return nil, fmt.Errorf("batch %d of bank %d, version %d: %w", batch, id, version, err)
		}
		return signature, nil
	}, nil
}

// compare finds out what the ledger says of the batches in the journal.
func (s *Signer) compare(view *custody.State, me custody.Member, id custody.Bank) *news {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := &news{ends: map[uint64]ending{}}
	b := s.books[id]
	if b == nil {
		b = &book{}
	}
	for i := range b.entries {
		n.ends[b.entries[i].batch] = endOf(view, id, &b.entries[i])
	}
	for i := range b.entries {
		if n.ends[b.entries[i].batch] == settled {
			for _, w := range b.entries[i].ids {
				n.finished = append(n.finished, finish(view, b, w))
			}
		}
	}
	if !s.adopted[id] {
		n.given = ownSignatures(view, me, id)
	}
	return n
}

// sign opens the plan, writes the journal and signs, in this order.
func (s *Signer) sign(o *order) (*custody.Signature, error) {
	kind := &threshold.Multisig{Series: o.series}
	session, err := kind.Open(&o.plan)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnfit, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keys == nil {
		return nil, ErrClosed
	}
	key, ok := s.keys[o.plan.Network.Name]
	if !ok {
		return nil, fmt.Errorf("%s: %w", o.plan.Network.Name, ErrNoKey)
	}
	public := key.Public()
	if !slices.ContainsFunc(o.inputs, func(in input) bool { return in.own(public) }) {
		return nil, ErrStranger
	}
	if err := s.record(o); err != nil {
		return nil, err
	}
	partials, err := session.Sign(key, nil)
	if err != nil {
		return nil, err
	}
	x := &custody.Signature{Bank: o.bank, Batch: o.batch, Version: o.version, Signatures: make([][]byte, len(o.inputs))}
	for _, p := range partials {
		if o.inputs[p.Input].own(public) {
			x.Signatures[p.Input] = p.Signature
		}
	}
	return x, nil
}

// record binds what is about to be signed in the journal, durably. What the journal
// has already is not written again.
func (s *Signer) record(o *order) error {
	old := s.books[o.bank]
	if old == nil {
		old = &book{bank: o.bank}
	}
	next := old.clone()
	changed := next.learn(o.news)
	bound, err := next.bind(o)
	if err != nil {
		return err
	}
	if changed || bound {
		if err := next.write(s.dir); err != nil {
			return fmt.Errorf("write signing journal: %w", err)
		}
	}
	s.books[o.bank], s.adopted[o.bank] = next, true
	return nil
}
