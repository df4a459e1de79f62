package node

import (
	"fmt"
	"maps"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"souk/courier"
)

// netMetrics are what a peer counts. Labels tell reasons, never peers.
var netMetrics = []struct {
	name, help string
	gauge      bool
	read       func(*network) float64
}{
	{"peers", "Peers connected.", true, func(n *network) float64 { return float64(len(n.transport.Peers())) }},
	{"ring_members", "Members of the ring that this peer sits in; 0 if it sits in none.", true, func(n *network) float64 { return float64(n.status().Ring) }},
	{"banned", "Peers that are shut out.", true, func(n *network) float64 {
		banned := 0
		for _, p := range n.members.List() {
			if !p.Banned.IsZero() {
				banned++
			}
		}
		return float64(banned)
	}},
	{"found_total", "How often a way to find peers told of one.", false, func(n *network) float64 { return float64(n.members.Counts().Found) }},
	{"measured_total", "Peers measured.", false, func(n *network) float64 { return float64(n.members.Counts().Measured) }},
	{"unreached_total", "Peers that could not be reached.", false, func(n *network) float64 { return float64(n.members.Counts().Unreached) }},
	{"ring_sent_total", "Messages of rings sent.", false, func(n *network) float64 { return float64(n.members.Counts().Sent) }},
	{"ring_unsent_total", "Messages of rings that could not be sent.", false, func(n *network) float64 { return float64(n.members.Counts().Unsent) }},
	{"ring_received_total", "Messages of rings received.", false, func(n *network) float64 { return float64(n.members.Counts().Received) }},
	{"refused_total", "Streams and messages of peers that were refused.", false, func(n *network) float64 { return float64(n.members.Counts().Refused) }},
	{"rings_total", "How often the ring changed.", false, func(n *network) float64 { return float64(n.members.Counts().Rings) }},
	{"faults_total", "Peers that were proven to lie.", false, func(n *network) float64 { return float64(n.members.Counts().Faults) }},
	{"gossip_refused_total", "Messages that were not read because their neighbours brought too many.", false, func(n *network) float64 {
		if m, ok := n.transport.(interface{ Refused() uint64 }); ok {
			return float64(m.Refused())
		}
		return 0
	}},
}

// mailMetrics are what is counted of mail. They are absent where none is carried.
var mailMetrics = []struct {
	name, help string
	gauge      bool
	read       func(*courier.MailCounts) uint64
}{
	{"kept", "Envelopes that are kept.", true, func(c *courier.MailCounts) uint64 { return c.Kept }},
	{"carried_total", "Envelopes that came over topics and were taken.", false, func(c *courier.MailCounts) uint64 { return c.Carried }},
	{"fetched_total", "Envelopes that came by asking others.", false, func(c *courier.MailCounts) uint64 { return c.Fetched }},
	{"served_total", "Envelopes given to those who asked.", false, func(c *courier.MailCounts) uint64 { return c.Served }},
	{"lost_total", "Envelopes that came faster than they were taken.", false, func(c *courier.MailCounts) uint64 { return c.Lost }},
}

const dropped, droppedHelp = "dropped_total", "Envelopes dropped, by reason."

func netDesc(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("souk_net_"+name, help, nil, nil)
}

func mailDesc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("souk_mail_"+name, help, labels, nil)
}

// netCollector shows what a peer counts.
type netCollector struct{ n *network }

// register shows a peer's metrics, if there is one.
func (n *network) register(r *prometheus.Registry) error {
	if n == nil {
		return nil
	}
	if err := r.Register(netCollector{n}); err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	return nil
}

func kindOf(gauge bool) prometheus.ValueType {
	if gauge {
		return prometheus.GaugeValue
	}
	return prometheus.CounterValue
}

// Describe implements prometheus.Collector.
func (c netCollector) Describe(out chan<- *prometheus.Desc) {
	for i := range netMetrics {
		out <- netDesc(netMetrics[i].name, netMetrics[i].help)
	}
	for i := range mailMetrics {
		out <- mailDesc(mailMetrics[i].name, mailMetrics[i].help)
	}
	out <- mailDesc(dropped, droppedHelp, "reason")
}

// Collect implements prometheus.Collector.
func (c netCollector) Collect(out chan<- prometheus.Metric) {
	for i := range netMetrics {
		m := &netMetrics[i]
		out <- prometheus.MustNewConstMetric(netDesc(m.name, m.help), kindOf(m.gauge), m.read(c.n))
	}
	if c.n.carrier == nil {
		return
	}
	counts := c.n.carrier.Counts()
	for i := range mailMetrics {
		m := &mailMetrics[i]
		out <- prometheus.MustNewConstMetric(mailDesc(m.name, m.help), kindOf(m.gauge), float64(m.read(&counts)))
	}
	for _, reason := range slices.Sorted(maps.Keys(counts.Dropped)) {
		out <- prometheus.MustNewConstMetric(mailDesc(dropped, droppedHelp, "reason"), prometheus.CounterValue, float64(counts.Dropped[reason]), reason)
	}
}
