package wallet

import (
	"encoding/json"
	"strconv"
	"strings"

	"souk/asset"
)

// decimals are those of coins.
const decimals = 8

// coins is an amount as a JSON number with eight decimals.
func coins(a asset.Amount) json.Number { return json.Number(asset.Format(a, decimals)) }

// less is the same with a sign in front.
func less(a asset.Amount) json.Number { return "-" + coins(a) }

// amount reads an amount of coins: a JSON number, or a text with one, exactly. Programs
// write small numbers with an exponent.
func amount(raw json.RawMessage) (asset.Amount, *rpcError) {
	text := string(raw)
	if len(text) > 1 && text[0] == '"' {
		if json.Unmarshal(raw, &text) != nil {
			return 0, fault(codeType, "Amount is not a number or string")
		}
	} else if text == "" || text[0] != '-' && (text[0] < '0' || text[0] > '9') {
		return 0, fault(codeType, "Amount is not a number or string")
	}
	if strings.HasPrefix(text, "-") {
		return 0, fault(codeType, "Amount out of range")
	}
	plain, ok := shifted(text)
	if !ok {
		return 0, fault(codeType, "Invalid amount")
	}
	a, err := asset.Parse(plain, decimals)
	if err != nil {
		return 0, fault(codeType, "Invalid amount")
	}
	if a > asset.MaxSupply {
		return 0, fault(codeType, "Amount out of range")
	}
	return a, nil
}

// maxExponent bounds the work of shifting.
const maxExponent = 18

// shifted is a number without an exponent, and without zeros at its end that say nothing.
func shifted(text string) (string, bool) {
	at := strings.IndexAny(text, "eE")
	exponent := 0
	if at >= 0 {
		n, err := strconv.Atoi(text[at+1:])
		if err != nil || n < -maxExponent || n > maxExponent {
			return "", false
		}
		text, exponent = text[:at], n
	}
	whole, fraction, dotted := strings.Cut(text, ".")
	if whole == "" || dotted && fraction == "" || len(text) > 4*maxExponent || strings.Trim(whole+fraction, "0123456789") != "" {
		return "", false
	}
	for ; exponent > 0; exponent-- {
		if fraction == "" {
			fraction = "0"
		}
		whole, fraction = whole+fraction[:1], fraction[1:]
	}
	for ; exponent < 0; exponent++ {
		if whole == "" {
			whole = "0"
		}
		whole, fraction = whole[:len(whole)-1], whole[len(whole)-1:]+fraction
	}
	whole = strings.TrimLeft(whole, "0")
	if whole == "" {
		whole = "0"
	}
	if fraction = strings.TrimRight(fraction, "0"); fraction == "" {
		return whole, true
	}
	return whole + "." + fraction, true
}
