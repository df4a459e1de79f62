package node_test

import (
	"errors"
	"flag"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"souk/node"
)

var update = flag.Bool("update", false, "write the sample configuration anew")

const sampleFile = "../packaging/config.toml"

// The sample configuration is what the code writes, names every setting, and says what
// applies without it; with its comment about a virtual server taken off it is read, too.
func TestSample(t *testing.T) {
	sample := node.SampleConfig()
	if *update {
		if err := os.WriteFile(sampleFile, sample, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := os.ReadFile(sampleFile)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(kept), string(sample)); diff != "" {
		t.Errorf("packaging/config.toml is not what the code says; run go test ./node -run TestSample -update:\n%s", diff)
	}
	c, err := node.ParseConfig(sample)
	if diff := cmp.Diff(node.DefaultConfig(), c, cmp.Transformer("empty", func(s []string) []string { return append([]string{}, s...) })); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	before, section, ok := strings.Cut(string(sample), "# [[virtual_server]]\n")
	whole := before + "[[virtual_server]]\n"
	for line := range strings.Lines(section) {
		whole += strings.TrimPrefix(line, "# ")
	}
	if c, err = node.ParseConfig([]byte(whole)); !ok || err != nil || len(c.Virtual) != 1 {
		t.Fatalf("%v\n%s", err, whole)
	}
	for _, v := range []any{c.HTTP, c.Admin, c.Log, c.Memory, c.Practice, c.Network.Find, c.Network.Tor, c.Network.Darknet, c.Network.Mail, c.Virtual[0]} {
		for i := range reflect.TypeOf(v).NumField() {
			if key := reflect.TypeOf(v).Field(i).Tag.Get("toml"); !strings.Contains(whole, "\n"+key+" = ") {
				t.Errorf("%T: %s is not in the sample", v, key)
			}
		}
	}
}

// A configuration is checked together with the files that it names.
func TestCheckConfig(t *testing.T) {
	h := node.Home(t.TempDir() + "/home")
	if err := node.CheckConfig(h); !errors.Is(err, node.ErrConfig) {
		t.Errorf("none: %v", err)
	}
	if err := node.WriteSample(h); err != nil {
		t.Fatal(err)
	}
	if err := node.CheckConfig(h); err != nil {
		t.Error(err)
	}
	if err := node.WriteSample(h); !errors.Is(err, os.ErrExist) {
		t.Errorf("written over: %v", err)
	}
	edit(t, h, `tls_cert = ""`, `tls_cert = "cert.pem"`, `tls_key = ""`, `tls_key = "key.pem"`)
	f, err := os.OpenFile(h.Config(), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteString("[chains.bitcoin]\nkind = \"rpc\"\nurl = \"http://127.0.0.1:8332\"\nuser = \"souk\"\npassword_file = \"none\"\n[[virtual_server]]\nfounding = \"vs/x/founding\"\n")
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	err = node.CheckConfig(h)
	for _, say := range []string{"http.tls_cert: load certificate", "chains.bitcoin: password", "virtual_server.1.founding: ", "virtual_server.1.keys: "} {
		if err == nil || !strings.Contains(err.Error(), say) {
			t.Errorf("%q: %v", say, err)
		}
	}
}
