package libp2p

import (
	"crypto/subtle"
	"io"
	"net"
	"sync"
	"time"

	manet "github.com/multiformats/go-multiaddr/net"
	"golang.org/x/crypto/salsa20"
)

// A private network of libp2p begins with a nonce of 24 bytes from each side, after which all
// is encrypted with the shared key; first comes the name of the negotiation. So the first 44
// bytes of who dials show whether it knows the key. Without a guard a host sends its own half
// to anybody, which looks like noise but tells that somebody is there.
const (
	nonceSize  = 24
	greeting   = "\x13/multistream/1.0.0\n"
	knockSize  = nonceSize + len(greeting)
	knockTime  = 10 * time.Second
	knocking   = 64   // at once
	oldNonces  = 8192 // that are known, so that nobody is let in with what he has heard
	handedOver = 8
)

// silence answers nothing to those who do not know the key of a darknet (F-40).
type silence struct {
	secret [32]byte

	mu    sync.Mutex
	known map[[nonceSize]byte]bool
	order [][nonceSize]byte
}

func newSilence(secret [32]byte) *silence {
	return &silence{secret: secret, known: map[[nonceSize]byte]bool{}}
}

// opens tells whether a knock is of one who knows the key, and is not a repetition.
func (s *silence) opens(knock [knockSize]byte) bool {
	nonce := [nonceSize]byte(knock[:nonceSize])
	var plain [len(greeting)]byte
	salsa20.XORKeyStream(plain[:], knock[nonceSize:], nonce[:], &s.secret)
	if subtle.ConstantTimeCompare(plain[:], []byte(greeting)) != 1 {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known[nonce] {
		return false
	}
	s.known[nonce] = true
	if s.order = append(s.order, nonce); len(s.order) > oldNonces {
		delete(s.known, s.order[0])
		s.order = s.order[1:]
	}
	return true
}

// guard is a listener that hands over who has knocked well.
func (s *silence) guard(l manet.Listener) manet.Listener {
	g := &silentListener{Listener: l, silence: s, in: make(chan manet.Conn, handedOver), stop: make(chan struct{})}
	g.over.Go(g.accept)
	return g
}

type silentListener struct {
	manet.Listener
	silence *silence
	in      chan manet.Conn
	stop    chan struct{}
	once    sync.Once
	over    sync.WaitGroup
	err     error // of the listener; read after stop is closed
}

func (l *silentListener) accept() {
	places := make(chan struct{}, knocking)
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			l.end(err)
			return
		}
		select {
		case places <- struct{}{}:
		default:
			_ = c.Close() // too many knock
			continue
		}
		l.over.Go(func() {
			defer func() { <-places }()
			l.knock(c)
		})
	}
}

// knock waits for the first bytes of a connection, and closes it without a word if they are
// not good.
func (l *silentListener) knock(c manet.Conn) {
	var first [knockSize]byte
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		select {
		case <-l.stop:
			_ = c.SetDeadline(time.Now())
		case <-ended:
		}
	}()
	_ = c.SetDeadline(time.Now().Add(knockTime))
	if _, err := io.ReadFull(c, first[:]); err != nil || !l.silence.opens(first) {
		_ = c.Close()
		return
	}
	_ = c.SetDeadline(time.Time{})
	select {
	case l.in <- &knocked{Conn: c, first: first[:]}:
	case <-l.stop:
		_ = c.Close()
	}
}

func (l *silentListener) Accept() (manet.Conn, error) {
	select {
	case c := <-l.in:
		return c, nil
	case <-l.stop:
		return nil, l.err
	}
}

func (l *silentListener) end(err error) {
	l.once.Do(func() {
		l.err = err
		close(l.stop)
	})
}

func (l *silentListener) Close() error {
	l.end(net.ErrClosed)
	err := l.Listener.Close()
	l.over.Wait()
	return err
}

// knocked is a connection whose first bytes were read.
type knocked struct {
	manet.Conn
	first []byte
}

func (c *knocked) Read(b []byte) (int, error) {
	if len(c.first) > 0 {
		n := copy(b, c.first)
		c.first = c.first[n:]
		return n, nil
	}
	return c.Conn.Read(b)
}

var _ manet.Conn = (*knocked)(nil)
