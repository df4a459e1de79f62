package e2e_test

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"souk/api"
	"souk/exchange"
	"souk/exchange/ledger"
	"souk/identity"
	"souk/internal/cluster"
	"souk/internal/ports"
	"souk/node"
	"souk/store/sealed"
)

// vote lets members vote through the command line.
func (f *federation) vote(id exchange.ID, members []int, proposal ...string) {
	f.t.Helper()
	for _, i := range members {
		args := append([]string{"vote"}, proposal...)
		souk(f.t, append(args, "--home", string(f.Homes[i]), "--passphrase-file", f.Homes[i].PassphraseFile(),
			"--server", f.URLs[i], "--id", hex.EncodeToString(id[:]))...)
	}
}

// Members vote for protocol version 2, whose one rule is that a delegate can remove
// itself. It comes into force at the height they named, and not before.
func TestUpgrade(t *testing.T) {
	f := startOld(t, 4)
	f.mint(1000e8, addressOf("alice"))
	bot := keyOf("bot")
	limits := &exchange.AddDelegate{Key: bot.Public(), Scopes: ledger.Read | ledger.Trade}
	admit := func() {
		t.Helper()
		r, err := f.actor("alice").Do(within(t, 20*time.Second), limits) // progress has used nonces after those that it knew
		f.everywhere(must(t, r, err)[0].Height)                          // any server may be the one that the delegate asks
	}
	admit()
	remove := func() exchange.Code {
		t.Helper()
		delegate := f.client.As(&api.Signer{Account: addressOf("alice"), Key: bot})
		r, err := delegate.Do(within(t, 20*time.Second), &exchange.RemoveDelegate{Key: bot.Public()})
		var refused *api.Error
		if errors.As(err, &refused) && refused.Status == http.StatusForbidden {
			return exchange.UnknownKey // it may not even ask for its next nonce
		}
		if err != nil {
			t.Fatal(err)
		}
		return r[0].Code
	}
	if code := remove(); code != exchange.NotEntitled {
		t.Fatalf("protocol 1: %s", code)
	}
	s, err := f.client.Status(within(t, 10*time.Second))
	if err != nil || s.Protocol != 1 {
		t.Fatalf("%+v, %v", s, err)
	}
	height := s.Height + 12
	f.vote(f.Founding.ID(), []int{0, 1, 2}, "protocol", "2", strconv.FormatUint(height, 10))
	eventually(t, 10*time.Second, "the vote of three of four makes a plan", func() error { // the server asked may lag a block behind
		s, err := f.client.Status(t.Context())
		if err == nil && (s.Plan == nil || s.Plan.Version != 2 || s.Plan.Height != height) {
			err = fmt.Errorf("%+v", s.Plan)
		}
		return err
	})
	for {
		before, err := f.client.Status(within(t, 10*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		if before.Height+1 >= height {
			break
		}
		if code := remove(); code != exchange.NotEntitled {
			after, err := f.client.Status(within(t, 10*time.Second))
			if err != nil || after.Height < height {
				t.Fatalf("%s before block %d: %+v, %v", code, height, after, err)
			}
		}
		f.progress("alice") // what is refused without trace makes no block
	}
	f.progress("alice")
	for i := range f.URLs {
		eventually(t, 10*time.Second, "every server has version 2", func() error {
			s, err := f.Status(t.Context(), i)
			if err == nil && s.Protocol != 2 {
				err = fmt.Errorf("server %d has version %d", i+1, s.Protocol)
			}
			return err
		})
	}
	admit() // it may have removed itself above
	if code := remove(); code != exchange.OK {
		t.Errorf("protocol 2: %s", code)
	}
	if code := remove(); code != exchange.UnknownKey {
		t.Errorf("a delegate that has removed itself: %s", code)
	}
	f.sound()
}

// second founds another virtual server in the homes of a cluster, at ports of its own.
func second(t *testing.T, c *cluster.Cluster) *exchange.Founding {
	t.Helper()
	free, err := ports.Claim(len(c.Homes))
	if err != nil {
		t.Fatal(err)
	}
	var cards []exchange.Card
	var listens []string
	for i, h := range c.Homes {
		listen := ports.Address(free[i])
		card, _, err := node.NewCard(h, node.CardSetup{
			P2P: listen, Pass: sealed.FromFile(h.PassphraseFile()), Work: sealed.TestWork, Now: time.Now().Add(-time.Second),
		})
		if err != nil {
			t.Fatal(err)
		}
		cards, listens = append(cards, card), append(listens, listen)
	}
	terms := node.PracticeTerms("second", identity.AddressOf(c.Issuer.Public()))
	terms.Protocol = exchange.ProtocolMin
	founding, err := node.Found(&terms, cards)
	if err != nil {
		t.Fatal(err)
	}
	for i, h := range c.Homes {
		if _, err := h.Join(founding, node.Joining{Config: node.VirtualConfig{Listen: listens[i]}}); err != nil {
			t.Fatal(err)
		}
	}
	return founding
}

// Two virtual servers run in the same processes. One stops for good, because its
// members voted for a protocol version that the binary does not have; the other
// does not notice.
func TestTwoVirtualServers(t *testing.T) {
	var founding *exchange.Founding
	f := prepared(t, 4, func(c *cluster.Cluster) { founding = second(t, c) })
	other, err := api.NewClient(api.Config{Servers: f.URLs, ID: founding.ID()})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	issuer := other.As(api.OwnerOf(f.Issuer))
	pay := &exchange.Mint{Asset: eur, Amount: 5, To: addressOf("alice")}
	r, err := issuer.Do(within(t, time.Minute), pay)
	must(t, r, err)
	f.mint(7, addressOf("alice"))
	if a, b := f.balance("alice", eur), balance(t, other, "alice", eur); a != "0.00000007" || b != "0.00000005" {
		t.Errorf("%s on one, %s on the other", a, b)
	}
	// A command for one is nothing to the other.
	stray, err := issuer.Sign(within(t, 10*time.Second), pay)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.client.Submit(within(t, 10*time.Second), stray...); !errors.Is(err, api.ErrForeign) {
		t.Errorf("a command for another virtual server: %v", err)
	}

	s := f.trade()
	s.after(30)
	at := func() string {
		t.Helper()
		st, err := other.Status(within(t, 10*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		return strconv.FormatUint(st.Height+8, 10)
	}
	f.vote(founding.ID(), []int{0, 1, 2}, "protocol", "2", at())
	for {
		st, err := other.Status(within(t, 10*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		if st.Protocol == 2 {
			break
		}
		r, err := issuer.Do(within(t, 20*time.Second), pay)
		must(t, r, err)
	}
	f.vote(founding.ID(), []int{0, 1, 2}, "protocol", "3", at())
	s.longest()
	ctx := within(t, 20*time.Second)
	for {
		if _, err := issuer.Do(ctx, pay); err != nil {
			break // it has stopped
		}
	}
	for i := range f.Homes {
		eventually(t, 20*time.Second, "the log says what to do", func() error {
			data, err := os.ReadFile(f.LogFile(i))
			if err == nil && !strings.Contains(string(data), "a newer souk is needed") {
				err = errors.New(string(data))
			}
			return err
		})
	}
	s.after(60)
	t.Logf("longest pause of the one while the other stopped: %v", s.longest().Round(time.Millisecond))
	receipts := s.end()
	f.sound()
	f.kept(3, receipts)
}
