package api

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"souk/exchange"
	"souk/identity"
)

// ErrToken is returned for a read token that is not written as it must be.
var ErrToken = errors.New("malformed read token")

// ReadToken is what a signed read carries in ReadHeader: who asks, about which
// account, and when (H-20). It is good for one path and query, for a minute.
type ReadToken struct {
	Address   identity.Address   // the account to be read
	Key       identity.PublicKey // its owner's key or a delegate's
	Time      uint64             // ms, the asker's clock
	Signature identity.Signature
}

// Limits of what a read token signs.
const (
	maxMethod = 16
	maxTarget = 8 << 10
)

// readPrefix is what every token of this form begins with.
const readPrefix = "v1 "

// SignRead makes a token. target is the path from "/v1" on and, if there is one,
// "?" and the query, as they stand in the request line.
func SignRead(vs exchange.ID, account identity.Address, key identity.PrivateKey, now uint64, method, target string) ReadToken {
	t := ReadToken{Address: account, Key: key.Public(), Time: now}
	t.Signature = key.SignRaw(t.signBytes(vs, method, target))
	return t
}

// Verify tells whether the token was signed by its key for this request. Whether
// the key may read the account, and whether the time is now, is for the server to
// judge.
func (t *ReadToken) Verify(vs exchange.ID, method, target string) bool {
	if len(method) > maxMethod || len(target) > maxTarget {
		return false
	}
	return t.Key.VerifyRaw(t.signBytes(vs, method, target), t.Signature)
}

// signBytes are tag, virtual server, account, time, and method and target behind
// their lengths (H-21).
func (t *ReadToken) signBytes(vs exchange.ID, method, target string) []byte {
	b := identity.AppendTag(make([]byte, 0, 128+len(target)), identity.TagRead)
	b = append(b, vs[:]...)
	b = append(b, t.Address[:]...)
	b = binary.BigEndian.AppendUint64(b, t.Time)
	b = append(b, byte(len(method)))
	b = append(b, method...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(target))) // longer ones do not verify
	return append(b, target...)
}

// String is the token as it stands in the header:
//
//	v1 address=souk1...;key=<64 hex>;time=<ms>;signature=<128 hex>
func (t *ReadToken) String() string {
	return readPrefix + "address=" + t.Address.String() + ";key=" + t.Key.String() +
		";time=" + strconv.FormatUint(t.Time, 10) + ";signature=" + t.Signature.String()
}

// ParseReadToken reads what String writes, and nothing else. It returns ErrToken
// with the reason.
func ParseReadToken(s string) (ReadToken, error) {
	var t ReadToken
	rest, ok := strings.CutPrefix(s, readPrefix)
	if !ok {
		return ReadToken{}, fmt.Errorf("it does not begin with %q: %w", readPrefix, ErrToken)
	}
	parts := strings.Split(rest, ";")
	names := []string{"address", "key", "time", "signature"}
	if len(parts) != len(names) {
		return ReadToken{}, fmt.Errorf("it has %d fields, not %d: %w", len(parts), len(names), ErrToken)
	}
	values := make([]string, len(names))
	for i, n := range names {
		v, ok := strings.CutPrefix(parts[i], n+"=")
		if !ok {
			return ReadToken{}, fmt.Errorf("field %d is not %s: %w", i+1, n, ErrToken)
		}
		values[i] = v
	}
	var err error
	if t.Address, err = identity.ParseAddress(values[0]); err != nil || values[0] != t.Address.String() {
		return ReadToken{}, fmt.Errorf("the address is not an address in lower case: %w", ErrToken)
	}
	if t.Key, err = identity.ParsePublicKey(values[1]); err != nil {
		return ReadToken{}, fmt.Errorf("the key is not a public key: %w", ErrToken)
	}
	if t.Time, err = strconv.ParseUint(values[2], 10, 53); err != nil || values[2] != strconv.FormatUint(t.Time, 10) {
		return ReadToken{}, fmt.Errorf("the time is not a number of milliseconds: %w", ErrToken)
	}
	if t.Signature, err = identity.ParseSignature(values[3]); err != nil {
		return ReadToken{}, fmt.Errorf("the signature is not 128 hexadecimal digits: %w", ErrToken)
	}
	return t, nil
}
