package ledger

import "souk/identity"

// account is what is kept of every account. It holds no pointers: a million of
// them are nothing to the garbage collector.
type account struct {
	window  window // of the owner's key
	address identity.Address
	owner   identity.PublicKey // zero until the first command
	run     uint32             // where the balances are, see arena
	lines   uint32             // how many balances there are
	extra   uint32             // see extras; zero for most accounts
	class   uint8              // the run has room for 2^class balances
	dirty   bool               // the leaf has changed since the last call of Changes
}

// accountPage is how many accounts are allocated at a time. Pages are never
// moved, so the ledger grows without copying what it has.
const accountPage = 1024

// accounts is all accounts by number.
type accounts struct {
	pages [][]account
	n     int
}

// at returns an account, which must exist; the pointer stays valid.
func (a *accounts) at(n Number) *account {
	i := uint32(n) - 1
	return &a.pages[i/accountPage][i%accountPage]
}

// add appends an account.
func (a *accounts) add() *account {
	if a.n%accountPage == 0 {
		a.pages = append(a.pages, make([]account, 0, accountPage))
	}
	last := &a.pages[len(a.pages)-1]
	*last = (*last)[:len(*last)+1]
	a.n++
	return &(*last)[len(*last)-1]
}

// extra is what only some accounts have.
type extra struct {
	delegates []delegate // ascending by key
	rotation  Rotation
	timer     uint64 // ms; zero if not armed
	floor     uint64 // new keys count all nonces up to this as used (L-14)
}

type delegate struct {
	Delegate
	window window
}

func (x *extra) empty() bool {
	return len(x.delegates) == 0 && x.rotation.Due == 0 && x.timer == 0 && x.floor == 0
}

// extras are kept apart from the accounts, which say where: index plus one.
type extras struct {
	all  []*extra
	free []uint32
}

// get returns an account's extra, or nil.
func (e *extras) get(acc *account) *extra {
	if acc.extra == 0 {
		return nil
	}
	return e.all[acc.extra-1]
}

// need returns an account's extra and makes it if there is none.
func (e *extras) need(acc *account) *extra {
	if x := e.get(acc); x != nil {
		return x
	}
	if last := len(e.free) - 1; last >= 0 {
		acc.extra = e.free[last] + 1
		e.free = e.free[:last]
	} else {
		e.all = append(e.all, &extra{})
		acc.extra = uint32(len(e.all)) //nolint:gosec // as many as accounts at most
	}
	return e.get(acc)
}

// drop lets an account's extra go if nothing is left in it.
func (e *extras) drop(acc *account) {
	x := e.get(acc)
	if x == nil || !x.empty() {
		return
	}
	*x = extra{}
	e.free = append(e.free, acc.extra-1)
	acc.extra = 0
}
