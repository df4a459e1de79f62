package chainnode

// PID is the number of the node's process.
func (n *Node) PID() int { return n.cmd.Process.Pid }
