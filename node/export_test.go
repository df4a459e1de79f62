package node

import (
	"souk/script"
	"souk/store/sealed"
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
