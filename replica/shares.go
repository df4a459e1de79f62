package replica

import (
	"encoding/binary"
	"hash/maphash"

	"souk/exchange"
	"souk/exchange/ledger"
)

// shares count the commands under way against what their accounts may have in one
// block (S-48), so that what fills blocks is paid for: one command for a nonce of a
// key, and no more commands or fees of an account than a block would take from it.
// Whoever owns them serializes access.
type shares struct {
	seed     maphash.Seed
	once     map[uint64]struct{} // what there may be one of: keyed hashes, as known's
	accounts map[ledger.Number]share
}

// share is what an account has under way.
type share struct {
	count [2]uint32 // of its delegates, of its owner
	fees  uint32    // of these, those that pay
}

// claim is what a command under way takes.
type claim struct {
	nonce   uint64 // in once
	saying  uint64 // in once; 0: none
	account ledger.Number
	by      uint8 // index of share.count
	fee     uint8 // 1 if it counts as one that pays
}

func newShares() shares {
	return shares{seed: maphash.MakeSeed(), once: make(map[uint64]struct{}), accounts: make(map[ledger.Number]share)}
}

// take claims what a command demands. It answers AccountBusy if that is not there
// as long as others are under way, and FeeUnpaid if it is not there at all.
func (s *shares) take(c *exchange.Command, d *exchange.Demand, most uint32) (claim, exchange.Code) {
	cl := claim{nonce: nonceHash(s.seed, c), account: d.Account}
	if d.Owner {
		cl.by = 1
	}
	if _, taken := s.once[cl.nonce]; taken {
		return claim{}, exchange.AccountBusy
	}
	of := s.accounts[d.Account]
	if of.count[cl.by] >= most {
		return claim{}, exchange.AccountBusy
	}
	switch d.Pays {
	case exchange.PayOnce:
		cl.saying = sayingHash(s.seed, c)
		if _, taken := s.once[cl.saying]; taken {
			cl.saying, cl.fee = 0, 1
		}
	case exchange.PayFee:
		cl.fee = 1
	case exchange.PayNothing:
	}
	if cl.fee > 0 && uint64(of.fees) >= d.Fees {
		if of.fees == 0 {
			return claim{}, exchange.FeeUnpaid
		}
		return claim{}, exchange.AccountBusy
	}
	of.count[cl.by]++
	of.fees += uint32(cl.fee)
	s.accounts[d.Account] = of
	s.once[cl.nonce] = struct{}{}
	if cl.saying != 0 {
		s.once[cl.saying] = struct{}{}
	}
	return cl, exchange.OK
}

// give gives back what take claimed.
func (s *shares) give(cl *claim) {
	delete(s.once, cl.nonce)
	if cl.saying != 0 {
		delete(s.once, cl.saying)
	}
	of := s.accounts[cl.account]
	of.count[cl.by]--
	of.fees -= uint32(cl.fee)
	if of == (share{}) {
		delete(s.accounts, cl.account)
		return
	}
	s.accounts[cl.account] = of
}

// nonceHash tells apart nonces of keys of accounts. A false hit delays a command,
// and costs an attacker 2^64.
func nonceHash(seed maphash.Seed, c *exchange.Command) uint64 {
	var b [len(c.Account) + len(c.Key) + 8]byte
	n := copy(b[:], c.Account[:])
	n += copy(b[n:], c.Key[:])
	binary.LittleEndian.PutUint64(b[n:], c.Nonce)
	return maphash.Bytes(seed, b[:])
}

// sayingHash tells apart what commands of accounts say, whoever signs them. It is
// not 0.
func sayingHash(seed maphash.Seed, c *exchange.Command) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	_ = h.WriteByte(byte(c.Kind)) // none of these fails
	_, _ = h.Write(c.Account[:])
	_, _ = h.Write(c.Body)
	return h.Sum64() | 1
}
