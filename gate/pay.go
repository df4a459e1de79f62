package gate

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"souk/api"
	"souk/asset"
	"souk/exchange"
	"souk/exchange/custody"
	"souk/web/binance"
	"souk/web/wallet"
)

const (
	// repeatWindow is how long an equal payment counts as the same one, perhaps (J-52). It
	// is as long as a command can be under way.
	repeatWindow = api.CommandLife
	// payLate is how long after its expiry a command that nobody has a receipt of is dead.
	payLate = time.Minute
	// idPrefix begins a comment that names a payment (J-51).
	idPrefix = "id:"
)

// payment is what was asked for once, and remembered before it was sent.
type payment struct {
	Key     string // by which it is found again
	ID      string // as the program knows it; empty until its first number is known
	RPC     string // the request's id
	Wallet  string
	Comment string
	To      string
	What    string // addresses and amounts
	Time    uint64 // ms
	Parts   []part
}

// part is one withdrawal of a payment.
type part struct {
	Address string
	Amount  asset.Amount
	MaxFee  asset.Amount
	Command []byte // signed
	Number  uint64 // of the withdrawal; 0: not known
	Dead    bool   // it will never be
	Code    uint16 // why
	Said    uint16 // why it was refused, as a server says without a proof; 0: it was not
}

// open tells whether the fate of a part is not known.
func (p *payment) open() bool {
	return slices.ContainsFunc(p.Parts, func(x part) bool { return x.Number == 0 && !x.Dead })
}

// due tells whether the fate of a part has to be asked for. What a server has refused is asked
// for again when the command has expired: until then only if its asker comes back.
func (p *payment) due(id exchange.ID) bool {
	return slices.ContainsFunc(p.Parts, func(x part) bool {
		if x.Number != 0 || x.Dead || x.Said == 0 {
			return x.Number == 0 && !x.Dead
		}
		cmd, _, err := exchange.Parse(id, x.Command)
		return err == nil && over(&cmd)
	})
}

// over tells whether a command can have no effect any more.
func over(cmd *exchange.Command) bool {
	return time.Now().After(time.UnixMilli(int64(cmd.Expiry)).Add(payLate))
}

// dead tells whether nothing of a payment will ever be paid.
func (p *payment) dead() bool {
	return !slices.ContainsFunc(p.Parts, func(x part) bool { return !x.Dead })
}

func newSalt() (salt custody.Salt, err error) {
	if _, err = rand.Read(salt[:]); err != nil {
		err = fmt.Errorf("draw a salt: %w", err)
	}
	return salt, err
}

// id is what a withdrawal is called, before it has a transaction and afterwards (J-50).
func (c *Coins) id(number uint64) string {
	b := append([]byte("souk/gate/withdrawal/v1"), c.s.id[:]...)
	sum := sha256.Sum256(binary.BigEndian.AppendUint64(b, number))
	return hex.EncodeToString(sum[:])
}

// what is a request's payments as text, and the key under which it is remembered.
func what(name string, r *wallet.Request) (text, key string) {
	var b strings.Builder
	for _, p := range r.Payments {
		fmt.Fprintf(&b, "%s %d\n", p.Address, p.Amount)
	}
	text = b.String()
	identity := fmt.Sprintf("%s\n%s\n%s\n%s", name, r.Comment, r.To, text)
	if strings.HasPrefix(r.Comment, idPrefix) {
		identity = name + "\n" + r.Comment
	}
	sum := sha256.Sum256([]byte(identity))
	return text, hex.EncodeToString(sum[:])
}

func sentKey(key string) []byte { return append([]byte{keySent}, key...) }

// sent are the payments of a wallet, by the numbers of their withdrawals.
func (c *Coins) sent(name string) (map[uint64]*payment, error) {
	known := map[uint64]*payment{}
	err := scan(c.s.config.Store, keySent, func(p *payment) {
		if p.Wallet != name {
			return
		}
		for i := range p.Parts {
			if n := p.Parts[i].Number; n != 0 {
				known[n] = p
			}
		}
	})
	return known, err
}

// Pay implements wallet.Account (J-50 to J-53).
func (c *Coins) Pay(ctx context.Context, name string, r *wallet.Request) ([]wallet.Movement, error) {
	if !c.pays {
		return nil, fmt.Errorf("%w: it was made without souk gate init --allow-withdraw", wallet.ErrScope)
	}
	text, key := what(name, r)
	done, err := c.alone(ctx, key)
	if err != nil {
		return nil, err
	}
	defer done()
	p, err := c.before(r, text, key)
	if err != nil {
		return nil, err
	}
	if p == nil {
		if p, err = c.prepare(ctx, name, r, text, key); err != nil {
			return nil, err
		}
	}
	return c.finish(ctx, p)
}

// alone waits until nobody else works on a payment.
func (c *Coins) alone(ctx context.Context, key string) (done func(), err error) {
	for {
		c.mu.Lock()
		other := c.paying[key]
		if other == nil {
			mine := make(chan struct{})
			c.paying[key] = mine
			c.mu.Unlock()
			return func() {
				c.mu.Lock()
				defer c.mu.Unlock()
				delete(c.paying, key)
				close(mine)
			}, nil
		}
		c.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: the same payment is under way", wallet.ErrUndecided)
		}
	}
}

// before is the payment that a request repeats; nil if it repeats none.
func (c *Coins) before(r *wallet.Request, text, key string) (*payment, error) {
	var p payment
	if !getJSON(c.s.config.Store, sentKey(key), &p) || p.dead() {
		return nil, nil //nolint:nilnil // there is none
	}
	named := strings.HasPrefix(r.Comment, idPrefix)
	recent := time.Since(time.UnixMilli(int64(p.Time))) < repeatWindow
	switch {
	case named && p.What != text:
		return nil, fmt.Errorf("%w: %q was another payment, %s", wallet.ErrKey, r.Comment, p.ID)
	case named, p.open(), recent && p.RPC == r.ID:
		return &p, nil
	case recent:
		return nil, fmt.Errorf("%w: an equal one was made as %s less than %d minutes ago; if you mean another one, give it a comment of its own, or one that begins with %s", wallet.ErrTwice, p.ID, int(repeatWindow.Minutes()), idPrefix)
	}
	return nil, nil //nolint:nilnil // an equal one of long ago was another one
}

// prepare checks a request, signs a withdrawal for each payment, and remembers them.
func (c *Coins) prepare(ctx context.Context, name string, r *wallet.Request, text, key string) (*payment, error) {
	t, err := c.fresh(ctx, name)
	if err != nil {
		return nil, err
	}
	p := &payment{Key: key, RPC: r.ID, Wallet: name, Comment: r.Comment, To: r.To, What: text, Time: uint64(time.Now().UnixMilli())}
	var bodies []exchange.Body
	var total asset.Amount
	for _, x := range r.Payments {
		out, err := c.output(ctx, t, name, x.Address)
		if err != nil {
			return nil, err
		}
		if err := limits(t.Bank, out, x.Amount); err != nil {
			return nil, err
		}
		most, err := c.bound(ctx, t, name, out)
		if err != nil {
			return nil, err
		}
		if most > x.Amount/10 {
			return nil, fmt.Errorf("%w: the fee may come to %s, much for so small a payment", wallet.ErrAmount, api.FormatCoins(most))
		}
		salt, err := newSalt()
		if err != nil {
			return nil, err
		}
		body := &exchange.Withdraw{}
		body.Bank, body.Script, body.Amount, body.MaxFee, body.Salt = t.Bank.ID, out, x.Amount, most, salt
		bodies = append(bodies, body)
		p.Parts = append(p.Parts, part{Address: x.Address, Amount: x.Amount, MaxFee: most})
		total += x.Amount + most
	}
	if b, err := c.Balance(ctx, name); err != nil || b.Available < total {
		if err == nil {
			err = fmt.Errorf("%w: %s are available, %s are needed with the most that the fee may be", wallet.ErrFunds, api.FormatCoins(b.Available), api.FormatCoins(total))
		}
		return nil, err
	}
	commands, err := c.s.actor.Sign(ctx, bodies...)
	if err != nil {
		return nil, asks(err)
	}
	for i := range commands {
		p.Parts[i].Command = commands[i].Append(nil)
	}
	return p, c.remember(p)
}

// remember writes a payment, durably.
func (c *Coins) remember(p *payment) error {
	b := c.s.config.Store.NewBatch()
	setJSON(b, sentKey(p.Key), p)
	if err := b.Commit(true); err != nil {
		return fmt.Errorf("%w: %w", wallet.ErrUnavailable, err)
	}
	return nil
}

// Run learns the fate of payments whose askers have gone, until ctx ends.
func (c *Coins) Run(ctx context.Context) {
	ticker := time.NewTicker(resolvePause)
	defer ticker.Stop()
	for {
		var open []*payment
		err := scan(c.s.config.Store, keySent, func(p *payment) {
			if p.due(c.s.id) {
				open = append(open, p)
			}
		})
		for _, p := range open {
			if err := c.resume(ctx, p.Key); err != nil && ctx.Err() == nil {
				c.s.log.InfoContext(ctx, "the fate of a payment is not known yet", slog.String("payment", p.Key[:16]))
			}
		}
		if err != nil && ctx.Err() == nil {
			c.s.log.WarnContext(ctx, "payments", slog.Any("error", err))
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// resume goes on with a payment, unless somebody else has ended it meanwhile.
func (c *Coins) resume(ctx context.Context, key string) error {
	done, err := c.alone(ctx, key)
	if err != nil {
		return err
	}
	defer done()
	var p payment
	if !getJSON(c.s.config.Store, sentKey(key), &p) || !p.open() {
		return nil
	}
	_, err = c.finish(ctx, &p)
	if p.open() {
		return err
	}
	return nil // paid or refused: whoever asks again is told
}

// finish sends what of a payment is open, again if need be, and answers what became of it.
func (c *Coins) finish(ctx context.Context, p *payment) ([]wallet.Movement, error) {
	var open []*part
	var commands []*exchange.Command
	for i := range p.Parts {
		x := &p.Parts[i]
		if x.Number != 0 || x.Dead {
			continue
		}
		cmd, rest, err := exchange.Parse(c.s.id, x.Command)
		if err != nil || len(rest) > 0 {
			return nil, errors.New("the gate's memory of a payment is damaged")
		}
		open, commands = append(open, x), append(commands, &cmd)
	}
	if len(open) > 0 {
		receipts, err := c.s.actor.Send(ctx, commands...)
		for i := range receipts {
			if err := c.settle(ctx, p, open[i], commands[i], &receipts[i]); err != nil {
				return nil, err
			}
		}
		unknown := slices.ContainsFunc(p.Parts, func(x part) bool { return x.Number == 0 && !x.Dead && x.Said == 0 })
		if err := errors.Join(err, c.remember(p)); err != nil || unknown {
			return nil, fmt.Errorf("%w: send the same request again, it is not paid twice", wallet.ErrUndecided)
		}
	}
	return c.result(p)
}

// settle notes the receipt of a part. A refusal ends it only if it is proven, or when the
// command has expired: a server that lies may have passed it on (J-56).
func (c *Coins) settle(ctx context.Context, p *payment, x *part, cmd *exchange.Command, r *exchange.Receipt) error {
	x.Said = 0
	switch {
	case r.Code == exchange.OK:
		x.Number = r.Number
		if err := c.s.claimed(ctx, r); err != nil {
			return fmt.Errorf("%w: %w", wallet.ErrUndecided, err)
		}
	case r.Height != 0:
		if c.s.config.Proofs != ProveNever {
			if err := c.s.check(ctx, r); err != nil {
				return fmt.Errorf("%w: %w", wallet.ErrUndecided, err)
			}
		}
		x.Dead, x.Code = true, uint16(r.Code)
	case over(cmd):
		// Perhaps it was executed, and its receipt is forgotten: the list of withdrawals tells.
		number, err := c.lookUp(ctx, p, x, cmd)
		if err != nil {
			return err
		}
		x.Number, x.Dead, x.Code = number, number == 0, uint16(r.Code)
	case r.Code == exchange.NonceUsed || r.Code == exchange.NonceStale || r.Code == exchange.Expired || r.Code == exchange.AccountBusy:
	default:
		x.Said = uint16(r.Code)
	}
	if x.Number != 0 && p.ID == "" {
		p.ID = c.id(x.Number)
	}
	return nil
}

// lookUp finds the withdrawal of a part among those that were asked for while its command
// could be executed, and that are no other payment's.
func (c *Coins) lookUp(ctx context.Context, p *payment, x *part, cmd *exchange.Command) (uint64, error) {
	known, err := c.sent(p.Wallet)
	if err != nil {
		return 0, err
	}
	list, err := c.withdrawals(ctx, p.Wallet)
	if err != nil {
		return 0, err
	}
	taken := func(n uint64) bool {
		return known[n] != nil || slices.ContainsFunc(p.Parts, func(o part) bool { return o.Number == n })
	}
	const skew = 30_000 // ms between clocks
	for i := range list {
		w := &list[i]
		if w.Amount == api.FormatCoins(x.Amount) && w.Address == x.Address && w.Asked+skew >= p.Time && w.Asked <= cmd.Expiry+skew && !taken(w.ID) {
			return w.ID, nil
		}
	}
	return 0, nil
}

// result is what became of a payment whose fate is known.
func (c *Coins) result(p *payment) ([]wallet.Movement, error) {
	var list []wallet.Movement
	var failed []string
	code := exchange.OK
	for i := range p.Parts {
		x := &p.Parts[i]
		if x.Number == 0 {
			code = exchange.Code(cmp.Or(x.Code, x.Said))
			failed = append(failed, fmt.Sprintf("%s to %s: %s", api.FormatCoins(x.Amount), x.Address, api.Message(code)))
			continue
		}
		list = append(list, wallet.Movement{ID: p.ID, Address: x.Address, Amount: x.Amount, Send: true, Time: p.Time, Comment: p.Comment, To: p.To})
	}
	switch {
	case len(failed) == 0:
		return list, nil
	case len(list) > 0:
		return nil, fmt.Errorf("%w: of %d payments, as %s, these were not made: %s", wallet.ErrScope, len(p.Parts), p.ID, strings.Join(failed, "; "))
	}
	return nil, refusedCode(code)
}

// refusedFor is the code for which a command was refused; OK if it was not.
func refusedFor(err error) exchange.Code {
	var refusal *binance.Refusal
	if errors.As(err, &refusal) {
		return refusal.Code
	}
	return exchange.OK
}

// refused is an error of a command as web/wallet has it.
func refused(err error) error {
	if code := refusedFor(err); code != exchange.OK && !errors.Is(err, binance.ErrUndecided) {
		return refusedCode(code)
	}
	if errors.Is(err, binance.ErrUndecided) {
		return fmt.Errorf("%w: %w", wallet.ErrUndecided, err)
	}
	return asks(err)
}

func refusedCode(code exchange.Code) error {
	text := api.Message(code)
	switch code { //nolint:exhaustive // the others are what they are
	case exchange.Insufficient, exchange.FeeUnpaid:
		return fmt.Errorf("%w: %s", wallet.ErrFunds, text)
	case exchange.BadOutput:
		return fmt.Errorf("%w: %s", wallet.ErrAddress, text)
	case exchange.BadAmount:
		return fmt.Errorf("%w: %s", wallet.ErrAmount, text)
	case exchange.BanksHalted, exchange.AccountBusy, exchange.Expired:
		return fmt.Errorf("%w: %s", wallet.ErrUnavailable, text)
	}
	return fmt.Errorf("%w: %s", wallet.ErrScope, text)
}
