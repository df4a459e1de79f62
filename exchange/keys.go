package exchange

import (
	"golang.org/x/crypto/cryptobyte"

	"souk/exchange/ledger"
	"souk/identity"
)

// entitled tells whether a key can send such a command at all, whatever else is
// in the block (B-13). What it cannot do must not cost the account its fee, nor a
// nonce. The key is known to the account.
func (s *State) entitled(c *Command, n ledger.Number, now uint64, version uint32) bool {
	owner := s.ownedBy(n, c.Key)
	if c.Kind.ofBank() && s.banks == nil {
		return false
	}
	switch c.Kind { //nolint:exhaustive // the others need nothing but their scope
	case KindVote:
		_, operator := s.roster.ByOperator(c.Account)
		return owner && operator
	case KindReturn, KindAttest, KindSign, KindAnnounceKey, KindAdmit:
		_, server := s.roster.ByServer(c.Key)
		return server && s.ledger.Authorize(n, c.Key, ledger.Server, 0, now) == ledger.OK
	case KindRemoveDelegate:
		return owner || version >= 2 && removesItself(c) && !s.isServerKey(c.Account, c.Key)
	}
	if owner {
		return true
	}
	id, named := s.marketOf(c, n)
	if !named {
		return s.ledger.Holds(n, c.Key, kindTable[c.Kind].scope, now)
	}
	return s.ledger.Authorize(n, c.Key, kindTable[c.Kind].scope, id, now) == ledger.OK
}

// ownedBy tells whether a key is the owner's of an account.
func (s *State) ownedBy(n ledger.Number, key identity.PublicKey) bool {
	return s.ledger.Authorize(n, key, ledger.Owner, 0, 0) == ledger.OK
}

// memberOnly tells whether commands of a kind are for members of the federation.
func memberOnly(k Kind) bool {
	return k == KindVote || k == KindReturn || k == KindAttest || k == KindSign || k == KindAnnounceKey || k == KindAdmit
}

// removesItself tells whether a remove-delegate names the key that signed it.
func removesItself(c *Command) bool {
	var b RemoveDelegate
	return whole(&b, (*RemoveDelegate).read, c.Body) && b.Key == c.Key
}

// marketOf is the market that a command is about, zero for all. named is false for
// cancels and amends that name no live order: of which market theirs is, is not known.
func (s *State) marketOf(c *Command, n ledger.Number) (id uint32, named bool) {
	switch c.Kind { //nolint:exhaustive // the others are about no market
	case KindCancel, KindAmend:
		o, ok := s.target(c, n)
		return uint32(o.Market), ok
	case KindPlace, KindPlaceOCO, KindCancelAll:
		body := cryptobyte.String(c.Body)
		body.ReadUint32(&id)
	}
	return id, true
}

func (w *blockWork) addDelegate(t *task) Code {
	var b AddDelegate
	if code := asked(w, t, &b, (*AddDelegate).read, ledger.Owner); code != OK {
		return code
	}
	// The scope of servers goes with membership, by vote.
	if b.Scopes&ledger.Server != 0 {
		return BadDelegate
	}
	if b.Key.Check() != nil || w.s.isServerKey(t.cmd.Account, b.Key) {
		return BadKey
	}
	code := w.s.ledger.SetDelegate(t.account, ledger.Delegate{Key: b.Key, Scopes: b.Scopes, Markets: b.Markets, Expiry: b.Expiry}, w.now)
	return w.keysChanged(t, code)
}

func (w *blockWork) removeDelegate(t *task) Code {
	var b RemoveDelegate
	if !whole(&b, (*RemoveDelegate).read, t.cmd.Body) {
		return BadBody
	}
	// From protocol version 2 on a delegate may give its own power up, so that
	// whoever finds a bot's key leaked can disarm it without the owner's key.
	if w.version < 2 || b.Key != t.cmd.Key {
		if code := w.may(t, ledger.Owner, 0); code != OK {
			return code
		}
	}
	if w.s.isServerKey(t.cmd.Account, b.Key) {
		return BadKey
	}
	return w.keysChanged(t, w.s.ledger.RemoveDelegate(t.account, b.Key))
}

// isServerKey tells whether a key acts for an operator's own member server: it
// comes and goes with votes.
func (s *State) isServerKey(operator identity.Address, key identity.PublicKey) bool {
	id, ok := s.roster.ByServer(key)
	if !ok {
		return false
	}
	m, _ := s.roster.Member(id)
	return m.Operator == operator
}

func (w *blockWork) rotate(t *task) Code {
	var b Rotate
	if code := asked(w, t, &b, (*Rotate).read, ledger.Owner); code != OK {
		return code
	}
	if b.Key.Check() != nil {
		return BadKey
	}
	return w.keysChanged(t, w.s.ledger.StartRotation(t.account, b.Key, w.now+w.s.params.RotationDelay))
}

func (w *blockWork) cancelRotation(t *task) Code {
	if len(t.cmd.Body) != 0 {
		return BadBody
	}
	if code := w.may(t, ledger.Owner, 0); code != OK {
		return code
	}
	return w.keysChanged(t, w.s.ledger.CancelRotation(t.account))
}

func (w *blockWork) keysChanged(t *task, code ledger.Code) Code {
	if code == ledger.OK {
		w.event(Event{Kind: EventKeysChanged, Account: t.cmd.Account})
	}
	return ledgerCodes[code]
}
