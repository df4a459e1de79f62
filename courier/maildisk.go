package courier

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"golang.org/x/crypto/chacha20poly1305"

	"souk/mail"
	"souk/store"
)

// A mailbox's records are encrypted one by one, under a key that is in its sealed file only.
// Their names on disk are hashes under that key and their sizes are rounded, so that without
// it the disk shows how many records there are and about how long, and nothing else.

// Kinds of records.
const (
	kindOwn     = 'o'
	kindContact = 'c'
	kindList    = 'l'
	kindIn      = 'i'
	kindOut     = 'u'
)

// recordRound is to what the size of a record is rounded up.
const recordRound = 512

// errRecord is returned for a record that is not one, or another mailbox's.
var errRecord = errors.New("a record of the mailbox is damaged")

// ownRecord is what a mailbox knows of itself.
type ownRecord struct {
	Shards []uint8
	Bucket uint8
	Tags   []mail.Tag // reply tags that were given out
	Last   uint32     // number of the latest contact or list
}

// contactRecord is what is known of somebody.
type contactRecord struct {
	Who      uint32
	Name     string
	Card     []byte
	UsedTags int // of the card
	Blocked  bool
	Heard    bool
	Latest   uint64 // ms, when something came
	In       mail.Incoming
	Out      mail.Outgoing
}

// listRecord is a list that is read.
type listRecord struct {
	Who  uint32
	Name string
}

func (l *listRecord) record() []byte { return binary.BigEndian.AppendUint32(nil, l.Who) }

// inRecord is a letter that came.
type inRecord struct {
	Received
	Body []byte // on disk only
	Gone bool   // deleted
}

// outRecord is a letter, receipt or post on its way.
type outRecord struct {
	Sent
	Kind     mail.LetterKind
	Number   uint64
	Numbered bool
	Body     []byte
	Card     []byte // that goes with it
	Closed   int    // how many envelopes there were
	Hurry    bool
	Envelope []byte // the latest, with its stamp; nil: none yet
	Expiry   mail.Hour
	Tries    int    // how often the envelope was published
	Next     uint64 // ms, when something is to be done
}

// outID names what is on its way. A receipt has the id of another's letter, who may have
// chosen that of one of ours.
type outID struct {
	receipt bool
	who     uint32
	id      mail.LetterID
}

func (o *outRecord) key() outID { return outID{o.Kind == mail.Receipt, o.To, o.ID} }

func (o *outRecord) record() []byte {
	return append(append(whoID(o.To), byte(o.Kind)), o.ID[:]...)
}

// records is the sealed part of a store that belongs to one mailbox.
type records struct {
	store  store.Store
	prefix []byte
	names  []byte
	box    interface {
		Seal(dst, nonce, plain, more []byte) []byte
		Open(dst, nonce, closed, more []byte) ([]byte, error)
	}
	random io.Reader
}

func newRecords(s store.Store, k *MailKeys, random io.Reader) *records {
	derive := func(purpose string, n int) []byte {
		b, err := hkdf.Expand(sha256.New, k.disk[:], purpose, n)
		if err != nil {
			panic(err) //nolint:forbidigo // it fails for lengths over 8 KiB only
		}
		return b
	}
	box, err := chacha20poly1305.NewX(derive("souk/mailbox/records/v1", chacha20poly1305.KeySize))
	if err != nil {
		panic(err) //nolint:forbidigo // the key has its length
	}
	prefix := append([]byte{prefixBox}, derive("souk/mailbox/prefix/v1", 8)...)
	return &records{store: s, prefix: prefix, names: derive("souk/mailbox/names/v1", 32), box: box, random: random}
}

// name is where a record is.
func (r *records) name(kind byte, id []byte) []byte {
	h := hmac.New(sha256.New, r.names)
	h.Write([]byte{kind})
	h.Write(id)
	return append(append([]byte(nil), r.prefix...), h.Sum(nil)[:16]...)
}

// recordWriter collects records that are written together.
type recordWriter struct {
	*records
	batch store.Batch
	err   error
}

// write writes records durably, all or none.
func (r *records) write(put func(w *recordWriter)) error {
	w := &recordWriter{records: r, batch: r.store.NewBatch()}
	put(w)
	if w.err == nil {
		w.err = w.batch.Commit(true)
	}
	if w.err != nil {
		return fmt.Errorf("write to the mailbox: %w", w.err)
	}
	return nil
}

func (w *recordWriter) own(v *ownRecord)   { w.set(kindOwn, nil, v) }
func (w *recordWriter) contact(c *contact) { w.set(kindContact, whoID(c.Who), &c.contactRecord) }
func (w *recordWriter) list(l *listRecord) { w.set(kindList, l.record(), l) }
func (w *recordWriter) in(v *inRecord)     { w.set(kindIn, v.ID[:], v) }
func (w *recordWriter) out(v *outRecord)   { w.set(kindOut, v.record(), v) }

func whoID(who uint32) []byte { return binary.BigEndian.AppendUint32(nil, who) }

func (w *recordWriter) forget(kind byte, id []byte) { w.batch.Delete(w.name(kind, id)) }

func (w *recordWriter) set(kind byte, id []byte, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		w.err = err
		return
	}
	plain := append(binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(text))), text...)
	plain = append(plain, make([]byte, (recordRound-len(plain)%recordRound)%recordRound)...)
	nonce := make([]byte, chacha20poly1305.NonceSizeX)
	if _, err := io.ReadFull(w.random, nonce); err != nil {
		w.err = err
		return
	}
	name := w.name(kind, id)
	w.batch.Set(name, w.box.Seal(nonce, nonce, plain, name))
}

// open decrypts a record.
func (r *records) open(name, data []byte) (kind byte, text []byte, err error) {
	if len(data) < chacha20poly1305.NonceSizeX {
		return 0, nil, errRecord
	}
	plain, err := r.box.Open(nil, data[:chacha20poly1305.NonceSizeX], data[chacha20poly1305.NonceSizeX:], name)
	if err != nil || len(plain) < 5 {
		return 0, nil, errRecord
	}
	n := binary.BigEndian.Uint32(plain[1:])
	if uint64(n) > uint64(len(plain)-5) {
		return 0, nil, errRecord
	}
	return plain[0], plain[5 : 5+n], nil
}

func (r *records) readIn(id mail.LetterID) (*inRecord, error) {
	name := r.name(kindIn, id[:])
	data, err := r.store.Get(name)
	if err != nil {
		return nil, fmt.Errorf("read a letter: %w", err)
	}
	_, text, err := r.open(name, data)
	if err != nil {
		return nil, err
	}
	v := new(inRecord)
	return v, json.Unmarshal(text, v)
}

// load reads a mailbox from its records.
func (m *Mailbox) load() error {
	var failed error
	err := m.records.store.Scan(m.records.prefix, store.PrefixEnd(m.records.prefix), func(name, data []byte) bool {
		var kind byte
		var text []byte
		if kind, text, failed = m.records.open(name, data); failed == nil {
			failed = m.loadOne(kind, text)
		}
		return failed == nil
	})
	if err = errors.Join(err, failed); err != nil {
		return fmt.Errorf("open the mailbox: %w", err)
	}
	for _, o := range m.out { // after the contacts, whose pairs make the tags
		m.expectReceipt(o)
	}
	return nil
}

func (m *Mailbox) loadOne(kind byte, text []byte) error {
	switch kind {
	case kindOwn:
		return json.Unmarshal(text, &m.own)
	case kindContact:
		c := new(contact)
		if err := json.Unmarshal(text, &c.contactRecord); err != nil {
			return err
		}
		return m.know(c)
	case kindList:
		l := new(membership)
		if err := json.Unmarshal(text, &l.listRecord); err != nil {
			return err
		}
		list, err := mail.NewList(l.Name)
		if err != nil {
			return err
		}
		l.list = list
		m.enter(l)
	case kindIn:
		v := new(inRecord)
		if err := json.Unmarshal(text, v); err != nil {
			return err
		}
		v.Body = nil
		m.in[v.ID] = v
	case kindOut:
		v := new(outRecord)
		if err := json.Unmarshal(text, v); err != nil {
			return err
		}
		m.out[v.key()] = v
	default:
		return errRecord
	}
	return nil
}
