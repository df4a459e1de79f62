package workload

import (
	"fmt"
	"math/rand/v2"

	"souk/asset"
	"souk/exchange"
	"souk/exchange/custody"
	"souk/exchange/exchangetest"
	"souk/script"
)

// Banks makes what people, members and outsiders do with a bank. It draws from a row
// of its own, so that the rest of a seed is the same with it and without.
type Banks struct {
	*Workload
	rng  *rand.Rand
	made int
}

// Banks begins with what is done with banks in this workload's virtual server.
func (w *Workload) Banks(seed uint64) *Banks {
	return &Banks{Workload: w, rng: rand.New(rand.NewPCG(seed, 0xba2c))} //nolint:gosec // reproducible by seed
}

// Next makes a command about the bank.
func (b *Banks) Next(s *exchange.State, now uint64) exchange.Command {
	name := account(b.rng.IntN(Accounts))
	signer := name
	if n, ok := s.Ledger().Find(b.keys.Address(name)); ok && s.Ledger().Account(n).Owner == b.keys.Public(name+"/next") {
		signer = name + "/next"
	}
	return b.sign(name, signer, b.body(s, name), now+lifetime)
}

func (b *Banks) body(s *exchange.State, name string) exchange.Body {
	const bank, tbc = exchangetest.Bank, exchangetest.TBC
	n, ok := s.Ledger().Find(b.keys.Address(name))
	if !ok { // nobody has paid it yet
		return &exchange.Donate{Bank: bank, Amount: 1}
	}
	own := s.Banks().Withdrawals(custody.Owner(n))
	has := s.Ledger().Available(n, tbc)
	switch b.rng.IntN(14) {
	case 0, 1, 2:
		x := &exchange.NewAddress{Bank: bank}
		for i := range x.Salt {
			x.Salt[i] = byte(b.rng.IntN(256))
		}
		return x
	case 3:
		if len(own) > 0 {
			return &exchange.CancelWithdrawal{Withdrawal: own[b.rng.IntN(len(own))].ID}
		}
	case 4:
		if has > 1000 && b.rng.IntN(3) == 0 {
			return &exchange.Donate{Bank: bank, Amount: asset.Amount(1 + b.rng.IntN(5_000))}
		}
	case 5:
		if b.rng.IntN(3) == 0 {
			return &exchange.SetWithdrawals{Settings: custody.Settings{Delay: uint64(b.rng.IntN(3)) * 500}, Salt: custody.Salt{byte(b.made)}}
		}
	case 6:
		return &exchange.Transfer{To: b.payee(), Asset: tbc, Amount: asset.Amount(b.rng.Uint64N(uint64(has/4) + 2))}
	}
	b.made++
	r := custody.Request{Bank: bank, Script: b.output(b.made), Amount: has/8 + asset.Amount(b.rng.Uint64N(uint64(has/2)+20_000))}
	r.MaxFee = []asset.Amount{500, 5_000, 100_000, 1_000_000}[b.rng.IntN(4)]
	r.Salt = custody.Salt(r.Script[2:18])
	return &exchange.Withdraw{Request: r}
}

// output is an output of its own for a withdrawal.
func (b *Banks) output(n int) []byte {
	h := exchangetest.BankHash("payout", n)
	switch b.rng.IntN(4) {
	case 0:
		return append([]byte{0, 32}, h[:]...)
	case 1:
		return append(append([]byte{0xa9, 20}, h[:20]...), 0x87)
	}
	return append([]byte{0, 20}, h[:20]...)
}

// ByServer is a body that a member's server signs, with its second key if the member
// has been given a new server.
func (b *Banks) ByServer(server string, second bool, body exchange.Body, now uint64) exchange.Command {
	signer := server + "/server"
	if second {
		signer += "2"
	}
	return b.sign(server, signer, body, now+lifetime)
}

// Admit is what a server asks for somebody who may have no account yet.
func (b *Banks) Admit() exchange.Body {
	x := &exchange.Admit{Bank: exchangetest.Bank, Account: b.keys.Address(stranger(b.rng.IntN(strangers)))}
	for i := range x.Salt {
		x.Salt[i] = byte(b.rng.IntN(256))
	}
	return x
}

// Address is the output of some deposit address of the bank, mostly one that is allotted
// to somebody, and what somebody pays there.
func (b *Banks) Address(s *exchange.State) (out []byte, amount asset.Amount) {
	info, _ := s.Banks().Bank(exchangetest.Bank)
	n := uint32(b.rng.IntN(int(info.Series)))
	branch, index := uint32(script.Deposits), uint32(0)
	if used := s.Banks().Allotted(exchangetest.Bank, n); used > 0 {
		index = uint32(b.rng.IntN(int(used)))
	}
	if b.rng.IntN(12) == 0 { // nobody's: a donation
		index += uint32(b.rng.IntN(custody.Gap - 1))
		branch = uint32(b.rng.IntN(2))
	}
	series, _, _ := s.Banks().SeriesOf(exchangetest.Bank, n)
	out, err := series.Output(branch, index)
	if err != nil {
		panic(fmt.Sprint("workload: ", err)) //nolint:forbidigo // one of 2^127
	}
	switch b.rng.IntN(10) {
	case 0:
		return out, asset.Amount(1 + b.rng.IntN(20_000)) // perhaps too little
	case 1:
		return out, asset.Amount(1+b.rng.IntN(40)) * exchangetest.Coin
	}
	return out, asset.Amount(100_000 + b.rng.Uint64N(2*uint64(exchangetest.Coin)))
}
