package courier

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"souk/mail"
)

// Times of an outbox.
const (
	sendDelay    = time.Minute         // before a letter is published, at most
	receiptDelay = 5 * time.Minute     // before a receipt is, at most
	giveUp       = 30 * 24 * time.Hour // a letter without a receipt
	idle         = time.Hour           // between two looks, at most
	alone        = 10 * time.Second    // before a letter is published again that nobody was there for, about
	keepSent     = 90 * 24 * time.Hour // what is known of a letter that arrived or was given up
	mintPiece    = 1 << 14             // hashes between two looks at the clock
	mostDoubled  = 4                   // how often a letter's stamp gets twice as dear
)

// again is after how long an envelope is published again, for the first times; later it is the last.
var again = []time.Duration{10 * time.Minute, time.Hour, 6 * time.Hour, 12 * time.Hour}

// SentState is what became of a letter.
type SentState uint8

// States.
const (
	Waiting SentState = iota // for its stamp, or a number
	Away                     // published, and no receipt yet; of a post: published
	Arrived                  // there is a receipt
	GivenUp                  // no receipt came in 30 days
)

// Sent is a letter that was written here.
type Sent struct {
	ID        mail.LetterID
	To        uint32 // 0: a post
	List      string
	Subject   string
	At        uint64 // ms, when it was written
	State     SentState
	Delivered uint64 // ms, when the receipt came
}

// Draft is a letter to be sent.
type Draft struct {
	Subject string
	Body    []byte
	// Hurry has it published at once. Who watches the network may see then when it was written.
	Hurry bool
}

// Outbox lists what was sent, the latest last.
func (m *Mailbox) Outbox() []Sent {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []Sent
	for _, o := range m.out {
		if o.Kind == mail.Written {
			all = append(all, o.Sent)
		}
	}
	slices.SortFunc(all, func(a, b Sent) int {
		if a.At != b.At {
			return int(int64(a.At - b.At))
		}
		return bytes.Compare(a.ID[:], b.ID[:])
	})
	return all
}

// Send puts a letter to a contact into the outbox. When it returns, the letter survives a
// loss of power, and is sent until there is a receipt.
func (m *Mailbox) Send(to uint32, d Draft) (mail.LetterID, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.people[to]
	if c == nil || c.Blocked {
		return mail.LetterID{}, ErrContact
	}
	return m.queue(Sent{To: to}, d, m.card())
}

// Post puts a letter to a list into the outbox. With a card its readers can answer.
func (m *Mailbox) Post(list string, d Draft, card *mail.Card) (mail.LetterID, error) {
	if _, err := mail.NewList(list); err != nil {
		return mail.LetterID{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.queue(Sent{List: list}, d, card)
}

// queue writes a letter that fits an envelope together with a card.
func (m *Mailbox) queue(s Sent, d Draft, card *mail.Card) (mail.LetterID, error) {
	m.carrier.read(s.ID[:])
	s.Subject, s.At = d.Subject, uint64(time.Now().UnixMilli())
	o := &outRecord{Sent: s, Kind: mail.Written, Body: bytes.Clone(d.Body), Hurry: d.Hurry || m.carrier.Prompt, Next: s.At}
	if card != nil {
		o.Card = card.Append(nil)
	}
	text, err := m.words(o, card).Append(nil)
	if err == nil && len(text) > mail.SizeLarge-mail.Overhead {
		err = mail.ErrTooLong
	}
	if err != nil {
		return s.ID, fmt.Errorf("send a letter: %w", err)
	}
	if err := m.records.write(func(w *recordWriter) { w.out(o) }); err != nil {
		return s.ID, err
	}
	m.out[o.key()] = o
	m.stir()
	return s.ID, nil
}

// words is the letter of a record.
func (m *Mailbox) words(o *outRecord, card *mail.Card) *mail.Letter {
	return &mail.Letter{Kind: o.Kind, ID: o.ID, Number: o.Number, Sent: o.At, Card: card, Subject: o.Subject, Body: o.Body}
}

// receipt is a new one for a letter, unless one is on its way.
func (m *Mailbox) receipt(c *contact, l *mail.Letter) *outRecord {
	now := time.Now()
	o := &outRecord{
		Sent: Sent{ID: l.ID, To: c.Who, At: uint64(now.UnixMilli())}, Kind: mail.Receipt, Number: l.Number, Numbered: true,
		Next: uint64(now.Add(m.carrier.wait(receiptDelay)).UnixMilli()),
	}
	if m.carrier.Prompt {
		o.Next = o.At
	}
	if m.out[o.key()] != nil {
		return nil
	}
	return o
}

// expectReceipt has the receipt for a letter looked for.
func (m *Mailbox) expectReceipt(o *outRecord) {
	if c := m.people[o.To]; c != nil && o.Kind == mail.Written && o.Numbered && o.State < Arrived {
		m.table.Put(c.pair.InReceipt(o.Number), mail.Expected{Use: mail.UseReceipt, Who: o.To, Number: o.Number})
	}
}

// work does all that is due, and tells when there will be more.
func (m *Mailbox) work(ctx context.Context) time.Duration {
	for ctx.Err() == nil {
		o, wait := m.due()
		if o == nil {
			return wait
		}
		if err := m.step(ctx, o); err != nil && ctx.Err() == nil {
			m.carrier.Log.WarnContext(ctx, "a letter is not sent, it will be tried again", slog.Any("error", err))
		}
	}
	return idle
}

// due is what is to be worked on first, the oldest first.
func (m *Mailbox) due() (*outRecord, time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := uint64(time.Now().UnixMilli())
	var first *outRecord
	next := now + uint64(idle.Milliseconds())
	for _, o := range m.out {
		next = min(next, max(o.Next, now))
		if o.Next <= now && (first == nil || o.At < first.At || o.At == first.At && bytes.Compare(o.ID[:], first.ID[:]) < 0) {
			first = o
		}
	}
	return first, time.Duration(next-now) * time.Millisecond
}

// step does one thing for a record: numbers and closes it, publishes it, or ends it.
func (m *Mailbox) step(ctx context.Context, o *outRecord) error {
	m.mu.Lock()
	now := time.Now()
	expired := o.Envelope != nil && o.Expiry <= m.carrier.now()
	age := now.Sub(time.UnixMilli(int64(o.At)))
	switch {
	case o.State >= Arrived || expired && o.Kind == mail.Receipt, expired && o.To == 0:
		defer m.mu.Unlock()
		return m.end(o, age)
	case expired && age > giveUp:
		defer m.mu.Unlock()
		return m.drop(o)
	case o.Envelope == nil || expired:
		data, err := m.closeLetter(o)
		m.mu.Unlock()
		if data == nil {
			return err
		}
		return m.stampLetter(ctx, o, data)
	}
	data := o.Envelope
	o.Tries++
	times := o.Tries
	pause := again[min(o.Tries, len(again))-1]
	state := Away
	if len(m.carrier.Net.Peers()) == 0 { // nobody takes it
		pause, state = alone, o.State
		o.Tries--
	}
	o.Next, o.State = uint64(now.Add(pause/2+m.carrier.wait(pause)).UnixMilli()), state
	err := m.records.write(func(w *recordWriter) { w.out(o) })
	m.mu.Unlock()
	if err != nil {
		return err
	}
	return m.carrier.send(ctx, data, times)
}

// end forgets a record whose time is over, or sees to it that it will be.
func (m *Mailbox) end(o *outRecord, age time.Duration) error {
	if o.Kind == mail.Written && age < keepSent {
		o.Envelope, o.Next = nil, o.At+uint64(keepSent.Milliseconds())
		o.State = max(o.State, Away)
		if o.To == 0 {
			o.State = Arrived // a post has no receipt: it was there for as long as it could be
		}
		return m.records.write(func(w *recordWriter) { w.out(o) })
	}
	delete(m.out, o.key())
	return m.records.write(func(w *recordWriter) { w.forget(kindOut, o.record()) })
}

// drop gives a letter up, and its number back.
func (m *Mailbox) drop(o *outRecord) error {
	c := m.people[o.To]
	o.State, o.Envelope, o.Body, o.Next = GivenUp, nil, nil, o.At+uint64(keepSent.Milliseconds())
	if c != nil {
		c.Out.Release(o.Number)
		m.table.Remove(c.pair.InReceipt(o.Number))
	}
	return m.records.write(func(w *recordWriter) {
		w.out(o)
		if c != nil {
			w.contact(c)
		}
	})
}

// closeLetter makes an envelope without a stamp, or nothing as long as there is no number.
func (m *Mailbox) closeLetter(o *outRecord) ([]byte, error) {
	expiry := m.carrier.now() + 50 + mail.Hour(m.carrier.draw(10)) // O-12, O-32
	now := uint64(time.Now().UnixMilli())
	o.Next = now + uint64(time.Minute.Milliseconds()) // if anything goes wrong
	var card *mail.Card
	if len(o.Card) > 0 {
		var err error
		if card, err = mail.ParseCard(o.Card); err != nil {
			return nil, err
		}
	}
	if o.To == 0 {
		list, err := mail.NewList(o.List)
		if err != nil {
			return nil, err
		}
		return list.Post(m.carrier.Random, &m.keys.Writer, expiry, m.words(o, card))
	}
	c := m.people[o.To]
	if c == nil || c.card.Until <= m.carrier.now() {
		o.Next = now + uint64(idle.Milliseconds())
		return nil, ErrCard
	}
	at := mail.Address{Kind: mail.Tagged, Shard: c.card.Shards[m.carrier.draw(uint64(len(c.card.Shards)))]}
	if o.Kind == mail.Receipt {
		at.Tag = c.pair.OutReceipt(o.Number)
		return mail.Seal(m.carrier.Random, &m.keys.Writer, c.reader(), at, expiry, m.words(o, nil))
	}
	if !o.Numbered {
		n, ok := c.Out.Take()
		if !ok {
			o.Next = now + uint64(idle.Milliseconds()) // or when a receipt comes
			return nil, nil
		}
		o.Number, o.Numbered = n, true
		m.expectReceipt(o)
	}
	at.Kind, at.Tag = m.address(c, o)
	o.Closed++
	if c.Heard && at.Kind == mail.Tagged {
		card = nil // he has it
	}
	data, err := mail.Seal(m.carrier.Random, &m.keys.Writer, c.reader(), at, expiry, m.words(o, card))
	if err != nil {
		return nil, err
	}
	return data, m.records.write(func(w *recordWriter) { w.contact(c); w.out(o) })
}

// address is what a letter's envelope shows (O-25). A tag that nobody answers may be one that
// the reader has forgotten, or a reply tag that another has used: then it is the bucket's turn.
func (m *Mailbox) address(c *contact, o *outRecord) (mail.Kind, mail.Tag) {
	switch {
	case c.Heard && o.Closed%3 != 2:
		return mail.Tagged, c.pair.OutTag(o.Number)
	case !c.Heard && o.Closed == 0 && c.UsedTags < len(c.card.Tags):
		c.UsedTags++
		return mail.Tagged, c.card.Tags[c.UsedTags-1]
	default:
		return mail.Hello, mail.BucketTag(c.card.Bucket)
	}
}

// stampLetter finds a stamp for an envelope and has it published some time later.
func (m *Mailbox) stampLetter(ctx context.Context, o *outRecord, data []byte) error {
	e, err := mail.ParseEnvelope(data)
	if err != nil {
		return err
	}
	id := mail.IDOf(data)
	left := e.Expiry - m.carrier.now() + 1
	work := m.carrier.Price.Work(len(data), left, e.Kind) << min(max(o.Closed-1, 0), mostDoubled)
	target := mail.Target(work)
	from := uint64(0)
	for {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		stamp, ok := mail.Mint(id, target, from, mintPiece)
		if ok {
			mail.PutStamp(data, stamp)
			break
		}
		from += mintPiece
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.out[o.key()] != o || o.State >= Arrived {
		return nil
	}
	delay := m.carrier.wait(sendDelay)
	if o.Hurry || o.Kind == mail.Receipt { // a receipt has waited already
		delay = 0
	}
	o.Envelope, o.Expiry, o.Tries = data, e.Expiry, 0
	o.Next = uint64(time.Now().Add(delay).UnixMilli())
	return m.records.write(func(w *recordWriter) { w.out(o) })
}
