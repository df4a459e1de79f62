package cli_test

import (
	"bytes"
	"encoding/json"
	"io"
	"testing"

	"souk/cli"
	"souk/exchange"
)

// Every protocol version that the binary executes is told, in order.
func TestVersionTellsProtocols(t *testing.T) {
	var out bytes.Buffer
	if code := cli.Main([]string{"version", "-o", "json"}, nil, &out, io.Discard); code != 0 {
		t.Fatal(code)
	}
	var v struct {
		Protocols []struct {
			Version uint32
			What    string
		}
	}
	if err := json.Unmarshal(out.Bytes(), &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Protocols) != exchange.ProtocolMax-exchange.ProtocolMin+1 {
		t.Fatalf("%+v", v)
	}
	for i, x := range v.Protocols {
		if x.Version != uint32(exchange.ProtocolMin+i) || x.What == "" {
			t.Errorf("%+v", x)
		}
	}
}
