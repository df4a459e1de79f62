package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"souk/exchange/roster"
)

// A server is lost with all its keys. Its member makes a new one, the others vote
// for its card, and it joins, catches up and gets full power.
func TestReplaceMember(t *testing.T) {
	beside(t)
	const lost = 1
	f := start(t, 4)
	f.mint(1000e8, addressOf("alice"))
	s := f.trade()
	s.after(40)
	m, err := f.member(0, lost)
	if err != nil {
		t.Fatal(err)
	}
	f.Kill(lost)
	if err := os.RemoveAll(string(f.Homes[lost])); err != nil {
		t.Fatal(err)
	}

	own := initialized(t, "server-2")
	home, card, http, p2p := own.home, own.card, own.http, own.p2p
	f.vote(f.Founding.ID(), []int{0, 2, 3}, "replace-member", strconv.Itoa(int(m.ID)), home.CardFile())
	contract := filepath.Join(filepath.Dir(string(f.Homes[0])), "founding")
	souk(t, "federation", "join", contract, "--home", string(home), "--listen", p2p)
	f.Homes[lost], f.URLs[lost] = home, "http://"+http
	if err := f.Restart(lost); err != nil {
		t.Fatal(err)
	}
	if err := f.CaughtUp(within(t, time.Minute), lost); err != nil {
		t.Fatal(err)
	}
	eventually(t, 90*time.Second, "the new server has full power", func() error {
		now, err := f.member(0, lost)
		if err == nil && (now.Power != roster.FullPower || now.ID != m.ID || now.Consensus != card.Consensus.String()) {
			err = fmt.Errorf("%+v", now)
		}
		return err
	})
	// It carries its share: without another one nothing would be decided.
	f.Kill(3)
	f.progress("alice")
	if err := f.Restart(3); err != nil {
		t.Fatal(err)
	}
	s.after(20)
	receipts := s.end()
	if err := f.Ready(within(t, time.Minute)); err != nil {
		t.Fatal(err)
	}
	f.sound()
	f.kept(lost, receipts)
}
