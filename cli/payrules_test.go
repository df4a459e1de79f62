package cli_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"souk/cli"
	"souk/exchange/custody"
)

// What is stricter of a change is signed by itself if another one is to come, so that it
// is in force at once, and what is to come is kept.
func TestStricterAtOnce(t *testing.T) {
	shop := []custody.Allowed{{Bank: 1, Script: []byte{0, 1}}}
	hour := uint64(time.Hour.Milliseconds())
	coming := custody.Settings{Delay: hour, Only: true, Allowed: shop}
	for name, c := range map[string]struct {
		now    custody.Settings
		coming *custody.Settings
		only   bool
		delay  time.Duration
		lock   *custody.Settings
		next   custody.Settings
		err    string
	}{
		"nothing is to come":          {custody.Settings{}, nil, false, time.Hour, nil, custody.Settings{Delay: hour}, ""},
		"it is to come":               {custody.Settings{Delay: hour}, &coming, true, 0, &custody.Settings{Delay: hour, Only: true}, coming, ""},
		"it is to come and in force":  {custody.Settings{Delay: hour, Only: true}, &coming, true, 0, nil, coming, "your settings are so from"},
		"it is in force":              {custody.Settings{Delay: hour}, nil, false, time.Hour, nil, custody.Settings{Delay: hour}, "so already"},
		"another thing is to come":    {custody.Settings{Delay: hour}, &coming, false, 2 * time.Hour, &custody.Settings{Delay: 2 * hour}, custody.Settings{Delay: 2 * hour, Only: true, Allowed: shop}, ""},
		"something sooner is to come": {custody.Settings{Delay: hour}, &coming, false, time.Hour / 2, nil, custody.Settings{Delay: hour / 2, Only: true, Allowed: shop}, ""},
		"it would pay nobody":         {custody.Settings{}, nil, true, 0, nil, custody.Settings{Only: true}, "could pay nobody"},
	} {
		lock, next, err := cli.Tighten(c.now, c.coming, c.only, c.delay)
		if (c.err == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(c.lock, lock); diff != "" {
			t.Errorf("%s: at once: %s", name, diff)
		}
		if diff := cmp.Diff(c.next, next); diff != "" {
			t.Errorf("%s: after that: %s", name, diff)
		}
	}
}
