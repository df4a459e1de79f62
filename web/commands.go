package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"souk/api"
	"souk/exchange"
)

// drainMost is how much of a body that is too large is read and thrown away, so
// that its sender gets to see why it was refused.
const drainMost = 8 << 20

// post takes commands and answers their receipts (H-10 to H-17). It does not go
// through huma: thousands of commands a second want no reflection.
func (v *virtual) post(w http.ResponseWriter, r *http.Request) {
	if !noQuery(w, r) {
		return
	}
	status := v.recent()
	if e := v.unready(&status); e != nil {
		fail(w, e)
		return
	}
	data, release, e := v.body(w, r)
	if e != nil {
		fail(w, e)
		return
	}
	defer release()
	n, whole := api.CountBatch(data)
	switch {
	case n > api.MaxBatch:
		fail(w, api.NewError(api.TooLarge, "body", "The body holds %d commands; at most %d go into one request. Send them in parts.", n, api.MaxBatch))
		return
	case n == 0 || !whole:
		fail(w, v.malformed(data))
		return
	}
	v.server.meter.commands.Add(float64(n))
	ctx, cancel := context.WithTimeout(r.Context(), v.server.config.Wait)
	defer cancel()
	request := Request{Client: client(r), Data: data, Silent: v.silent(r.Header.Get(api.SilentHeader))}
	answers, err := v.replica.Submit(ctx, request)
	if errors.Is(err, ErrRequest) {
		fail(w, v.malformed(data))
		return
	}
	receipts, decided := receiptsOf(answers)
	switch {
	case len(answers) == n && !decided, errors.Is(err, context.DeadlineExceeded):
		e := api.NewError(api.Undecided, "", "No block has decided all of the commands in time. Send the same bytes again, here or to another server: each command has one effect.")
		e.RetryAfter = time.Second
		fail(w, e)
	case err != nil:
		fail(w, problem(err))
	case len(answers) != n:
		fail(w, problem(fmt.Errorf("%d answers for %d commands", len(answers), n)))
	case strings.Contains(r.Header.Get("Accept"), api.Binary):
		writeBody(w, http.StatusOK, api.Binary, api.AppendReceipts(make([]byte, 0, n*api.ReceiptSize), receipts))
	default:
		writeBody(w, http.StatusOK, api.JSON, api.AppendReceiptsJSON(make([]byte, 0, 256*n), receipts))
	}
}

// body reads the commands of a request, one after the other. release gives its
// memory back to the budget.
func (v *virtual) body(w http.ResponseWriter, r *http.Request) (data []byte, release func(), e *api.Error) {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != api.Binary && media != api.JSON {
		return nil, nil, api.NewError(api.Unsupported, "header.Content-Type", "Send commands as %s, or as %s with a list of commands.", api.Binary, api.JSON)
	}
	limit := int64(api.MaxBinary)
	if media == api.JSON {
		limit = api.MaxJSON
	}
	h := v.server.bodies.begin(client(r), func() { _ = http.NewResponseController(w).SetReadDeadline(time.Now()) })
	if r.ContentLength <= limit {
		done := trackedOf(r.Context()).read()
		data, err = readBody(r.Body, h, r.ContentLength, limit)
		done()
	}
	h.arrived()
	if r.ContentLength > limit || int64(len(data)) > limit {
		h.end()
		done := trackedOf(r.Context()).read()
		_, _ = io.Copy(io.Discard, io.LimitReader(r.Body, drainMost)) // only so that the answer is read
		done()
		w.Header().Set("Connection", "close")
		return nil, nil, api.NewError(api.TooLarge, "body", "The body is larger than the %d bytes that one request may have as %s. Send the commands in parts.", limit, media)
	}
	if err != nil {
		h.end()
		if errors.Is(err, ErrBusy) {
			return nil, nil, problem(err)
		}
		return nil, nil, api.NewError(api.TooSlow, "body", "The body did not arrive whole. Send it again.")
	}
	if media == api.JSON {
		if data, err = api.ParseBatchJSON(data); err != nil {
			h.end()
			return nil, nil, api.NewError(api.BadEncoding, "body", "The body cannot be read: %v.", err)
		}
	}
	return data, h.end, nil
}

// The buffer of a body grows with what has arrived: who only announces a body has
// the first of these.
const (
	firstBuffer  = 4 << 10
	bufferGrowth = 16
)

// readBody reads a body whose length was announced as size, or is not known if that is negative, and at most
// one byte more than limit. It takes the memory from a hold, and returns ErrBusy if there is none.
func readBody(body io.Reader, h *hold, size, limit int64) ([]byte, error) {
	most := limit + 1
	if size >= 0 {
		most = size + 1 // one byte is left to see the end
	}
	var data []byte
	body = io.LimitReader(body, limit+1)
	for {
		if len(data) == cap(data) {
			larger := min(max(firstBuffer, bufferGrowth*int64(cap(data))), max(most, int64(cap(data))+1))
			if !h.take(larger - int64(cap(data))) {
				return nil, ErrBusy
			}
			data = append(make([]byte, 0, larger), data...)
		}
		n, err := body.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		if errors.Is(err, io.EOF) {
			return data, nil
		}
		if err != nil {
			return data, err
		}
	}
}

// malformed says which command cannot be read, and why.
func (v *virtual) malformed(data []byte) *api.Error {
	_, err := api.ParseBatch(v.id, data)
	if err == nil {
		err = api.ErrBatch
	}
	return api.NewError(api.BadEncoding, "body", "None of the commands was taken: %v. Encode them as docs/spec/02-commands.md says, one after the other.", err)
}

// receiptsOf are the receipts of answers; decided is false if some command still waits.
func receiptsOf(answers []Answer) (receipts []exchange.Receipt, decided bool) {
	receipts = make([]exchange.Receipt, len(answers))
	for i := range answers {
		a := &answers[i]
		switch a.Fate {
		case FateCommitted, FateRefused:
			receipts[i] = a.Receipt
		case FateElsewhere:
			if receipts[i] = a.Receipt; a.Receipt.Code == exchange.OK {
				receipts[i].Code = exchange.NonceUsed
			}
		case FateUnknown, FateWaiting:
			return nil, false
		}
		receipts[i].ID = a.ID
	}
	return receipts, true
}

// client tells apart who sends commands, for the bounds of intake: by address, and
// on this machine by connection.
func client(r *http.Request) string {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	if from.Addr().Unmap().IsLoopback() {
		return r.RemoteAddr
	}
	return sourceOf(from.Addr()).String()
}

// CommandInput names a command.
type CommandInput struct {
	ID string `path:"id" doc:"Command id: 64 hexadecimal digits."`
	Proving
}

var fateNames = [...]string{
	FateUnknown: api.FateUnknown, FateWaiting: api.FateWaiting, FateRefused: api.FateRefused,
	FateCommitted: api.FateCommitted, FateElsewhere: api.FateElsewhere,
}

func (v *virtual) fate(ctx context.Context, in *CommandInput) (*Reply[api.Fate], error) {
	id, err := api.ParseCommandID(in.ID)
	if err != nil {
		return nil, api.NewError(api.BadRequest, "path.id", "A command id is 64 lower-case hexadecimal digits: the hash of the bytes that were signed.")
	}
	a, err := v.replica.Fate(id)
	if err != nil {
		return nil, refuse(err)
	}
	r := api.Fate{ID: in.ID, Fate: fateNames[a.Fate]}
	switch a.Fate {
	case FateCommitted, FateRefused, FateElsewhere:
		receipts, _ := receiptsOf([]Answer{a})
		receipts[0].ID = id
		value := api.ReceiptValue(&receipts[0])
		r.Receipt = &value
	case FateUnknown, FateWaiting:
	}
	if in.Proof && a.Fate == FateCommitted {
		if r.Proof, err = v.proveReceipt(ctx, id); err != nil {
			return nil, refuse(err)
		}
	}
	return &Reply[api.Fate]{r}, nil
}
