package script

import "souk/asset"

// Chain is a family of networks.
type Chain uint8

// Chains. Numbers are append-only.
const (
	Bitcoin Chain = iota + 1
	Litecoin
	Namecoin
)

// Never is the activation height of what a network does not have.
const Never = 1<<32 - 1

// ChainRules are what all networks of a chain have in common. Amounts are in
// units of 10^-8 coins.
type ChainRules struct {
	Chain  Chain
	Ticker string

	MWEB    bool // blocks may end in a HogEx transaction with peg-outs
	Replace bool // nodes replace a transaction by one that pays more; else a child must pay for it

	MinRelay     asset.Amount // units per 1,000 virtual bytes below which nodes do not relay
	Dust         asset.Amount // no output of any template relays below, so none is made
	TokenAmounts asset.Amount // outputs up to and including this may be tokens: neither credited nor spent

	PegOutExtra  uint32 // blocks to wait in addition for a payment out of a HogEx
	BlockSeconds uint32 // average
}

// Network is one line of the table of networks.
type Network struct {
	ChainRules
	Name string // "bitcoin", "litecoin-regtest", ...
	// Genesis is the hash of block 0. Bitcoin's and Namecoin's regression test
	// networks share theirs.
	Genesis Hash

	HRP   string // of segwit addresses, before the 1
	P2PKH byte   // first byte of addresses of key hashes
	P2SH  []byte // first bytes of addresses of script hashes: the first is written, all are read

	SegwitHeight  uint32 // from here on a segwit output needs a witness
	TaprootHeight uint32 // the same for taproot; Never on Namecoin, where anybody could spend such an output

	// Confirmations are the blocks to wait, by sum, ascending. The last step is
	// without a bound.
	Confirmations []Confirmation
}

// Confirmation says how deep a sum of up to and including UpTo must be.
type Confirmation struct {
	UpTo   asset.Amount
	Blocks uint32
}

// Networks returns the table. Nobody may change what it points to.
func Networks() []*Network {
	list := make([]*Network, len(networks))
	for i := range networks {
		list[i] = &networks[i]
	}
	return list
}

// ByName returns a network of the table.
func ByName(name string) (*Network, bool) {
	for i := range networks {
		if networks[i].Name == name {
			return &networks[i], true
		}
	}
	return nil, false
}

// Depth returns the number of blocks, the one of the payment included, that a
// sum of payments in one block must have before it is credited.
func (n *Network) Depth(sum asset.Amount) uint32 {
	for _, c := range n.Confirmations {
		if sum <= c.UpTo {
			return c.Blocks
		}
	}
	return n.Confirmations[len(n.Confirmations)-1].Blocks
}

const coin = 1e8 // units

// Depths. Litecoin was reorganised by 13 blocks in April 2026: nowhere but on Bitcoin
// does anything count before 24, and by far not everything then.
var (
	bitcoinDepths  = []Confirmation{{1 * coin, 3}, {10 * coin, 6}, {100 * coin, 12}, {asset.MaxSupply, 36}}
	litecoinDepths = []Confirmation{{100 * coin, 24}, {1000 * coin, 48}, {10_000 * coin, 96}, {asset.MaxSupply, 288}}
	namecoinDepths = []Confirmation{{1000 * coin, 24}, {10_000 * coin, 48}, {asset.MaxSupply, 96}}
	regtestDepths  = []Confirmation{{10 * coin, 2}, {100 * coin, 3}, {asset.MaxSupply, 6}}
)

// The chains.
var (
	bitcoinRules = ChainRules{
		Chain: Bitcoin, Ticker: "BTC", Replace: true,
		MinRelay: 1000, Dust: 546, TokenAmounts: 600, BlockSeconds: 600,
	}
	litecoinRules = ChainRules{
		Chain: Litecoin, Ticker: "LTC", MWEB: true,
		MinRelay: 1000, Dust: 5460, TokenAmounts: 10_000, PegOutExtra: 6, BlockSeconds: 150,
	}
	namecoinRules = ChainRules{
		Chain: Namecoin, Ticker: "NMC", Replace: true,
		MinRelay: 100_000, Dust: 18_200, TokenAmounts: 18_200, BlockSeconds: 600,
	}
)

var networks = [...]Network{
	{
		ChainRules: bitcoinRules, Name: "bitcoin",
		Genesis: mustHash("000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f"),
		HRP:     "bc", P2PKH: 0, P2SH: []byte{5},
		SegwitHeight: 481_824, TaprootHeight: 709_632,
		Confirmations: bitcoinDepths,
	},
	{
		ChainRules: bitcoinRules, Name: "bitcoin-testnet4",
		Genesis: mustHash("00000000da84f2bafbbc53dee25a72ae507ff4914b867c565be350b0da8bf043"),
		HRP:     "tb", P2PKH: 111, P2SH: []byte{196},
		SegwitHeight: 1, TaprootHeight: 1,
		Confirmations: bitcoinDepths,
	},
	{
		ChainRules: bitcoinRules, Name: "bitcoin-signet",
		Genesis: mustHash("00000008819873e925422c1ff0f99f7cc9bbb232af63a077a480a3633bee1ef6"),
		HRP:     "tb", P2PKH: 111, P2SH: []byte{196},
		SegwitHeight: 1, TaprootHeight: 1,
		Confirmations: bitcoinDepths,
	},
	{
		ChainRules: bitcoinRules, Name: "bitcoin-regtest",
		Genesis: mustHash("0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206"),
		HRP:     "bcrt", P2PKH: 111, P2SH: []byte{196},
		SegwitHeight: 1, TaprootHeight: 1,
		Confirmations: regtestDepths,
	},
	{
		ChainRules: litecoinRules, Name: "litecoin",
		Genesis: mustHash("12a765e31ffd4059bada1e25190f6e98c99d9714d334efa41a195a7e7e04bfe2"),
		HRP:     "ltc", P2PKH: 48, P2SH: []byte{50, 5},
		SegwitHeight: 1_201_536, TaprootHeight: 2_257_920,
		Confirmations: litecoinDepths,
	},
	{
		ChainRules: litecoinRules, Name: "litecoin-testnet",
		Genesis: mustHash("4966625a4b2851d9fdee139e56211a0d88575f59ed816ff5e6a63deb4e3e29a0"),
		HRP:     "tltc", P2PKH: 111, P2SH: []byte{58, 196},
		SegwitHeight: 6048, TaprootHeight: 2_435_328, // taproot: the end of its signalling
		Confirmations: litecoinDepths,
	},
	{
		ChainRules: litecoinRules, Name: "litecoin-regtest",
		Genesis: mustHash("530827f38f93b43ed12af0b3ad25a288dc02ed74d6d7857862df51fc56c416f9"),
		HRP:     "rltc", P2PKH: 111, P2SH: []byte{58, 196},
		SegwitHeight: 432, TaprootHeight: 432, // by signalling in ltcd; earlier in Litecoin Core
		Confirmations: regtestDepths,
	},
	{
		ChainRules: namecoinRules, Name: "namecoin",
		Genesis: mustHash("000000000062b72c5e2ceb45fbc8587e807c155b0da735e6483dfba2f0a9c770"),
		HRP:     "nc", P2PKH: 52, P2SH: []byte{13},
		SegwitHeight: 475_000, TaprootHeight: Never,
		Confirmations: namecoinDepths,
	},
	{
		ChainRules: namecoinRules, Name: "namecoin-regtest",
		Genesis: mustHash("0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206"),
		HRP:     "ncrt", P2PKH: 111, P2SH: []byte{196},
		SegwitHeight: 1, TaprootHeight: Never, // its nodes do have taproot, the network that matters has not
		Confirmations: regtestDepths,
	},
}

func mustHash(s string) Hash {
	h, err := ParseHash(s)
	if err != nil {
		panic(err) //nolint:forbidigo // a constant of the table
	}
	return h
}
