package node

import (
	"context"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"souk/api"
	"souk/exchange"
)

// What people and programs are told of the work for banks: numbers of blocks, of
// withdrawals and of errors; never an outpoint, an address or an account.

// health is how this server stands with the banks of a virtual server.
func (v *virtual) health() []api.BankHealth {
	p := v.running()
	if p == nil || p.keeper == nil {
		return nil
	}
	var all []api.BankHealth
	for _, w := range p.keeper.all() {
		all = append(all, w.health())
	}
	return all
}

func (w *bankWork) health() api.BankHealth {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := &w.status
	h := api.BankHealth{
		Asset: w.symbol, Network: w.network.Name, Works: w.begun && !w.ended && w.wrong == "",
		Node: s.Node, Height: s.Height, Agreed: s.Agreed, Attested: s.Attested, Waiting: s.Waiting, Transactions: len(s.Live), Problem: w.wrong,
	}
	if h.Problem == "" && !w.begun {
		h.Problem = "it has just begun"
	}
	return h
}

// behind is how many blocks that the members agree on this server has not said yet.
func behind(h *api.BankHealth) uint32 { return h.Agreed - min(h.Agreed, h.Attested) }

// bankCollector shows the metrics of a virtual server's banks.
type bankCollector struct{ v *virtual }

// Describe says nothing beforehand: which banks there are, the state tells.
func (bankCollector) Describe(chan<- *prometheus.Desc) {}

// Collect is called at every scrape.
func (c bankCollector) Collect(out chan<- prometheus.Metric) {
	p := c.v.running()
	if p == nil || p.keeper == nil {
		return
	}
	for _, w := range p.keeper.all() {
		h := w.health()
		w.mu.Lock()
		failed := w.errors
		w.mu.Unlock()
		labels := prometheus.Labels{"virtual_server": fmt.Sprintf("%x", c.v.id[:8]), "asset": w.symbol, "network": w.network.Name}
		for _, m := range bankMetrics {
			out <- prometheus.MustNewConstMetric(prometheus.NewDesc("souk_bank_"+m.name, m.help, nil, labels), m.kind, m.read(&h, failed))
		}
	}
}

// bankMetrics are what is counted of each bank.
var bankMetrics = []struct {
	name, help string
	kind       prometheus.ValueType
	read       func(h *api.BankHealth, failed uint64) float64
}{
	{"works", "1 while this server sees the bank's chain and does its part.", prometheus.GaugeValue, func(h *api.BankHealth, _ uint64) float64 {
		if h.Works {
			return 1
		}
		return 0
	}},
	{"node_height", "Height of the chain as this server's node has it.", prometheus.GaugeValue, func(h *api.BankHealth, _ uint64) float64 { return float64(h.Node) }},
	{"height", "Height up to which this server has read the chain.", prometheus.GaugeValue, func(h *api.BankHealth, _ uint64) float64 { return float64(h.Height) }},
	{"agreed_height", "Height of the chain that the members agree on.", prometheus.GaugeValue, func(h *api.BankHealth, _ uint64) float64 { return float64(h.Agreed) }},
	{"behind_blocks", "Agreed blocks that this server has not attested.", prometheus.GaugeValue, func(h *api.BankHealth, _ uint64) float64 { return float64(behind(h)) }},
	{"waiting_withdrawals", "Withdrawals that no transaction pays yet.", prometheus.GaugeValue, func(h *api.BankHealth, _ uint64) float64 { return float64(h.Waiting) }},
	{"transactions", "Transactions of the bank that are not settled.", prometheus.GaugeValue, func(h *api.BankHealth, _ uint64) float64 { return float64(h.Transactions) }},
	{"errors_total", "Rounds of work for the bank that failed.", prometheus.CounterValue, func(_ *api.BankHealth, failed uint64) float64 { return float64(failed) }},
}

// mayAdmit is what opens accounts, nil without banks.
func (v *virtual) mayAdmit() func(context.Context, *exchange.Admit) (exchange.Receipt, error) {
	if v.signer == nil {
		return nil
	}
	return v.admit
}

// admit opens an account with its first deposit address, for somebody who has
// nothing yet.
func (v *virtual) admit(ctx context.Context, body *exchange.Admit) (exchange.Receipt, error) {
	p := v.running()
	if p == nil {
		return exchange.Receipt{}, fmt.Errorf("admit: %w", errNotMember)
	}
	answers, err := v.submit(ctx, p, body)
	if err != nil {
		return exchange.Receipt{}, webErr(err)
	}
	return answers[0].Receipt, nil
}
