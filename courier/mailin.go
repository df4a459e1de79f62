package courier

import (
	"crypto/sha256"
	"log/slog"
	"time"

	"souk/identity"
	"souk/mail"
)

// receive reads an envelope if it is for this mailbox. What is not, costs a look into a
// table; what is and is not as it must be, is dropped: its writer gets no receipt.
func (m *Mailbox) receive(e *mail.Checked) {
	m.mu.Lock()
	got, err := m.open(e)
	heard := m.heard
	m.mu.Unlock()
	if err != nil {
		m.carrier.Log.Debug("an envelope for this mailbox is dropped", slog.Any("error", err))
	}
	if got != nil && heard != nil {
		heard(*got)
	}
}

// open reads an envelope, and answers the letter if it is a new one. The caller holds mu.
func (m *Mailbox) open(e *mail.Checked) (*Received, error) {
	if e.Kind == mail.Hello {
		if e.Bucket() != m.own.Bucket {
			return nil, nil
		}
		o, err := mail.Open(&m.keys.Writer, &e.Envelope)
		if err != nil {
			return nil, nil //nolint:nilerr // it is somebody else's of the same bucket
		}
		return m.first(o)
	}
	expected, ok := m.table.Look(e.Tag)
	if !ok {
		return nil, nil
	}
	if expected.Use == mail.UseList {
		o, err := m.lists[expected.Who].list.Open(&e.Envelope)
		if err != nil {
			return nil, err
		}
		return m.post(m.lists[expected.Who], o)
	}
	o, err := mail.Open(&m.keys.Writer, &e.Envelope)
	if err != nil {
		return nil, err
	}
	if expected.Use == mail.UseReply {
		m.useReply(e.Tag)
		return m.first(o)
	}
	c := m.people[expected.Who]
	if c == nil || o.From != c.reader() || o.Letter.Number != expected.Number {
		return nil, errRecord
	}
	if expected.Use == mail.UseReceipt {
		return nil, m.arrived(c, o.Letter)
	}
	return m.letter(c, o.Letter)
}

// useReply ends a reply tag.
func (m *Mailbox) useReply(tag mail.Tag) {
	m.table.Remove(tag)
	kept := m.own.Tags[:0]
	for _, t := range m.own.Tags {
		if t != tag {
			kept = append(kept, t)
		}
	}
	m.own.Tags = kept
}

// first takes a letter that came without tags of the chain.
func (m *Mailbox) first(o *mail.Opened) (*Received, error) {
	card := o.Letter.Card
	who, known := m.byKey[o.From.Key]
	switch {
	case known && m.people[who].card.Identity != o.From.Identity:
		return nil, ErrContact // somebody claims another's key
	case known && m.people[who].Blocked:
		return nil, nil
	case known:
		return m.letter(m.people[who], o.Letter)
	case card == nil || card.Identity != o.From.Identity || card.Key != o.From.Key:
		return nil, ErrCard // nobody could be answered
	}
	if err := m.roomForStranger(); err != nil {
		return nil, err
	}
	c, err := m.meet(card, "")
	if err != nil {
		return nil, err
	}
	return m.letter(c, o.Letter)
}

// roomForStranger forgets the stranger who has been silent for longest, if there are many.
func (m *Mailbox) roomForStranger() error {
	count := 0
	var oldest *contact
	for _, c := range m.people {
		if c.Name != "" || c.Blocked {
			continue
		}
		count++
		if oldest == nil || c.Latest < oldest.Latest || c.Latest == oldest.Latest && c.Who < oldest.Who {
			oldest = c
		}
	}
	if count < maxStrangers {
		return nil
	}
	m.table.RemovePair(oldest.pair, oldest.In)
	delete(m.people, oldest.Who)
	delete(m.byKey, oldest.card.Key)
	return m.records.write(func(w *recordWriter) {
		w.forget(kindContact, whoID(oldest.Who))
		for key, o := range m.out {
			if o.To == oldest.Who {
				delete(m.out, key)
				w.forget(kindOut, o.record())
			}
		}
	})
}

// letter takes a contact's letter and writes a receipt; again if it came again and the first
// receipt is kept by nobody any more.
func (m *Mailbox) letter(c *contact, l *mail.Letter) (*Received, error) {
	if l.Kind != mail.Written {
		return nil, errRecord
	}
	now := uint64(time.Now().UnixMilli())
	c.Heard, c.Latest = true, now
	if l.Card != nil && l.Card.Identity == c.card.Identity && l.Card.Key == c.card.Key && l.Card.Made > c.card.Made {
		c.card, c.Card, c.UsedTags = l.Card, l.Card.Append(nil), 0
	}
	m.slide(c, l.Number)
	id := localID(c.card.Identity, l.ID)
	old := m.in[id]
	fresh := &inRecord{
		Received: Received{
			ID: id, From: c.card.Identity, Contact: c.Who, Sent: l.Sent, At: now, Subject: l.Subject,
		},
		Body: l.Body,
	}
	receipt := m.receipt(c, l)
	err := m.records.write(func(w *recordWriter) {
		w.contact(c)
		w.own(&m.own)
		if old == nil {
			w.in(fresh)
		}
		if receipt != nil {
			w.out(receipt)
		}
	})
	if err != nil {
		return nil, err
	}
	if receipt != nil {
		m.out[receipt.key()] = receipt
		m.stir()
	}
	if old != nil {
		return nil, nil
	}
	return m.keepIn(fresh), nil
}

// slide moves a contact's window. A first letter may have a number that it does not reach
// yet, if the writer's book was lost: then it begins there.
func (m *Mailbox) slide(c *contact, n uint64) {
	if _, to := c.In.Range(); n < to {
		m.table.Arrived(c.Who, c.pair, &c.In, n)
		return
	}
	m.table.RemovePair(c.pair, c.In)
	c.In.Next = n + 1
	m.table.PutPair(c.Who, c.pair, c.In)
}

// keepIn remembers a letter without its words.
func (m *Mailbox) keepIn(r *inRecord) *Received {
	r.Body = nil
	m.in[r.ID] = r
	got := r.Received
	return &got
}

// localID is a letter's name here.
func localID(from identity.PublicKey, id mail.LetterID) mail.LetterID {
	h := sha256.New()
	h.Write(from[:])
	h.Write(id[:])
	return mail.LetterID(h.Sum(nil)[:16])
}

// post takes a post to a list.
func (m *Mailbox) post(l *membership, o *mail.Opened) (*Received, error) {
	if o.Letter.Kind != mail.Written {
		return nil, errRecord
	}
	id := localID(o.From.Identity, o.Letter.ID)
	if m.in[id] != nil {
		return nil, nil
	}
	r := &inRecord{
		Received: Received{
			ID: id, From: o.From.Identity, Contact: m.byKey[o.From.Key], List: l.Name, Sent: o.Letter.Sent,
			At: uint64(time.Now().UnixMilli()), Subject: o.Letter.Subject, Card: cardText(o.Letter.Card),
		},
		Body: o.Letter.Body,
	}
	if err := m.records.write(func(w *recordWriter) { w.in(r) }); err != nil {
		return nil, err
	}
	return m.keepIn(r), nil
}

// cardText is the card that came with a post, by which its writer can be answered.
func cardText(c *mail.Card) string {
	if c == nil {
		return ""
	}
	return c.String()
}

// arrived takes a receipt.
func (m *Mailbox) arrived(c *contact, l *mail.Letter) error {
	o := m.out[outID{false, c.Who, l.ID}]
	if l.Kind != mail.Receipt || o == nil || o.Number != l.Number || !o.Numbered {
		return errRecord
	}
	if o.State == Arrived {
		return nil
	}
	now := uint64(time.Now().UnixMilli())
	c.Out.Ack(o.Number)
	c.Heard, c.Latest = true, now
	o.State, o.Delivered, o.Envelope, o.Body = Arrived, now, nil, nil
	m.table.Remove(c.pair.InReceipt(o.Number))
	for _, waiting := range m.out { // a number is free
		if waiting.To == c.Who && waiting.Kind == mail.Written && !waiting.Numbered {
			waiting.Next = min(waiting.Next, now)
		}
	}
	m.stir()
	return m.records.write(func(w *recordWriter) { w.contact(c); w.out(o) })
}
