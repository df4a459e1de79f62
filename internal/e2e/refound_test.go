package e2e_test

import (
	"context"
	"crypto/sha256"
	bigendian "encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"souk/api"
	"souk/asset"
	"souk/consensus"
	"souk/consensus/comet"
	"souk/exchange"
	"souk/exchange/market"
	"souk/exchange/roster"
	"souk/internal/cluster"
	"souk/internal/ports"
	"souk/merkle"
	"souk/node"
	"souk/replica"
)

// exported is what souk export prints.
type exported struct {
	File   string `json:"file"`
	Height uint64 `json:"height"`
	Root   string `json:"root"`
	// What proves it.
	From    string   `json:"from"`
	Signers []string `json:"signers"`
	Members int      `json:"members"`
}

// holdings are somebody's balances and orders.
type holdings struct {
	Account *api.Account
	Orders  *api.Orders
}

func (f *federation) holdings(c *api.Client, name string) holdings {
	f.t.Helper()
	who := api.OwnerOf(keyOf(name))
	a, err := c.Account(within(f.t, 20*time.Second), who)
	if err != nil {
		f.t.Fatal(err)
	}
	o, err := c.Orders(within(f.t, 20*time.Second), who, "")
	if err != nil {
		f.t.Fatal(err)
	}
	return holdings{a, o}
}

// TestRefound is the drill of docs/operations.md: two of four servers are lost for
// ever, the other two found a new virtual server from what they have, with two new
// members.
func TestRefound(t *testing.T) {
	beside(t)
	f := startOld(t, 4)
	old := f.Founding.ID()
	f.mint(1000e8, addressOf("alice"), addressOf("bob"))
	alice := f.actor("alice")
	sell := func(price asset.Price) exchange.Body {
		return &exchange.Place{Market: 1, Side: market.Sell, Order: market.LimitOrder, TIF: market.GTC, Price: price, Quantity: 1e8, Client: "ask" + strconv.FormatUint(uint64(price), 10)}
	}
	r, err := alice.Do(within(t, 20*time.Second), sell(50_000e8), sell(60_000e8))
	must(t, r, err)
	r, err = f.actor("bob").Do(within(t, 20*time.Second), &exchange.Place{
		Market: 1, Side: market.Buy, Order: market.LimitOrder, TIF: market.GTC, Price: 50_000e8, Quantity: 1e6,
	})
	must(t, r, err)
	status, err := f.client.Status(within(t, 10*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	f.vote(old, []int{0, 1, 2}, "protocol", "2", strconv.FormatUint(status.Height+12, 10))
	s := f.trade()
	s.after(40)
	eventually(t, 20*time.Second, "what was voted is in force", func() error {
		status, err := f.client.Status(t.Context())
		if err == nil && status.Protocol != 2 {
			err = fmt.Errorf("protocol %d", status.Protocol)
		}
		return err
	})
	receipts := s.end()
	used, err := alice.Sign(within(t, 10*time.Second), &exchange.Transfer{To: addressOf("bob"), Asset: eur, Amount: 1})
	if err != nil {
		t.Fatal(err)
	}
	before := map[string]holdings{"alice": f.holdings(f.client, "alice"), "bob": f.holdings(f.client, "bob")}

	// Servers 2 and 4 burn down. The others have the same blocks once they have talked.
	f.Kill(1, 3)
	for _, i := range []int{1, 3} {
		if err := os.RemoveAll(string(f.Homes[i])); err != nil {
			t.Fatal(err)
		}
	}
	remaining := []int{0, 2}
	eventually(t, 20*time.Second, "both have the same state", func() error {
		_, err := f.Roots(t.Context())
		return err
	})
	last, err := f.Status(within(t, 10*time.Second), remaining[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Stop(remaining...); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var first exported
	for _, i := range remaining {
		out := filepath.Join(dir, fmt.Sprintf("export-%d", i))
		e := soukJSON[exported](t, "export", "--home", string(f.Homes[i]), "--out", out)
		if first.File == "" {
			first = e
		}
		if e.Height != first.Height || e.Root != first.Root || e.Height != last.Height || e.Root != last.Root {
			t.Fatalf("the exports differ: %+v, %+v, and the servers were at block %d, root %s", first, e, last.Height, last.Root)
		}
		if e.From != hex.EncodeToString(old[:]) || len(e.Signers) < 3 || e.Members != 4 {
			t.Errorf("proven by %+v", e)
		}
	}

	forge(t, filepath.Join(dir, "export-0"), filepath.Join(dir, "forged"), used[0])
	for _, c := range []struct{ id, file, want string }{
		{"", filepath.Join(dir, "forged"), "is not proven: its root is said to be"},
		{"0123456789", filepath.Join(dir, "export-0"), "is that of virtual server"},
	} {
		_, err := try(t, "", "federation", "refound", "--id", c.id, "--from", c.file, "--out", filepath.Join(dir, "none"), f.Homes[0].CardFile())
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.file, err)
		}
	}
	founding, local := refound(t, f, remaining, dir)
	id := founding.ID()
	if id == old {
		t.Fatal("the id is the old one")
	}
	if founding.Protocol != 2 {
		t.Errorf("what was voted is undone: protocol %d", founding.Protocol)
	}
	n := follow(t, startAll(t, local))
	after, err := api.NewClient(api.Config{Servers: local.URLs, ID: id})
	if err != nil {
		t.Fatal(err)
	}
	defer after.Close()
	for name, was := range before {
		// Orders of an origin count as placed before the new chain's first block.
		ignore := cmp.Options{cmpopts.IgnoreTypes(api.At{}), cmpopts.IgnoreFields(api.Order{}, "Placed")}
		if diff := cmp.Diff(was, n.holdings(after, name), ignore); diff != "" {
			t.Errorf("%s before and after:\n%s", name, diff)
		}
	}
	n.sound()

	// It trades, also with the orders that came along.
	r, err = after.As(api.OwnerOf(keyOf("bob"))).Do(within(t, 30*time.Second), &exchange.Place{
		Market: 1, Side: market.Buy, Order: market.LimitOrder, TIF: market.GTC, Price: 50_000e8, Quantity: 1e6,
	})
	if must(t, r, err); r[0].Filled != 1e6 {
		t.Errorf("the old order was not met: %+v", r[0])
	}
	refused(t, old, local.URLs[0], used[0], after)
	if len(receipts) == 0 {
		t.Error("nothing was traded before")
	}
}

// refound founds the new virtual server through the command line, on every
// remaining machine, and lets the homes join it.
func refound(t *testing.T, f *federation, remaining []int, dir string) (*exchange.Founding, *node.Local) {
	t.Helper()
	free, err := ports.Claim(8)
	if err != nil {
		t.Fatal(err)
	}
	local := &node.Local{Issuer: f.Issuer}
	var cards []string
	for i := range 2 { // the new members
		home := node.Home(filepath.Join(dir, fmt.Sprintf("new-%d", i+1)))
		if err := os.MkdirAll(string(home), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(home.PassphraseFile(), []byte("correct horse battery staple\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		addr := ports.Address(free[i])
		souk(t, "init", "--home", string(home), "--name", fmt.Sprintf("new-%d", i+1), "--url", "http://"+addr, "--http", addr,
			"--p2p", ports.Address(free[2+i]), "--passphrase-file", home.PassphraseFile())
		local.Homes = append(local.Homes, home)
		local.URLs = append(local.URLs, "http://"+addr)
		cards = append(cards, home.CardFile())
	}
	for _, i := range remaining {
		home := f.Homes[i]
		local.Homes = append(local.Homes, home)
		local.URLs = append(local.URLs, f.URLs[i])
		cards = append(cards, home.CardFile())
	}
	var id string
	for _, i := range remaining { // each for itself, the cards in another order
		out := filepath.Join(dir, fmt.Sprintf("founding-%d", i))
		args := append([]string{"federation", "refound", "--from", filepath.Join(dir, fmt.Sprintf("export-%d", i)), "--out", out}, cards...)
		made := soukJSON[struct {
			VirtualServer string `json:"virtual_server"`
		}](t, args...)
		if id != "" && made.VirtualServer != id {
			t.Fatalf("two foundings: %s and %s", id, made.VirtualServer)
		}
		id = made.VirtualServer
		cards[0], cards[3] = cards[3], cards[0]
	}
	contract := filepath.Join(dir, "founding-0")
	if local.Founding, err = node.ReadFounding(contract); err != nil {
		t.Fatal(err)
	}
	for i, home := range local.Homes {
		card, err := home.Card()
		if err != nil {
			t.Fatal(err)
		}
		_, listen, _ := strings.Cut(card.P2P, "@")
		export := filepath.Join(dir, fmt.Sprintf("export-%d", remaining[i%2]))
		souk(t, "federation", "join", contract, "--home", string(home), "--listen", listen, "--origin", export)
	}
	return local.Founding, local
}

// forge makes of an export another one, which agrees with itself and has the same
// proof: in it a command was executed that no block contains.
func forge(t *testing.T, from, to string, c *exchange.Command) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close() //nolint:errcheck // it is only read
	e, err := replica.ReadExport(in, func(f *exchange.Founding, proof []byte) (consensus.Proven, error) {
		var all []consensus.Validator
		for i := range f.Members {
			all = append(all, consensus.Validator{Key: f.Members[i].Consensus, Power: roster.FullPower})
		}
		return comet.VerifyProof(merkle.Hash(f.ID()), all, proof)
	})
	if err != nil {
		t.Fatal(err)
	}
	s, err := exchange.Load(e.Founding, e.ReadLeaves())
	if err = errors.Join(err, e.Err()); err != nil {
		t.Fatal(err)
	}
	r := s.Apply(&exchange.Block{Height: e.Height, Time: s.Time() + 1, Commands: []exchange.Command{*c}, Proposer: e.Founding.Members[0].Consensus})
	if r.Receipts[0].Code != exchange.OK || r.Root == e.Root {
		t.Fatalf("nothing was forged: %+v", r.Receipts)
	}
	sized := func(dst, b []byte) []byte { return append(bigendian.BigEndian.AppendUint32(dst, uint32(len(b))), b...) }
	out := sized([]byte("souk export 2\n"), e.Founding.Append(nil))
	out = append(bigendian.BigEndian.AppendUint64(out, e.Height), r.Root[:]...)
	out = sized(out, e.Proof)
	for key, value := range s.Leaves {
		out = sized(append(append(out, 1), key[:]...), value)
	}
	out = append(out, 0)
	sum := sha256.Sum256(out)
	if err := os.WriteFile(to, append(out, sum[:]...), 0o600); err != nil {
		t.Fatal(err)
	}
}

// startAll runs homes.
func startAll(t *testing.T, local *node.Local) *cluster.Cluster {
	t.Helper()
	c := cluster.Adopt(binary, local)
	for i := range c.Homes {
		if err := c.Restart(i); err != nil {
			t.Fatal(errors.Join(err, c.Close()))
		}
	}
	return c
}

// refused wants nothing that was made for the old id to count.
func refused(t *testing.T, old exchange.ID, url string, used *exchange.Command, after *api.Client) {
	t.Helper()
	c, err := api.NewClient(api.Config{Servers: []string{url}, ID: old})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	short, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if s, err := c.Status(short); err == nil {
		t.Errorf("the old virtual server answers: %+v", s)
	}
	if _, err := after.Submit(short, used); !errors.Is(err, api.ErrForeign) {
		t.Errorf("a command for the old virtual server: %v", err)
	}
	// A sender who does not check gets a refusal too, and not only for being late.
	used.Expiry = uint64(time.Now().Add(time.Minute).UnixMilli())
	if err := used.Sign(old, keyOf("alice")); err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/v1/commands", strings.NewReader(string(used.Append(nil))))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", api.Binary)
	req.Header.Set("Accept", api.Binary)
	status, body := send(t, req)
	receipts, err := api.ParseReceipts(body)
	if status != http.StatusOK || err != nil || len(receipts) != 1 || receipts[0].Code != exchange.BadSignature || receipts[0].Height != 0 {
		t.Errorf("status %d, %v, %+v of %x", status, err, receipts, sha256.Sum256(body))
	}
}
