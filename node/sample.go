package node

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// SampleConfig is a config file with every setting and what it is for. It says what
// applies without it, but for the virtual server, which stands in it as a comment.
func SampleConfig() []byte {
	c := DefaultConfig()
	v := defaultVirtual()
	v.Founding, v.Listen = "vs/0123456789abcdef/founding", "0.0.0.0:26600"
	var b strings.Builder
	b.Write(configText(&c))
	b.WriteString("\n# One section for each virtual server, which souk federation join writes:\n")
	for line := range strings.Lines(strings.TrimPrefix(v.text(), "\n")) {
		b.WriteString("# " + line)
	}
	return []byte(b.String())
}

// WriteSample writes the sample as the config file of a home that has none.
func WriteSample(h Home) error {
	if err := os.MkdirAll(string(h), 0o700); err != nil {
		return fmt.Errorf("make home: %w", err)
	}
	c := DefaultConfig()
	return WriteConfig(h.Config(), &c)
}

// CheckConfig tells all that is wrong with a home's configuration, without starting
// anything: the file itself, and the files that it names.
func CheckConfig(h Home) error {
	c, err := ReadConfig(h.Config())
	if err != nil {
		return err
	}
	var errs []error
	say := func(setting string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("%w: %s: %w", ErrConfig, setting, err))
		}
	}
	if c.HTTP.TLSCert != "" {
		_, err := h.certificate(&c.HTTP)
		say("http.tls_cert", err)
	}
	if c.Practice.Account != "" {
		_, err := os.Stat(h.in(c.Practice.Key))
		say("practice.key", err)
	}
	for _, network := range slices.Sorted(maps.Keys(c.Chains)) {
		chain := c.Chains[network]
		if chain.Kind == chainRPC {
			_, err := h.chainRPC(&chain)
			say("chains."+network, err)
		}
	}
	for i := range c.Virtual {
		v := &c.Virtual[i]
		table := fmt.Sprintf("virtual_server.%d.", i+1)
		f, err := ReadFounding(h.in(v.Founding))
		say(table+"founding", err)
		if i == 0 && err == nil && c.Practice.Account != "" {
			say("practice.give", c.Practice.refuse(f))
		}
		for _, role := range []string{RoleConsensus, RoleNode} {
			_, err := os.Stat(filepath.Join(h.in(v.Keys), role+".age"))
			say(table+"keys", err)
		}
	}
	return errors.Join(errs...)
}
