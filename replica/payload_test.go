package replica_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"souk/asset"
	"souk/consensus"
	"souk/exchange"
	"souk/exchange/exchangetest"
	"souk/replica"
)

// command is a signed transfer that does not depend on anything.
func command(tb testing.TB, nonce uint64, memo string) exchange.Command {
	tb.Helper()
	body := &exchange.Transfer{To: exchangetest.Address("bob"), Asset: asset.ID(1), Amount: 5, Memo: memo}
	c := exchange.Command{Kind: body.Kind(), Account: exchangetest.Address("alice"), Nonce: nonce, Expiry: 7, Body: body.Append(nil)}
	if err := c.Sign(exchange.ID{1}, exchangetest.Key("alice")); err != nil {
		tb.Fatal(err)
	}
	return c
}

// TestClock is S-2, its example included.
func TestClock(t *testing.T) {
	p := replica.AppendClock(nil, 1_800_000_000_000)
	if got := hex.EncodeToString(p); got != "01000001a3185c5000" {
		t.Errorf("clock is %s", got)
	}
	if ms, err := replica.ParseClock(p); ms != 1_800_000_000_000 || err != nil {
		t.Errorf("read back as %d, %v", ms, err)
	}
	for _, bad := range [][]byte{nil, p[:8], append(bytes.Clone(p), 0), append([]byte{2}, p[1:]...)} {
		if _, err := replica.ParseClock(bad); !errors.Is(err, replica.ErrPayload) {
			t.Errorf("%x: %v", bad, err)
		}
	}
}

// TestBatch is S-3.
func TestBatch(t *testing.T) {
	want := replica.Batch{Member: 3, Seq: 1 << 40, Commands: []exchange.Command{command(t, 1, ""), command(t, 2, "rent")}}
	p := replica.AppendBatch(nil, &want)
	if got := hex.EncodeToString(p[:15]); got != "020000000300000100000000000002" {
		t.Errorf("header is %s", got)
	}
	got, err := replica.ParseBatch(exchange.ID{1}, p)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if other, err := replica.ParseBatch(exchange.ID{2}, p); err != nil || other.Commands[0].ID == got.Commands[0].ID {
		t.Errorf("on another virtual server the command has the same id, or %v", err)
	}
}

// TestBatchRefused is S-3: nothing else is a batch.
func TestBatchRefused(t *testing.T) {
	good := replica.AppendBatch(nil, &replica.Batch{Member: 1, Seq: 1, Commands: []exchange.Command{command(t, 1, "x"), command(t, 2, "y")}})
	change := func(edit func(p []byte) []byte) []byte { return edit(bytes.Clone(good)) }
	many := make([]exchange.Command, replica.MaxBatch+1)
	for i := range many {
		many[i] = command(t, 1, "")
	}
	large := make([]exchange.Command, 300)
	for i := range large {
		large[i] = exchange.Command{Kind: exchange.KindIssue, Body: make([]byte, exchange.MaxBody)}
	}
	for name, p := range map[string][]byte{
		"empty":         nil,
		"clock":         replica.AppendClock(nil, 1),
		"header only":   good[:15],
		"cut short":     good[:len(good)-1],
		"trailing byte": append(bytes.Clone(good), 0),
		"unknown first byte": change(func(p []byte) []byte {
			p[0] = 3
			return p
		}),
		"count too high": change(func(p []byte) []byte {
			p[14] = 3
			return p
		}),
		"count too low": change(func(p []byte) []byte {
			p[14] = 1
			return p
		}),
		"no commands": change(func(p []byte) []byte {
			p[14] = 0
			return p[:15]
		}),
		"unknown kind": change(func(p []byte) []byte {
			p[15] = 200
			return p
		}),
		"body too long": change(func(p []byte) []byte {
			binary.BigEndian.PutUint16(p[15+69:], exchange.MaxBody+1)
			return append(p, make([]byte, exchange.MaxBody)...)
		}),
		"too many commands": replica.AppendBatch(nil, &replica.Batch{Commands: many}),
		"too many bytes":    replica.AppendBatch(nil, &replica.Batch{Commands: large}),
	} {
		if _, err := replica.ParseBatch(exchange.ID{1}, p); !errors.Is(err, replica.ErrPayload) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzParseBatch(f *testing.F) {
	f.Add([]byte{})
	f.Add(replica.AppendClock(nil, 1))
	f.Add(replica.AppendBatch(nil, &replica.Batch{Member: 1, Seq: 2, Commands: []exchange.Command{command(f, 1, "x")}}))
	f.Add(replica.AppendBatch(nil, &replica.Batch{Commands: []exchange.Command{command(f, 1, ""), command(f, 9, strings.Repeat("z", 99))}}))
	f.Fuzz(func(t *testing.T, data []byte) {
		if ms, err := replica.ParseClock(data); err == nil && !bytes.Equal(replica.AppendClock(nil, ms), data) {
			t.Error("a clock has two encodings")
		}
		b, err := replica.ParseBatch(exchange.ID{1}, data)
		if err != nil {
			if !errors.Is(err, replica.ErrPayload) {
				t.Errorf("error %v", err)
			}
			return
		}
		if len(b.Commands) == 0 || len(b.Commands) > replica.MaxBatch || len(data) > consensus.MaxPayload {
			t.Error("a batch breaks its bounds")
		}
		if !bytes.Equal(replica.AppendBatch(nil, &b), data) {
			t.Error("a batch has two encodings")
		}
	})
}
