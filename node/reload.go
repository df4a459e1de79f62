package node

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
)

// Reload reads the configuration again: levels of the log and the certificate count at
// once. What else has changed counts from the next start on, and the log says what that is.
// A configuration that cannot be used changes nothing.
func (n *Node) Reload() error {
	n.reload.Lock()
	defer n.reload.Unlock()
	c, err := ReadConfig(n.home.Config())
	if err != nil {
		return err
	}
	if n.certificate.Load() != nil && c.HTTP.TLSCert != "" {
		cert, err := n.home.certificate(&c.HTTP)
		if err != nil {
			return err
		}
		n.certificate.Store(cert)
	}
	if n.opts.Levels != nil {
		if err := n.opts.Levels.Set(c.Log.Level); err != nil {
			return err // not reached: the configuration was checked
		}
	}
	n.log(logNode).Info("configuration read again",
		slog.String("levels", c.Log.Level), slog.String("at_next_start", strings.Join(changed(&n.config, &c), ", ")))
	return nil
}

// changed are the sections of a configuration in which another one differs, but for what
// Reload takes over.
func changed(was, is *Config) (all []string) {
	w, i := *was, *is
	w.Log.Level, i.Log.Level = "", ""
	a, b := reflect.ValueOf(w), reflect.ValueOf(i)
	for f := range a.NumField() {
		if !reflect.DeepEqual(a.Field(f).Interface(), b.Field(f).Interface()) {
			all = append(all, a.Type().Field(f).Tag.Get("toml"))
		}
	}
	return all
}

// certificate reads the certificate that clients are shown.
func (h Home) certificate(c *HTTP) (*tls.Certificate, error) {
	cert, err := tls.LoadX509KeyPair(h.in(c.TLSCert), h.in(c.TLSKey))
	if err != nil {
		return nil, fmt.Errorf("load certificate: %w", err)
	}
	return &cert, nil
}
