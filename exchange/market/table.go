package market

// table maps non-zero 64-bit keys to values, by open addressing with linear
// probing. It is there for speed: no pointers for the collector to follow, one
// cache line per look-up. Its order of slots never shows outside.
type table[V any] struct {
	slots []tableSlot[V]
	shift uint // 64 - log2(len(slots)/tableRun)
	used  int
}

type tableSlot[V any] struct {
	key   uint64 // 0 is free
	value V
}

const (
	tableMin = 64 // slots of a fresh table, a power of two
	tableRun = 8  // so many consecutive keys live side by side, as ids are given out in sequence
)

// home is where a key would like to be: Fibonacci hashing of the run it is in.
func (t *table[V]) home(key uint64) int {
	return int(key/tableRun*0x9e3779b97f4a7c15>>t.shift*tableRun + key%tableRun) //nolint:gosec // below len(slots)
}

// get returns the value of key, or nil. The pointer is good until the next put or del.
func (t *table[V]) get(key uint64) *V {
	if t.used == 0 {
		return nil
	}
	mask := len(t.slots) - 1
	for i := t.home(key); ; i = (i + 1) & mask {
		s := &t.slots[i&mask]
		if s.key == key {
			return &s.value
		}
		if s.key == 0 {
			return nil
		}
	}
}

// put returns the value of key, which is added as V's zero value if it is fresh.
// The pointer is good until the next put or del.
func (t *table[V]) put(key uint64) (value *V, fresh bool) {
	if t.used*4 >= len(t.slots)*3 {
		t.grow()
	}
	mask := len(t.slots) - 1
	for i := t.home(key); ; i = (i + 1) & mask {
		s := &t.slots[i&mask]
		if s.key == key {
			return &s.value, false
		}
		if s.key == 0 {
			s.key = key
			t.used++
			return &s.value, true
		}
	}
}

// del removes a key that is present. What follows it moves up, so that no
// tombstones stay behind.
func (t *table[V]) del(key uint64) {
	mask := len(t.slots) - 1
	gap := t.home(key)
	for t.slots[gap].key != key {
		gap = (gap + 1) & mask
	}
	for i := (gap + 1) & mask; t.slots[i].key != 0; i = (i + 1) & mask {
		// The entry may move into the gap unless its home lies after the gap.
		if (i-t.home(t.slots[i].key))&mask >= (i-gap)&mask {
			t.slots[gap] = t.slots[i]
			gap = i
		}
	}
	t.slots[gap] = tableSlot[V]{}
	t.used--
}

func (t *table[V]) grow() {
	old := t.slots
	size := max(tableMin, 2*len(old))
	t.slots, t.used, t.shift = make([]tableSlot[V], size), 0, 64
	for n := size / tableRun; n > 1; n >>= 1 {
		t.shift--
	}
	for i := range old {
		if old[i].key != 0 {
			v, _ := t.put(old[i].key)
			*v = old[i].value
		}
	}
}
