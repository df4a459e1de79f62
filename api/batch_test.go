package api_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"souk/api"
	"souk/asset"
	"souk/exchange"
	"souk/exchange/exchangetest"
	"souk/exchange/market"
	"souk/identity"
)

// server is the virtual server of these tests.
var server = exchange.ID{1, 2, 3}

// transfers are n signed transfers.
func transfers(tb testing.TB, n int) []*exchange.Command {
	tb.Helper()
	s := api.OwnerOf(exchangetest.Key("alice"))
	list := make([]*exchange.Command, n)
	for i := range list {
		var err error
		body := &exchange.Transfer{To: exchangetest.Address("bob"), Asset: 1, Amount: asset.Amount(i + 1)}
		if list[i], err = s.Command(server, body, uint64(i+1), 1<<50); err != nil {
			tb.Fatal(err)
		}
	}
	return list
}

func encode(commands []*exchange.Command) (all []byte, each [][]byte) {
	for _, c := range commands {
		each = append(each, c.Append(nil))
		all = c.Append(all)
	}
	return all, each
}

// A body of commands is taken whole or not at all (H-11).
func TestParseBatch(t *testing.T) {
	commands := transfers(t, 3)
	all, each := encode(commands)
	got, err := api.ParseBatch(server, all)
	if err != nil || len(got) != 3 {
		t.Fatal(len(got), err)
	}
	for i := range got {
		if got[i].ID != commands[i].ID {
			t.Errorf("command %d has another id", i)
		}
	}
	if n, whole := api.CountBatch(all); n != 3 || !whole {
		t.Error(n, whole)
	}
	unknown := bytes.Clone(each[0])
	unknown[0] = 200
	for name, data := range map[string][]byte{
		"empty": {}, "one byte": {1}, "cut short": all[:len(all)-1], "cut in the first": each[0][:60],
		"more behind": append(bytes.Clone(all), 1), "unknown kind": append(bytes.Clone(each[0]), unknown...),
	} {
		if got, err := api.ParseBatch(server, data); !errors.Is(err, api.ErrBatch) || got != nil {
			t.Errorf("%s: %d commands, %v", name, len(got), err)
		}
	}
	many := bytes.Repeat(each[0], api.MaxBatch+1)
	if _, err := api.ParseBatch(server, many); !errors.Is(err, api.ErrBatchSize) {
		t.Error(err)
	}
}

// The JSON form has one field, once, and whole commands (H-12).
func TestParseBatchJSON(t *testing.T) {
	all, each := encode(transfers(t, 2))
	h, b := hex.EncodeToString(each[0]), base64.StdEncoding.EncodeToString(each[1])
	good := `{"commands":["` + h + `", "` + b + `"]}`
	got, err := api.ParseBatchJSON([]byte(good))
	if err != nil || !bytes.Equal(got, all) {
		t.Fatal(err)
	}
	one := `["` + h + `"]`
	for name, text := range map[string]string{
		"nothing": ``, "no object": `[]`, "a number": `7`, "no field": `{}`, "null": `{"commands":null}`,
		"twice": `{"commands":` + one + `,"commands":` + one + `}`, "unknown field": `{"commands":` + one + `,"x":1}`,
		"other case": `{"Commands":` + one + `}`, "text": `{"commands":"` + h + `"}`, "number in list": `{"commands":[1]}`,
		"object in list": `{"commands":[{}]}`, "empty command": `{"commands":[""]}`, "no encoding": `{"commands":["!"]}`,
		"behind": good + `{}`, "not closed": good[:len(good)-1], "two in one": `{"commands":["` + hex.EncodeToString(all) + `"]}`,
		"half": `{"commands":["` + h[:100] + `"]}`, "number": `{"commands":-1}`, "deep": strings.Repeat("[", 10_000),
	} {
		if got, err := api.ParseBatchJSON([]byte(text)); !errors.Is(err, api.ErrBatch) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
	if got, err := api.ParseBatchJSON([]byte(`{"commands":[]}`)); err != nil || len(got) != 0 {
		t.Error(got, err)
	}
}

func FuzzParseBatch(f *testing.F) {
	all, each := encode(transfers(f, 3))
	f.Add(all)
	f.Add(each[0][:70])
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := api.ParseBatch(server, data)
		if err != nil {
			return
		}
		var again []byte
		for i := range got {
			again = got[i].Append(again)
		}
		if !bytes.Equal(again, data) {
			t.Error("what was read is written in another way")
		}
		if n, whole := api.CountBatch(data); n != len(got) || !whole {
			t.Errorf("counted %d, whole %v, of %d", n, whole, len(got))
		}
	})
}

func FuzzParseBatchJSON(f *testing.F) {
	_, each := encode(transfers(f, 2))
	f.Add([]byte(`{"commands":["` + hex.EncodeToString(each[0]) + `"]}`))
	f.Add([]byte(`{"commands":["` + base64.StdEncoding.EncodeToString(each[1]) + `"],"commands":[]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := api.ParseBatchJSON(data)
		if err != nil || len(got) == 0 {
			return
		}
		if _, err := api.ParseBatch(server, got); err != nil {
			t.Errorf("it was let through: %v", err)
		}
	})
}

func anyReceipt(t *rapid.T) exchange.Receipt {
	r := exchange.Receipt{
		Code: rapid.SampledFrom(exchange.Codes()).Draw(t, "code"), Height: rapid.Uint64Max(1<<53).Draw(t, "height"),
		Time: rapid.Uint64Max(1<<53).Draw(t, "time"), Number: rapid.Uint64Max(1<<53).Draw(t, "number"),
		Filled: asset.Amount(rapid.Uint64().Draw(t, "filled")), Cost: asset.Amount(rapid.Uint64().Draw(t, "cost")),
		Fee: asset.Amount(rapid.Uint64().Draw(t, "fee")), Status: market.Status(rapid.Uint8Max(3).Draw(t, "status")),
	}
	copy(r.ID[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "id"))
	return r
}

// Receipts come through JSON and binary unchanged, and the JSON that is made by
// hand is what encoding/json would make (H-13, H-14).
func TestReceipts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var list []exchange.Receipt
		values := []api.Receipt{}
		for range rapid.IntRange(0, 3).Draw(t, "n") {
			r := anyReceipt(t)
			list = append(list, r)
			values = append(values, api.ReceiptValue(&r))
		}
		got, err := api.ParseReceipts(api.AppendReceipts(nil, list))
		if err != nil || len(list) > 0 && cmp.Diff(list, got) != "" {
			t.Fatalf("binary: %v\n%s", err, cmp.Diff(list, got))
		}
		var fast []api.Receipt
		if err := json.Unmarshal(api.AppendReceiptsJSON(nil, list), &fast); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(values, fast); diff != "" {
			t.Fatal(diff)
		}
		for i := range values {
			r, err := values[i].Parse()
			if err != nil || r != list[i] {
				t.Fatalf("%+v came back as %+v: %v", list[i], r, err)
			}
		}
	})
}

func FuzzParseReceipts(f *testing.F) {
	f.Add(api.AppendReceipts(nil, []exchange.Receipt{{Code: 7}, {Height: 1}}))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := api.ParseReceipts(data)
		if err == nil && !bytes.Equal(api.AppendReceipts(nil, got), data) {
			t.Error("what was read is written in another way")
		}
	})
}

// Every code has a sentence that says what to do, without characters that JSON
// would have to escape (H-31).
func TestMessages(t *testing.T) {
	fallback := api.Message(60_000)
	for _, c := range exchange.Codes() {
		m := api.Message(c)
		if m == fallback || !strings.HasSuffix(m, ".") || strings.ContainsAny(m+c.String(), "\"\\<>&\n") {
			t.Errorf("code %d: %q", c, m)
		}
	}
}

// A read token says who may read what, when and where, and nothing else verifies (H-20, H-21).
func TestReadToken(t *testing.T) {
	key := exchangetest.Key("alice")
	account := identity.AddressOf(key.Public())
	const target = "/v1/accounts/x?proof=1"
	token := api.SignRead(server, account, key, 1_800_000_000_000, "GET", target)
	back, err := api.ParseReadToken(token.String())
	if err != nil || back != token {
		t.Fatal(err)
	}
	if !back.Verify(server, "GET", target) {
		t.Error("it does not verify")
	}
	other := token
	other.Address = exchangetest.Address("bob")
	later := token
	later.Time++
	foreign := token
	foreign.Key = exchangetest.Key("bob").Public()
	switch {
	case other.Verify(server, "GET", target):
		t.Error("it verifies for another account")
	case later.Verify(server, "GET", target):
		t.Error("it verifies at another time")
	case foreign.Verify(server, "GET", target):
		t.Error("it verifies for another key")
	case token.Verify(exchange.ID{9}, "GET", target):
		t.Error("it verifies for another virtual server")
	case token.Verify(server, "POST", target):
		t.Error("it verifies for another method")
	case token.Verify(server, "GET", target+"&x=1"), token.Verify(server, "GET", "/v1/accounts/x"):
		t.Error("it verifies for another query")
	case token.Verify(server, "GET", strings.Repeat("x", 70_000)):
		t.Error("it verifies for a target of any length")
	}
	s := token.String()
	for name, text := range map[string]string{
		"nothing": "", "other version": "v2" + s[2:], "two spaces": "v1  " + s[3:], "field behind": s + ";x=1", "one less": s[:strings.LastIndex(s, ";")],
		"order": strings.Replace(s, ";time=", ";tame=", 1), "upper case": strings.ToUpper(s), "long time": strings.Replace(s, "time=18", "time=99999999918", 1),
		"sign": strings.Replace(s, "time=", "time=+", 1), "zero": strings.Replace(s, "time=", "time=0", 1), "short": s[:len(s)-1], "space": s + " ",
	} {
		if _, err := api.ParseReadToken(text); !errors.Is(err, api.ErrToken) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzParseReadToken(f *testing.F) {
	token := api.SignRead(server, exchangetest.Address("alice"), exchangetest.Key("alice"), 1_800_000_000_000, "GET", "/v1/nonce")
	f.Add(token.String())
	f.Fuzz(func(t *testing.T, text string) {
		if got, err := api.ParseReadToken(text); err == nil && got.String() != text {
			t.Error("what was read is written in another way")
		}
	})
}
