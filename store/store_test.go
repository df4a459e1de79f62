package store_test

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"souk/store"
)

func TestPrefixEnd(t *testing.T) {
	for _, c := range []struct{ prefix, want string }{
		{"", ""},
		{"a", "b"},
		{"ab", "ac"},
		{"a\xff", "b"},
		{"a\xff\xff", "b"},
		{"\xff", ""},
		{"\xff\xff", ""},
		{"\x00", "\x01"},
	} {
		if got := store.PrefixEnd([]byte(c.prefix)); string(got) != c.want || (c.want == "") != (got == nil) {
			t.Errorf("PrefixEnd(%q) = %q, want %q", c.prefix, got, c.want)
		}
	}
}

// A key has the prefix exactly if it lies in [prefix, PrefixEnd(prefix)).
func TestPrefixEndIsTheUpperBound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		letters := rapid.SampledFrom([]byte{0, 1, 0xfe, 0xff})
		prefix := rapid.SliceOfN(letters, 0, 4).Draw(t, "prefix")
		key := rapid.SliceOfN(letters, 0, 6).Draw(t, "key")
		before := bytes.Clone(prefix)
		end := store.PrefixEnd(prefix)
		inside := bytes.Compare(key, prefix) >= 0 && (end == nil || bytes.Compare(key, end) < 0)
		if inside != bytes.HasPrefix(key, prefix) {
			t.Fatalf("prefix %q key %q end %q: inside=%v", prefix, key, end, inside)
		}
		if !bytes.Equal(before, prefix) {
			t.Fatal("the prefix was changed")
		}
	})
}
