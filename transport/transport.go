// Package transport is the port to a network of peers: who is there, how far, streams
// between two of them, and topics that reach all who listen. It owns the contract
// (docs/spec/22-transport.md) and nothing else; what messages mean belongs to mail, peernet
// and those above. Adapters are transport/libp2p, transport/tor and transport/memnet, and
// transport/transporttest is the suite that each of them passes. Floor 2.
package transport

import (
	"context"
	"errors"
	"io"
	"time"

	"souk/identity"
)

// ID is who a peer is: its Ed25519 key. Whoever is at the other end has proven it.
type ID = identity.PublicKey

// Addr is where a peer can be dialled, as text that its adapter understands and that may
// be passed on, stored and shown. At most MaxAddr bytes.
type Addr string

// Bounds that every adapter keeps, so that what works with one works with all.
const (
	MaxAddr    = 512      // bytes of an Addr
	MaxMessage = 16 << 10 // bytes of a published message
	MaxName    = 128      // bytes of a topic or a protocol
)

// Reasons why a Net does not do something. Adapters wrap them.
var (
	ErrClosed      = errors.New("the network is closed")
	ErrUnreachable = errors.New("the peer cannot be reached")
	ErrRefused     = errors.New("the peer refuses it") // it does not handle the protocol, or does not want us
	ErrTooLarge    = errors.New("the message is too large")
	ErrTaken       = errors.New("the topic is subscribed to already")
	ErrInvalid     = errors.New("the message is not accepted here") // what the publisher's own validator says
	ErrName        = errors.New("the name is empty or too long")    // of a topic or a protocol
)

// Net is one peer's view of a network. All methods may be called from several goroutines.
type Net interface {
	// Self is who this peer is.
	Self() ID
	// Dial makes a connection, unless there is one. Hints are where the peer may be; without
	// any the adapter goes by what it knows.
	Dial(ctx context.Context, p ID, hints ...Addr) error
	// Stream opens a stream to a peer that Handles the protocol; it dials if there is no
	// connection.
	Stream(ctx context.Context, p ID, protocol string) (Stream, error)
	// Handle lets h have every stream that a peer opens for the protocol, in a goroutine of
	// its own. h closes the stream. A nil h ends it.
	Handle(protocol string, h func(from ID, s Stream))
	// Publish sends a message to all who subscribe to a topic, directly or through others. The
	// publisher's own subscription gets it too, and its validator judges it first. Nothing in it
	// says who published it. The same bytes on the same topic within two minutes are the same
	// message: they go out once. It waits for nobody: a neighbour who does not read loses it.
	Publish(ctx context.Context, topic string, data []byte) error
	// Subscribe receives a topic's messages that v accepts, each once. One subscription per topic.
	Subscribe(topic string, v Validator) (Subscription, error)
	// RoundTrip is the shortest of the latest measured round trips to a connected peer; false
	// before there is any.
	RoundTrip(p ID) (time.Duration, bool)
	// Peers are those connected now, in no order.
	Peers() []ID
	// Close ends all streams, subscriptions and connections.
	Close() error
}

// Stream is an ordered, encrypted flow of bytes both ways. CloseWrite tells the other side
// that nothing more comes; Close ends both ways. A read after the deadline fails with
// os.ErrDeadlineExceeded.
type Stream interface {
	io.ReadWriteCloser
	CloseWrite() error
	SetDeadline(t time.Time) error
}

// Verdict is what becomes of a message that came over a topic.
type Verdict uint8

// Verdicts.
const (
	Accept Verdict = iota // it is delivered here and passed on
	Ignore                // it is neither, and nobody is to blame: it is old, known, or too much for now
	Reject                // whoever passed it on has done wrong, and is scored down until it is cut
)

// Validator judges a message before it is delivered or passed on. It is called by several
// goroutines at once, must not block, and does the cheap checks first. from is the neighbour
// that passed it on, Self for own messages.
type Validator func(from ID, data []byte) Verdict

// Message is what a topic brought. Data must not be changed.
type Message struct {
	From ID // the neighbour that passed it on, which says nothing of who made it
	Data []byte
}

// Subscription is a topic that is listened to. Messages come once each and in no order.
// When the reader is too slow the oldest waiting are dropped, and Dropped counts them.
type Subscription interface {
	// Next waits for a message. After Close or Net.Close it fails with ErrClosed.
	Next(ctx context.Context) (Message, error)
	Dropped() uint64
	Close() error
}

// Located is a Net that can be dialled.
type Located interface {
	Addrs() []Addr
}

// Dropper is a Net that can part from a peer and hold nothing against it.
type Dropper interface {
	// Drop ends the connection to a peer, with its streams. Either side may dial again at once.
	Drop(p ID)
}

// Peer is one that was found, and where.
type Peer struct {
	ID    ID
	Addrs []Addr
}

// Finder looks for peers until the context ends, and calls found for each, perhaps again
// and again. It announces this peer where that is how its medium works. The error is why it
// cannot go on; it is nil when the context ended.
type Finder interface {
	Find(ctx context.Context, self Peer, found func(Peer)) error
}

// Ban is a peer that is shut out.
type Ban struct {
	ID    ID
	Until time.Time
	Why   string
}

// Guard is a Net that can shut peers out.
type Guard interface {
	// Ban cuts a peer and refuses it until a time. A time that has passed lets it in again.
	Ban(p ID, until time.Time, why string)
	// Bans are those who are shut out now, by whoever: what peers did over topics bans them too.
	Bans() []Ban
	// Score is how a connected peer has behaved over topics: 0 is neutral, below it bad.
	Score(p ID) (float64, bool)
}
