package libp2p

import (
	"context"
	"errors"
	"fmt"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/peer"

	"souk/transport"
	"souk/transport/intake"
)

// Of gossipsub. A frame holds the largest message and what is around it.
const (
	maxFrame    = 2*transport.MaxMessage + 4096
	outQueue    = 512
	validQueue  = 256
	subsPerPeer = 256 // topics that a neighbour may name
)

// topic is one that this peer publishes on or listens to.
type topic struct {
	handle *pubsub.Topic
	inbox  *intake.Inbox // nil while nobody listens, as is leave
	leave  pubsub.RelayCancelFunc
}

func (n *Net) openGossip(c Config) (*pubsub.PubSub, error) {
	options := []pubsub.Option{
		// Nothing in a message says whose it is (F-20).
		pubsub.WithMessageSignaturePolicy(pubsub.StrictNoSign), pubsub.WithNoAuthor(),
		pubsub.WithMessageIdFn(func(m *pb.Message) string {
			id := intake.IDOf(m.GetTopic(), m.GetData())
			return string(id[:])
		}),
		pubsub.WithSeenMessagesTTL(intake.Memory),
		pubsub.WithMaxMessageSize(maxFrame), pubsub.WithPeerOutboundQueueSize(outQueue),
		pubsub.WithValidateQueueSize(validQueue), pubsub.WithValidateWorkers(2),
		pubsub.WithAppSpecificRpcInspector(n.inspect),
		pubsub.WithPeerScore(n.scores(), &pubsub.PeerScoreThresholds{
			GossipThreshold: -100, PublishThreshold: -200, GraylistThreshold: intake.CutBelow, OpportunisticGraftThreshold: 1,
		}),
	}
	if c.Darknet != nil {
		var friends []peer.AddrInfo
		for _, p := range c.Darknet.Friends {
			if id, err := peerID(p); err == nil && p != n.self {
				friends = append(friends, peer.AddrInfo{ID: id})
			}
		}
		options = append(options, pubsub.WithDirectPeers(friends), pubsub.WithDirectConnectTicks(1<<30))
	}
	return pubsub.NewGossipSub(n.ctx, n.host, options...)
}

// scores are how gossipsub chooses among neighbours: those who were first with messages are
// good, what they did wrong (F-33) is worse. Where they come from says nothing, because on
// this machine and behind onion services all come from one address.
func (n *Net) scores() *pubsub.PeerScoreParams {
	return &pubsub.PeerScoreParams{
		Topics: map[string]*pubsub.TopicScoreParams{}, // gossipsub adds to it
		AppSpecificScore: func(p peer.ID) float64 {
			id, ok := idOf(p)
			if !ok {
				return 0
			}
			return n.conduct.Score(id, time.Now())
		},
		AppSpecificWeight: 1, DecayInterval: time.Second, DecayToZero: 0.01, RetainScore: intake.CutFor,
		// No penalty for promises that were not kept: it may be this peer that did not read what
		// it was sent (inspect).
	}
}

var topicScores = &pubsub.TopicScoreParams{ //nolint:gochecknoglobals // a constant
	SkipAtomicValidation: true, TopicWeight: 1, TimeInMeshQuantum: time.Second, // gossipsub divides by it
	FirstMessageDeliveriesWeight: 1, FirstMessageDeliveriesDecay: 0.95, FirstMessageDeliveriesCap: 20,
}

// inspect looks at a frame before gossipsub does, and takes out what is beyond its
// neighbour's limits (F-31). What is taken out was not seen: it may come by another one. It
// is called by one goroutine.
func (n *Net) inspect(from peer.ID, frame *pubsub.RPC) error {
	id, ok := idOf(from)
	if !ok {
		return errors.New("the peer's key is of a kind that is not used here")
	}
	if len(frame.Subscriptions) > subsPerPeer {
		frame.Subscriptions = frame.Subscriptions[:subsPerPeer]
	}
	now, keep := time.Now(), frame.Publish[:0]
	for _, m := range frame.Publish {
		if len(m.GetData()) > transport.MaxMessage || checkName(m.GetTopic()) != nil {
			n.bad(id, now)
			continue
		}
		key := intake.IDOf(m.GetTopic(), m.GetData())
		known := n.seen.Has(key) || !n.listens(m.GetTopic())
		switch n.meter.Admit(id, known, now) {
		case intake.Let:
			if !known {
				n.seen.Add(key, now)
			}
			keep = append(keep, m)
		case intake.Drop:
		case intake.Flood:
			n.cut(id, "it floods")
			frame.Publish = nil
			return errors.New("the peer floods")
		}
	}
	frame.Publish = keep
	return nil
}

// bad holds a message against a neighbour.
func (n *Net) bad(p transport.ID, now time.Time) {
	if n.conduct.Bad(p, now) {
		n.cut(p, "it passes on what is invalid")
	}
}

func (n *Net) listens(name string) bool {
	n.ears.RLock()
	defer n.ears.RUnlock()
	return n.listening[name]
}

func (n *Net) listen(name string, listens bool) {
	n.ears.Lock()
	defer n.ears.Unlock()
	if listens {
		n.listening[name] = true
	} else {
		delete(n.listening, name)
	}
}

// Publish is transport.Net's.
func (n *Net) Publish(ctx context.Context, name string, data []byte) error {
	switch {
	case checkName(name) != nil:
		return transport.ErrName
	case len(data) > transport.MaxMessage:
		return transport.ErrTooLarge
	}
	n.mu.Lock()
	t, err := n.join(name)
	n.mu.Unlock()
	if err != nil {
		return fmt.Errorf("publish on %s: %w", name, err)
	}
	n.seen.Add(intake.IDOf(name, data), time.Now())
	err = t.handle.Publish(ctx, append([]byte(nil), data...))
	var invalid pubsub.ValidationError
	switch {
	case errors.As(err, &invalid):
		return fmt.Errorf("publish on %s: %w", name, transport.ErrInvalid)
	case err != nil && n.closed.Load():
		return transport.ErrClosed
	case err != nil:
		return fmt.Errorf("publish on %s: %w", name, err)
	}
	return nil
}

// join finds or makes a topic; the caller holds mu.
func (n *Net) join(name string) (*topic, error) {
	if n.closed.Load() {
		return nil, transport.ErrClosed
	}
	if t := n.topics[name]; t != nil {
		return t, nil
	}
	handle, err := n.gossip.Join(name)
	if err != nil {
		return nil, err
	}
	if err := handle.SetScoreParams(topicScores); err != nil {
		return nil, errors.Join(err, handle.Close())
	}
	t := &topic{handle: handle}
	n.topics[name] = t
	return t, nil
}

// Subscribe is transport.Net's.
func (n *Net) Subscribe(name string, v transport.Validator) (transport.Subscription, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	t, err := n.join(name)
	if err != nil {
		return nil, fmt.Errorf("subscribe to %s: %w", name, err)
	}
	if t.inbox != nil {
		return nil, fmt.Errorf("subscribe to %s: %w", name, transport.ErrTaken)
	}
	inbox := intake.NewInbox(func() { n.unsubscribe(name, t) })
	// Messages are delivered by the validator, which gossipsub calls once for each. Its own
	// subscriptions would lose some where nobody counts them.
	err = n.gossip.RegisterTopicValidator(name, func(_ context.Context, from peer.ID, m *pubsub.Message) pubsub.ValidationResult {
		return n.judge(inbox, v, from, m)
	}, pubsub.WithValidatorInline(true))
	if err != nil {
		return nil, fmt.Errorf("subscribe to %s: %w", name, err)
	}
	leave, err := t.handle.Relay()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("subscribe to %s: %w", name, err), n.gossip.UnregisterTopicValidator(name))
	}
	t.inbox, t.leave = inbox, leave
	n.listen(name, true)
	return inbox, nil
}

func (n *Net) judge(inbox *intake.Inbox, v transport.Validator, by peer.ID, m *pubsub.Message) pubsub.ValidationResult {
	from, ok := idOf(by)
	if !ok {
		return pubsub.ValidationIgnore
	}
	verdict := transport.Accept
	if v != nil {
		verdict = v(from, m.GetData())
	}
	switch verdict {
	case transport.Accept:
		inbox.Put(transport.Message{From: from, Data: m.GetData()})
		return pubsub.ValidationAccept
	case transport.Reject:
		if from != n.self {
			n.bad(from, time.Now())
		}
		return pubsub.ValidationReject
	case transport.Ignore:
	}
	return pubsub.ValidationIgnore
}

// unsubscribe leaves a topic, which can still be published on.
func (n *Net) unsubscribe(name string, t *topic) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed.Load() || t.inbox == nil {
		return
	}
	n.listen(name, false)
	t.leave()
	_ = n.gossip.UnregisterTopicValidator(name)
	t.inbox, t.leave = nil, nil
}

// checkName tells whether a topic or protocol has a name that all adapters bear.
func checkName(name string) error {
	if name == "" || len(name) > transport.MaxName {
		return transport.ErrName
	}
	return nil
}
