package irc

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/flynn/noise"

	"souk/identity"
	"souk/transport"
)

const (
	// tagNoise is what a signature of a handshake's static key is for.
	tagNoise identity.Tag = "souk/irc/noise/v1"
	// prologue keeps these handshakes from being mistaken for others.
	prologue string = "souk/irc/dcc/v1"
	// maxPlain is the most that one frame carries.
	maxPlain int = 16 << 10
	overhead int = 16
)

// ErrImpostor is returned when the other end is not the peer that was expected.
var ErrImpostor = errors.New("the other end is not that peer")

// Secure makes a connection encrypted, and makes sure that the other end has a peer's key:
// Noise XX with a static key of its own, which the peer's key has signed. initiator speaks
// first. Without success the connection is closed.
func Secure(ctx context.Context, conn net.Conn, key identity.PrivateKey, p transport.ID, initiator bool) (net.Conn, error) {
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	c, err := handshake(conn, key, p, initiator)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return c, nil
}

func handshake(conn net.Conn, key identity.PrivateKey, p transport.ID, initiator bool) (*secure, error) {
	suite := noise.NewCipherSuite(noise.DH25519, noise.CipherChaChaPoly, noise.HashSHA256)
	static, err := suite.GenerateKeypair(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	hs, err := noise.NewHandshakeState(noise.Config{
		CipherSuite: suite, Random: rand.Reader, Pattern: noise.HandshakeXX, Initiator: initiator, Prologue: []byte(prologue), StaticKeypair: static,
	})
	if err != nil {
		return nil, fmt.Errorf("begin: %w", err)
	}
	me := key.Public()
	sig := key.Sign(tagNoise, static.Public)
	proof := append(me[:], sig[:]...)
	var send, receive *noise.CipherState
	for i := range 3 { // -> e; <- e ee s es; -> s se: the last two carry the proofs
		var a, b *noise.CipherState
		if (i%2 == 0) == initiator {
			var payload []byte
			if i > 0 {
				payload = proof
			}
			var m []byte
			if m, a, b, err = hs.WriteMessage(nil, payload); err != nil {
				return nil, fmt.Errorf("handshake: %w", err)
			}
			if err := writeFrame(conn, m); err != nil {
				return nil, err
			}
		} else {
			m, err := readFrame(conn)
			if err != nil {
				return nil, err
			}
			var payload []byte
			if payload, a, b, err = hs.ReadMessage(nil, m); err != nil {
				return nil, fmt.Errorf("handshake: %w", err)
			}
			if i > 0 && !proves(payload, hs.PeerStatic(), p) {
				return nil, ErrImpostor
			}
		}
		if a != nil { // the first is for what the initiator sends
			if send, receive = a, b; !initiator {
				send, receive = b, a
			}
		}
	}
	return &secure{Conn: conn, send: send, receive: receive}, nil
}

func proves(payload, static []byte, p transport.ID) bool {
	return len(payload) == len(transport.ID{})+len(identity.Signature{}) && transport.ID(payload[:32]) == p &&
		p.Check() == nil && p.Verify(tagNoise, static, identity.Signature(payload[32:]))
}

// secure is a connection after the handshake.
type secure struct {
	net.Conn
	readMu  sync.Mutex
	receive *noise.CipherState
	rest    []byte
	sendMu  sync.Mutex
	send    *noise.CipherState
}

func (c *secure) Read(b []byte) (int, error) {
	c.readMu.Lock()
	defer c.readMu.Unlock()
	for len(c.rest) == 0 {
		m, err := readFrame(c.Conn)
		if err != nil {
			return 0, err
		}
		if c.rest, err = c.receive.Decrypt(nil, nil, m); err != nil {
			return 0, fmt.Errorf("read from a peer: %w", err)
		}
	}
	n := copy(b, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

func (c *secure) Write(b []byte) (int, error) {
	c.sendMu.Lock()
	defer c.sendMu.Unlock()
	done := 0
	for len(b) > 0 {
		part := b[:min(len(b), maxPlain)]
		m, err := c.send.Encrypt(nil, nil, part)
		if err != nil {
			return done, fmt.Errorf("write to a peer: %w", err)
		}
		if err := writeFrame(c.Conn, m); err != nil {
			return done, err
		}
		done += len(part)
		b = b[len(part):]
	}
	return done, nil
}

func writeFrame(w io.Writer, m []byte) error {
	_, err := w.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(m))), m...))
	return err
}

func readFrame(r io.Reader) ([]byte, error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint16(head[:]))
	if n > maxPlain+overhead {
		return nil, errors.New("a frame that is too long")
	}
	m := make([]byte, n)
	_, err := io.ReadFull(r, m)
	return m, err
}
