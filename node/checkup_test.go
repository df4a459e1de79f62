package node_test

import (
	"strings"
	"testing"
	"time"

	"souk/api"
	"souk/exchange"
	"souk/node"
)

// The doctor says of a certificate whether it holds, for how long, and for which names.
func TestDoctorCertificate(t *testing.T) {
	h := node.Home(t.TempDir())
	now := time.Now()
	for _, x := range []struct {
		what string
		http node.HTTP
		now  time.Time
		bad  bool
		say  string
	}{
		{"none is needed", node.HTTP{Listen: "127.0.0.1:1"}, now, false, ""},
		{"a proxy has it", node.HTTP{Listen: "0.0.0.0:1", Plain: true}, now, false, ""},
		{"none", node.HTTP{Listen: "0.0.0.0:1"}, now, true, "set tls_cert"},
		{"not there", node.HTTP{TLSCert: "x", TLSKey: "y"}, now, true, "see tls_cert"},
		{"ends soon", node.HTTP{TLSCert: "cert.pem", TLSKey: "key.pem", Hosts: []string{"127.0.0.1"}}, now, false, "soon: renew it"},
		{"ended", node.HTTP{TLSCert: "cert.pem", TLSKey: "key.pem"}, now.Add(2 * time.Hour), true, "SIGHUP"},
		{"another name", node.HTTP{TLSCert: "cert.pem", TLSKey: "key.pem", Hosts: []string{"alice.example"}}, now, true, "it is not for alice.example"},
	} {
		if x.http.TLSCert == "cert.pem" {
			writeCertificate(t, h, 1)
		}
		text, bad := "", false
		for _, f := range node.CheckCertificate(h, &x.http, x.now) {
			text += f.Detail + "\n"
			bad = bad || f.Bad
		}
		if bad != x.bad || !strings.Contains(text, x.say) || x.say == "" && text != "" {
			t.Errorf("%s: %v, %s", x.what, bad, text)
		}
	}
}

// The doctor says when a newer program is needed, and who runs another one.
func TestDoctorVersions(t *testing.T) {
	same := map[string]string{"alice": "0.1.0", "bob": "0.1.0"}
	for _, x := range []struct {
		software  map[string]string
		status    api.Status
		bad, note bool
		say       string
	}{
		{same, api.Status{Protocol: 1}, false, false, "rules of version 1"},
		{map[string]string{"alice": "0.1.0", "bob": "0.2.0"}, api.Status{Protocol: 1}, false, true, "others run bob 0.2.0"},
		{map[string]string{"bob": "0.2.0"}, api.Status{Protocol: 1}, false, false, "rules of version 1"},
		{same, api.Status{Protocol: exchange.ProtocolMax + 1}, true, false, "install a newer souk"},
		{same, api.Status{Protocol: 1, Height: 5, Plan: &api.Plan{Version: exchange.ProtocolMax + 1, Height: 9}}, true, false, "from block 9 on"},
	} {
		f := node.CompareVersions(x.software, "alice", &x.status)
		if len(f) != 1 || f[0].Bad != x.bad || f[0].Note != x.note || !strings.Contains(f[0].Detail, x.say) {
			t.Errorf("%+v: %+v", x, f)
		}
	}
}
