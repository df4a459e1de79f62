package merkle_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"souk/merkle"
)

// V-26, V-27: a list agrees with the definition for every length, and proves every
// item at its index and nowhere else.
func TestListAgainstModel(t *testing.T) {
	var l merkle.List
	var values [][]byte
	for n := range 70 {
		if got, want := l.Root(), listModel(values); got != want || merkle.Root(values) != want || l.Len() != n {
			t.Fatalf("root of %d items is %v, want %v", n, got, want)
		}
		for i := range n {
			made := l.Prove(i)
			p, err := merkle.ParseListProof(made.Encode())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(made, p); diff != "" {
				t.Fatalf("proof changed by encoding (-want +got):\n%s", diff)
			}
			if !p.Present(l.Root(), values[i]) {
				t.Fatalf("item %d of %d is not proved", i, n)
			}
			checkListForgery(t, &l, values, p)
		}
		values = append(values, bytes.Repeat([]byte{byte(n)}, 5*n))
		l.Append(values[n])
	}
	l.Reset()
	if !l.Root().IsZero() {
		t.Error("a list is not empty after Reset")
	}
}

// checkListForgery checks that a proof cannot be taken for that of another item.
func checkListForgery(t *testing.T, l *merkle.List, values [][]byte, p merkle.ListProof) {
	t.Helper()
	root := l.Root()
	for j := range values {
		if uint32(j) != p.Index && p.Present(root, values[j]) {
			t.Fatalf("item %d proved at %d", j, p.Index)
		}
	}
	for _, length := range []uint32{p.Length - 1, p.Length + 1, 2 * p.Length} {
		q := p
		if q.Length = length; q.Present(root, values[p.Index]) {
			t.Fatalf("length %d proved for a list of %d", length, p.Length)
		}
	}
	for j := range uint32(len(values)) {
		q := p
		if q.Index = j; j != p.Index && q.Present(root, values[p.Index]) {
			t.Fatalf("item %d proved at %d", p.Index, j)
		}
	}
}

// V-27: a proof with any bit changed is malformed or shows nothing.
func TestListProofForgery(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var l merkle.List
		n := rapid.IntRange(1, 40).Draw(t, "length")
		for i := range n {
			l.Append(binary.BigEndian.AppendUint32(nil, uint32(i)))
		}
		index := rapid.IntRange(0, n-1).Draw(t, "index")
		b := l.Prove(index).Encode()
		b[rapid.IntRange(0, len(b)-1).Draw(t, "at")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		p, err := merkle.ParseListProof(b)
		if err == nil && p.Present(l.Root(), binary.BigEndian.AppendUint32(nil, uint32(index))) {
			t.Fatalf("forged proof %x holds", b)
		}
	})
}

func TestListProveWantsItem(t *testing.T) {
	var l merkle.List
	l.Append(nil)
	for _, index := range []int{-1, 1} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("proof of item %d", index)
				}
			}()
			l.Prove(index)
		}()
	}
}

func FuzzParseListProof(f *testing.F) {
	var l merkle.List
	for i := range 9 {
		l.Append([]byte{byte(i)})
		f.Add(l.Prove(i).Encode())
	}
	f.Add(bytes.Repeat([]byte{255}, 8+32*32))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := merkle.ParseListProof(b)
		if err != nil {
			return
		}
		if got := p.Encode(); !bytes.Equal(got, b) {
			t.Errorf("parsed %x, encoded %x", b, got)
		}
		p.Present(l.Root(), b)
	})
}

func BenchmarkList(b *testing.B) {
	var l merkle.List
	value := make([]byte, 40)
	b.ReportAllocs()
	for range b.N {
		l.Reset()
		for range 1000 {
			l.Append(value)
		}
		l.Root()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(1000*b.N), "ns/item")
}
