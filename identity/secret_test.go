package identity_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/iotest"

	"souk/identity"
)

// V-18: no way of printing shows a secret, on its own or inside of something.
func TestSecretsAreNotPrinted(t *testing.T) {
	k := newKey(t)
	w, err := identity.GenerateWords(bytes.NewReader(bytes.Repeat([]byte{0xab}, 32)), 24)
	if err != nil {
		t.Fatal(err)
	}
	type inside struct {
		Key   identity.PrivateKey
		Words identity.Words
		key   identity.PrivateKey
		words identity.Words
	}
	in := inside{k, w, k, w}
	seed := k.Seed()
	public := k.Public()
	secrets := []string{
		hex.EncodeToString(seed[:8]), strings.ToUpper(hex.EncodeToString(seed[:8])), strings.Trim(fmt.Sprintf("%d", seed[:4]), "[]"), string(seed[:8]),
		hex.EncodeToString(public[:8]), // harmless, but stands next to the seed in memory
		"abababab", "ABABABAB", "171 171", strings.Fields(w.Reveal())[0],
	}
	check := func(how, text string) {
		t.Helper()
		for _, s := range secrets {
			if strings.Contains(text, s) {
				t.Errorf("%s shows %q in %q", how, s, text)
			}
		}
	}
	for _, v := range []any{k, &k, w, &w, in, &in, []identity.PrivateKey{k}, map[string]identity.Words{"w": w}, []any{in}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%o", "%b", "%T", "%c", "%U", "%5.3v"} {
			check(verb, fmt.Sprintf(verb, v))
		}
		check("Sprint", fmt.Sprint(v))
		if data, err := json.Marshal(v); err == nil {
			check("json", string(data))
		}
		var log bytes.Buffer
		slog.New(slog.NewTextHandler(&log, nil)).Info("m", slog.Any("v", v))
		slog.New(slog.NewJSONHandler(&log, nil)).Info("m", slog.Any("v", v))
		check("slog", log.String())
		check("error", fmt.Errorf("wrapped: %v", v).Error())
	}
	if k.String() != "[redacted]" || fmt.Sprintf("%#v", w) != "[redacted]" || w.GoString() != k.GoString() || w.String() != k.String() {
		t.Error("a secret prints as something else than [redacted]")
	}
	if err := json.Unmarshal([]byte(`{"Key":"00"}`), &in); err == nil {
		t.Error("a private key was read from JSON")
	}
	if err := json.Unmarshal([]byte(`{"Words":"abandon"}`), &in); err == nil {
		t.Error("words were read from JSON")
	}
}

func TestWipe(t *testing.T) {
	k := newKey(t)
	same, twin := k, identity.NewKey(k.Seed())
	if !k.Equal(twin) || !k.Equal(same) || k.Equal(newKey(t)) || k.Equal(identity.PrivateKey{}) {
		t.Error("Equal is wrong")
	}
	k.Wipe()
	if !k.IsZero() || !same.IsZero() || twin.IsZero() || !k.Equal(identity.PrivateKey{}) {
		t.Error("Wipe left a copy or took another key")
	}
	identity.PrivateKey{}.Wipe()
	defer func() {
		if recover() == nil {
			t.Error("signed with a wiped key")
		}
	}()
	same.Sign(identity.TagPeer, nil)
}

func TestGenerateKeyReports(t *testing.T) {
	broken := errors.New("no randomness")
	if _, err := identity.GenerateKey(iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
	if _, err := identity.GenerateKey(bytes.NewReader(make([]byte, 31))); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("error %v", err)
	}
}
