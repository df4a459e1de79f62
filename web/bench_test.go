package web_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"syscall"
	"testing"
	"time"

	"souk/api"
	"souk/archive"
	"souk/consensus"
	"souk/exchange"
	"souk/exchange/exchangetest"
	"souk/exchange/market"
	"souk/identity"
	"souk/merkle"
	"souk/web"
)

// instant is a replica that decides every command at once, for measuring HTTP alone.
type instant struct {
	id      exchange.ID
	state   *exchange.State
	answers []web.Answer // for commands that are known; nil: they are parsed
	status  consensus.Status
	err     error
}

func (i *instant) View(read func(*exchange.State)) error { read(i.state); return nil }
func (i *instant) Height() uint64                        { return 1 }
func (i *instant) Err() error                            { return i.err }

func (i *instant) Submit(_ context.Context, r web.Request) ([]web.Answer, error) {
	if i.answers != nil {
		return i.answers, nil
	}
	commands, err := api.ParseBatch(i.id, r.Data)
	if err != nil {
		return nil, web.ErrRequest
	}
	answers := make([]web.Answer, len(commands))
	for j := range commands {
		answers[j] = web.Answer{ID: commands[j].ID, Fate: web.FateCommitted, Receipt: exchange.Receipt{Height: 7, Time: 1_800_000_000_000, Number: 5}}
	}
	return answers, nil
}

var errNone = errors.New("none")

func (i *instant) Fate(exchange.CommandID) (web.Answer, error) { return web.Answer{}, errNone }
func (i *instant) ProveLeaf(merkle.Key) (web.LeafProof, error) { return web.LeafProof{}, errNone }
func (i *instant) ProveResult(uint64, uint32) (web.ResultProof, error) {
	return web.ResultProof{}, errNone
}

func (i *instant) ProveReceipt(exchange.CommandID) (web.ResultProof, error) {
	return web.ResultProof{}, errNone
}
func (i *instant) Silent() []web.Silence { return nil }

func (i *instant) Auction(market.ID, uint64) (web.Auction, bool, error) {
	return web.Auction{}, false, errNone
}

func (i *instant) Trades(market.ID, web.Cursor) iter.Seq2[web.Trade, error] {
	return func(func(web.Trade, error) bool) {}
}

func (i *instant) Fills(identity.Address, web.Cursor) iter.Seq2[web.Fill, error] {
	return func(func(web.Fill, error) bool) {}
}

func (i *instant) Cancels(identity.Address) iter.Seq2[web.Cancelled, error] {
	return func(func(web.Cancelled, error) bool) {}
}

func (i *instant) Follow(ctx context.Context, _ uint64) iter.Seq2[*archive.Block, error] {
	return func(yield func(*archive.Block, error) bool) {
		<-ctx.Done()
		yield(nil, ctx.Err())
	}
}

func (i *instant) Status() consensus.Status          { return i.status }
func (i *instant) LightBlock(uint64) ([]byte, error) { return nil, errNone }

// batch is n signed commands of the load's typical size.
func batch(tb testing.TB, id exchange.ID, n int) []byte {
	tb.Helper()
	s := signer("alice")
	var data []byte
	for i := range n {
		c, err := s.Command(id, limit(market.Buy, 50_000, fmt.Sprintf("client-%d", i)), uint64(i+1), 1<<50)
		if err != nil {
			tb.Fatal(err)
		}
		data = c.Append(data)
	}
	return data
}

// BenchmarkPost is the path of commands through HTTP without a state machine, over
// loopback, client and server in one process: cpu-ns/command is user and system
// time of both.
func BenchmarkPost(b *testing.B) {
	founding := exchangetest.Founding(1)
	state, err := exchange.New(founding)
	if err != nil {
		b.Fatal(err)
	}
	for _, n := range []int{1, 256, 1024} {
		for _, accept := range []string{api.Binary, api.JSON} {
			for _, parse := range []bool{false, true} {
				b.Run(fmt.Sprintf("batch=%d/accept=%s/parse=%v", n, accept[12:], parse), func(b *testing.B) {
					i := &instant{id: founding.ID(), state: state}
					data := batch(b, founding.ID(), n)
					if !parse {
						if i.answers, err = i.Submit(b.Context(), web.Request{Data: data}); err != nil {
							b.Fatal(err)
						}
					}
					s := web.New(web.Config{})
					if err := s.Add(web.Virtual{Founding: founding, Replica: i, Engine: i}); err != nil {
						b.Fatal(err)
					}
					benchPost(b, s, data, n, accept)
				})
			}
		}
	}
}

func benchPost(b *testing.B, s *web.Server, data []byte, n int, accept string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	go func() { _ = s.Serve(l) }()
	defer func() { _ = s.Shutdown(context.Background()) }()
	client := http.Client{}
	defer client.CloseIdleConnections()
	url := "http://" + l.Addr().String() + "/v1/commands"
	b.SetBytes(int64(len(data)))
	began := cpu()
	for b.Loop() {
		req, err := http.NewRequestWithContext(b.Context(), http.MethodPost, url, bytes.NewReader(data))
		if err != nil {
			b.Fatal(err)
		}
		req.Header = http.Header{"Content-Type": {api.Binary}, "Accept": {accept}}
		resp, err := client.Do(req)
		if err != nil {
			b.Fatal(err)
		}
		size, err := io.Copy(io.Discard, resp.Body)
		if err != nil || resp.StatusCode != 200 || size < int64(n*api.ReceiptSize) {
			b.Fatal(resp.Status, size, err)
		}
		_ = resp.Body.Close()
	}
	b.ReportMetric(float64(cpu()-began)/float64(b.N*n), "cpu-ns/command")
}

// cpu is the process's user and system time.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
