package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"

	"souk/asset"
	"souk/auditor"
	"souk/chain"
	"souk/chain/memchain"
	"souk/custodian"
	"souk/exchange"
	"souk/exchange/custody"
	"souk/exchange/exchangetest"
	"souk/exchange/roster"
	"souk/identity"
	"souk/merkle"
	"souk/script"
	"souk/signer"
	"souk/sim/check"
	"souk/sim/workload"
)

// banksEvery is which seeds have a bank, with at most so many servers: keys and
// signatures cost more than all else.
const (
	banksEvery   = 6
	mostWithBank = 5
)

// quietFor is for how many us the chain goes on once faults have ended.
const quietFor = 25_000_000

// openAfter is how many us after its start a process begins to look at the chain. It has
// to derive all addresses then, which takes longer than anything else here.
const openAfter = 1_500_000

// bank is the surroundings of the one bank that some seeds have: its chain, what
// people do with it, and what goes wrong with it. Members' custodians and signers are
// the real ones; they live and die with the servers' processes, and their folders with the disks.
type bank struct {
	f       *federation
	rng     *rand.Rand
	load    *workload.Banks
	chain   *memchain.Chain
	network *script.Network
	dir     string
	first   chain.Point
	liar    *server              // whose node lies for a while
	mute    *server              // whose custodian does nothing for a while
	ends    uint64               // us, when the chain stops growing; zero for not yet
	sent    []sent               // the last payments of people
	undone  map[script.Hash]bool // payouts in blocks that were replaced although they were deep enough
	steps   int
}

// sent is what somebody paid to the bank.
type sent struct {
	id     script.Hash
	out    []byte
	amount asset.Amount
}

// vault is a server's part in the bank.
type vault struct {
	node      *memchain.Node
	signer    *signer.Signer
	custodian *custodian.Custodian
	key       identity.PublicKey // server key that the custodian was opened for
}

// newBank makes the chain and puts the bank into the founding contract.
func newBank(f *federation, seed uint64) (*bank, error) {
	b := &bank{f: f, undone: map[script.Hash]bool{}, rng: rand.New(rand.NewPCG(seed, 0xba2d))} //nolint:gosec // reproducible by seed
	name := pick(b.rng, "bitcoin-regtest", "bitcoin-regtest", "litecoin-regtest", "namecoin-regtest")
	b.network, _ = script.ByName(name)
	b.chain = memchain.New(b.network, b.rng.IntN(4) == 0)
	height := max(3, b.network.SegwitHeight)
	b.chain.MineEmpty(int(height))
	b.chain.SetRate(2 * b.network.MinRelay)
	tip := b.chain.Tip()
	b.first = tip.Point
	contract := exchangetest.BankFounding(f.shape.servers)
	for i := range contract.Members {
		exchangetest.SetBankKeys(&contract.Members[i], name)
	}
	d := &contract.Banks[0]
	d.Network, d.Wallets = name, pick(b.rng, uint8(1), 1, 2)
	d.Start = custody.Point{Height: tip.Height, Hash: tip.Hash}
	d.MinDeposit, d.MinWithdrawal = 2*b.network.TokenAmounts, 2*b.network.TokenAmounts
	d.MaxPerHour = pick(b.rng, asset.Amount(20), 1000) * exchangetest.Coin
	d.BumpBlocks = 1 + uint32(b.rng.IntN(3))
	contract.Params = f.founding.Params
	f.founding = contract
	var err error
	memory := "/dev/shm" // journals are files; what a disk loses of them is not asked here
	if _, err := os.Stat(memory); err != nil {
		memory = ""
	}
	b.dir, err = os.MkdirTemp(memory, "souk-sim-")
	return b, err
}

// start switches the bank's surroundings on.
func (b *bank) start() {
	b.f.loop.after(2_500_000, b.people)
	b.f.loop.after(1_000_000, b.miner)
	b.f.loop.after(4_000_000, b.fault)
	b.f.loop.after(6_000_000, b.votes)
}

func (b *bank) close() { _ = os.RemoveAll(b.dir) } // nothing in it is needed

// folder is a server's own, for its journal.
func (b *bank) folder(s *server) string { return filepath.Join(b.dir, s.name) }

// people use the bank.
func (b *bank) people() {
	if b.f.calm {
		return
	}
	b.f.loop.after(uint64(200_000+b.rng.IntN(800_000)), b.people)
	if b.f.outage || len(b.f.clients.open) > 400 {
		return
	}
	b.f.clients.send(b.load.Next(b.f.audit.State(), b.f.clients.now()), b.f.clients.any())
}

// miner makes blocks of the chain, mostly one at its end.
func (b *bank) miner() {
	if b.ends != 0 && b.f.loop.now > b.ends {
		return
	}
	if b.f.outage { // hours of the chain, in a few blocks
		b.f.loop.after(60_000_000, b.miner)
		b.chain.Mine(1)
		return
	}
	b.f.loop.after(uint64(500_000+b.rng.IntN(1_500_000)), b.miner)
	for b.rng.IntN(3) == 0 && !b.f.calm {
		b.pay()
	}
	switch n := b.rng.IntN(20); {
	case n == 0:
		b.chain.MineEmpty(1)
	case n == 1 && !b.f.calm:
		b.reorganise(1 + b.rng.IntN(2))
	case n == 2 && !b.f.calm && b.rng.IntN(3) == 0:
		b.reorganise(1 + b.rng.IntN(9))
	default:
		b.chain.Mine(1)
	}
	b.f.log("chain", int(b.chain.Tip().Height), len(b.chain.Pool()))
}

// pay pays to the bank, on Litecoin also out of hidden coins: such a payment is at
// another outpoint after a reorganisation.
func (b *bank) pay() {
	out, amount := b.load.Address(b.f.audit.State())
	if b.network.MWEB && b.rng.IntN(3) == 0 {
		b.chain.PegOut(out, amount)
		return
	}
	at := b.chain.Pay(out, amount)
	if b.sent = append(b.sent, sent{at.Tx, out, amount}); len(b.sent) > 40 {
		b.sent = b.sent[1:]
	}
}

// malleate gives payments that wait, some of them again, other ids: what stands in
// their inputs is not the bank's to choose.
func (b *bank) malleate() {
	for i := range b.sent {
		if x := &b.sent[i]; b.rng.IntN(3) == 0 && b.chain.Evict(x.id) {
			b.count("malleated id")
			x.id = b.chain.Pay(x.out, x.amount).Tx
		}
	}
}

// reorganise replaces blocks. What they held comes again, at another place.
func (b *bank) reorganise(depth int) {
	depth = min(depth, int(b.chain.Tip().Height-b.first.Height))
	if depth < 1 {
		return
	}
	b.count("chain reorganises")
	if depth > 2 {
		b.count("chain reorganises deep")
	}
	b.undo(depth)
	b.chain.Disconnect(depth)
	for _, tx := range b.chain.Pool() {
		if b.undone[tx] && b.rng.IntN(2) == 0 { // nodes do not keep all that they take out of blocks
			b.count("undone payout forgotten")
			b.chain.Evict(tx)
		}
	}
	if b.rng.IntN(4) == 0 {
		b.malleate()
	}
	if b.rng.IntN(2) == 0 {
		b.chain.MineEmpty(1)
	}
	b.chain.Mine(depth + 1)
}

// undo notes the payouts in blocks that are about to be replaced although they are as
// deep as it takes to settle one.
func (b *bank) undo(depth int) {
	tip := b.chain.Tip().Height
	deep := tip + 1 - b.network.Depth(0)
	v := heights{}
	if _, err := chain.Walk(context.Background(), b.chain.Node(), chain.Locator{b.first}, b.f.audit.Payouts().Filter(), v); err != nil {
		b.f.fail("read the chain: %w", err)
	}
	for tx, height := range v {
		if height > tip-uint32(depth) && height <= deep {
			b.undone[tx] = true
		}
	}
}

// heights collects the blocks of payments, by transaction.
type heights map[script.Hash]uint32

// Rewind implements chain.Visitor.
func (heights) Rewind(chain.Point) error { return nil }

// Connect implements chain.Visitor.
func (v heights) Connect(b chain.Block, found chain.Found) error {
	for _, p := range found.Payments {
		v[p.At.Tx] = b.Height
	}
	return nil
}

// count counts a fault of the surroundings. The least number of faults is of others.
func (b *bank) count(kind string) {
	b.f.faults[kind]++
	b.f.log("bank "+kind, b.f.faults[kind])
}

// fault does something bad to what the bank depends on.
func (b *bank) fault() {
	if b.f.calm {
		return
	}
	b.f.loop.after(uint64(1_500_000+b.rng.IntN(3_000_000)), b.fault)
	if b.f.outage {
		return
	}
	switch b.rng.IntN(6) {
	case 0:
		b.count("fee spike")
		b.chain.SetRate(100 * b.network.MinRelay) // fifty times what it was
		b.chain.SetFloor(40 * b.network.MinRelay)
		b.f.loop.after(uint64(2_000_000+b.rng.IntN(6_000_000)), b.cheap)
	case 1:
		if pool := b.chain.Pool(); len(pool) > 0 {
			b.count("eviction")
			b.chain.Evict(pool[b.rng.IntN(len(pool))])
		}
	case 2, 3:
		if b.liar == nil && len(b.f.servers) > 1 {
			b.lie()
		}
	case 4:
		if b.mute == nil && len(b.f.servers) > 1 {
			b.count("custodian is silent")
			b.mute = b.f.servers[b.rng.IntN(len(b.f.servers))]
			b.f.loop.after(uint64(2_000_000+b.rng.IntN(8_000_000)), func() { b.mute = nil })
		}
	case 5:
		s := b.f.anyServerBy(b.rng)
		if s.vault.node != nil {
			b.count("node is away")
			s.vault.node.SetFaults(memchain.Faults{Down: chain.ErrUnavailable})
			b.f.loop.after(uint64(1_000_000+b.rng.IntN(4_000_000)), func() { b.honest(s) })
		}
	}
}

// cheap ends a fee spike.
func (b *bank) cheap() {
	b.chain.SetRate(2 * b.network.MinRelay)
	b.chain.SetFloor(b.network.MinRelay)
}

// anyServerBy is any server, drawn from another row.
func (f *federation) anyServerBy(rng *rand.Rand) *server { return f.servers[rng.IntN(len(f.servers))] }

// lie makes the node of one server lie for a while.
func (b *bank) lie() {
	s := b.f.anyServerBy(b.rng)
	if s.vault.node == nil {
		return
	}
	b.liar = s
	tip := b.chain.Tip()
	var x memchain.Faults
	switch b.rng.IntN(5) {
	case 0:
		out, amount := b.load.Address(b.f.audit.State())
		x.Forge = []memchain.Forgery{{Height: tip.Height, Transaction: chain.Transaction{
			ID: exchangetest.BankHash("forged", b.steps), Outputs: []script.Output{{Script: out, Amount: amount}},
		}}}
	case 1:
		x.Invent = 1 + uint32(b.rng.IntN(3))
	case 2:
		x.Behind = 1 + uint32(b.rng.IntN(10))
	case 3:
		x.Rate = pick(b.rng, b.network.MinRelay, chain.MaxRate)
	case 4:
		x.Swallow, x.Blind = true, true
		x.Hide = b.chain.Pool()
	}
	b.steps++
	b.count("node lies")
	s.vault.node.SetFaults(x)
	b.f.loop.after(uint64(3_000_000+b.rng.IntN(9_000_000)), func() {
		b.honest(s)
		b.liar = nil
	})
}

func (b *bank) honest(s *server) {
	if s.vault.node != nil {
		s.vault.node.SetFaults(memchain.Faults{})
	}
}

// votes lets the members decide on the bank, and end a halt.
func (b *bank) votes() {
	if b.ends != 0 && b.f.loop.now > b.ends {
		return
	}
	b.f.loop.after(uint64(3_000_000+b.rng.IntN(4_000_000)), b.votes)
	if b.f.outage {
		return
	}
	banks := b.f.audit.State().Banks()
	if banks.Halted().Reason != custody.Running {
		reasons, _ := banks.Reasons()
		if banks.CheckLift(exchangetest.Bank, reasons) == custody.Unbalanced {
			for _, sums := range b.f.audit.State().Solvency() { // somebody pays for it
				info, _ := banks.Bank(exchangetest.Bank)
				if series, _, ok := banks.SeriesOf(exchangetest.Bank, info.Series-1); ok { // for which there are signers
					out, _ := series.Output(script.Change, 1)
					b.chain.Pay(out, max(sums.Deficit, 2*b.network.TokenAmounts+1))
				}
			}
			return
		}
		b.f.plans.vote(roster.LiftBank{Bank: uint32(exchangetest.Bank), Reasons: reasons})
		return
	}
	if b.f.calm {
		return
	}
	if a := b.action(banks); a != nil {
		b.f.plans.vote(a)
	}
}

// action is what to vote on.
func (b *bank) action(banks *custody.State) roster.Action {
	switch b.rng.IntN(8) {
	case 0:
		return roster.HaltBanks{}
	case 1:
		info, _ := banks.Bank(exchangetest.Bank)
		l := info.Limits
		l.MaxPerHour, l.Delay = pick(b.rng, asset.Amount(10), 500)*exchangetest.Coin, uint64(b.rng.IntN(3))*1000
		return roster.SetLimits{Bank: uint32(exchangetest.Bank), Limits: exchange.AppendLimits(nil, l)}
	case 2, 3, 4:
		open := roster.OpenSeries{Bank: uint32(exchangetest.Bank)}
		var ids []custody.Member
		for m := range b.f.audit.State().Roster().Members {
			open.Members, ids = append(open.Members, m.ID), append(ids, custody.Member(m.ID))
		}
		if banks.CheckSeries(exchangetest.Bank, ids, b.f.audit.State().Time()) == custody.OK {
			return open
		}
	}
	return nil
}

// open opens what a server's process needs for the bank.
func (b *bank) open(s *server, key identity.PublicKey) error {
	if s.vault.node == nil {
		s.vault.node = b.chain.Node()
	}
	keys := signer.Keys{b.network.Name: exchangetest.MemberKey(s.name)}
	var err error
	if s.vault.signer, err = signer.Open(b.folder(s), keys); err != nil {
		return err
	}
	s.vault.custodian, err = custodian.Open(custodian.Config{
		Bank: exchangetest.Bank, Network: b.network, Backend: s.vault.node, Signer: s.vault.signer, Server: key, View: s.app.View,
		Dir: filepath.Join(b.folder(s), "custodian"),
	})
	s.vault.key = key
	return err
}

// step lets a server's custodian take a step. What it answers may be lost, and the
// power may fail before it is passed on.
func (b *bank) step(s *server) {
	if s == b.mute || s.f.err != nil {
		return
	}
	second := false
	_ = s.app.View(func(st *exchange.State) { // it has a state
		_, second = st.Roster().ByServer(b.f.keys.Public(s.name + "/server2"))
	})
	key := b.f.keys.Public(s.name + "/server")
	if second {
		key = b.f.keys.Public(s.name + "/server2")
	}
	if s.vault.custodian == nil && b.f.loop.now < s.born+openAfter {
		return
	}
	if s.vault.custodian == nil || s.vault.key != key {
		if err := b.open(s, key); err != nil {
			b.f.fail("%s: %w", s.name, err)
			return
		}
	}
	bodies, err := s.vault.custodian.Step(context.Background())
	if err != nil {
		b.f.loop.note(s.name + ": " + err.Error())
	}
	if !b.f.calm && b.rng.IntN(50) == 0 {
		bodies = append(bodies, b.load.Admit())
	}
	if len(bodies) == 0 {
		return
	}
	b.f.log("custodian", s.index, len(bodies), int(bodies[0].Kind()))
	if !b.f.calm && b.rng.IntN(60) == 0 {
		b.count("crash of a custodian")
		s.crash("crash after a custodian's step")
		return
	}
	for _, body := range bodies {
		if !b.f.calm && b.rng.IntN(25) == 0 {
			continue
		}
		c := b.load.ByServer(s.name, second, body, b.f.clients.now())
		s.onCommand(&c)
	}
}

// calm ends what is wrong with the bank's surroundings. The chain goes on for a while.
func (b *bank) calm() {
	b.liar, b.mute = nil, nil
	for _, s := range b.f.servers {
		b.honest(s)
	}
	b.cheap()
	b.ends = b.f.loop.now + quietFor
}

// unrest says what has not come to rest.
func (b *bank) unrest() string {
	if b.f.loop.now <= b.ends+2_000_000 {
		return "the chain goes on"
	}
	return ""
}

// finish compares what the ledger says with the chain (I2, I8).
func (b *bank) finish() error {
	paid := b.paid()
	err := b.f.audit.Payouts().Chain(
		func(out []byte) []check.Paid { return paid[string(out)] },
		func(tx script.Hash) bool { return b.undone[tx] && !b.possible(tx) }, b.f.audit.Halted())
	if err != nil {
		return err
	}
	st := b.f.audit.State()
	r, err := auditor.New(auditor.Config{
		Bank: exchangetest.Bank, Source: stateSource{st}, Backend: b.chain.Node(), Gap: custody.Gap,
	}).Audit(context.Background())
	if err != nil {
		return fmt.Errorf("I2: %w", err)
	}
	if sums := st.Solvency()[0]; r.Deficit > sums.Deficit {
		return fmt.Errorf("I2: by the chain %d are missing, by the ledger %d: %+v", r.Deficit, sums.Deficit, r)
	}
	return nil
}

// possible tells whether a transaction of the bank could still be mined: all that it spends
// is there. Members have kept what settled, and passed it on again (W-34), so none of
// that should be left.
func (b *bank) possible(tx script.Hash) bool {
	for _, at := range b.f.audit.Payouts().Inputs(tx) {
		if !b.chain.Unspent(at) {
			return false
		}
	}
	return true
}

// paid is what the best chain pays, by output.
func (b *bank) paid() map[string][]check.Paid {
	v := payments{}
	_, err := chain.Walk(context.Background(), b.chain.Node(), chain.Locator{b.first}, b.f.audit.Payouts().Filter(), v)
	if err != nil {
		b.f.fail("read the chain: %w", err)
	}
	return v
}

// payments collects payments by output.
type payments map[string][]check.Paid

// Rewind implements chain.Visitor.
func (payments) Rewind(chain.Point) error { return nil }

// Connect implements chain.Visitor.
func (v payments) Connect(_ chain.Block, found chain.Found) error {
	for _, p := range found.Payments {
		v[string(p.Script)] = append(v[string(p.Script)], check.Paid{At: p.At, Amount: p.Amount})
	}
	return nil
}

// stateSource proves leaves of a state under its root.
type stateSource struct{ state *exchange.State }

// Leaves implements auditor.Source.
func (s stateSource) Leaves(_ context.Context, keys []merkle.Key) (auditor.Leaves, error) {
	l := auditor.Leaves{Height: s.state.Height() + 1, Time: s.state.Time(), Root: s.state.Root()}
	for _, key := range keys {
		value, proof := s.state.Prove(key)
		l.Values, l.Proofs = append(l.Values, slices.Clone(value)), append(l.Proofs, proof)
	}
	return l, nil
}
