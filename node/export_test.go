package node

// DiskFailed tells whether a reason to stop is one of the disk.
var DiskFailed = diskFailed

// BreakEngine ends the consensus engine of a node's nth virtual server, as a fault
// of its own would.
func (n *Node) BreakEngine(nth int) error { return n.virtual[nth].running().engine.Close() }

// MachineMemory is the memory that a file system tells of.
var MachineMemory = machineMemory
