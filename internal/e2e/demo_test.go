package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os/exec"
	"strconv"
	"testing"
	"time"
)

// demoReport is what programs that start the demonstration rely on.
type demoReport struct {
	Servers       *int     `json:"servers"`
	Commands      *int     `json:"commands"`
	Trades        *int     `json:"trades"`
	GapMS         *int64   `json:"gap_ms"`
	BackMS        *int64   `json:"back_ms"`
	RootsEqual    *bool    `json:"roots_equal"`
	AuditBalanced *bool    `json:"audit_balanced"`
	Solvent       *bool    `json:"solvent"`
	Seconds       *float64 `json:"seconds"`
	HTTP          []string `json:"http"`
	Page          string   `json:"page"`
	Practice      bool     `json:"practice"`
	Dir           string   `json:"dir"`
	VirtualServer string   `json:"virtual_server"`
	Deposits      []coins  `json:"deposits"`
	Withdrawals   []coins  `json:"withdrawals"`
	ChainRPC      []struct {
		Network, URL, User, Password string
	} `json:"chain_rpc"`
}

type coins struct {
	Asset         string `json:"asset"`
	Amount        string `json:"amount"`
	Tx            string `json:"txid"`
	Confirmations uint32 `json:"confirmations"`
}

// The demonstration runs to its end, on real coins, and says all that it promises.
func TestDemo(t *testing.T) {
	beside(t)
	if skipped() {
		t.Skip("whole processes")
	}
	const limit = 3 * time.Minute
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, "demo", "--once", "-o", "json")
	cmd.Env = append(cmd.Environ(), "TMPDIR="+t.TempDir())
	cmd.WaitDelay = 10 * time.Second
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	begin := time.Now()
	if err := cmd.Run(); err != nil {
		t.Fatalf("after %v: %v\n%s%s", time.Since(begin), err, errs.String(), out.String())
	}
	t.Logf("%v", time.Since(begin))
	var r demoReport
	d := json.NewDecoder(&out)
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		t.Fatal(err)
	}
	switch {
	case r.Servers == nil || r.Commands == nil || r.Trades == nil || r.GapMS == nil || r.BackMS == nil || r.Seconds == nil:
		t.Fatalf("a key is missing: %+v", r)
	case r.RootsEqual == nil || r.AuditBalanced == nil || r.Solvent == nil:
		t.Fatalf("a verdict is missing: %+v", r)
	}
	if *r.Servers != 4 || *r.Trades <= 0 || *r.Commands <= *r.Trades || *r.GapMS <= 0 || *r.BackMS <= 0 || *r.Seconds <= 0 || *r.Seconds > limit.Seconds() {
		t.Errorf("servers %d, commands %d, trades %d, gap %d ms, back %d ms, %v s", *r.Servers, *r.Commands, *r.Trades, *r.GapMS, *r.BackMS, *r.Seconds)
	}
	if !*r.RootsEqual || !*r.AuditBalanced || !*r.Solvent {
		t.Errorf("roots equal %v, balanced %v, solvent %v", *r.RootsEqual, *r.AuditBalanced, *r.Solvent)
	}
	if !r.Practice || r.Page != r.HTTP[0]+"/" {
		t.Errorf("page %q, play money %v", r.Page, r.Practice)
	}
	if len(r.HTTP) != 4 || r.Dir == "" || len(r.VirtualServer) != 64 {
		t.Errorf("http %v, dir %q, virtual server %q", r.HTTP, r.Dir, r.VirtualServer)
	}
	for what, list := range map[string][]coins{"deposits": r.Deposits, "withdrawals": r.Withdrawals} {
		seen := map[string]bool{}
		for _, x := range list {
			amount, err := strconv.ParseFloat(x.Amount, 64)
			if err != nil || amount <= 0 || len(x.Tx) != 64 || x.Confirmations == 0 {
				t.Errorf("%s: %+v", what, x)
			}
			seen[x.Asset] = true
		}
		if !seen["BTC"] || !seen["LTC"] || len(seen) != 2 {
			t.Errorf("%s: %+v", what, list)
		}
	}
	networks := map[string]bool{}
	for _, c := range r.ChainRPC {
		networks[c.Network] = c.URL != "" && c.User != "" && c.Password != ""
	}
	if !networks["bitcoin-regtest"] || !networks["litecoin-regtest"] || len(networks) != 2 {
		t.Errorf("chain_rpc: %+v", r.ChainRPC)
	}
}
