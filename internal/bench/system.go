package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"souk/api"
	"souk/asset"
	"souk/exchange"
	"souk/exchange/market"
	"souk/internal/cluster"
	"souk/internal/load"
	"souk/node"
	"souk/store/sealed"
)

// setup is what all federations that are measured have in common.
func (r *run) setup(name string, s node.LocalSetup) node.LocalSetup {
	s.Dir, s.Name = filepath.Join(r.dir, name), "bench"
	s.Work, s.Now = sealed.TestWork, time.Now().Add(-time.Second)
	return s
}

// start starts a federation of so many servers.
func (r *run) start(name string, s node.LocalSetup) (*cluster.Cluster, error) {
	c, err := cluster.Start(r.binary, r.setup(name, s))
	if err != nil {
		return nil, err
	}
	return c, r.ready(c)
}

// ready waits until all servers of a federation are at work.
func (r *run) ready(c *cluster.Cluster) error {
	ctx, cancel := context.WithTimeout(r.ctx, time.Minute)
	defer cancel()
	return c.Ready(ctx)
}

// alone starts a virtual server of one member, with so many funded accounts.
func (r *run) alone(name string, n int) (*cluster.Cluster, []load.Account, error) {
	c, err := r.start(name, node.LocalSetup{Servers: 1})
	if err != nil {
		return nil, nil, err
	}
	accounts, err := r.traders(c, n)
	if err != nil {
		return nil, nil, errors.Join(err, c.Close())
	}
	return c, accounts, nil
}

// traders are so many funded accounts.
func (r *run) traders(c *cluster.Cluster, n int) ([]load.Account, error) {
	client, err := c.Client()
	if err != nil {
		return nil, err
	}
	defer client.Close()
	issuer := c.IssuerActor(client)
	accounts := make([]load.Account, n)
	var bodies []exchange.Body
	for i := range accounts {
		accounts[i] = load.NewAccount(uint64(time.Now().UnixNano()), i)
		for id := asset.ID(1); id <= 3; id++ {
			bodies = append(bodies, &exchange.Mint{Asset: id, Amount: 1_000_000e8, To: accounts[i].Address})
		}
	}
	for part := range slices.Chunk(bodies, 1000) {
		ctx, cancel := context.WithTimeout(r.ctx, time.Minute)
		err := cluster.MustOK(issuer.Do(ctx, part...))
		cancel()
		if err != nil {
			return nil, err
		}
	}
	return accounts, nil
}

// presign makes signed commands of the standard flow, signed on all cores.
func presign(vs exchange.ID, flow *load.Flow, accounts []load.Account, n int) ([]exchange.Command, error) {
	expiry := uint64(time.Now().Add(9 * time.Minute).UnixMilli())
	commands := make([]exchange.Command, n)
	owners := make([]int, n)
	for i := range commands {
		account, body := flow.Next()
		commands[i] = flow.Unsigned(account, body, expiry)
		owners[i] = account
	}
	var wg sync.WaitGroup
	var failed atomic.Pointer[error]
	cores := runtime.NumCPU()
	for core := range cores {
		wg.Go(func() {
			for i := core; i < n; i += cores {
				if err := commands[i].Sign(vs, accounts[owners[i]].Key); err != nil {
					failed.Store(&err)
				}
			}
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return nil, *err
	}
	return commands, nil
}

// throughput sends pre-signed commands in batches with several requests under
// way, spread over the servers, and checks every receipt.
func (r *run) throughput(c *cluster.Cluster, accounts []load.Account, name string, commands, batch, window int) error {
	vs := c.Founding.ID()
	flow := load.New(7, accounts, load.PracticeMarkets(), 2, load.StandardMix(), name[:1])
	list, err := presign(vs, flow, accounts, commands)
	if err != nil {
		return err
	}
	before := folderSize(stateFolder(c.Homes[0], vs))
	tradesBefore, err := r.trades(c)
	if err != nil {
		return err
	}
	var clients []*api.Client
	for i := range c.URLs {
		order := []int{i}
		for j := range c.URLs {
			if j != i {
				order = append(order, j)
			}
		}
		client, err := c.Client(order...)
		if err != nil {
			return err
		}
		defer client.Close()
		clients = append(clients, client)
	}
	var next atomic.Int64
	var mu sync.Mutex
	var t tally
	var failed error
	var wg sync.WaitGroup
	ctx, cancel := context.WithTimeout(r.ctx, 3*time.Minute)
	defer cancel()
	usedByServers, usedHere := serversCPU(c), cpu()
	begin := time.Now()
	for w := range window {
		client := clients[w%len(clients)]
		wg.Go(func() {
			for {
				from := int(next.Add(int64(batch))) - batch
				if from >= len(list) {
					return
				}
				part := list[from:min(from+batch, len(list))]
				pointers := make([]*exchange.Command, len(part))
				for i := range part {
					pointers[i] = &part[i]
				}
				receipts, err := client.Submit(ctx, pointers...)
				mu.Lock()
				if err != nil {
					failed = errors.Join(failed, err)
				}
				for i := range receipts {
					t.count(&part[i], &receipts[i])
				}
				stop := failed != nil
				mu.Unlock()
				if stop {
					return
				}
			}
		})
	}
	wg.Wait()
	took := time.Since(begin)
	if failed != nil {
		return failed
	}
	r.set(name+"_per_s", float64(t.commands)/took.Seconds())
	// What the servers and this client used, for comparison on a busy machine.
	r.set(name+"_cpu_us_per_command", float64((serversCPU(c)-usedByServers).Microseconds())/float64(t.commands))
	r.set(name+"_client_cpu_us_per_command", float64((cpu()-usedHere).Microseconds())/float64(t.commands))
	tradesAfter, err := r.trades(c)
	if err != nil {
		return err
	}
	t.trades = int(tradesAfter - tradesBefore)
	s := t.summary()
	s["batch"], s["window"], s["seconds"] = batch, window, took.Seconds()
	r.setLoad(name, &t, s)
	if name != "one_server" {
		return nil
	}
	time.Sleep(time.Second) // let the store catch up
	grown := func(figure string) {
		r.set(figure, float64(folderSize(stateFolder(c.Homes[0], vs))-before)/float64(t.commands))
	}
	// The log keeps up to three memtables, however many commands there were.
	grown("state_growth_bytes_per_command_with_log")
	if err := r.storage(c); err != nil {
		return err
	}
	grown("state_growth_bytes_per_command")
	r.set("bytes_per_receipt_in_proof", float64(len((&exchange.Receipt{}).Append(nil))))
	return nil
}

// trades is the number of trades so far: they are numbered over all markets, and
// receipts do not tell them.
func (r *run) trades(c *cluster.Cluster) (last uint64, err error) {
	client, err := c.Client(0)
	if err != nil {
		return 0, err
	}
	defer client.Close()
	for _, m := range load.PracticeMarkets() {
		page, err := client.Trades(r.ctx, api.Page{Market: strconv.Itoa(int(m.ID)), Limit: 1})
		if err != nil {
			return 0, err
		}
		for i := range page.Trades {
			last = max(last, page.Trades[i].ID)
		}
	}
	return last, nil
}

// serversCPU is the processor time that all servers have used.
func serversCPU(c *cluster.Cluster) (used time.Duration) {
	for i := range c.URLs {
		used += processCPU(c.PID(i))
	}
	return used
}

// processCPU is the processor time that a process has used.
func processCPU(pid int) (used time.Duration) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// Fields 14 and 15 are user and system time in ticks of 10 ms; the name before may hold spaces.
	_, rest, _ := strings.Cut(string(data), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0
	}
	for _, f := range fields[11:13] {
		ticks, _ := strconv.ParseInt(f, 10, 64)
		used += time.Duration(ticks) * 10 * time.Millisecond
	}
	return used
}

// folderSize is the size of all files in a folder.
func folderSize(dir string) (size int64) {
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil //nolint:nilerr // files come and go
		}
		if info, err := d.Info(); err == nil {
			size += info.Size()
		}
		return nil
	})
	if err != nil {
		return 0
	}
	return size
}

// latency sends single commands one after the other, rotating over the servers,
// and answers how long each took from submission to the committed answer. It
// takes one account for each server.
func (r *run) latency(c *cluster.Cluster, accounts []load.Account, n int, servers ...int) ([]time.Duration, error) {
	if len(servers) == 0 {
		for i := range c.URLs {
			servers = append(servers, i)
		}
	}
	var actors []*api.Actor
	for _, i := range servers {
		client, err := c.Client(i)
		if err != nil {
			return nil, err
		}
		defer client.Close()
		actors = append(actors, client.As(&api.Signer{Account: accounts[i].Address, Key: accounts[i].Key}))
	}
	var took []time.Duration
	for i := range n + 20 {
		ctx, cancel := context.WithTimeout(r.ctx, 30*time.Second)
		begin := time.Now()
		err := cluster.MustOK(actors[i%len(actors)].Do(ctx, &exchange.Place{
			Market: 1, Side: market.Buy, Order: market.LimitOrder, TIF: market.IOC, Price: 40_000e8, Quantity: 1e6,
		}))
		if i >= 20 { // the first ones open connections
			took = append(took, time.Since(begin))
		}
		cancel()
		if err != nil {
			return nil, err
		}
	}
	slices.Sort(took)
	return took, nil
}

// one measures a federation of one server.
func (r *run) one() error {
	c, err := r.start("one", node.LocalSetup{Servers: 1})
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // measured
	accounts, err := r.traders(c, 10_000)
	if err != nil {
		return err
	}
	took, err := r.latency(c, accounts, 500)
	if err != nil {
		return err
	}
	r.set("one_server_p50_ms", ms(quantile(took, 0.5)))
	r.set("one_server_p99_ms", ms(quantile(took, 0.99)))
	return r.throughput(c, accounts[1:], "one_server", 600_000, 1024, 24)
}

// four measures a federation of four servers.
func (r *run) four() error {
	c, err := r.start("four", node.LocalSetup{Servers: 4})
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // measured
	accounts, err := r.traders(c, 10_000)
	if err != nil {
		return err
	}
	took, err := r.latency(c, accounts, 400)
	if err != nil {
		return err
	}
	r.set("four_servers_p50_ms", ms(quantile(took, 0.5)))
	r.set("four_servers_p99_ms", ms(quantile(took, 0.99)))
	return r.throughput(c, accounts[4:], "four_servers", 200_000, 1024, 12)
}

// idle measures what four servers of one process do when nothing happens.
func (r *run) idle() error {
	s := node.LocalSetup{Servers: 4, Dir: filepath.Join(r.dir, "idle"), Name: "idle", Work: sealed.TestWork, Now: time.Now().Add(-time.Second)}
	local, err := node.FoundLocal(s)
	if err != nil {
		return err
	}
	var nodes []*node.Node
	defer func() {
		for _, n := range nodes {
			n.Close() //nolint:errcheck // measured
		}
	}()
	runtime.GC()
	for _, h := range local.Homes {
		n, err := node.Open(h, node.Options{Pass: sealed.FromFile(h.PassphraseFile())})
		if err != nil {
			return err
		}
		nodes = append(nodes, n)
	}
	time.Sleep(10 * time.Second)
	heights := func() (sum uint64, err error) {
		for _, url := range local.URLs {
			client, err := api.NewClient(api.Config{Servers: []string{url}})
			if err != nil {
				return 0, err
			}
			st, err := client.Status(r.ctx)
			client.Close()
			if err != nil {
				return 0, err
			}
			sum += st.Height
		}
		return sum, nil
	}
	before, err := heights()
	if err != nil {
		return err
	}
	used, begin := cpu(), time.Now()
	time.Sleep(20 * time.Second)
	r.set("idle_four_cpu_percent", 100*(cpu()-used).Seconds()/time.Since(begin).Seconds())
	after, err := heights()
	if err != nil {
		return err
	}
	r.set("idle_four_blocks", int(after-before))
	r.set("idle_four_rss_mb", float64(rss())/1e6)
	return nil
}

// rss is this process's resident memory in bytes.
func rss() int64 {
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		if kb, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(kb), "kB")), 10, 64)
			return n * 1024
		}
	}
	return 0
}

// stream sends single commands from several accounts until stop is closed, and
// reports each commit.
func (r *run) stream(c *cluster.Cluster, accounts []load.Account, stop <-chan struct{}, committed func(at time.Time, took time.Duration)) (wait func() error, err error) {
	client, err := c.Client()
	if err != nil {
		return nil, err
	}
	var wg sync.WaitGroup
	errs := make(chan error, len(accounts))
	for i := range accounts {
		actor := client.As(&api.Signer{Account: accounts[i].Address, Key: accounts[i].Key})
		to := accounts[(i+1)%len(accounts)].Address
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				ctx, cancel := context.WithTimeout(r.ctx, time.Minute)
				begin := time.Now()
				err := cluster.MustOK(actor.Do(ctx, &exchange.Transfer{To: to, Asset: 2, Amount: 1}))
				cancel()
				if err != nil {
					errs <- err
					return
				}
				committed(time.Now(), time.Since(begin))
			}
		})
	}
	return func() error {
		wg.Wait()
		client.Close()
		close(errs)
		return <-errs
	}, nil
}

// gap kills one of four servers under load ten times, each time another one, and
// measures the longest pause between commits and what latency does afterwards.
func (r *run) gap() error {
	c, err := r.start("gap", node.LocalSetup{Servers: 4})
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // measured
	accounts, err := r.traders(c, 8)
	if err != nil {
		return err
	}
	var gaps, back []time.Duration
	var quiet, after []time.Duration
	for kill := range 10 {
		g, q, a, b, err := r.killOne(c, accounts, kill%4)
		if err != nil {
			return fmt.Errorf("kill %d: %w", kill+1, err)
		}
		gaps, back = append(gaps, g), append(back, b)
		quiet, after = append(quiet, q...), append(after, a...)
	}
	for _, l := range [][]time.Duration{gaps, back, quiet, after} {
		slices.Sort(l)
	}
	r.set("gap_p50_ms", ms(quantile(gaps, 0.5)))
	r.set("gap_max_ms", ms(gaps[len(gaps)-1]))
	r.set("gap_back_p50_ms", ms(quantile(back, 0.5)))
	r.set("gap_p99_before_ms", ms(quantile(quiet, 0.99)))
	r.set("gap_p99_5s_after_ms", ms(quantile(after, 0.99)))
	r.set("gap_p99_ratio", float64(quantile(after, 0.99))/float64(quantile(quiet, 0.99)))
	return nil
}

// killOne kills a server two seconds into a load of nine, starts it again, and
// waits until it has its power back.
func (r *run) killOne(c *cluster.Cluster, accounts []load.Account, victim int) (gap time.Duration, quiet, after []time.Duration, back time.Duration, err error) {
	var mu sync.Mutex
	stop := make(chan struct{})
	var last, killed time.Time
	wait, err := r.stream(c, accounts, stop, func(at time.Time, took time.Duration) {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case killed.IsZero():
			quiet = append(quiet, took)
		case at.Sub(killed) > 5*time.Second:
			after = append(after, took)
		}
		if !killed.IsZero() {
			gap = max(gap, at.Sub(last))
		}
		last = at
	})
	if err != nil {
		return 0, nil, nil, 0, err
	}
	time.Sleep(2 * time.Second)
	mu.Lock()
	killed = time.Now()
	mu.Unlock()
	c.Kill(victim)
	time.Sleep(8 * time.Second)
	close(stop)
	if err := wait(); err != nil {
		return 0, nil, nil, 0, err
	}
	begin := time.Now()
	if err := c.Restart(victim); err != nil {
		return 0, nil, nil, 0, err
	}
	ctx, cancel := context.WithTimeout(r.ctx, 2*time.Minute)
	defer cancel()
	if err := c.CaughtUp(ctx, victim); err != nil {
		return 0, nil, nil, 0, err
	}
	back = time.Since(begin)
	return gap, quiet, after, back, r.fullPower(ctx, c)
}

// fullPower waits until no member is demoted.
func (r *run) fullPower(ctx context.Context, c *cluster.Cluster) error {
	for {
		s, err := c.Status(ctx, 0)
		demoted := err != nil
		if err == nil {
			for i := range s.Members {
				demoted = demoted || s.Members[i].Demoted
			}
		}
		if !demoted {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("a member does not get its power back: %w", ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// wan measures latency between servers that are 40 ms apart, one way, with 10 ms
// of jitter.
func (r *run) wan() error {
	const servers = 4
	c, err := cluster.Networked(r.binary, r.setup("wan", node.LocalSetup{Servers: servers, Profile: "wan"}), 40*time.Millisecond, 10*time.Millisecond)
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // measured
	if err := r.ready(c); err != nil {
		return err
	}
	accounts, err := r.traders(c, servers)
	if err != nil {
		return err
	}
	took, err := r.latency(c, accounts, 100)
	if err != nil {
		return err
	}
	r.set("wan_p50_ms", ms(quantile(took, 0.5)))
	r.set("wan_p99_ms", ms(quantile(took, 0.99)))
	return nil
}
