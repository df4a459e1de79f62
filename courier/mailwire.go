package courier

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"

	"souk/mail"
)

// Protocols of streams (O-70 to O-73). Each has one request, which the asking side ends
// by closing its direction, and one answer, which ends with the stream.
const (
	protocolSums = "/souk/mail/sums/1" // what there is, by hour
	protocolList = "/souk/mail/list/1" // the tags of one hour
	protocolGet  = "/souk/mail/get/1"  // envelopes
	protocolStem = "/souk/mail/stem/1" // one envelope, to be published by somebody else
)

// Bounds of requests and answers.
const (
	mostEntries = 4096 // of a list's answer
	mostKeys    = 64   // of a request for envelopes
	sumSize     = 4 + 16
	entrySize   = 1 + 1 + 16 + 16
	keySize     = 4 + 16 + 16
	listRequest = keySize
	sumsRequest = 4 + 4
	mostSums    = int(mail.Retention) * sumSize
	mostGot     = mostKeys * (2 + mail.SizeLarge)
)

// errWire is returned for what is not the one encoding of a request or an answer.
var errWire = errors.New("malformed request or answer")

// shortID is the first half of an envelope's id, which is what lists have.
type shortID [16]byte

func short(id mail.ID) shortID { return shortID(id[:16]) }

// key names one envelope among all that are kept.
type key struct {
	hour mail.Hour
	tag  mail.Tag
	id   shortID
}

func (k key) append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(k.hour))
	dst = append(dst, k.tag[:]...)
	return append(dst, k.id[:]...)
}

// parseKey reads a key of keySize bytes.
func parseKey(b []byte) key {
	return key{mail.Hour(binary.BigEndian.Uint32(b)), mail.Tag(b[4:20]), shortID(b[20:36])}
}

// sum is what is kept of one hour: how many envelopes, and all their ids added without carry.
type sum struct {
	count  uint32
	digest shortID
}

// parseSumsRequest reads from which hour to which, that one included, sums are asked for.
func parseSumsRequest(b []byte) (from, to mail.Hour, err error) {
	if len(b) != sumsRequest {
		return 0, 0, errWire
	}
	from, to = mail.Hour(binary.BigEndian.Uint32(b)), mail.Hour(binary.BigEndian.Uint32(b[4:]))
	if from > to || to-from >= mail.Retention {
		return 0, 0, errWire
	}
	return from, to, nil
}

func appendSumsRequest(dst []byte, from, to mail.Hour) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(dst, uint32(from)), uint32(to))
}

func appendSums(dst []byte, sums []sum) []byte {
	for _, s := range sums {
		dst = append(binary.BigEndian.AppendUint32(dst, s.count), s.digest[:]...)
	}
	return dst
}

// parseSums reads the sums of n hours.
func parseSums(b []byte, n int) ([]sum, error) {
	if len(b) != n*sumSize {
		return nil, fmt.Errorf("sums of %d bytes: %w", len(b), errWire)
	}
	sums := make([]sum, n)
	for i := range sums {
		sums[i] = sum{binary.BigEndian.Uint32(b), shortID(b[4:20])}
		b = b[sumSize:]
	}
	return sums, nil
}

// parseListRequest reads which hour is asked for, and after which key.
func parseListRequest(b []byte) (key, error) {
	if len(b) != listRequest {
		return key{}, errWire
	}
	return parseKey(b), nil
}

// entry is what a list says of an envelope.
type entry struct {
	shard uint8
	kind  mail.Kind
	key   key
}

func appendEntry(dst []byte, e entry) []byte {
	dst = append(dst, e.shard, byte(e.kind))
	dst = append(dst, e.key.tag[:]...)
	return append(dst, e.key.id[:]...)
}

// parseList reads the list of what comes after a key, in order.
func parseList(b []byte, after key) ([]entry, error) {
	if len(b)%entrySize != 0 || len(b) > mostEntries*entrySize {
		return nil, fmt.Errorf("list of %d bytes: %w", len(b), errWire)
	}
	last := after
	list := make([]entry, 0, len(b)/entrySize)
	for ; len(b) > 0; b = b[entrySize:] {
		e := entry{b[0], mail.Kind(b[1]), key{after.hour, mail.Tag(b[2:18]), shortID(b[18:34])}}
		if string(e.key.append(nil)) <= string(last.append(nil)) || e.shard >= mail.Shards || e.kind != mail.Tagged && e.kind != mail.Hello {
			return nil, fmt.Errorf("list: %w", errWire)
		}
		last = e.key
		list = append(list, e)
	}
	return list, nil
}

// parseGetRequest reads which envelopes are asked for.
func parseGetRequest(b []byte) ([]key, error) {
	if len(b) == 0 || len(b)%keySize != 0 || len(b) > mostKeys*keySize {
		return nil, errWire
	}
	var keys []key
	for ; len(b) > 0; b = b[keySize:] {
		keys = append(keys, parseKey(b))
	}
	return keys, nil
}

func appendGot(dst, envelope []byte) []byte {
	return append(binary.BigEndian.AppendUint16(dst, uint16(len(envelope))), envelope...)
}

// parseGot reads envelopes, which nobody has checked yet.
func parseGot(b []byte) ([][]byte, error) {
	s := cryptobyte.String(b)
	var all [][]byte
	for len(s) > 0 {
		var e cryptobyte.String
		if !s.ReadUint16LengthPrefixed(&e) || len(e) == 0 || len(all) == mostKeys {
			return nil, fmt.Errorf("answer with envelopes: %w", errWire)
		}
		all = append(all, e)
	}
	return all, nil
}
