package node_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"souk/api"
	"souk/exchange"
	"souk/gate"
	"souk/identity"
	"souk/internal/ports"
	"souk/node"
)

// found wants a finding of a kind whose text has some words.
func found(t *testing.T, all []node.Finding, what string, bad bool, words string) {
	t.Helper()
	if !slices.ContainsFunc(all, func(f node.Finding) bool { return f.What == what && f.Bad == bad && strings.Contains(f.Detail, words) }) {
		t.Errorf("%s, bad %t, %q is not among\n%+v", what, bad, words, all)
	}
}

// The doctor looks at a gate: at its files, who listens where, and whether it is ready.
func TestDoctorGate(t *testing.T) {
	g := openGated(t)
	config, err := node.ReadGate(g.home)
	if err != nil {
		t.Fatal(err)
	}
	config.Listen = g.gate.Addr() // it was to find a port by itself
	if err := config.Save(g.home); err != nil {
		t.Fatal(err)
	}
	all := node.GateDoctor(t.Context(), g.home)
	for _, f := range all {
		if f.Bad && f.What != "disk" {
			t.Errorf("a gate that is well: %+v", f)
		}
	}
	found(t, all, "gate", false, "is ready")
	found(t, all, "certificate", false, "its authority holds until")
	found(t, all, "keys of programs", false, "1; ")
	old := gate.ClientKey{Kind: gate.KindHMAC, Scopes: []string{"read"}, Expires: 1}
	if err := old.Add(g.home.Clients(), time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(string(g.home), "key.age"), 0o644); err != nil {
		t.Fatal(err)
	}
	config.Servers = append(config.Servers, "http://127.0.0.1:1")
	if err := config.Save(g.home); err != nil {
		t.Fatal(err)
	}
	all = node.GateDoctor(t.Context(), g.home)
	found(t, all, "keys of programs", false, "1 have expired")
	found(t, all, "secrets", true, "others may read")
	found(t, all, "server", true, "http://127.0.0.1:1 does not answer")
	if err := os.WriteFile(g.home.Authority().CertFile(), []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	all = node.GateDoctor(t.Context(), g.home)
	found(t, all, "certificate", true, "souk tls ca --renew")
	found(t, all, "gate", true, "is not this gate")
	free, err := ports.Claim(1)
	if err != nil {
		t.Fatal(err)
	}
	config.Listen = ports.Address(free[0])
	if err := config.Save(g.home); err != nil {
		t.Fatal(err)
	}
	found(t, node.GateDoctor(t.Context(), g.home), "gate", false, "it is not running")
	found(t, node.GateDoctor(t.Context(), node.GateHome(t.TempDir())), "configuration", true, "souk gate init")
}

// The doctor says how the archive is doing, and why it does not take blocks.
func TestDoctorArchive(t *testing.T) {
	f := start(t, 1)
	h := f.Homes[0]
	set := func(old, text string) {
		t.Helper()
		f.close(t, 0)
		data, err := os.ReadFile(h.Config())
		if err == nil {
			err = os.WriteFile(h.Config(), bytes.Replace(data, []byte(old), []byte(text), 1), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	wait := func(bad bool, words string) {
		t.Helper()
		is := func(x node.Finding) bool {
			return x.What == "archive" && x.Bad == bad && strings.Contains(x.Detail, words)
		}
		for end := time.Now().Add(30 * time.Second); !slices.ContainsFunc(node.Doctor(t.Context(), h), is); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(end) {
				found(t, node.Doctor(t.Context(), h), "archive", bad, words)
				t.FailNow()
			}
		}
	}
	set(`engine = "none"`, `engine = "sqlite"`)
	found(t, node.Doctor(t.Context(), h), "archive", false, "not made yet")
	f.open(t, 0)
	r, err := f.client.As(signer(f.Issuer)).Do(t.Context(), &exchange.Mint{Asset: 2, Amount: 1, To: identity.AddressOf(f.Issuer.Public())})
	must(t, r, err)
	wait(false, "archive.db")
	wait(false, "; at block ")
	if err := os.Mkdir(filepath.Join(string(h), "elsewhere"), 0o700); err != nil {
		t.Fatal(err)
	}
	id := f.Founding.ID()
	file := filepath.Join(string(h), "elsewhere", fmt.Sprintf("%x.db", id[:8]))
	if err := os.WriteFile(file, bytes.Repeat([]byte("no database "), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	set("path = \"\"\n# For postgres", "path = \"elsewhere\"\n# For postgres")
	f.open(t, 0)
	wait(true, "it does not take blocks")
}

// The doctor looks at the members of now, and not at those who founded; and it says when
// this home's member is none any more.
func TestDoctorMembers(t *testing.T) {
	l, err := node.FoundLocal(node.LocalSetup{Dir: t.TempDir() + "/fed", Name: "practice", Servers: 4, Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	cards, err := l.Homes[0].Cards()
	if err != nil {
		t.Fatal(err)
	}
	names := func(members []api.Member) (all []string) {
		for i := range members {
			all = append(all, members[i].Name)
		}
		return all
	}
	members, found := node.MembersNow(l.Founding, nil, cards)
	if len(members) != 4 || len(found) != 1 || !found[0].Note {
		t.Errorf("nobody answers: %v, %+v", names(members), found)
	}
	own := api.Member{Name: "server-1", Consensus: cards[0].Card.Consensus.String()}
	status := &api.Status{Members: []api.Member{own, {Name: "erin", Barred: true}}}
	members, found = node.MembersNow(l.Founding, status, cards)
	if len(members) != 2 || members[1].Name != "erin" || len(found) != 1 || !found[0].Bad || found[0].What != "member erin" {
		t.Errorf("two are left, one of them barred: %v, %+v", names(members), found)
	}
	status.Members = []api.Member{{Name: "server-1", Consensus: "another"}}
	if _, found = node.MembersNow(l.Founding, status, cards); len(found) != 1 || !found[0].Bad || found[0].What != "members" {
		t.Errorf("replaced: %+v", found)
	}
}
