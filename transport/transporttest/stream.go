package transporttest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"souk/identity"
	"souk/transport"
)

const protocol = "/souk/test/1"

func stranger(t *testing.T) transport.ID {
	t.Helper()
	var seed [32]byte
	for i := range seed {
		seed[i] = byte(rand.Uint32()) //nolint:gosec // of a key that guards nothing
	}
	return identity.NewKey(seed).Public()
}

func testDial(t *testing.T, w World) {
	nets := w.open(t, 2)
	a, b := nets[0], nets[1]
	for range 3 { // who is connected stays so
		if err := a.Dial(w.context(t), b.Self()); err != nil {
			t.Fatal(err)
		}
		if err := b.Dial(w.context(t), a.Self(), a.Addrs()...); err != nil {
			t.Fatal(err)
		}
	}
	if len(a.Peers()) != 1 || len(b.Peers()) != 1 {
		t.Fatalf("peers %v and %v", a.Peers(), b.Peers())
	}
	for _, addr := range b.Addrs() {
		if len(addr) == 0 || len(addr) > transport.MaxAddr {
			t.Errorf("address %q", addr)
		}
	}
	if score, ok := a.Score(b.Self()); !ok || score < 0 {
		t.Errorf("a new peer's score is %v, %v", score, ok)
	}
	if _, ok := a.Score(stranger(t)); ok {
		t.Error("a stranger has a score")
	}
}

func testUnreachable(t *testing.T, w World) {
	a, b := w.Open(t), w.Open(t)
	wantError(t, a.Dial(w.context(t), w.Absent(t)), transport.ErrUnreachable)
	if err := a.Dial(w.context(t), a.Self()); err == nil {
		t.Error("dialled itself")
	}
	// Another's address does not make one that other.
	other := w.Absent(t)
	if err := a.Dial(w.context(t), other, b.Addrs()...); err == nil {
		t.Error("a peer was taken for another one")
	}
	if len(a.Peers()) != 0 {
		t.Errorf("peers %v", a.Peers())
	}
	_, err := a.Stream(w.context(t), other, protocol)
	wantError(t, err, transport.ErrUnreachable)
	if err := a.Dial(w.context(t), b.Self(), "no address", transport.Addr(strings.Repeat("x", 2*transport.MaxAddr))); err != nil && !errors.Is(err, transport.ErrUnreachable) {
		t.Errorf("junk addresses: %v", err)
	}
	gone, cancel := context.WithCancel(w.context(t))
	cancel()
	if err := w.Open(t).Dial(gone, a.Self(), a.Addrs()...); err == nil {
		t.Error("dialled for one who has gone")
	}
}

func testRoundTrip(t *testing.T, w World) {
	nets := w.open(t, 2)
	if _, ok := nets[0].RoundTrip(stranger(t)); ok {
		t.Error("a stranger has a round trip")
	}
	for i, n := range nets {
		peer := nets[1-i].Self()
		w.eventually(t, "the round trip is known", func() bool {
			took, ok := n.RoundTrip(peer)
			return ok && took > 0 && took < w.Patience
		})
	}
}

// echo answers streams with what they carry.
func echo(from chan<- transport.ID) func(transport.ID, transport.Stream) {
	return func(p transport.ID, s transport.Stream) {
		defer func() { _ = s.Close() }()
		if from != nil {
			from <- p
		}
		_, _ = io.Copy(s, s)
	}
}

func testStream(t *testing.T, w World) {
	a, b := w.Open(t), w.Open(t)
	from := make(chan transport.ID, 1)
	b.Handle(protocol, echo(from))
	w.connect(t, a, b)
	s, err := a.Stream(w.context(t), b.Self(), protocol)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	for i := range 20 {
		text := fmt.Sprintf("message %d", i)
		if _, err := io.WriteString(s, text); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(text))
		if _, err := io.ReadFull(s, got); err != nil || string(got) != text {
			t.Fatalf("%q came back as %q, %v", text, got, err)
		}
	}
	if p := <-from; p != a.Self() {
		t.Errorf("the stream is from %s, not %s", p, a.Self())
	}
}

func testHalfClose(t *testing.T, w World) {
	nets := w.open(t, 2)
	nets[1].Handle(protocol, func(_ transport.ID, s transport.Stream) {
		defer func() { _ = s.Close() }()
		got, err := io.ReadAll(s) // until the other side says that nothing more comes
		if err == nil {
			_, _ = fmt.Fprintf(s, "%d bytes", len(got))
		}
	})
	s, err := nets[0].Stream(w.context(t), nets[1].Self(), protocol)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if _, err := s.Write(make([]byte, 70_000)); err != nil {
		t.Fatal(err)
	}
	if err := s.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write([]byte("more")); err == nil {
		t.Error("wrote after CloseWrite")
	}
	answer, err := io.ReadAll(s)
	if err != nil || string(answer) != "70000 bytes" {
		t.Errorf("answer %q, %v", answer, err)
	}
}

func testDeadline(t *testing.T, w World) {
	nets := w.open(t, 2)
	release := make(chan struct{})
	nets[1].Handle(protocol, func(_ transport.ID, s transport.Stream) {
		<-release // it reads nothing before
		echo(nil)(transport.ID{}, s)
	})
	s, err := nets[0].Stream(w.context(t), nets[1].Self(), protocol)
	if err != nil {
		close(release)
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	// What was written is under way, and nothing comes back.
	if _, err := s.Write([]byte("x")); err != nil {
		t.Error(err)
	}
	if err := s.SetDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Error(err)
	}
	if _, err := s.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read after the deadline: %v", err)
	}
	// Nobody reads, so a write that has no end stops at the deadline too.
	if err := s.SetDeadline(time.Now().Add(300 * time.Millisecond)); err != nil {
		t.Error(err)
	}
	for err = nil; err == nil; {
		_, err = s.Write(make([]byte, 1<<20))
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("write after the deadline: %v", err)
	}
	// A deadline that is taken back lets it go on.
	if err := s.SetDeadline(time.Time{}); err != nil {
		t.Error(err)
	}
	close(release)
	if _, err := io.ReadFull(s, make([]byte, 1)); err != nil {
		t.Errorf("read without a deadline: %v", err)
	}
}

func testRefusedProtocol(t *testing.T, w World) {
	nets := w.open(t, 2)
	a, b := nets[0], nets[1]
	_, err := a.Stream(w.context(t), b.Self(), protocol)
	wantError(t, err, transport.ErrRefused)
	for _, name := range []string{"", "/" + strings.Repeat("n", transport.MaxName)} {
		_, err := a.Stream(w.context(t), b.Self(), name)
		wantError(t, err, transport.ErrName)
	}
	b.Handle(protocol, echo(nil))
	use := func() error {
		s, err := a.Stream(w.context(t), b.Self(), protocol)
		if err != nil {
			return err
		}
		defer func() { _ = s.Close() }()
		if _, err := s.Write([]byte("x")); err != nil {
			return err
		}
		_, err = io.ReadFull(s, make([]byte, 1))
		return err
	}
	w.eventually(t, "the protocol is handled", func() bool { return use() == nil })
	b.Handle(protocol, nil)
	w.eventually(t, "the protocol is refused again", func() bool { return use() != nil })
	if !has(a, b) {
		t.Error("a refused protocol costs the connection")
	}
}

func testBig(t *testing.T, w World) {
	nets := w.open(t, 2)
	nets[1].Handle(protocol, echo(nil))
	s, err := nets[0].Stream(w.context(t), nets[1].Self(), protocol)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	data := make([]byte, w.Bulk)
	random := rand.NewChaCha8([32]byte{1})
	_, _ = random.Read(data)
	var over sync.WaitGroup
	over.Go(func() {
		if _, err := io.Copy(s, bytes.NewReader(data)); err != nil {
			t.Errorf("write: %v", err)
		}
		if err := s.CloseWrite(); err != nil {
			t.Error(err)
		}
	})
	h := sha256.New()
	n, err := io.Copy(h, s)
	over.Wait()
	if err != nil || n != int64(len(data)) || [32]byte(h.Sum(nil)) != sha256.Sum256(data) {
		t.Errorf("%d of %d bytes came back, or others, %v", n, len(data), err)
	}
}

func testMany(t *testing.T, w World) {
	nets := w.open(t, 2)
	var over sync.WaitGroup
	for _, n := range nets {
		n.Handle(protocol, echo(nil))
	}
	for i := range 40 {
		from, to := nets[i%2], nets[1-i%2]
		over.Go(func() {
			if err := exchange(w.context(t), from, to, i); err != nil {
				t.Errorf("stream %d: %v", i, err)
			}
		})
	}
	over.Wait()
}

// exchange sends so much and gets it back.
func exchange(ctx context.Context, from, to Net, i int) error {
	s, err := from.Stream(ctx, to.Self(), protocol)
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }()
	data := bytes.Repeat([]byte{byte(i)}, 1000*(i+1))
	if _, err := s.Write(data); err != nil {
		return err
	}
	if err := s.CloseWrite(); err != nil {
		return err
	}
	got, err := io.ReadAll(s)
	if err != nil {
		return err
	}
	if !bytes.Equal(got, data) {
		return fmt.Errorf("%d bytes came back for %d", len(got), len(data))
	}
	return nil
}
