package exchange_test

import (
	"testing"

	"souk/exchange"
	"souk/exchange/custody"
	. "souk/exchange/exchangetest"
	"souk/exchange/roster"
)

// goes is the vote on a member's removal, by number from 1.
func goes(id roster.ID) roster.RemoveMember { return roster.RemoveMember{Member: id} }

// seen lets the members who are left say what is new.
func seen(t *testing.T, w *World, c *Chain) *exchange.Result {
	t.Helper()
	res := w.Block(c.Attest()...)
	checked(t, w)
	return res
}

// Y-25: two members of four do not go before what the bank has is under other keys: two would be left who sign,
// and it takes three. Then they do.
func TestBankKeepsSigners(t *testing.T) {
	w, c := bankWorld(t)
	deposited(t, w, c, 10*Coin)
	bankBlock(t, w, w.Command("alice", &exchange.Donate{Bank: Bank, Amount: Coin}))
	if got := decide(t, w, goes(4), 0, 0, 1, 2); got[2] != exchange.OK {
		t.Fatalf("the first: %v", got)
	}
	if got := decide(t, w, goes(3), 0, 0, 1); got[0] != exchange.SignersNeeded || w.State.Roster().Len() != 3 {
		t.Fatalf("the second: %v", got)
	}
	if got := decide(t, w, goes(9), 0, 0); got[0] != exchange.BadAction {
		t.Errorf("nobody: %v", got)
	}
	// Somebody comes instead, and a series of those who are there is opened.
	eve := MemberName(4)
	card := BankCard(eve)
	if got := decide(t, w, roster.AddMember{Card: card.Roster()}, 0, 0, 1, 2); got[2] != exchange.OK {
		t.Fatalf("added: %v", got)
	}
	bankBlock(t, w, w.ByServer(eve, w.Announce(eve, MemberKey(eve))))
	w.Time += 200
	open := roster.OpenSeries{Bank: uint32(Bank), Members: []roster.ID{1, 2, 3, 5}}
	if got := decide(t, w, open, 0, 0, 1, 2); got[2] != exchange.OK {
		t.Fatalf("opened: %v", got)
	}
	if info, _ := w.State.Banks().Bank(Bank); info.Series != 2 || len(info.Live) != 1 {
		t.Fatalf("%+v", info)
	}
	// The coin is in a transaction that is to be signed, and then not deep yet.
	if got := decide(t, w, goes(3), 0, 0); got[0] != exchange.SignersNeeded {
		t.Errorf("during the sweep: %v", got)
	}
	c.MineBatches()
	c.Mine(1)
	seen(t, w, c)
	if got := decide(t, w, goes(3), 0, 0); got[0] != exchange.SignersNeeded {
		t.Errorf("mined: %v", got)
	}
	c.Mine(8)
	seen(t, w, c)
	if got := decide(t, w, goes(3), 0, 0, 1, 4); got[2] != exchange.OK || w.State.Roster().Len() != 3 {
		t.Fatalf("after the sweep: %v", got)
	}
	// The newest series needs its signers though the others have nothing.
	if got := decide(t, w, goes(5), 0, 0); got[0] != exchange.SignersNeeded {
		t.Errorf("another one: %v", got)
	}
}

// Y-25: two removals that are decided in one block count one after the other.
func TestBankKeepsSignersInOneBlock(t *testing.T) {
	w, c := bankWorld(t)
	deposited(t, w, c, Coin)
	decide(t, w, goes(4), 0, 1, 2)
	if got := decide(t, w, goes(3), 0, 1, 3); got[1] != exchange.OK {
		t.Fatalf("%v", got)
	}
	// One yes is missing to either. After the first removal both who count approve of the second.
	res := w.Block(append(ballots(w, goes(4), 0, 0), ballots(w, goes(3), 0, 0)...)...)
	if got := [2]exchange.Code{res.Receipts[0].Code, res.Receipts[1].Code}; got != [2]exchange.Code{exchange.OK, exchange.SignersNeeded} {
		t.Errorf("%v", got)
	}
	if n := w.State.Roster().Len(); n != 3 {
		t.Errorf("%d members are left", n)
	}
	checked(t, w)
}

// Y-25: who is barred signs nothing: he can go at any time, and counts for nobody who stays.
func TestBankKeepsSignersBarred(t *testing.T) {
	w, c := bankWorld(t)
	deposited(t, w, c, Coin)
	barred(t, w, MemberName(3))
	if got := decide(t, w, goes(3), 0, 0); got[0] != exchange.SignersNeeded {
		t.Errorf("two would be left who sign: %v", got)
	}
	if got := decide(t, w, goes(4), 0, 0, 1, 2); got[2] != exchange.OK || w.State.Roster().Len() != 3 {
		t.Errorf("the barred one: %v", got)
	}
}

// Y-25: a member whose server is replaced keeps his part of all series, so that is refused to nobody, and
// ends a bar: he counts again.
func TestBankReplacedSigns(t *testing.T) {
	w, c := bankWorld(t)
	deposited(t, w, c, 3*Coin)
	barred(t, w, MemberName(3))
	id := roster.ID(4)
	m, _ := w.State.Roster().Member(id)
	server := Key(m.Name + "/server2")
	replace := roster.ReplaceMember{Member: id, Server: server.Public(), Consensus: Key(m.Name + "/consensus2").Public(), P2P: m.P2P, URL: m.URL}
	if got := decide(t, w, replace, 0, 0, 1, 2); got[2] != exchange.OK {
		t.Fatalf("%v", got)
	}
	if got := decide(t, w, goes(3), 0, 0); got[0] != exchange.OK {
		t.Errorf("three would be left who sign: %v", got)
	}
	ask := &exchange.Withdraw{Request: custody.Request{Bank: Bank, Script: Output("shop"), Amount: Coin, MaxFee: 1e6}}
	bankBlock(t, w, w.Command("alice", ask))
	for info, _ := w.State.Banks().Bank(Bank); len(info.Live) == 0; info, _ = w.State.Banks().Bank(Bank) {
		w.Time += 100
		bankBlock(t, w)
	}
	sign := &exchange.Sign{Signature: custody.Signature{Bank: Bank, Batch: 1, Version: 1, Signatures: [][]byte{make([]byte, 71)}}}
	n, _ := w.State.Ledger().Find(Address(m.Name))
	for range w.State.Ledger().TopNonce(n, server.Public()) {
		w.Nonce(server)
	}
	if got := w.Block(w.CommandBy(Address(m.Name), server, sign)).Receipts[0].Code; got != exchange.OK {
		t.Errorf("the new server signs: %s", got)
	}
	// Another key says that the old ones are lost.
	claim, _ := w.State.Claim(id, BankNetwork)
	k, err := exchange.ProveBankKey(claim, MemberKey(m.Name+"/2"))
	if err != nil {
		t.Fatal(err)
	}
	announce := &exchange.AnnounceKey{Bank: Bank, Key: k.Key, Possession: k.Possession}
	if got := w.Block(w.CommandBy(Address(m.Name), server, announce)).Receipts[0].Code; got != exchange.OK {
		t.Fatalf("announced: %s", got)
	}
	if got := decide(t, w, goes(3), 0, 1); got[0] != exchange.SignersNeeded {
		t.Errorf("two would be left who sign: %v", got)
	}
}
