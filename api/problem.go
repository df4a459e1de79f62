package api

import (
	"fmt"
	"net/http"
	"time"
)

// Code of a problem: a short stable word for programs (H-40). Append-only.
type Code string

// Codes of problems.
const (
	BadRequest   Code = "bad-request"  // a parameter or the body is not what the operation takes
	BadEncoding  Code = "bad-encoding" // bytes that are not commands
	TooLarge     Code = "too-large"    // the body, or the number of commands, is above its limit
	Unsupported  Code = "unsupported"  // a media type that the operation does not take
	NotSigned    Code = "not-signed"   // a signed read without a token, or with one that does not hold
	NotAllowed   Code = "not-allowed"  // the key may not read this account
	WrongHost    Code = "wrong-host"   // a Host header that this server does not answer to
	CrossOrigin  Code = "cross-origin" // a browser page of another origin
	NotFound     Code = "not-found"    // no such thing, or no such path
	NotMethod    Code = "not-method"   // the path exists, but not with this method
	Undecided    Code = "undecided"    // no block has decided the commands in time
	Busy         Code = "busy"         // too much is waiting here
	CatchingUp   Code = "catching-up"  // this server is behind the others
	Halted       Code = "halted"       // this virtual server has stopped here
	NotKept      Code = "not-kept"     // it was so once, but this server does not keep it any more
	Broken       Code = "broken"       // a fault of this server
	TooSlow      Code = "too-slow"     // the body did not arrive in time
	NotProvable  Code = "not-provable" // a proof is not there yet, or not any more
	HeaderTooBig Code = "header-too-big"
	TooMany      Code = "too-many" // more of something than this server does in a time; another one may
)

// Error is an error response, as RFC 9457 has it. It is safe to show to people.
type Error struct {
	Type   string `json:"type,omitempty" doc:"Always about:blank: the code tells problems apart."`
	Title  string `json:"title" doc:"The HTTP status in words."`
	Status int    `json:"status" doc:"The HTTP status."`
	Code   Code   `json:"code" doc:"Short stable word for programs." example:"too-large"`
	Detail string `json:"detail" doc:"What is wrong and what to do next."`
	Field  string `json:"field,omitempty" doc:"The parameter, header or command that is to blame." example:"query.limit"`
	Oldest string `json:"oldest,omitempty" doc:"Of a stream that cannot go on: the oldest cursor that one could go on behind here."`

	// RetryAfter is how long to wait before trying again, as a header; zero if
	// trying again does not help.
	RetryAfter time.Duration `json:"-"`
}

// NewError makes an error response with the status that belongs to the code.
func NewError(code Code, field, format string, args ...any) *Error {
	status := code.Status()
	return &Error{
		Type: "about:blank", Title: http.StatusText(status), Status: status,
		Code: code, Detail: fmt.Sprintf(format, args...), Field: field,
	}
}

// Status is the HTTP status of responses with the code.
func (c Code) Status() int {
	switch c {
	case BadRequest, BadEncoding:
		return http.StatusBadRequest
	case TooLarge:
		return http.StatusRequestEntityTooLarge
	case Unsupported:
		return http.StatusUnsupportedMediaType
	case NotSigned:
		return http.StatusUnauthorized
	case NotAllowed, CrossOrigin:
		return http.StatusForbidden
	case WrongHost:
		return http.StatusMisdirectedRequest
	case NotFound:
		return http.StatusNotFound
	case NotMethod:
		return http.StatusMethodNotAllowed
	case Undecided:
		return http.StatusGatewayTimeout
	case Busy, CatchingUp, Halted:
		return http.StatusServiceUnavailable
	case NotKept:
		return http.StatusGone
	case NotProvable:
		return http.StatusConflict
	case TooSlow:
		return http.StatusRequestTimeout
	case TooMany:
		return http.StatusTooManyRequests
	case HeaderTooBig:
		return http.StatusRequestHeaderFieldsTooLarge
	case Broken:
		return http.StatusInternalServerError
	}
	return http.StatusInternalServerError
}

// Error is the detail and the field.
func (e *Error) Error() string {
	switch {
	case e.Field != "" && e.Detail != "":
		return e.Field + ": " + e.Detail
	case e.Detail != "":
		return e.Detail
	}
	return fmt.Sprintf("the server answered %d %s", e.Status, e.Title)
}

// GetStatus is the HTTP status.
func (e *Error) GetStatus() int { return e.Status }

// ContentType makes the media type that of a problem.
func (*Error) ContentType(string) string { return Problem }
