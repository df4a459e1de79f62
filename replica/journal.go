package replica

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"souk/store"
)

// What is to be written of a block may be more than a batch of the store should
// hold. Then it is put down as a journal first, which takes any number of batches,
// and carried out from there, in any number again. A start after a crash carries
// out a journal that is whole from its beginning, which does no harm to what was
// carried out already, and forgets one that is not (S-16). The order in which the
// store makes batches durable (D-11) does the rest: no batch of the second half
// survives without all of the first.

// sink takes writes: a batch of the store, or a journal.
type sink interface {
	Set(key, value []byte)
	Delete(key []byte)
	DeleteRange(from, to []byte)
}

// journalPiece is the size of a journal's pieces, if batches are not smaller.
const journalPiece = 1 << 20

// Kinds of a journal's entries. Each is followed by the length of the key (2), the
// key, the length of the value (4) and the value; a deletion has none, and that of a
// range has its end instead.
const (
	journalSet         = 1
	journalDelete      = 2
	journalDeleteRange = 3
)

// journal is a sink that keeps what it takes in the store, in pieces, where it has
// no effect. Pieces are cut anywhere.
type journal struct {
	store  store.Store
	limit  int // bytes of a batch
	batch  store.Batch
	buf    []byte // behind the last piece
	pieces uint32
	size   int // of all keys and values
	err    error
}

func newJournal(s store.Store, limit int) *journal {
	return &journal{store: s, limit: limit, batch: s.NewBatch()}
}

func (j *journal) Set(key, value []byte) { j.put(journalSet, key, value) }

func (j *journal) Delete(key []byte) { j.put(journalDelete, key, nil) }

// DeleteRange needs a range with two ends.
func (j *journal) DeleteRange(from, to []byte) { j.put(journalDeleteRange, from, to) }

func (j *journal) put(kind byte, key, value []byte) {
	j.size += len(key) + len(value)
	j.buf = binary.BigEndian.AppendUint16(append(j.buf, kind), uint16(len(key)))
	j.buf = binary.BigEndian.AppendUint32(append(j.buf, key...), uint32(len(value)))
	j.buf = append(j.buf, value...)
	piece, from := min(journalPiece, j.limit/2), 0
	for ; len(j.buf)-from >= piece; from += piece {
		j.cut(j.buf[from : from+piece])
	}
	j.buf = append(j.buf[:0], j.buf[from:]...)
}

// cut stores the next piece.
func (j *journal) cut(piece []byte) {
	if j.err == nil && j.batch.Len() > 0 && j.batch.Len()+len(piece) > j.limit {
		j.err = j.batch.Commit(false)
		j.batch = j.store.NewBatch()
	}
	j.batch.Set(journalKey(j.pieces), piece)
	j.pieces++
}

// close makes the journal whole: from now on it will be carried out, if it survives.
func (j *journal) close() error {
	if len(j.buf) > 0 {
		j.cut(j.buf)
	}
	if j.err != nil {
		return j.err
	}
	j.batch.Set([]byte{keyJournal}, binary.BigEndian.AppendUint32(nil, j.pieces))
	return j.batch.Commit(false)
}

// carryOut does what the store's journal says, if it is whole, in batches of about so
// many bytes, and removes it. When it returns that is durable.
func carryOut(s store.Store, limit int) error {
	in := &journalReader{store: s}
	value, err := s.Get([]byte{keyJournal})
	switch {
	case errors.Is(err, store.ErrNotFound):
		return forgetJournal(s)
	case err != nil:
		return err
	case len(value) != 4:
		return fmt.Errorf("%w: a journal: %w", ErrStore, errValue)
	}
	in.pieces = binary.BigEndian.Uint32(value)
	b := s.NewBatch()
	for in.more() {
		kind, key, value := in.next()
		if in.err != nil {
			break
		}
		if b.Len() > 0 && b.Len()+len(key)+len(value) > limit {
			if err := b.Commit(false); err != nil {
				return err
			}
			b = s.NewBatch()
		}
		switch kind {
		case journalSet:
			b.Set(key, value)
		case journalDelete:
			b.Delete(key)
		case journalDeleteRange:
			b.DeleteRange(key, value)
		default:
			in.err = errValue
		}
	}
	if in.err != nil {
		return fmt.Errorf("%w: a journal: %w", ErrStore, in.err)
	}
	// Together with the last entry, which is the new position.
	b.DeleteRange([]byte{keyJournal}, []byte{keyJournal + 1})
	return b.Commit(true)
}

// forgetJournal removes the pieces of a journal that was never whole.
func forgetJournal(s store.Store) error {
	some := false
	err := s.Scan([]byte{keyJournal}, []byte{keyJournal + 1}, func(_, _ []byte) bool {
		some = true
		return false
	})
	if err != nil || !some {
		return err
	}
	b := s.NewBatch()
	b.DeleteRange([]byte{keyJournal}, []byte{keyJournal + 1})
	return b.Commit(false)
}

// journalReader reads the entries of a whole journal.
type journalReader struct {
	store  store.Store
	pieces uint32
	number uint32 // of the next piece
	buf    []byte // read and not used yet
	err    error
}

func (r *journalReader) more() bool { return r.err == nil && (len(r.buf) > 0 || r.number < r.pieces) }

// next is the next entry; its slices stay valid.
func (r *journalReader) next() (kind byte, key, value []byte) {
	if head := r.read(3); head != nil {
		kind, key = head[0], r.read(int(binary.BigEndian.Uint16(head[1:])))
	}
	if size := r.read(4); size != nil {
		value = r.read(int(binary.BigEndian.Uint32(size)))
	}
	return kind, key, value
}

// read is the next n bytes; nil after an error.
func (r *journalReader) read(n int) []byte {
	for r.err == nil && len(r.buf) < n {
		if r.number == r.pieces || n > store.MaxValue {
			r.err = errValue
			break
		}
		var piece []byte
		if piece, r.err = r.store.Get(journalKey(r.number)); r.err == nil {
			r.buf = append(bytes.Clone(r.buf), piece...)
			r.number++
		}
	}
	if r.err != nil {
		return nil
	}
	out := r.buf[:n:n]
	r.buf = r.buf[n:]
	return out
}
