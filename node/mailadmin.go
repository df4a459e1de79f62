package node

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"souk/courier"
	"souk/identity"
	"souk/mail"
)

// MailContact is somebody in the address book, or who wrote.
type MailContact struct {
	Name     string `json:"name"` // empty for who wrote and was not named
	Key      string `json:"key"`
	Stranger bool   `json:"stranger"`
	Blocked  bool   `json:"blocked"`
}

// MailLetter is a letter that came.
type MailLetter struct {
	ID      string `json:"id"`
	From    string `json:"from"` // the name in the address book, if there is one
	Key     string `json:"key"`  // the writer's
	List    string `json:"list,omitempty"`
	Subject string `json:"subject"`
	Sent    uint64 `json:"sent"`    // ms, as the writer says
	Arrived uint64 `json:"arrived"` // ms
	New     bool   `json:"new"`     // it was not read
	Card    string `json:"card,omitempty"`
	Body    []byte `json:"body,omitempty"`
}

// MailSent is a letter that was written here.
type MailSent struct {
	ID        string `json:"id"`
	To        string `json:"to,omitempty"`
	List      string `json:"list,omitempty"`
	Subject   string `json:"subject"`
	Written   uint64 `json:"written"`             // ms
	State     string `json:"state"`               // waiting, away, arrived or given up
	Delivered uint64 `json:"delivered,omitempty"` // ms, when the receipt came
}

// States of letters as programs read them.
const (
	MailWaiting = "waiting"
	MailAway    = "away"
	MailArrived = "arrived"
	MailGivenUp = "given up"
)

// MailDraft is a letter to be sent: to a contact, by name, the beginning of his key, or a card, or to a list.
type MailDraft struct {
	To      string `json:"to,omitempty"`
	List    string `json:"list,omitempty"`
	Subject string `json:"subject"`
	Body    []byte `json:"body"`
	Now     bool   `json:"now"` // who watches the network may see when it was written
}

// mailBook changes the address book.
type mailBook struct {
	Name  string `json:"name"` // with a card: of a new one, or the new name
	Card  string `json:"card,omitempty"`
	Block *bool  `json:"block,omitempty"`
}

// mailList has a list read, or not any more.
type mailList struct {
	Name  string `json:"name"`
	Leave bool   `json:"leave"`
}

func (n *network) mailPaths(mux *http.ServeMux) {
	with := func(pattern string, do func(w http.ResponseWriter, r *http.Request)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if n.box == nil {
				http.Error(w, "there is no mailbox here: set network.mail.carry and network.mail.mailbox in config.toml, and start it again", http.StatusNotFound)
				return
			}
			do(w, r)
		})
	}
	with("GET /net/mail/card", func(w http.ResponseWriter, r *http.Request) {
		tags, _ := strconv.Atoi(r.URL.Query().Get("tags")) // else none
		card, err := n.box.Card(tags)
		if err != nil {
			tell(w, nil, err)
			return
		}
		tell(w, card.String(), nil)
	})
	with("GET /net/mail/contacts", func(w http.ResponseWriter, _ *http.Request) { tell(w, n.contacts(), nil) })
	with("PUT /net/mail/contacts", func(w http.ResponseWriter, r *http.Request) {
		var b mailBook
		if hear(w, r, &b) {
			c, err := n.book(&b)
			tell(w, c, err)
		}
	})
	with("GET /net/mail/lists", func(w http.ResponseWriter, _ *http.Request) { tell(w, append([]string{}, n.box.Lists()...), nil) })
	with("PUT /net/mail/lists", func(w http.ResponseWriter, r *http.Request) {
		var l mailList
		if !hear(w, r, &l) {
			return
		}
		change := n.box.Join
		if l.Leave {
			change = n.box.Leave
		}
		tell(w, l.Name, change(l.Name))
	})
	with("PUT /net/mail/sent", func(w http.ResponseWriter, r *http.Request) {
		var d MailDraft
		if hear(w, r, &d) {
			s, err := n.send(&d)
			tell(w, s, err)
		}
	})
	with("GET /net/mail/sent", func(w http.ResponseWriter, _ *http.Request) { tell(w, n.sent(), nil) })
	with("GET /net/mail/letters", func(w http.ResponseWriter, _ *http.Request) { tell(w, n.letters(), nil) })
	with("GET /net/mail/letters/{id}", func(w http.ResponseWriter, r *http.Request) {
		l, err := n.letter(r.PathValue("id"))
		tell(w, l, err)
	})
	with("DELETE /net/mail/letters/{id}", func(w http.ResponseWriter, r *http.Request) {
		id, err := n.letterID(r.PathValue("id"))
		if err == nil {
			err = n.box.Delete(id)
		}
		tell(w, hex.EncodeToString(id[:]), err)
	})
}

func parseID(text string) (identity.PublicKey, error) { return identity.ParsePublicKey(text) }

func (n *network) contacts() []MailContact {
	all := []MailContact{}
	for _, c := range n.box.Contacts() {
		all = append(all, MailContact{c.Name, c.Identity.String(), c.Stranger, c.Blocked})
	}
	return all
}

// contact is the one whose name is a text, or whose key begins with it.
func (n *network) contact(text string) (courier.Contact, error) {
	all := n.box.Contacts()
	if i := slices.IndexFunc(all, func(c courier.Contact) bool { return c.Name == text }); i >= 0 && text != "" {
		return all[i], nil
	}
	var found []courier.Contact
	for _, c := range all {
		if len(text) >= leastPrefix && strings.HasPrefix(c.Identity.String(), strings.ToLower(text)) {
			found = append(found, c)
		}
	}
	switch len(found) {
	case 0:
		return courier.Contact{}, fmt.Errorf("%w: nobody in the address book is %q: souk mail contacts lists them, souk mail contacts add NAME CARD adds one", ErrNames, text)
	case 1:
		return found[0], nil
	}
	return courier.Contact{}, fmt.Errorf("%w: %q fits several contacts: write more of the key", ErrNames, text)
}

// book changes the address book.
func (n *network) book(b *mailBook) (MailContact, error) {
	if b.Card == "" {
		c, err := n.contact(b.Name)
		if err == nil && b.Block != nil {
			c.Blocked = *b.Block
			err = n.box.Block(c.ID, c.Blocked)
		}
		return MailContact{c.Name, c.Identity.String(), c.Stranger, c.Blocked}, err
	}
	card, err := mail.ParseCardText(b.Card)
	if err != nil {
		return MailContact{}, err
	}
	_, err = n.box.AddContact(b.Name, card)
	return MailContact{Name: b.Name, Key: card.Identity.String()}, err
}

// reader is whom a draft goes to. Whoever is named by a card gets into the address book, under
// the beginning of his key if he was not in it.
func (n *network) reader(to string) (courier.Contact, error) {
	card, err := mail.ParseCardText(to)
	if err != nil {
		if strings.HasPrefix(strings.TrimSpace(to), "soukmail1:") {
			return courier.Contact{}, err
		}
		return n.contact(to)
	}
	name := card.Identity.String()[:16]
	for _, c := range n.box.Contacts() {
		if c.Identity == card.Identity && c.Name != "" {
			name = c.Name
		}
	}
	id, err := n.box.AddContact(name, card)
	return courier.Contact{ID: id, Name: name, Identity: card.Identity}, err
}

func (n *network) send(d *MailDraft) (MailSent, error) {
	draft := courier.Draft{Subject: d.Subject, Body: d.Body, Hurry: d.Now}
	s := MailSent{Subject: d.Subject, List: d.List, State: MailWaiting}
	var id mail.LetterID
	var err error
	switch {
	case (d.To == "") == (d.List == ""):
		return s, errors.New("a letter goes to a contact, or to a list")
	case d.List != "":
		var card *mail.Card
		if card, err = n.box.Card(0); err == nil {
			id, err = n.box.Post(d.List, draft, card)
		}
	default:
		var c courier.Contact
		if c, err = n.reader(d.To); err == nil {
			s.To = nameOf(&c)
			id, err = n.box.Send(c.ID, draft)
		}
	}
	s.ID = hex.EncodeToString(id[:])
	return s, err
}

// nameOf is what a contact is called.
func nameOf(c *courier.Contact) string {
	if c.Name != "" {
		return c.Name
	}
	return c.Identity.String()[:16]
}

func (n *network) names() map[uint32]string {
	all := map[uint32]string{}
	for _, c := range n.box.Contacts() {
		all[c.ID] = nameOf(&c)
	}
	return all
}

func (n *network) sent() []MailSent {
	names, all := n.names(), []MailSent{}
	for _, o := range n.box.Outbox() {
		s := MailSent{ID: hex.EncodeToString(o.ID[:]), To: names[o.To], List: o.List, Subject: o.Subject, Written: o.At, Delivered: o.Delivered}
		switch o.State {
		case courier.Waiting:
			s.State = MailWaiting
		case courier.Away:
			s.State = MailAway
		case courier.Arrived:
			s.State = MailArrived
		case courier.GivenUp:
			s.State = MailGivenUp
		}
		all = append(all, s)
	}
	return all
}

func (n *network) letters() []MailLetter {
	names, all := n.names(), []MailLetter{}
	for _, r := range n.box.Inbox() {
		all = append(all, mailLetter(&r, names))
	}
	return all
}

func mailLetter(r *courier.Received, names map[uint32]string) MailLetter {
	l := MailLetter{
		ID: hex.EncodeToString(r.ID[:]), From: names[r.Contact], Key: r.From.String(), List: r.List, Subject: r.Subject,
		Sent: r.Sent, Arrived: r.At, New: !r.Seen, Card: r.Card,
	}
	if l.From == "" {
		l.From = l.Key[:16]
	}
	return l
}

// letterID is the letter whose id begins with a text.
func (n *network) letterID(text string) (id mail.LetterID, err error) {
	found := 0
	for _, r := range n.box.Inbox() {
		if len(text) >= leastPrefix && strings.HasPrefix(hex.EncodeToString(r.ID[:]), strings.ToLower(text)) {
			id = r.ID
			found++
		}
	}
	if found != 1 {
		return id, fmt.Errorf("%w: %d letters have an id that begins with %q: souk mail list lists them", ErrNames, found, text)
	}
	return id, nil
}

func (n *network) letter(text string) (MailLetter, error) {
	id, err := n.letterID(text)
	if err != nil {
		return MailLetter{}, err
	}
	fresh := false
	for _, r := range n.box.Inbox() {
		fresh = fresh || r.ID == id && !r.Seen
	}
	r, body, err := n.box.Read(id)
	l := mailLetter(&r, n.names())
	l.Body, l.New = body, fresh
	return l, err
}

// MailCard asks the running peer of a home for a card to give away, with so many reply tags.
func MailCard(ctx context.Context, h Home, tags int) (card string, err error) {
	err = h.ask(ctx, http.MethodGet, "/net/mail/card?tags="+strconv.Itoa(tags), nil, &card)
	return card, err
}

// MailContacts asks for the address book.
func MailContacts(ctx context.Context, h Home) (all []MailContact, err error) {
	err = h.ask(ctx, http.MethodGet, "/net/mail/contacts", nil, &all)
	return all, err
}

// AddMailContact puts a card into the address book, under a name.
func AddMailContact(ctx context.Context, h Home, name, card string) (c MailContact, err error) {
	err = h.put(ctx, "/net/mail/contacts", mailBook{Name: name, Card: card}, &c)
	return c, err
}

// BlockMailContact has nothing from a contact looked for any more, or again.
func BlockMailContact(ctx context.Context, h Home, who string, block bool) (c MailContact, err error) {
	err = h.put(ctx, "/net/mail/contacts", mailBook{Name: who, Block: &block}, &c)
	return c, err
}

// MailLists asks which lists are read.
func MailLists(ctx context.Context, h Home) (all []string, err error) {
	err = h.ask(ctx, http.MethodGet, "/net/mail/lists", nil, &all)
	return all, err
}

// JoinMailList has a list read from now on, or not any more.
func JoinMailList(ctx context.Context, h Home, name string, leave bool) error {
	var got string
	return h.put(ctx, "/net/mail/lists", mailList{Name: name, Leave: leave}, &got)
}

// SendMail puts a letter into the outbox of the running peer of a home.
func SendMail(ctx context.Context, h Home, d *MailDraft) (s MailSent, err error) {
	err = h.put(ctx, "/net/mail/sent", d, &s)
	return s, err
}

// SentMail asks what became of letters, the latest last.
func SentMail(ctx context.Context, h Home) (all []MailSent, err error) {
	err = h.ask(ctx, http.MethodGet, "/net/mail/sent", nil, &all)
	return all, err
}

// Mail asks for the letters that came, the latest last, without their words.
func Mail(ctx context.Context, h Home) (all []MailLetter, err error) {
	err = h.ask(ctx, http.MethodGet, "/net/mail/letters", nil, &all)
	return all, err
}

// ReadMail asks for one letter, by the beginning of its id.
func ReadMail(ctx context.Context, h Home, id string) (l MailLetter, err error) {
	err = h.ask(ctx, http.MethodGet, "/net/mail/letters/"+url.PathEscape(id), nil, &l)
	return l, err
}

// DeleteMail forgets one.
func DeleteMail(ctx context.Context, h Home, id string) error {
	var got string
	return h.ask(ctx, http.MethodDelete, "/net/mail/letters/"+url.PathEscape(id), nil, &got)
}
