package archive_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"souk/archive"
	"souk/asset"
	"souk/exchange"
	"souk/exchange/custody"
	"souk/exchange/market"
	"souk/identity"
)

var update = flag.Bool("update", false, "write the vectors anew")

// number draws numbers of all sizes, zero and the largest often.
func number[T ~uint8 | ~uint16 | ~uint32 | ~uint64](t *rapid.T) T {
	n := rapid.Uint64().Draw(t, "number")
	return T(n >> rapid.IntRange(0, 64).Draw(t, "shift"))
}

func address(t *rapid.T) (a identity.Address) {
	a[19] = rapid.Byte().Draw(t, "account") % 8 // few, so that they come again
	return a
}

func some(t *rapid.T) bool { return rapid.Bool().Draw(t, "some") }

// fill sets every number, text and address of a struct to something random.
func fill(t *rapid.T, v reflect.Value) {
	for i := range v.NumField() {
		f := v.Field(i)
		switch {
		case f.Type() == reflect.TypeFor[identity.Address]():
			f.Set(reflect.ValueOf(address(t)))
		case f.CanUint():
			if some(t) {
				f.SetUint(number[uint64](t) >> (64 - f.Type().Bits()))
			}
		case f.Kind() == reflect.Bool:
			f.SetBool(some(t))
		case f.Kind() == reflect.String:
			f.SetString(rapid.StringN(0, 36, 80).Draw(t, "text"))
		case f.Kind() == reflect.Struct:
			fill(t, f)
		case f.Kind() == reflect.Array:
			reflect.Copy(f, reflect.ValueOf(rapid.SliceOfN(rapid.Byte(), f.Len(), f.Len()).Draw(t, "bytes")))
		case f.Kind() == reflect.Slice && some(t):
			f.Set(reflect.MakeSlice(f.Type(), 1, 1))
			f.Index(0).SetUint(number[uint64](t) >> (64 - f.Type().Elem().Bits()))
		case f.Kind() == reflect.Pointer && some(t):
			f.Set(reflect.New(f.Type().Elem()))
			fill(t, f.Elem())
		}
	}
}

// record draws a struct.
func record[T any](t *rapid.T) (x T) {
	fill(t, reflect.ValueOf(&x).Elem())
	return x
}

func block(t *rapid.T) *archive.Block {
	b := &archive.Block{Height: number[uint64](t), Time: number[uint64](t)}
	for range rapid.IntRange(0, 4).Draw(t, "commands") {
		c := record[archive.Command](t)
		if some(t) {
			c.Receipt.Height, c.Receipt.Time = b.Height, b.Time
		}
		b.Commands = append(b.Commands, c)
	}
	for range rapid.IntRange(0, 6).Draw(t, "events") {
		e := record[exchange.Event](t)
		if e.Order != nil && some(t) {
			e.Order.Market, e.Order.Placed, e.Order.Time = e.Market, b.Height, b.Time
		}
		b.Events = append(b.Events, e)
	}
	for range rapid.IntRange(0, 4).Draw(t, "levels") {
		b.Levels = append(b.Levels, record[archive.Level](t))
	}
	for range rapid.IntRange(0, 4).Draw(t, "balances") {
		b.Balances = append(b.Balances, record[archive.Balance](t))
	}
	for range rapid.IntRange(0, 2).Draw(t, "others") {
		b.Wallets = append(b.Wallets, record[archive.Wallet](t))
		b.Assets = append(b.Assets, record[archive.Asset](t))
		b.Markets = append(b.Markets, record[archive.Market](t))
	}
	return b
}

// TestRoundTrip is G-10 to G-14: what is written is read, all of it, and nothing else is.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := block(t)
		data := archive.Append([]byte("x"), want)[1:]
		got, err := archive.Parse(data)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
		cut := rapid.IntRange(0, len(data)-1).Draw(t, "cut")
		if _, err := archive.Parse(data[:cut]); err == nil {
			t.Fatal("a block that is cut short is read")
		}
		if _, err := archive.Parse(append(slices.Clone(data), 0)); err == nil {
			t.Fatal("a block with something behind it is read")
		}
	})
}

// FuzzParse: nothing breaks the decoder, and what it takes is the one encoding.
func FuzzParse(f *testing.F) {
	for _, v := range vectors() {
		f.Add(archive.Append(nil, &v.Block))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := archive.Parse(data)
		if err != nil {
			return
		}
		if again := archive.Append(nil, b); !bytes.Equal(again, data) {
			t.Fatalf("%x is written again as %x", data, again)
		}
	})
}

// vector is a block and its encoding.
type vector struct {
	Name    string
	Block   archive.Block
	Encoded string
}

func vectors() []vector {
	alice, bob := identity.Address{1}, identity.Address{2}
	receipt := exchange.Receipt{ID: exchange.CommandID{9, 8, 7}, Height: 70, Time: 1_800_000_000_000, Number: 300, Status: market.Resting}
	all := exchange.Event{
		Kind: exchange.EventWithdrawalCancelled, Reason: market.Cancelled, Market: 1, Asset: 2, Account: alice, Other: bob, Number: 4, Amount: 5,
		Memo: "thanks", Action: []byte{1, 2, 3},
		Order: &market.Order{
			ID: 300, Market: 2, Owner: 3, Side: market.Buy, Kind: market.LimitOrder, TIF: market.GTD, PostOnly: true, Status: market.Resting,
			Price: 5, Quantity: 6, Quote: 7, Trigger: 8, Expiry: 9, Client: "mine", Nonce: 10, Sibling: 11, Placed: 12, Time: 13, Joined: 14, Filled: 15,
			Cost: asset.Wide{Hi: 1, Lo: 2}, FeeSum: asset.Wide{Hi: 3, Lo: 4}, Value: 16, Fee: 17, Hold: market.Need{Asset: 1, Amount: 18},
		},
		Fill: &market.Fill{
			Trade: 1, Market: 2, Price: 3, Quantity: 4, Maker: 5, Taker: 6, Buyer: 7, Seller: 8, TakerSide: market.Sell, Inner: true,
			BuyerPaid: 9, BuyerReleased: 10, SellerGot: 11, BuyerFee: 12, SellerFee: 13,
		},
		Withdrawal: &custody.Withdrawal{
			ID: 4, Request: custody.Request{Bank: 1, Script: []byte{0, 20}, Amount: 3, MaxFee: 2, Salt: custody.Salt{5}}, Owner: 6, Asked: 7, From: 8, Batch: 9, GivenUp: []uint64{1, 2},
		},
	}
	return []vector{
		{Name: "empty", Block: archive.Block{Height: 1, Time: 1_800_000_000_000}},
		{Name: "an order, a transfer", Block: archive.Block{
			Height: 70, Time: 1_800_000_000_000,
			Commands: []archive.Command{
				{Account: alice, Kind: exchange.KindPlace, Receipt: receipt},
				{Account: bob, Kind: exchange.KindTransfer, Receipt: exchange.Receipt{ID: exchange.CommandID{1}, Code: exchange.Insufficient, Height: 70, Time: 1_800_000_000_000}},
			},
			Events: []exchange.Event{{Kind: exchange.EventOrderOpened, Market: 1, Account: alice, Order: &market.Order{
				ID: 300, Market: 1, Owner: 3, Side: market.Sell, Kind: market.LimitOrder, TIF: market.GTC, Status: market.Staged, Price: 12_345_00, Quantity: 100_000_000,
				Nonce: 1_800_000_000_000_000, Placed: 70, Time: 1_800_000_000_000, Hold: market.Need{Asset: 1, Amount: 100_000_000},
			}}},
			Levels:   []archive.Level{{Market: 1, Side: market.Sell, Price: 12_345_00, Quantity: 100_000_000}},
			Balances: []archive.Balance{{Account: alice, Asset: 1, Available: 5, Held: 100_000_000}, {Account: alice, Asset: 2}},
		}},
		{Name: "every field", Block: archive.Block{
			Height: 1 << 40, Time: 1 << 41,
			Commands: []archive.Command{{Account: bob, Kind: exchange.KindVote, Receipt: exchange.Receipt{
				ID: exchange.CommandID{1}, Code: 1, Height: 2, Time: 3, Number: 4, Filled: 5, Cost: 6, Fee: 7, Status: market.Waiting,
			}}},
			Events:  []exchange.Event{all},
			Wallets: []archive.Wallet{{Bank: 1, Wallet: 2, Total: 3}},
			Assets:  []archive.Asset{{ID: 7, Symbol: "ACME", Decimals: 2, Issuer: bob}},
			Markets: []archive.Market{{ID: 3, Base: 7, Quote: 2}},
		}},
	}
}

// TestVectors is G-10 to G-14 in bytes.
func TestVectors(t *testing.T) {
	const file = "testdata/blocks.json"
	all := vectors()
	for i := range all {
		all[i].Encoded = hex.EncodeToString(archive.Append(nil, &all[i].Block))
	}
	if *update {
		data, err := json.MarshalIndent(all, "", "\t")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, append(data, '\n'), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var kept []vector
	if err := json.Unmarshal(data, &kept); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(all, kept); diff != "" {
		t.Error(diff)
	}
	for _, v := range kept {
		data, err := hex.DecodeString(v.Encoded)
		if err != nil {
			t.Fatal(err)
		}
		got, err := archive.Parse(data)
		if err != nil {
			t.Fatalf("%s: %v", v.Name, err)
		}
		if diff := cmp.Diff(&v.Block, got); diff != "" {
			t.Errorf("%s:\n%s", v.Name, diff)
		}
	}
}

// TestParseRefuses is G-11 to G-13: there is no second way to write a block.
func TestParseRefuses(t *testing.T) {
	one, two := strings.Repeat("11", 20), strings.Repeat("22", 20)
	event := func(rest string) string { return "01010000" + "01" + "01" + rest + "0000000000" }
	balances := func(rest string) string { return "0101000000" + "00" + rest + "000000" }
	for name, c := range map[string]struct{ good, bad string }{
		"another version":                       {"01010000000000000000", "02010000000000000000"},
		"a number with a group too many":        {"01010000000000000000", "0181000000000000000000"},
		"a number of more than 64 bits":         {"01ffffffffffffffffff0100000000000000" + "00", "01ffffffffffffffffff0300000000000000" + "00"},
		"more commands than bytes":              {"01010000000000000000", "0101007f000000000000"},
		"the end is missing":                    {"01010000000000000000", "010100000000000000"},
		"something behind the end":              {"01010000000000000000", "0101000000000000000000"},
		"a second account without a first":      {balances("01" + "00" + one + "010000"), balances("01" + "01" + one + "010000")},
		"an account twice":                      {balances("02" + "00" + one + "010000" + "01" + two + "010000"), balances("02" + "00" + one + "010000" + "01" + one + "010000")},
		"a field that is there as it mostly is": {event("0100" + "05"), event("0100" + "00")},
		"a bit that means no field":             {event("0000"), event("0080")},
		"a market of more than four bytes":      {event("0200" + "ffffffff0f"), event("0200" + "8080808010")},
	} {
		for text, want := range map[string]bool{c.good: true, c.bad: false} {
			data, err := hex.DecodeString(text)
			if err != nil {
				t.Fatal(err)
			}
			if b, err := archive.Parse(data); (err == nil) != want {
				t.Errorf("%s: %s is read as %+v, %v", name, text, b, err)
			}
		}
	}
}
