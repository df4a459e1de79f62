package courier_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"souk/courier"
	"souk/mail"
	"souk/store"
	"souk/store/memstore"
	"souk/transport"
	"souk/transport/memnet"
)

// disk is all that is in a store.
func disk(t *testing.T, s store.Reader) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	if err := s.Scan(nil, nil, func(key, value []byte) bool {
		all[string(key)] = bytes.Clone(value)
		return true
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

// shows fails if anything of a disk has a secret in it.
func shows(t *testing.T, whose string, all, secrets map[string][]byte) {
	t.Helper()
	for name, data := range all {
		for what, secret := range secrets {
			if bytes.Contains([]byte(name), secret) || bytes.Contains(data, secret) {
				t.Errorf("the disk of %s shows %s", whose, what)
			}
		}
	}
}

// O-13, O-32, O-62: whoever takes the disk of one who keeps everybody's mail, and has the cards
// of all, cannot tell who writes to whom. What is there is a set of envelopes:
// nothing on the disk says when or from where they came; none has a key or a tag in common with
// another; none has in it anything of those who wrote or will read; and its visible parts are
// the same whoever wrote it. Even a reader's own keys open his own mail only.
func TestCapturedDisk(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, memnet.Link{Delay: 10 * time.Millisecond, Jitter: 2 * time.Second})
		captured, other := w.add(true, false), w.add(true, false)
		var people []*peer
		for range 4 {
			people = append(people, w.add(false, true))
		}
		secrets := map[string][]byte{"words": []byte("meet me at noon"), "a subject": []byte("a subject")}
		for i, p := range people {
			secrets[fmt.Sprintf("peer %d", i)] = p.id[:]
			secrets[fmt.Sprintf("identity %d", i)] = p.card(0).Identity[:]
			secrets[fmt.Sprintf("key %d", i)] = p.card(0).Key[:]
			for k, q := range people {
				if p != q {
					to := p.knows(fmt.Sprintf("friend %d", k), q.card(k%2))
					for range 2 {
						if _, err := p.Send(to, courier.Draft{Subject: "a subject", Body: []byte("meet me at noon")}); err != nil {
							t.Fatal(err)
						}
					}
				}
			}
		}
		time.Sleep(6 * time.Hour)
		for i, p := range people {
			if n := len(p.Inbox()); n != 6 {
				t.Fatalf("%d letters came to person %d", n, i)
			}
		}
		all := disk(t, captured.disk)
		shows(t, "a store node", all, secrets)
		if !maps.EqualFunc(all, disk(t, other.disk), bytes.Equal) {
			t.Error("two disks with the same envelopes differ: they say something of the way")
		}
		tags, ephemeral, visible := map[mail.Tag]int{}, map[mail.PublicKey]int{}, map[string]int{}
		for name, data := range all {
			if name[0] != 'e' { // an index of the same
				continue
			}
			e, err := mail.ParseEnvelope(data)
			if err != nil {
				t.Fatalf("%x is no envelope", name)
			}
			if e.Kind == mail.Tagged {
				tags[e.Tag]++
			}
			ephemeral[e.Ephemeral]++
			visible[fmt.Sprint(len(data), e.Kind)]++
			readers := 0
			for _, p := range people {
				if _, err := mail.Open(&p.keys.Writer, &e); err == nil {
					readers++
				}
			}
			if readers != 1 {
				t.Errorf("%d people can read one envelope", readers)
			}
		}
		for tag, n := range tags {
			if n > 1 {
				t.Errorf("tag %x is there %d times", tag, n)
			}
		}
		if len(ephemeral) != len(envelopes(t, captured.disk)) || len(visible) > 2 {
			t.Errorf("%d keys in %d envelopes; what is visible: %v", len(ephemeral), len(all), visible)
		}
	})
}

// O-60, O-61: the disk of somebody with a mailbox shows neither whom he knows nor what he
// wrote or read; what was there is there again with his keys, and not with others.
func TestMailboxAtRest(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, good())
		w.add(true, false)
		alice, bob := w.add(false, true), w.add(false, true)
		to := alice.knows("bob the builder", bob.card(1))
		if err := alice.Join("the list of lists"); err != nil {
			t.Fatal(err)
		}
		first, err := alice.Send(to, courier.Draft{Subject: "to a friend", Body: []byte("meet me at noon")})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Hour)
		bob.writes(bob.Contacts()[0].ID, "I cannot come")
		time.Sleep(2 * time.Hour)
		if n := len(alice.Inbox()); n != 1 {
			t.Fatalf("%d letters", n)
		}
		a, b := alice.card(0), bob.card(0)
		seeds := [][32]byte{alice.keys.Identity.Seed(), alice.keys.Key.Seed()}
		all := disk(t, alice.disk)
		shows(t, "alice", all, map[string][]byte{
			"a contact's name": []byte("builder"), "her words": []byte("noon"), "his words": []byte("cannot"), "a subject": []byte("friend"),
			"a list": []byte("list of"), "her identity": a.Identity[:], "her key": a.Key[:], "his identity": b.Identity[:], "his key": b.Key[:],
			"a secret key": seeds[0][:], "another": seeds[1][:], "a letter's id": first[:],
		})
		contacts, inbox, outbox := fmt.Sprint(alice.Contacts()), fmt.Sprint(alice.Inbox()), fmt.Sprint(alice.Outbox())
		about := len(envelopes(t, w.peers[0].disk))
		alice.sleep()
		alice.wake()
		if fmt.Sprint(alice.Contacts()) != contacts || fmt.Sprint(alice.Inbox()) != inbox || fmt.Sprint(alice.Outbox()) != outbox || len(alice.Lists()) != 1 {
			t.Errorf("it is not as it was: %v, %v, %v", alice.Contacts(), alice.Inbox(), alice.Outbox())
		}
		if got := alice.bodies(); got["I cannot come"] != 1 {
			t.Errorf("alice reads %v", got)
		}
		time.Sleep(2 * time.Hour)
		if n := len(alice.Inbox()); n != 1 {
			t.Errorf("after waking there are %d letters", n)
		}
		if n := len(envelopes(t, w.peers[0].disk)); n != about {
			t.Errorf("%d envelopes were about, and %d after she woke: what is read is acknowledged once", about, n)
		}
		alice.sleep()
		keys := alice.keys
		if alice.keys, err = courier.NewMailKeys(newSource(99)); err != nil {
			t.Fatal(err)
		}
		alice.wake()
		if len(alice.Contacts())+len(alice.Inbox())+len(alice.Outbox()) != 0 {
			t.Error("others' keys open it")
		}
		alice.sleep()
		// A byte that changed is noticed.
		damaged := memstore.New()
		batch := damaged.NewBatch()
		for _, name := range slices.Sorted(maps.Keys(all)) {
			data := all[name]
			if name == damagedName(all) {
				data[len(data)/2] ^= 1
			}
			batch.Set([]byte(name), data)
		}
		if err := batch.Commit(true); err != nil {
			t.Fatal(err)
		}
		if _, err := courier.OpenMailbox(bob.Carrier, damaged, keys); err == nil {
			t.Error("a damaged mailbox opens")
		}
	})
}

// damagedName is one record of a mailbox.
func damagedName(all map[string][]byte) string {
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if name[0] == 'b' {
			return name
		}
	}
	return ""
}

// loud counts lines of the log at error level.
type loud struct {
	slog.Handler
	errors *atomic.Int64
}

func (l loud) Enabled(context.Context, slog.Level) bool { return true }
func (l loud) Handle(_ context.Context, r slog.Record) error {
	if r.Level >= slog.LevelError {
		l.errors.Add(1)
	}
	return nil
}

// made is an envelope from one stranger to another.
func made(t *testing.T, seed uint64, shard uint8, expiry mail.Hour, price mail.Price) []byte {
	t.Helper()
	random := newSource(seed)
	from, err := courier.NewMailKeys(random)
	if err != nil {
		t.Fatal(err)
	}
	data, err := mail.Seal(random, &from.Writer, from.Reader(), mail.Address{Kind: mail.Tagged, Shard: shard, Tag: mail.Tag{byte(seed)}}, expiry, &mail.Letter{Kind: mail.Written})
	if err != nil {
		t.Fatal(err)
	}
	stamp, ok := mail.Mint(mail.IDOf(data), mail.Target(price.Work(len(data), 62, mail.Tagged)), 0, 1<<24)
	if !ok {
		t.Fatal("no stamp")
	}
	mail.PutStamp(data, stamp)
	return data
}

// badly is an envelope with a stamp that is worth nothing.
func badly(data []byte) []byte {
	data = bytes.Clone(data)
	target := mail.Target(cheap().Work(len(data), 50, mail.Tagged))
	for stamp := uint64(0); ; stamp++ {
		if !mail.Stamped(mail.IDOf(data), stamp, target) {
			mail.PutStamp(data, stamp)
			return data
		}
	}
}

func hour() mail.Hour { return mail.HourOf(uint64(time.Now().UnixMilli())) }

// O-10: what is malformed, too large, expired, badly stamped, meant for another shard or sent
// again is dropped and counted, and nothing of it is an error of who counts.
func TestDropsAreCounted(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, good())
		keeper := w.add(true, false)
		now := hour()
		good := made(t, 1, 3, now+50, cheap())
		for i, c := range []struct {
			reason string
			data   []byte
		}{
			{"", good},
			{"size", good[:1000]},
			{"size", append(bytes.Clone(good), 0)},
			{"form", append([]byte{9}, good[1:]...)},
			{"expired", made(t, 2, 3, now, cheap())},
			{"future", made(t, 3, 3, now+61, cheap())},
			{"stamp", badly(made(t, 4, 3, now+50, cheap()))},
			{"shard", made(t, 5, 4, now+50, cheap())},
			{"known", good},
		} {
			// One of them is not worth a ban; an attacker of his own for each keeps it so.
			node, err := w.network.Join(transport.ID{0: 1, 1: byte(i)}, memnet.NodeConfig{})
			if err != nil {
				t.Fatal(err)
			}
			if c.reason == "known" {
				time.Sleep(time.Hour) // the transport has forgotten it
			}
			if err := node.Dial(t.Context(), keeper.id); err != nil {
				t.Fatal(err)
			}
			before := keeper.Counts()
			if err := node.Publish(t.Context(), "souk/mail/3", c.data); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			after := keeper.Counts()
			for reason, n := range after.Dropped {
				want := before.Dropped[reason]
				if reason == c.reason {
					want++
				}
				if n != want {
					t.Errorf("%q: %d dropped for %s, want %d", c.reason, n, reason, want)
				}
			}
			if (after.Carried == before.Carried+1) != (c.reason == "") {
				t.Errorf("%q: carried %d, then %d", c.reason, before.Carried, after.Carried)
			}
			_ = node.Close()
		}
		if n := len(envelopes(t, keeper.disk)); n != 1 {
			t.Errorf("%d envelopes are kept", n)
		}
	})
}

// O-70: where there is no room for all, what is worth most is kept, in whatever order it came,
// and nothing is forgotten or counted twice over a restart.
func TestNoRoomForAll(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		const room, count = 10, 60
		w := newWorld(t, good())
		w.hourBytes = room * mail.SizeSmall
		one, two := w.add(true, false), w.add(true, false)
		writer, err := w.network.Join(transport.ID{0: 1}, memnet.NodeConfig{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = writer.Close() })
		worths := []uint64{}
		expiry := hour() + 55
		for i := range count {
			data := made(t, uint64(i)+1, 3, expiry, cheap())
			e, err := mail.ParseEnvelope(data)
			if err != nil {
				t.Fatal(err)
			}
			worths = append(worths, mail.Worth(mail.IDOf(data), e.Stamp, len(data)))
			to := one
			if i%3 == 0 {
				to = two
			}
			_ = writer.Dial(t.Context(), to.id)
			if err := writer.Publish(t.Context(), "souk/mail/3", data); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		// Another hour has room of its own.
		if err := writer.Publish(t.Context(), "souk/mail/3", made(t, 999, 3, expiry+1, cheap())); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		slices.Sort(worths)
		slices.Reverse(worths)
		for name, p := range map[string]*peer{"one": one, "two": two} {
			kept := envelopes(t, p.disk)
			if len(kept) != room+1 || p.Counts().Kept != room+1 || p.Counts().Dropped["full"] == 0 {
				t.Errorf("%s keeps %d envelopes, counts %d, found no room for %d", name, len(kept), p.Counts().Kept, p.Counts().Dropped["full"])
			}
			for _, data := range kept {
				e, err := mail.ParseEnvelope(data)
				if err != nil {
					t.Fatal(err)
				}
				if worth := mail.Worth(mail.IDOf(data), e.Stamp, len(data)); e.Expiry == expiry && worth < worths[room-1] {
					t.Errorf("%s keeps one worth %d, and the %d best are worth %d and more", name, worth, room, worths[room-1])
				}
			}
		}
		if !maps.EqualFunc(disk(t, one.disk), disk(t, two.disk), bytes.Equal) {
			t.Error("they do not keep the same")
		}
		one.sleep()
		one.wake()
		time.Sleep(time.Minute)
		if one.Counts().Kept != room+1 || len(disk(t, one.disk)) != 2*(room+1) {
			t.Errorf("after a restart it counts %d and has %d keys", one.Counts().Kept, len(disk(t, one.disk)))
		}
	})
}

// O-70 to O-73: who asks nonsense gets no answer, who answers nonsense is left alone, and
// both harm nobody.
func TestHostileStreams(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, good())
		honest := w.add(true, false)
		liar, err := w.network.Join(transport.ID{0: 1}, memnet.NodeConfig{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = liar.Close() })
		reply := func(protocol string, data []byte) {
			liar.Handle(protocol, func(_ transport.ID, s transport.Stream) {
				_, _ = io.Copy(io.Discard, s)
				_, _ = s.Write(data)
				_ = s.Close()
			})
		}
		alice, bob := w.add(false, true), w.add(false, true)
		for _, p := range []*peer{alice, bob} {
			if err := p.node.Dial(t.Context(), liar.Self()); err != nil {
				t.Fatal(err)
			}
		}
		bad := badly(made(t, 4, 3, hour()+50, cheap()))
		to := alice.knows("bob", bob.card(0))
		for i, lie := range []func(){
			func() { reply(courier.ProtocolSums, []byte("nonsense")) },
			func() { reply(courier.ProtocolSums, make([]byte, 1<<20)) },
			func() { reply(courier.ProtocolSums, courier.SumsOf(60, 0)) }, // there is nothing
			func() {
				reply(courier.ProtocolSums, courier.SumsOf(60, 9))
				reply(courier.ProtocolList, []byte("nonsense"))
			},
			func() { reply(courier.ProtocolList, courier.ListOf(9)); reply(courier.ProtocolGet, []byte("nonsense")) },
			func() { reply(courier.ProtocolGet, courier.GotOf(bad)) },
			func() { reply(courier.ProtocolGet, nil); reply(courier.ProtocolStem, []byte{1}) }, // it takes letters and drops them
		} {
			lie()
			bob.sleep()
			alice.writes(to, "letter %d", i)
			time.Sleep(3 * time.Hour)
			bob.wake()
			_ = bob.node.Dial(t.Context(), liar.Self())
			time.Sleep(6 * time.Hour)
			if got := bob.bodies(); got[fmt.Sprintf("letter %d", i)] != 1 {
				t.Errorf("lie %d: bob read %v", i, got)
			}
		}
		for _, protocol := range []string{courier.ProtocolSums, courier.ProtocolList, courier.ProtocolGet, courier.ProtocolStem} {
			for _, request := range [][]byte{nil, []byte("nonsense"), make([]byte, 20<<10)} {
				s, err := liar.Stream(t.Context(), honest.id, protocol)
				if err != nil {
					_ = liar.Dial(t.Context(), honest.id)
					if s, err = liar.Stream(t.Context(), honest.id, protocol); err != nil {
						t.Fatal(err)
					}
				}
				_, _ = s.Write(request)
				_ = s.CloseWrite()
				if got, _ := io.ReadAll(s); len(got) != 0 {
					t.Errorf("%s answers %d bytes to nonsense", protocol, len(got))
				}
				_ = s.Close()
			}
		}
	})
}

// O-72: a light carrier that fetches one letter asks for others too.
func TestFetchingIsCovered(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, good())
		keeper := w.add(true, false)
		alice, bob := w.add(false, true), w.add(false, true)
		others := []*peer{w.add(false, true), w.add(false, true)}
		foreign := others[0].knows("another", others[1].card(1))
		to := alice.knows("bob", bob.card(1))
		bob.sleep()
		for range 10 {
			for range 4 {
				others[0].writes(foreign, "not for bob")
			}
			time.Sleep(time.Hour)
		}
		alice.writes(to, "for bob")
		time.Sleep(time.Hour)
		before := keeper.Counts().Served
		bob.wake()
		time.Sleep(5 * time.Minute)
		served := keeper.Counts().Served - before
		if got := bob.bodies(); got["for bob"] != 1 || served < 20 {
			t.Errorf("bob asked for %d envelopes and read %v", served, got)
		}
	})
}
