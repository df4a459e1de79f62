package web

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"souk/api"
)

// meter counts what the server does. No label names a client, an account or an amount.
type meter struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	commands prometheus.Counter
	conns    prometheus.Gauge
	evicted  prometheus.Counter
	refused  prometheus.Counter
	tokens   prometheus.Counter

	streams    prometheus.Gauge
	streamsCut prometheus.Counter
}

func newMeter() *meter {
	return &meter{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "souk_http_requests_total", Help: "Requests by operation and status class.",
		}, []string{"operation", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "souk_http_request_seconds", Help: "Time from the request's header to the end of its response.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"operation"}),
		commands: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "souk_http_commands_total", Help: "Commands that requests brought, well-formed ones.",
		}),
		conns: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "souk_http_connections", Help: "Open connections.",
		}),
		evicted: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "souk_http_connections_evicted_total", Help: "Connections closed to make room for others.",
		}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "souk_http_connections_refused_total", Help: "Connections there was no room for.",
		}),
		tokens: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "souk_http_reads_refused_total", Help: "Signed reads that did not hold.",
		}),
		streams: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "souk_http_streams", Help: "Open event streams.",
		}),
		streamsCut: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "souk_http_streams_cut_total", Help: "Event streams that the server ended.",
		}),
	}
}

// Collectors are the server's metrics, to be registered by whoever serves them.
func (s *Server) Collectors() []prometheus.Collector {
	m := s.meter
	return []prometheus.Collector{m.requests, m.seconds, m.commands, m.conns, m.evicted, m.refused, m.tokens, m.streams, m.streamsCut}
}

// count notes a finished request. How long a stream lasted says nothing about the server.
func (m *meter) count(r *recorder, took time.Duration) {
	m.requests.WithLabelValues(r.operation, strconv.Itoa(r.status/100)+"xx").Inc()
	if !r.stream {
		m.seconds.WithLabelValues(r.operation).Observe(took.Seconds())
	}
}

// recorder remembers what was answered, and bounds the memory of what is not taken (H-52).
type recorder struct {
	http.ResponseWriter
	request   *http.Request
	budget    *budget
	status    int
	sent      bool   // the status is on its way
	refused   bool   // there was no memory for the response: busy was answered instead
	operation string // set by the handler; it is a label, so one of few
	stream    bool   // it lasts as long as its reader likes
	failed    bool   // the peer does not take the response
}

// WriteHeader notes the status. It is sent with what is written first, or by finish.
func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	if status == http.StatusSwitchingProtocols { // who takes the connection over has no other response
		r.finish()
	}
}

// smallReply is what net/http keeps of a response itself, so that writing it waits for nobody.
const smallReply = 4 << 10

func (r *recorder) Write(p []byte) (int, error) {
	if r.refused {
		return len(p), nil
	}
	if len(p) > smallReply {
		h := r.budget.begin(client(r.request), func() { _ = http.NewResponseController(r.ResponseWriter).SetWriteDeadline(time.Now()) })
		defer h.end()
		if !h.take(int64(len(p))) {
			return r.refuse(p)
		}
	}
	r.finish()
	n, err := r.ResponseWriter.Write(p)
	r.failed = r.failed || err != nil
	return n, err
}

// refuse answers busy in the place of a response, or breaks off one that has begun.
func (r *recorder) refuse(p []byte) (int, error) {
	if r.sent {
		r.failed = true
		return 0, ErrBusy
	}
	e := api.NewError(api.Busy, "", "Too many responses are waiting here for those who asked to take them. Ask again in a second, or ask another server.")
	e.RetryAfter = time.Second
	r.refused, r.sent, r.status = true, true, e.Status
	fail(r.ResponseWriter, e)
	return len(p), nil
}

// finish sends the status if that was not done.
func (r *recorder) finish() {
	if r.sent {
		return
	}
	r.sent = true
	if r.status == 0 {
		r.status = http.StatusOK
	}
	r.ResponseWriter.WriteHeader(r.status)
}

// Unwrap lets http.ResponseController reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
