package ledger

import (
	"slices"

	"souk/identity"
)

// Authorize tells whether a key may do something now: OK, UnknownKey or
// OutOfScope. market matters to the scope Trade only; zero there means all
// markets, for which a delegate limited to some markets is out of scope.
func (s *State) Authorize(n Number, key identity.PublicKey, scope Scope, market uint32, now uint64) Code {
	acc := s.accounts.at(n)
	if acc.owner == key && !key.IsZero() {
		return OK
	}
	if x := s.extras.get(acc); x != nil {
		if i, ok := x.find(&key); ok {
			return x.delegates[i].allows(scope, market, now)
		}
	}
	if w, _ := s.keyWindow(acc, &key); w != nil {
		return OK // the first command of an owner not known yet
	}
	return UnknownKey
}

// Holds is Authorize whatever the market: it tells whether a key has a scope now
// for any market at all.
func (s *State) Holds(n Number, key identity.PublicKey, scope Scope, now uint64) bool {
	acc := s.accounts.at(n)
	if x := s.extras.get(acc); x != nil {
		if i, ok := x.find(&key); ok {
			d := x.delegates[i].Delegate
			d.Markets = nil
			return d.allows(scope, 0, now) == OK
		}
	}
	w, _ := s.keyWindow(acc, &key)
	return w != nil
}

func (d *Delegate) allows(scope Scope, market uint32, now uint64) Code {
	if d.Scopes&scope != scope || d.Expiry != 0 && now >= d.Expiry {
		return OutOfScope
	}
	if scope&Trade != 0 && len(d.Markets) > 0 {
		if _, ok := slices.BinarySearch(d.Markets, market); !ok {
			return OutOfScope
		}
	}
	return OK
}

// valid tells whether a delegate's limits make sense.
func (d *Delegate) valid() bool {
	if d.Scopes == 0 || d.Scopes&^AllScopes != 0 || len(d.Markets) > MaxMarkets {
		return false
	}
	last := uint32(0)
	for _, m := range d.Markets {
		if m <= last {
			return false
		}
		last = m
	}
	return true
}

// SetDelegate adds a delegate or replaces the limits of one: OK, BadKey,
// BadDelegate or TooManyDelegates. The ledger keeps a copy.
func (s *State) SetDelegate(n Number, d Delegate, now uint64) Code {
	acc := s.accounts.at(n)
	if !d.valid() || d.Expiry != 0 && d.Expiry <= now {
		return BadDelegate
	}
	d.Markets = slices.Clone(d.Markets)
	x := s.extras.get(acc)
	if x != nil {
		if i, ok := x.find(&d.Key); ok {
			x.delegates[i].Delegate = d // the window stays
			s.touch(n, acc)
			return OK
		}
		if len(x.delegates) == MaxDelegates {
			return TooManyDelegates
		}
	}
	if !s.free(acc, &d.Key) {
		return BadKey
	}
	x = s.extras.need(acc)
	i, _ := x.find(&d.Key)
	x.delegates = slices.Insert(x.delegates, i, delegate{Delegate: d, window: window{top: x.floor}})
	s.touch(n, acc)
	return OK
}

// free tells whether a key is usable and has no role in an account.
func (s *State) free(acc *account, key *identity.PublicKey) bool {
	if w, _ := s.keyWindow(acc, key); w != nil {
		return false
	}
	if x := s.extras.get(acc); x != nil && x.rotation.Due != 0 && x.rotation.Key == *key {
		return false
	}
	return key.Check() == nil
}

// RemoveDelegate takes a delegate's power away: OK or UnknownDelegate. Nonces up
// to its highest can never be used again in this account by a key that is added
// later, so not by itself either (L-14).
func (s *State) RemoveDelegate(n Number, key identity.PublicKey) Code {
	acc := s.accounts.at(n)
	x := s.extras.get(acc)
	if x == nil {
		return UnknownDelegate
	}
	i, ok := x.find(&key)
	if !ok {
		return UnknownDelegate
	}
	w := &x.delegates[i].window
	x.floor = max(x.floor, w.top)
	s.bitmaps.drop(w)
	x.delegates = slices.Delete(x.delegates, i, i+1)
	s.extras.drop(acc)
	s.touch(n, acc)
	return OK
}

// StartRotation makes key the owner from due on, which must not be zero: OK,
// BadKey or RotationPending.
func (s *State) StartRotation(n Number, key identity.PublicKey, due uint64) Code {
	acc := s.accounts.at(n)
	if x := s.extras.get(acc); x != nil && x.rotation.Due != 0 {
		return RotationPending
	}
	if !s.free(acc, &key) {
		return BadKey
	}
	s.extras.need(acc).rotation = Rotation{Key: key, Due: due}
	s.schedule.set(Due{Rotated, n, due})
	s.touch(n, acc)
	return OK
}

// CancelRotation calls a pending rotation off: OK or NoRotation.
func (s *State) CancelRotation(n Number) Code {
	acc := s.accounts.at(n)
	x := s.extras.get(acc)
	if x == nil || x.rotation.Due == 0 {
		return NoRotation
	}
	x.rotation = Rotation{}
	s.schedule.clear(Rotated, n)
	s.extras.drop(acc)
	s.touch(n, acc)
	return OK
}

// rotate makes the next owner the owner. The old key's nonces are covered by the
// floor, should it ever get a role again.
func (s *State) rotate(acc *account) {
	x := s.extras.get(acc)
	x.floor = max(x.floor, acc.window.top)
	s.bitmaps.drop(&acc.window)
	acc.owner, acc.window.top = x.rotation.Key, x.floor
	x.rotation = Rotation{}
}

// SetTimer arms an account's dead-man timer for due, or disarms it if due is zero.
func (s *State) SetTimer(n Number, due uint64) {
	acc := s.accounts.at(n)
	if due == 0 {
		if x := s.extras.get(acc); x == nil || x.timer == 0 {
			return
		}
		s.schedule.clear(Timer, n)
	} else {
		s.schedule.set(Due{Timer, n, due})
	}
	s.extras.need(acc).timer = due
	s.extras.drop(acc)
	s.touch(n, acc)
}

// NextDue returns when the next item is due.
func (s *State) NextDue() (due uint64, ok bool) {
	d, ok := s.schedule.first()
	return d.At, ok
}

// TakeDue carries out and returns the next item that is due at now, in the order
// of (due time, account number, kind). Call it until ok is false.
func (s *State) TakeDue(now uint64) (d Due, ok bool) {
	d, ok = s.schedule.first()
	if !ok || d.At > now {
		return Due{}, false
	}
	s.schedule.clear(d.Kind, d.Account)
	acc := s.accounts.at(d.Account)
	switch d.Kind {
	case Rotated:
		s.rotate(acc)
	case Timer:
		s.extras.get(acc).timer = 0
	}
	s.extras.drop(acc)
	s.touch(d.Account, acc)
	return d, true
}
