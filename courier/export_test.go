package courier

import "souk/mail"

// Names of the streams.
const (
	ProtocolSums = protocolSums
	ProtocolList = protocolList
	ProtocolGet  = protocolGet
	ProtocolStem = protocolStem
)

// Decoders of what comes over streams: each answers what it read, encoded again.
var Decoders = map[string]func(b []byte) ([]byte, error){
	"sums request": func(b []byte) ([]byte, error) {
		from, to, err := parseSumsRequest(b)
		return appendSumsRequest(nil, from, to), err
	},
	"sums": func(b []byte) ([]byte, error) {
		sums, err := parseSums(b, len(b)/sumSize)
		return appendSums(nil, sums), err
	},
	"list request": func(b []byte) ([]byte, error) {
		k, err := parseListRequest(b)
		return k.append(nil), err
	},
	"list": func(b []byte) (out []byte, err error) {
		list, err := parseList(b, key{hour: 7})
		for _, e := range list {
			out = appendEntry(out, e)
		}
		return out, err
	},
	"get request": func(b []byte) (out []byte, err error) {
		keys, err := parseGetRequest(b)
		for _, k := range keys {
			out = k.append(out)
		}
		return out, err
	},
	"got": func(b []byte) (out []byte, err error) {
		all, err := parseGot(b)
		for _, data := range all {
			out = appendGot(out, data)
		}
		return out, err
	},
}

// SumsOf encodes sums that claim count envelopes for each of n hours.
func SumsOf(n int, count uint32) []byte {
	sums := make([]sum, n)
	for i := range sums {
		sums[i].count = count
	}
	return appendSums(nil, sums)
}

// ListOf encodes a list of envelopes that are made up.
func ListOf(n int) (out []byte) {
	for i := range n {
		out = appendEntry(out, entry{kind: mail.Tagged, key: key{tag: mail.Tag{0: 1, 15: byte(i)}}})
	}
	return out
}

// GotOf encodes envelopes.
func GotOf(envelopes ...[]byte) (out []byte) {
	for _, data := range envelopes {
		out = appendGot(out, data)
	}
	return out
}

// OpenRecord reads a record of a mailbox with keys.
func OpenRecord(k *MailKeys, name, data []byte) error {
	_, _, err := newRecords(nil, k, nil).open(name, data)
	return err
}
