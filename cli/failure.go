package cli

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"souk/api"
	"souk/exchange"
)

// refusal is a receipt whose code is not success.
type refusal struct {
	receipt exchange.Receipt
	why     string // more than the code says
}

func (e refusal) Error() string {
	c := e.receipt.Code
	if e.why != "" {
		return fmt.Sprintf("%s (code %d)", e.why, c)
	}
	return fmt.Sprintf("%s (code %d): %s", c, c, api.Message(c))
}

// failed is an error as programs read it, on standard error.
type failed struct {
	Error string `json:"error"`
	// Code is the result code if the exchange refused the command; else absent.
	Code uint16 `json:"code,omitempty"`
	// Name is the code in words; the word of a server's problem (H-40); usage for a
	// command line that is not understood; no-answer, undecided; else error.
	Name    string `json:"name"`
	Command string `json:"command,omitempty"` // that was refused
	Height  uint64 `json:"height,omitempty"`  // of the block that holds the refusal
}

func failure(w io.Writer, err error) {
	f := failed{Error: explain(err), Name: "error"}
	var refused refusal
	var problem *api.Error
	var usage usageError
	switch {
	case errors.As(err, &refused):
		r := &refused.receipt
		f.Code, f.Name, f.Command, f.Height = uint16(r.Code), r.Code.String(), hex.EncodeToString(r.ID[:]), r.Height
	case errors.Is(err, api.ErrUndecided):
		f.Name = "undecided"
	case errors.Is(err, api.ErrServers):
		f.Name = "no-answer"
	case errors.As(err, &usage):
		f.Name = "usage"
	case errors.As(err, &problem):
		f.Name = string(problem.Code)
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.Encode(&f) //nolint:errcheck // nobody is left to tell
}

// wantsJSON tells whether a command line that may not be understood asks for JSON.
func wantsJSON(args []string) bool {
	for i, arg := range args {
		if arg == "--" {
			return false
		}
		if slices.Contains([]string{"-ojson", "-o=json", "--output=json"}, arg) ||
			i > 0 && arg == "json" && (args[i-1] == "-o" || args[i-1] == "--output") {
			return true
		}
	}
	return false
}
