package node_test

import (
	"testing"
	"time"

	"souk/api"
	"souk/node"
)

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
