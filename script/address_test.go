package script_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/address/v2"
	"github.com/btcsuite/btcd/btcec/v2/schnorr"
	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/txscript/v2"
	"pgregory.net/rapid"

	"souk/script"
)

// the vectors of BIP-350. Programs that are no template are refused.
func TestAddressesBIP350(t *testing.T) {
	var file struct {
		Valid   []struct{ Address, Script string }
		Invalid []struct{ Address, Error string }
	}
	vectors(t, "bip350.json", &file)
	if len(file.Valid) != 5 || len(file.Invalid) != 18 {
		t.Fatalf("%d and %d vectors", len(file.Valid), len(file.Invalid))
	}
	of := func(a string) *script.Network {
		if strings.HasPrefix(strings.ToLower(a), "tb1") {
			return network(t, "bitcoin-testnet4")
		}
		return network(t, "bitcoin")
	}
	for _, v := range file.Valid {
		out, err := of(v.Address).ParseAddress(v.Address)
		if err != nil || !bytes.Equal(out, unhex(t, v.Script)) {
			t.Errorf("%s: %x, %v", v.Address, out, err)
			continue
		}
		if got, err := of(v.Address).Address(out); err != nil || got != strings.ToLower(v.Address) {
			t.Errorf("%x is written %s, %v", out, got, err)
		}
	}
	kinds := map[string]error{"syntax": script.ErrSyntax, "checksum": script.ErrChecksum, "template": script.ErrTemplate}
	for _, v := range file.Invalid {
		if out, err := of(v.Address).ParseAddress(v.Address); !errors.Is(err, kinds[v.Error]) {
			t.Errorf("%s: %x, %v; want %v", v.Address, out, err, kinds[v.Error])
		}
	}
}

// every refusal says what is wrong, and what to do.
func TestAddressRefusals(t *testing.T) {
	mweb := "qq" + strings.Repeat("qpzry9x8gf2tvdw0s3jn54khce6mua7l", 4)
	for _, c := range []struct {
		name, network, text string
		want                error
		says                string
	}{
		{"nothing", "bitcoin", "", script.ErrSyntax, "0"},
		{"too long", "bitcoin", strings.Repeat("1", 91), script.ErrSyntax, "91"},
		{"spaces", "bitcoin", " bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", script.ErrSyntax, "spaces"},
		{"no letters of ours", "bitcoin", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t€", script.ErrSyntax, "special"},
		{"mixed case", "bitcoin", "bc1qW508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", script.ErrSyntax, "capital"},
		{"mistyped", "bitcoin", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5", script.ErrChecksum, "copy"},
		{"mistyped with a 1 at the end", "bitcoin-regtest", "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt081", script.ErrSyntax, "a character is wrong or missing; copy the address again"},
		{"mistyped with a letter that there is not", "bitcoin", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3tb", script.ErrSyntax, "a character is wrong or missing; copy the address again"},
		{"mistyped in base58", "bitcoin", "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN3", script.ErrChecksum, "copy"},
		{"a letter base58 has not", "bitcoin", "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVNl", script.ErrSyntax, "no address"},
		{"a name", "bitcoin", "alice", script.ErrSyntax, "no address"},
		{"another network", "litecoin", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", script.ErrNetwork, "bitcoin, not litecoin (ltc1...)"},
		{"the test network", "bitcoin", "tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3q0sl5k7", script.ErrNetwork, "bitcoin-testnet4"},
		{"another network in base58", "namecoin", "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2", script.ErrNetwork, "bitcoin, not namecoin"},
		{"an unknown network in base58", "bitcoin", "DFundmtrigzA6E25Swr2pRe4Eb79bGP8G1", script.ErrNetwork, "first byte 30"},
		{"MWEB", "litecoin", "ltcmweb1" + mweb, script.ErrMWEB, "ordinary address"},
		{"MWEB in capitals", "litecoin", strings.ToUpper("ltcmweb1" + mweb), script.ErrMWEB, "ltcmweb1"},
		{"MWEB of the test networks", "litecoin-regtest", "tmweb1" + mweb, script.ErrMWEB, "tmweb1"},
		{"MWEB elsewhere", "bitcoin", "ltcmweb1" + mweb, script.ErrMWEB, "Litecoin"},
		{"only the beginning", "bitcoin", "bc1", script.ErrSyntax, ""},
		{"a private key", "bitcoin", "5HueCGU8rMjxEXxiPuD5BDku4MkFqeZyd4dZ1jvhTVqvbTLvyTJ", script.ErrSyntax, "no address"},
	} {
		out, err := network(t, c.network).ParseAddress(c.text)
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %x, %v; want %v with %q", c.name, out, err, c.want, c.says)
		}
	}
}

// Litecoin reads both forms of P2SH and writes the new one.
func TestLitecoinScriptHashes(t *testing.T) {
	hash := unhex(t, "389ffce9cd9ae88dcc0631e88a821ffdbe9bfe26")
	want := slices.Concat([]byte{0xa9, 20}, hash, []byte{0x87})
	for _, name := range []string{"litecoin", "litecoin-testnet", "litecoin-regtest"} {
		n := network(t, name)
		for _, prefix := range n.P2SH {
			old := *n
			old.P2SH = []byte{prefix}
			text, err := old.Address(want)
			if err != nil {
				t.Fatal(err)
			}
			if out, err := n.ParseAddress(text); err != nil || !bytes.Equal(out, want) {
				t.Errorf("%s reads %s as %x, %v", name, text, out, err)
			}
		}
	}
	if a, err := network(t, "litecoin").Address(want); err != nil || a[0] != 'M' {
		t.Errorf("litecoin writes %s, %v", a, err)
	}
	same, err := network(t, "bitcoin").Address(want)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := network(t, "litecoin").ParseAddress(same); err != nil || !bytes.Equal(out, want) {
		t.Errorf("litecoin reads %s as %x, %v", same, out, err)
	}
}

// the addresses that nodes of Namecoin and Litecoin gave.
func TestRecordedAddresses(t *testing.T) {
	v := readVault(t)
	for _, s := range v.Spends {
		n := network(t, s.Network)
		check := func(text, out string) {
			if got, err := n.ParseAddress(text); err != nil || !bytes.Equal(got, unhex(t, out)) {
				t.Errorf("%s: %x, %v", text, got, err)
			}
			if got, err := n.Address(unhex(t, out)); err != nil || got != text {
				t.Errorf("%s: %s, %v", out, got, err)
			}
		}
		check(s.Address, v.Output)
		for _, o := range s.Outputs {
			check(o.Address, o.Script)
		}
	}
}

// drawOutput draws an output script of a template.
func drawOutput(t *rapid.T) []byte {
	hash := rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "hash")
	switch rapid.IntRange(1, 5).Draw(t, "template") {
	case 1:
		return slices.Concat([]byte{0x76, 0xa9, 20}, hash[:20], []byte{0x88, 0xac})
	case 2:
		return slices.Concat([]byte{0xa9, 20}, hash[:20], []byte{0x87})
	case 3:
		return slices.Concat([]byte{0, 20}, hash[:20])
	case 4:
		return slices.Concat([]byte{0, 32}, hash)
	}
	for !onCurve(hash) { // as of half of all
		hash[31]++
	}
	return slices.Concat([]byte{0x51, 32}, hash)
}

// onCurve tells by BIP-340's own reading whether somebody can have a key.
func onCurve(x []byte) bool {
	_, err := schnorr.ParsePubKey(x)
	return err == nil
}

// what is paid to taproot without a point of the curve is lost.
func TestUnspendableTaproot(t *testing.T) {
	const field = "fffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2f" // p, one above the largest x
	for name, c := range map[string]struct {
		x    string
		want error
	}{
		"the generator":           {"79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798", nil},
		"BIP-341's nobody":        {"50929b74c1a04954b78b4b6035e97a5e078a5a0f28ec96d547bfee9ace803ac0", nil}, // a script can spend it
		"zero":                    {strings.Repeat("00", 32), script.ErrUnspendable},
		"no square":               {strings.Repeat("00", 31) + "05", script.ErrUnspendable},
		"a vector of BIP-340":     {"4a298dacae57395a15d0795ddbfd1dcb564da82b0f269bc70a74f8220429ba1d", script.ErrUnspendable},
		"p":                       {field, script.ErrUnspendable},
		"p and one, where 1 does": {field[:62] + "30", script.ErrUnspendable},
	} {
		out := append([]byte{0x51, 32}, unhex(t, c.x)...)
		for _, n := range script.Networks() {
			if n.TaprootHeight == script.Never {
				continue
			}
			if err := n.Payable(out, script.Never-1); !errors.Is(err, c.want) {
				t.Errorf("%s: %s pays: %v", name, n.Name, err)
			}
			text, err := n.Address(out) // others' outputs can be shown
			if err != nil {
				t.Fatal(err)
			}
			if _, err = n.ParseAddress(text); !errors.Is(err, c.want) || err != nil && !strings.Contains(err.Error(), "lost for ever") {
				t.Errorf("%s: %s reads %s: %v", name, n.Name, text, err)
			}
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		x := rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "x")
		n, _ := script.ByName("bitcoin")
		if err := n.Payable(append([]byte{0x51, 32}, x...), script.Never-1); (err == nil) != onCurve(x) {
			t.Fatalf("%x: %v", x, err)
		}
	})
}

// what is written is read back, and btcd writes and reads the same.
func TestAddressesAsBtcd(t *testing.T) {
	params := map[string]*chaincfg.Params{
		"bitcoin": &chaincfg.MainNetParams, "bitcoin-testnet4": &chaincfg.TestNet4Params,
		"bitcoin-signet": &chaincfg.SigNetParams, "bitcoin-regtest": &chaincfg.RegressionNetParams,
	}
	for _, n := range script.Networks() { // the other networks as btcd would have them
		if params[n.Name] == nil {
			p := chaincfg.MainNetParams
			p.Name, p.Net = n.Name, p.Net+1
			p.Bech32HRPSegwit, p.PubKeyHashAddrID, p.ScriptHashAddrID = n.HRP, n.P2PKH, n.P2SH[0]
			params[n.Name] = &p
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		out := drawOutput(t)
		n := rapid.SampledFrom(script.Networks()).Draw(t, "network")
		text, err := n.Address(out)
		if template, _ := script.TemplateOf(out); template == script.P2TR && n.Chain == script.Namecoin {
			if !errors.Is(err, script.ErrInactive) {
				t.Fatalf("%s writes taproot as %s", n.Name, text)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		back, err := n.ParseAddress(text)
		if err != nil || !bytes.Equal(back, out) {
			t.Fatalf("%s: %x came back as %x, %v", text, out, back, err)
		}
		if n.Chain == script.Bitcoin { // DecodeAddress knows registered networks only
			theirs, err := address.DecodeAddress(text, params[n.Name])
			if err != nil {
				t.Fatal(err)
			}
			if got, err := txscript.PayToAddrScript(theirs); err != nil || !bytes.Equal(got, out) {
				t.Fatalf("btcd reads %s as %x, %v", text, got, err)
			}
		}
		class, theirs, _, err := txscript.ExtractPkScriptAddrs(out, params[n.Name])
		if err != nil || len(theirs) != 1 || theirs[0].EncodeAddress() != text {
			t.Fatalf("btcd writes %x (%v) as %v, %v, not %s", out, class, theirs, err, text)
		}
		// One character changed is never an address.
		from := 0
		if strings.HasPrefix(text, n.HRP+"1") {
			from = len(n.HRP) + 1
		}
		i := rapid.IntRange(from, len(text)-1).Draw(t, "place")
		c := rapid.SampledFrom([]byte("qpzry9x8gf2tvdw0s3jn54khce6mua7l")).Draw(t, "character")
		if changed := text[:i] + string(c) + text[i+1:]; changed != text {
			if out, err := n.ParseAddress(changed); err == nil {
				t.Fatalf("%s is read as %x", changed, out)
			}
		}
	})
}

// any text has a script or an error, and a script has an address that means it.
func FuzzParseAddress(f *testing.F) {
	for _, s := range []string{
		"bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2", "BC1SW50QGDZ25J",
		"ltcmweb1qq", "tmweb1", "bc1", "1", "", "ncrt1q7k3369cn72hkm7m0a3gpszc9cv8xq326snjwx8",
		"tb1pqqqqp399et2xygdj5xreqhjjvcmzhxw4aywxecjdzew6hylgvsesf3hn0c",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, n := range script.Networks() {
			out, err := n.ParseAddress(text)
			if err != nil {
				continue
			}
			if err := n.Payable(out, script.Never-1); err != nil {
				t.Fatalf("%s on %s is %x: %v", text, n.Name, out, err)
			}
			written, err := n.Address(out)
			if err != nil {
				t.Fatal(err)
			}
			if back, err := n.ParseAddress(written); err != nil || !bytes.Equal(back, out) {
				t.Fatalf("%s on %s is %x, written %s, read as %x, %v", text, n.Name, out, written, back, err)
			}
		}
	})
}
