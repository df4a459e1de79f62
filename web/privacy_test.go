package web_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"souk/api"
	"souk/exchange"
	"souk/exchange/custody"
	"souk/exchange/exchangetest"
	"souk/merkle"
	"souk/script"
	"souk/web"
)

// journal is what servers log, at every level.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// operationOf is what the document says of an operation.
type operationOf struct {
	OperationID string
	Parameters  []struct {
		Name string
		In   string
	}
}

func (o *operationOf) takes(name string) bool {
	for _, p := range o.Parameters {
		if p.Name == name {
			return true
		}
	}
	return false
}

// reads are all operations that read, by path.
func reads(t *testing.T) map[string]operationOf {
	t.Helper()
	made, err := web.OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Paths map[string]struct{ Get *operationOf }
	}
	if err := json.Unmarshal(made, &doc); err != nil {
		t.Fatal(err)
	}
	all := map[string]operationOf{}
	for path, x := range doc.Paths {
		if x.Get != nil {
			all[path] = *x.Get
		}
	}
	return all
}

// forms are the ways in which bytes may be written.
func forms(b []byte) []string {
	turned := slices.Clone(b)
	slices.Reverse(turned)
	return []string{hex.EncodeToString(b), hex.EncodeToString(turned)}
}

// No answer to anybody but the owner links an account and a coin: what names the
// account names no coin, and what names coins no account; logs and metrics name neither
// (Y-93, H-100, H-101).
func TestNothingLinksAccountAndCoin(t *testing.T) {
	t.Parallel()
	var said journal
	b := newBanked(t, web.Config{Log: slog.New(slog.NewTextHandler(&said, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	at := b.deposit("alice", 3*exchangetest.Coin)
	b.deposit("bob", 5*exchangetest.Coin)
	b.withdraw("alice", exchangetest.Coin)
	series, index := b.address("alice")
	waits := b.chain.Pay(series, index, 2*exchangetest.Coin)
	b.chain.Mine(1)
	b.attest(2)
	alice := exchangetest.Address("alice")
	account := append(forms(alice[:]), alice.String(), exchangetest.Key("alice").Public().String())
	coins := slices.Concat(forms(at.Tx[:]), forms(waits.Tx[:]), forms(exchangetest.Output("shop")), addressesOf(t, b, "alice"))
	has := func(text string, any []string) bool {
		return slices.ContainsFunc(any, func(s string) bool { return strings.Contains(text, s) })
	}

	linked, public := 0, 0
	for _, target := range publicTargets(t, b, at) {
		a := call(t, b.nodes[0], "GET", target, nil, nil)
		public++
		if has(string(a.body), account) {
			t.Errorf("%s names the account: %.300s", target, a.body)
		}
		if has(string(a.body), coins) {
			linked++
		}
	}
	if public < 25 || linked == 0 {
		t.Errorf("%d public answers, %d of which name a coin", public, linked)
	}
	for path, op := range reads(t) {
		if !op.takes(api.ReadHeader) {
			continue
		}
		target := strings.NewReplacer("{address}", alice.String(), "{id}", "1").Replace(path)
		own := call(t, b.nodes[0], "GET", target, nil, signed(b.federation, "alice", "GET", target))
		if own.status == http.StatusUnauthorized || own.status == http.StatusForbidden {
			t.Errorf("%s: the owner is refused: %s", target, own.body)
		}
		for name, header := range map[string]http.Header{
			"nobody": nil, "bob": signed(b.federation, "bob", "GET", target), "a member": signed(b.federation, exchangetest.MemberName(0), "GET", target),
			"alice for another path": signed(b.federation, "alice", "GET", target+"?limit=1"),
		} {
			a := call(t, b.nodes[0], "GET", target, nil, header)
			if has(string(a.body), coins) || strings.Contains(path, "{address}") && a.status != http.StatusUnauthorized && a.status != http.StatusForbidden {
				t.Errorf("%s as %s: %d %.300s", target, name, a.status, a.body)
			}
		}
	}
	logged := said.String()
	if has(logged, account) || has(logged, coins) {
		t.Errorf("the log names account or coin:\n%s", logged)
	}
	if text := metrics(t, b.nodes[0]); has(text, account) || has(text, coins) || !strings.Contains(text, "/banks/") {
		t.Errorf("the metrics name account or coin:\n%s", text)
	}
}

// addressesOf are somebody's deposit addresses, and their outputs.
func addressesOf(t *testing.T, b *banked, who string) (list []string) {
	t.Helper()
	x, err := b.client().Addresses(t.Context(), signer(who), api.BankedPage{})
	if err != nil || len(x.Addresses) != 2 {
		t.Fatalf("addresses %+v: %v", x, err)
	}
	n, _ := script.ByName(exchangetest.BankNetwork)
	for i := range x.Addresses {
		out, err := n.ParseAddress(x.Addresses[i].Address)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, x.Addresses[i].Address, hex.EncodeToString(out))
	}
	return list
}

// publicTargets are requests for all that anybody may ask for, with proofs where there are some.
func publicTargets(t *testing.T, b *banked, coin script.Outpoint) (list []string) {
	t.Helper()
	var leaves []string
	keys := []merkle.Key{custody.BankKey(1), custody.SeriesKey(1, 0), custody.CoinKey(1, coin), custody.BatchKey(1, 1), custody.AttestorKey(1, 1), custody.Key()}
	for _, k := range keys {
		leaves = append(leaves, k.String())
	}
	list = []string{"/v1/leaves?keys=" + strings.Join(leaves, ",")}
	for _, k := range []merkle.Key{custody.AddressKey(1, 0, 0), custody.WithdrawalKey(1), custody.AccountKey(1), custody.SettledKey(1), exchange.AccountKey(exchangetest.Address("alice"))} {
		list = append(list, "/v1/leaves?keys="+k.String())
	}
	for path, op := range reads(t) {
		if op.takes(api.ReadHeader) {
			continue
		}
		for _, values := range [][]string{
			{"{asset}", "TBC", "{market}", "BTC-EUR", "{number}", "0", "{height}", "1", "{id}", "1"},
			{"{asset}", "4", "{market}", "1", "{number}", "1", "{height}", "0", "{id}", b.command(t)},
		} {
			target := strings.NewReplacer(values...).Replace(path)
			list = append(list, target)
			if op.takes("proof") {
				list = append(list, target+"?proof=1")
			}
			if op.takes("market") {
				list = append(list, target+"?market=BTC-EUR")
			}
		}
	}
	return list
}

// command is the id of a command of alice's that asked for an address.
func (b *banked) command(t *testing.T) string {
	t.Helper()
	r := must(t, b.client().As(signer("alice")), &exchange.SetWithdrawals{})
	return hex.EncodeToString(r.ID[:])
}

// metrics is what a server counts, with all labels.
func metrics(t *testing.T, n *node) string {
	t.Helper()
	r := prometheus.NewRegistry()
	r.MustRegister(n.server.Collectors()...)
	all, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, family := range all {
		text.WriteString(family.String() + "\n")
	}
	return text.String()
}
