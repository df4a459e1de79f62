package ledger_test

import (
	"encoding/binary"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"souk/asset"
	"souk/exchange/ledger"
	"souk/identity"
	"souk/merkle"
)

// crowd returns a state with n accounts that have two assets each and whose
// owner key has signed one command, and their keys.
func crowd(b *testing.B, n int) (*ledger.State, []identity.PublicKey) {
	s := ledger.New()
	for _, symbol := range []string{"EUR", "BTC"} {
		if _, code := s.Issue(ledger.Terms{Symbol: symbol, Decimals: 8, MaxSupply: asset.MaxSupply}); code != ledger.OK {
			b.Fatal(code)
		}
	}
	keys := make([]identity.PublicKey, n)
	for i := range keys {
		binary.BigEndian.PutUint64(keys[i][:], uint64(i)+1)
		number := s.Open(identity.AddressOf(keys[i]))
		s.Mint(identity.Address{}, 1, 1e9, number)
		s.Mint(identity.Address{}, 2, 1e9, number)
		if code := s.UseNonce(number, keys[i], 1); code != ledger.OK {
			b.Fatal(code)
		}
	}
	s.Changes(func(merkle.Key, []byte) {})
	return s, keys
}

// BenchmarkCommand is what an order costs the ledger: find the account, use the
// nonce, ask for the key's power, hold; and later a fill of one order in two:
// spend, credit, fee. One in eight of the accounts' commands is a transfer.
func BenchmarkCommand(b *testing.B) {
	const accounts = 10_000
	s, keys := crowd(b, accounts)
	addresses := make([]identity.Address, accounts)
	for i := range keys {
		addresses[i] = identity.AddressOf(keys[i])
	}
	nonces := make([]uint64, accounts)
	random := rand.New(rand.NewPCG(1, 2))
	picks := make([]int, 1<<16)
	for i := range picks {
		picks[i] = random.IntN(accounts)
	}
	commands := 0
	b.ReportAllocs()
	for range b.N {
		for range 1024 {
			i := picks[commands&(1<<16-1)]
			j := picks[(commands+1)&(1<<16-1)]
			commands++
			nonces[i]++
			n, ok := s.Find(addresses[i])
			if !ok || s.UseNonce(n, keys[i], nonces[i]+1) != ledger.OK || s.Authorize(n, keys[i], ledger.Trade, 1, 0) != ledger.OK {
				b.Fatal("refused")
			}
			to := ledger.Number(j + 1)
			switch {
			case commands%8 == 0:
				if s.Debit(n, 1, 10) {
					s.Credit(to, 1, 10)
				}
			case commands%2 == 0 && s.Hold(n, 1, 100):
				s.SpendHeld(n, 1, 100)
				s.Credit(to, 1, 99)
				s.CreditHouse(1, ledger.Fees, 1)
			case s.Hold(n, 2, 100):
				s.Release(n, 2, 100)
			}
		}
	}
	b.ReportMetric(float64(commands)/b.Elapsed().Seconds(), "commands/s")
	if err := s.Check(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkNonce is one nonce, used in order and out of order.
func BenchmarkNonce(b *testing.B) {
	for _, c := range []struct {
		name string
		flip uint64
	}{{"in order", 0}, {"in pairs", 1}, {"shuffled", 0x2a7}} {
		b.Run(c.name, func(b *testing.B) {
			s, keys := crowd(b, 1)
			nonce := uint64(1024)
			for range b.N {
				if code := s.UseNonce(1, keys[0], nonce^c.flip); code != ledger.OK {
					b.Fatal(nonce, code)
				}
				nonce++
			}
		})
	}
}

// BenchmarkChanges is the encoding of a block's changed accounts.
func BenchmarkChanges(b *testing.B) {
	s, keys := crowd(b, 10_000)
	nonce := uint64(1)
	leaves := 0
	b.ReportAllocs()
	for range b.N {
		nonce++
		for i := range 2000 {
			s.UseNonce(ledger.Number(i+1), keys[i], nonce)
		}
		s.Changes(func(merkle.Key, []byte) { leaves++ })
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(leaves), "ns/leaf")
}

// BenchmarkMillion is a ledger of a million accounts: memory for each, the time
// to write all leaves in order, and the time to load them.
func BenchmarkMillion(b *testing.B) {
	const accounts = 1_000_000
	for range b.N {
		before := heap()
		s, keys := crowd(b, accounts)
		keys = keys[:0:0]
		_ = keys
		used := heap() - before
		start := time.Now()
		all := make([]leaf, 0, accounts+2)
		s.Leaves(func(key merkle.Key, value []byte) { all = append(all, leaf{key, value}) })
		written := time.Since(start)
		size := 0
		for _, l := range all {
			size += len(l.Value)
		}
		runtime.KeepAlive(s)
		before = heap()
		start = time.Now()
		loaded := ledger.New()
		for _, l := range all {
			if err := loaded.Load(l.Key, l.Value); err != nil {
				b.Fatal(err)
			}
		}
		if err := loaded.Finish(); err != nil {
			b.Fatal(err)
		}
		took := time.Since(start)
		again := heap() - before
		b.ReportMetric(float64(used)/accounts, "B/account")
		b.ReportMetric(float64(again)/accounts, "B/account-loaded")
		b.ReportMetric(float64(size)/accounts, "B/leaf")
		b.ReportMetric(written.Seconds(), "s-leaves")
		b.ReportMetric(took.Seconds(), "s-load")
		runtime.KeepAlive(all)
		runtime.KeepAlive(loaded)
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
