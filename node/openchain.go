package node

import (
	"fmt"

	"souk/chain"
	"souk/script"
)

// OpenChain opens the backend of a network for somebody who may run no server. Names
// of files are below dir, unless they are absolute, and a light client keeps its
// headers there. It does not wait for a node.
func OpenChain(dir, network string, c ChainConfig) (chain.Backend, error) {
	n, ok := script.ByName(network)
	if !ok {
		return nil, fmt.Errorf("%w: chains.%s: there is no such network", ErrConfig, network)
	}
	if field, why := c.wrong(n); why != "" {
		return nil, fmt.Errorf("%w: chains.%s: %s %s", ErrConfig, network, field, why)
	}
	return Home(dir).openChain(n, &c)
}

// ExplainChain says in words what keeps a chain from being seen, and what to do.
func ExplainChain(network string, c ChainConfig, err error) string {
	return chainAdvice(network, &c, err)
}
