package web_test

import (
	"bytes"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"souk/api"
	"souk/exchange"
	"souk/exchange/custody"
	"souk/exchange/exchangetest"
	"souk/merkle"
	"souk/script"
	"souk/web"
)

// Leaves of one state are proven together; a server that changes one is refused, and
// private ones are shown to nobody (H-65).
func TestLeaves(t *testing.T) {
	t.Parallel()
	f := foundFederation(t, exchangetest.BankFounding(4), web.Config{})
	f.fund("alice")
	ctx := within(t, 30*time.Second)
	keys := []merkle.Key{
		custody.BankKey(1), custody.SeriesKey(1, 0), custody.BlockKey(1, exchangetest.BankStart), custody.Key(),
		exchange.AssetKey(exchangetest.TBC), custody.AttestorKey(1, 1), custody.SeriesKey(1, 1), custody.BankKey(2),
	}
	verifier := api.NewVerifier(f)
	got, err := f.client().VerifiedLeaves(ctx, verifier, keys)
	if err != nil {
		t.Fatal(err)
	}
	b, err := custody.ParseBank(keys[0], got.Values[0])
	if err != nil || b.Network != exchangetest.BankNetwork || got.Values[6] != nil || got.Values[7] != nil {
		t.Fatalf("%+v, %v", b, err)
	}
	if x, err := custody.ParseSeries(keys[1], got.Values[1]); err != nil || x.Keys[0] != f.founding.Members[0].Banks[0].Key {
		t.Errorf("%+v, %v", x, err)
	}
	for i := range keys {
		if got.Values[i] != nil && !got.Paths[i].Present(got.Root, keys[i], got.Values[i]) {
			t.Errorf("leaf %d is not proven", i)
		}
	}
	// A verifier refuses what was changed, exchanged or left out.
	honest := &api.Leaves{Height: got.Height}
	for i := range keys {
		honest.Leaves = append(honest.Leaves, api.LeafProof{Leaf: got.Values[i], Path: got.Paths[i].Encode()})
	}
	if _, err := verifier.Leaves(ctx, keys, honest); err != nil {
		t.Fatal(err)
	}
	for name, lie := range map[string]func(*api.Leaves){
		"value":     func(r *api.Leaves) { r.Leaves[0].Leaf = bytes.Clone(r.Leaves[0].Leaf); r.Leaves[0].Leaf[9] ^= 1 },
		"absent":    func(r *api.Leaves) { r.Leaves[1].Leaf = nil },
		"present":   func(r *api.Leaves) { r.Leaves[6].Leaf = r.Leaves[1].Leaf },
		"exchanged": func(r *api.Leaves) { r.Leaves[0], r.Leaves[1] = r.Leaves[1], r.Leaves[0] },
		"fewer":     func(r *api.Leaves) { r.Leaves = r.Leaves[:7] },
		"path":      func(r *api.Leaves) { r.Leaves[2].Path = r.Leaves[2].Path[1:] },
	} {
		r := &api.Leaves{Height: honest.Height, Leaves: slices.Clone(honest.Leaves)}
		lie(r)
		if _, err := verifier.Leaves(ctx, keys, r); !errors.Is(err, api.ErrProof) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// What nobody may see.
	coin := custody.CoinKey(1, script.Outpoint{})
	for name, test := range map[string]struct {
		query  string
		status int
	}{
		"private": {custody.AddressKey(1, 0, 0).String(), http.StatusBadRequest},
		"account": {exchange.AccountKey(exchangetest.Address("alice")).String(), http.StatusBadRequest},
		"twice":   {keys[0].String() + "," + keys[0].String(), http.StatusBadRequest},
		"short":   {keys[0].String()[:62], http.StatusBadRequest},
		"long":    {keys[0].String() + "00", http.StatusBadRequest},
		"letters": {strings.Repeat("z", 64), http.StatusBadRequest},
		"none":    {"", http.StatusUnprocessableEntity},
		"many":    {strings.Repeat(keys[0].String()+",", 128) + keys[1].String(), http.StatusUnprocessableEntity},
		"good":    {keys[0].String() + "," + keys[1].String(), http.StatusOK},
		"absent":  {coin.String(), http.StatusOK},
	} {
		resp, err := http.Get(f.urls()[0] + "/v1/leaves?keys=" + test.query)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != test.status {
			t.Errorf("%s: %d, want %d", name, resp.StatusCode, test.status)
		}
	}
}
