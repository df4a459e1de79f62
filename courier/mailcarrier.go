package courier

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"souk/mail"
	"souk/store"
	"souk/transport"
)

// Times of a carrier.
const (
	syncEvery   = 10 * time.Minute // how often a full carrier asks another what it missed, about
	syncLight   = time.Hour        // the same of a light one
	syncAgain   = 20 * time.Second // the same after nobody could be asked
	syncTime    = 5 * time.Minute  // for all that is asked of one
	streamTime  = 30 * time.Second // for one request
	stemDelay   = 2 * time.Second  // before an envelope for somebody else is published, at most
	streamsOf   = 16               // requests that are answered at once
	streamsEach = 4                // those of one peer
)

// CarrierConfig is what a carrier works with.
type CarrierConfig struct {
	Net   transport.Net
	Store store.Store
	// Full has it listen to all shards, keep all envelopes until they expire, and answer those
	// who were away. Else it listens to the shards of its mailboxes and some others.
	Full bool
	// Prompt has letters and receipts of its mailboxes leave at once. Who watches the network may
	// see then when they were written and read.
	Prompt    bool
	Cover     int          // of a light carrier: shards that are nobody's here; zero is 2
	Price     mail.Price   // zero is mail.DefaultPrice
	HourBytes uint64       // kept of one shard that expires in one hour; zero is 64 MiB
	Random    io.Reader    // nil is the system's
	Log       *slog.Logger // nil is none
}

// Carrier takes part in carrying everybody's mail, and hands what may be theirs to its
// mailboxes. All methods may be called from several goroutines.
type Carrier struct {
	CarrierConfig
	keep   *keep
	drops  [mail.Drops]atomic.Uint64
	others [counts]atomic.Uint64

	mu      sync.Mutex
	streams map[transport.ID]int // requests that are being answered
	boxes   []*Mailbox
	shards  map[uint8]bool // that it listens to
	listen  func(shard uint8) error
	hear    chan struct{} // there is a reason to ask others soon
	asked   map[transport.ID][]sum
	askedH  mail.Hour // the first hour of asked
	wishes  int       // counts changes of what is wanted
}

// What is counted besides mail.Drop.
const (
	countShard   = iota // came over another shard's topic
	countFull           // no room
	countCarried        // taken and handed on
	countFetched        // came by asking others
	countServed         // given to those who asked
	countLost           // dropped by a subscription that was too slow
	counts
)

// MailCounts says what became of envelopes since the start.
type MailCounts struct {
	Dropped                              map[string]uint64 // by reason
	Carried, Fetched, Served, Lost, Kept uint64
}

// NewCarrier opens what is kept. It carries nothing before Run.
func NewCarrier(config CarrierConfig) (*Carrier, error) {
	if config.Price == (mail.Price{}) {
		config.Price = mail.DefaultPrice()
	}
	if config.Random == nil {
		config.Random = rand.Reader
	}
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	config.Random = &lockedReader{r: config.Random}
	if config.Cover == 0 {
		config.Cover = 2
	}
	c := &Carrier{
		CarrierConfig: config, streams: map[transport.ID]int{}, shards: map[uint8]bool{}, hear: make(chan struct{}, 1),
		asked: map[transport.ID][]sum{},
	}
	var kept store.Store
	if config.Full {
		kept = config.Store
	}
	var err error
	if c.keep, err = newKeep(kept, config.HourBytes); err != nil {
		return nil, err
	}
	if err := c.keep.drop(c.now()); err != nil {
		return nil, err
	}
	return c, c.chooseShards()
}

// chooseShards decides what to listen to, once: whoever sees two choices of a light carrier
// would know that its own shards are those in both.
func (c *Carrier) chooseShards() error {
	if c.Full {
		for shard := range uint8(mail.Shards) {
			c.shards[shard] = true
		}
		return nil
	}
	kept, err := c.Store.Get([]byte{prefixShards})
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("read shards: %w", err)
	}
	for _, shard := range kept {
		c.shards[shard%mail.Shards] = true
	}
	for len(c.shards) < min(c.Cover, mail.Shards) {
		c.shards[uint8(c.draw(mail.Shards))] = true
	}
	return c.saveShards()
}

// saveShards remembers the choice; the caller holds mu, or nobody else knows c.
func (c *Carrier) saveShards() error {
	var list []byte
	for shard := range c.shards {
		list = append(list, shard)
	}
	slices.Sort(list)
	b := c.Store.NewBatch()
	b.Set([]byte{prefixShards}, list)
	return b.Commit(true)
}

// draw is a random number below n.
func (c *Carrier) draw(n uint64) uint64 {
	var b [8]byte
	c.read(b[:])
	return binary.BigEndian.Uint64(b[:]) % max(1, n)
}

// wait is a random time up to d.
func (c *Carrier) wait(d time.Duration) time.Duration { return time.Duration(c.draw(uint64(d) + 1)) }

// read fills b with randomness.
func (c *Carrier) read(b []byte) {
	if _, err := c.Random.Read(b); err != nil {
		panic(err) //nolint:forbidigo // without randomness nothing here is safe
	}
}

// lockedReader is a reader for several goroutines.
type lockedReader struct {
	mu sync.Mutex
	r  io.Reader
}

func (l *lockedReader) Read(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return io.ReadFull(l.r, b)
}

func (c *Carrier) now() mail.Hour { return mail.HourOf(uint64(time.Now().UnixMilli())) }

// Counts answers what became of envelopes.
func (c *Carrier) Counts() MailCounts {
	m := MailCounts{
		Dropped: map[string]uint64{"shard": c.others[countShard].Load(), "full": c.others[countFull].Load()},
		Carried: c.others[countCarried].Load(), Fetched: c.others[countFetched].Load(), Served: c.others[countServed].Load(),
		Lost: c.others[countLost].Load(),
	}
	for d := range mail.Drops {
		if d != mail.Kept {
			m.Dropped[d.String()] = c.drops[d].Load()
		}
	}
	for _, s := range c.keep.sums(c.now()+1, c.now()+mail.Retention) {
		m.Kept += uint64(s.count)
	}
	return m
}

func topic(shard uint8) string { return "souk/mail/" + strconv.Itoa(int(shard)) }

// validator judges what comes over a shard's topic, in the order of O-10.
func (c *Carrier) validator(shard uint8) transport.Validator {
	self := c.Net.Self()
	return func(from transport.ID, data []byte) transport.Verdict {
		e, drop := mail.Check(data, c.now(), c.Price, c.keep.has)
		if drop == mail.DropKnown && from == self {
			return transport.Accept // published again: others may lack it
		}
		switch {
		case drop != mail.Kept:
			c.drops[drop].Add(1)
			if drop.Guilty() {
				return transport.Reject
			}
			return transport.Ignore
		case e.Shard != shard:
			c.others[countShard].Add(1)
			return transport.Reject
		case c.keep.full(&e, len(data)):
			c.others[countFull].Add(1)
			return transport.Ignore
		}
		return transport.Accept
	}
}

// take keeps a checked envelope and hands it to the mailboxes. It tells whether it was new.
func (c *Carrier) take(e *mail.Checked, data []byte) bool {
	fresh, err := c.keep.put(e, data)
	if err != nil {
		c.Log.Error("mail is not kept", slog.Any("error", err))
	}
	if !fresh {
		return false
	}
	c.mu.Lock()
	boxes := slices.Clone(c.boxes)
	c.mu.Unlock()
	for _, box := range boxes {
		box.receive(e)
	}
	return true
}

// Run carries mail until the context ends. It runs once.
func (c *Carrier) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	defer all.Wait()
	var subscriptions []transport.Subscription
	c.mu.Lock()
	c.listen = func(shard uint8) error { // the caller holds mu
		s, err := c.Net.Subscribe(topic(shard), c.validator(shard))
		if err != nil {
			return fmt.Errorf("listen to shard %d: %w", shard, err)
		}
		subscriptions = append(subscriptions, s)
		all.Go(func() { c.follow(ctx, s) })
		return nil
	}
	var err error
	for shard := range uint8(mail.Shards) {
		if c.shards[shard] && err == nil {
			err = c.listen(shard)
		}
	}
	c.mu.Unlock()
	c.serve(ctx)
	defer func() {
		cancel()
		c.mu.Lock()
		defer c.mu.Unlock()
		c.listen = nil
		for _, s := range subscriptions {
			_ = s.Close()
		}
		for _, protocol := range []string{protocolSums, protocolList, protocolGet, protocolStem} {
			c.Net.Handle(protocol, nil)
		}
	}()
	if err != nil {
		return err
	}
	all.Go(func() { c.dropHours(ctx) })
	all.Go(func() { c.syncAlways(ctx) })
	<-ctx.Done()
	return nil
}

// follow takes what a subscription brings.
func (c *Carrier) follow(ctx context.Context, s transport.Subscription) {
	var lost uint64
	for {
		m, err := s.Next(ctx)
		if err != nil {
			return
		}
		if n := s.Dropped(); n > lost {
			c.others[countLost].Add(n - lost)
			lost = n
			c.soon()
		}
		e, err := mail.ParseEnvelope(m.Data)
		if err != nil || e.Expiry <= c.now() {
			continue // it expired while it waited
		}
		if c.take(&mail.Checked{Envelope: e, ID: mail.IDOf(m.Data)}, m.Data) {
			c.others[countCarried].Add(1)
		}
	}
}

// dropHours forgets what expires, hour by hour.
func (c *Carrier) dropHours(ctx context.Context) {
	for {
		next := time.UnixMilli(int64((c.now() + 1).Milliseconds()))
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Until(next)):
		}
		if err := c.keep.drop(c.now()); err != nil {
			c.Log.ErrorContext(ctx, "expired mail is not dropped", slog.Any("error", err))
		}
		c.mu.Lock()
		boxes := slices.Clone(c.boxes)
		c.mu.Unlock()
		for _, box := range boxes {
			box.turn()
		}
	}
}

// soon has others asked before it is time.
func (c *Carrier) soon() {
	select {
	case c.hear <- struct{}{}:
	default:
	}
}

// attach adds a mailbox, and listens to its shards.
func (c *Carrier) attach(m *Mailbox) error {
	c.mu.Lock()
	c.boxes = append(c.boxes, m)
	c.mu.Unlock()
	if err := c.also(m.shards()...); err != nil {
		return err
	}
	return c.again(m)
}

// also listens to more shards.
func (c *Carrier) also(shards ...uint8) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, shard := range shards {
		if c.shards[shard] {
			continue
		}
		c.shards[shard] = true
		if err := c.saveShards(); err != nil {
			return err
		}
		if c.listen == nil {
			continue
		}
		if err := c.listen(shard); err != nil {
			return err
		}
	}
	return nil
}

// again hands a mailbox what is here already, or has others asked for it.
func (c *Carrier) again(m *Mailbox) error {
	if c.Full {
		return c.keep.each(m.wants, func(data []byte) {
			if e, err := mail.ParseEnvelope(data); err == nil && e.Expiry > c.now() {
				m.receive(&mail.Checked{Envelope: e, ID: mail.IDOf(data)})
			}
		})
	}
	c.keep.forget() // what it let go by may be wanted now
	c.mu.Lock()
	clear(c.asked)
	c.wishes++
	c.mu.Unlock()
	c.soon()
	return nil
}
