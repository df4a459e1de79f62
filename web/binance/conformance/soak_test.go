package conformance_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"souk/api"
	"souk/asset"
	"souk/internal/bulk"
	"souk/internal/cluster"
	"souk/node"
	"souk/store/sealed"
	"souk/web/binance"
)

var (
	soak    = flag.Bool("soak", false, "twenty minutes against a server process, instead of some seconds against one in this process")
	soakFor = flag.Duration("for", 20*time.Minute, "how long -soak goes on; its memory is judged by the last ten minutes")
)

// How much goes on in the soak.
const (
	subscribers = 200
	bots        = 50
	accounts    = 10 // of the bots
	maxOpen     = 15 // orders of a bot
)

// subscriber keeps one book.
type subscriber struct {
	mu   sync.Mutex
	book depthBook
	err  error
}

// TestSoak lets bots trade while subscribers keep the book: at the end all of them have
// the server's book, without a gap or a repeat on the way (N-30). With -soak it takes twenty
// minutes, and the server's memory must be flat in the last ten.
func TestSoak(t *testing.T) {
	length, w := time.Duration(bulk.Count(10))*time.Second, (*world)(nil)
	limits := binance.Limits{Weight: 10_000_000, Orders: 1_000_000, PerDay: 10_000_000, Sockets: 10_000}
	pid := 0
	if *soak {
		length = *soakFor
		c := startProcesses(t, buildSouk(t), 1)
		w, pid = worldOf(t, c.Local, limits), c.PID(0)
	} else {
		w = newWorld(t, limits)
	}
	w.liquidity()
	var callers []*caller
	for i := range accounts {
		tr := w.trader("bot"+strconv.Itoa(i), binance.HMAC)
		w.mint(tr.owner, 1_000)
		callers = append(callers, w.caller(tr))
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var reading sync.WaitGroup
	all := make([]*subscriber, bulk.Count(subscribers))
	for i := range all {
		all[i] = &subscriber{}
		stream := "/ws/btceur@depth"
		if i%2 == 0 {
			stream += "@100ms"
		}
		reading.Go(func() { all[i].run(ctx, w, stream) })
	}
	orders := w.trade(ctx, t, callers, length, pid)
	w.compare(t, all)
	cancel()
	reading.Wait()
	changes := 0
	for _, s := range all {
		changes = max(changes, s.book.changes)
	}
	t.Logf("%d orders, %d subscribers, at most %d changes", orders, len(all), changes)
	if orders < int64(length.Seconds()) || changes < 3 {
		t.Errorf("only %d orders and %d changes", orders, changes)
	}
}

// buildSouk builds the souk program.
func buildSouk(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "souk")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-ldflags=-s -w", "-o", binary, "souk/cmd/souk")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // as it is shipped: with cgo the store's memory is the C library's
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return binary
}

// startProcesses starts the servers of a federation as processes.
func startProcesses(t *testing.T, binary string, servers int) *cluster.Cluster {
	t.Helper()
	c, err := cluster.Start(binary, node.LocalSetup{
		Dir: filepath.Join(t.TempDir(), "fed"), Name: "soak", Servers: servers, Work: sealed.TestWork, Now: time.Now().Add(-time.Second),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

// run reads a stream until ctx ends, and keeps the book as the documentation tells clients to.
func (s *subscriber) run(ctx context.Context, w *world, stream string) {
	err := s.read(ctx, w, stream)
	s.mu.Lock()
	defer s.mu.Unlock()
	if ctx.Err() == nil {
		s.err = err
	}
}

func (s *subscriber) read(ctx context.Context, w *world, stream string) error {
	conn, err := w.dial(ctx, stream)
	if err != nil {
		return err
	}
	defer conn.CloseNow() //nolint:errcheck // it is over
	var v depthValue
	public := &caller{http: w.http, base: w.url}
	if err := public.send(ctx, "GET", "/api/v3/depth?symbol=BTCEUR&limit=5000", "", &v); err != nil {
		return err
	}
	s.mu.Lock()
	s.book = depthBook{last: v.Last, bids: map[string]string{}, asks: map[string]string{}}
	setLevels(s.book.bids, v.Bids)
	setLevels(s.book.asks, v.Asks)
	s.mu.Unlock()
	for {
		_, data, err := conn.Read(ctx)
		if err != nil {
			return err
		}
		var c depthChange
		if err := json.Unmarshal(data, &c); err != nil {
			return err
		}
		s.mu.Lock()
		err = s.book.take(&c)
		s.mu.Unlock()
		if err != nil {
			return err
		}
	}
}

// trade lets the bots trade for a time, and answers how many orders they placed.
func (w *world) trade(ctx context.Context, t *testing.T, callers []*caller, length time.Duration, pid int) int64 {
	t.Helper()
	over, cancel := context.WithTimeout(ctx, length)
	defer cancel()
	var orders atomic.Int64
	var working sync.WaitGroup
	for i := range bots {
		working.Go(func() {
			b := &bot{caller: callers[i%len(callers)], rng: rand.New(rand.NewPCG(uint64(i), 1)), number: i}
			for over.Err() == nil { // what is under way then is waited for
				if err := b.step(ctx); err != nil {
					t.Errorf("bot %d: %v", i, err)
					return
				}
				orders.Add(1)
			}
		})
	}
	var memory []uint64
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for over.Err() == nil {
		select {
		case <-over.Done():
		case <-tick.C:
			if pid != 0 {
				memory = append(memory, anonymous(t, pid))
			}
		}
	}
	working.Wait()
	if pid != 0 {
		flat(t, memory)
	}
	return orders.Load()
}

// anonymous is the memory of a process that is no file's, in kB.
func anonymous(t *testing.T, pid int) uint64 {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(data), "RssAnon:")
	n, err := strconv.ParseUint(strings.Fields(rest)[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Memory is looked at so often, and judged by so much of the time's end. Before that it grows
// as it should: the store's memtables begin small and double as they are filled, up to two of
// 32 MB (node/store.go), so a server of this load has 15 MB of them, then 31, then 63, and
// stays there when some 100 MB have been written.
const (
	sampleEvery = 5 * time.Second
	judged      = 10 * time.Minute
)

// flat checks that memory does not grow by more than a tenth once it is on its plateau.
func flat(t *testing.T, memory []uint64) {
	t.Helper()
	before, after, ok := plateau(memory)
	switch {
	case !ok:
		t.Logf("too short to judge the server's memory: %d kB", memory)
	case after*10 > before*11:
		t.Errorf("the server's memory grew from %d to %d kB", before, after)
	default:
		t.Logf("memory of the server: %d kB, later %d kB", before, after)
	}
}

// plateau is the memory in the two halves of the time that is judged; not ok if there was
// not as much time before it.
func plateau(memory []uint64) (before, after uint64, ok bool) {
	n := int(judged / sampleEvery)
	if len(memory) < 2*n-n/10 { // a busy machine's ticker leaves some out
		return 0, 0, false
	}
	median := func(part []uint64) uint64 { return slices.Sorted(slices.Values(part))[len(part)/2] }
	last := memory[len(memory)-n:]
	return median(last[:n/2]), median(last[n/2:]), true
}

// Memtables that grow at first are no leak; what goes on growing is one.
func TestFlat(t *testing.T) {
	const minute = int(time.Minute / sampleEvery)
	grow := func(minutes int, at func(sample int) uint64) (all []uint64) {
		for i := range minutes * minute {
			all = append(all, at(i)+uint64(i%3))
		}
		return all
	}
	tables := func(i int) uint64 { return 100_000 + []uint64{31_000, 63_000, 127_000}[min(i/(4*minute), 2)] }
	leak := func(i int) uint64 { return tables(i) + uint64(i)*1_000 }
	for name, tc := range map[string]struct {
		memory   []uint64
		ok, grew bool
	}{
		"tables":            {grow(20, tables), true, false},
		"a leak":            {grow(20, leak), true, true},
		"ten minutes":       {grow(10, tables), false, false},
		"ticks were missed": {grow(20, tables)[:19*minute], true, false},
		"nothing":           {nil, false, false},
	} {
		before, after, ok := plateau(tc.memory)
		if ok != tc.ok || ok && tc.grew != (after*10 > before*11) {
			t.Errorf("%s: %d, %d, %v", name, before, after, ok)
		}
	}
}

// bot places orders around one price and takes some of them back.
type bot struct {
	*caller
	rng    *rand.Rand
	number int
	placed int
	open   []int64
}

func (b *bot) step(ctx context.Context) error {
	if len(b.open) >= maxOpen || len(b.open) > 0 && b.rng.IntN(3) == 0 {
		i := b.rng.IntN(len(b.open))
		id := b.open[i]
		b.open = slices.Delete(b.open, i, i+1)
		err := b.signed(ctx, "DELETE", "/api/v3/order", url.Values{"symbol": {"BTCEUR"}, "orderId": {strconv.FormatInt(id, 10)}}, nil)
		var e *refusal
		if errors.As(err, &e) && e.Code == -2011 { // it has traded meanwhile
			return nil
		}
		return err
	}
	side, tif := "BUY", "GTC"
	if b.rng.IntN(2) == 0 {
		side = "SELL"
	}
	if b.rng.IntN(4) == 0 {
		tif = "IOC"
	}
	b.placed++
	price, quantity := asset.Amount(49_900+b.rng.IntN(200))*coin, asset.Amount(1+b.rng.IntN(50))*coin/1_000
	var o struct {
		ID     int64  `json:"orderId"`
		Status string `json:"status"`
	}
	err := b.signed(ctx, "POST", "/api/v3/order", url.Values{
		"symbol": {"BTCEUR"}, "side": {side}, "type": {"LIMIT"}, "timeInForce": {tif}, "price": {amountText(price)}, "quantity": {amountText(quantity)},
		"newOrderRespType": {"RESULT"}, "newClientOrderId": {fmt.Sprintf("bot-%d-%d", b.number, b.placed)},
	}, &o)
	if err == nil && (o.Status == "NEW" || o.Status == "PARTIALLY_FILLED") {
		b.open = append(b.open, o.ID)
	}
	return err
}

// compare waits until every subscriber has the server's book.
func (w *world) compare(t *testing.T, all []*subscriber) {
	t.Helper()
	b, err := w.client.Book(t.Context(), "BTC-EUR", 1_000)
	if err != nil {
		t.Fatal(err)
	}
	bids, asks := sides(b.Bids), sides(b.Asks)
	if len(bids)+len(asks) < 10 {
		t.Errorf("the book has %d bids and %d asks", len(bids), len(asks))
	}
	for i, s := range all {
		w.until(func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.err != nil || maps.Equal(s.book.bids, bids) && maps.Equal(s.book.asks, asks)
		})
		if s.err != nil {
			t.Errorf("subscriber %d: %v", i, s.err)
		}
	}
}

func sides(levels []api.Level) map[string]string {
	m := map[string]string{}
	for _, l := range levels {
		m[l.Price] = l.Quantity
	}
	return m
}
