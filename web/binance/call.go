package binance

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Limits of requests.
const (
	maxBody       = 64 << 10
	maxParameters = 100
	defaultWindow = 5_000
	maxRecvWindow = 60_000
	// maxAhead is how far a timestamp may be ahead of the clock here.
	maxAhead = 1_000
)

// call is one request, of REST or of the WebSocket API.
type call struct {
	h      *Handler
	ctx    context.Context //nolint:containedctx // of the request
	values map[string]string
	unread map[string]bool
	key    *Key   // of a request with one that is known
	signed []byte // what was signed, of a request whose signature holds
	from   string // address, as the request came
	who    string // whose use is counted
	own    Limits // of who
	free   bool   // it is not counted
	header http.Header
	now    uint64
	socket *apiSocket // of the WebSocket API; nil for REST
}

// serveREST answers a request of REST.
func (h *Handler) serveREST(w http.ResponseWriter, r *http.Request, path string) {
	header := w.Header()
	header.Set("Content-Type", "application/json;charset=UTF-8")
	header.Set("Cache-Control", "no-store")
	result, err := h.rest(w, r, path)
	status := http.StatusOK
	if err != nil {
		e := h.failure(err, codeUnknown)
		if e.retry > 0 {
			header.Set("Retry-After", strconv.Itoa(int(math.Ceil(e.retry.Seconds()))))
		}
		result, status = e, e.Status
	}
	data, err := json.Marshal(result)
	if err != nil {
		panic("binance: an answer that is no JSON: " + err.Error()) //nolint:forbidigo // all answers are made here
	}
	w.WriteHeader(status)
	_, _ = w.Write(data)
}

func (h *Handler) rest(w http.ResponseWriter, r *http.Request, path string) (any, error) {
	e, known := find(r.Method, path)
	if e == nil {
		if known {
			return nil, &Error{Status: http.StatusMethodNotAllowed, Code: codeUnsupported, Text: "This method is not supported for this path."}
		}
		return nil, &Error{Status: http.StatusNotFound, Code: codeUnsupported, Text: "There is no such path here: " + path}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		if tooBig := (*http.MaxBytesError)(nil); errors.As(err, &tooBig) {
			return nil, &Error{Status: http.StatusRequestEntityTooLarge, Code: codeChars, Text: "The body is too large."}
		}
		return nil, &Error{Status: http.StatusBadRequest, Code: codeUnavailable, Text: "The body did not arrive."}
	}
	c := &call{h: h, ctx: r.Context(), values: map[string]string{}, unread: map[string]bool{}, header: w.Header(), now: h.now(), from: address(r)}
	id := r.Header.Get("X-MBX-APIKEY")
	if refused := c.admit(id, e, false); refused != nil {
		return nil, refused
	}
	query := r.URL.RawQuery
	for _, part := range []string{query, string(body)} {
		if refused := c.read(part); refused != nil {
			return nil, refused
		}
	}
	if refused := c.authorize(e, id, func() []byte {
		return append(unsigned(query), unsigned(string(body))...)
	}); refused != nil {
		return nil, refused
	}
	return c.run(e)
}

// admit finds the key and counts the request. One that is to be signed counts against its key
// when the signature holds: who knows no more than a key's id uses up nothing of it (N-50).
// proven tells that the connection has logged on with the key.
func (c *call) admit(id string, e *endpoint, proven bool) *Error {
	if id != "" && c.h.config.Keys != nil {
		if k, ok := c.h.config.Keys.Key(id); ok && !k.expired(c.now) {
			c.key = k
		}
	}
	switch {
	case c.key != nil && proven:
		return c.countKey(e)
	case c.key != nil && e.auth == signed:
		return nil
	}
	return c.countOther(e)
}

// countKey counts a request that is proven to be of its key.
func (c *call) countKey(e *endpoint) *Error {
	c.who, c.own, c.free = "key "+c.key.ID, c.key.Limits, false
	return c.weigh(cmp.Or(e.weight, 1))
}

// countOther counts a request that is not: against its address or, where many clients are
// behind that, against what it says that its key is.
func (c *call) countOther(e *endpoint) *Error {
	switch trusted := c.h.config.Trusted != nil && c.h.config.Trusted(c.from); {
	case !trusted:
		c.who = "address " + sourceOf(c.from)
	case c.key != nil:
		c.who, c.own = "id "+c.key.ID, c.key.Limits
	default:
		c.free = true
	}
	return c.weigh(cmp.Or(e.weight, 1))
}

// weigh counts a weight.
func (c *call) weigh(n int) *Error {
	if c.free {
		return nil
	}
	used, refused := c.h.limits.weigh(c.who, c.own, n, c.now)
	c.header.Set("X-MBX-USED-WEIGHT", strconv.Itoa(used))
	c.header.Set("X-MBX-USED-WEIGHT-1M", strconv.Itoa(used))
	return refused
}

// sourceOf is what an address is counted by: of IPv6 a customer has a whole /64.
func sourceOf(address string) string {
	ip, err := netip.ParseAddr(address)
	if ip = ip.Unmap().WithZone(""); err != nil || ip.Is4() {
		return address
	}
	p, err := ip.Prefix(64)
	if err != nil {
		return address
	}
	return p.String()
}

// run carries the request out.
func (c *call) run(e *endpoint) (any, error) {
	if e.more != nil {
		if more := e.more(c); more > 0 {
			if refused := c.weigh(more); refused != nil {
				return nil, refused
			}
		}
	}
	result, err := e.do(c)
	if err != nil {
		return nil, err
	}
	if refused := c.done(); refused != nil {
		return nil, refused
	}
	return result, nil
}

// address is where a request comes from, without the port.
func address(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// read takes parameters in, as a query or a form has them.
func (c *call) read(part string) *Error {
	for part != "" {
		var pair string
		pair, part, _ = strings.Cut(part, "&")
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(name)
		if err != nil {
			return bad(codeChars, "Illegal characters found in a parameter.")
		}
		if value, err = url.QueryUnescape(value); err != nil {
			return bad(codeChars, "Illegal characters found in parameter '%s'.", name)
		}
		if refused := c.put(name, value); refused != nil {
			return refused
		}
	}
	return nil
}

func (c *call) put(name, value string) *Error {
	if _, twice := c.values[name]; twice {
		return bad(codeDuplicate, "Duplicate values for parameter '%s' detected.", name)
	}
	if len(c.values) >= maxParameters {
		return bad(codeDuplicate, "Too many parameters; expected at most '%d'.", maxParameters)
	}
	c.values[name], c.unread[name] = value, true
	return nil
}

// unsigned is a query or form without its signature, as it was sent (N-11).
func unsigned(part string) []byte {
	var kept []string
	for pair := range strings.SplitSeq(part, "&") {
		if name, _, _ := strings.Cut(pair, "="); name != "signature" && pair != "" {
			kept = append(kept, pair)
		}
	}
	return []byte(strings.Join(kept, "&"))
}

// authorize checks the key, the clock and the signature, as far as the endpoint asks for them.
func (c *call) authorize(e *endpoint, id string, payload func() []byte) *Error {
	if e.auth == nobody {
		for _, name := range []string{"timestamp", "signature", "recvWindow"} { // clients sign what need not be
			delete(c.unread, name)
		}
		return nil
	}
	switch {
	case id == "":
		return &Error{Status: http.StatusUnauthorized, Code: codeKeyFormat, Text: "API-key format invalid."}
	case c.key == nil:
		return noKey()
	}
	if e.auth == signed {
		if refused := c.verify(payload); refused != nil {
			return cmp.Or(c.countOther(e), refused)
		}
		if refused := c.countKey(e); refused != nil {
			return refused
		}
	} else {
		for _, name := range []string{"timestamp", "signature", "recvWindow"} {
			delete(c.unread, name)
		}
	}
	if !c.key.may(e.scope) {
		return noKey()
	}
	return nil
}

// verify checks the clock and the signature (N-11, N-12).
func (c *call) verify(payload func() []byte) *Error {
	signature := c.text("signature")
	if signature == "" {
		return missing("signature")
	}
	if refused := c.clock(); refused != nil {
		return refused
	}
	text := payload()
	if !c.key.verify(text, signature) {
		return bad(codeSignature, "Signature for this request is not valid.")
	}
	c.signed = text
	return nil
}

func (c *call) clock() *Error {
	if c.text("timestamp") == "" {
		return missing("timestamp")
	}
	sent, refused := c.number("timestamp")
	if refused != nil {
		return refused
	}
	recv := uint64(defaultWindow)
	if text := c.text("recvWindow"); text != "" {
		whole, fraction, dot := strings.Cut(text, ".")
		n, err := strconv.ParseUint(whole, 10, 32)
		if err != nil || dot && (len(fraction) > 3 || strings.Trim(fraction, "0123456789") != "") {
			return illegal("recvWindow", `^[0-9]{1,20}(\.[0-9]{1,3})?$`)
		}
		if recv = n; recv > maxRecvWindow {
			return bad(codeInvalid, "'recvWindow' must be less than %d.", maxRecvWindow)
		}
	}
	if sent > 1<<50 { // microseconds
		sent /= 1_000
	}
	switch {
	case sent >= c.now+maxAhead:
		return bad(codeClock, "Timestamp for this request was 1000ms ahead of the server's time.")
	case sent+recv < c.now:
		return bad(codeClock, "Timestamp for this request is outside of the recvWindow.")
	}
	return nil
}

// verify tells whether the signature of a payload is that of the key.
func (k *Key) verify(payload []byte, signature string) bool {
	switch k.Kind {
	case HMAC:
		mac, err := hex.DecodeString(signature)
		if err != nil {
			return false
		}
		h := hmac.New(sha256.New, k.Secret)
		h.Write(payload)
		return hmac.Equal(mac, h.Sum(nil))
	case Ed25519:
		// What is not escaped in a query loses its plus signs.
		s, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(signature, " ", "+"))
		return err == nil && len(k.Public) == ed25519.PublicKeySize && ed25519.Verify(k.Public, payload, s)
	}
	return false
}

// text reads a parameter; empty: it was not sent.
func (c *call) text(name string) string {
	delete(c.unread, name)
	return c.values[name]
}

// sent tells whether a parameter is there.
func (c *call) sent(name string) bool {
	_, ok := c.values[name]
	return ok
}

// number reads a whole number; zero: it was not sent.
func (c *call) number(name string) (uint64, *Error) {
	text := c.text(name)
	if text == "" {
		if c.sent(name) {
			return 0, bad(codeEmpty, "Parameter '%s' was empty.", name)
		}
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil {
		return 0, illegal(name, `^[0-9]{1,20}$`)
	}
	return n, nil
}

// limit reads how many entries are asked for; more than most are most.
func (c *call) limit(usual, most int) (int, *Error) {
	n, refused := c.number("limit")
	switch {
	case refused != nil:
		return 0, refused
	case n == 0 && c.sent("limit"):
		return 0, invalid("limit")
	case n == 0:
		return usual, nil
	}
	return int(min(n, uint64(most))), nil
}

// span reads startTime and endTime.
func (c *call) span() (start, end uint64, refused *Error) {
	if start, refused = c.number("startTime"); refused != nil {
		return 0, 0, refused
	}
	if end, refused = c.number("endTime"); refused != nil {
		return 0, 0, refused
	}
	if end != 0 && start > end {
		return 0, 0, bad(-1127, "Start time is greater than end time.")
	}
	return start, end, nil
}

// past reads what requests for the past of a market have in common: symbol, limit,
// startTime and endTime.
func (c *call) past() (p *pair, limit int, start, end uint64, refused *Error) {
	if p, refused = c.symbol(); refused != nil {
		return nil, 0, 0, 0, refused
	}
	if limit, refused = c.limit(500, maxList); refused != nil {
		return nil, 0, 0, 0, refused
	}
	start, end, refused = c.span()
	return p, limit, start, end, refused
}

// choice reads a parameter that is one of a few words.
func (c *call) choice(name string, words ...string) (string, *Error) {
	text := c.text(name)
	if text != "" && !slices.Contains(words, text) {
		return "", invalid(name)
	}
	return text, nil
}

// texts reads a list, as ["A","B"].
func (c *call) texts(name string) ([]string, *Error) {
	text := c.text(name)
	if text == "" {
		return nil, nil
	}
	var list []string
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	if err := d.Decode(&list); err != nil || d.More() || len(list) == 0 {
		return nil, illegal(name, `^\["[A-Z0-9-_.]{1,20}"(,"[A-Z0-9-_.]{1,20}"){0,}\]$`)
	}
	return list, nil
}

// done makes sure that all that was sent was read, before something is done.
func (c *call) done() *Error {
	if len(c.unread) == 0 {
		return nil
	}
	var names []string
	for name := range c.unread {
		names = append(names, name)
	}
	slices.Sort(names)
	return bad(codeUnread, "Not all sent parameters were read; read '%d' parameter(s) but was sent '%d'. Not read: %s", len(c.values)-len(names), len(c.values), strings.Join(names, ", "))
}

// drop lets parameters be that clients send and that mean nothing here.
func (c *call) drop(names ...string) {
	for _, name := range names {
		delete(c.unread, name)
	}
}
