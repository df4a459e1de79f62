package node

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"souk/api"
	"souk/asset"
	"souk/exchange"
	"souk/exchange/custody"
	"souk/exchange/ledger"
	"souk/identity"
	"souk/replica"
	"souk/script"
	"souk/store/sealed"
	"souk/web"
)

// PracticeConfig makes a server give play money. Without an account it gives none.
type PracticeConfig struct {
	Account string   `toml:"account"`
	Key     string   `toml:"key"`
	Give    []string `toml:"give"`
}

const (
	// practiceKey is where the key is, if the config does not say.
	practiceKey = "keys/practice.age"
	// rolePractice is what the file says that it holds.
	rolePractice = "practice"
	// mostGifts is how many assets are given at once.
	mostGifts = 8
	// mostGiven is how many addresses a server remembers that have had play money.
	mostGiven = 1 << 20
	// mostSkipped is how far nonces of this key may be ahead of those in blocks.
	mostSkipped = 60_000
)

// gift is one of [practice] give.
type gift struct{ amount, symbol string }

func parseGift(text string) (g gift, err error) {
	words := strings.Fields(text)
	if len(words) != 2 || !ledger.ValidSymbol(words[1]) {
		return g, fmt.Errorf("%q: write an amount and a symbol, like \"0.1 BTC\"", text)
	}
	_, fraction, _ := strings.Cut(words[0], ".")
	if n, err := asset.Parse(words[0], uint8(min(len(fraction), asset.MaxDecimals))); err != nil || n == 0 {
		return g, fmt.Errorf("%q: write an amount above zero in front, like \"0.1 BTC\"", text)
	}
	return gift{words[0], words[1]}, nil
}

func (c *PracticeConfig) check() error {
	if c.Account == "" {
		return nil
	}
	if _, err := identity.ParseAddress(c.Account); err != nil {
		return fmt.Errorf("practice.account: %w: it is an address of souk account new", err)
	}
	if len(c.Give) == 0 || len(c.Give) > mostGifts {
		return fmt.Errorf("practice.give: say what is given, 1 to %d amounts, like [\"0.1 BTC\", \"10000 EUR\"]", mostGifts)
	}
	seen := map[string]bool{}
	for _, text := range c.Give {
		g, err := parseGift(text)
		if err != nil {
			return fmt.Errorf("practice.give: %w", err)
		}
		if seen[g.symbol] {
			return fmt.Errorf("practice.give: %s stands there twice", g.symbol)
		}
		seen[g.symbol] = true
	}
	return nil
}

// refuse refuses to give what a virtual server's bank has to pay out in coins that are worth
// money (H-133).
func (c *PracticeConfig) refuse(f *exchange.Founding) error {
	for _, text := range c.Give {
		for i := range f.Banks {
			if g, err := parseGift(text); err == nil && g.symbol == f.Banks[i].Symbol && isMoney(f.Banks[i].Network) {
				return backed(g.symbol, f.Banks[i].Network)
			}
		}
	}
	return nil
}

// isMoney tells whether coins of a network may be worth money. Those of a network whose blocks
// anybody makes on his machine are not.
func isMoney(network string) bool {
	n, ok := script.ByName(network)
	return !ok || !onDemand(n)
}

func backed(symbol, network string) error {
	return fmt.Errorf("%w: a bank has to pay coins of %s for %s, so it is no play money: give an asset of its own that nothing stands behind, like PLAY%s", errBacked, network, symbol, symbol)
}

var errBacked = errors.New("this would give real coins away")

// NewPracticeKey makes the key with which a home's server gives play money, or reads the
// public half of the one that is there.
func NewPracticeKey(h Home, pass sealed.Passphrase, work int) (identity.PublicKey, error) {
	path := h.in(practiceKey)
	if _, err := os.Stat(path); err == nil {
		key, err := openKey(path, rolePractice, pass)
		if err != nil {
			return identity.PublicKey{}, err
		}
		defer key.Wipe()
		return key.Public(), nil
	}
	key, err := identity.GenerateKey(rand.Reader)
	if err != nil {
		return identity.PublicKey{}, fmt.Errorf("make a key: %w", err)
	}
	defer key.Wipe()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return identity.PublicKey{}, fmt.Errorf("make folder: %w", err)
	}
	return key.Public(), sealKey(path, rolePractice, key, pass, work)
}

// Text is the section as it stands in a config file, with what it is for.
func (c *PracticeConfig) Text() string {
	return fmt.Sprintf(`
[practice]
# Give play money to whoever asks: an address gets it once, out of the account with this
# address, in the first virtual server. Empty: none is given.
account = %s
# The sealed key that does it, which souk practice key makes; the account lets it act with
# the scope transfer. Each server has its own.
key = %s
# What is given, such as ["0.1 PLAYBTC", "10000 PLAYEUR"]: nothing that a bank pays out in coins.
give = %s
`, tomlString(c.Account), tomlString(c.Key), tomlList(c.Give))
}

// practice gives play money: once to each address, and also if the server dies while it
// does. What it signs it notes first, in a file; after a restart it finds out what became
// of it before it signs anything else for that address (H-134).
type practice struct {
	id      exchange.ID
	account identity.Address
	key     identity.PrivateKey
	terms   []gift
	replica *replica.Replica
	log     *slog.Logger
	alarm   sync.Once // tells of a gift that is no play money

	turn  sync.Mutex // guards what follows, also while the state is looked at
	notes *os.File
	sent  map[identity.Address][]exchange.Command // whose fate is not known yet
	nonce uint64                                  // the highest that was signed

	mu    sync.Mutex // guards what follows; nobody who holds it waits for the state
	given map[identity.Address]struct{}
}

// practising is what gives play money in a virtual server; nil if it gives none.
func (v *virtual) practising(r *replica.Replica) (*practice, error) {
	c := &v.node.config.Practice
	if v.practiceKey.IsZero() {
		return nil, nil //nolint:nilnil // that is usual
	}
	account, err := identity.ParseAddress(c.Account)
	if err != nil {
		return nil, fmt.Errorf("%w: practice.account: %w", ErrConfig, err)
	}
	p := &practice{id: v.id, account: account, key: v.practiceKey, replica: r, log: v.log, sent: map[identity.Address][]exchange.Command{}, given: map[identity.Address]struct{}{}}
	for _, text := range c.Give {
		g, err := parseGift(text)
		if err != nil {
			return nil, fmt.Errorf("%w: practice.give: %w", ErrConfig, err)
		}
		p.terms = append(p.terms, g)
	}
	var real error
	if err := r.View(func(s *exchange.State) { _, real = p.amounts(s) }); err == nil && errors.Is(real, errBacked) {
		return nil, fmt.Errorf("%w: practice.give: %w", ErrConfig, real)
	}
	if err := p.open(filepath.Join(v.dir, "practice")); err != nil {
		return nil, fmt.Errorf("play money: %w", err)
	}
	return p, nil
}

// open reads the notes and writes them anew, without what does not matter any more.
func (p *practice) open(path string) error {
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if end := bytes.LastIndexByte(data, '\n'); end >= 0 {
		data = data[:end+1] // nothing was sent before its whole line was on the disk
	} else {
		data = nil
	}
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		if err := p.read(strings.Fields(lines.Text())); err != nil {
			return fmt.Errorf("%s, line %d: %w", path, n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	if err := replaceFile(path, p.text()); err != nil {
		return err
	}
	p.notes, err = os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0o600)
	return err
}

// read reads a line: "nonce 17", "sent ADDRESS COMMANDS", "given ADDRESS" or "failed ADDRESS".
func (p *practice) read(words []string) error {
	if len(words) < 2 {
		return errors.New("cut short")
	}
	if words[0] == "nonce" {
		_, err := fmt.Sscan(words[1], &p.nonce)
		return err
	}
	to, err := identity.ParseAddress(words[1])
	if err != nil {
		return err
	}
	delete(p.sent, to)
	switch {
	case words[0] == "given":
		p.given[to] = struct{}{}
	case words[0] == "sent" && len(words) == 3:
		data, err := hex.DecodeString(words[2])
		if err != nil {
			return err
		}
		commands, err := api.ParseBatch(p.id, data)
		if err != nil {
			return err
		}
		p.sent[to], p.nonce = commands, max(p.nonce, commands[len(commands)-1].Nonce)
	case words[0] != "failed":
		return fmt.Errorf("%q is not known", words[0])
	}
	return nil
}

// text is all that matters of the notes.
func (p *practice) text() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "nonce %d\n", p.nonce)
	for to := range p.given {
		fmt.Fprintf(&b, "given %s\n", to)
	}
	for to, commands := range p.sent {
		fmt.Fprintf(&b, "sent %s %x\n", to, bytesOf(commands))
	}
	return b.Bytes()
}

func bytesOf(commands []exchange.Command) (data []byte) {
	for i := range commands {
		data = commands[i].Append(data)
	}
	return data
}

// note writes a line before what it says counts.
func (p *practice) note(format string, args ...any) error {
	if _, err := fmt.Fprintf(p.notes, format+"\n", args...); err != nil {
		return fmt.Errorf("note play money: %w", err)
	}
	return p.notes.Sync()
}

func (p *practice) close() error {
	p.turn.Lock()
	defer p.turn.Unlock()
	return p.notes.Close()
}

// Gifts implements web.Practice.
func (p *practice) Gifts(s *exchange.State) []web.Gift {
	n, ok := s.Ledger().Find(p.account)
	if !ok || s.Ledger().Authorize(n, p.key.Public(), ledger.Transfer, 0, max(s.Time(), uint64(time.Now().UnixMilli()))) != ledger.OK {
		return nil
	}
	gifts, err := p.amounts(s)
	if errors.Is(err, errBacked) {
		p.alarm.Do(func() { p.log.Error("no play money is given", slog.Any("error", err)) })
	}
	for _, g := range gifts {
		if s.Ledger().Available(n, g.Asset) < g.Amount {
			return nil
		}
	}
	return gifts
}

// amounts are the gifts in the assets of a state; none if one of them is not there, or is none
// to give away.
func (p *practice) amounts(s *exchange.State) ([]web.Gift, error) {
	gifts := make([]web.Gift, 0, len(p.terms))
	for _, t := range p.terms {
		id, ok := s.Ledger().BySymbol(t.symbol)
		if !ok {
			return nil, fmt.Errorf("there is no asset %s", t.symbol)
		}
		a, _ := s.Ledger().Asset(id)
		n, err := asset.Parse(t.amount, a.Decimals)
		if err != nil {
			return nil, err
		}
		if network := networkOf(s, id); network != "" && isMoney(network) {
			return nil, backed(t.symbol, network)
		}
		gifts = append(gifts, web.Gift{Asset: id, Amount: n})
	}
	return gifts, nil
}

// networkOf is the network of an asset's bank; empty if it has none.
func networkOf(s *exchange.State, id asset.ID) string {
	if s.Banks() == nil {
		return ""
	}
	for i := range s.Banks().Banks() {
		if bank := custody.Bank(i + 1); s.Banks().Asset(bank) == id {
			info, _ := s.Banks().Bank(bank)
			return info.Network
		}
	}
	return ""
}

// Given implements web.Practice.
func (p *practice) Given(s *exchange.State, to identity.Address) bool {
	return p.done(to) || to == p.account || p.has(s, to)
}

func (p *practice) done(to identity.Address) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, given := p.given[to]
	return given
}

// has tells whether an account has as much as is given, of every asset: then another server
// gave it, perhaps a moment ago.
func (p *practice) has(s *exchange.State, to identity.Address) bool {
	n, ok := s.Ledger().Find(to)
	gifts, err := p.amounts(s)
	for _, g := range gifts {
		ok = ok && s.Ledger().Available(n, g.Asset)+s.Ledger().Held(n, g.Asset) >= g.Amount
	}
	return ok && err == nil && len(gifts) > 0
}

// Give implements web.Practice.
func (p *practice) Give(ctx context.Context, to identity.Address) ([]exchange.Receipt, error) {
	commands, err := p.prepare(to)
	if err != nil || len(commands) == 0 {
		return nil, err
	}
	answers, err := p.replica.Submit(ctx, replica.Request{Client: rolePractice, Data: bytesOf(commands)})
	if err != nil {
		return nil, webErr(err)
	}
	return p.conclude(to, answers)
}

// prepare signs what an address is given, or finds what was signed for it and may still be
// executed; nothing if it has been given.
func (p *practice) prepare(to identity.Address) ([]exchange.Command, error) {
	p.turn.Lock()
	defer p.turn.Unlock()
	if p.done(to) {
		return nil, nil
	}
	if before := p.sent[to]; len(before) > 0 {
		a, err := p.replica.FateOf(&before[0])
		if err != nil {
			return nil, webErr(err)
		}
		var now uint64
		if err := p.replica.View(func(s *exchange.State) { now = s.Time() }); err != nil {
			return nil, webErr(err)
		}
		switch {
		case a.Fate == replica.FateCommitted && a.Receipt.Code == exchange.OK, a.Fate == replica.FateElsewhere:
			return nil, p.settle(to)
		case a.Fate != replica.FateCommitted && now < before[0].Expiry:
			return before, nil
		}
	}
	if p.full() {
		return nil, runOut()
	}
	commands, err := p.sign(to)
	if err != nil {
		return nil, err
	}
	if err := p.note("sent %s %x", to, bytesOf(commands)); err != nil {
		return nil, err
	}
	p.sent[to] = commands
	return commands, nil
}

// full tells whether no more addresses can be remembered.
func (p *practice) full() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.given)+len(p.sent) >= mostGiven
}

// sign makes the transfers to an address.
func (p *practice) sign(to identity.Address) (commands []exchange.Command, err error) {
	var gifts []web.Gift
	var top uint64
	if err := p.replica.View(func(s *exchange.State) {
		if gifts = p.Gifts(s); gifts != nil {
			n, _ := s.Ledger().Find(p.account)
			top = s.Ledger().TopNonce(n, p.key.Public())
		}
	}); err != nil {
		return nil, webErr(err)
	}
	if len(gifts) == 0 {
		return nil, runOut()
	}
	if p.nonce < top || p.nonce > top+mostSkipped {
		p.nonce = top
	}
	for _, g := range gifts {
		p.nonce++
		body := &exchange.Transfer{To: to, Asset: g.Asset, Amount: g.Amount}
		c := exchange.Command{Kind: body.Kind(), Account: p.account, Nonce: p.nonce, Expiry: uint64(time.Now().Add(commandFor).UnixMilli()), Body: body.Append(nil)}
		if err := c.Sign(p.id, p.key); err != nil {
			return nil, fmt.Errorf("sign play money: %w", err)
		}
		commands = append(commands, c)
	}
	return commands, nil
}

// conclude keeps what became of what was sent.
func (p *practice) conclude(to identity.Address, answers []replica.Answer) (receipts []exchange.Receipt, err error) {
	p.turn.Lock()
	defer p.turn.Unlock()
	switch first := &answers[0]; {
	case first.Fate == replica.FateCommitted && first.Receipt.Code == exchange.OK:
		for i := range answers {
			receipts = append(receipts, answers[i].Receipt)
			if code := answers[i].Receipt.Code; code != exchange.OK {
				p.log.Warn("play money was given in part", slog.String("code", code.String()))
			}
		}
		return receipts, p.settle(to)
	case first.Fate == replica.FateElsewhere:
		return nil, p.settle(to)
	case first.Fate == replica.FateCommitted:
		delete(p.sent, to)
		if err := p.note("failed %s", to); err != nil {
			return nil, err
		}
		return nil, runOut()
	}
	return nil, webErr(context.DeadlineExceeded) // it may still come: the same is sent again
}

// settle notes that an address has had its gifts.
func (p *practice) settle(to identity.Address) error {
	delete(p.sent, to)
	p.mu.Lock()
	p.given[to] = struct{}{}
	p.mu.Unlock()
	return p.note("given %s", to)
}

// runOut is the answer when there is nothing to give.
func runOut() *api.Error {
	e := api.NewError(api.TooMany, "", "The play money of this server has run out. Ask another server, or tell the operator.")
	e.RetryAfter = time.Hour
	return e
}
