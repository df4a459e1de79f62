package comet

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// ErrSignLog is returned when the record of what a consensus key has signed is
// damaged in a way that no crash explains. The key must not be used again: give
// the server a new consensus key.
var ErrSignLog = errors.New("record of signatures is damaged")

// The sign log is one file of slots that are written in turn, each whole and
// synced before the signature it tells of leaves the process. A slot is a page,
// the unit that disks tear, so that a write in flight can spoil no other slot.
// The file never grows, so that a write needs no journal entry of the file system.
const (
	slotSize  = 4096
	slotCount = 16
	slotHead  = 8 + 8 + 8 + 4 + 1 + 2 // magic, sequence, height, round, step, length of what was signed
	slotTail  = sha256.Size
	signedMax = 1024 // a vote or proposal as signed is about 130 bytes
	sigSize   = 64
	signMagic = "souksig1"
)

// mark is the newest thing that a key has signed.
type mark struct {
	height int64
	round  int32
	step   int8   // stepPropose, stepPrevote or stepPrecommit; zero: nothing signed yet
	signed []byte // as CometBFT encodes it for signing
	sig    []byte
}

// compare orders marks by height, round and step.
func (m *mark) compare(height int64, round int32, step int8) int {
	switch {
	case m.height != height:
		return sign(m.height - height)
	case m.round != round:
		return sign(int64(m.round) - int64(round))
	default:
		return sign(int64(m.step) - int64(step))
	}
}

// sign is -1, 0 or 1.
func sign(d int64) int {
	switch {
	case d < 0:
		return -1
	case d > 0:
		return 1
	}
	return 0
}

// signFile is what a sign log needs of a file.
type signFile interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Sync returns when what was written will survive loss of power.
	Sync() error
}

// signLog remembers the last mark of one key over crashes.
type signLog struct {
	file   signFile
	seq    uint64 // of the newest slot; slots are numbered from 1
	last   mark
	broken error // a write failed: nothing may be signed any more
	page   [slotSize]byte
}

// openSignLog opens or makes the log of a key below dir.
func openSignLog(dir, name string) (*signLog, error) {
	path := filepath.Join(dir, name)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open sign log: %w", err)
	}
	if err := layOut(f, dir); err != nil {
		return nil, errors.Join(fmt.Errorf("lay out sign log %s: %w", path, err), f.Close())
	}
	l, err := readSignLog(dataSync{f})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read sign log %s: %w", path, err), f.Close())
	}
	return l, nil
}

// layOut gives a new file its full size, in blocks that are really allocated. A
// crash may have left a shorter one; nothing had been signed then.
func layOut(f *os.File, dir string) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size() > slotSize*slotCount {
		return fmt.Errorf("file of %d bytes: %w", info.Size(), ErrSignLog)
	}
	if info.Size() < slotSize*slotCount {
		head := make([]byte, info.Size())
		if _, err := f.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if len(bytes.Trim(head, "\x00")) > 0 {
			return fmt.Errorf("file was cut to %d bytes: %w", info.Size(), ErrSignLog)
		}
		if _, err := f.WriteAt(make([]byte, slotSize*slotCount), 0); err != nil {
			return err
		}
		if err := f.Sync(); err != nil {
			return err
		}
	}
	return syncDir(dir)
}

// syncDir makes the names in a folder survive loss of power.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// readSignLog finds the newest mark. A slot that does not check is forgiven only
// where a write may have been in flight: right after the newest one.
func readSignLog(file signFile) (*signLog, error) {
	l := &signLog{file: file}
	marks := make(map[uint64]mark)
	var torn []uint64
	for i := range uint64(slotCount) {
		if _, err := file.ReadAt(l.page[:], int64(i)*slotSize); err != nil {
			return nil, fmt.Errorf("slot %d: %w", i, err)
		}
		seq, m, ok := decodeSlot(l.page[:])
		switch {
		case ok && seq%slotCount == i:
			marks[seq] = m
			l.seq = max(l.seq, seq)
		case len(bytes.Trim(l.page[:], "\x00")) > 0:
			torn = append(torn, i)
		}
	}
	for _, i := range torn {
		if i != (l.seq+1)%slotCount {
			return nil, fmt.Errorf("slot %d does not check: %w", i, ErrSignLog)
		}
	}
	if l.seq == 0 {
		return l, nil
	}
	l.last = marks[l.seq]
	for seq := l.seq; seq > 1; seq-- {
		before, ok := marks[seq-1]
		if !ok {
			if l.seq-seq < slotCount-2 {
				return nil, fmt.Errorf("slot of signature %d is missing: %w", seq-1, ErrSignLog)
			}
			break
		}
		if after := marks[seq]; before.compare(after.height, after.round, after.step) >= 0 {
			return nil, fmt.Errorf("slots are out of order: %w", ErrSignLog)
		}
	}
	return l, nil
}

// put records a mark. It returns nil only when the mark will survive loss of
// power; after an error the log refuses everything.
func (l *signLog) put(m mark) error {
	if l.broken != nil {
		return l.broken
	}
	if len(m.signed) > signedMax || len(m.sig) != sigSize {
		return fmt.Errorf("nothing of %d and %d bytes is signed here: %w", len(m.signed), len(m.sig), ErrSignLog)
	}
	seq := l.seq + 1
	encodeSlot(l.page[:], seq, m)
	if _, err := l.file.WriteAt(l.page[:], int64(seq%slotCount)*slotSize); err != nil {
		l.broken = fmt.Errorf("write sign log: %w", err)
		return l.broken
	}
	if err := l.file.Sync(); err != nil {
		l.broken = fmt.Errorf("sync sign log: %w", err)
		return l.broken
	}
	l.seq, l.last = seq, m
	return nil
}

func (l *signLog) Close() error {
	if l.broken == nil {
		l.broken = os.ErrClosed
	}
	return l.file.Close()
}

func encodeSlot(page []byte, seq uint64, m mark) {
	clear(page)
	b := append(page[:0], signMagic...)
	b = binary.BigEndian.AppendUint64(b, seq)
	b = binary.BigEndian.AppendUint64(b, uint64(m.height))
	b = binary.BigEndian.AppendUint32(b, uint32(m.round))
	b = append(b, byte(m.step))
	b = binary.BigEndian.AppendUint16(b, uint16(len(m.signed)))
	b = append(append(b, m.signed...), m.sig...)
	sum := sha256.Sum256(b)
	_ = append(b, sum[:]...)
}

func decodeSlot(page []byte) (seq uint64, m mark, ok bool) {
	if string(page[:8]) != signMagic {
		return 0, mark{}, false
	}
	size := int(binary.BigEndian.Uint16(page[slotHead-2:]))
	if size > signedMax {
		return 0, mark{}, false
	}
	end := slotHead + size + sigSize
	if sum := sha256.Sum256(page[:end]); !bytes.Equal(sum[:], page[end:end+slotTail]) {
		return 0, mark{}, false
	}
	m = mark{
		height: int64(binary.BigEndian.Uint64(page[16:])),
		round:  int32(binary.BigEndian.Uint32(page[24:])),
		step:   int8(page[28]),
		signed: bytes.Clone(page[slotHead : slotHead+size]),
		sig:    bytes.Clone(page[slotHead+size : end]),
	}
	return binary.BigEndian.Uint64(page[8:]), m, true
}
