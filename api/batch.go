package api

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"souk/exchange"
)

// ErrBatch is returned for a body that is not a batch of commands.
var ErrBatch = errors.New("not a batch of commands")

// ErrBatchSize is returned for a batch of more than MaxBatch commands.
var ErrBatchSize = fmt.Errorf("more than %d commands", MaxBatch)

// ParseBatch reads one or more commands for virtual server vs that stand one
// after the other (H-11). The bodies of the commands alias data. Not one command is taken
// if any of them is malformed.
func ParseBatch(vs exchange.ID, data []byte) ([]exchange.Command, error) {
	if len(data) == 0 {
		return nil, fmt.Errorf("the body is empty: %w", ErrBatch)
	}
	const typical = 192 // bytes of a command, to guess the number of commands
	commands := make([]exchange.Command, 0, min(len(data)/typical+1, MaxBatch))
	for rest := data; len(rest) > 0; {
		if len(commands) == MaxBatch {
			return nil, ErrBatchSize
		}
		c, after, err := exchange.Parse(vs, rest)
		if err != nil {
			return nil, fmt.Errorf("command %d at byte %d: %w: %w", len(commands)+1, len(data)-len(rest), ErrBatch, err)
		}
		commands, rest = append(commands, c), after
	}
	return commands, nil
}

// CountBatch counts the commands that data seems to hold, by hopping over their
// bodies. whole tells whether the last one ends where data does.
func CountBatch(data []byte) (n int, whole bool) {
	for len(data) > 0 {
		size, ok := exchange.Skip(data)
		if !ok || len(data) < size {
			return n, false
		}
		data = data[size:]
		n++
	}
	return n, true
}

// ParseBatchJSON reads a JSON object with one field, "commands": a list of texts,
// each one command in hexadecimal or, if it is not that, in padded standard base64
// (H-12). Repeated and unknown fields are refused. It returns the commands as bytes
// one after the other, for ParseBatch.
func ParseBatchJSON(data []byte) ([]byte, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	if err := expect(d, json.Delim('{'), "an object"); err != nil {
		return nil, err
	}
	var batch []byte
	seen := false
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrBatch, err)
		}
		if name != "commands" {
			return nil, fmt.Errorf("field %q is not known, only \"commands\" is: %w", name, ErrBatch)
		}
		if seen {
			return nil, fmt.Errorf("field \"commands\" stands there twice: %w", ErrBatch)
		}
		seen = true
		if batch, err = readList(d); err != nil {
			return nil, err
		}
	}
	if err := expect(d, json.Delim('}'), "the end of the object"); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("something follows the object: %w", ErrBatch)
	}
	if !seen {
		return nil, fmt.Errorf("field \"commands\" is missing: %w", ErrBatch)
	}
	return batch, nil
}

func readList(d *json.Decoder) ([]byte, error) {
	if err := expect(d, json.Delim('['), "a list of commands"); err != nil {
		return nil, err
	}
	var batch []byte
	for n := 1; d.More(); n++ {
		token, err := d.Token()
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrBatch, err)
		}
		text, ok := token.(string)
		if !ok {
			return nil, fmt.Errorf("command %d is not a text: %w", n, ErrBatch)
		}
		if text == "" {
			return nil, fmt.Errorf("command %d is empty: %w", n, ErrBatch)
		}
		c, err := hex.DecodeString(text)
		if err != nil {
			if c, err = base64.StdEncoding.Strict().DecodeString(text); err != nil {
				return nil, fmt.Errorf("command %d is neither hexadecimal nor base64: %w", n, ErrBatch)
			}
		}
		// Each text is one whole command, so that none begins in another's.
		if _, rest, err := exchange.Parse(exchange.ID{}, c); err != nil || len(rest) > 0 {
			return nil, fmt.Errorf("command %d is not one whole command: %w", n, ErrBatch)
		}
		batch = append(batch, c...)
	}
	return batch, expect(d, json.Delim(']'), "the end of the list")
}

func expect(d *json.Decoder, want json.Delim, what string) error {
	token, err := d.Token()
	if err != nil {
		return fmt.Errorf("expected %s: %w: %w", what, ErrBatch, err)
	}
	if token != want {
		return fmt.Errorf("expected %s: %w", what, ErrBatch)
	}
	return nil
}
