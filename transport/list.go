package transport

import "context"

// List is a Finder that knows its peers: those of a configuration.
type List []Peer

// Find tells of each peer once.
func (l List) Find(ctx context.Context, self Peer, found func(Peer)) error {
	for _, p := range l {
		if p.ID != self.ID {
			found(p)
		}
	}
	<-ctx.Done()
	return nil
}
