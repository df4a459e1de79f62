package mail

import (
	"crypto/sha256"
	"encoding/binary"
)

// Sizes of envelopes in bytes. There are no others, so that a size says little.
const (
	SizeSmall  = 1 << 10
	SizeMedium = 4 << 10
	SizeLarge  = 16 << 10 // what a transport carries at most
)

// Kind is how an envelope is addressed.
type Kind uint8

// Kinds of envelopes.
const (
	Tagged Kind = 1 // by a tag that its reader expects
	Hello  Kind = 2 // to a bucket, for somebody who expects nothing: a first letter
)

const (
	version    = 1
	headerSize = 1 + 1 + 1 + 16 + 32 + 4 // version, kind, shard, tag, ephemeral key, expiry
	stampSize  = 8
	sealSize   = 16 // what XChaCha20-Poly1305 adds
)

// Envelope is what goes over the network. Its header is all that is not encrypted.
type Envelope struct {
	Kind      Kind
	Shard     uint8 // below Shards
	Tag       Tag   // of a Hello: the bucket and zeros
	Ephemeral PublicKey
	Expiry    Hour   // the first hour in which it is not kept any more
	Sealed    []byte // fills one of the three sizes
	Stamp     uint64
}

// Bucket is where a Hello goes.
func (e *Envelope) Bucket() uint8 { return e.Tag[0] }

// BucketTag is the tag of every Hello to a bucket.
func BucketTag(bucket uint8) Tag { return Tag{bucket} }

// sizeFits tells whether an envelope may have a size.
func sizeFits(n int) bool { return n == SizeSmall || n == SizeMedium || n == SizeLarge }

// ParseEnvelope reads the one encoding of an envelope. Sealed is a part of data.
func ParseEnvelope(data []byte) (Envelope, error) {
	if !sizeFits(len(data)) || data[0] != version {
		return Envelope{}, ErrForm
	}
	end := len(data) - stampSize
	e := Envelope{
		Kind: Kind(data[1]), Shard: data[2], Tag: Tag(data[3:19]), Ephemeral: PublicKey(data[19:51]),
		Expiry: Hour(binary.BigEndian.Uint32(data[51:])), Sealed: data[headerSize:end:end], Stamp: binary.BigEndian.Uint64(data[end:]),
	}
	if e.Shard >= Shards || e.Kind != Tagged && e.Kind != Hello || e.Kind == Hello && e.Tag != BucketTag(e.Bucket()) {
		return Envelope{}, ErrForm
	}
	return e, nil
}

// header is what of an envelope is bound to what is encrypted in it.
func (e *Envelope) header() []byte {
	h := make([]byte, 0, SizeSmall)
	h = append(h, version, byte(e.Kind), e.Shard)
	h = append(h, e.Tag[:]...)
	h = append(h, e.Ephemeral[:]...)
	return binary.BigEndian.AppendUint32(h, uint32(e.Expiry))
}

// Append appends the envelope's encoding.
func (e *Envelope) Append(dst []byte) []byte {
	dst = append(dst, e.header()...)
	dst = append(dst, e.Sealed...)
	return binary.BigEndian.AppendUint64(dst, e.Stamp)
}

// IDOf is the id of an encoded envelope.
func IDOf(data []byte) ID { return sha256.Sum256(data[:max(0, len(data)-stampSize)]) }

// PutStamp writes a stamp into an encoded envelope.
func PutStamp(data []byte, stamp uint64) {
	binary.BigEndian.PutUint64(data[len(data)-stampSize:], stamp)
}
