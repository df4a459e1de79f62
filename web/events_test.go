package web_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"souk/api"
	"souk/asset"
	"souk/exchange"
	"souk/exchange/exchangetest"
	"souk/exchange/ledger"
	"souk/exchange/market"
	"souk/internal/bulk"
	"souk/web"
)

// reader is what somebody makes of a stream of all markets: books, and which blocks
// and trades there were.
type reader struct {
	name    string
	cursor  string
	books   map[string]map[string]string // by market and side: quantity by price
	heights []uint64
	trades  []uint64
}

// take takes a message in, and compares the books with what they were after its block.
func (r *reader) take(c *chainOf, m *api.BlockEvents) error {
	if r.cursor = m.Cursor; m.Markets == nil {
		return nil
	}
	r.heights = append(r.heights, m.Height)
	for _, e := range m.Markets {
		for side, levels := range map[string][]api.LevelChange{"bids": e.Bids, "asks": e.Asks} {
			at := fmt.Sprint(e.Market, side)
			if r.books[at] == nil {
				r.books[at] = map[string]string{}
			}
			for _, l := range levels {
				if r.books[at][l.Price] = l.Quantity; strings.Trim(l.Quantity, "0.") == "" {
					delete(r.books[at], l.Price)
				}
			}
		}
		for _, t := range e.Trades {
			r.trades = append(r.trades, t.ID)
		}
	}
	truth := c.truth[m.Height-1]
	if truth.height != m.Height {
		return fmt.Errorf("block %d stands where block %d should", truth.height, m.Height)
	}
	for id, sides := range truth.books {
		for i, side := range []string{"bids", "asks"} {
			want := map[string]string{}
			for _, l := range sides[i] {
				want[asset.Format(asset.Amount(l.Price), 8)] = asset.Format(l.Quantity, 8)
			}
			if got := r.books[fmt.Sprint(id, side)]; !maps.Equal(got, want) {
				return fmt.Errorf("%s of market %d after block %d: %v, not %v", side, id, m.Height, got, want)
			}
		}
	}
	return nil
}

// changes are the blocks that changed a market, and the trades there were.
func (c *chainOf) changes() (heights, trades []uint64) {
	before := after{}
	for _, a := range c.truth {
		changed := false
		for _, id := range []market.ID{exchangetest.BTCEUR, exchangetest.LTCBTC} {
			for _, trade := range a.trades[id] {
				trades = append(trades, uint64(trade))
				changed = true
			}
			for side := range 2 {
				same := func(x, y market.Level) bool { return x.Price == y.Price && x.Quantity == y.Quantity }
				changed = changed || !slices.EqualFunc(before.books[id][side], a.books[id][side], same)
			}
		}
		if before = a; changed {
			heights = append(heights, a.height)
		}
	}
	slices.Sort(trades) // of several markets in one block, those of the first come first
	return heights, trades
}

// check compares the blocks and trades that the reader was told of with those that there were.
func (r *reader) check(t *testing.T, c *chainOf) {
	t.Helper()
	heights, trades := c.changes()
	slices.Sort(r.trades)
	if !slices.Equal(r.heights, heights) {
		t.Errorf("%s was told of blocks %v, there were %v", r.name, r.heights, heights)
	}
	if !slices.Equal(r.trades, trades) {
		t.Errorf("%s was told of trades %v, there were %v", r.name, r.trades, trades)
	}
}

func newReader(name string) *reader {
	return &reader{name: name, cursor: "0", books: map[string]map[string]string{}}
}

// Streams tell of every block once, whatever becomes of connections and servers, and
// what they tell makes up the books of the state (H-111).
func TestEventsNeverSkipNorRepeat(t *testing.T) {
	for seed := range uint64(bulk.Count(10)) {
		c := newChain(t)
		random := exchangetest.NewRandom(c.world, 6, seed)
		rng := rand.New(rand.NewPCG(seed, 7))
		var members []*host
		for range 3 {
			members = append(members, c.join(web.Config{}))
		}
		ctx := within(t, time.Minute)
		for range 60 {
			c.world.Block(random.Block(1 + rng.IntN(6))...)
		}
		changed, _ := c.changes()
		last := changed[len(changed)-1]
		over := func(m *api.BlockEvents) bool { return m.Height >= last }
		var wait sync.WaitGroup
		var readers []*reader
		read := func(name string, follow func(r *reader, seed uint64) error) {
			r, seed := newReader(name), rng.Uint64()
			readers = append(readers, r)
			wait.Go(func() {
				if err := follow(r, seed); err != nil {
					t.Errorf("seed %d, %s: %v", seed, r.name, err)
				}
			})
		}
		read("patient client", func(r *reader, _ uint64) error {
			for m, err := range c.client(members...).Events(ctx, api.EventsRequest{Markets: []string{"all"}, After: "0", Alive: true}) {
				if err = errors.Join(err, takeIf(c, r, m)); err != nil || over(m) {
					return err
				}
			}
			return nil
		})
		read("restless client", func(r *reader, seed uint64) error { return restless(ctx, c, members, r, seed, over) })
		read("WebSocket", func(r *reader, seed uint64) error { return sockets(ctx, c, members, r, seed, over) })
		for i := range c.blocks {
			if rng.IntN(12) == 0 { // a server gives a virtual server up for a while
				m := members[rng.IntN(len(members))]
				m.server.Stop(m.id)
				m.add()
			}
			for _, m := range members {
				if rng.IntN(3) > 0 {
					m.catchUp(c.blocks[:i])
				}
			}
		}
		for _, m := range members {
			m.catchUp(c.blocks)
		}
		wait.Wait()
		for _, r := range readers {
			r.check(t, c)
		}
	}
}

func takeIf(c *chainOf, r *reader, m *api.BlockEvents) error {
	if m == nil {
		return nil
	}
	return r.take(c, m)
}

// restless begins a new stream after every few messages, by a client that prefers another server.
func restless(ctx context.Context, c *chainOf, members []*host, r *reader, seed uint64, over func(*api.BlockEvents) bool) error {
	rng := rand.New(rand.NewPCG(seed, 1))
	for {
		order := rng.Perm(len(members))
		client := c.client(members[order[0]], members[order[1]], members[order[2]])
		left := 1 + rng.IntN(8)
		for m, err := range client.Events(ctx, api.EventsRequest{Markets: []string{"1", "LTC-BTC"}, After: r.cursor, Alive: true}) {
			if err = errors.Join(err, takeIf(c, r, m)); err != nil || over(m) {
				return err
			}
			if left--; left == 0 {
				break
			}
		}
	}
}

// socket opens a WebSocket, and answers the status of the response, if there was one.
func socket(ctx context.Context, m *host, target string) (*websocket.Conn, int, error) {
	conn, resp, err := websocket.Dial(ctx, strings.Replace(m.url, "http", "ws", 1)+target, nil) //nolint:bodyclose // the library has read it
	if resp == nil {
		return conn, 0, err
	}
	return conn, resp.StatusCode, err
}

// sockets reads over WebSockets, each for a few messages.
func sockets(ctx context.Context, c *chainOf, members []*host, r *reader, seed uint64, over func(*api.BlockEvents) bool) error {
	rng := rand.New(rand.NewPCG(seed, 1))
	for ctx.Err() == nil {
		m := members[rng.IntN(len(members))]
		conn, status, err := socket(ctx, m, "/v1/events/ws?markets=all&after="+r.cursor)
		if err != nil {
			if status != http.StatusServiceUnavailable { // stopped, or behind
				return err
			}
			continue
		}
		for left := 1 + rng.IntN(8); left > 0; left-- {
			_, data, err := conn.Read(ctx)
			if err != nil {
				break
			}
			e := &api.BlockEvents{}
			if err := json.Unmarshal(data, e); err != nil {
				return err
			}
			if e.Cursor == "" { // the last message
				break
			}
			if err := r.take(c, e); err != nil || over(e) {
				_ = conn.CloseNow()
				return err
			}
		}
		_ = conn.CloseNow()
	}
	return ctx.Err()
}

// rawEvents reads server-sent events as they are: the type, the id and the data of each.
type rawEvents struct {
	resp  *http.Response
	lines *bufio.Scanner
}

func stream(t *testing.T, m *host, target string, header http.Header) *rawEvents {
	t.Helper()
	req, err := http.NewRequestWithContext(within(t, 30*time.Second), http.MethodGet, m.url+target, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(req.Header, header)
	client := &http.Client{Transport: &http.Transport{}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = resp.Body.Close()
		client.CloseIdleConnections()
	})
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != api.EventStream {
		body, _ := io.ReadAll(resp.Body)
		t.Fatalf("%s: %s %s", target, resp.Status, body)
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<24)
	return &rawEvents{resp, lines}
}

// next is the next event.
func (s *rawEvents) next(t *testing.T) (kind, id string, data []byte) {
	t.Helper()
	for s.lines.Scan() {
		line := s.lines.Text()
		if line == "" {
			return kind, id, data
		}
		name, value, _ := strings.Cut(line, ": ")
		switch name {
		case "event":
			kind = value
		case "id":
			id = value
		case "data":
			data = append(data, value...)
		default:
			t.Fatalf("line %q", line)
		}
	}
	t.Fatalf("the stream broke: %v", s.lines.Err())
	return "", "", nil
}

// message is the next event, which is a block's.
func (s *rawEvents) message(t *testing.T) *api.BlockEvents {
	t.Helper()
	kind, id, data := s.next(t)
	m := &api.BlockEvents{}
	if err := json.Unmarshal(data, m); err != nil || kind != "" || id != m.Cursor || id != strconv.FormatUint(m.Height, 10) {
		t.Fatalf("event %q %q %s: %v", kind, id, data, err)
	}
	return m
}

// end is the next event, which is the last.
func (s *rawEvents) end(t *testing.T) *api.Error {
	t.Helper()
	kind, _, data := s.next(t)
	e := &api.Error{}
	if err := json.Unmarshal(data, e); err != nil || kind != "end" || e.Detail == "" {
		t.Fatalf("event %q %s: %v", kind, data, err)
	}
	return e
}

// withOrders is a chain with some blocks in which alice offers bitcoin, and a member that has executed them.
func withOrders(t *testing.T, config web.Config, blocks int) (*chainOf, *host) {
	t.Helper()
	c := newChain(t)
	c.world.Fund(exchangetest.BTC, 100*exchangetest.Coin, "alice", "bob")
	c.world.Fund(exchangetest.EUR, 1_000_000*exchangetest.Coin, "alice", "bob")
	for range blocks {
		c.offer(50_000)
	}
	m := c.join(config)
	m.catchUp(c.blocks)
	return c, m
}

// offer makes a block in which alice offers a hundredth of a bitcoin.
func (c *chainOf) offer(price asset.Price) {
	c.world.Must(c.tb, c.world.Command("alice", limit(market.Sell, price, "")))
}

// A stream begins where it is asked to, and with a message that says where that is (H-111, H-113).
func TestEventsBegin(t *testing.T) {
	c, m := withOrders(t, web.Config{}, 3)
	newest := c.world.Height
	now := stream(t, m, "/v1/events?markets=BTC-EUR", nil)
	if first := now.message(t); first.Height != newest || first.Markets != nil || first.Time != 0 {
		t.Errorf("first message %+v", first)
	}
	old := stream(t, m, fmt.Sprint("/v1/events?markets=1&after=", newest-2), nil)
	header := stream(t, m, "/v1/events?markets=1&after=1", http.Header{api.LastEventHeader: {fmt.Sprint(newest - 2)}})
	for _, s := range []*rawEvents{old, header} {
		if first := s.message(t); first.Height != newest-2 || first.Markets != nil {
			t.Errorf("first message %+v", first)
		}
		for height := newest - 1; height <= newest; height++ {
			got := s.message(t)
			if got.Height != height || len(got.Markets) != 1 || len(got.Markets[0].Asks) != 1 || got.Markets[0].Symbol != "BTC-EUR" || got.Account != nil {
				t.Errorf("message %+v", got)
			}
		}
	}
	// The other market's reader hears nothing of this one, but how far it is.
	lively := c.join(web.Config{})
	lively.server.Pace(20*time.Millisecond, 1024)
	lively.catchUp(c.blocks)
	quiet := stream(t, lively, "/v1/events?markets=LTC-BTC", nil)
	c.offer(50_001)
	m.catchUp(c.blocks)
	lively.catchUp(c.blocks)
	for got := quiet.message(t); got.Height < newest+1; got = quiet.message(t) {
		if got.Markets != nil {
			t.Errorf("message %+v", got)
		}
	}
	for _, s := range []*rawEvents{now, old, header} {
		if got := s.message(t); got.Height != newest+1 || len(got.Markets) != 1 {
			t.Errorf("message %+v", got)
		}
	}
}

// A cursor that is older than the log is refused with the oldest that would do (H-112), and a
// client says so when no server does better.
func TestEventsGone(t *testing.T) {
	c, m := withOrders(t, web.Config{}, 10)
	other := c.join(web.Config{})
	other.catchUp(c.blocks)
	m.forget(8)
	a := call(t, m.node(), "GET", "/v1/events?markets=all&after=5", nil, nil)
	if a.status != http.StatusGone || a.problem.Code != api.NotKept || a.problem.Oldest != "7" || a.problem.Field != "query.after" || !strings.Contains(a.problem.Detail, "Read the book") {
		t.Errorf("%d %s", a.status, a.body)
	}
	if s := stream(t, m, "/v1/events?markets=all&after=7", nil); s.message(t).Height != 7 || s.message(t).Height != 8 {
		t.Error("the oldest cursor does not do")
	}
	// The newest cursor is never too old, even if the log is empty.
	m.forget(c.world.Height + 1)
	if s := stream(t, m, fmt.Sprint("/v1/events?markets=all&after=", c.world.Height), nil); s.message(t).Height != c.world.Height {
		t.Error("the newest cursor does not do")
	}
	request := api.EventsRequest{Markets: []string{"all"}, After: "5"}
	for e, err := range c.client(m, other).Events(within(t, 10*time.Second), request) {
		if err != nil || e.Height != 6 {
			t.Errorf("with a server that keeps more: %+v, %v", e, err)
		}
		break
	}
	other.forget(9)
	for e, err := range c.client(m, other).Events(within(t, 10*time.Second), request) {
		var gone *api.GoneError
		if !errors.As(err, &gone) || !errors.Is(err, api.ErrGone) || gone.Oldest != "8" || gone.Cursor != "5" {
			t.Errorf("%+v, %v", e, err)
		}
	}
}

// A server that is behind a cursor waits for a moment, and then sends its reader elsewhere (H-112).
func TestEventsAhead(t *testing.T) {
	c, m := withOrders(t, web.Config{}, 2)
	newest := c.world.Height
	a := call(t, m.node(), "GET", fmt.Sprint("/v1/events?markets=all&after=", newest+1), nil, nil)
	if a.status != http.StatusServiceUnavailable || a.problem.Code != api.CatchingUp || a.header.Get("Retry-After") == "" {
		t.Errorf("%d %s", a.status, a.body)
	}
	c.offer(50_000)
	go m.catchUp(c.blocks)
	if got := stream(t, m, fmt.Sprint("/v1/events?markets=all&after=", newest+1), nil).message(t); got.Height != newest+1 {
		t.Errorf("%+v", got)
	}
}

// What is asked for wrongly is refused, and the answer names what is wrong (H-40, H-41).
func TestEventsRefused(t *testing.T) {
	c, m := withOrders(t, web.Config{}, 1)
	alice := exchangetest.Address("alice").String()
	for _, path := range []string{"/v1/events", "/v1/events/ws"} {
		for query, want := range map[string]struct {
			status int
			field  string
		}{
			"":                                      {400, "query.markets"},
			"?markets=":                             {400, "query.markets"},
			"?markets=NONE-EUR":                     {404, "query.markets"},
			"?markets=1,,2":                         {404, "query.markets"},
			"?markets=all,1":                        {404, "query.markets"},
			"?markets=1&markets=2":                  {400, "query.markets"},
			"?markets=1&after=x":                    {400, "query.after"},
			"?markets=1&after=-1":                   {400, "query.after"},
			"?markets=1&after=99999999999999999999": {400, "query.after"},
			"?markets=1&limit=1":                    {422, "query.limit"},
			"?markets=1;x":                          {400, "query"},
			"?account=alice":                        {400, "query.account"},
			"?markets=1&token=v1":                   {422, "query.token"},
			"?markets=" + strings.Repeat("1,", 300) + "1": {400, "query.markets"},
		} {
			header := http.Header{"Upgrade": {"websocket"}}
			if a := call(t, m.node(), "GET", path+query, nil, header); a.status != want.status || a.problem.Field != want.field {
				t.Errorf("%s%.40s: %d %s", path, query, a.status, a.body)
			}
		}
		if a := call(t, m.node(), "POST", path+"?markets=1", nil, nil); a.status != 405 {
			t.Errorf("POST %s: %d", path, a.status)
		}
	}
	if a := call(t, m.node(), "GET", "/v1/events?markets=1", nil, http.Header{api.LastEventHeader: {"x"}}); a.problem.Field != "header.Last-Event-ID" {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := call(t, m.node(), "GET", "/v1/events?account="+alice, nil, nil); a.problem.Code != api.NotSigned {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := call(t, m.node(), "GET", "/v1/events/ws?markets=1", nil, nil); a.problem.Field != "header.Upgrade" {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := call(t, m.node(), "GET", "/v1/events/ws?markets=1", nil, http.Header{"Upgrade": {"websocket"}, "Origin": {"https://evil.example"}}); a.problem.Code != api.CrossOrigin {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := call(t, m.node(), "HEAD", "/v1/events?markets=1", nil, nil); a.status != 200 || a.header.Get("Content-Type") != api.EventStream {
		t.Errorf("HEAD: %d %v", a.status, a.header)
	}
	for _, err := range c.client(m).Events(within(t, 10*time.Second), api.EventsRequest{Markets: []string{"NONE-EUR"}}) {
		var problem *api.Error
		if !errors.As(err, &problem) || problem.Code != api.NotFound {
			t.Errorf("a client's stream: %v", err)
		}
	}
}

// tokenAt is the header of a signed read at the time of a world.
func (c *chainOf) tokenAt(m *host, account, key, target string) string {
	token := api.SignRead(m.id, exchangetest.Address(account), exchangetest.Key(key), c.world.Time, "GET", target)
	return token.String()
}

// clocked is a configuration whose clock is that of the world.
func clocked() web.Config {
	return web.Config{Now: func() time.Time { return time.UnixMilli(exchangetest.Founded) }}
}

// An account's events are told to its keys, over both kinds of streams, and to nobody
// else (H-110, H-115).
func TestAccountEvents(t *testing.T) {
	c, m := withOrders(t, clocked(), 1)
	target := "/v1/events?account=" + exchangetest.Address("alice").String()
	if a := call(t, m.node(), "GET", target, nil, http.Header{api.ReadHeader: {c.tokenAt(m, "bob", "bob", target)}}); a.problem.Code != api.NotAllowed {
		t.Errorf("bob: %d %s", a.status, a.body)
	}
	s := stream(t, m, target, http.Header{api.ReadHeader: {c.tokenAt(m, "alice", "alice", target)}})
	s.message(t)
	socketTarget := "/v1/events/ws?account=" + exchangetest.Address("alice").String()
	dial := func() *websocket.Conn {
		conn, _, err := socket(t.Context(), m, socketTarget)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.CloseNow() })
		return conn
	}
	say := func(conn *websocket.Conn, text string) []byte {
		if err := conn.Write(t.Context(), websocket.MessageText, []byte(text)); err != nil {
			t.Fatal(err)
		}
		_, data, err := conn.Read(within(t, 10*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	for _, bad := range []string{"hello", c.tokenAt(m, "bob", "bob", socketTarget), c.tokenAt(m, "alice", "alice", target)} {
		conn := dial()
		if data := say(conn, bad); !strings.Contains(string(data), `"field":"header.Souk-Read"`) {
			t.Errorf("%q: %s", bad, data)
		}
		if _, _, err := conn.Read(within(t, 10*time.Second)); websocket.CloseStatus(err) != websocket.StatusPolicyViolation {
			t.Errorf("%q: %v", bad, err)
		}
	}
	conn := dial()
	if data := say(conn, c.tokenAt(m, "alice", "alice", socketTarget)); !strings.Contains(string(data), `"cursor"`) {
		t.Errorf("alice: %s", data)
	}
	c.world.Must(t, c.world.Command("bob", limit(market.Buy, 50_000, "first")), c.world.Command("alice", &exchange.Transfer{
		To: exchangetest.Address("bob"), Asset: exchangetest.EUR, Amount: exchangetest.Coin, Memo: "rent",
	}))
	m.catchUp(c.blocks)
	got := s.message(t)
	_, data, err := conn.Read(within(t, 10*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	var same api.BlockEvents
	if err := json.Unmarshal(data, &same); err != nil || len(same.Account.Events) != len(got.Account.Events) {
		t.Errorf("over a WebSocket %s: %v", data, err)
	}
	kinds := map[string]api.AccountEvent{}
	for _, e := range got.Account.Events {
		kinds[e.Kind] = e
	}
	if got.Markets != nil || got.Account.Address != exchangetest.Address("alice").String() || len(got.Account.Balances) < 2 {
		t.Errorf("%+v", got)
	}
	if e := kinds["paid"]; e.Amount != "1.00000000" || e.Asset != "EUR" || e.Memo != "rent" || e.Other != exchangetest.Address("bob").String() {
		t.Errorf("paid: %+v", e)
	}
	if e := kinds["fill"]; e.Fill == nil || e.Fill.Side != "sell" || e.Fill.Role != "maker" || e.Fill.Price != "50000.00000000" {
		t.Errorf("fill: %+v", e.Fill)
	}
	if e := kinds["command"]; e.Command == nil || e.Command.Code != 0 {
		t.Errorf("command: %+v", e)
	}
	if e := kinds["order_closed"]; e.Order == nil || e.Reason != "filled" || e.Order.Side != "sell" {
		t.Errorf("closed: %+v", e)
	}
	if len(got.Account.Events) != 4 || strings.Contains(string(data), "first") {
		t.Errorf("events of somebody else: %s", data)
	}
}

// A delegate whose power ends hears no more, and is told why (H-114).
func TestEventsOfRemovedDelegate(t *testing.T) {
	c, m := withOrders(t, clocked(), 1)
	c.world.Must(t, c.world.Command("alice", &exchange.AddDelegate{Key: exchangetest.Key("bot").Public(), Scopes: ledger.Read}))
	m.catchUp(c.blocks)
	target := "/v1/events?account=" + exchangetest.Address("alice").String()
	s := stream(t, m, target, http.Header{api.ReadHeader: {c.tokenAt(m, "alice", "bot", target)}})
	s.message(t)
	c.offer(50_000)
	m.catchUp(c.blocks)
	if got := s.message(t); got.Account == nil {
		t.Errorf("%+v", got)
	}
	c.world.Must(t, c.world.Command("alice", &exchange.RemoveDelegate{Key: exchangetest.Key("bot").Public()}))
	m.catchUp(c.blocks)
	if e := s.end(t); e.Code != api.NotAllowed {
		t.Errorf("%+v", e)
	}
}

// A stream without news says every 15 seconds that it is there (H-113).
func TestHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		founding := exchangetest.Founding(1)
		state, err := exchange.New(founding)
		if err != nil {
			t.Fatal(err)
		}
		i := &instant{id: founding.ID(), state: state}
		s := web.New(web.Config{})
		if err := s.Add(web.Virtual{Founding: founding, Replica: i, Engine: i}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Second)
		defer cancel()
		began := time.Now()
		var beats []time.Duration
		if err := s.Beat(ctx, i.id, func() {
			beats = append(beats, time.Since(began))
			time.Sleep(10 * time.Millisecond) // a reader takes a moment
		}); err != nil {
			t.Fatal(err)
		}
		if len(beats) != 7 || beats[0] != 0 || beats[6] > 91*time.Second {
			t.Errorf("it said something after %v", beats)
		}
	})
}

// Who does not take what is sent is cut off and told so, while others are served (H-114).
func TestSlowStream(t *testing.T) {
	c, m := withOrders(t, web.Config{}, 1)
	m.server.Pace(time.Minute, 4)
	slow := stream(t, m, "/v1/events?markets=all", nil)
	slow.message(t)
	ctx := within(t, 30*time.Second)
	fast, newest := make(chan int), fmt.Sprint(c.world.Height)
	go func() {
		n := 0
		for _, err := range c.client(m).Events(ctx, api.EventsRequest{Markets: []string{"all"}, After: newest}) {
			if err != nil {
				break
			}
			fast <- n
			n++
		}
	}()
	var commands []exchange.Command
	for i := range 150 { // a large message
		commands = append(commands, c.world.Command("bob", limit(market.Buy, asset.Price(30_000+i), "")))
	}
	c.world.Must(t, commands...)
	m.catchUp(c.blocks)
	<-fast
	big := m.log[len(m.log)-1]
	// The same block again and again, until the connection takes no more.
	var last uint64
	for i := range 600 {
		again := *big
		again.Height += uint64(i + 1)
		again.Time += uint64(i + 1)
		last = again.Height
		m.mu.Lock()
		m.log = append(m.log, &again)
		close(m.news)
		m.news = make(chan struct{})
		m.mu.Unlock()
		<-fast
	}
	for {
		kind, id, _ := slow.next(t)
		if kind == "end" {
			break
		}
		if id == fmt.Sprint(last) {
			t.Fatal("everything was kept for a slow reader")
		}
	}
}

// There are so many streams and no more, in all; they end when the server does (H-114).
func TestStreamLimits(t *testing.T) {
	c, m := withOrders(t, web.Config{Streams: 3}, 1)
	var list []*rawEvents
	for range 3 {
		s := stream(t, m, "/v1/events?markets=1", nil)
		s.message(t)
		list = append(list, s)
	}
	for _, path := range []string{"/v1/events", "/v1/events/ws"} {
		a := call(t, m.node(), "GET", path+"?markets=1", nil, http.Header{"Upgrade": {"websocket"}})
		if a.status != http.StatusServiceUnavailable || a.problem.Code != api.Busy || a.header.Get("Retry-After") == "" {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	_ = list[0].resp.Body.Close()
	ctx := within(t, 10*time.Second)
	for e, err := range c.client(m).Events(ctx, api.EventsRequest{Markets: []string{"1"}, Alive: true}) { // goes on asking
		if err != nil {
			t.Errorf("%+v %v", e, err)
		}
		break
	}
	done := make(chan error)
	go func() { done <- m.server.Shutdown(ctx) }()
	for _, s := range list[1:] {
		if e := s.end(t); e.Code != api.Halted {
			t.Errorf("%+v", e)
		}
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// Who has the most streams makes room for others, and nobody has more than his share (H-114).
func TestStreamPlaces(t *testing.T) {
	s := web.NewStreams(4, 3)
	isCut := func(c <-chan struct{}) bool {
		select {
		case <-c:
			return true
		default:
			return false
		}
	}
	begin := func(address string) (<-chan struct{}, func()) {
		t.Helper()
		cut, leave, e := s.Begin(address)
		if e != nil {
			t.Fatalf("%s: %v", address, e)
		}
		return cut, leave
	}
	refused := func(address string) {
		t.Helper()
		if _, _, e := s.Begin(address); e == nil || e.Code != api.Busy {
			t.Errorf("%s: %v", address, e)
		}
	}
	first, leave := begin("192.0.2.1:1")
	second, _ := begin("192.0.2.1:2")
	third, _ := begin("192.0.2.1:3")
	refused("192.0.2.1:4")
	begin("[2001:db8::1]:1")
	begin("192.0.2.3:1")
	if isCut(first) || isCut(second) || !isCut(third) {
		t.Error("not the latest stream of the address with the most has to end")
	}
	begin("192.0.2.4:1")
	if isCut(first) || !isCut(second) {
		t.Error("not the latest stream of the address with the most has to end")
	}
	refused("192.0.2.5:1")
	refused("[2001:db8::2]:1")
	leave()
	sixth, _ := begin("[2001:db8::2]:1") // of the same /64 as the one before
	begin("192.0.2.5:1")
	if !isCut(sixth) {
		t.Error("a /64 does not count as one address")
	}
}

// A thousand WebSockets that say nothing keep nobody out (H-114).
func TestIdleSockets(t *testing.T) {
	c, m := withOrders(t, web.Config{Streams: 40, Conns: 80}, 1)
	refused := 0
	for range 1000 {
		conn, status, err := socket(within(t, 10*time.Second), m, "/v1/events/ws?markets=all")
		switch {
		case err == nil:
			t.Cleanup(func() { _ = conn.CloseNow() })
		case status == http.StatusServiceUnavailable:
			refused++
		default:
			t.Fatalf("%d %v", status, err)
		}
	}
	if refused != 960 {
		t.Errorf("%d of 1,000 were refused", refused)
	}
	for range 20 {
		if a := call(t, m.node(), "GET", "/v1/book/1", nil, nil); a.status != http.StatusOK || a.problem.Code != "" {
			t.Errorf("%d %s", a.status, a.body)
		}
	}
	c.offer(50_000)
	m.catchUp(c.blocks)
}

// A WebSocket is told why it ends, too, and when the server ends it ends at once.
func TestSocketEnds(t *testing.T) {
	_, m := withOrders(t, web.Config{}, 1)
	conn, _, err := socket(t.Context(), m, "/v1/events/ws?markets=all")
	if err != nil {
		t.Fatal(err)
	}
	ctx := within(t, 10*time.Second)
	if _, _, err := conn.Read(ctx); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- m.server.Shutdown(ctx) }()
	_, data, err := conn.Read(ctx)
	if err != nil || !strings.Contains(string(data), string(api.Halted)) {
		t.Errorf("%s %v", data, err)
	}
	if _, _, err = conn.Read(ctx); websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// A book that is kept by a stream is the state's book after every block (H-116).
func TestFollowBook(t *testing.T) {
	c := newChain(t)
	random := exchangetest.NewRandom(c.world, 6, 1)
	for range 20 {
		c.world.Block(random.Block(8)...)
	}
	m := c.join(web.Config{})
	m.catchUp(c.blocks)
	const depth = 4
	from, last := len(c.blocks), uint64(0)
	for range 80 {
		c.world.Block(random.Block(8)...)
		if now := c.truth[len(c.truth)-1]; len(now.trades[exchangetest.BTCEUR]) > 0 {
			last = now.height
		}
	}
	go func() {
		for n := from; n <= len(c.blocks); n++ {
			m.catchUp(c.blocks[:n])
		}
	}()
	for b, err := range c.client(m).FollowBook(within(t, 20*time.Second), "BTC-EUR", depth) {
		if err != nil {
			t.Fatal(err)
		}
		for i, levels := range [][]api.PriceLevel{b.Bids(), b.Asks()} {
			want := c.truth[b.Height-1].books[exchangetest.BTCEUR][i]
			for j := range min(len(want), max(len(levels), depth/2)) {
				if j >= len(levels) || levels[j] != (api.PriceLevel{Price: want[j].Price, Quantity: want[j].Quantity}) {
					t.Fatalf("side %d after block %d: %v, not %v", i, b.Height, levels, want)
				}
			}
		}
		if b.Height >= last {
			break
		}
	}
}

// Streams of real replicas tell of all trades, whichever member they come from (H-111).
func TestEventsOfFederation(t *testing.T) {
	f := newFederation(t, 2, web.Config{})
	f.fund("alice", "bob")
	stop := make(chan struct{})
	var wait sync.WaitGroup
	wait.Go(func() { trade(t, f, stop) })
	wait.Go(func() { restart(t, f.nodes[0], stop) })
	defer func() {
		close(stop)
		wait.Wait()
	}()
	var begin, last uint64 // trades
	for m, err := range f.client().Events(within(t, 30*time.Second), api.EventsRequest{Markets: []string{"BTC-EUR"}}) {
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range m.Markets[0].Trades {
			if last != 0 && e.ID != last+1 {
				t.Fatalf("trade %d stands behind trade %d", e.ID, last)
			}
			if last = e.ID; begin == 0 {
				begin = last
			}
		}
		if last > begin+200 {
			break
		}
	}
}
