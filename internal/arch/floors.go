package arch

import "slices"

// Floors is the policy of this module. Imports point down: a package imports
// lower floors, a port's adapter imports its port, and exchange imports the five
// below it, which never meet.
func Floors() Policy {
	return Policy{
		Module:        "souk",
		Rules:         rules(),
		PureStd:       pureStd(),
		PureLibraries: pureLibraries(),
		TestLibraries: testLibraries(),
		BannedNames: []string{
			"util", "utils", "common", "types", "base", "core", "helper", "helpers",
			"manager", "engine", "service", "model", "models", "misc", "lib", "libs", "pkg",
		},
	}
}

func rules() []Rule {
	values := []string{"asset", "identity", "merkle"}
	parts := []string{"exchange/custody", "exchange/escrow", "exchange/ledger", "exchange/market", "exchange/roster"}
	coins := []string{"asset", "script"}
	state := slices.Concat(values, parts, []string{"script", "exchange"})
	with := func(below []string, more ...string) []string { return slices.Concat(below, more) }
	return []Rule{
		// Floor 0: values.
		{Package: "asset", Floor: 0, Pure: true},
		{Package: "identity", Floor: 0, Pure: true},
		{Package: "merkle", Floor: 0, Pure: true},
		{Package: "script", Floor: 0, Imports: []string{"asset"}, Pure: true},

		// Floor 1: rules. The parts of exchange never meet.
		{Package: "exchange", Floor: 1, Imports: with(values, slices.Concat(parts, []string{"script"})...), Pure: true},
		{Package: "exchange/custody", Floor: 1, Imports: []string{"asset", "merkle", "script"}, Pure: true},
		{Package: "exchange/escrow", Floor: 1, Imports: values, Pure: true},
		{Package: "exchange/ledger", Floor: 1, Imports: values, Pure: true},
		{Package: "exchange/market", Floor: 1, Imports: values, Pure: true},
		{Package: "exchange/roster", Floor: 1, Imports: values, Pure: true},
		{Package: "mail", Floor: 1, Imports: []string{"identity"}, Pure: true},
		{Package: "peernet", Floor: 1, Imports: []string{"identity"}, Pure: true},
		{Package: "peernet/terms", Floor: 1, Imports: []string{"asset", "identity"}, Pure: true},
		{Package: "threshold", Floor: 1, Imports: []string{"asset", "script"}, Pure: true},
		{Package: "exchange/exchangetest", Floor: 1, Imports: with(state, "internal/bulk"), Test: true},
		{Package: "exchange/market/markettest", Floor: 1, Imports: with(values, "exchange/market", "internal/bulk"), Test: true},

		// Floor 2: ports, and beside each port its adapters.
		{Package: "consensus", Floor: 2, Imports: []string{"identity", "merkle"}},
		{
			Package: "consensus/comet", Floor: 2, Imports: []string{"identity", "merkle", "consensus"},
			Owns: []string{"github.com/cometbft"},
		},
		{Package: "consensus/consensustest", Floor: 2, Imports: with(values, "consensus", "internal/bulk"), Test: true},
		{Package: "chain", Floor: 2, Imports: coins},
		{Package: "chain/rpc", Floor: 2, Imports: with(coins, "chain"), Shared: true},
		{Package: "chain/rpc/rpctest", Floor: 2, Imports: with(coins, "chain", "chain/rpc"), Test: true},
		{Package: "chain/bitcoin", Floor: 2, Imports: with(coins, "chain", "chain/rpc"), Shared: true},
		{Package: "chain/litecoin", Floor: 2, Imports: with(coins, "chain", "chain/rpc")},
		{Package: "chain/namecoin", Floor: 2, Imports: with(coins, "chain", "chain/rpc")},
		{
			Package: "chain/neutrino", Floor: 2, Imports: with(coins, "chain", "chain/bitcoin"),
			Owns: []string{"github.com/lightninglabs/neutrino", "github.com/btcsuite/btcwallet"},
		},
		{Package: "chain/memchain", Floor: 2, Imports: with(coins, "chain")},
		{Package: "chain/chaintest", Floor: 2, Imports: with(coins, "chain"), Test: true},
		{Package: "transport", Floor: 2, Imports: []string{"identity"}},
		{Package: "transport/intake", Floor: 2, Imports: []string{"transport"}, Shared: true},
		{Package: "transport/memnet", Floor: 2, Imports: []string{"transport", "transport/intake"}},
		{
			Package: "transport/libp2p", Floor: 2, Imports: []string{"identity", "transport", "transport/intake"}, Shared: true,
			Owns: []string{"github.com/libp2p", "github.com/multiformats"},
		},
		{
			Package: "transport/tor", Floor: 2, Imports: []string{"identity", "transport", "transport/intake", "transport/libp2p"},
			Owns: []string{"github.com/cretz/bine"},
		},
		{Package: "transport/tor/tortest", Floor: Beside, Imports: []string{"internal/ports"}, Test: true},
		{Package: "transport/transporttest", Floor: 2, Imports: []string{"identity", "transport"}, Test: true},
		{Package: "transport/irc", Floor: 2, Imports: []string{"identity", "transport"}, Owns: []string{"github.com/ergochat", "github.com/lrstanley", "github.com/flynn"}},
		{Package: "store", Floor: 2},
		{Package: "store/pebble", Floor: 2, Imports: []string{"store"}, Owns: []string{"github.com/cockroachdb/pebble"}},
		{Package: "store/memstore", Floor: 2, Imports: []string{"store"}},
		{Package: "store/sealed", Floor: 2, Owns: []string{"filippo.io/age"}},
		{Package: "store/storetest", Floor: 2, Imports: []string{"store", "internal/bulk"}, Test: true},

		{Package: "archive", Floor: 2, Imports: state},
		{Package: "archive/tables/query", Floor: 2},
		{
			Package: "archive/tables", Floor: 2, Imports: with(state, "archive", "archive/tables/query"), Shared: true,
			Owns: []string{"github.com/pressly/goose"},
		},
		{Package: "archive/sqlite", Floor: 2, Imports: with(state, "archive", "archive/tables"), Owns: []string{"modernc.org/sqlite"}},
		{Package: "archive/postgres", Floor: 2, Imports: with(state, "archive", "archive/tables"), Owns: []string{"github.com/jackc/pgx"}},
		{Package: "archive/postgres/postgrestest", Floor: 2, Test: true},
		{Package: "archive/export", Floor: 2, Imports: []string{"archive"}},
		{Package: "archive/archivetest", Floor: 2, Imports: with(state, "archive", "exchange/exchangetest", "internal/bulk"), Test: true},

		// Floor 3: workers.
		{
			Package: "auditor", Floor: 3,
			Imports: with(coins, "chain", "merkle", "exchange/custody", "exchange/ledger"),
		},
		{Package: "purse", Floor: 3, Imports: with(values, "exchange", "store/sealed")},
		{Package: "replica", Floor: 3, Imports: with(state, "consensus", "store", "archive")},
		{Package: "custodian", Floor: 3, Imports: with(state, "chain", "threshold")},
		{Package: "recovery", Floor: 3, Imports: with(coins, "chain", "threshold")},
		{Package: "courier", Floor: 3, Imports: []string{"identity", "mail", "peernet", "peernet/terms", "transport", "store", "store/sealed"}},
		{Package: "tape", Floor: 3, Imports: []string{"asset", "exchange", "exchange/market", "archive"}},
		{Package: "signer", Floor: 3, Imports: []string{"asset", "exchange/custody", "script", "threshold"}},

		// Floor 4: faces.
		{Package: "api", Floor: 4, Imports: state},
		{
			Package: "web", Floor: 4, Imports: with(state, "consensus", "archive", "tape", "api", "threshold"),
			Owns: []string{"github.com/danielgtaylor/huma"},
		},
		{
			Package: "web/binance", Floor: 4, Imports: []string{"asset", "exchange", "exchange/market", "api", "tape"},
		},

		{
			Package: "gate", Floor: 4,
			Imports: with(state, "store", "archive", "api", "tape", "web/binance", "web/wallet"),
		},
		{Package: "web/wallet", Floor: 4, Imports: []string{"asset"}},
		{Package: "web/ui", Floor: 4},

		// Floor 5: assembly. Only node imports adapters.
		{
			Package: "node", Floor: 5, Imports: with(state, "archive", "archive/tables", "archive/sqlite", "archive/postgres", "archive/export", "consensus", "consensus/comet",
				"store", "store/pebble", "store/memstore", "store/sealed", "replica", "tape", "api", "web", "internal/ports",
				"gate", "tape", "web/binance", "web/wallet", "web/ui",
				"courier", "mail", "peernet", "transport", "transport/intake", "transport/irc", "transport/libp2p", "transport/tor",
				"chain", "chain/rpc", "chain/bitcoin", "chain/litecoin", "chain/namecoin", "chain/neutrino", "signer", "custodian"),
		},
		{
			Package: "cli", Floor: 5, Imports: with(state, "store/sealed", "purse", "api", "gate", "web/wallet", "node", "auditor", "chain", "recovery", "internal/chainnode", "internal/cluster", "internal/load", "internal/outside"),
			Owns: []string{"github.com/spf13/cobra", "rsc.io/qr", "charm.land/bubbletea"},
		},
		{Package: "cmd/souk", Floor: 5, Imports: []string{"cli"}},
		// Federations on one machine, for the demonstration, measurements and tests.
		{Package: "internal/cluster", Floor: 5, Imports: []string{"api", "exchange", "node", "internal/forward", "internal/ports"}},
		// Nodes of chains on one machine, for the same.
		{
			Package: "internal/chainnode", Floor: 5,
			Imports: with(coins, "chain", "chain/rpc", "chain/bitcoin", "chain/litecoin", "chain/namecoin", "internal/ports"),
		},
		{
			Package: "internal/chainnode/nodetest", Floor: Beside, Test: true,
			Imports: with(coins, "chain", "chain/chaintest", "internal/chainnode"),
		},
		{Package: "internal/forward", Floor: 5},
		{Package: "internal/load", Floor: 5, Imports: state},
		{Package: "internal/outside", Floor: 5, Imports: with(coins, "chain", "node", "internal/chainnode")},
		{Package: "internal/ports", Floor: 5},

		// Beside the floors.
		{
			Package: "sim", Floor: Beside, Test: true,
			Imports: with(state, "exchange/exchangetest", "consensus", "store", "store/memstore", "replica",
				"chain", "chain/memchain", "signer", "custodian", "auditor", "sim/check", "sim/workload", "internal/bulk"),
		},
		{Package: "sim/check", Floor: Beside, Test: true, Imports: with(state, "chain")},
		{Package: "sim/workload", Floor: Beside, Test: true, Imports: with(state, "exchange/exchangetest")},
		{
			Package: "custodian/custodiantest", Floor: Beside, Test: true,
			Imports: with(state, "exchange/exchangetest", "chain", "chain/memchain", "custodian", "signer"),
		},
		{Package: "internal/arch", Floor: Beside},
		{
			Package: "internal/cluster/clustertest", Floor: Beside, Test: true,
			Imports: []string{"identity", "store/sealed", "purse", "node", "internal/cluster", "internal/ports"},
		},
		{
			Package: "internal/bench", Floor: Beside,
			Imports: with(state, "exchange/exchangetest", "exchange/market/markettest", "archive", "archive/sqlite", "archive/tables", "consensus", "store/pebble",
				"store/sealed", "replica", "api", "node", "internal/cluster", "internal/load", "mail",
				"internal/chainnode", "internal/outside", "tape", "web/binance", "gate", "store/memstore",
				"transport", "transport/libp2p", "transport/transporttest"),
		},
		{Package: "internal/bulk", Floor: Beside, Test: true},
		{Package: "internal/e2e", Floor: Beside, Test: true},
		{Package: "internal/mutate", Floor: Beside},
		{Package: "internal/tally", Floor: Beside},
		{Package: "packaging", Floor: Beside, Imports: []string{"internal/bulk", "internal/ports"}},
	}
}

// pureStd is what the pure floors use of the standard library. Clocks,
// randomness, files, sockets, locks, logs, floats and JSON are absent.
func pureStd() []string {
	return []string{
		"bytes", "cmp", "crypto/cipher", "crypto/ecdh", "crypto/ed25519", "crypto/hkdf", "crypto/hmac", "crypto/sha256", "crypto/sha512", "crypto/subtle",
		"encoding/base64", "encoding/binary", "encoding/hex", "errors", "fmt", "hash", "io", "iter", "maps",
		"math/big", "math/bits", "slices", "sort", "strconv", "strings", "unicode/utf8",
	}
}

// pureLibraries compute and nothing else where the pure floors call them: of what
// they can do besides (draw keys, run a network's rules) only tests make use.
func pureLibraries() []string {
	return []string{
		"golang.org/x/crypto",
		"github.com/btcsuite/btcd/address/v2/base58",
		"github.com/btcsuite/btcd/address/v2/bech32",
		"github.com/btcsuite/btcd/btcec/v2",              // the curve of member keys, and its signatures
		"github.com/btcsuite/btcd/btcutil/v2/hdkeychain", // BIP-32
		"github.com/btcsuite/btcd/chaincfg/v2",           // the versions that hdkeychain wants
		"github.com/btcsuite/btcd/chainhash/v2",          // the hash that wire wants
		"github.com/btcsuite/btcd/txscript/v2",           // digests of BIP-143
		"github.com/btcsuite/btcd/wire/v2",               // transactions with witnesses
		"github.com/oasisprotocol/curve25519-voi",
		"github.com/tyler-smith/go-bip39",
	}
}

func testLibraries() []string {
	return []string{
		"github.com/anishathalye/porcupine",
		"github.com/cockroachdb/datadriven",
		"github.com/google/go-cmp",
		"github.com/rogpeppe/go-internal",
		"go.uber.org/goleak",
		"pgregory.net/rapid",
	}
}
