package signer_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"souk/exchange"
	"souk/exchange/custody"
	. "souk/exchange/exchangetest"
	"souk/exchange/roster"
	"souk/internal/bulk"
	"souk/merkle"
	"souk/script"
	"souk/signer"
	"souk/threshold"
)

// W-1: what is signed is the ledger's transaction; the signatures of three make it whole.
func TestSign(t *testing.T) {
	w := newWorld(t)
	w.deposit(3*Coin, Coin)
	batch := w.batch(w.withdraw(5e7))
	session, tx := w.session(batch, 1)
	var said []threshold.Partial
	for i := range 3 {
		name := MemberName(i)
		id, _ := w.State.Roster().ByServer(Key(name + "/server").Public())
		s, err := signer.Open(t.TempDir()+"/j", signer.Keys{BankNetwork: MemberKey(name)})
		if err != nil {
			t.Fatal(err)
		}
		x, err := s.Sign(w.State.Banks(), custody.Member(id), Bank, batch, 1)
		if err != nil {
			t.Fatal(err)
		}
		_, members, _ := w.State.Banks().SeriesOf(Bank, 0)
		for j, sig := range x.Signatures {
			said = append(said, threshold.Partial{Input: uint32(j), Key: uint8(slices.Index(members, custody.Member(id))), Signature: sig})
		}
		if len(said) < 3*len(tx.Inputs) {
			if _, _, err := session.Combine(said); !errors.Is(err, threshold.ErrTooFew) {
				t.Errorf("%d of four sign: %v", i+1, err)
			}
		}
	}
	if _, faults, err := session.Combine(said); err != nil || len(faults) > 0 {
		t.Errorf("combined: %v, %v", faults, err)
	}
}

// W-1: coins that holders of a recovery could take later are signed as members sign.
func TestSignRecoverable(t *testing.T) {
	f := BankFounding(4)
	SetRecovery(&f.Banks[0], script.Recovery{K: 2, Intervals: script.RecoveryIntervals}, "dora", "emil", "fanny")
	w := foundedWorld(t, f)
	w.deposit(3*Coin, Coin)
	w.signed(w.batch(w.withdraw(35e7)), 1)
	holder, err := signer.Open(t.TempDir()+"/j", signer.Keys{BankNetwork: MemberKey("dora")})
	if err != nil {
		t.Fatal(err)
	}
	_, err = holder.Sign(w.State.Banks(), w.me, Bank, 1, 1)
	refused(t, err, signer.ErrStranger)
}

// W-4: the signer proves that its key is there, and after Close no more.
func TestPossess(t *testing.T) {
	w := newWorld(t)
	s, err := signer.Open(t.TempDir()+"/j", signer.Keys{BankNetwork: MemberKey("server-1/2")})
	if err != nil {
		t.Fatal(err)
	}
	claim, ok := w.State.Claim(roster.ID(w.me), BankNetwork)
	key, has := s.Announce(BankNetwork)
	proof, err := s.Possess(claim)
	if !ok || !has || err != nil {
		t.Fatal(err)
	}
	if err := key.CheckPossession(claim, &proof); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = s.Possess(claim)
	refused(t, err, signer.ErrNoKey)
}

// W-1, W-3: who asks for something else gets nothing.
func TestSignRefuses(t *testing.T) {
	w := newWorld(t)
	w.deposit(3 * Coin)
	batch := w.batch(w.withdraw(5e7))
	for _, ask := range []struct {
		bank    custody.Bank
		batch   uint64
		version uint8
	}{{Bank, batch, 0}, {Bank, batch, 2}, {Bank, batch + 1, 1}, {2, batch, 1}, {0, 0, 0}} {
		_, err := w.own.Sign(w.State.Banks(), w.me, ask.bank, ask.batch, ask.version)
		refused(t, err, signer.ErrUnknown)
	}
	_, err := w.own.Sign(w.State.Banks(), w.me+1, Bank, batch, 1)
	refused(t, err, signer.ErrStranger) // another member's place in the series
	_, err = w.own.Sign(w.State.Banks(), 77, Bank, batch, 1)
	refused(t, err, signer.ErrStranger)
	other, err := signer.Open(t.TempDir()+"/j", signer.Keys{"litecoin": MemberKey("x")})
	if err != nil {
		t.Fatal(err)
	}
	_, err = other.Sign(w.State.Banks(), w.me, Bank, batch, 1)
	refused(t, err, signer.ErrNoKey)
	if _, ok := other.Announce(BankNetwork); ok {
		t.Error("announces a key that it does not have")
	}
	_, err = other.Possess(script.Claim{Network: BankNetwork})
	refused(t, err, signer.ErrNoKey)
	halted := w.fork()
	halted.State.Banks().HaltAll(custody.Vote)
	_, err = halted.sign(batch, 1)
	refused(t, err, signer.ErrHalted)
	if _, err := w.sign(batch, 1); err != nil {
		t.Error(err)
	}
	w.chain.MineBatches()
	w.mine(6)
	_, err = w.sign(batch, 1)
	refused(t, err, signer.ErrUnknown) // it has settled
}

// W-2: a ledger that was damaged on disk, in whatever byte of the batch or of what
// it pays, is not signed for unless the transaction is the same.
func TestSignDamaged(t *testing.T) {
	w := newWorld(t)
	w.deposit(3*Coin, 2*Coin)
	batch := w.batch(w.withdraw(5e7))
	_, want := w.session(batch, 1)
	stride := 3
	if !bulk.Whole() {
		stride = 40
	}
	loaded, same := 0, 0
	for key, value := range w.State.Leaves {
		if kind := key[0]; kind != 0x10 && kind != 0x11 && kind != 0x12 {
			continue
		}
		for at := 0; at < len(value); at += stride {
			s, err := exchange.Load(w.State.Founding(), func(yield func(merkle.Key, []byte) bool) {
				for k, v := range w.State.Leaves {
					if k == key {
						v = slices.Clone(v)
						v[at] ^= 1
					}
					if !yield(k, v) {
						return
					}
				}
			})
			if err != nil {
				continue
			}
			loaded++
			s0, err := signer.Open(filepath.Join(t.TempDir(), "j"), signer.Keys{BankNetwork: MemberKey(MemberName(0))})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s0.Sign(s.Banks(), w.me, Bank, batch, 1); err != nil {
				continue
			}
			if tx, _ := s.Banks().Transaction(Bank, batch, 1); tx.ID() != want.ID() {
				t.Fatalf("leaf %x, byte %d: signs %s instead of %s", key[:1], at, tx.ID(), want.ID())
			}
			same++
		}
	}
	t.Logf("%d damaged ledgers could be loaded, %d of them with the same transaction", loaded, same)
}

// W-10, W-12: a ledger that pays the same withdrawal by another transaction is not signed for.
func TestJournalFork(t *testing.T) {
	w := newWorld(t)
	w.deposit(3*Coin, 3*Coin, 3*Coin, 3*Coin)
	taken, id := w.waiting(25e7), w.waiting(5e7)
	// In the first fork another batch comes before, in the second one the same number spends another coin.
	number := w.fork()
	number.batch(taken)
	w.block(w.Command("alice", &exchange.CancelWithdrawal{Withdrawal: taken}))
	coin := w.fork()
	coin.deposit(20 * Coin)
	forks := []*world{number, coin}
	batch := w.batch(id)
	w.signed(batch, 1)
	check := func(when string) {
		t.Helper()
		for i, f := range forks {
			if b, _ := f.State.Banks().Batch(Bank, f.batch(id)); i == 1 && b.Number != batch {
				t.Fatalf("batch %d instead of %d", b.Number, batch)
			}
			if _, err := f.sign(f.batch(id), 1); !errors.Is(err, signer.ErrBound) {
				t.Errorf("%s, fork %d: %v", when, i, err)
			}
		}
	}
	check("signed")
	w.open()
	check("opened again")
	w.chain.MineBatches()
	w.mine(6)
	second := w.batch(w.withdraw(1e7))
	w.signed(second, 1)
	check("settled")
	w.open()
	check("settled, opened again")
}

// W-12: a batch that ended by a spend of another transaction lets its withdrawals be
// paid by the next; a copy of the ledger from before that is refused then.
func TestJournalGivenUp(t *testing.T) {
	w := newWorld(t)
	coins := w.deposit(3*Coin, 3*Coin, 9*Coin)
	id := w.withdraw(5e7)
	first := w.batch(id)
	w.signed(first, 1)
	before := w.fork()
	b, _ := w.State.Banks().Batch(Bank, first)
	w.chain.Spend(b.Inputs[0].At, BankHash("thief"))
	w.mine(6)
	if _, ok := w.State.Banks().Batch(Bank, first); ok {
		t.Fatalf("the batch is not given up; coins %v", coins)
	}
	_, err := w.sign(first, 1)
	refused(t, err, signer.ErrHalted)
	w.lift(b.Inputs[0].Amount)
	second := w.batch(id)
	w.signed(second, 1)
	w.open()
	w.signed(second, 1)
	_, err = before.sign(first, 1)
	refused(t, err, signer.ErrBound)
}

// W-12: a halt lasts so long that the bank has forgotten the spend by which a batch
// ended. What the batch should have paid remembers it.
func TestJournalLongHalt(t *testing.T) {
	w := newWorld(t)
	w.deposit(3*Coin, 3*Coin, 9*Coin)
	id := w.withdraw(5e7)
	first := w.batch(id)
	w.signed(first, 1)
	b, _ := w.State.Banks().Batch(Bank, first)
	w.chain.Spend(b.Inputs[0].At, BankHash("thief"))
	w.mine(6)
	for range custody.Keep/custody.MaxHashes + 2 {
		w.mine(custody.MaxHashes)
	}
	if _, _, ok := w.State.Banks().Spent(Bank, b.Inputs[0].At); ok {
		t.Fatal("the spend is not forgotten")
	}
	w.lift(b.Inputs[0].Amount)
	second := w.batch(id)
	w.signed(second, 1)
	other := w.withdraw(4e7)
	w.signed(w.batch(other), 1)
}

// W-13: a journal that was restored from an old backup is brought up to date from
// the member's own signatures in the ledger, and signs the same again.
func TestJournalOld(t *testing.T) {
	w := newWorld(t)
	w.deposit(3*Coin, 3*Coin, 3*Coin, 3*Coin, 3*Coin)
	first := w.batch(w.withdraw(5e7))
	w.signed(first, 1)
	file := filepath.Join(w.dir, "bank-1")
	old, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	id := w.waiting(4e7)
	fork := w.fork()
	fork.deposit(20 * Coin)
	second := w.batch(id)
	x := w.signed(second, 1)
	if err := os.WriteFile(file, old, 0o600); err != nil {
		t.Fatal(err)
	}
	w.open()
	third := w.batch(w.withdraw(3e7))
	w.signed(third, 1) // the first signature after the restore brings the second batch back
	if _, err := fork.sign(fork.batch(id), 1); !errors.Is(err, signer.ErrBound) {
		t.Errorf("a fork after the restore: %v", err)
	}
	again, err := w.sign(second, 1)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.EqualFunc(x.Signatures, again.Signatures, bytes.Equal) {
		t.Error("another signature of the same")
	}
}

// W-11: a copy of the ledger that is behind does not make the journal forget.
func TestJournalBehind(t *testing.T) {
	w := newWorld(t)
	w.deposit(3*Coin, Coin)
	id := w.waiting(5e7)
	waits := w.fork()
	waits.deposit(20 * Coin)
	other := w.fork()
	w.signed(w.batch(id), 1)
	// The view is one in which the withdrawal was not even asked for.
	early, err := exchange.New(w.State.Founding())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.own.Sign(early.Banks(), w.me, Bank, 1, 1); !errors.Is(err, signer.ErrUnknown) {
		t.Error(err)
	}
	if _, err := waits.sign(waits.batch(id), 1); !errors.Is(err, signer.ErrBound) {
		t.Error(err)
	}
	if _, err := other.sign(other.batch(id), 1); err != nil {
		t.Errorf("the same in another copy: %v", err)
	}
}

// W-11: nothing leaves before it is written.
func TestJournalFirst(t *testing.T) {
	w := newWorld(t)
	w.deposit(3 * Coin)
	batch := w.batch(w.withdraw(5e7))
	if err := os.RemoveAll(w.dir); err != nil {
		t.Fatal(err)
	}
	if x, err := w.sign(batch, 1); err == nil {
		t.Errorf("signed %v without a journal", x)
	}
	if err := os.Mkdir(w.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := w.sign(batch, 1); err != nil {
		t.Error(err)
	}
	info, err := os.Stat(filepath.Join(w.dir, "bank-1"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("journal: %v, %v", info, err)
	}
}

// W-11: the journal holds what is open, and of what is settled next to nothing.
func TestJournalCompact(t *testing.T) {
	w := newWorld(t)
	w.deposit(30*Coin, 20*Coin, 10*Coin)
	var size int64
	for i := range max(4, bulk.Count(40)) {
		w.signed(w.batch(w.withdraw(1e7)), 1)
		w.chain.MineBatches()
		w.mine(6)
		info, err := os.Stat(filepath.Join(w.dir, "bank-1"))
		if err != nil {
			t.Fatal(err)
		}
		if i == 1 {
			size = info.Size()
		} else if i > 1 && info.Size() > size+200 {
			t.Fatalf("%d bytes after %d batches, %d after two", info.Size(), i+1, size)
		}
	}
}

// W-14: damaged files, and files that others may read, are refused with a reason.
func TestJournalDamaged(t *testing.T) {
	w := newWorld(t)
	w.deposit(3 * Coin)
	w.signed(w.batch(w.withdraw(5e7)), 1)
	file := filepath.Join(w.dir, "bank-1")
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	try := func(data []byte, want error) {
		t.Helper()
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := signer.Open(w.dir, nil)
		if !errors.Is(err, want) {
			t.Errorf("%d bytes: %v", len(data), err)
		}
		if s != nil {
			_ = s.Close()
		}
	}
	for n := range good {
		try(good[:n], signer.ErrJournal)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		bad := slices.Clone(good)
		bad[r.IntN(len(bad))] ^= byte(1 + r.IntN(255))
		try(bad, signer.ErrJournal)
	}
	try(append(slices.Clone(good), 0), signer.ErrJournal)
	// What a crash left of a new one does not count.
	if err := os.WriteFile(filepath.Join(w.dir, ".part-123"), good[:40], 0o600); err != nil {
		t.Fatal(err)
	}
	try(good, nil)
	if _, err := os.Stat(filepath.Join(w.dir, ".part-123")); err == nil {
		t.Error("the part is still there")
	}
	for path, mode := range map[string]os.FileMode{file: 0o640, w.dir: 0o750} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		_, err := signer.Open(w.dir, nil)
		if !errors.Is(err, signer.ErrPermissions) || !strings.Contains(err.Error(), "chmod") {
			t.Errorf("%s: %v", path, err)
		}
		if err := os.Chmod(path, mode&0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Rename(file, filepath.Join(w.dir, "bank-2")); err != nil {
		t.Fatal(err)
	}
	_, err = signer.Open(w.dir, nil)
	refused(t, err, signer.ErrJournal)
}

// W-15: keys stand in no file, error or printed value, and are wiped.
func TestSecrets(t *testing.T) {
	w := newWorld(t)
	w.deposit(3 * Coin)
	batch := w.batch(w.withdraw(5e7))
	key := MemberKey(MemberName(0))
	w.dir = t.TempDir() + "/journal"
	s, err := signer.Open(w.dir, signer.Keys{BankNetwork: key})
	if err != nil {
		t.Fatal(err)
	}
	w.own = s
	seed := BankHash("exchangetest bank ", MemberName(0))
	child, err := key.Child(script.Deposits, 0)
	if err != nil {
		t.Fatal(err)
	}
	planted := [][]byte{seed[:], child.Serialize(), child.Serialize()[:16]}
	var seen bytes.Buffer
	w.signed(batch, 1)
	_, err = w.sign(batch, 9)
	fmt.Fprintf(&seen, "%v %+v %#v %v %s\n", s, s, s, err, key)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = w.sign(batch, 1)
	refused(t, err, signer.ErrClosed)
	fmt.Fprintf(&seen, "%v %+v %#v\n", s, s, err)
	if !key.IsZero() {
		t.Error("the key is still there after Close")
	}
	list, err := os.ReadDir(w.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range list {
		data, err := os.ReadFile(filepath.Join(w.dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		seen.Write(data)
	}
	for _, p := range planted {
		if bytes.Contains(seen.Bytes(), p) || strings.Contains(strings.ToLower(seen.String()), hex.EncodeToString(p)) ||
			strings.Contains(seen.String(), strings.Trim(fmt.Sprintf("%d", p), "[]")) {
			t.Errorf("%x is to be seen", p)
		}
	}
}

// W-10: a version that could be mined besides one that was signed is refused, unless the
// ledger has that one for dead.
func TestJournalVersions(t *testing.T) {
	coin := func(name byte) script.Outpoint { return script.Outpoint{Tx: script.Hash{name}} }
	a, b, c, d := coin('a'), coin('b'), coin('c'), coin('d')
	type versions = [][]script.Outpoint
	first := script.Hash{1}
	for name, x := range map[string]struct {
		versions versions
		dead     []script.Hash
		want     error
	}{
		"the same":                 {versions{{a, b}, {a, b}}, nil, nil},
		"one in common":            {versions{{a, b}, {b, c}}, nil, nil},
		"not the first one":        {versions{{a, b}, {b, c}, {c, d}}, nil, signer.ErrBound},
		"none":                     {versions{{a, b}, {c, d}}, nil, signer.ErrBound},
		"none, and the first dead": {versions{{a, b}, {c, d}}, []script.Hash{first}, nil},
		"none, and another dead":   {versions{{a, b}, {c, d}}, []script.Hash{{2}}, signer.ErrBound},
		"comes back":               {versions{{a, b}, {b, c}, {a, c}}, nil, nil},
	} {
		if err := signer.Bind(x.versions, x.dead...); !errors.Is(err, x.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// W-10, Y-71: a version that does without a stolen coin is signed, in the same batch.
func TestJournalRenewed(t *testing.T) {
	w := newWorld(t)
	w.deposit(3*Coin, 3*Coin, 3*Coin, 3*Coin, 3*Coin, 9*Coin, 9*Coin, 9*Coin, 9*Coin)
	id := w.withdraw(11 * Coin)
	first := w.batch(id)
	b, _ := w.State.Banks().Batch(Bank, first)
	if len(b.Inputs) < 2 {
		t.Fatalf("%+v", b)
	}
	w.signed(first, 1)
	w.chain.Spend(b.Inputs[0].At, BankHash("thief"))
	w.mine(6)
	w.lift(b.Inputs[0].Amount + Coin/10)
	w.Time += 1000
	w.block()
	if b, _ = w.State.Banks().Batch(Bank, first); len(b.Versions) != 2 || len(b.Spends(2)) == len(b.Inputs) {
		t.Fatalf("%+v", b)
	}
	w.signed(first, 2)
	w.open()
	w.signed(first, 2)
	w.signed(first, 1)
	w.chain.MineBatches()
	w.mine(6)
	if _, ok := w.State.Banks().Settled(id); !ok {
		t.Fatal("not settled")
	}
	w.signed(w.batch(w.withdraw(1e7)), 1)
}
