package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"souk/api"
	"souk/asset"
	"souk/exchange"
	"souk/exchange/market"
	"souk/internal/cluster"
)

// What the page is measured by: cold loads, and then a minute of changes of the book.
const (
	pageLoads   = 7
	pageSeconds = 60
	pageRate    = 100 // changes of the book, a second
	pageLevels  = 40  // on each side
	browserPath = "/usr/bin/chromium"
)

// pageLoad is the first thing that the driver of the browser says, pageMinute the second.
type pageLoad struct {
	Cold   []float64 `json:"cold"` // ms
	Script float64   `json:"script"`
}

type pageMinute struct {
	Counted struct {
		Frames, Longest, Over, Blocks, Tasks float64
	} `json:"counted"`
	Heap      [2]float64 `json:"heap"`
	Nodes     [2]float64 `json:"nodes"`
	Listeners [2]float64 `json:"listeners"`
}

// page measures the page in a browser, served by one server: how long a cold load takes until
// the book is seen, and frames and memory while the book changes.
func (r *run) page() error {
	ctx, cancel := context.WithTimeout(r.ctx, 6*time.Minute)
	defer cancel()
	packages, err := pagePackages(ctx)
	if err != nil {
		return err
	}
	c, accounts, err := r.alone("page", 2)
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // measured
	client, err := c.Client()
	if err != nil {
		return err
	}
	defer client.Close()
	maker := client.As(&api.Signer{Account: accounts[0].Address, Key: accounts[0].Key})
	if err := pageBook(ctx, maker); err != nil {
		return err
	}
	file := filepath.Join(r.dir, "page.json")
	data, err := json.Marshal(map[string]any{"packages": packages, "chromium": browserPath, "url": c.URLs[0] + "/", "loads": pageLoads, "seconds": pageSeconds})
	if err != nil {
		return err
	}
	if err := os.WriteFile(file, data, 0o600); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "node", "web/ui/browser/measure.mjs", file) //nolint:gosec // our own program, and a file that this one has written
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	err = r.watchPage(ctx, out, client.As(&api.Signer{Account: accounts[1].Address, Key: accounts[1].Key}))
	if err = errors.Join(err, cmd.Wait()); err != nil {
		return fmt.Errorf("%w\n%s", err, &said)
	}
	return nil
}

// pagePackages is where the packages are by which the browser is driven.
func pagePackages(ctx context.Context) (string, error) {
	if _, err := os.Stat(browserPath); err != nil {
		return "", fmt.Errorf("scripts/setup race installs a browser: %w", err)
	}
	out, err := exec.CommandContext(ctx, "scripts/npm", "web/ui").Output()
	if err != nil {
		return "", fmt.Errorf("install the packages of the page: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// pageBook fills the book on both sides of 50,000.
func pageBook(ctx context.Context, maker *api.Actor) error {
	var bodies []exchange.Body
	for i := range pageLevels {
		away := asset.Price(i+1) * 1e8
		for side, price := range map[market.Side]asset.Price{market.Buy: 50_000e8 - away, market.Sell: 50_000e8 + away} {
			bodies = append(bodies, &exchange.Place{Market: 1, Side: side, Order: market.LimitOrder, TIF: market.GTC, Price: price, Quantity: asset.Amount(i+1) * 1e6})
		}
	}
	return cluster.MustOK(maker.Do(ctx, bodies...))
}

// watchPage takes what the driver says, and changes the book once the page is there.
func (r *run) watchPage(ctx context.Context, out io.Reader, taker *api.Actor) error {
	d := json.NewDecoder(bufio.NewReader(out))
	var first pageLoad
	if err := d.Decode(&first); err != nil {
		return fmt.Errorf("the browser says nothing of cold loads: %w", err)
	}
	slices.Sort(first.Cold)
	r.set("page_book_p50_ms", first.Cold[len(first.Cold)/2])
	r.set("page_book_max_ms", first.Cold[len(first.Cold)-1])
	changing, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- changeBook(changing, taker) }()
	var minute pageMinute
	err := d.Decode(&minute)
	stop()
	if err = errors.Join(err, <-ended); err != nil {
		return fmt.Errorf("the browser, while the book changes: %w", err)
	}
	n := minute.Counted
	if n.Blocks < pageSeconds {
		return fmt.Errorf("the book has changed %v times in the page", n.Blocks)
	}
	r.set("page_frames_per_s", n.Frames/pageSeconds)
	r.set("page_draws_per_s", n.Blocks/pageSeconds)
	r.set("page_longest_frame_ms", n.Longest)
	r.set("page_frames_over_100_ms", n.Over)
	r.set("page_longest_task_ms", n.Tasks)
	r.set("page_heap_mb", minute.Heap[1]/1e6)
	r.set("page_heap_growth_mb", (minute.Heap[1]-minute.Heap[0])/1e6)
	r.set("page_node_growth", minute.Nodes[1]-minute.Nodes[0])
	r.set("page_listener_growth", minute.Listeners[1]-minute.Listeners[0])
	return nil
}

// changeBook changes the book until it is told to stop: each command adds an order near the
// spread or takes one away again, ten of them every tenth of a second.
func changeBook(ctx context.Context, who *api.Actor) error {
	const batch = pageRate / 10
	tick := time.NewTicker(time.Second / (pageRate / batch))
	defer tick.Stop()
	for made := 0; ; made += batch {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		var bodies []exchange.Body
		for i := made; i < made+batch; i++ {
			bodies = append(bodies, changeOf(i))
		}
		receipts, err := who.Do(ctx, bodies...)
		if ctx.Err() != nil {
			return nil
		}
		if err := cluster.MustOK(receipts, err); err != nil {
			return err
		}
	}
}

// changeOf is the i-th change: an order comes on one of twenty levels of a side, and then one
// that came a while ago goes from another level, so that no change makes up for the one before.
func changeOf(i int) exchange.Body {
	const places, kept = 40, 37
	n := i / 2
	if i%2 == 1 && n >= kept {
		return &exchange.Cancel{Target: exchange.Target{Client: fmt.Sprintf("p%d", n-kept)}}
	}
	name := fmt.Sprintf("p%d", n)
	if i%2 == 1 {
		name += "b" // in the beginning there is nothing that could go
	}
	side, away := market.Buy, -asset.Price(n%places/2+1)*1e8
	if n%2 == 1 {
		side, away = market.Sell, -away
	}
	return &exchange.Place{Market: 1, Side: side, Order: market.LimitOrder, TIF: market.GTC, Price: 50_000e8 + away, Quantity: 1e5, Client: name}
}
