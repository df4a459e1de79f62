package exchange

import (
	"souk/exchange/ledger"
	"souk/identity"
)

func (w *blockWork) addDelegate(t *task) Code {
	var b AddDelegate
	if !whole(&b, (*AddDelegate).read, t.cmd.Body) {
		return BadBody
	}
	if code := w.may(t, ledger.Owner, 0); code != OK {
		return code
	}
	// The scope of servers goes with membership, by vote.
	if b.Scopes&ledger.Server != 0 {
		return BadDelegate
	}
	if b.Key.Check() != nil || w.isServerKey(t, b.Key) {
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
	if w.isServerKey(t, b.Key) {
		return BadKey
	}
	return w.keysChanged(t, w.s.ledger.RemoveDelegate(t.account, b.Key))
}

// isServerKey tells whether a key acts for the account's own member server: it
// comes and goes with votes.
func (w *blockWork) isServerKey(t *task, key identity.PublicKey) bool {
	id, ok := w.s.roster.ByServer(key)
	if !ok {
		return false
	}
	m, _ := w.s.roster.Member(id)
	return m.Operator == t.cmd.Account
}

func (w *blockWork) rotate(t *task) Code {
	var b Rotate
	if !whole(&b, (*Rotate).read, t.cmd.Body) {
		return BadBody
	}
	if code := w.may(t, ledger.Owner, 0); code != OK {
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
