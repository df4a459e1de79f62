package replica

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"iter"

	"souk/exchange"
	"souk/merkle"
)

// exportMagic is what a file of S-25 begins with.
const exportMagic = "souk export 1\n"

const (
	exportContractMost = 1 << 20
	exportValueMost    = 1 << 20
	exportEnd          = 0 // no leaf follows, but the hash
	exportLeaf         = 1
)

// ErrExport is returned for bytes that are not a whole export.
var ErrExport = errors.New("not an export of a virtual server")

// Export is a whole state with its founding contract, in a file.
type Export struct {
	Founding *exchange.Founding
	Height   uint64 // the state is that after this block; the next header holds Root
	Root     merkle.Hash
	Leaves   uint64 // set by Replica.Export only

	in   *bufio.Reader
	hash hash.Hash // of all that was read
	err  error
}

// Export writes the stored state. That is one that a signed header confirms, for
// the newest block is not stored. It may be called while blocks are executed, and
// without an engine.
func (r *Replica) Export(w io.Writer) (*Export, error) {
	if err := r.usable(); err != nil && !errors.Is(err, ErrClosed) {
		return nil, err
	}
	s, err := r.writer.freeze()
	if err != nil {
		return nil, err
	}
	defer s.Close() //nolint:errcheck // it is only read
	value, err := s.Get([]byte{keyMeta})
	if err != nil {
		return nil, err
	}
	at, err := parseMeta(value)
	if err != nil {
		return nil, err
	}
	e := &Export{Founding: r.config.Founding, Height: at.Height, Root: at.Root, hash: sha256.New()}
	out := bufio.NewWriterSize(w, 1<<18)
	sum := io.MultiWriter(out, e.hash)
	contract := e.Founding.Append(nil)
	buf := append([]byte(exportMagic), binary.BigEndian.AppendUint32(nil, uint32(len(contract)))...)
	buf = binary.BigEndian.AppendUint64(append(buf, contract...), e.Height)
	buf = append(buf, e.Root[:]...)
	var scanned error
	for k, value := range storedLeaves(s, &scanned) {
		if _, err := sum.Write(buf); err != nil {
			return nil, err
		}
		buf = appendLeaf(append(buf[:0], exportLeaf), &k, value)
		e.Leaves++
	}
	if scanned != nil {
		return nil, scanned
	}
	if _, err := sum.Write(append(buf, exportEnd)); err != nil {
		return nil, err
	}
	if _, err := out.Write(e.hash.Sum(nil)); err != nil {
		return nil, err
	}
	return e, out.Flush()
}

// ReadExport reads what Export wrote, up to the leaves. Its error matches
// ErrExport if the file is not one.
func ReadExport(r io.Reader) (*Export, error) {
	e := &Export{in: bufio.NewReaderSize(r, 1<<18), hash: sha256.New()}
	magic := e.read(len(exportMagic))
	if e.err == nil && !bytes.Equal(magic, []byte(exportMagic)) {
		return nil, ErrExport
	}
	contract := e.read(int(e.uint32(exportContractMost)))
	if head := e.read(8 + len(merkle.Hash{})); e.err == nil {
		e.Height, e.Root = binary.BigEndian.Uint64(head), merkle.Hash(head[8:])
		e.Founding, e.err = exchange.ParseFounding(contract)
	}
	if e.err != nil {
		return nil, fmt.Errorf("%w: %w", ErrExport, e.err)
	}
	return e, nil
}

// ReadLeaves yields the leaves in order of keys, once, and reads the file to its
// end. The values are valid during the call only. Err must be asked afterwards.
func (e *Export) ReadLeaves() iter.Seq2[merkle.Key, []byte] {
	return func(yield func(merkle.Key, []byte) bool) {
		var last *merkle.Key
		for {
			kind := e.read(1)
			if e.err != nil || kind[0] == exportEnd {
				e.finish()
				return
			}
			k := e.read(len(merkle.Key{}))
			value := e.read(int(e.uint32(exportValueMost)))
			if e.err != nil {
				return
			}
			key := merkle.Key(k)
			if kind[0] != exportLeaf || last != nil && last.Compare(key) >= 0 {
				e.err = errors.New("leaves are out of order")
				return
			}
			last = &key
			if !yield(key, value) {
				e.err = errors.New("not read to the end")
				return
			}
		}
	}
}

// finish checks what stands behind the last leaf.
func (e *Export) finish() {
	if e.err != nil {
		return
	}
	want := e.hash.Sum(nil)
	got := e.read(sha256.Size)
	if e.err == nil && !bytes.Equal(got, want) {
		e.err = errors.New("its hash does not match its content")
	}
	if _, err := e.in.ReadByte(); e.err == nil && !errors.Is(err, io.EOF) {
		e.err = errors.New("something follows the hash")
	}
}

// Err is why ReadLeaves ended early; nil if the file is whole. It matches ErrExport.
func (e *Export) Err() error {
	if e.err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrExport, e.err)
}

// read reads n bytes, which are valid until the next call; nothing after an error.
func (e *Export) read(n int) []byte {
	if e.err != nil {
		return nil
	}
	b := make([]byte, n)
	if _, e.err = io.ReadFull(e.in, b); e.err != nil {
		return nil
	}
	e.hash.Write(b)
	return b
}

func (e *Export) uint32(most uint32) uint32 {
	b := e.read(4)
	if e.err != nil {
		return 0
	}
	n := binary.BigEndian.Uint32(b)
	if n > most {
		e.err = fmt.Errorf("%d bytes of one thing, at most %d are possible", n, most)
		return 0
	}
	return n
}
