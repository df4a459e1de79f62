package script_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/btcsuite/btcd/chaincfg/v2"

	"souk/asset"
	"souk/script"
)

// Bitcoin's lines are those of btcd.
func TestNetworksBitcoin(t *testing.T) {
	for name, want := range map[string]*chaincfg.Params{
		"bitcoin": &chaincfg.MainNetParams, "bitcoin-testnet4": &chaincfg.TestNet4Params,
		"bitcoin-signet": &chaincfg.SigNetParams, "bitcoin-regtest": &chaincfg.RegressionNetParams,
	} {
		n := network(t, name)
		if n.Genesis != script.Hash(*want.GenesisHash) || n.HRP != want.Bech32HRPSegwit ||
			n.P2PKH != want.PubKeyHashAddrID || !slices.Equal(n.P2SH, []byte{want.ScriptHashAddrID}) {
			t.Errorf("%s is %+v", name, n)
		}
	}
}

// every line is complete.
func TestNetworksComplete(t *testing.T) {
	list := script.Networks()
	if len(list) != 9 {
		t.Errorf("%d networks", len(list))
	}
	tickers := map[script.Chain]string{script.Bitcoin: "BTC", script.Litecoin: "LTC", script.Namecoin: "NMC"}
	names := map[string]bool{}
	for _, n := range list {
		if got, ok := script.ByName(n.Name); !ok || got != n || names[n.Name] {
			t.Errorf("%s is not found by its name, or stands there twice", n.Name)
		}
		names[n.Name] = true
		if n.Ticker != tickers[n.Chain] || n.Genesis.IsZero() || n.HRP == "" || len(n.P2SH) == 0 || n.SegwitHeight == script.Never ||
			n.MinRelay == 0 || n.Dust == 0 || n.TokenAmounts < n.Dust || n.BlockSeconds == 0 {
			t.Errorf("%s is incomplete: %+v", n.Name, n)
		}
		if litecoin := n.Chain == script.Litecoin; n.MWEB != litecoin || n.Replace == litecoin || (n.PegOutExtra == 6) != litecoin {
			t.Errorf("%s: MWEB %v, replace %v, peg-out %d", n.Name, n.MWEB, n.Replace, n.PegOutExtra)
		}
	}
	if _, ok := script.ByName("dogecoin"); ok {
		t.Error("found a network that is not there")
	}
}

// no taproot on Namecoin, in no way.
func TestNamecoinHasNoTaproot(t *testing.T) {
	taproot := append([]byte{0x51, 32}, make([]byte, 32)...)
	bitcoin := network(t, "bitcoin")
	for _, n := range script.Networks() {
		if n.Chain != script.Namecoin {
			continue
		}
		if n.TaprootHeight != script.Never {
			t.Errorf("%s has taproot from %d", n.Name, n.TaprootHeight)
		}
		for _, height := range []uint32{0, 1, 900_000, script.Never - 1, script.Never} {
			if err := n.Payable(taproot, height); !errors.Is(err, script.ErrInactive) {
				t.Errorf("%s pays to taproot at %d: %v", n.Name, height, err)
			}
		}
		if a, err := n.Address(taproot); !errors.Is(err, script.ErrInactive) {
			t.Errorf("%s writes taproot as %s: %v", n.Name, a, err)
		}
		disguise := *bitcoin // the same address with Namecoin's prefix and a right checksum
		disguise.HRP = n.HRP
		a, err := disguise.Address(taproot)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := n.ParseAddress(a); !errors.Is(err, script.ErrInactive) {
			t.Errorf("%s reads %s: %v", n.Name, a, err)
		}
	}
}

// depth grows with the sum, and every sum has one.
func TestDepth(t *testing.T) {
	for _, n := range script.Networks() {
		var before script.Confirmation
		for _, c := range n.Confirmations {
			if c.UpTo <= before.UpTo || c.Blocks <= before.Blocks {
				t.Errorf("%s: %v after %v", n.Name, c, before)
			}
			if got := n.Depth(c.UpTo); got != c.Blocks {
				t.Errorf("%s: depth of %d is %d, not %d", n.Name, c.UpTo, got, c.Blocks)
			}
			if got := n.Depth(before.UpTo + 1); got != c.Blocks {
				t.Errorf("%s: depth of %d is %d, not %d", n.Name, before.UpTo+1, got, c.Blocks)
			}
			before = c
		}
		if before.UpTo != asset.MaxSupply || n.Depth(1<<64-1) != before.Blocks {
			t.Errorf("%s: the last step ends at %d", n.Name, before.UpTo)
		}
	}
	if got := network(t, "bitcoin").Depth(1e8 + 1); got != 6 {
		t.Errorf("one coin and a unit wait for %d blocks", got)
	}
}

// nothing is paid to that the network does not protect.
func TestPayable(t *testing.T) {
	for _, c := range []struct {
		network string
		out     string
		height  uint32
		want    error
	}{
		{"bitcoin", "76a914389ffce9cd9ae88dcc0631e88a821ffdbe9bfe2688ac", 0, nil},
		{"bitcoin", "a914389ffce9cd9ae88dcc0631e88a821ffdbe9bfe2687", 0, nil},
		{"bitcoin", "0014751e76e8199196d454941c45d1b3a323f1433bd6", 481_823, script.ErrInactive},
		{"bitcoin", "0014751e76e8199196d454941c45d1b3a323f1433bd6", 481_824, nil},
		{"litecoin", "00201863143c14c5166804bd19203356da136c985678cd4d27a1b8c6329604903262", 1_201_535, script.ErrInactive},
		{"litecoin", "00201863143c14c5166804bd19203356da136c985678cd4d27a1b8c6329604903262", 1_201_536, nil},
		{"bitcoin", "512079be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798", 709_631, script.ErrInactive},
		{"bitcoin", "512079be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798", 709_632, nil},
		{"bitcoin", "51024e73", 900_000, script.ErrTemplate},                                                                     // pay to anchor
		{"bitcoin", "6a0568656c6c6f", 900_000, script.ErrTemplate},                                                               // data
		{"bitcoin", "0010751e76e8199196d454941c45d1b3a323", 900_000, script.ErrTemplate},                                         // a length of no template
		{"bitcoin", "5220" + "1863143c14c5166804bd19203356da136c985678cd4d27a1b8c6329604903262", 900_000, script.ErrTemplate},    // version 2
		{"litecoin", "5820" + "1863143c14c5166804bd19203356da136c985678cd4d27a1b8c6329604903262", 3_000_000, script.ErrTemplate}, // HogEx
		{"namecoin", "530464617461000000005375a914389ffce9cd9ae88dcc0631e88a821ffdbe9bfe2688ac", 900_000, script.ErrTemplate},    // a name
		{"bitcoin", "21028c3e2012f6797cae257e6164807cea7613ed00d61dac75e9601bbf56770294e4ac", 900_000, script.ErrTemplate},       // bare key
		{"bitcoin", "", 900_000, script.ErrTemplate},
	} {
		if err := network(t, c.network).Payable(unhex(t, c.out), c.height); !errors.Is(err, c.want) {
			t.Errorf("%s, %s at %d: %v, want %v", c.network, c.out, c.height, err, c.want)
		}
	}
}
