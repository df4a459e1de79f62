package irc_test

import (
	"bytes"
	"testing"

	"souk/transport"
	"souk/transport/irc"
)

// U-62: an answer is for one question of one asker, by who is asked.
func TestRecord(t *testing.T) {
	text := irc.Answer(key("alice"), []byte("an address"))
	p, payload, err := irc.Read("Nick", text)
	if err != nil || p != key("alice").Public() || string(payload) != "an address" {
		t.Fatalf("%v %q: %v", p, payload, err)
	}
	for name, bad := range map[string]string{"empty": "", "short": text[:len(text)-2], "changed": "A" + text[1:], "no text": "!" + text[1:]} {
		if _, _, err := irc.Read("nick", bad); err == nil && bad != text {
			t.Errorf("%s: is read", name)
		}
	}
	if _, _, err := irc.Read("another", text); err == nil {
		t.Error("somebody else answers with it")
	}
	if n := len(irc.Answer(key("alice"), make([]byte, 116))); n > 350 {
		t.Errorf("the longest record has %d characters, too many for a line", n)
	}
}

// U-65: what offers are dialled.
func TestParseOffer(t *testing.T) {
	for _, c := range []struct {
		text    string
		private bool
		want    string
	}{
		{"chat 134744072 5000", false, "8.8.8.8:5000"},
		{"CHAT 134744072 1024", false, "8.8.8.8:1024"},
		{"chat 134744072 22", false, ""},    // a service
		{"chat 2130706433 5000", false, ""}, // this machine
		{"chat 2130706433 5000", true, "127.0.0.1:5000"},
		{"chat 3232235777 5000", false, ""}, // 192.168.1.1
		{"chat 3758096385 5000", true, ""},  // 224.0.0.1
		{"chat 4294967295 5000", true, ""},
		{"chat 0 5000", true, ""},
		{"send 134744072 5000", false, ""},
		{"chat 134744072 65536", false, ""},
		{"chat 134744072", false, ""},
		{"chat -1 5000", false, ""},
	} {
		if got, ok := irc.ParseOffer(c.text, c.private); got != c.want || ok != (c.want != "") {
			t.Errorf("%q, private %v: %q, %v", c.text, c.private, got, ok)
		}
	}
}

func FuzzReadRecord(f *testing.F) {
	f.Add(irc.Answer(key("alice"), []byte("an address")))
	f.Fuzz(func(t *testing.T, text string) {
		if p, payload, err := irc.Read("nick", text); err == nil && (len(payload) > 116 || p == transport.ID{}) {
			t.Errorf("%q is read as %v, %q", text, p, payload)
		}
	})
}

func FuzzParseLine(f *testing.F) {
	f.Add("chat 134744072 5000")
	f.Add(irc.Realname(key("alice").Public()))
	f.Fuzz(func(t *testing.T, text string) {
		_, _ = irc.ParseOffer(text, true)
		if p, ok := irc.ParseRealname(text); ok && !bytes.Contains([]byte(text), []byte(irc.Realname(p))) {
			t.Errorf("%q is read as %v", text, p)
		}
	})
}
