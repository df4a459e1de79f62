package sim

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"io"
)

// loop is virtual time: events in the order of their times, and of being added.
type loop struct {
	now     uint64 // us
	seq     uint64
	heap    []event
	handled int
	hash    hash.Hash
	buf     []byte
	trace   io.Writer
}

// event is something that happens at a time.
type event struct {
	at, seq uint64
	do      func()
}

func newLoop(trace io.Writer) *loop { return &loop{hash: sha256.New(), trace: trace} }

func (e *event) before(o *event) bool { return e.at < o.at || e.at == o.at && e.seq < o.seq }

// after lets something happen in so many microseconds.
func (l *loop) after(us uint64, do func()) {
	l.seq++
	l.heap = append(l.heap, event{l.now + us, l.seq, do})
	for i := len(l.heap) - 1; i > 0; {
		up := (i - 1) / 2
		if !l.heap[i].before(&l.heap[up]) {
			return
		}
		l.heap[i], l.heap[up] = l.heap[up], l.heap[i]
		i = up
	}
}

// next lets the next event happen; false if there is none.
func (l *loop) next() bool {
	if len(l.heap) == 0 {
		return false
	}
	e := l.heap[0]
	last := len(l.heap) - 1
	l.heap[0] = l.heap[last]
	l.heap[last] = event{}
	l.heap = l.heap[:last]
	for i := 0; ; {
		least := i
		for _, c := range [2]int{2*i + 1, 2*i + 2} {
			if c < last && l.heap[c].before(&l.heap[least]) {
				least = c
			}
		}
		if least == i {
			break
		}
		l.heap[i], l.heap[least] = l.heap[least], l.heap[i]
		i = least
	}
	l.now = e.at
	l.handled++
	e.do()
	return true
}

// clock is the virtual time as text.
func (l *loop) clock() string { return fmt.Sprintf("%d.%06d s", l.now/1_000_000, l.now%1_000_000) }

// log adds an event to the hash, and to the trace.
func (l *loop) log(what string, numbers []int) {
	l.buf = binary.BigEndian.AppendUint64(l.buf[:0], l.now)
	l.buf = append(append(l.buf, what...), 0)
	for _, n := range numbers {
		l.buf = binary.BigEndian.AppendUint64(l.buf, uint64(n))
	}
	l.hash.Write(l.buf)
	if l.trace != nil {
		l.note(fmt.Sprint(what, numbers))
	}
}

// note writes a line to the trace only.
func (l *loop) note(line string) {
	if l.trace != nil {
		fmt.Fprintln(l.trace, l.clock(), line)
	}
}

func (l *loop) sum() (h [32]byte) {
	l.hash.Sum(h[:0])
	return h
}
