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

	"souk/consensus"
	"souk/exchange"
	"souk/merkle"
)

// exportMagic is what a file of S-25 begins with.
const exportMagic = "souk export 2\n"

const (
	exportContractMost = 1 << 20
	exportValueMost    = 1 << 20
	exportProofMost    = 1 << 28
	exportEnd          = 0 // no leaf follows, but the hash
	exportLeaf         = 1
)

// Errors of exports.
var (
	// ErrExport is returned for bytes that are not a whole export.
	ErrExport = errors.New("not an export of a virtual server")
	// ErrUnproven is returned for an export whose state the members have not signed.
	ErrUnproven = errors.New("the state of this export is not proven")
)

// Prover makes the proof of the newest block, which has a height.
type Prover func(height uint64) ([]byte, error)

// Verifier verifies such a proof, by the founding contract and nothing else.
type Verifier func(f *exchange.Founding, proof []byte) (consensus.Proven, error)

// Export is a state with its founding contract, the newest block, and the proof of
// both, in a file. State is what it stands for: that after the newest block.
type Export struct {
	Founding *exchange.Founding
	Height   uint64           // the leaves are the state after this block
	Root     merkle.Hash      // and this is their root; the newest block's header holds it
	Proof    []byte           // of the newest block, which is Height+1
	Newest   consensus.Proven // what it proves; set by ReadExport only
	Leaves   uint64           // set by Replica.Export only

	in   *bufio.Reader
	hash hash.Hash // of all that was read
	err  error
}

// Export writes the stored state, and what prove proves of the block after it. It may
// be called while blocks are executed, and without an engine.
func (r *Replica) Export(w io.Writer, prove Prover) (*Export, error) {
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
	if e.Proof, err = prove(at.Height + 1); err != nil {
		return nil, err
	}
	out := bufio.NewWriterSize(w, 1<<18)
	sum := io.MultiWriter(out, e.hash)
	buf := appendSized([]byte(exportMagic), e.Founding.Append(nil))
	buf = binary.BigEndian.AppendUint64(buf, e.Height)
	buf = appendSized(append(buf, e.Root[:]...), e.Proof)
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

// appendSized appends bytes behind their length.
func appendSized(dst, b []byte) []byte {
	return append(binary.BigEndian.AppendUint32(dst, uint32(len(b))), b...)
}

// ReadExport reads what Export wrote, up to the leaves, and verifies its proof. Its
// error matches ErrExport if the file is not one, and ErrUnproven if the proof is none,
// or not that of a block whose header holds the root that the file names.
func ReadExport(r io.Reader, verify Verifier) (*Export, error) {
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
	e.Proof = e.read(int(e.uint32(exportProofMost)))
	if e.err != nil {
		return nil, fmt.Errorf("%w: %w", ErrExport, e.err)
	}
	var err error
	if e.Newest, err = verify(e.Founding, e.Proof); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnproven, err)
	}
	switch {
	case e.Newest.Block.Height != e.Height+1:
		return nil, fmt.Errorf("%w: it is said to be that after block %d, and the proof is for block %d", ErrUnproven, e.Height, e.Newest.Block.Height)
	case e.Newest.Root != e.Root:
		return nil, fmt.Errorf("%w: its root is said to be %s, and the members have signed %s", ErrUnproven, e.Root, e.Newest.Root)
	}
	return e, nil
}

// State is what the export stands for: the state of the leaves, whose root must be
// the one that is signed, with the newest block executed on it. It reads the file to
// its end, and can be called once. Errors match ErrExport or ErrUnproven, or tell why
// this program cannot execute the block.
func (e *Export) State() (*exchange.State, error) {
	state, err := exchange.Load(e.Founding, e.ReadLeaves())
	switch {
	case e.Err() != nil:
		return nil, e.Err()
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrUnproven, err)
	case state.Root() != e.Root:
		return nil, fmt.Errorf("%w: its leaves have the root %s, and the members have signed %s: somebody has changed them", ErrUnproven, state.Root(), e.Root)
	}
	b := &e.Newest.Block
	if err := knowsVersion(state, b.Height); err != nil {
		return nil, err
	}
	block, err := readBlock(state.ID(), b)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnproven, err)
	}
	if len(b.Payloads) == 0 {
		block.Time = state.Time() // it has none of its own (K-8)
	}
	state.Apply(block)
	return state, nil
}

// readBlock makes the exchange's block of a decided one, as Replica.decode does.
func readBlock(id exchange.ID, b *consensus.Block) (*exchange.Block, error) {
	block := &exchange.Block{Height: b.Height, Proposer: b.Proposer, Missed: b.Missed}
	for _, m := range b.Evidence {
		block.Evidence = append(block.Evidence, m.Key)
	}
	if len(b.Payloads) == 0 {
		return block, nil
	}
	var err error
	if block.Time, err = ParseClock(b.Payloads[0]); err != nil {
		return nil, err
	}
	for _, p := range b.Payloads[1:] {
		batch, err := ParseBatch(id, p)
		if err != nil {
			return nil, err
		}
		block.Commands = append(block.Commands, batch.Commands...)
	}
	return block, nil
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
	var b bytes.Buffer // grows with what is there: a length is only a claim
	b.Grow(min(n, exportValueMost))
	if _, e.err = io.CopyN(&b, e.in, int64(n)); e.err != nil {
		return nil
	}
	e.hash.Write(b.Bytes())
	return b.Bytes()
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
