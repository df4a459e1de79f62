package courier

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"souk/identity"
	"souk/mail"
	"souk/store"
)

// Bounds of a mailbox.
const (
	maxStrangers = 1000     // who wrote without being asked; the longest silent makes room
	maxReplyTags = 4096     // given out on cards and not used; the oldest makes room
	cardFor      = 365 * 24 // hours for which a card is good
	maxName      = 100
)

// Errors of a mailbox.
var (
	// ErrContact is returned for a contact that is not there.
	ErrContact = errors.New("no such contact")
	// ErrName is returned for a name that is empty, too long or taken.
	ErrName = errors.New("a name is 1 to 100 bytes, and nobody else's")
	// ErrLetter is returned for a letter that is not there.
	ErrLetter = errors.New("no such letter")
	// ErrCard is returned for a card that is not good any more, or older than the one known.
	ErrCard = errors.New("the card has expired, or there is a later one")
)

// Mailbox is one identity's: its contacts, lists and letters, of which the disk shows
// nothing. All methods may be called from several goroutines.
type Mailbox struct {
	carrier *Carrier
	keys    *MailKeys
	records *records
	wake    chan struct{} // the outbox has something to do

	mu     sync.Mutex
	own    ownRecord
	table  *mail.Table
	people map[uint32]*contact
	byKey  map[mail.PublicKey]uint32
	lists  map[uint32]*membership
	in     map[mail.LetterID]*inRecord // bodies stay on disk
	out    map[outID]*outRecord
	heard  func(Received)
}

// contact is somebody with whom tags are shared.
type contact struct {
	contactRecord
	card *mail.Card
	pair *mail.Pair
}

func (c *contact) reader() mail.Reader {
	return mail.Reader{Identity: c.card.Identity, Key: c.card.Key}
}

// membership is a list that is read.
type membership struct {
	listRecord
	list *mail.List
	from mail.Hour // the oldest hour that is looked for
}

// OpenMailbox opens the mailbox of some keys in a store, or makes it, and has the carrier
// look for its mail.
func OpenMailbox(carrier *Carrier, s store.Store, keys *MailKeys) (*Mailbox, error) {
	m := &Mailbox{
		carrier: carrier, keys: keys, records: newRecords(s, keys, carrier.Random), wake: make(chan struct{}, 1), table: mail.NewTable(),
		people: map[uint32]*contact{}, byKey: map[mail.PublicKey]uint32{}, lists: map[uint32]*membership{},
		in: map[mail.LetterID]*inRecord{}, out: map[outID]*outRecord{},
	}
	if err := m.load(); err != nil {
		return nil, err
	}
	if len(m.own.Shards) == 0 {
		m.own = ownRecord{Shards: []uint8{uint8(carrier.draw(mail.Shards))}, Bucket: uint8(carrier.draw(mail.Buckets))}
		if err := m.records.write(func(w *recordWriter) { w.own(&m.own) }); err != nil {
			return nil, err
		}
	}
	for _, tag := range m.own.Tags {
		m.table.Put(tag, mail.Expected{Use: mail.UseReply})
	}
	return m, carrier.attach(m)
}

// Heard has f called for every letter that arrives, one after the other. It must not block.
func (m *Mailbox) Heard(f func(Received)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.heard = f
}

// shards are all that the mailbox's mail may take.
func (m *Mailbox) shards() []uint8 {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := slices.Clone(m.own.Shards)
	for _, l := range m.lists {
		all = append(all, l.list.Shard())
	}
	return all
}

// wants tells whether an envelope may be for this mailbox.
func (m *Mailbox) wants(k mail.Kind, tag mail.Tag) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if k == mail.Hello {
		return tag == mail.BucketTag(m.own.Bucket)
	}
	_, ok := m.table.Look(tag)
	return ok
}

// turn goes on to the next hour.
func (m *Mailbox) turn() {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.carrier.now()
	for who, l := range m.lists {
		m.table.RemoveList(l.list, l.from, now)
		m.table.PutList(who, l.list, now, now+1)
		l.from = now
	}
}

// Card makes a card to give away. Each of its reply tags lets one person write a first letter
// that goes to no bucket: a card for one person has one, a card for everybody none.
func (m *Mailbox) Card(replyTags int) (*mail.Card, error) {
	if replyTags < 0 || replyTags > mail.MaxTags {
		return nil, fmt.Errorf("make a card: %w", mail.ErrTooLong)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.card()
	for range replyTags {
		var tag mail.Tag
		m.carrier.read(tag[:])
		c.Tags = append(c.Tags, tag)
		m.own.Tags = append(m.own.Tags, tag)
		m.table.Put(tag, mail.Expected{Use: mail.UseReply})
	}
	for len(m.own.Tags) > maxReplyTags {
		m.table.Remove(m.own.Tags[0])
		m.own.Tags = m.own.Tags[1:]
	}
	mail.SortTags(c.Tags)
	mail.SignCard(c, m.keys.Identity)
	return c, m.records.write(func(w *recordWriter) { w.own(&m.own) })
}

// card is the card without reply tags, signed.
func (m *Mailbox) card() *mail.Card {
	c := &mail.Card{
		Key: m.keys.Key.Public(), Shards: m.own.Shards, Bucket: m.own.Bucket,
		Made: uint64(time.Now().UnixMilli()), Until: m.carrier.now() + cardFor,
	}
	mail.SignCard(c, m.keys.Identity)
	return c
}

// Contact is somebody in the address book, or who wrote.
type Contact struct {
	ID       uint32
	Name     string // the owner's for him; empty for a stranger
	Identity identity.PublicKey
	Stranger bool // he wrote, and the owner has not named him
	Blocked  bool
	Heard    bool // something has come from him: letters go under his tags
	Until    mail.Hour
}

// Contacts lists the address book and strangers, by name.
func (m *Mailbox) Contacts() []Contact {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []Contact
	for who, c := range m.people {
		all = append(all, Contact{who, c.Name, c.card.Identity, c.Name == "", c.Blocked, c.Heard, c.card.Until})
	}
	slices.SortFunc(all, func(a, b Contact) int {
		return cmpOr(strings.Compare(a.Name, b.Name), int(a.ID)-int(b.ID))
	})
	return all
}

func cmpOr(a, b int) int {
	if a != 0 {
		return a
	}
	return b
}

// AddContact puts somebody into the address book, or gives him a name or a later card.
func (m *Mailbox) AddContact(name string, card *mail.Card) (uint32, error) {
	if card.Until <= m.carrier.now() {
		return 0, ErrCard
	}
	m.mu.Lock()
	who, known := m.byKey[card.Key]
	if name == "" || len(name) > maxName || m.named(name) != 0 && m.named(name) != who {
		m.mu.Unlock()
		return 0, ErrName
	}
	defer m.carrier.again(m) //nolint:errcheck // what is here already may be from him; it is asked for again later
	defer m.mu.Unlock()
	if known && m.people[who].card.Identity != card.Identity {
		return 0, ErrContact // somebody claims another's key
	}
	if known {
		c := m.people[who]
		if c.Name = name; card.Made > c.card.Made {
			c.Card, c.card, c.UsedTags = card.Append(nil), card, 0
		}
		return who, m.records.write(func(w *recordWriter) { w.contact(c) })
	}
	c, err := m.meet(card, name)
	if err != nil {
		return 0, err
	}
	return c.Who, m.records.write(func(w *recordWriter) { w.contact(c); w.own(&m.own) })
}

// named finds a contact by name; 0 is nobody. The caller holds mu.
func (m *Mailbox) named(name string) uint32 {
	for who, c := range m.people {
		if c.Name == name {
			return who
		}
	}
	return 0
}

// meet makes a contact; the caller holds mu and writes it.
func (m *Mailbox) meet(card *mail.Card, name string) (*contact, error) {
	m.own.Last++
	c := &contact{contactRecord: contactRecord{Who: m.own.Last, Name: name, Card: card.Append(nil)}}
	return c, m.know(c)
}

// know has a contact's letters looked for.
func (m *Mailbox) know(c *contact) (err error) {
	if c.card, err = mail.ParseCard(c.Card); err != nil {
		return err
	}
	if c.pair, err = mail.NewPair(m.keys.Key, c.card.Key); err != nil {
		return err
	}
	m.people[c.Who], m.byKey[c.card.Key] = c, c.Who
	if !c.Blocked {
		m.table.PutPair(c.Who, c.pair, c.In)
	}
	return nil
}

// Block has nothing from a contact looked for any more, or again.
func (m *Mailbox) Block(who uint32, blocked bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.people[who]
	if c == nil {
		return ErrContact
	}
	if c.Blocked = blocked; blocked {
		m.table.RemovePair(c.pair, c.In)
	} else {
		m.table.PutPair(who, c.pair, c.In)
	}
	return m.records.write(func(w *recordWriter) { w.contact(c) })
}

// Join has a list read from now on, and what is kept of it.
func (m *Mailbox) Join(name string) error {
	list, err := mail.NewList(name)
	if err != nil {
		return err
	}
	m.mu.Lock()
	for _, l := range m.lists {
		if l.Name == name {
			m.mu.Unlock()
			return nil
		}
	}
	m.own.Last++
	l := &membership{listRecord: listRecord{Who: m.own.Last, Name: name}, list: list}
	m.enter(l)
	err = m.records.write(func(w *recordWriter) { w.list(&l.listRecord); w.own(&m.own) })
	m.mu.Unlock()
	if err != nil {
		return err
	}
	if err := m.carrier.also(list.Shard()); err != nil {
		return err
	}
	return m.carrier.again(m)
}

func (m *Mailbox) enter(l *membership) {
	m.lists[l.Who], l.from = l, m.carrier.now()
	m.table.PutList(l.Who, l.list, l.from, l.from+1)
}

// Leave ends Join. What was read stays.
func (m *Mailbox) Leave(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for who, l := range m.lists {
		if l.Name == name {
			delete(m.lists, who)
			m.table.RemoveList(l.list, l.from, m.carrier.now()+1+mail.Retention)
			return m.records.write(func(w *recordWriter) { w.forget(kindList, l.record()) })
		}
	}
	return ErrContact
}

// Lists are the names of lists that are read.
func (m *Mailbox) Lists() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var names []string
	for _, l := range m.lists {
		names = append(names, l.Name)
	}
	slices.Sort(names)
	return names
}

// Received is a letter that came.
type Received struct {
	ID      mail.LetterID // here: writers' own ids may be alike
	From    identity.PublicKey
	Contact uint32 // 0: of a post by somebody unknown
	List    string // of a post
	Sent    uint64 // ms, as the writer says
	At      uint64 // ms, when it was read from its envelope
	Subject string
	Card    string // of a post: by which its writer can be answered, if he gave one
	Seen    bool
}

// Inbox lists letters that came, the latest last.
func (m *Mailbox) Inbox() []Received {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []Received
	for _, r := range m.in {
		if !r.Gone {
			all = append(all, r.Received)
		}
	}
	slices.SortFunc(all, func(a, b Received) int {
		if a.At != b.At {
			return int(int64(a.At - b.At))
		}
		return bytes.Compare(a.ID[:], b.ID[:])
	})
	return all
}

// Read returns a letter's words, and remembers that they were seen.
func (m *Mailbox) Read(id mail.LetterID) (Received, []byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.in[id]
	if r == nil || r.Gone {
		return Received{}, nil, ErrLetter
	}
	whole, err := m.records.readIn(id)
	if err != nil {
		return Received{}, nil, err
	}
	if !r.Seen {
		r.Seen, whole.Seen = true, true
		err = m.records.write(func(w *recordWriter) { w.in(whole) })
	}
	return r.Received, whole.Body, err
}

// Delete forgets a letter that came. What remains is that it came, for as long as it may come again.
func (m *Mailbox) Delete(id mail.LetterID) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.in[id]
	if r == nil || r.Gone {
		return ErrLetter
	}
	*r = inRecord{Received: Received{ID: id, At: r.At}, Gone: true}
	return m.records.write(func(w *recordWriter) { w.in(r) })
}

// Run sends what is to be sent until the context ends.
func (m *Mailbox) Run(ctx context.Context) error {
	for {
		wait := m.work(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-m.wake:
		case <-time.After(wait):
		}
	}
}

// stir has the outbox looked at.
func (m *Mailbox) stir() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}
