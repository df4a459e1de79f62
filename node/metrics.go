package node

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"souk/consensus"
	"souk/replica"
)

// registerMetrics shows a virtual server's counters and gauges.
func registerMetrics(r *prometheus.Registry, v *virtual) error {
	labels := prometheus.Labels{"virtual_server": fmt.Sprintf("%x", v.id[:8])}
	add := func(name, help string, gauge bool, read func(*replica.Metrics, consensus.Status) float64) error {
		get := func() float64 {
			p := v.running()
			if p == nil {
				return 0
			}
			return read(p.replica.Metrics(), p.engine.Status())
		}
		if gauge {
			return r.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "souk_" + name, Help: help, ConstLabels: labels}, get))
		}
		return r.Register(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "souk_" + name, Help: help, ConstLabels: labels}, get))
	}
	up := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "souk_up", Help: "1 while the virtual server runs in this process.", ConstLabels: labels}, func() float64 {
		if v.running() == nil {
			return 0
		}
		return 1
	})
	if err := r.Register(up); err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	if err := r.Register(bankCollector{v}); err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	for _, m := range virtualMetrics {
		if err := add(m.name, m.help, m.gauge, m.read); err != nil {
			return fmt.Errorf("metrics: %w", err)
		}
	}
	return nil
}

var virtualMetrics = []struct {
	name, help string
	gauge      bool
	read       func(*replica.Metrics, consensus.Status) float64
}{
	{"height", "Height of the newest block here.", true, func(_ *replica.Metrics, s consensus.Status) float64 { return float64(s.Height) }},
	{"round", "Round of voting on the next block, from 0.", true, func(_ *replica.Metrics, s consensus.Status) float64 { return float64(s.Round) }},
	{"locked", "1 while this server is bound by its vote to a block that is not decided here.", true, func(_ *replica.Metrics, s consensus.Status) float64 {
		if s.Locked {
			return 1
		}
		return 0
	}},
	{"peers", "Servers connected.", true, func(_ *replica.Metrics, s consensus.Status) float64 { return float64(len(s.Peers)) }},
	{"waiting_commands", "Commands of clients that wait for a block.", true, func(m *replica.Metrics, _ consensus.Status) float64 { return float64(m.Waiting.Load()) }},
	{"lag_blocks", "Committed blocks that are not in the store yet.", true, func(m *replica.Metrics, _ consensus.Status) float64 { return float64(m.LagBlocks.Load()) }},
	{"submitted_commands_total", "Commands that clients sent here.", false, func(m *replica.Metrics, _ consensus.Status) float64 { return float64(m.Submitted.Load()) }},
	{"refused_commands_total", "Commands refused before consensus.", false, func(m *replica.Metrics, _ consensus.Status) float64 { return float64(m.Refused.Load()) }},
	{"busy_commands_total", "Commands turned away because too many waited.", false, func(m *replica.Metrics, _ consensus.Status) float64 { return float64(m.Busy.Load()) }},
	{"verified_signatures_total", "Signatures verified.", false, func(m *replica.Metrics, _ consensus.Status) float64 { return float64(m.Verified.Load()) }},
	{"bad_signatures_total", "Signatures that did not verify.", false, func(m *replica.Metrics, _ consensus.Status) float64 { return float64(m.BadSignatures.Load()) }},
	{"blocks_total", "Blocks executed.", false, func(m *replica.Metrics, _ consensus.Status) float64 { return float64(m.Blocks.Load()) }},
	{"commands_total", "Commands executed.", false, func(m *replica.Metrics, _ consensus.Status) float64 { return float64(m.Commands.Load()) }},
	{"trades_total", "Trades.", false, func(m *replica.Metrics, _ consensus.Status) float64 { return float64(m.Trades.Load()) }},
	{"apply_seconds_total", "Time spent executing blocks.", false, func(m *replica.Metrics, _ consensus.Status) float64 { return float64(m.ApplyNano.Load()) / 1e9 }},
}
