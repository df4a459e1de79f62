package ports_test

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"souk/internal/ports"
)

func TestMain(m *testing.M) {
	if n, err := strconv.Atoi(os.Getenv("CLAIM")); err == nil {
		got, err := ports.Claim(n)
		for _, p := range got {
			println(p)
		}
		if err != nil {
			println(err.Error())
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestClaim(t *testing.T) {
	seen := map[int]bool{}
	for range 20 {
		got, err := ports.Claim(10)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range got {
			if seen[p] {
				t.Errorf("port %d twice", p)
			}
			seen[p] = true
			if p < 10_000 || p > 15_999 {
				t.Errorf("port %d is outside", p)
			}
			l, err := net.Listen("tcp", ports.Address(p)) // nobody listens there
			if err != nil {
				t.Error(err)
				continue
			}
			defer l.Close() //nolint:errcheck // nothing was served
		}
	}
	for p := range seen {
		ports.Release(p)
	}
}

// A port that somebody listens on is not answered, nor one that was claimed,
// also not in another process; what is given back is.
func TestTaken(t *testing.T) {
	mine, err := ports.Claim(100)
	if err != nil {
		t.Fatal(err)
	}
	held := map[string]bool{}
	for _, p := range mine {
		held[strconv.Itoa(p)] = true
	}
	if _, err := ports.Claim(6001); !errors.Is(err, ports.ErrNone) {
		t.Errorf("more ports than there are: %v", err)
	}
	listens, err := ports.Claim(1)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", ports.Address(listens[0]))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // nothing was served
	ports.Release(listens...)
	held[strconv.Itoa(listens[0])] = true
	other := exec.CommandContext(t.Context(), os.Args[0])
	other.Env = append(os.Environ(), "CLAIM=500")
	out, err := other.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	fields := strings.Fields(string(out))
	if len(fields) != 500 {
		t.Fatalf("%d ports", len(fields))
	}
	for _, f := range fields {
		if held[f] {
			t.Errorf("port %s was answered to two processes", f)
		}
	}
	ports.Release(mine...)
}
