package transporttest

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"time"

	"souk/transport"
)

// How messages of attackers begin. Those of a Flow begin with zeros.
const (
	junk    = 0x7f // is accepted
	invalid = 0xff // is rejected (Judge)
)

// Judge is a validator that knows what is invalid.
func Judge(_ transport.ID, data []byte) transport.Verdict {
	if len(data) > 0 && data[0] == invalid {
		return transport.Reject
	}
	return transport.Accept
}

// Flood is a member that turns bad: it reads a topic until it has got 20 messages, and then
// publishes so many a second, each another one that is accepted. It ends when the flooder has
// no neighbours, and tells after how long that was, zero if it always had some, and how many
// it has published.
func Flood(ctx context.Context, n transport.Net, topic string, rate int, lasting time.Duration) (cut time.Duration, sent int, err error) {
	sub, err := n.Subscribe(topic, nil)
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = sub.Close() }()
	for range 20 {
		if _, err := sub.Next(ctx); err != nil {
			return 0, 0, err
		}
	}
	self := n.Self()
	begin, data := time.Now(), append([]byte{junk}, append(self[:], make([]byte, 512-1-len(self))...)...)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for time.Since(begin) < lasting {
		for due := int(time.Since(begin).Seconds() * float64(rate)); sent < due && len(n.Peers()) > 0; sent++ {
			binary.BigEndian.PutUint64(data[504:], uint64(sent))
			_ = n.Publish(ctx, topic, data)
		}
		if len(n.Peers()) == 0 {
			return time.Since(begin), sent, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return 0, sent, ctx.Err()
		}
	}
	return 0, sent, nil
}

// Sybils is an attack by many peers, each of which is new.
type Sybils struct {
	Degree int // honest neighbours that an honest peer has dialled, at least; as many of any kind come to it
	Junk   int // messages a second that are accepted, of every third Sybil; zero means none
}

// Run makes a network of honest peers and Sybils, lets the honest ones publish, and tells what
// came of it to honest ones. Of the Sybils a third are silent, a third publish what is
// invalid, and a third publishes junk; none passes on anything.
func (s Sybils) Run(ctx context.Context, honest, sybils []Net, flow Flow, seed uint64) (Result, error) {
	if err := Connect(ctx, honest, s.Degree, seed); err != nil {
		return Result{}, err
	}
	random := rand.New(rand.NewPCG(seed, 3)) //nolint:gosec // to be drawn again
	all := append(append([]Net(nil), honest...), sybils...)
	for _, n := range honest {
		for range s.Degree {
			other := all[random.IntN(len(all))]
			_ = n.Dial(ctx, other.Self(), other.Addrs()...) // it may be itself, or have enough
		}
	}
	attack, stop := context.WithCancel(ctx)
	var over sync.WaitGroup
	defer over.Wait()
	defer stop()
	for i, n := range sybils {
		for range s.Degree {
			other := honest[random.IntN(len(honest))]
			_ = n.Dial(ctx, other.Self(), other.Addrs()...)
		}
		sub, err := n.Subscribe(flow.Topic, func(from transport.ID, _ []byte) transport.Verdict {
			if from == n.Self() {
				return transport.Accept
			}
			return transport.Ignore
		})
		if err != nil {
			return Result{}, err
		}
		kind, rate := byte(0), 0
		switch i % 3 {
		case 1:
			kind, rate = invalid, 5
		case 2:
			kind, rate = junk, s.Junk
		}
		over.Go(func() {
			defer func() { _ = sub.Close() }()
			annoy(attack, n, flow.Topic, kind, rate)
		})
	}
	var nets []transport.Net
	for _, n := range honest {
		nets = append(nets, n)
	}
	flow.Valid = Judge
	return flow.Run(ctx, nets, seed)
}

// annoy publishes messages of a kind until the attack is over.
func annoy(ctx context.Context, n transport.Net, topic string, kind byte, rate int) {
	if rate == 0 {
		<-ctx.Done()
		return
	}
	tick := time.NewTicker(time.Second / time.Duration(rate))
	defer tick.Stop()
	self := n.Self()
	for sent := uint64(0); ; sent++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		data := append([]byte{kind}, self[:]...)
		_ = n.Publish(ctx, topic, binary.BigEndian.AppendUint64(data, sent))
	}
}
