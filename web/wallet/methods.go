package wallet

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"souk/asset"
)

// method is what is known of a method: the names of its arguments, how many of them it
// needs, and what it does.
type method struct {
	names  []string
	needed int
	run    func(context.Context, *call) (any, error)
}

// methods are all that the door knows.
func methods() map[string]method {
	return map[string]method{
		"getbalance":            {[]string{"dummy", "minconf", "include_watchonly", "avoid_reuse"}, 0, getBalance},
		"getunconfirmedbalance": {nil, 0, getUnconfirmed},
		"getbalances":           {nil, 0, getBalances},
		"getnewaddress":         {[]string{"label", "address_type"}, 0, getNewAddress},
		"getaddressinfo":        {[]string{"address"}, 1, getAddressInfo},
		"validateaddress":       {[]string{"address"}, 1, validateAddress},
		"getwalletinfo":         {nil, 0, getWalletInfo},
		"listwallets":           {nil, 0, listWallets},
		"loadwallet":            {[]string{"filename", "load_on_startup"}, 1, loadWallet},
		"unloadwallet":          {[]string{"wallet_name", "load_on_startup"}, 0, refuse(codeWallet, "Wallets belong to the account and are not unloaded.")},
		"createwallet":          {[]string{"wallet_name", "disable_private_keys", "blank", "passphrase", "avoid_reuse", "descriptors", "load_on_startup", "external_signer"}, 1, refuse(codeWallet, "There is a wallet for each bank of the virtual server, and no other. listwallets tells their names.")},
		"listunspent":           {[]string{"minconf", "maxconf", "addresses", "include_unsafe", "query_options"}, 0, listUnspent},
		"estimatesmartfee":      {[]string{"conf_target", "estimate_mode"}, 1, estimateFee},
		"settxfee":              {[]string{"amount"}, 1, refuse(codeParameter, "The bank's members agree on the fee of its transactions; nobody sets it.")},
		"walletpassphrase":      {[]string{"passphrase", "timeout"}, 2, refuse(codeEncryption, "Error: running with an unencrypted wallet, but walletpassphrase was called.")},
		"walletlock":            {nil, 0, refuse(codeEncryption, "Error: running with an unencrypted wallet, but walletlock was called.")},
		"encryptwallet":         {[]string{"passphrase"}, 1, refuse(codeEncryption, "Error: the gate's key is sealed already.")},
		"walletpassphrasechange": {
			[]string{"oldpassphrase", "newpassphrase"},
			2,
			refuse(codeEncryption, "Error: running with an unencrypted wallet, but walletpassphrasechange was called."),
		},
		"backupwallet":          {[]string{"destination"}, 1, refuse(codeWallet, "The keys of the coins are with the bank's members. Back up the gate's folder, and your purse's words.")},
		"dumpprivkey":           {[]string{"address"}, 1, refuse(codeWallet, "The keys of the coins are with the bank's members.")},
		"getblockcount":         {nil, 0, getBlockCount},
		"getbestblockhash":      {nil, 0, getBestBlockHash},
		"getblockchaininfo":     {nil, 0, getBlockchainInfo},
		"getnetworkinfo":        {nil, 0, getNetworkInfo},
		"getconnectioncount":    {nil, 0, func(context.Context, *call) (any, error) { return 0, nil }},
		"uptime":                {nil, 0, func(_ context.Context, c *call) (any, error) { return int64(time.Since(c.door.began).Seconds()), nil }},
		"ping":                  {nil, 0, func(context.Context, *call) (any, error) { return nil, nil }}, //nolint:nilnil // the answer is null
		"help":                  {[]string{"command"}, 0, help},
		"stop":                  {[]string{"wait"}, 0, refuse(codeMisc, "Whoever started the gate ends it.")},
		"sendtoaddress":         {[]string{"address", "amount", "comment", "comment_to", "subtractfeefromamount", "replaceable", "conf_target", "estimate_mode", "avoid_reuse", "fee_rate", "verbose"}, 2, sendToAddress},
		"sendmany":              {[]string{"dummy", "amounts", "minconf", "comment", "subtractfeefrom", "replaceable", "conf_target", "estimate_mode", "fee_rate", "verbose"}, 2, sendMany},
		"listtransactions":      {[]string{"label", "count", "skip", "include_watchonly"}, 0, listTransactions},
		"listsinceblock":        {[]string{"blockhash", "target_confirmations", "include_watchonly", "include_removed", "include_change", "label"}, 0, listSinceBlock},
		"gettransaction":        {[]string{"txid", "include_watchonly", "verbose"}, 1, getTransaction},
		"listreceivedbyaddress": {[]string{"minconf", "include_empty", "include_watchonly", "address_filter", "include_immature_coinbase"}, 0, listReceived},
		"getreceivedbyaddress":  {[]string{"address", "minconf", "include_immature_coinbase"}, 1, getReceived},
	}
}

// refuse is a method that is known and not done.
func refuse(code int, text string) func(context.Context, *call) (any, error) {
	return func(context.Context, *call) (any, error) { return nil, fault(code, "%s", text) }
}

// usage is a method as help has it.
func (m *method) usage(name string) string {
	var b strings.Builder
	b.WriteString(name)
	for i, n := range m.names {
		if i < m.needed {
			fmt.Fprintf(&b, " %q", n)
		} else {
			fmt.Fprintf(&b, " ( %s )", n)
		}
	}
	return b.String()
}

// arguments puts what was sent, by place or by name, into the method's order. What is null
// or was left out is nil.
func (m *method) arguments(raw json.RawMessage) ([]json.RawMessage, *rpcError) {
	raw = bytes.TrimSpace(raw)
	list := make([]json.RawMessage, len(m.names))
	switch {
	case len(raw) == 0 || string(raw) == "null":
	case raw[0] == '[':
		var given []json.RawMessage
		if json.Unmarshal(raw, &given) != nil {
			return nil, fault(codeInvalidRequest, "Params must be an array or object")
		}
		if len(given) > len(list) {
			return nil, fault(codeMisc, "%d arguments, at most %d are taken", len(given), len(list))
		}
		copy(list, given)
	case raw[0] == '{':
		if e := m.named(raw, list); e != nil {
			return nil, e
		}
	default:
		return nil, fault(codeInvalidRequest, "Params must be an array or object")
	}
	for i, a := range list {
		if string(a) == "null" {
			list[i] = nil
		}
		if i < m.needed && list[i] == nil {
			return nil, fault(codeMisc, "argument %q is missing", m.names[i])
		}
	}
	return list, nil
}

func (m *method) named(raw json.RawMessage, list []json.RawMessage) *rpcError {
	var given map[string]json.RawMessage
	if json.Unmarshal(raw, &given) != nil {
		return fault(codeInvalidRequest, "Params must be an array or object")
	}
	if n, ok := twice(raw); ok {
		return fault(codeParameter, "Parameter %s specified multiple times", n)
	}
	if first, ok := given["args"]; ok {
		delete(given, "args")
		var front []json.RawMessage
		if json.Unmarshal(first, &front) != nil || len(front) > len(list) {
			return fault(codeParameter, "args is not a list of arguments")
		}
		copy(list, front)
	}
	for _, n := range slices.Sorted(maps.Keys(given)) {
		i := slices.Index(m.names, n)
		switch {
		case i < 0:
			return fault(codeParameter, "Unknown named parameter %s", n)
		case list[i] != nil:
			return fault(codeParameter, "Parameter %s specified twice both as positional and named argument", n)
		}
		list[i] = given[n]
	}
	return nil
}

// get reads an argument, if it is given.
func get[T any](c *call, i int, otherwise T, what string) (T, error) {
	raw := c.params[i]
	if raw == nil {
		return otherwise, nil
	}
	var v T
	if json.Unmarshal(raw, &v) != nil {
		return otherwise, fault(codeType, "JSON value of type %s is not of expected type %s", kind(raw), what)
	}
	return v, nil
}

func kind(raw json.RawMessage) string {
	switch raw[0] {
	case '"':
		return "string"
	case '{':
		return "object"
	case '[':
		return "array"
	case 't', 'f':
		return "bool"
	}
	return "number"
}

func (c *call) text(i int) (string, error)    { return get(c, i, "", "string") }
func (c *call) integer(i, d int) (int, error) { return get(c, i, d, "number") }
func (c *call) flag(i int) (bool, error)      { return get(c, i, false, "bool") }
func (c *call) account() Account              { return c.door.config.Account }

// balance is what the wallet of the call has.
func (c *call) balance(ctx context.Context) (*Balance, error) {
	name, err := c.name(ctx)
	if err != nil {
		return nil, err
	}
	return c.account().Balance(ctx, name)
}

func getBalance(ctx context.Context, c *call) (any, error) {
	dummy, err := c.text(0)
	if err != nil {
		return nil, err
	}
	if dummy != "" && dummy != "*" {
		return nil, fault(codeDeprecated, "dummy first argument must be excluded or set to \"*\".")
	}
	least, err := c.integer(1, 0)
	if err != nil {
		return nil, err
	}
	if least > 1 {
		return nil, fault(codeParameter, "minconf: what is credited counts, whatever its depth; use 0 or 1")
	}
	b, err := c.balance(ctx)
	if err != nil {
		return nil, err
	}
	return coins(b.Available), nil
}

func getUnconfirmed(ctx context.Context, c *call) (any, error) {
	b, err := c.balance(ctx)
	if err != nil {
		return nil, err
	}
	return coins(b.Coming), nil
}

func getBalances(ctx context.Context, c *call) (any, error) {
	b, err := c.balance(ctx)
	if err != nil {
		return nil, err
	}
	return map[string]any{
		"mine": map[string]any{"trusted": coins(b.Available), "untrusted_pending": coins(b.Coming), "immature": coins(0)},
		"souk": map[string]any{"held": coins(b.Held)},
	}, nil
}

func getNewAddress(ctx context.Context, c *call) (any, error) {
	label, err := c.text(0)
	if err != nil {
		return nil, err
	}
	if label == "*" {
		return nil, fault(-11, "Invalid label name")
	}
	form, err := c.text(1)
	if err != nil {
		return nil, err
	}
	if form != "" && form != "bech32" {
		return nil, fault(codeAddress, "Unknown address type '%s': a bank has addresses of witness scripts only (bech32)", form)
	}
	name, err := c.name(ctx)
	if err != nil {
		return nil, err
	}
	return nonNil(c.account().Address(ctx, name, label))
}

// nonNil keeps a value from being answered beside an error.
func nonNil[T any](v T, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return v, nil
}

// address reads the address that a request is about, and the wallet's asset.
func (c *call) address(ctx context.Context) (name, address string, err error) {
	if address, err = c.text(0); err != nil {
		return "", "", err
	}
	name, err = c.name(ctx)
	return name, address, err
}

func getAddressInfo(ctx context.Context, c *call) (any, error) {
	name, address, err := c.address(ctx)
	if err != nil {
		return nil, err
	}
	s, err := c.account().Script(ctx, name, address)
	if err != nil {
		return nil, err
	}
	labels := []string{}
	if s.Mine {
		labels = append(labels, s.Label)
	}
	info := map[string]any{
		"address": address, "scriptPubKey": s.Hex, "ismine": s.Mine, "solvable": false, "iswatchonly": false,
		"isscript": s.IsScript, "ischange": false, "iswitness": s.Witness, "labels": labels,
	}
	if s.Witness {
		info["witness_version"], info["witness_program"] = s.WitnessVersion, s.WitnessProgram
	}
	return info, nil
}

func validateAddress(ctx context.Context, c *call) (any, error) {
	name, address, err := c.address(ctx)
	if err != nil {
		return nil, err
	}
	s, err := c.account().Script(ctx, name, address)
	if err != nil {
		return map[string]any{"isvalid": false, "error_locations": []int{}, "error": capital(err.Error())}, nil //nolint:nilerr // that is the answer
	}
	info := map[string]any{"isvalid": true, "address": address, "scriptPubKey": s.Hex, "isscript": s.IsScript, "iswitness": s.Witness}
	if s.Witness {
		info["witness_version"], info["witness_program"] = s.WitnessVersion, s.WitnessProgram
	}
	return info, nil
}

func getWalletInfo(ctx context.Context, c *call) (any, error) {
	name, err := c.name(ctx)
	if err != nil {
		return nil, err
	}
	b, err := c.account().Balance(ctx, name)
	if err != nil {
		return nil, err
	}
	list, err := c.account().Movements(ctx, name)
	if err != nil {
		return nil, err
	}
	addresses, err := c.account().Addresses(ctx, name)
	if err != nil {
		return nil, err
	}
	chain, err := c.account().Chain(ctx, name)
	if err != nil {
		return nil, err
	}
	unused := 0
	for i := range addresses {
		if !addresses[i].Used {
			unused++
		}
	}
	return map[string]any{
		"walletname": name, "walletversion": 1, "format": "souk", "balance": coins(b.Available), "unconfirmed_balance": coins(b.Coming),
		"immature_balance": coins(0), "txcount": len(list), "keypoolsize": unused, "paytxfee": coins(0), "private_keys_enabled": false,
		"avoid_reuse": false, "scanning": false, "descriptors": false, "external_signer": true, "blank": false,
		"souk": map[string]any{"held": coins(b.Held), "symbol": chain.Symbol, "can_send": chain.CanPay, "least_send": coins(chain.Least)},
	}, nil
}

func listWallets(ctx context.Context, c *call) (any, error) {
	return nonNil(c.account().Wallets(ctx))
}

func loadWallet(ctx context.Context, c *call) (any, error) {
	name, err := c.text(0)
	if err != nil {
		return nil, err
	}
	all, err := c.account().Wallets(ctx)
	if err != nil {
		return nil, err
	}
	if slices.Contains(all, strings.ToLower(name)) {
		return nil, fault(codeLoaded, "Wallet %q is already loaded.", name)
	}
	return nil, fault(codeNoWallet, "Wallet file verification failed. There is no wallet %q.", name)
}

func listUnspent(ctx context.Context, c *call) (any, error) {
	if _, err := c.name(ctx); err != nil {
		return nil, err
	}
	return []string{}, nil // coins are the bank's; an account has a balance
}

func estimateFee(ctx context.Context, c *call) (any, error) {
	target, err := c.integer(0, 0)
	if err != nil {
		return nil, err
	}
	if target < 1 || target > 1008 {
		return nil, fault(codeParameter, "Invalid conf_target, must be between 1 and 1008")
	}
	name, err := c.name(ctx)
	if err != nil {
		return nil, err
	}
	rate, err := c.account().Rate(ctx, name)
	if err != nil {
		return nil, err
	}
	if rate == 0 {
		return map[string]any{"errors": []string{"Insufficient data or no feerate found"}, "blocks": target}, nil
	}
	return map[string]any{"feerate": coins(rate), "blocks": target}, nil
}

// chain is what is known of the network of the call's wallet.
func (c *call) chain(ctx context.Context) (*Chain, error) {
	name, err := c.name(ctx)
	if err != nil {
		return nil, err
	}
	return c.account().Chain(ctx, name)
}

func getBlockCount(ctx context.Context, c *call) (any, error) {
	x, err := c.chain(ctx)
	if err != nil {
		return nil, err
	}
	return x.Height, nil
}

func getBestBlockHash(ctx context.Context, c *call) (any, error) {
	x, err := c.chain(ctx)
	if err != nil {
		return nil, err
	}
	return x.Hash, nil
}

func getBlockchainInfo(ctx context.Context, c *call) (any, error) {
	x, err := c.chain(ctx)
	if err != nil {
		return nil, err
	}
	return map[string]any{
		"chain": x.Network, "blocks": x.Height, "headers": x.Height, "bestblockhash": x.Hash, "verificationprogress": 1,
		"initialblockdownload": false, "pruned": true, "size_on_disk": 0, "warnings": "",
	}, nil
}

func getNetworkInfo(_ context.Context, c *call) (any, error) {
	return map[string]any{
		"version": 10000, "subversion": "/Souk:" + c.door.config.Version + "/", "protocolversion": 70016, "localservices": "0000000000000000",
		"localservicesnames": []string{}, "localrelay": false, "timeoffset": 0, "networkactive": true, "connections": 0, "connections_in": 0,
		"connections_out": 0, "networks": []string{}, "relayfee": coins(0), "incrementalfee": coins(0), "localaddresses": []string{}, "warnings": "",
	}, nil
}

func help(_ context.Context, c *call) (any, error) {
	name, err := c.text(0)
	if err != nil {
		return nil, err
	}
	if name == "" {
		var b strings.Builder
		b.WriteString("== Wallet ==\n")
		for _, n := range slices.Sorted(maps.Keys(c.door.methods)) {
			m := c.door.methods[n]
			b.WriteString(m.usage(n) + "\n")
		}
		return strings.TrimSuffix(b.String(), "\n"), nil
	}
	m, ok := c.door.methods[name]
	if !ok {
		return "help: unknown command: " + name, nil
	}
	return m.usage(name), nil
}

// addressed reads an argument that is an amount.
func (c *call) coins(i int) (asset.Amount, error) {
	a, e := amount(c.params[i])
	if e != nil {
		return 0, e
	}
	return a, nil
}
