package web_test

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"souk/api"
	"souk/asset"
	"souk/exchange"
	"souk/exchange/exchangetest"
	"souk/exchange/roster"
	"souk/web"
)

// issue lets alice issue many assets, which a vote allows.
func (f *federation) issue(t *testing.T, many int) {
	t.Helper()
	p := exchange.DefaultParams()
	p.AccountAssets = 10_000
	vote := &exchange.Vote{Approve: true, Action: roster.AppendAction(nil, roster.SetParams{Params: p.Append(nil)}, 0)}
	must(t, f.client().As(signer(exchangetest.MemberName(0))), vote)
	var bodies []exchange.Body
	for i := range many {
		symbol := []byte("Z000")
		for at, n := 3, i; n > 0; at, n = at-1, n/36 {
			symbol[at] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[n%36]
		}
		bodies = append(bodies, &exchange.Issue{Symbol: string(symbol), Decimals: asset.MaxDecimals, MaxSupply: asset.MaxSupply})
	}
	for part := range slices.Chunk(bodies, 500) { // a window of nonces holds 1,024
		receipts, err := f.client().As(signer("alice")).Do(within(t, 30*time.Second), part...)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range receipts {
			if r.Code != exchange.OK {
				t.Fatal(r.Code)
			}
		}
	}
}

// Assets and their audit come in pages, however many there are (H-34).
func TestAssetPages(t *testing.T) {
	f := newFederation(t, 1, web.Config{})
	f.fund("alice", "bob")
	const many = 1100
	f.issue(t, many)
	all := 3 + many
	c := f.client()
	assets, err := c.Assets(within(t, 10*time.Second))
	if err != nil || len(assets.Assets) != all || assets.Next != 0 {
		t.Fatalf("%d assets, want %d: %v", len(assets.Assets), all, err)
	}
	audit, err := c.Audit(within(t, 10*time.Second))
	if err != nil || len(audit.Assets) != all || !audit.Balanced || audit.Next != 0 {
		t.Fatalf("audit of %d assets, want %d: %v", len(audit.Assets), all, err)
	}
	for i := range all {
		if assets.Assets[i].ID != uint32(i+1) || audit.Assets[i].Asset != uint32(i+1) {
			t.Fatalf("place %d has asset %d, and %d in the audit", i+1, assets.Assets[i].ID, audit.Assets[i].Asset)
		}
	}
	for query, want := range map[string][3]uint32{ // first, last, next
		"":                          {1, 1000, 1000},
		"?limit=2":                  {1, 2, 2},
		"?after=2&limit=2":          {3, 4, 4},
		"?after=1000":               {1001, 1103, 0},
		"?after=1102&limit=1":       {1103, 1103, 0},
		"?after=1101&limit=1":       {1102, 1102, 1102},
		"?after=1103":               {0, 0, 0},
		"?after=4294967295":         {0, 0, 0},
		"?after=4294967295&limit=1": {0, 0, 0},
	} {
		for _, path := range []string{"/v1/assets", "/v1/audit"} {
			a := call(t, f.nodes[0], "GET", path+query, nil, nil)
			var r struct {
				Assets []struct {
					ID    uint32
					Asset uint32
				}
				Next uint32
			}
			if err := json.Unmarshal(a.body, &r); err != nil || r.Assets == nil {
				t.Fatalf("%s%s: %d, %v", path, query, a.status, err)
			}
			got := [3]uint32{0, 0, r.Next}
			if n := len(r.Assets); n > 0 {
				got[0], got[1] = r.Assets[0].ID+r.Assets[0].Asset, r.Assets[n-1].ID+r.Assets[n-1].Asset
			}
			if got != want {
				t.Errorf("%s%s: %v, want %v", path, query, got, want)
			}
		}
	}
	for _, query := range []string{"?limit=0", "?limit=1001", "?after=-1", "?after=4294967296"} {
		if a := call(t, f.nodes[0], "GET", "/v1/assets"+query, nil, nil); a.problem.Code != api.BadRequest {
			t.Errorf("%s: %d", query, a.status)
		}
	}
}
