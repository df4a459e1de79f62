package cli

import (
	"context"
	"time"

	"souk/exchange"
	"souk/exchange/ledger"
	"souk/gate"
	"souk/internal/cluster"
	"souk/node"
	"souk/store/sealed"
)

// gate opens a gate for the purse of the demonstration, and tells how to use it: with a key
// for bots that is good at once.
func (d *demoRun) gate(ctx context.Context, you *demoTrader, dir string) (*node.Gate, error) {
	h := node.GateHome(dir)
	pass := sealed.FromFile(you.a.pass.file)
	terms := &node.GateTerms{ID: d.cluster.Founding.ID(), Servers: d.cluster.URLs, Account: you.who.Account, Listen: "127.0.0.1:0", Withdraw: true}
	key, err := node.InitGate(h, terms, pass, sealed.TestWork)
	if err != nil {
		return nil, err
	}
	short, cancel := context.WithTimeout(ctx, d.a.timeout)
	defer cancel()
	body := &exchange.AddDelegate{Key: key, Scopes: ledger.Read | ledger.Trade | ledger.Withdraw | ledger.Transfer}
	if err := cluster.MustOK(you.s.client.As(you.who).Do(short, body)); err != nil {
		return nil, err
	}
	own, err := h.Key(pass)
	if err != nil {
		return nil, err
	}
	defer own.Wipe()
	bot := gate.ClientKey{Name: "demo", Kind: gate.KindHMAC, Scopes: []string{"read", "trade"}}
	if err := bot.Add(h.Clients(), time.Now()); err != nil {
		return nil, err
	}
	secret, err := gate.HMACSecret(own, bot.ID)
	if err != nil {
		return nil, err
	}
	g, err := d.a.openGate(h, pass, "")
	if err != nil {
		return nil, err
	}
	out := d.a.err
	p(out, `
A gate of this account is open for bots and wallets that exist: those written for the Binance Spot API, and those
that drive bitcoind. Its keys are worth nothing.

  API key     %s
  secret      %s
`, bot.ID, secret)
	clientLines(out, h, g.URL())
	p(out, `  curl --cacert %s --user "$(cat %s)" -d '{"method":"getbalance"}' %s/wallet/btc

`, quoted(h.Authority().CertFile()), quoted(h.Cookie()), g.URL())
	return g, nil
}
