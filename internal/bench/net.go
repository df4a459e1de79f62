package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"souk/identity"
	"souk/transport"
	"souk/transport/libp2p"
	"souk/transport/transporttest"
)

// What net measures: so many peers in this process, over TCP on this machine, each with so
// many neighbours, and one that floods so many of them.
const (
	netPeers   = 40
	netDegree  = 12
	netFlooded = 6
	netFlood   = 1000 // messages a second
	netTime    = 5 * time.Minute
)

// net measures how long a message needs to all others of a network of peers, what a peer
// takes of the machine, and what honest messages need while one identity floods.
func (r *run) net() (err error) {
	ctx, cancel := context.WithTimeout(r.ctx, netTime)
	defer cancel()
	debug.FreeOSMemory()
	before := rss()
	var nets []transporttest.Net
	defer func() {
		for _, n := range nets {
			err = errors.Join(err, n.Close())
		}
	}()
	var all []transport.Net
	for range netPeers {
		n, err := openNet()
		if err != nil {
			return err
		}
		nets, all = append(nets, n), append(all, n)
	}
	if err := transporttest.Connect(ctx, nets, netDegree, 1); err != nil {
		return err
	}
	quiet, err := transporttest.Flow{Topic: "quiet"}.Run(ctx, all, 1)
	if err != nil {
		return err
	}
	debug.FreeOSMemory()
	r.set("net_peers", netPeers)
	r.set("net_missing", quiet.Expected-quiet.Delivered+quiet.Again)
	r.set("net_p50_ms", ms(quiet.P50))
	r.set("net_p99_ms", ms(quiet.P99))
	r.set("net_mb_per_peer", float64(rss()-before)/netPeers/1e6)
	return r.netFlood(ctx, nets, all, quiet)
}

// netFlood measures the same again, while a neighbour of some floods.
func (r *run) netFlood(ctx context.Context, nets []transporttest.Net, all []transport.Net, quiet transporttest.Result) (err error) {
	flooder, err := openNet()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, flooder.Close()) }()
	for _, n := range nets[:netFlooded] {
		if err := flooder.Dial(ctx, n.Self(), n.Addrs()...); err != nil {
			return err
		}
	}
	var over sync.WaitGroup
	var cut time.Duration
	var failed error
	over.Go(func() { cut, _, failed = transporttest.Flood(ctx, flooder, "flood", netFlood, 20*time.Second) })
	flooded, err := transporttest.Flow{Topic: "flood"}.Run(ctx, all, 2)
	over.Wait()
	if err := errors.Join(err, failed); err != nil {
		return err
	}
	if cut == 0 {
		return fmt.Errorf("who sent %d messages a second was not cut", netFlood)
	}
	r.set("net_flood_missing", flooded.Expected-flooded.Delivered+flooded.Again)
	r.set("net_flood_cut_ms", ms(cut))
	r.set("net_flood_p99_ms", ms(flooded.P99))
	r.set("net_flood_p99_ratio", float64(flooded.P99)/float64(quiet.P99))
	return nil
}

func openNet() (*libp2p.Net, error) {
	key, err := identity.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	return libp2p.Open(libp2p.Config{Key: key, Listen: []string{"/ip4/127.0.0.1/tcp/0"}})
}
