// Package custodiantest makes federations in one process for tests of custodians and
// signers: every member has a copy of the exchange's state of its own, a node of a
// chain in memory that may lie or be away, a signer and a custodian with folders of
// their own. Blocks hold the real commands that custodians and users sign. Nothing
// happens but by a call, and the same calls give the same federation. It is test
// support and takes no part in the product.
package custodiantest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strconv"

	"souk/asset"
	"souk/chain"
	"souk/chain/memchain"
	"souk/custodian"
	"souk/exchange"
	"souk/exchange/custody"
	"souk/exchange/exchangetest"
	"souk/identity"
	"souk/script"
	"souk/signer"
)

// Bank is the bank of every federation made here, TBC its asset.
const (
	Bank = exchangetest.Bank
	TBC  = exchangetest.TBC
	Coin = exchangetest.Coin
)

// Config says what a federation is like. Zero fields have the default that is named
// with them.
type Config struct {
	Members int    // 4
	Network string // bitcoin-regtest
	// Dir is where members keep their folders. Required.
	Dir string
	// Blocks is how many blocks the chain has at the founding; 3.
	Blocks int
	// Found changes the founding contract before it is signed by anybody; nil for nothing.
	Found func(*exchange.Founding)
	// Backend puts something between a member's node and its custodian; nil for nothing.
	Backend func(member int, node *memchain.Node) chain.Backend
	// Rate is what a member's operator has configured as the fee rate; nil for nothing.
	Rate func(member int) asset.Amount
	// Verify makes the chain check every script; it takes most of the time.
	Verify bool
	// Seed is for Random alone.
	Seed uint64
}

// Federation is some members, one chain and the commands on their way.
type Federation struct {
	Founding *exchange.Founding
	Chain    *memchain.Chain
	Members  []*Member
	Random   *rand.Rand
	Height   uint64
	Time     uint64
	// Lose tells whether an answer of a custodian is lost before it is in a block; nil for none.
	Lose func(m *Member, body exchange.Body) bool
	// Change may change what a member submits: a liar's command. Nil for nobody.
	Change func(m *Member, body exchange.Body) exchange.Body
	// Seen is told of every block; nil for nobody.
	Seen func(commands []exchange.Command, res *exchange.Result)
	// Refused counts attestations and signatures that were not OK, by code.
	Refused map[exchange.Code]int

	nonces map[identity.PublicKey]uint64
	asked  []exchange.Command // of users, for the next block
	cfg    Config
}

// Member is one member's server.
type Member struct {
	Name      string
	State     *exchange.State
	Node      *memchain.Node
	Signer    *signer.Signer
	Custodian *custodian.Custodian
	Up        bool
	// Held keeps decided blocks from being applied, as on a replica that lags.
	Held bool
	Err  error // of the custodian's last step

	f       *Federation
	backlog []*exchange.Block
	number  int
}

// New founds a federation. All members are up.
func New(cfg Config) (*Federation, error) {
	if cfg.Members == 0 {
		cfg.Members = 4
	}
	if cfg.Network == "" {
		cfg.Network = exchangetest.BankNetwork
	}
	if cfg.Blocks == 0 {
		cfg.Blocks = 3
	}
	network, ok := script.ByName(cfg.Network)
	if !ok {
		return nil, fmt.Errorf("network %q", cfg.Network)
	}
	f := &Federation{
		Chain: memchain.New(network, cfg.Verify), Random: rand.New(rand.NewPCG(cfg.Seed, 1)), //nolint:gosec // what goes wrong follows from the seed
		nonces: map[identity.PublicKey]uint64{}, Refused: map[exchange.Code]int{}, cfg: cfg,
	}
	f.Chain.Mine(cfg.Blocks)
	f.Founding = exchangetest.BankFounding(cfg.Members)
	for i := range f.Founding.Members {
		exchangetest.SetBankKeys(&f.Founding.Members[i], cfg.Network)
	}
	tip := f.Chain.Tip()
	f.Founding.Banks[0].Network, f.Founding.Banks[0].Wallets = cfg.Network, 2
	f.Founding.Banks[0].Start = custody.Point{Height: tip.Height, Hash: tip.Hash}
	if cfg.Found != nil {
		cfg.Found(f.Founding)
	}
	for i := range cfg.Members {
		s, err := exchange.New(f.Founding)
		if err != nil {
			return nil, err
		}
		f.Time = s.Time()
		m := &Member{Name: exchangetest.MemberName(i), State: s, Node: f.Chain.Node(), f: f, number: i}
		f.Members = append(f.Members, m)
		if err := m.Start(); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// Start opens a member's signer and custodian from their folders.
func (m *Member) Start() error {
	dir := m.Dir()
	backend := chain.Backend(m.Node)
	if m.f.cfg.Backend != nil {
		backend = m.f.cfg.Backend(m.number, m.Node)
	}
	network := m.Node.Network()
	s, err := signer.Open(filepath.Join(dir, "journal"), signer.Keys{network.Name: exchangetest.MemberKey(m.Name)})
	if err != nil {
		return err
	}
	var rate asset.Amount
	if m.f.cfg.Rate != nil {
		rate = m.f.cfg.Rate(m.number)
	}
	c, err := custodian.Open(custodian.Config{
		Rate: rate, Bank: Bank, Network: network, Backend: backend, Signer: s, Server: exchangetest.Key(m.Name + "/server").Public(),
		View: func(read func(*exchange.State)) error { read(m.State); return nil },
		Dir:  filepath.Join(dir, "custodian"),
	})
	if err != nil {
		return errors.Join(err, s.Close())
	}
	m.Signer, m.Custodian, m.Up = s, c, true
	return nil
}

// Kill drops a member's signer and custodian as they are. Its folders and its copy of
// the state stay, and the copy follows.
func (m *Member) Kill() { m.Signer, m.Custodian, m.Up = nil, nil, false }

// Dir is a member's folder: journal and custodian below.
func (m *Member) Dir() string { return filepath.Join(m.f.cfg.Dir, strconv.Itoa(m.number)) }

// ID is a member's number in the roster.
func (m *Member) ID() custody.Member {
	id, _ := m.State.Roster().ByServer(exchangetest.Key(m.Name + "/server").Public())
	return custody.Member(id)
}

// Banks is the banks as the first member that is not held knows them.
func (f *Federation) Banks() *custody.State { return f.State().Banks() }

// State is the copy of the first member that is not held.
func (f *Federation) State() *exchange.State {
	for _, m := range f.Members {
		if !m.Held {
			return m.State
		}
	}
	return f.Members[0].State
}

// Ask puts a user's command into the next block, and answers its id.
func (f *Federation) Ask(name string, body exchange.Body) exchange.CommandID {
	return f.ask(exchangetest.Address(name), exchangetest.Key(name), body)
}

func (f *Federation) ask(account identity.Address, key identity.PrivateKey, body exchange.Body) exchange.CommandID {
	f.nonces[key.Public()]++
	c := exchange.Command{
		Kind: body.Kind(), Account: account, Nonce: f.nonces[key.Public()], Expiry: f.Time + 60_000, Body: body.Append(nil),
	}
	if err := c.Sign(f.State().ID(), key); err != nil {
		panic(err) //nolint:forbidigo // a test that cannot start
	}
	f.asked = append(f.asked, c)
	return c.ID
}

// Open makes accounts, by paying them something else.
func (f *Federation) Open(names ...string) {
	for _, name := range names {
		f.Ask("issuer", &exchange.Mint{Asset: exchangetest.EUR, Amount: Coin, To: exchangetest.Address(name)})
	}
	f.Block()
}

// Do applies a user's command, with whatever else is on its way, and answers its receipt.
func (f *Federation) Do(name string, body exchange.Body) exchange.Receipt {
	id := f.Ask(name, body)
	for _, r := range f.Block().Receipts {
		if r.ID == id {
			return r
		}
	}
	return exchange.Receipt{Code: exchange.BadBody}
}

// Collect lets every member that is up take a step, and puts what it answers on its way.
func (f *Federation) Collect() {
	for _, m := range f.Members {
		if m.Up {
			m.Step()
		}
	}
}

// Step lets a member take a step, and puts what it answers on its way.
func (m *Member) Step() {
	bodies, err := m.Custodian.Step(context.Background())
	m.Err = err
	for _, body := range bodies {
		if m.f.Lose != nil && m.f.Lose(m, body) {
			continue
		}
		if m.f.Change != nil {
			body = m.f.Change(m, body)
		}
		m.f.ask(exchangetest.Address(m.Name), exchangetest.Key(m.Name+"/server"), body)
	}
}

// Block makes a block of all that is on its way, which may be nothing.
func (f *Federation) Block() *exchange.Result {
	commands := f.asked
	f.asked = nil
	f.Height++
	f.Time += 10
	b := &exchange.Block{Height: f.Height, Time: f.Time, Proposer: exchangetest.Key(exchangetest.MemberName(0) + "/consensus").Public()}
	var res *exchange.Result
	for _, m := range f.Members {
		copied := *b
		copied.Commands = append([]exchange.Command{}, commands...)
		m.backlog = append(m.backlog, &copied)
		if m.Held {
			continue
		}
		for _, next := range m.backlog {
			r := m.State.Apply(next)
			if next == &copied {
				if res != nil && res.Root != r.Root {
					panic("custodiantest: two copies of the state differ") //nolint:forbidigo // blocks are the same everywhere
				}
				res = r
			}
		}
		m.backlog = nil
	}
	servers := map[exchange.CommandID]bool{}
	for i := range commands {
		servers[commands[i].ID] = commands[i].Kind == exchange.KindAttest || commands[i].Kind == exchange.KindSign
	}
	for i := range res.Receipts {
		if r := &res.Receipts[i]; r.Code != exchange.OK && servers[r.ID] {
			f.Refused[r.Code]++
		}
	}
	if f.Seen != nil {
		f.Seen(commands, res)
	}
	return res
}

// Round is a step of every member and, if there is anything to do, a block. It tells
// whether there was a block.
func (f *Federation) Round() bool {
	f.Collect()
	due, waits := f.State().NextDue()
	if len(f.asked) == 0 && !waits {
		return false
	}
	if waits && due > f.Time && len(f.asked) == 0 {
		f.Time = due
	}
	f.Block()
	return true
}

// Calm makes rounds until there is none with a block for some in a row, so that all
// that was lost was answered again, and tells how many blocks were made. It panics
// after many.
func (f *Federation) Calm() (blocks int) {
	for quiet := 0; quiet < 8; {
		if f.Round() {
			quiet = 0
			if blocks++; blocks > 2000 {
				panic("custodiantest: the federation does not come to rest") //nolint:forbidigo // so says a test
			}
		} else {
			quiet++
		}
	}
	return blocks
}

// Mine makes blocks of the chain one by one, with the federation coming to rest after each.
func (f *Federation) Mine(n int) {
	for range n {
		f.Chain.Mine(1)
		f.Calm()
	}
}

// Address allots an address to an account and answers its output script.
func (f *Federation) Address(name string) (at custody.Address, out []byte) {
	r := f.Do(name, &exchange.NewAddress{Bank: Bank})
	if r.Code != exchange.OK {
		panic("custodiantest: " + r.Code.String()) //nolint:forbidigo // a test that cannot start
	}
	at = custody.Address{Bank: Bank, Series: uint32(r.Number >> 32), Index: uint32(r.Number)}
	return at, f.Output(at.Series, script.Deposits, at.Index)
}

// Output is the output script of the bank at a place.
func (f *Federation) Output(series, branch, index uint32) []byte {
	s, _, _ := f.Banks().SeriesOf(Bank, series)
	out, err := s.Output(branch, index)
	if err != nil {
		panic(err) //nolint:forbidigo // a test that cannot start
	}
	return out
}

// Available is what an account can spend.
func (f *Federation) Available(name string) asset.Amount {
	n, ok := f.State().Ledger().Find(exchangetest.Address(name))
	if !ok {
		return 0
	}
	return f.State().Ledger().Available(n, TBC)
}

// Check counts everything anew on all copies of the state.
func (f *Federation) Check() error {
	for _, m := range f.Members {
		if err := m.State.Check(); err != nil {
			return fmt.Errorf("%s: %w", m.Name, err)
		}
	}
	return nil
}

// Down is what a node answers that cannot be reached.
func Down() memchain.Faults { return memchain.Faults{Down: chain.ErrUnavailable} }

// Join adds the server of a member who was voted in, whose keys are those of his name.
func (f *Federation) Join(name string) error {
	s, err := exchange.Load(f.Founding, f.State().Leaves)
	if err != nil {
		return err
	}
	m := &Member{Name: name, State: s, Node: f.Chain.Node(), f: f, number: len(f.Members)}
	f.Members = append(f.Members, m)
	return m.Start()
}
