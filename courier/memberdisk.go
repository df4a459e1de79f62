package courier

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"souk/peernet"
	"souk/store"
	"souk/transport"
)

// Keys of what membership keeps. All begin with p.
const (
	memberVow   = "pv" // and a ring: the vow of it
	memberRing  = "pr" // the roster of the ring
	memberBan   = "pb" // and a peer: until (8) and why
	memberAddr  = "pa" // and a peer: its addresses, each after its length (2)
	memberFault = "pf" // and a peer: the proof
)

func memberKey(prefix string, id [32]byte) []byte { return append([]byte(prefix), id[:]...) }

// load reads what was kept, and sits down where this peer sat.
func (m *Members) load() error {
	var vows []peernet.Vow
	var bad error
	scan := func(prefix string, take func(id transport.ID, value []byte) error) error {
		err := m.Store.Scan([]byte(prefix), store.PrefixEnd([]byte(prefix)), func(key, value []byte) bool {
			if len(key) == len(prefix)+len(transport.ID{}) {
				bad = take(transport.ID(key[len(prefix):]), value)
			}
			return bad == nil
		})
		return errors.Join(err, bad)
	}
	now := time.Now()
	err := errors.Join(
		scan(memberVow, func(_ transport.ID, value []byte) error {
			v, err := peernet.ParseVow(value)
			vows = append(vows, v)
			return err
		}),
		scan(memberBan, func(id transport.ID, value []byte) error {
			if len(value) < 8 {
				return errors.New("a ban that is cut off")
			}
			if until := time.UnixMilli(int64(binary.BigEndian.Uint64(value))); until.After(now) {
				m.bans[id] = transport.Ban{ID: id, Until: until, Why: string(value[8:])}
			}
			return nil
		}),
		scan(memberAddr, func(id transport.ID, value []byte) error {
			m.know(id, parseAddrs(value))
			return nil
		}),
	)
	if err != nil {
		return err
	}
	m.seat = peernet.NewSeat(m.Key, m.MemberConfig.Ring, vows)
	data, err := m.Store.Get([]byte(memberRing))
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	ring, err := peernet.ParseRoster(data)
	if err != nil {
		return err
	}
	return m.seat.Resume(millis(now), ring)
}

// keepRing writes vows and the ring, and returns when they are on disk.
func (m *Members) keepRing(out peernet.Output) error {
	b := m.Store.NewBatch()
	for _, v := range out.Vows {
		b.Set(memberKey(memberVow, v.Ring), v.Append(nil))
	}
	if r := m.seat.Ring(); out.Changed && r != nil {
		b.Set([]byte(memberRing), r.Append(nil))
	} else if out.Changed {
		b.Delete([]byte(memberRing))
	}
	return b.Commit(true)
}

// save writes where the neighbours are, so that they are found after a restart.
func (m *Members) save() error {
	b := m.Store.NewBatch()
	b.DeleteRange([]byte(memberAddr), store.PrefixEnd([]byte(memberAddr)))
	for _, p := range m.seat.Neighbours() {
		if c := m.known[p]; c != nil {
			b.Set(memberKey(memberAddr, p), appendAddrs(nil, c.addrs))
		}
	}
	return b.Commit(false)
}

func appendAddrs(dst []byte, addrs []transport.Addr) []byte {
	for _, a := range addrs {
		dst = append(binary.BigEndian.AppendUint16(dst, uint16(len(a))), a...)
	}
	return dst
}

func parseAddrs(b []byte) (addrs []transport.Addr) {
	for len(b) >= 2 {
		n := int(binary.BigEndian.Uint16(b))
		if b = b[2:]; n > len(b) {
			break
		}
		addrs, b = append(addrs, transport.Addr(b[:n])), b[n:]
	}
	return addrs
}

// Ban shuts a peer out until a time.
func (m *Members) Ban(p transport.ID, until time.Time, why string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ban(p, until, why)
}

// Unban lets a peer in again.
func (m *Members) Unban(p transport.ID) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.bans, p)
	m.retry(p)
	if m.guard != nil {
		m.guard.Ban(p, time.Now().Add(-time.Second), "")
	}
	b := m.Store.NewBatch()
	b.Delete(memberKey(memberBan, p))
	return b.Commit(true)
}

func (m *Members) ban(p transport.ID, until time.Time, why string) error {
	if _, known := m.bans[p]; !known && len(m.bans) >= maxBans {
		return fmt.Errorf("%d peers are banned already", maxBans)
	}
	m.counts.Bans++
	m.bans[p] = transport.Ban{ID: p, Until: until, Why: why}
	m.seat.Forget(p)
	if c := m.known[p]; c != nil { // where it is may be of use when the ban is over
		c.terms = nil
	}
	if m.guard != nil {
		m.guard.Ban(p, until, why)
	}
	b := m.Store.NewBatch()
	b.Set(memberKey(memberBan, p), append(binary.BigEndian.AppendUint64(nil, millis(until)), why...))
	return b.Commit(true)
}

// retry looks for a peer that was banned soon.
func (m *Members) retry(p transport.ID) {
	if c := m.known[p]; c != nil {
		c.failures, c.next = 0, time.Time{}
	}
}

// expireBans lets those in again whose time is over. The caller has the lock.
func (m *Members) expireBans(now time.Time) {
	for p, b := range m.bans {
		if now.Before(b.Until) {
			continue
		}
		delete(m.bans, p)
		m.retry(p)
		batch := m.Store.NewBatch()
		batch.Delete(memberKey(memberBan, p))
		if err := batch.Commit(false); err != nil {
			m.failed = err
		}
	}
}

// fault keeps a proof, shuts the liar out, and tells everybody if it was found here. The
// caller has the lock.
func (m *Members) fault(f *peernet.Fault, tell bool) {
	if _, banned := m.bans[f.Key]; banned || f.Key == m.Net.Self() {
		return
	}
	m.counts.Faults++
	m.Log.Warn("a peer signed two rosters", slog.String("peer", f.Key.String()))
	data := f.Append(nil)
	b := m.Store.NewBatch()
	b.Set(memberKey(memberFault, f.Key), data)
	if err := errors.Join(b.Commit(true), m.ban(f.Key, time.Now().Add(faultBan), "it signed two rosters of one epoch")); err != nil {
		m.Log.Warn("a fault is not kept", slog.Any("error", err))
	}
	if ctx := m.ctx; tell && ctx != nil {
		m.running.Go(func() { _ = m.Net.Publish(ctx, faultTopic, data) })
	}
}

// judgeFault lets proofs alone be passed on.
func (m *Members) judgeFault(_ transport.ID, data []byte) transport.Verdict {
	f, err := peernet.ParseFault(data)
	if err != nil || f.Check() != nil {
		return transport.Reject
	}
	return transport.Accept
}

// hearFaults takes proofs that others found.
func (m *Members) hearFaults(ctx context.Context, sub transport.Subscription) {
	for {
		msg, err := sub.Next(ctx)
		if err != nil {
			return
		}
		if f, err := peernet.ParseFault(msg.Data); err == nil && f.Check() == nil {
			m.mu.Lock()
			m.fault(&f, false)
			m.mu.Unlock()
		}
	}
}
