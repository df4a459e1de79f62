package ledger

import (
	"bytes"
	"encoding/binary"

	"souk/identity"
)

// window remembers which nonces a key has used (L-10). In the common case, when
// all nonces up to top are used, it is a number; a bitmap is kept only as long as
// some nonce in the window is not used.
type window struct {
	top  uint64
	gaps uint32 // which bitmap says what is not used; zero if all is
}

// bitmap tells which nonces of a window are not used: bit i stands for top-i.
// Bit 0 is never set, nor are bits of nonces below 1.
type bitmap [WindowBits / 64]uint64

// bitmaps are kept apart from the windows, which say where: index plus one.
type bitmaps struct {
	all  []bitmap
	free []uint32
}

func (b *bitmaps) get(i uint32) *bitmap { return &b.all[i-1] }

func (b *bitmaps) add() uint32 {
	if last := len(b.free) - 1; last >= 0 {
		i := b.free[last]
		b.free = b.free[:last]
		*b.get(i) = bitmap{}
		return i
	}
	b.all = append(b.all, bitmap{})
	return uint32(len(b.all)) //nolint:gosec // as many as keys at most
}

func (b *bitmaps) drop(w *window) {
	if w.gaps != 0 {
		b.free = append(b.free, w.gaps)
		w.gaps = 0
	}
}

// check tells whether a nonce may be used.
func (b *bitmaps) check(w *window, nonce uint64) Code {
	if nonce > w.top {
		if nonce-w.top > MaxJump {
			return NonceTooFar
		}
		return OK
	}
	back := w.top - nonce
	switch {
	case nonce == 0 || back >= WindowBits:
		return NonceStale
	case w.gaps == 0 || !b.get(w.gaps).has(back):
		return NonceUsed
	}
	return OK
}

// use marks a nonce as used, which check said OK to.
func (b *bitmaps) use(w *window, nonce uint64) {
	if nonce <= w.top {
		m := b.get(w.gaps)
		back := w.top - nonce
		m[back/64] &^= 1 << (back % 64)
		if m.empty() {
			b.drop(w)
		}
		return
	}
	ahead := nonce - w.top
	w.top = nonce
	if w.gaps == 0 {
		if ahead == 1 {
			return
		}
		w.gaps = b.add()
	}
	m := b.get(w.gaps)
	m.shift(ahead)
	m.fill(min(ahead, WindowBits))
	if m.empty() {
		b.drop(w)
	}
}

func (m *bitmap) has(i uint64) bool { return m[i/64]>>(i%64)&1 == 1 }

func (m *bitmap) empty() bool { return *m == bitmap{} }

// shift moves every bit up by n; those that leave the window are forgotten.
func (m *bitmap) shift(n uint64) {
	if n >= WindowBits {
		*m = bitmap{}
		return
	}
	words, rest := int(n/64), n%64
	for i := len(m) - 1; i >= 0; i-- {
		var w uint64
		if i >= words {
			w = m[i-words] << rest
		}
		if i > words && rest > 0 {
			w |= m[i-words-1] >> (64 - rest)
		}
		m[i] = w
	}
}

// fill sets the bits 1 to n-1.
func (m *bitmap) fill(n uint64) {
	for i := range n / 64 {
		m[i] = ^uint64(0)
	}
	if n%64 > 0 {
		m[n/64] |= 1<<(n%64) - 1
	}
	m[0] &^= 1
}

// appendWindow appends top and the gaps, little-endian without the zero bytes at
// the end, behind their length (L-73).
func (s *State) appendWindow(dst []byte, w *window) []byte {
	dst = binary.BigEndian.AppendUint64(dst, w.top)
	if w.gaps == 0 {
		return append(dst, 0)
	}
	var b [WindowBits / 8]byte
	for i, word := range s.bitmaps.get(w.gaps) {
		binary.LittleEndian.PutUint64(b[8*i:], word)
	}
	gaps := bytes.TrimRight(b[:], "\x00")
	dst = append(dst, byte(len(gaps))) //nolint:gosec // at most WindowBits/8
	return append(dst, gaps...)
}

// loadWindow is the reverse; false for what appendWindow does not write.
func (s *State) loadWindow(w *window, top uint64, gaps []byte) bool {
	w.top = top
	if len(gaps) == 0 {
		return true
	}
	if len(gaps) > WindowBits/8 || gaps[len(gaps)-1] == 0 || gaps[0]&1 != 0 {
		return false
	}
	highest := uint64(len(gaps)*8 - 1) //nolint:gosec // at most 1023
	for gaps[highest/8]>>(highest%8)&1 == 0 {
		highest--
	}
	if highest >= top {
		return false // a nonce below 1
	}
	w.gaps = s.bitmaps.add()
	m := s.bitmaps.get(w.gaps)
	var b [WindowBits / 8]byte
	copy(b[:], gaps)
	for i := range m {
		m[i] = binary.LittleEndian.Uint64(b[8*i:])
	}
	return true
}

// keyWindow returns the window of a key of an account, or nil. learn is true if
// the key is the owner's and not written down yet.
func (s *State) keyWindow(acc *account, key *identity.PublicKey) (w *window, learn bool) {
	if key.IsZero() {
		return nil, false // it stands for an owner who is not known yet
	}
	if acc.owner == *key {
		return &acc.window, false
	}
	if x := s.extras.get(acc); x != nil {
		if i, ok := x.find(key); ok {
			return &x.delegates[i].window, false
		}
	}
	if acc.owner.IsZero() && identity.AddressOf(*key) == acc.address {
		return &acc.window, true
	}
	return nil, false
}

// find returns where the delegate with a key is or belongs. It is no
// slices.BinarySearchFunc, under which every command's key would be allocated.
func (x *extra) find(key *identity.PublicKey) (int, bool) {
	low, high := 0, len(x.delegates)
	for low < high {
		mid := (low + high) / 2
		switch bytes.Compare(x.delegates[mid].Key[:], key[:]) {
		case 0:
			return mid, true
		case -1:
			low = mid + 1
		default:
			high = mid
		}
	}
	return low, false
}

// CheckNonce answers what UseNonce would, and changes nothing.
func (s *State) CheckNonce(n Number, key identity.PublicKey, nonce uint64) Code {
	w, _ := s.keyWindow(s.accounts.at(n), &key)
	if w == nil {
		return UnknownKey
	}
	return s.bitmaps.check(w, nonce)
}

// UseNonce marks a nonce of a key as used: OK, UnknownKey, NonceUsed, NonceStale
// or NonceTooFar. If the account's owner is not known yet and the key is the one
// that its address was made of, the owner is known from now on.
func (s *State) UseNonce(n Number, key identity.PublicKey, nonce uint64) Code {
	acc := s.accounts.at(n)
	w, learn := s.keyWindow(acc, &key)
	if w == nil {
		return UnknownKey
	}
	if code := s.bitmaps.check(w, nonce); code != OK {
		return code
	}
	if learn {
		acc.owner = key
	}
	s.bitmaps.use(w, nonce)
	s.touch(n, acc)
	return OK
}

// TopNonce returns the highest nonce that counts as used for a key: its next
// command should carry the one above. For a key that is not the owner or a
// delegate now it is what the key would start from.
func (s *State) TopNonce(n Number, key identity.PublicKey) uint64 {
	acc := s.accounts.at(n)
	if w, _ := s.keyWindow(acc, &key); w != nil {
		return w.top
	}
	x := s.extras.get(acc)
	if x == nil {
		return 0
	}
	if x.rotation.Due != 0 && x.rotation.Key == key {
		return max(x.floor, acc.window.top)
	}
	return x.floor
}
