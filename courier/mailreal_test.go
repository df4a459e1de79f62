package courier_test

import (
	"context"
	"crypto/rand"
	"log/slog"
	"sync"
	"testing"
	"time"

	"souk/courier"
	"souk/identity"
	"souk/mail"
	"souk/store"
	"souk/store/memstore"
	"souk/transport/libp2p"
)

// real is a peer on this machine's own network.
type real struct {
	*courier.Carrier
	net *libp2p.Net
	box *courier.Mailbox
	off func()
}

// open starts one on a disk and dials others.
func open(t *testing.T, disk store.Store, full bool, keys *courier.MailKeys, heard func(courier.Received), dial ...*real) *real {
	t.Helper()
	key, err := identity.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	r := new(real)
	if r.net, err = libp2p.Open(libp2p.Config{Key: key, Listen: []string{"/ip4/127.0.0.1/tcp/0"}}); err != nil {
		t.Fatal(err)
	}
	for _, other := range dial {
		if err := r.net.Dial(t.Context(), other.net.Self(), other.net.Addrs()...); err != nil {
			t.Fatal(err)
		}
	}
	r.Carrier, err = courier.NewCarrier(courier.CarrierConfig{Net: r.net, Store: disk, Full: full, Price: cheap(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := r.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	if keys != nil {
		if r.box, err = courier.OpenMailbox(r.Carrier, disk, keys); err != nil {
			t.Fatal(err)
		}
		r.box.Heard(heard)
		running.Go(func() { _ = r.box.Run(ctx) })
	}
	r.off = sync.OnceFunc(func() { cancel(); running.Wait(); _ = r.net.Close() })
	t.Cleanup(r.off)
	return r
}

// O-3, O-71 to O-73: the same over TCP: a letter to somebody who listens, and one to
// somebody who is away and fetches it when he is back.
func TestMailOverTCP(t *testing.T) {
	t.Parallel()
	came := make(chan courier.Received, 10)
	hear := func(r courier.Received) { came <- r }
	one := open(t, memstore.New(), true, nil, nil)
	two := open(t, memstore.New(), true, nil, nil, one)
	var keys [2]*courier.MailKeys
	for i := range keys {
		var err error
		if keys[i], err = courier.NewMailKeys(rand.Reader); err != nil {
			t.Fatal(err)
		}
	}
	alice := open(t, memstore.New(), false, keys[0], nil, one)
	bobs := memstore.New()
	bob := open(t, bobs, false, keys[1], hear, two)
	card, err := bob.box.Card(2)
	if err != nil {
		t.Fatal(err)
	}
	to, err := alice.box.AddContact("bob", card)
	if err != nil {
		t.Fatal(err)
	}
	await := func(subject string) {
		t.Helper()
		select {
		case r := <-came:
			if r.Subject != subject {
				t.Errorf("%q came, not %q", r.Subject, subject)
			}
		case <-time.After(2 * time.Minute):
			t.Fatalf("%q does not come", subject)
		}
	}
	for _, subject := range []string{"you are here", "you are away"} {
		if subject == "you are away" {
			bob.off()
		}
		if _, err := alice.box.Send(to, courier.Draft{Subject: subject, Body: make([]byte, mail.SizeLarge/2), Hurry: true}); err != nil {
			t.Fatal(err)
		}
		if subject == "you are away" {
			deadline := time.Now().Add(2 * time.Minute)
			for two.Counts().Kept < 2 && time.Now().Before(deadline) {
				time.Sleep(50 * time.Millisecond) // between two looks
			}
			open(t, bobs, false, keys[1], hear, two)
		}
		await(subject)
	}
}
