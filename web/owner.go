package web

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"souk/api"
	"souk/asset"
	"souk/exchange"
	"souk/exchange/custody"
	"souk/exchange/ledger"
	"souk/identity"
	"souk/script"
)

// What an account has to do with banks is told to its keys only (H-22, H-101).

// owns checks that a request for what is an account's own comes from it.
func (v *virtual) owns(in *Signed, account string) (identity.Address, error) {
	address, _, err := v.reader(in, ledger.Read)
	if err != nil {
		return identity.Address{}, refuse(err)
	}
	if account != address.String() {
		return identity.Address{}, refuse(v.refused())
	}
	return address, nil
}

// owner is an account as custody knows it; ok is false if it has nothing to do with banks.
func owner(s *exchange.State, address identity.Address) (custody.Owner, bool) {
	n, ok := s.Ledger().Find(address)
	return custody.Owner(n), ok && s.Banks() != nil
}

// banked is a bank as its owners' things name it.
type banked struct {
	id      custody.Bank
	symbol  string
	network *script.Network
}

// bankedBy are all banks by number.
func bankedBy(s *exchange.State) map[custody.Bank]banked {
	all := map[custody.Bank]banked{}
	for i := range s.Banks().Banks() {
		info, _ := s.Banks().Bank(custody.Bank(i + 1))
		of, _ := s.Ledger().Asset(info.Asset)
		if n, ok := script.ByName(info.Network); ok {
			all[info.ID] = banked{info.ID, of.Symbol, n}
		}
	}
	return all
}

// only is the bank that a request names; zero for all.
func only(s *exchange.State, name string) (custody.Bank, error) {
	if name == "" {
		return 0, nil
	}
	b, _, err := bankOf(s, name)
	if err != nil {
		return 0, api.NewError(api.NotFound, "query.bank", "There is no bank of %q. /v1/banks lists them by asset.", cut(name))
	}
	return b.ID, nil
}

// derived remembers addresses that were derived, and series at the branch of deposits.
type derived struct {
	mu     sync.Mutex
	series map[[2]uint32]*script.Branch
	text   map[custody.Address]string
}

func newDerived() derived {
	return derived{series: map[[2]uint32]*script.Branch{}, text: map[custody.Address]string{}}
}

// mostDerived is how many addresses are remembered.
const mostDerived = 1 << 16

// address derives a deposit address. series answers the keys of a series.
func (d *derived) address(b banked, number, index uint32, series func(uint32) (script.Series, bool)) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	key := custody.Address{Bank: b.id, Series: number, Index: index}
	if text, ok := d.text[key]; ok {
		return text, nil
	}
	at := [2]uint32{uint32(b.id), number}
	branch := d.series[at]
	if branch == nil {
		x, ok := series(number)
		if !ok {
			return "", fmt.Errorf("bank %d has no series %d", b.id, number)
		}
		var err error
		if branch, err = x.Branch(script.Deposits); err != nil {
			return "", err
		}
		d.series[at] = branch
	}
	out, err := branch.Derive(index)
	if err != nil {
		return "", err
	}
	text, err := b.network.Address(out.Output())
	if err != nil {
		return "", err
	}
	if len(d.text) >= mostDerived {
		clear(d.text)
	}
	d.text[key] = text
	return text, nil
}

// addressText derives a deposit address. The state is not looked at but for a series
// that was not met before.
func (v *virtual) addressText(b banked, number, index uint32) (string, error) {
	return v.derived.address(b, number, index, func(number uint32) (x script.Series, ok bool) {
		err := v.look(func(s *exchange.State) {
			if s.Banks() != nil {
				x, _, ok = s.Banks().SeriesOf(b.id, number)
			}
		})
		return x, ok && err == nil
	})
}

// viewOwn is view for lists of what an account has at banks. It says which state was
// read, and calls read with the account's number and the bank that was asked for, zero
// for all, unless the account is not known or there is no bank.
func (v *virtual) viewOwn(
	state *api.At, account identity.Address, bank string, read func(s *exchange.State, n custody.Owner, bank custody.Bank),
) error {
	return v.view(func(s *exchange.State) error {
		*state = at(s)
		n, ok := owner(s, account)
		id, err := only(s, bank)
		if err != nil || !ok {
			return err
		}
		read(s, n, id)
		return nil
	})
}

// AddressesInput says whose addresses, and who asks.
type AddressesInput struct {
	Address string `path:"address" maxLength:"90" doc:"Address of the account."`
	Bank    string `query:"bank" maxLength:"20" doc:"Number or symbol of the bank's asset; absent: all banks."`
	Unused  bool   `query:"unused" doc:"1: only those to which nothing was credited."`
	At      string `query:"at" maxLength:"24" doc:"Only this one: series, a dash, and index; with bank."`
	Before  string `query:"before" maxLength:"32" doc:"Only addresses older than this: next of the response before."`
	Limit   int    `query:"limit" minimum:"1" maximum:"100" default:"100"`
	Signed
	Proving
}

func (v *virtual) addresses(ctx context.Context, in *AddressesInput) (*Reply[api.Addresses], error) {
	account, err := v.owns(&in.Signed, in.Address)
	if err != nil {
		return nil, err
	}
	if in.Proof && in.Limit > maxProofs && in.At == "" {
		return nil, api.NewError(api.BadRequest, "query.limit", "With proofs at most %d addresses at a time. Set the limit, and go on with before.", maxProofs)
	}
	before, err := parseNumbers[[3]uint32](in.Before, "query.before", "Give what the response before has as next, or nothing.")
	if err != nil {
		return nil, err
	}
	this, err := parseNumbers[[2]uint32](in.At, "query.at", "Write the numbers of series and address, such as 0-17.")
	if err != nil {
		return nil, err
	}
	r := api.Addresses{Addresses: []api.Address{}}
	var all map[custody.Bank]banked
	var found []custody.Address
	err = v.viewOwn(&r.At, account, in.Bank, func(s *exchange.State, n custody.Owner, bank custody.Bank) {
		all = bankedBy(s)
		found = slices.DeleteFunc(s.Banks().Addresses(n), func(a custody.Address) bool {
			return bank != 0 && a.Bank != bank || in.Unused && a.Used ||
				in.At != "" && [2]uint32{a.Series, a.Index} != this || in.Before != "" && slices.Compare(placeOf(&a), before[:]) >= 0
		})
	})
	if err != nil {
		return nil, refuse(err)
	}
	slices.SortFunc(found, func(x, y custody.Address) int { return slices.Compare(placeOf(&y), placeOf(&x)) })
	if len(found) > in.Limit {
		found = found[:in.Limit]
		last := &found[in.Limit-1]
		r.Next = fmt.Sprintf("%d-%d-%d", last.Bank, last.Series, last.Index)
	}
	for i := range found {
		x, err := v.addressValue(ctx, all[found[i].Bank], &found[i], in.Proof)
		if err != nil {
			return nil, refuse(err)
		}
		r.Addresses = append(r.Addresses, x)
	}
	return &Reply[api.Addresses]{r}, nil
}

func (v *virtual) addressValue(ctx context.Context, b banked, a *custody.Address, proof bool) (api.Address, error) {
	x := api.Address{Bank: uint32(b.id), Symbol: b.symbol, Network: b.network.Name, Series: a.Series, Index: a.Index, Used: a.Used}
	var err error
	if x.Address, err = v.addressText(b, a.Series, a.Index); err != nil {
		return x, err
	}
	if proof {
		x.Proof, err = v.proveLeaf(ctx, custody.AddressKey(a.Bank, a.Series, a.Index))
	}
	return x, err
}

// placeOf is where an address stands in the order of all.
func placeOf(a *custody.Address) []uint32 { return []uint32{uint32(a.Bank), a.Series, a.Index} }

// parseNumbers reads numbers with dashes between; nothing is zeros.
func parseNumbers[T [2]uint32 | [3]uint32](text, field, detail string) (n T, err error) {
	if text == "" {
		return n, nil
	}
	parts := strings.Split(text, "-")
	if len(parts) != len(n) {
		return n, api.NewError(api.BadRequest, field, "%s", detail)
	}
	for i := range len(n) {
		x, err := strconv.ParseUint(parts[i], 10, 32)
		if err != nil {
			return n, api.NewError(api.BadRequest, field, "%s", detail)
		}
		n[i] = uint32(x)
	}
	return n, nil
}

// DepositsInput says whose deposits, and who asks.
type DepositsInput struct {
	Address string `path:"address" maxLength:"90" doc:"Address of the account."`
	Bank    string `query:"bank" maxLength:"20" doc:"Number or symbol of the bank's asset; absent: all banks."`
	Before  string `query:"before" maxLength:"96" doc:"Only deposits behind this: next of the response before."`
	Limit   int    `query:"limit" minimum:"1" maximum:"100" default:"100"`
	Signed
}

// paid is a deposit, credited or not.
type paid struct {
	custody.Deposit
	credited bool
}

// rank is the order of deposits: what is not credited, then by falling height.
func (p *paid) compare(other *paid) int {
	rank := func(p *paid) int {
		if p.credited {
			return 1
		}
		return 0
	}
	return cmp.Or(rank(p)-rank(other), -cmp.Compare(p.Height, other.Height), compareOutpoints(p.At, other.At), cmp.Compare(p.Bank, other.Bank))
}

func (p *paid) cursor() string {
	kind := "o" // open
	if p.credited {
		kind = "c"
	}
	return fmt.Sprintf("%s-%d-%d-%s", kind, p.Bank, p.Height, p.At)
}

func parsePaid(text string) (p paid, err error) {
	bad := api.NewError(api.BadRequest, "query.before", "Give what the response before has as next, or nothing.")
	parts := strings.SplitN(text, "-", 4)
	if len(parts) != 4 || parts[0] != "o" && parts[0] != "c" {
		return p, bad
	}
	bank, err1 := strconv.ParseUint(parts[1], 10, 32)
	height, err2 := strconv.ParseUint(parts[2], 10, 32)
	at, err3 := script.ParseOutpoint(parts[3])
	if err1 != nil || err2 != nil || err3 != nil {
		return p, bad
	}
	p.credited, p.Bank, p.Height, p.At = parts[0] == "c", custody.Bank(bank), uint32(height), at
	return p, nil
}

func (v *virtual) deposits(_ context.Context, in *DepositsInput) (*Reply[api.Deposits], error) {
	account, err := v.owns(&in.Signed, in.Address)
	if err != nil {
		return nil, err
	}
	var before *paid
	if in.Before != "" {
		p, err := parsePaid(in.Before)
		if err != nil {
			return nil, err
		}
		before = &p
	}
	r := api.Deposits{Deposits: []api.Deposit{}}
	var all map[custody.Bank]banked
	var found []paid
	needed := 0
	err = v.viewOwn(&r.At, account, in.Bank, func(s *exchange.State, n custody.Owner, bank custody.Bank) {
		all = bankedBy(s)
		needed = custody.Threshold(members(s))
		for _, d := range s.Banks().Deposits(n) {
			found = append(found, paid{d, false})
		}
		for _, c := range s.Banks().Receipts(n) {
			found = append(found, paid{custody.Deposit{Bank: c.Bank, At: c.At, Amount: c.Amount, Series: c.Series, Index: c.Index, Height: c.Height, Depth: c.Depth}, true})
		}
		found = slices.DeleteFunc(found, func(p paid) bool { return bank != 0 && p.Bank != bank || before != nil && p.compare(before) <= 0 })
	})
	if err != nil {
		return nil, refuse(err)
	}
	slices.SortFunc(found, func(x, y paid) int { return x.compare(&y) })
	if len(found) > in.Limit {
		found = found[:in.Limit]
		r.Next = found[in.Limit-1].cursor()
	}
	for i := range found {
		x, err := v.depositValue(all[found[i].Bank], &found[i], needed)
		if err != nil {
			return nil, refuse(err)
		}
		r.Deposits = append(r.Deposits, x)
	}
	return &Reply[api.Deposits]{r}, nil
}

// members is how many members the roster has.
func members(s *exchange.State) (n int) {
	for range s.Roster().Members {
		n++
	}
	return n
}

func (v *virtual) depositValue(b banked, p *paid, needed int) (api.Deposit, error) {
	x := api.Deposit{
		Bank: uint32(b.id), Symbol: b.symbol, Network: b.network.Name, Tx: p.At.Tx.String(), Output: p.At.Index, Amount: api.FormatCoins(p.Amount),
		Series: p.Series, Index: p.Index, Height: p.Height, Depth: p.Depth, Required: p.Required, Members: p.Members,
	}
	switch {
	case p.credited:
		x.State = api.DepositCredited
	case p.Agreed:
		x.State = api.DepositDeep
	default:
		x.State, x.Needed = api.DepositSeen, needed
	}
	var err error
	x.Address, err = v.addressText(b, p.Series, p.Index)
	return x, err
}

// WithdrawalsInput says whose withdrawals, and who asks.
type WithdrawalsInput struct {
	Address string `path:"address" maxLength:"90" doc:"Address of the account."`
	Bank    string `query:"bank" maxLength:"20" doc:"Number or symbol of the bank's asset; absent: all banks."`
	Before  uint64 `query:"before" maximum:"9007199254740992" doc:"Only withdrawals with lower ids: next of the response before."`
	Limit   int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
	Signed
}

func (v *virtual) withdrawals(_ context.Context, in *WithdrawalsInput) (*Reply[api.Withdrawals], error) {
	account, err := v.owns(&in.Signed, in.Address)
	if err != nil {
		return nil, err
	}
	r := api.Withdrawals{Withdrawals: []api.Withdrawal{}}
	err = v.viewOwn(&r.At, account, in.Bank, func(s *exchange.State, n custody.Owner, bank custody.Bank) {
		all, now, seen := bankedBy(s), v.now(s), map[batchID]*batchSeen{}
		skip := func(id custody.ID, b custody.Bank) bool {
			return bank != 0 && b != bank || in.Before != 0 && uint64(id) >= in.Before
		}
		for _, w := range s.Banks().Withdrawals(n) {
			if !skip(w.ID, w.Bank) {
				r.Withdrawals = append(r.Withdrawals, waitingValue(s, all[w.Bank], &w, now, seen))
			}
		}
		for _, w := range s.Banks().Paid(n) {
			if !skip(w.ID, w.Bank) {
				r.Withdrawals = append(r.Withdrawals, paidValue(s, all[w.Bank], &w))
			}
		}
	})
	if err != nil {
		return nil, refuse(err)
	}
	if err := v.cancelled(account, in, &r); err != nil {
		return nil, refuse(err)
	}
	slices.SortFunc(r.Withdrawals, func(x, y api.Withdrawal) int { return cmp.Compare(y.ID, x.ID) })
	if len(r.Withdrawals) > in.Limit {
		r.Withdrawals = r.Withdrawals[:in.Limit]
		r.Next = r.Withdrawals[in.Limit-1].ID
	}
	return &Reply[api.Withdrawals]{r}, nil
}

// cancelled adds the withdrawals that an account took back of late. The state has
// forgotten them.
func (v *virtual) cancelled(account identity.Address, in *WithdrawalsInput, r *api.Withdrawals) error {
	var all map[custody.Bank]banked
	var bank custody.Bank
	since := uint64(0)
	err := v.view(func(s *exchange.State) (err error) {
		if s.Banks() == nil {
			return nil
		}
		all, since = bankedBy(s), v.now(s)-min(v.now(s), custody.RecordFor)
		bank, err = only(s, in.Bank)
		return err
	})
	if err != nil || all == nil {
		return err
	}
	seen := 0
	for x, err := range v.replica.Cancels(account) {
		if err != nil {
			return err
		}
		if seen++; x.Time < since || seen > maxScan {
			return nil
		}
		b, ok := all[x.Bank]
		if !ok || bank != 0 && x.Bank != bank || in.Before != 0 && uint64(x.ID) >= in.Before {
			continue
		}
		w := api.Withdrawal{
			ID: uint64(x.ID), Bank: uint32(b.id), Symbol: b.symbol, Network: b.network.Name, Amount: api.FormatCoins(x.Amount), MaxFee: api.FormatCoins(x.MaxFee),
			Asked: x.Asked, State: api.WithdrawalCancelled, Time: x.Time,
		}
		w.Address, w.Script = api.ScriptText(b.network, x.Script)
		r.Withdrawals = append(r.Withdrawals, w)
	}
	return nil
}

// batchID names a batch.
type batchID struct {
	bank   custody.Bank
	number uint64
}

// batchSeen is a batch, looked at once for all withdrawals that it pays.
type batchSeen struct {
	custody.Batch
	signed, needed int
}

// waitingValue is a withdrawal that is not settled. seen are the batches that the
// request has met.
func waitingValue(s *exchange.State, b banked, w *custody.Withdrawal, now uint64, seen map[batchID]*batchSeen) api.Withdrawal {
	v := api.Withdrawal{
		ID: uint64(w.ID), Bank: uint32(b.id), Symbol: b.symbol, Network: b.network.Name, Amount: api.FormatCoins(w.Amount), MaxFee: api.FormatCoins(w.MaxFee),
		Asked: w.Asked, From: w.From, Batch: w.Batch, State: api.WithdrawalWaiting,
	}
	v.Address, v.Script = api.ScriptText(b.network, w.Script)
	if w.Batch == 0 {
		v.State, v.Reason = waitsFor(s, b, w, now)
		return v
	}
	id := batchID{b.id, w.Batch}
	t := seen[id]
	if t == nil {
		t = &batchSeen{}
		t.Batch, _ = s.Banks().Batch(b.id, w.Batch)
		t.signed, t.needed = signedBy(s, b.id, &t.Batch)
		seen[id] = t
	}
	v.Version = len(t.Versions)
	if version, height, depth, required, ok := s.Banks().Mined(b.id, w.Batch); ok {
		v.Version, v.State, v.Height, v.Depth, v.Required = version, api.WithdrawalMined, height, depth, required
	}
	v.Tx = t.Versions[v.Version-1].Tx.String()
	for i := range t.Payouts {
		if t.Payouts[i].ID == w.ID {
			v.Fee, v.Output = api.FormatCoins(t.Payouts[i].Fee), t.Place(i, v.Version)
		}
	}
	if v.State == api.WithdrawalMined {
		return v
	}
	v.Signed, v.Needed = t.signed, t.needed
	if v.State = api.WithdrawalSigning; v.Signed >= v.Needed {
		v.State = api.WithdrawalSigned
	}
	return v
}

// signedBy counts the members who have signed all they can of a batch's newest version,
// and how many must.
func signedBy(s *exchange.State, id custody.Bank, t *custody.Batch) (signed, needed int) {
	_, given := s.Banks().Signatures(id, t.Number, uint8(len(t.Versions)))
	needed, signed = 1, custody.MaxInputs
	for i, in := range t.Spends(len(t.Versions)) {
		x, _, _ := s.Banks().SeriesOf(id, in.Series)
		n := 0
		for _, g := range given {
			if len(g[i]) > 0 {
				n++
			}
		}
		needed, signed = max(needed, int(x.K)), min(signed, n)
	}
	return signed, needed
}

// waitsFor is what a withdrawal waits for that no transaction pays.
func waitsFor(s *exchange.State, b banked, w *custody.Withdrawal, now uint64) (state, reason string) {
	info, _ := s.Banks().Bank(b.id)
	limits, used := s.Banks().Hour(b.id, now)
	least, ok := script.Fee(asset.Amount(info.Accepted), script.OutputWeight(w.Script))
	switch {
	case w.From > now:
		return api.WithdrawalDelayed, api.WaitsForTime
	case s.Banks().HaltOf(b.id).Reason != custody.Running:
		return api.WithdrawalWaiting, api.WaitsForLift
	case info.Accepted == 0:
		return api.WithdrawalWaiting, api.WaitsForRate
	case !ok || least > w.MaxFee:
		return api.WithdrawalWaiting, api.WaitsForFee
	case w.Amount > limits.MaxPerHour-min(used, limits.MaxPerHour):
		return api.WithdrawalWaiting, api.WaitsForHour
	}
	if info.Waits&custody.WaitsToMine != 0 {
		return api.WithdrawalWaiting, api.WaitsForBlock
	}
	return api.WithdrawalWaiting, api.WaitsForTurn
}

// paidValue is a withdrawal that was settled.
func paidValue(s *exchange.State, b banked, w *custody.Settled) api.Withdrawal {
	v := api.Withdrawal{
		ID: uint64(w.ID), Bank: uint32(b.id), Symbol: b.symbol, Network: b.network.Name, Amount: api.FormatCoins(w.Amount), Fee: api.FormatCoins(w.Fee),
		State: api.WithdrawalPaid, Tx: w.At.Tx.String(), Output: w.At.Index, Height: w.Height, Time: w.Time,
	}
	v.Address, v.Script = api.ScriptText(b.network, w.Script)
	if info, ok := s.Banks().Bank(b.id); ok && info.Tip.Height >= w.Height {
		v.Depth = info.Tip.Height - w.Height + 1
	}
	return v
}

// SettingsInput says whose settings, and who asks.
type SettingsInput struct {
	Address string `path:"address" maxLength:"90" doc:"Address of the account."`
	Signed
	Proving
}

func (v *virtual) withdrawalSettings(ctx context.Context, in *SettingsInput) (*Reply[api.WithdrawalSettings], error) {
	account, err := v.owns(&in.Signed, in.Address)
	if err != nil {
		return nil, err
	}
	r := api.WithdrawalSettings{Now: api.PayRules{Allowed: []api.Output{}}}
	var n custody.Owner
	err = v.look(func(s *exchange.State) {
		var ok bool
		r.At = at(s)
		n, ok = owner(s, account)
		if !ok {
			return
		}
		all, now := bankedBy(s), v.now(s)
		current, next, from := s.Banks().Account(n, now)
		r.Now, r.Wait = rulesValue(all, &current), current.Delay
		for id := range all {
			limits, _ := s.Banks().Hour(id, now)
			r.Wait = max(r.Wait, limits.Delay)
		}
		if from != 0 {
			x := rulesValue(all, &next)
			r.Next, r.From = &x, from
		}
	})
	if err == nil && in.Proof && n != 0 {
		r.Proof, err = v.proveLeaf(ctx, custody.AccountKey(n))
	}
	if err != nil {
		return nil, refuse(err)
	}
	return &Reply[api.WithdrawalSettings]{r}, nil
}

func rulesValue(all map[custody.Bank]banked, x *custody.Settings) api.PayRules {
	v := api.PayRules{Delay: x.Delay, Only: x.Only, Allowed: make([]api.Output, len(x.Allowed))}
	for i, a := range x.Allowed {
		b := all[a.Bank]
		v.Allowed[i] = api.Output{Bank: uint32(a.Bank), Symbol: b.symbol}
		v.Allowed[i].Address, v.Allowed[i].Script = api.ScriptText(b.network, a.Script)
	}
	return v
}
