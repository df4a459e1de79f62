package rpctest

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"testing"

	"souk/chain"
	"souk/chain/rpc"
	"souk/script"
)

// vault is the output script of the bank whose coins are in every recording.
const vault = "0020d310a0a0789d3f58e8ed8f5b11e5afc4fda4bceb7bae6bae715859dbf5236f85"

// Recording is what a daemon said, and the adapter that must understand it.
type Recording struct {
	File    string // of Replay
	Network string // of the table of networks
	Start   uint32 // height of the first block in which the bank could have coins
	Open    func(*script.Network, rpc.Config) (*rpc.Node, error)
}

// Replay starts a daemon that replays the recording, and opens the adapter over it.
// Both end with the test.
func (r Recording) Replay(t testing.TB) (*Daemon, chain.Backend) {
	t.Helper()
	n, ok := script.ByName(r.Network)
	if !ok {
		t.Fatalf("no network %s", r.Network)
	}
	d := Replay(t, r.File, n.HRP+"1")
	b, err := r.Open(n, d.Config())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() }) //nolint:errcheck // never fails
	return d, b
}

// Locator is that of somebody who begins at Start, in the daemon's phase.
func (r Recording) Locator(d *Daemon) chain.Locator {
	d.t.Helper()
	p := chain.Point{Height: r.Start - 1}
	d.Result("getblockhash", fmt.Sprintf("[%d]", p.Height), &p.Hash)
	return chain.Locator{p}
}

// Vault is the output script of the bank whose coins are in every recording.
func Vault() []byte {
	out, err := hex.DecodeString(vault)
	if err != nil {
		panic(err) //nolint:forbidigo // a constant
	}
	return out
}

// CheckBroadcast sends through the adapter again what was sent when it was recorded.
// want is what the port must say of each phase's transactions, in their order: nil, or
// a sentinel of chain. One that is refused for no reason that the port knows must not
// be given one (T-50, T-51).
func CheckBroadcast(t *testing.T, d *Daemon, b chain.Backend, want map[string][]error) {
	t.Helper()
	for phase := range want {
		if !slices.Contains(d.phases, phase) {
			t.Fatalf("no phase %s", phase)
		}
	}
	for _, phase := range d.phases {
		want, ok := want[phase]
		if !ok {
			continue
		}
		d.Enter(phase)
		sent := d.Sent(phase)
		if len(sent) != len(want) {
			t.Fatalf("%s: %d transactions", phase, len(sent))
		}
		for i, text := range sent {
			raw, err := hex.DecodeString(text)
			if err != nil {
				t.Fatal(err)
			}
			err = b.Broadcast(t.Context(), raw)
			if !errors.Is(err, want[i]) || err != nil && !errors.Is(err, chain.ErrRefused) {
				t.Errorf("%s, %d: %v, want %v", phase, i, err, want[i])
			}
			only := want[i] == chain.ErrRefused //nolint:errorlint // of the table
			for _, special := range []error{chain.ErrConflict, chain.ErrFeeTooLow, chain.ErrMissingInputs, chain.ErrImmature} {
				if only && errors.Is(err, special) {
					t.Errorf("%s, %d: %v is %v", phase, i, err, special)
				}
			}
		}
	}
}
