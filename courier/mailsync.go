package courier

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"souk/mail"
	"souk/transport"
)

// coverLeast and coverTimes are how many envelopes a light carrier asks for: so many for
// each that it wants, and as many as coverLeast where it wants none (O-72).
const (
	coverLeast = 8
	coverTimes = 4
)

const (
	syncOf    = 2  // how many peers are asked each time: one may say that there is nothing
	mostAsked = 64 // of how many peers a light carrier remembers what they had
)

// serve answers those who ask, until the context ends.
func (c *Carrier) serve(ctx context.Context) {
	c.Net.Handle(protocolStem, func(from transport.ID, s transport.Stream) {
		var data []byte
		c.answer(from, s, mail.SizeLarge, func(request []byte) (reply []byte, err error) {
			data, reply, err = c.stem(request)
			return reply, err
		})
		if data == nil {
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(c.wait(stemDelay)):
			// Its writer tries again if it gets nowhere.
			if c.draw(2) == 0 || !c.handOn(ctx, data, from, 1) {
				_ = c.Net.Publish(ctx, topic(data[2]), data)
			}
		}
	})
	if !c.Full {
		return
	}
	for protocol, h := range map[string]struct {
		most   int
		answer func(request []byte) ([]byte, error)
	}{
		protocolSums: {sumsRequest, c.answerSums},
		protocolList: {listRequest, c.answerList},
		protocolGet:  {mostKeys * keySize, c.answerGet},
	} {
		c.Net.Handle(protocol, func(from transport.ID, s transport.Stream) { c.answer(from, s, h.most, h.answer) })
	}
}

// answer reads one request and answers it, or closes the stream.
func (c *Carrier) answer(from transport.ID, s transport.Stream, most int, answer func(request []byte) ([]byte, error)) {
	defer s.Close() //nolint:errcheck // the answer is over either way
	if !c.enter(from) {
		return // too many ask at once
	}
	defer c.leave(from)
	if s.SetDeadline(time.Now().Add(streamTime)) != nil {
		return
	}
	request, err := readAll(s, most)
	if err != nil {
		return
	}
	if reply, err := answer(request); err == nil {
		_, _ = s.Write(reply)
	}
}

// enter tells whether one more request of a peer is answered now; leave ends it.
func (c *Carrier) enter(from transport.ID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	total := 0
	for _, n := range c.streams {
		total += n
	}
	if total >= streamsOf || c.streams[from] >= streamsEach {
		return false
	}
	c.streams[from]++
	return true
}

func (c *Carrier) leave(from transport.ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.streams[from]--; c.streams[from] == 0 {
		delete(c.streams, from)
	}
}

func (c *Carrier) answerSums(request []byte) ([]byte, error) {
	from, to, err := parseSumsRequest(request)
	if err != nil {
		return nil, err
	}
	return appendSums(nil, c.keep.sums(from, to)), nil
}

func (c *Carrier) answerList(request []byte) ([]byte, error) {
	after, err := parseListRequest(request)
	if err != nil {
		return nil, err
	}
	return c.keep.list(after)
}

func (c *Carrier) answerGet(request []byte) ([]byte, error) {
	keys, err := parseGetRequest(request)
	var out []byte
	for _, k := range keys {
		if data := c.keep.get(k); data != nil && k.hour > c.now() {
			out = appendGot(out, data)
			c.others[countServed].Add(1)
		}
	}
	return out, err
}

// stem takes an envelope that somebody wants published by another than himself. The answer
// is one byte; data is nil if it need not be published.
func (c *Carrier) stem(request []byte) (data, reply []byte, err error) {
	e, drop := mail.Check(request, c.now(), c.Price, c.keep.has)
	if drop == mail.DropKnown {
		return nil, []byte{1}, nil // it is about already
	}
	if drop != mail.Kept {
		c.drops[drop].Add(1)
		return nil, nil, errWire
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.shards[e.Shard] {
		return nil, nil, errWire // it might get nowhere
	}
	return request, []byte{1}, nil
}

// send publishes an envelope: by a neighbour drawn at random, so that nobody sees where it
// comes from, or, where no neighbour does that, from here. The neighbour may have dropped what
// is sent again: then it goes to one more each time.
func (c *Carrier) send(ctx context.Context, data []byte, times int) error {
	e, err := mail.ParseEnvelope(data)
	if err != nil {
		return err
	}
	if c.handOn(ctx, data, c.Net.Self(), times) {
		return nil
	}
	return c.Net.Publish(ctx, topic(e.Shard), data)
}

// handOn gives an envelope to so many neighbours, of whom none is the one it came from, to be
// published. It tells whether one took it.
func (c *Carrier) handOn(ctx context.Context, data []byte, from transport.ID, most int) bool {
	taken := 0
	for _, p := range c.neighbours(most + 4) {
		if p == from {
			continue
		}
		if answer, err := c.ask(ctx, p, protocolStem, data, 1); err == nil && len(answer) == 1 {
			if taken++; taken == most {
				break
			}
		}
	}
	return taken > 0
}

// neighbours are some connected peers, drawn at random.
func (c *Carrier) neighbours(n int) []transport.ID {
	peers := c.Net.Peers()
	for i := range peers {
		k := i + int(c.draw(uint64(len(peers)-i)))
		peers[i], peers[k] = peers[k], peers[i]
	}
	return peers[:min(n, len(peers))]
}

// ask puts one request to a peer.
func (c *Carrier) ask(ctx context.Context, p transport.ID, protocol string, request []byte, most int) ([]byte, error) {
	s, err := c.Net.Stream(ctx, p, protocol)
	if err != nil {
		return nil, err
	}
	defer s.Close() //nolint:errcheck // the answer is here by then
	if err := s.SetDeadline(time.Now().Add(streamTime)); err != nil {
		return nil, err
	}
	if _, err := s.Write(request); err != nil {
		return nil, err
	}
	if err := s.CloseWrite(); err != nil {
		return nil, err
	}
	return readAll(s, most)
}

// readAll reads to the end, but no more than is allowed.
func readAll(r io.Reader, most int) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, int64(most)+1))
	if err != nil {
		return nil, err
	}
	if len(data) > most {
		return nil, errWire
	}
	return data, nil
}

// syncAlways asks others, from time to time, for what was missed.
func (c *Carrier) syncAlways(ctx context.Context) {
	every := syncLight
	if c.Full {
		every = syncEvery
	}
	for {
		wait, answered := syncAgain, 0
		for _, p := range c.neighbours(8) {
			err := c.sync(ctx, p)
			if err == nil {
				wait = every*3/4 + c.wait(every/2)
				if answered++; answered == syncOf {
					break
				}
				continue
			}
			c.Log.DebugContext(ctx, "a peer was asked for mail in vain", slog.String("peer", p.String()), slog.Any("error", err))
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		case <-c.hear:
		}
	}
}

// sync gets from a full carrier what is missing here: for a full carrier all, for a light
// one what its mailboxes want, among other things that they do not.
func (c *Carrier) sync(ctx context.Context, p transport.ID) error {
	ctx, cancel := context.WithTimeout(ctx, syncTime)
	defer cancel()
	from, to := c.now()+1, c.now()+mail.Retention
	answer, err := c.ask(ctx, p, protocolSums, appendSumsRequest(nil, from, to), mostSums)
	if err != nil {
		return err
	}
	theirs, err := parseSums(answer, int(to-from)+1)
	if err != nil {
		return err
	}
	known, wishes := c.compare(p, from, to)
	for i, s := range theirs {
		if s.count == 0 || i < len(known) && s == known[i] {
			continue
		}
		if err := c.syncHour(ctx, p, from+mail.Hour(i)); err != nil {
			return err
		}
	}
	c.remember(p, from, theirs, wishes)
	return nil
}

// compare is what the peer's sums are held against: one's own, or, of who has not all, those
// that the peer had when he was asked last.
func (c *Carrier) compare(p transport.ID, from, to mail.Hour) (known []sum, wishes int) {
	if c.Full {
		return c.keep.sums(from, to), 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.asked[p]
	return old[min(len(old), int(from-c.askedH)):], c.wishes
}

func (c *Carrier) remember(p transport.ID, from mail.Hour, sums []sum, wishes int) {
	if c.Full {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if wishes != c.wishes {
		return // something else is wanted by now
	}
	if c.askedH != from {
		for q, old := range c.asked {
			c.asked[q] = old[min(len(old), int(from-c.askedH)):]
		}
		c.askedH = from
	}
	if len(c.asked) >= mostAsked {
		clear(c.asked)
	}
	c.asked[p] = sums
}

// syncHour gets what is wanted of one hour.
func (c *Carrier) syncHour(ctx context.Context, p transport.ID, h mail.Hour) error {
	after := key{hour: h}
	for {
		answer, err := c.ask(ctx, p, protocolList, after.append(nil), mostEntries*entrySize)
		if err != nil {
			return err
		}
		entries, err := parseList(answer, after)
		if err != nil {
			return err
		}
		if err := c.get(ctx, p, c.choose(entries)); err != nil {
			return err
		}
		if len(entries) < mostEntries {
			return nil
		}
		after = entries[len(entries)-1].key
	}
}

// choose picks what to ask for out of a list, in no order that says anything.
func (c *Carrier) choose(entries []entry) []key {
	var wanted, others []key
	c.mu.Lock()
	boxes := c.boxes
	c.mu.Unlock()
	for _, e := range entries {
		if c.keep.hasShort(e.key.hour, e.key.id) {
			continue
		}
		want := c.Full
		for _, box := range boxes {
			want = want || box.wants(e.kind, e.key.tag)
		}
		if want {
			wanted = append(wanted, e.key)
		} else {
			others = append(others, e.key)
		}
	}
	if !c.Full {
		c.shuffle(others)
		cover := max(coverLeast, coverTimes*len(wanted)) - len(wanted)
		wanted = append(wanted, others[:min(cover, len(others))]...)
	}
	c.shuffle(wanted)
	return wanted
}

func (c *Carrier) shuffle(keys []key) {
	for i := range keys {
		k := i + int(c.draw(uint64(len(keys)-i)))
		keys[i], keys[k] = keys[k], keys[i]
	}
}

// get asks for envelopes and takes those that are good.
func (c *Carrier) get(ctx context.Context, p transport.ID, keys []key) error {
	for len(keys) > 0 {
		n := min(mostKeys, len(keys))
		var request []byte
		for _, k := range keys[:n] {
			request = k.append(request)
		}
		keys = keys[n:]
		answer, err := c.ask(ctx, p, protocolGet, request, mostGot)
		if err != nil {
			return err
		}
		envelopes, err := parseGot(answer)
		if err != nil {
			return err
		}
		for _, data := range envelopes {
			e, drop := mail.Check(data, c.now(), c.Price, c.keep.has)
			if drop != mail.Kept {
				c.drops[drop].Add(1)
				if drop.Guilty() {
					return fmt.Errorf("an envelope is dropped for its %v", drop)
				}
				continue
			}
			if c.take(&e, data) {
				c.others[countFetched].Add(1)
			}
		}
	}
	return nil
}
