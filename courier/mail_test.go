package courier_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"souk/courier"
	"souk/identity"
	"souk/mail"
	"souk/store"
	"souk/store/memstore"
	"souk/store/sealed"
	"souk/transport"
	"souk/transport/memnet"
)

// cheap is a price at which tests do not wait for stamps.
func cheap() mail.Price { return mail.Price{PerByte: 1, Hello: 2} }

// source is randomness by seed, for several goroutines.
type source struct {
	mu sync.Mutex
	*rand.ChaCha8
}

func newSource(seed uint64) *source {
	var s [32]byte
	binary.BigEndian.PutUint64(s[:], seed)
	return &source{ChaCha8: rand.NewChaCha8(s)}
}

func (s *source) Read(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ChaCha8.Read(b)
}

// world is a network in a bubble, with virtual time.
type world struct {
	t       *testing.T
	network *memnet.Network
	peers   []*peer
	errors  atomic.Int64 // lines of logs at error level

	hourBytes uint64
}

// peer is a node of the world with a carrier, and perhaps a mailbox.
type peer struct {
	*courier.Carrier
	*courier.Mailbox
	world *world
	id    transport.ID
	full  bool
	disk  *memstore.Store
	keys  *courier.MailKeys
	node  *memnet.Node
	stop  func()
	mu    sync.Mutex
	came  []courier.Received
}

func newWorld(t *testing.T, link memnet.Link) *world {
	t.Helper()
	w := &world{t: t, network: memnet.New(memnet.Config{Seed: 1, Link: func(_, _ transport.ID) memnet.Link { return link }})}
	t.Cleanup(func() {
		for _, p := range w.peers {
			p.sleep()
		}
		_ = w.network.Close()
		if n := w.errors.Load(); n > 0 {
			t.Errorf("%d lines at error level", n)
		}
	})
	return w
}

func good() memnet.Link {
	return memnet.Link{Delay: 20 * time.Millisecond, Jitter: 30 * time.Millisecond}
}

// add makes a peer and wakes it.
func (w *world) add(full, box bool) *peer {
	w.t.Helper()
	i := len(w.peers)
	p := &peer{world: w, id: identity.NewKey(sha256.Sum256(fmt.Append(nil, i))).Public(), full: full, disk: memstore.New()}
	if box {
		keys, err := courier.NewMailKeys(newSource(uint64(i) + 1000))
		if err != nil {
			w.t.Fatal(err)
		}
		p.keys = keys
	}
	w.peers = append(w.peers, p)
	p.wake()
	return p
}

// wake starts a peer's program on its disk, and dials the others.
func (p *peer) wake() {
	t := p.world.t
	t.Helper()
	node, err := p.world.network.Join(p.id, memnet.NodeConfig{})
	if err != nil {
		t.Fatal(err)
	}
	p.node = node
	p.Carrier, err = courier.NewCarrier(courier.CarrierConfig{
		Net: node, Store: p.disk, Full: p.full, Price: cheap(), HourBytes: p.world.hourBytes, Random: newSource(binary.BigEndian.Uint64(p.id[:])), Log: slog.New(loud{slog.DiscardHandler, &p.world.errors}),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range p.world.peers {
		if q != p && q.node != nil && (q.full || p.full) {
			_ = node.Dial(t.Context(), q.id)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	carrier := p.Carrier
	running.Go(func() {
		if err := carrier.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	if p.keys != nil {
		if p.Mailbox, err = courier.OpenMailbox(carrier, p.disk, p.keys); err != nil {
			t.Fatal(err)
		}
		p.Heard(p.hear)
		box := p.Mailbox
		running.Go(func() { _ = box.Run(ctx) })
	}
	p.stop = func() { cancel(); running.Wait(); _ = node.Close() }
}

func (p *peer) hear(r courier.Received) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.came = append(p.came, r)
}

// told is what Heard told of.
func (p *peer) told() []courier.Received {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.came)
}

// sleep ends a peer's program.
func (p *peer) sleep() {
	if p.node != nil {
		p.stop()
		p.node = nil
	}
}

// card is one for a person.
func (p *peer) card(replyTags int) *mail.Card {
	p.world.t.Helper()
	c, err := p.Card(replyTags)
	if err != nil {
		p.world.t.Fatal(err)
	}
	return c
}

// knows adds somebody to p's address book.
func (p *peer) knows(name string, card *mail.Card) uint32 {
	p.world.t.Helper()
	who, err := p.AddContact(name, card)
	if err != nil {
		p.world.t.Fatal(err)
	}
	return who
}

func (p *peer) writes(to uint32, format string, args ...any) mail.LetterID {
	p.world.t.Helper()
	id, err := p.Send(to, courier.Draft{Subject: "s", Body: fmt.Appendf(nil, format, args...)})
	if err != nil {
		p.world.t.Fatal(err)
	}
	return id
}

// bodies are the words of all letters that came, and how often.
func (p *peer) bodies() map[string]int {
	p.world.t.Helper()
	all := map[string]int{}
	for _, r := range p.Inbox() {
		_, body, err := p.Read(r.ID)
		if err != nil {
			p.world.t.Fatal(err)
		}
		all[string(body)]++
	}
	return all
}

// states counts what became of p's letters.
func (p *peer) states() map[courier.SentState]int {
	all := map[courier.SentState]int{}
	for _, s := range p.Outbox() {
		all[s.State]++
	}
	return all
}

// inBubble runs a test on virtual time.
func inBubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

// O-20 to O-26: a first letter, by a reply tag or to a bucket; its receipt; an answer.
func TestLetters(t *testing.T) {
	for _, replyTags := range []int{0, 1} {
		t.Run(fmt.Sprintf("%d reply tags", replyTags), func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := newWorld(t, good())
				for range 3 {
					w.add(true, false)
				}
				alice, bob := w.add(false, true), w.add(false, true)
				time.Sleep(time.Minute)
				to := alice.knows("bob", bob.card(replyTags))
				alice.writes(to, "first")
				alice.writes(to, "second")
				time.Sleep(2 * time.Hour)
				if got := bob.bodies(); got["first"] != 1 || got["second"] != 1 || len(bob.told()) != 2 {
					t.Fatalf("bob read %v", got)
				}
				if s := alice.states(); s[courier.Arrived] != 2 {
					t.Errorf("alice's letters: %v", s)
				}
				back := bob.Contacts()
				if len(back) != 1 || !back[0].Stranger || back[0].Identity != alice.keys.Identity.Public() {
					t.Fatalf("bob's contacts: %+v", back)
				}
				bob.writes(back[0].ID, "answer")
				alice.writes(to, "third")
				time.Sleep(2 * time.Hour)
				if got := alice.bodies(); got["answer"] != 1 || len(got) != 1 {
					t.Errorf("alice read %v", got)
				}
				if got := bob.bodies(); got["third"] != 1 {
					t.Errorf("bob read %v", got)
				}
				if s := bob.states(); s[courier.Arrived] != 1 {
					t.Errorf("bob's letters: %v", s)
				}
			})
		})
	}
}

// O-25: a reply tag that somebody else has used costs time only: the letter goes to the bucket.
func TestReplyTagUsedTwice(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, good())
		w.add(true, false)
		alice, bob, carol := w.add(false, true), w.add(false, true), w.add(false, true)
		card := bob.card(1)
		toBob := carol.knows("bob", card)
		carol.writes(toBob, "carol's")
		time.Sleep(2 * time.Hour)
		alice.writes(alice.knows("bob", card), "alice's")
		time.Sleep(3 * time.Hour)
		if got := bob.bodies(); got["carol's"] != 1 || got["alice's"] != 0 {
			t.Fatalf("bob read %v", got)
		}
		time.Sleep(72 * time.Hour)
		if got := bob.bodies(); got["alice's"] != 1 {
			t.Errorf("bob read %v", got)
		}
		if s := alice.states(); s[courier.Arrived] != 1 {
			t.Errorf("alice's letters: %v", s)
		}
	})
}

// O-72: a mailbox that slept for two days gets everything, once, though its writer sleeps too.
func TestAsleepForTwoDays(t *testing.T) {
	for _, full := range []bool{false, true} {
		t.Run(fmt.Sprintf("full %v", full), func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w := newWorld(t, good())
				for range 3 {
					w.add(true, false)
				}
				alice, bob := w.add(false, true), w.add(full, true)
				time.Sleep(time.Minute)
				to := alice.knows("bob", bob.card(1))
				alice.writes(to, "before")
				time.Sleep(time.Hour)
				bob.sleep()
				for i := range 12 {
					alice.writes(to, "letter %d", i)
					time.Sleep(4 * time.Hour) // the last is written 44 hours after the first
				}
				alice.sleep()
				bob.wake()
				time.Sleep(10 * time.Minute)
				got := bob.bodies()
				for i := range 12 {
					if got[fmt.Sprintf("letter %d", i)] != 1 {
						t.Errorf("letter %d is not there once: %v", i, got)
					}
				}
				if len(got) != 13 {
					t.Errorf("bob read %v", got)
				}
				alice.wake()
				time.Sleep(2 * time.Hour)
				if s := alice.states(); s[courier.Arrived] != 13 {
					t.Errorf("alice's letters: %v", s)
				}
			})
		})
	}
}

// O-26: a reader who is away for longer than anybody keeps mail gets it when he is back.
func TestAsleepForSixDays(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, good())
		w.add(true, false)
		w.add(true, false)
		alice, bob := w.add(false, true), w.add(false, true)
		to := alice.knows("bob", bob.card(0))
		bob.sleep()
		for i := range 20 { // more than may be on their way
			alice.writes(to, "letter %d", i)
		}
		time.Sleep(6 * 24 * time.Hour)
		bob.wake()
		time.Sleep(24 * time.Hour)
		if got := bob.bodies(); len(got) != 20 {
			t.Errorf("bob read %v", got)
		}
		if s := alice.states(); s[courier.Arrived] != 20 {
			t.Errorf("alice's letters: %v", s)
		}
	})
}

// O-23, O-26: a receipt that nobody keeps any more when the writer is back is written again.
func TestReceiptIsLost(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, good())
		w.add(true, false)
		alice, bob := w.add(false, true), w.add(false, true)
		to := alice.knows("bob", bob.card(0))
		if _, err := alice.Send(to, courier.Draft{Body: []byte("once"), Hurry: true}); err != nil {
			t.Fatal(err)
		}
		for len(bob.told()) == 0 {
			time.Sleep(100 * time.Millisecond)
		}
		alice.sleep()
		time.Sleep(4 * 24 * time.Hour)
		alice.wake()
		time.Sleep(3 * time.Hour)
		if s := alice.states(); s[courier.Arrived] != 1 {
			t.Errorf("alice's letters: %v", s)
		}
		if len(bob.told()) != 1 || len(bob.Inbox()) != 1 {
			t.Error("bob reads it twice")
		}
	})
}

// O-25: who has lost his disk, and still has his keys, is written to again by those who knew him.
func TestReaderHasForgotten(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, good())
		w.add(true, false)
		alice, bob := w.add(false, true), w.add(false, true)
		card := bob.card(1)
		to := alice.knows("bob", card)
		for i := range 40 {
			alice.writes(to, "letter %d", i)
		}
		time.Sleep(12 * time.Hour)
		if n := len(bob.Inbox()); n != 40 {
			t.Fatalf("%d letters", n)
		}
		bob.sleep()
		bob.disk = memstore.New()
		bob.wake()
		alice.writes(to, "are you there?")
		time.Sleep(10 * 24 * time.Hour)
		if got := bob.bodies(); got["are you there?"] != 1 {
			t.Errorf("bob read %v", got)
		}
		alice.writes(to, "good")
		time.Sleep(3 * time.Hour)
		if got := bob.bodies(); got["good"] != 1 {
			t.Errorf("bob read %v", got)
		}
		if s := alice.states(); s[courier.Arrived] != 42 {
			t.Errorf("alice's letters: %v", s)
		}
	})
}

// O-13: nothing is kept for more than 60 hours by anybody, an index neither.
func TestRetention(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, good())
		keeper := w.add(true, false)
		alice, bob := w.add(false, true), w.add(false, true)
		to := alice.knows("bob", bob.card(1))
		arrived := map[string]time.Time{}
		time.Sleep(time.Minute) // so that looks fall between the hours
		for i := range 150 {
			if i < 70 {
				alice.writes(to, "letter %d", i)
			}
			time.Sleep(time.Hour)
			kept := envelopes(t, keeper.disk)
			for name := range disk(t, keeper.disk) {
				if mail.Hour(binary.BigEndian.Uint32([]byte(name[1:]))) <= hour() {
					t.Fatal("what has expired is still there")
				}
			}
			for name, at := range arrived {
				if _, ok := kept[name]; ok && time.Since(at) > 60*time.Hour {
					t.Fatalf("an envelope is kept for %v", time.Since(at))
				}
			}
			for name := range kept {
				if _, ok := arrived[name]; !ok {
					arrived[name] = time.Now()
				}
			}
			if i == 48 && len(kept) < 49 {
				t.Errorf("only %d envelopes are kept in the second day", len(kept))
			}
		}
		if kept := disk(t, keeper.disk); len(kept) != 0 || keeper.Counts().Kept != 0 {
			t.Errorf("%d envelopes are left, %d counted", len(kept), keeper.Counts().Kept)
		}
		if len(arrived) < 140 { // letters and receipts
			t.Errorf("%d envelopes were there at all", len(arrived))
		}
	})
}

// envelopes is what a disk has of others' mail.
func envelopes(t *testing.T, disk store.Reader) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	err := disk.Scan([]byte{'e'}, []byte{'f'}, func(key, value []byte) bool {
		all[string(key)] = bytes.Clone(value)
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// O-71: carriers that were apart have the same when they meet.
func TestReconcile(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, good())
		one, two := w.add(true, false), w.add(true, false)
		alice, bob := w.add(false, true), w.add(false, true)
		to := alice.knows("bob", bob.card(1))
		back := bob.knows("alice", alice.card(1))
		time.Sleep(time.Minute)
		w.network.Partition([]transport.ID{one.id, alice.id}, []transport.ID{two.id, bob.id})
		for i := range 5 {
			alice.writes(to, "from alice %d", i)
			bob.writes(back, "from bob %d", i)
		}
		time.Sleep(5 * time.Hour)
		if len(envelopes(t, one.disk)) != 5 || len(envelopes(t, two.disk)) != 5 {
			t.Fatalf("%d and %d envelopes while apart", len(envelopes(t, one.disk)), len(envelopes(t, two.disk)))
		}
		w.network.Heal()
		for _, p := range []*peer{two, alice, bob} {
			for _, q := range []*peer{one, two} {
				if p != q {
					_ = p.node.Dial(t.Context(), q.id)
				}
			}
		}
		time.Sleep(5 * time.Hour)
		a, b := envelopes(t, one.disk), envelopes(t, two.disk)
		if len(a) != 20 || len(b) != 20 { // ten letters, ten receipts
			t.Errorf("%d and %d envelopes after they met", len(a), len(b))
		}
		for name := range a {
			if _, ok := b[name]; !ok {
				t.Error("one has what two lacks")
			}
		}
		if len(bob.bodies()) != 5 || len(alice.bodies()) != 5 {
			t.Errorf("bob read %v, alice %v", bob.bodies(), alice.bodies())
		}
	})
}

// O-22, O-23: on a network that loses, doubles and reorders, everything arrives once.
func TestLossyNetwork(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, memnet.Link{Delay: 20 * time.Millisecond, Jitter: time.Second, Loss: 0.3, Duplicate: 0.3})
		w.add(true, false)
		w.add(true, false)
		alice, bob := w.add(false, true), w.add(false, true)
		to := alice.knows("bob", bob.card(0))
		back := bob.knows("alice", alice.card(0))
		for i := range 24 {
			alice.writes(to, "to bob %d", i)
			bob.writes(back, "to alice %d", i)
			time.Sleep(20 * time.Minute)
		}
		time.Sleep(5 * 24 * time.Hour)
		for _, p := range []*peer{alice, bob} {
			got := p.bodies()
			if len(got) != 24 || len(p.told()) != 24 {
				t.Errorf("%d letters came, %d were told", len(got), len(p.told()))
			}
			if s := p.states(); s[courier.Arrived] != 24 {
				t.Errorf("letters: %v", s)
			}
		}
	})
}

// O-40 to O-42: who forms the name of a list reads it, what was posted before too.
func TestLists(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, good())
		w.add(true, false)
		alice, bob, carol := w.add(false, true), w.add(true, true), w.add(false, true)
		name := mail.MarketList("BTC", [32]byte{1}, [32]byte{2})
		if err := bob.Join(name); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if _, err := alice.Post(name, courier.Draft{Subject: "wanted", Body: []byte("coins there")}, alice.card(2)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Hour)
		if err := carol.Join(name); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Hour)
		for who, p := range map[string]*peer{"bob": bob, "carol, who came later": carol} {
			if got := p.bodies(); got["coins there"] != 1 || len(p.told()) != 1 || p.told()[0].List != name {
				t.Errorf("%s read %v", who, got)
			}
		}
		if len(alice.Inbox()) != 0 {
			t.Error("who does not read the list has the post in her inbox")
		}
		// A reader answers with the card that came with the post.
		card, err := mail.ParseCardText(carol.told()[0].Card)
		if err != nil {
			t.Fatal(err)
		}
		carol.writes(carol.knows("the one with coins", card), "I have some")
		time.Sleep(2 * time.Hour)
		if got := alice.bodies(); got["I have some"] != 1 {
			t.Errorf("alice read %v", got)
		}
		time.Sleep(80 * time.Hour) // tags go on with the hours
		if _, err := alice.Post(name, courier.Draft{Body: []byte("more")}, nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Hour)
		if got := bob.bodies(); got["more"] != 1 {
			t.Errorf("bob read %v", got)
		}
		if err := bob.Leave(name); err != nil || len(bob.Lists()) != 0 || len(carol.Lists()) != 1 {
			t.Errorf("lists: %v, %v, %v", err, bob.Lists(), carol.Lists())
		}
	})
}

// O-60: keys are opened by their passphrase only.
func TestMailKeysAreSealed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mail", "keys.age")
	keys, err := courier.NewMailKeys(newSource(1))
	if err != nil {
		t.Fatal(err)
	}
	pass := func(s string) sealed.Passphrase { return func() ([]byte, error) { return []byte(s), nil } }
	if err := courier.SealMailKeys(path, keys, pass("right"), sealed.TestWork); err != nil {
		t.Fatal(err)
	}
	if _, err := courier.OpenMailKeys(path, pass("wrong")); !errors.Is(err, sealed.ErrWrongPassphrase) {
		t.Errorf("with a wrong passphrase: %v", err)
	}
	got, err := courier.OpenMailKeys(path, pass("right"))
	if err != nil || got.Reader() != keys.Reader() {
		t.Errorf("other keys came back: %v", err)
	}
}
