package e2e_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"souk/internal/chainnode"
)

// swapping is a node's RPC that shows one output script in the place of another, and the
// other way round, in all that it answers.
func swapping(t *testing.T, node string, one, other []byte) string {
	t.Helper()
	to, err := url.Parse(node)
	if err != nil {
		t.Fatal(err)
	}
	x, y, middle := []byte(hex.EncodeToString(one)), []byte(hex.EncodeToString(other)), []byte("swap")
	proxy := httputil.NewSingleHostReverseProxy(to)
	proxy.ModifyResponse = func(r *http.Response) error {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return err
		}
		_ = r.Body.Close()
		for _, step := range [][2][]byte{{x, middle}, {y, x}, {middle, y}} {
			body = bytes.ReplaceAll(body, step[0], step[1])
		}
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		r.Header.Set("Content-Length", strconv.Itoa(len(body)))
		return nil
	}
	s := httptest.NewServer(proxy)
	t.Cleanup(s.Close)
	return s.URL
}

// lies makes a server's node show one output in the place of another from its next start on.
func (b *banked) lies(i int, symbol string, one, other []byte) {
	b.t.Helper()
	c := b.coins[symbol]
	file := filepath.Join(string(b.Homes[i]), "config.toml")
	data, err := os.ReadFile(file)
	if err != nil {
		b.t.Fatal(err)
	}
	honest := c.Config(c.Inside()).URL
	if !bytes.Contains(data, []byte(honest)) {
		b.t.Fatalf("%s is not in\n%s", honest, data)
	}
	data = bytes.ReplaceAll(data, []byte(honest), []byte(swapping(b.t, honest, one, other)))
	if err := os.WriteFile(file, data, 0o600); err != nil {
		b.t.Fatal(err)
	}
}

// One server's node of Litecoin hides a deposit and shows one that is not there, and its
// node of Bitcoin answers with blocks that are none. What is there is credited, what is
// not is not, and whoever looks at the banks is told whose server it is.
func TestLyingNode(t *testing.T) {
	beside(t)
	b := withBanks(t, false, chainnode.Btcd, chainnode.Ltcd)
	alice, bob := b.saver("alice"), b.saver("bob")
	nobody := chainnode.NewWallet("nobody").Script()
	b.Kill(2)
	b.lies(2, "LTC", alice.out["LTC"], nobody)
	b.lies(2, "BTC", alice.out["BTC"], nobody)
	if err := b.Restart(2); err != nil {
		t.Fatal(err)
	}
	for symbol, c := range b.coins {
		alice.pay(symbol, 2e8)
		bob.pay(symbol, 1e8)
		if _, err := c.Pay(within(t, time.Minute), nobody, 7e8); err != nil { // Alice's, says the liar
			t.Fatal(err)
		}
		b.mine(symbol, 10) // beyond the depth, and beyond six blocks, after which a lie is counted
	}
	for symbol := range b.coins {
		eventually(t, time.Minute, symbol+" is credited", func() error {
			if err := bob.has(symbol, "1.00000000"); err != nil {
				return err
			}
			return alice.has(symbol, "2.00000000")
		})
	}
	card, err := b.Homes[2].Card()
	if err != nil {
		t.Fatal(err)
	}
	id := b.Founding.ID()
	for symbol, want := range map[string]string{"LTC": "WRONG", "BTC": "LATE by"} {
		eventually(t, time.Minute, "souk bank "+symbol+" names "+card.Name, func() error {
			b.mine(symbol, 1)
			out, err := try(t, "", "bank", symbol, "--server", b.URLs[0], "--id", hex.EncodeToString(id[:]))
			if err != nil {
				return err
			}
			for line := range strings.Lines(out) {
				about := regexp.MustCompile(`\bserver-[0-9]+\b`).FindString(line)
				bad := strings.Contains(line, "WRONG") || strings.Contains(line, "LATE by")
				if bad && about != card.Name {
					t.Errorf("blames somebody else: %s", line)
				}
				if about == card.Name && strings.Contains(line, want) {
					return nil
				}
			}
			return fmt.Errorf("no line of %s with %s in\n%s", card.Name, want, out)
		})
		if err := alice.has(symbol, "2.00000000"); err != nil {
			t.Error(err)
		}
	}
	b.sound()
	b.unforked()
}
