package node

import (
	"context"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"souk/chain"
	"souk/exchange"
	"souk/identity"
	"souk/replica"
	"souk/script"
	"souk/store/sealed"
	"souk/web"
)

// DiskFailed tells whether a reason to stop is one of the disk.
var DiskFailed = diskFailed

// BreakEngine ends the consensus engine of a node's nth virtual server, as a fault
// of its own would.
func (n *Node) BreakEngine(nth int) error { return n.virtual[nth].running().engine.Close() }

// MachineMemory is the memory that a file system tells of.
var MachineMemory = machineMemory

// OpenBankKeys opens a card's keys for banks.
func OpenBankKeys(h Home, keys string, networks []string, pass sealed.Passphrase) (map[string]script.PrivateMemberKey, error) {
	return h.bankKeys(keys, networks, pass)
}

// SetChain makes a node see a chain through a backend.
func (n *Node) SetChain(b chain.Backend) {
	n.chains.mu.Lock()
	defer n.chains.mu.Unlock()
	n.chains.open[b.Network().Name] = b
}

// View reads the state of a node's nth virtual server.
func (n *Node) View(nth int, read func(*exchange.State)) error {
	return n.virtual[nth].running().replica.View(read)
}

// MembersNow is for tests.
var MembersNow = membersNow

// ConfigText is configText.
var ConfigText = configText

// ReadBackup is readBackup.
var ReadBackup = readBackup

// Archivist is an archivist.
type Archivist struct{ a *archivist }

// StartArchivist starts one for a replica, which lets no blocks gather.
func StartArchivist(r *replica.Replica, log *slog.Logger, open func(context.Context) (Archive, error)) Archivist {
	a := &archivist{replica: r, open: open, log: log}
	a.start()
	return Archivist{a}
}

// Height is that of the archive, as the archivist knows it.
func (a Archivist) Height() uint64 { return a.a.height.Load() }

// Gaps is how many there have been.
func (a Archivist) Gaps() uint64 { return a.a.gaps.Load() }

// Failures is how many there have been.
func (a Archivist) Failures() uint64 { return a.a.failures.Load() }

// Close ends it.
func (a Archivist) Close() { a.a.close() }

// BankMetrics are names, kinds and helps of the metrics of banks.
func BankMetrics() (all [][3]string) {
	for _, m := range bankMetrics {
		kind := "gauge"
		if m.kind == prometheus.CounterValue {
			kind = "counter"
		}
		all = append(all, [3]string{"souk_bank_" + m.name, kind, m.help})
	}
	return all
}

// NetMetrics are names, kinds, helps and labels of the metrics of peers.
func NetMetrics() (all [][4]string) {
	kind := map[bool]string{true: "gauge", false: "counter"}
	for _, m := range netMetrics {
		all = append(all, [4]string{"souk_net_" + m.name, kind[m.gauge], m.help})
	}
	for _, m := range mailMetrics {
		all = append(all, [4]string{"souk_mail_" + m.name, kind[m.gauge], m.help})
	}
	return append(all, [4]string{"souk_mail_" + dropped, "counter", droppedHelp, "reason"})
}

// TorPeers are peers of consensus as they are dialled through tor, where members names none.
func TorPeers(log *slog.Logger, list []string) []string {
	return (&torLinks{log: log}).peers(list)
}

// ServeThroughTor refuses where consensus listens to others than this machine.
func ServeThroughTor(listen string) error { return (&torLinks{}).serve(exchange.ID{}, listen) }

// CheckCertificate and CompareVersions are checks of the doctor.
var (
	CheckCertificate = checkCertificate
	CompareVersions  = compareVersions
)

// PracticeKey opens the key with which a home's server gives play money.
func PracticeKey(h Home, pass sealed.Passphrase) (identity.PrivateKey, error) {
	return openKey(h.in(practiceKey), rolePractice, pass)
}

// GiftsIn are the gifts of a config in the assets of a state.
func GiftsIn(give []string, s *exchange.State) ([]web.Gift, error) {
	p := &practice{}
	for _, text := range give {
		g, err := parseGift(text)
		if err != nil {
			return nil, err
		}
		p.terms = append(p.terms, g)
	}
	return p.amounts(s)
}
