package gate

import (
	"souk/api"
	"souk/store"
	"souk/web/wallet"
)

// Departure is a withdrawal as lists have it, in the memory of a session.
func Departure(st store.Store, x *api.Withdrawal) (wallet.Movement, error) {
	c := (&Session{config: Config{Store: st}}).Coins(true)
	b := st.NewBatch()
	m, err := c.departure(b, x, nil)
	if err != nil {
		return m, err
	}
	return m, b.Commit(false)
}
