package libp2p_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"souk/transport"
	"souk/transport/libp2p"
)

// look lets finders run until each of them has found all others, and dials who was found.
func look(t *testing.T, nets []*libp2p.Net, finders []transport.Finder, all int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var over sync.WaitGroup
	var mu sync.Mutex
	seen := make([]map[transport.ID]bool, len(nets))
	complete := make(chan struct{}, len(nets))
	for i, f := range finders {
		n := nets[i]
		seen[i] = map[transport.ID]bool{}
		over.Go(func() {
			err := f.Find(ctx, transport.Peer{ID: n.Self(), Addrs: n.Addrs()}, func(p transport.Peer) {
				if err := n.Dial(ctx, p.ID, p.Addrs...); err != nil {
					return
				}
				mu.Lock()
				defer mu.Unlock()
				if !seen[i][p.ID] {
					seen[i][p.ID] = true
					if len(seen[i]) == all {
						complete <- struct{}{}
					}
				}
			})
			if err != nil {
				t.Errorf("finder %d: %v", i, err)
			}
		})
	}
	for range finders {
		select {
		case <-complete:
		case <-ctx.Done():
			mu.Lock()
			for i := range seen {
				t.Errorf("%d found %d of %d", i, len(seen[i]), all)
			}
			mu.Unlock()
			cancel()
			over.Wait()
			return
		}
	}
	cancel()
	over.Wait()
}

func TestRendezvous(t *testing.T) { // F-51
	const count = 5
	hub := open(t, libp2p.Config{})
	via := []transport.Peer{{ID: hub.Self(), Addrs: hub.Addrs()}}
	ctx, cancel := context.WithCancel(t.Context())
	var over sync.WaitGroup
	over.Go(func() {
		if err := hub.Rendezvous(libp2p.Rendezvous{Name: "elsewhere"}).Find(ctx, transport.Peer{}, func(transport.Peer) {}); err != nil {
			t.Error(err)
		}
	})
	defer over.Wait()
	defer cancel()
	var nets []*libp2p.Net
	var finders []transport.Finder
	for range count {
		n := open(t, libp2p.Config{})
		nets = append(nets, n)
		finders = append(finders, n.Rendezvous(libp2p.Rendezvous{Name: "souk/test", Via: via, Every: time.Second}))
	}
	look(t, nets, finders, count-1)
}

func TestLocal(t *testing.T) { // F-51
	var nets []*libp2p.Net
	var finders []transport.Finder
	name := fmt.Sprintf("souk-test-%d", time.Now().UnixNano()) // others may test beside us
	for range 2 {
		n := open(t, libp2p.Config{Listen: []string{"/ip4/0.0.0.0/tcp/0"}})
		nets = append(nets, n)
		finders = append(finders, n.Local(name))
	}
	look(t, nets, finders, 1)
}

func TestList(t *testing.T) { // F-50
	a, b := open(t, libp2p.Config{}), open(t, libp2p.Config{})
	list := transport.List{{ID: a.Self(), Addrs: a.Addrs()}, {ID: b.Self(), Addrs: b.Addrs()}}
	look(t, []*libp2p.Net{a, b}, []transport.Finder{list, list}, 1)
}
