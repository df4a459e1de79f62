package wallet_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// J-42, J-40: what is no amount is none, and nothing that is sent breaks the door.
func TestHostileRequests(t *testing.T) {
	s := door(t)
	for _, amount := range []string{
		"1e400", "-1", "-0.0", "0", "1e-9", "1e-400", `"1,5"`, `"+1"`, `" 1"`, `"1 "`, `"0x10"`, `"1_0"`, `"\u0661"`, `"NaN"`, `"Infinity"`, `"1e+"`, `"1e99999999999999999999"`, `"--1"`,
		"true", "null", "[]", "{}", `""`, `"."`, `"1."`, `".1"`, "0.300000000000000044", "0.1000000000000000055511151231257827", "184467440737.09551617", "92233720368.54775808", "99999999999999999999",
	} {
		status, got := ask(t, s, http.MethodPost, "/wallet/btc", "alice", "secret", `{"method":"sendtoaddress","params":["x",`+amount+`],"id":1}`)
		if status == http.StatusOK {
			t.Errorf("%s: %s", amount, got)
		}
	}
	deep := strings.Repeat("[", 30_000) + strings.Repeat("]", 30_000)
	for what, body := range map[string]string{
		"deep":         deep,
		"deep params":  `{"method":"getbalance","params":` + deep + `}`,
		"deep id":      `{"method":"getbalance","id":` + deep + `}`,
		"deep amounts": `{"method":"sendmany","params":["",{"x":` + deep + `}]}`,
		"101 requests": "[" + strings.Repeat(`{"method":"ping"},`, 100) + `{"method":"ping"}]`,
		"count":        `{"method":"listtransactions","params":["*",9223372036854775808]}`,
		"skip":         `{"method":"listtransactions","params":["*",1,-1]}`,
		"many payments": `{"method":"sendmany","params":["",{` + func() string {
			var list []string
			for i := range 101 {
				list = append(list, fmt.Sprintf(`"x%d":1`, i))
			}
			return strings.Join(list, ",")
		}() + `}]}`,
		"two objects":    `{"method":"ping"}{"method":"ping"}`,
		"twice by case":  `{"method":"sendmany","params":["",{"x":1},1,"c","subtract"]}`,
		"a named amount": `{"method":"sendtoaddress","params":{"address":"x","amount":1,"Amount":2}}`,
	} {
		began := time.Now()
		status, got := ask(t, s, http.MethodPost, "/wallet/btc", "alice", "secret", body)
		if status == http.StatusOK || time.Since(began) > 5*time.Second {
			t.Errorf("%s: %d %.200s", what, status, got)
		}
	}
	for _, c := range []string{`{"method":"listtransactions","params":["*",9223372036854775807,9223372036854775807],"id":1}`} {
		if status, got := ask(t, s, http.MethodPost, "/wallet/btc", "alice", "secret", c); status != http.StatusOK || !strings.Contains(got, `"result":[]`) {
			t.Errorf("%s: %d %s", c, status, got)
		}
	}
	// A parameter that stands twice by name.
	if status, got := ask(t, s, http.MethodPost, "/wallet/btc", "alice", "secret", `{"method":"sendtoaddress","params":{"address":"x","address":"y","amount":1}}`); status == http.StatusOK {
		t.Errorf("an address that stands twice: %s", got)
	}
	for _, again := range []string{"method", "Method", "METHOD"} {
		body := `{"method":"ping","` + again + `":"sendtoaddress","params":["x",1]}`
		for _, body := range []string{body, "[" + body + "]"} {
			if _, got := ask(t, s, http.MethodPost, "/wallet/btc", "alice", "secret", body); !strings.Contains(got, "-32600") {
				t.Errorf("a method that stands twice: %s", got)
			}
		}
	}
	if _, got := ask(t, s, http.MethodPost, "/wallet/btc", "alice", "secret", `{"method":"sendtoaddress","params":["x",1],"param\u017f":["y",2]}`); !strings.Contains(got, "-32600") {
		t.Errorf("params that stand twice: %s", got)
	}
}
