package transporttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"souk/transport"
)

const topic = "souk/test"

// line opens peers in a line, all of which read the topic, and waits until it is up.
func (w World) line(t *testing.T, count int) ([]Net, []*Reader) {
	t.Helper()
	nets := w.open(t, count)
	readers := make([]*Reader, count)
	for i, n := range nets {
		readers[i] = Read(t, n, topic, nil)
	}
	for _, n := range nets {
		w.warm(t, n, readers...)
	}
	return nets, readers
}

func testTopic(t *testing.T, w World) {
	nets, readers := w.line(t, 4)
	const each = 8 // together they are within what one neighbour may bring at once (F-31)
	var sent []string
	for i := range each {
		for k, n := range nets {
			text := fmt.Sprintf("message %d of %d", i, k)
			sent = append(sent, text)
			for range 2 { // the same again is nothing
				if err := n.Publish(w.context(t), topic, []byte(text)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	for _, text := range sent {
		for i, r := range readers {
			w.eventually(t, fmt.Sprintf("%q at %d", text, i), func() bool { return r.Count(text) > 0 })
		}
	}
	for i, r := range readers {
		for _, text := range sent {
			if n := r.Count(text); n != 1 {
				t.Errorf("%q came %d times to %d", text, n, i)
			}
		}
	}
	if from := readers[3].From("message 0 of 0"); from != nets[2].Self() {
		t.Errorf("what 0 published came to 3 from %s, not from the neighbour 2", from)
	}
	if from := readers[0].From("message 0 of 0"); from != nets[0].Self() {
		t.Errorf("one's own message is from %s", from)
	}
}

func testOutsider(t *testing.T, w World) {
	nets := w.open(t, 3)
	readers := []*Reader{Read(t, nets[1], topic, nil), Read(t, nets[2], topic, nil)}
	w.warm(t, nets[0], readers...) // 0 does not listen
	// Topics do not mix.
	other := Read(t, nets[1], topic+"/other", nil)
	w.warm(t, nets[2], readers...)
	if len(other.got) != 0 {
		t.Errorf("the other topic got %v", other.got)
	}
}

func testSubscriptions(t *testing.T, w World) {
	n := w.Open(t)
	for _, name := range []string{"", strings.Repeat("n", transport.MaxName+1)} {
		_, err := n.Subscribe(name, nil)
		wantError(t, err, transport.ErrName)
		wantError(t, n.Publish(w.context(t), name, nil), transport.ErrName)
	}
	first, err := n.Subscribe(topic, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = n.Subscribe(topic, nil)
	wantError(t, err, transport.ErrTaken)
	short, cancel := context.WithTimeout(w.context(t), 10*time.Millisecond)
	defer cancel()
	_, err = first.Next(short)
	wantError(t, err, context.DeadlineExceeded)
	for range 2 {
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
	}
	_, err = first.Next(w.context(t))
	wantError(t, err, transport.ErrClosed)
	second, err := n.Subscribe(topic, nil)
	if err != nil {
		t.Fatalf("subscribe again: %v", err)
	}
	if err := n.Publish(w.context(t), topic, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if m, err := second.Next(w.context(t)); err != nil || string(m.Data) != "x" || m.From != n.Self() {
		t.Errorf("%q from %s, %v", m.Data, m.From, err)
	}
}

func testSizes(t *testing.T, w World) {
	nets, readers := w.line(t, 3)
	largest := string(bytes.Repeat([]byte("0123456789abcdef"), transport.MaxMessage/16))
	for _, text := range []string{largest, "", largest[1:]} {
		if err := nets[0].Publish(w.context(t), topic, []byte(text)); err != nil {
			t.Fatal(err)
		}
		for i, r := range readers {
			w.eventually(t, fmt.Sprintf("%d bytes at %d", len(text), i), func() bool { return r.Count(text) == 1 })
		}
	}
	wantError(t, nets[0].Publish(w.context(t), topic, []byte(largest+"x")), transport.ErrTooLarge)
}

func testIgnore(t *testing.T, w World) {
	nets := w.open(t, 3)
	v := func(_ transport.ID, data []byte) transport.Verdict {
		if bytes.HasPrefix(data, []byte("old")) {
			return transport.Ignore
		}
		return transport.Accept
	}
	readers := []*Reader{Read(t, nets[0], topic, nil), Read(t, nets[1], topic, v), Read(t, nets[2], topic, nil)}
	w.warm(t, nets[0], readers...)
	for i := range 30 {
		if err := nets[0].Publish(w.context(t), topic, fmt.Append(nil, "old ", i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := nets[0].Publish(w.context(t), topic, []byte("last")); err != nil {
		t.Fatal(err)
	}
	w.eventually(t, "what comes after", func() bool { return readers[2].Count("last") == 1 })
	for i := range 30 {
		text := fmt.Sprint("old ", i)
		if readers[0].Count(text) != 1 || readers[1].Count(text)+readers[2].Count(text) != 0 {
			t.Fatalf("%q came %d, %d, %d times", text, readers[0].Count(text), readers[1].Count(text), readers[2].Count(text))
		}
	}
	if score, ok := nets[1].Score(nets[0].Self()); !ok || score < 0 {
		t.Errorf("who passes on what is ignored has the score %v, %v", score, ok)
	}
}

func testReject(t *testing.T, w World) {
	nets := w.open(t, 3) // the first is bad
	v := func(_ transport.ID, data []byte) transport.Verdict {
		if bytes.HasPrefix(data, []byte("bad")) {
			return transport.Reject
		}
		return transport.Accept
	}
	readers := []*Reader{Read(t, nets[0], topic, nil), Read(t, nets[1], topic, v), Read(t, nets[2], topic, nil)}
	w.warm(t, nets[0], readers...)
	w.warm(t, nets[2], readers...)
	bad := 0
	send := func() {
		bad++
		if err := nets[0].Publish(w.context(t), topic, fmt.Append(nil, "bad ", bad)); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 { // below what cuts it
		send()
	}
	w.eventually(t, "the score falls", func() bool {
		score, ok := nets[1].Score(nets[0].Self())
		return ok && score < 0
	})
	deadline := time.Now()
	w.eventually(t, "the peer is cut", func() bool {
		if now := time.Now(); !now.Before(deadline) && bad < 60 {
			deadline = now.Add(10 * time.Millisecond)
			send()
		}
		return !has(nets[1], nets[0])
	})
	bans := nets[1].Bans()
	if len(bans) != 1 || bans[0].ID != nets[0].Self() || bans[0].Why == "" {
		t.Errorf("bans %v", bans)
	}
	w.stays(t, nets[0], nets[1])
	for i := range bad {
		if text := fmt.Sprint("bad ", i+1); readers[1].Count(text)+readers[2].Count(text) != 0 {
			t.Errorf("%q was delivered", text)
		}
	}
	w.warm(t, nets[2], readers[1:]...)
}

// stays checks that one who is shut out does not come in again.
func (w World) stays(t *testing.T, out, of Net) {
	t.Helper()
	ctx, cancel := context.WithTimeout(w.context(t), w.Patience/3)
	defer cancel()
	of.Handle(protocol, echo(nil))
	defer of.Handle(protocol, nil)
	for range 3 {
		// The dial itself may look well to who is refused.
		_ = out.Dial(ctx, of.Self(), of.Addrs()...)
		s, err := out.Stream(ctx, of.Self(), protocol)
		if err != nil {
			continue
		}
		_, _ = s.Write([]byte("x"))
		_ = s.SetDeadline(time.Now().Add(time.Second))
		if _, err = io.ReadFull(s, make([]byte, 1)); err == nil {
			t.Error("who is shut out has a stream")
		}
		_ = s.Close()
	}
	w.eventually(t, "it is not in", func() bool { return !has(of, out) && !has(out, of) })
}

func testOwn(t *testing.T, w World) {
	n := w.Open(t)
	r := Read(t, n, topic, func(from transport.ID, data []byte) transport.Verdict {
		if from != n.Self() || string(data) == "ignore" {
			return transport.Ignore
		}
		if string(data) == "reject" {
			return transport.Reject
		}
		return transport.Accept
	})
	for _, text := range []string{"ignore", "reject"} {
		wantError(t, n.Publish(w.context(t), topic, []byte(text)), transport.ErrInvalid)
	}
	if err := n.Publish(w.context(t), topic, []byte("fine")); err != nil {
		t.Fatal(err)
	}
	w.eventually(t, "one's own message", func() bool { return r.Count("fine") == 1 })
	if r.Count("ignore")+r.Count("reject") != 0 {
		t.Error("what one's own validator does not accept was delivered")
	}
}

func testSlow(t *testing.T, w World) {
	n := w.Open(t)
	sub, err := n.Subscribe(topic, nil)
	if err != nil {
		t.Fatal(err)
	}
	const count = 3000
	for i := range count { // nobody reads, and nobody waits
		if err := n.Publish(w.context(t), topic, fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
	}
	w.eventually(t, "some are dropped", func() bool { return sub.Dropped() > 0 })
	got, last := uint64(0), false
	for !last {
		m, err := sub.Next(w.context(t))
		if err != nil {
			t.Fatalf("after %d messages, %d dropped: %v", got, sub.Dropped(), err)
		}
		got++
		last = string(m.Data) == fmt.Sprint(count-1) // the oldest are dropped, so it is there
	}
	if got+sub.Dropped() != count {
		t.Errorf("%d came and %d were dropped of %d", got, sub.Dropped(), count)
	}
}

// testBusy: whoever subscribes to topics while messages of others come does not wait for them,
// nor they for him.
func testBusy(t *testing.T, w World) {
	nets, _ := w.line(t, 2)
	ctx, cancel := context.WithCancel(w.context(t))
	var over sync.WaitGroup
	defer over.Wait()
	defer cancel()
	over.Go(func() {
		tick := time.NewTicker(5 * time.Millisecond) // less than a flood (F-31)
		defer tick.Stop()
		for i := 0; ctx.Err() == nil; i++ {
			_ = nets[0].Publish(ctx, topic, fmt.Append(nil, "amid ", i))
			<-tick.C
		}
	})
	done := make(chan error, 1)
	over.Go(func() { done <- resubscribe(ctx, nets[1]) })
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-ctx.Done():
		t.Fatal("subscribing does not end")
	}
}

// resubscribe subscribes to topics and leaves them again, for half a second.
func resubscribe(ctx context.Context, n Net) error {
	for begin := time.Now(); time.Since(begin) < time.Second/2; {
		for i := range 8 {
			sub, err := n.Subscribe(fmt.Sprint("souk/other/", i), nil)
			if err != nil {
				return err
			}
			if err := sub.Close(); err != nil {
				return err
			}
		}
		select {
		case <-time.After(time.Millisecond): // so that virtual time passes
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func testBan(t *testing.T, w World) {
	nets := w.open(t, 2)
	a, b := nets[0], nets[1]
	until := time.Now().Add(time.Hour)
	b.Ban(a.Self(), until, "a test")
	w.eventually(t, "it is cut", func() bool { return !has(b, a) && !has(a, b) })
	if bans := b.Bans(); len(bans) != 1 || bans[0].ID != a.Self() || !bans[0].Until.Equal(until) || bans[0].Why != "a test" {
		t.Errorf("bans %v", bans)
	}
	w.stays(t, a, b)
	if err := b.Dial(w.context(t), a.Self(), a.Addrs()...); err == nil {
		t.Error("dialled one who is shut out")
	}
	b.Ban(a.Self(), time.Now().Add(-time.Second), "it is over")
	if bans := b.Bans(); len(bans) != 0 {
		t.Errorf("bans %v", bans)
	}
	w.eventually(t, "it is in again", func() bool {
		_ = b.Dial(w.context(t), a.Self(), a.Addrs()...)
		return has(a, b) && has(b, a)
	})
}

// F-14
func testDrop(t *testing.T, w World) {
	nets := w.open(t, 2)
	a, b := nets[0], nets[1]
	b.Handle(protocol, echo(nil))
	s, err := a.Stream(w.context(t), b.Self(), protocol)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	b.Drop(a.Self())
	w.eventually(t, "it is no neighbour", func() bool { return !has(b, a) && !has(a, b) })
	_ = s.SetDeadline(time.Now().Add(w.Patience))
	if _, err := io.ReadFull(s, make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the stream goes on: %v", err)
	}
	if bans := b.Bans(); len(bans) != 0 {
		t.Errorf("bans %v", bans)
	}
	b.Drop(a.Self()) // it is gone already
	w.connect(t, a, b)
	if err := exchange(w.context(t), a, b, 1); err != nil {
		t.Errorf("after it was dialled again: %v", err)
	}
}

func testClose(t *testing.T, w World) {
	nets := w.open(t, 2)
	a, b := nets[0], nets[1]
	b.Handle(protocol, echo(nil))
	s, err := a.Stream(w.context(t), b.Self(), protocol)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(s, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	sub, err := b.Subscribe(topic, nil)
	if err != nil {
		t.Fatal(err)
	}
	next := make(chan error, 1)
	go func() {
		_, err := sub.Next(context.Background())
		next <- err
	}()
	for range 2 {
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	}
	wantError(t, <-next, transport.ErrClosed)
	if err := s.SetDeadline(time.Now().Add(w.Patience)); err == nil {
		if n, err := s.Read(make([]byte, 1)); err == nil {
			t.Errorf("read %d bytes from one who has closed", n)
		}
	}
	w.eventually(t, "it is no peer any more", func() bool { return !has(a, b) && len(b.Peers()) == 0 })
	wantError(t, b.Publish(w.context(t), topic, nil), transport.ErrClosed)
	wantError(t, b.Dial(w.context(t), a.Self(), a.Addrs()...), transport.ErrClosed)
	_, err = b.Subscribe(topic, nil)
	wantError(t, err, transport.ErrClosed)
	_, err = b.Stream(w.context(t), a.Self(), protocol)
	wantError(t, err, transport.ErrClosed)
}

// testAtOnce calls everything from many goroutines, for the race detector.
func testAtOnce(t *testing.T, w World) {
	nets := w.open(t, 3)
	w.connect(t, nets[2], nets[0])
	ctx := w.context(t)
	var over sync.WaitGroup
	for i, n := range nets {
		n.Handle(protocol, echo(nil))
		other := nets[(i+1)%3]
		for k := range 4 {
			over.Go(func() {
				for step := range 8 {
					if err := exchange(ctx, n, other, step); err != nil {
						t.Errorf("stream: %v", err)
					}
					_ = n.Publish(ctx, topic, fmt.Append(nil, i, k, step))
					if sub, err := n.Subscribe(fmt.Sprint(topic, k), nil); err != nil {
						t.Error(err)
					} else if err := sub.Close(); err != nil {
						t.Error(err)
					}
					n.Handle(fmt.Sprint(protocol, k), echo(nil))
					n.RoundTrip(other.Self())
					n.Score(other.Self())
					n.Peers()
					n.Addrs()
					n.Bans()
				}
			})
		}
	}
	over.Wait()
}
