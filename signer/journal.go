package signer

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/crypto/cryptobyte"

	"souk/exchange/custody"
	"souk/script"
)

// The journal says what was signed, so that a copy of the ledger which is damaged,
// or which somebody made up, cannot have the same withdrawal paid twice. There is a
// file for each bank; it is replaced as a whole before a signature leaves (W-11).

// Errors of opening.
var (
	// ErrPermissions is returned for a folder or file that others may read.
	ErrPermissions = errors.New("others may read it")
	// ErrJournal is returned for a file that is not a journal, or is damaged.
	ErrJournal = errors.New("the signing journal is damaged")
)

const (
	journalMagic  = "souk/signer/journal/2\n"
	journalPrefix = "bank-"
	partPrefix    = ".part-"
	folderMode    = 0o700
	fileMode      = 0o600
	// maxGap is how many numbers of withdrawals between two that are finished are
	// looked at, so as to write one range instead of two.
	maxGap = 4096
)

// book is the journal of a bank.
type book struct {
	bank     custody.Bank
	entries  []entry // ascending by batch
	finished []ids   // withdrawals that have been paid: ascending, with gaps between them
}

// entry is a batch of which something was signed.
type entry struct {
	batch    uint64
	ids      []custody.ID // of the withdrawals that it pays
	versions []signed     // ascending
}

// signed is a version and the transaction that was signed as it.
type signed struct {
	version uint8
	tx      script.Hash
	inputs  []script.Outpoint
}

// spends tells whether a version that was signed spends a coin.
func (e *entry) spends(at script.Outpoint) bool {
	return slices.ContainsFunc(e.versions, func(v signed) bool { return slices.Contains(v.inputs, at) })
}

// conflicts tells whether two transactions spend a coin in common, so that at most one
// of them can be mined.
func (v *signed) conflicts(other *signed) bool {
	return slices.ContainsFunc(v.inputs, func(at script.Outpoint) bool { return slices.Contains(other.inputs, at) })
}

// ids is a range of withdrawals, both ends included.
type ids struct{ first, last custody.ID }

// ending is what the ledger says of a batch in the journal.
type ending uint8

const (
	open    ending = iota // it is live, or the ledger says nothing that would end it
	settled               // one of its versions is mined and deep
	givenUp               // something that is none of its versions spends one of its coins
)

// news is what the ledger said when an order was read.
type news struct {
	ends     map[uint64]ending // by batch, of all that was in the journal
	dead     []script.Hash     // versions of the batch that will never be mined
	finished []ids             // of batches that have settled
	given    []entry           // batches of which the ledger has own signatures
}

// endOf finds out what has become of a batch (W-12).
func endOf(view *custody.State, id custody.Bank, e *entry) ending {
	if b, ok := view.Batch(id, e.batch); ok {
		if b.Settled != 0 {
			return settled
		}
		return open
	}
	if e.batch > view.LastBatch(id) {
		return open // this copy of the ledger has not come so far
	}
	if len(e.ids) == 0 {
		return givenUp // it pays nobody, and no coin can be spent twice
	}
	if !slices.ContainsFunc(e.ids, func(w custody.ID) bool {
		_, waits := view.Withdrawal(w)
		return waits
	}) {
		// So long ago that the ledger has forgotten it. Whatever has spent its coins since, be it
		// a batch that took what only a former version would have spent, none of its
		// withdrawals comes back.
		return settled
	}
	for i := range e.versions {
		for _, at := range e.versions[i].inputs {
			by, _, ok := view.Spent(id, at)
			if ok && !slices.ContainsFunc(e.versions, func(v signed) bool { return v.tx == by }) {
				return givenUp
			}
		}
	}
	// A withdrawal that is not settled remembers it, when the spend is long forgotten.
	for _, id := range e.ids {
		if w, ok := view.Withdrawal(id); ok && slices.Contains(w.GivenUp, e.batch) {
			return givenUp
		}
	}
	return open
}

// finish is the range of withdrawals around one that has been paid of which none
// waits any more. Numbers below it were given before, so none of them is to come.
func finish(view *custody.State, b *book, paid custody.ID) ids {
	r := ids{paid, paid}
	i, _ := slices.BinarySearchFunc(b.finished, paid, func(x ids, w custody.ID) int {
		if x.last < w {
			return -1
		}
		return 1
	})
	end := custody.ID(0)
	if i > 0 {
		end = b.finished[i-1].last
	}
	for n := 0; n < maxGap && r.first > end+1; n++ {
		if _, waits := view.Withdrawal(r.first - 1); waits {
			break
		}
		r.first--
	}
	return r
}

// ownSignatures are the live batches of which the ledger has signatures of a member.
// A journal that does not know them is older than it should be (W-13).
func ownSignatures(view *custody.State, me custody.Member, id custody.Bank) (list []entry) {
	info, _ := view.Bank(id)
	for _, number := range info.Live {
		b, _ := view.Batch(id, number)
		e := entry{batch: number}
		for v := range b.Versions {
			n := uint8(v + 1)
			if slices.Contains(view.Signed(id, number, n), me) {
				x := signed{version: n, tx: b.Versions[v].Tx}
				for _, in := range b.Spends(v + 1) {
					x.inputs = append(x.inputs, in.At)
				}
				e.versions = append(e.versions, x)
			}
		}
		if len(e.versions) == 0 {
			continue
		}
		for i := range b.Payouts {
			e.ids = append(e.ids, b.Payouts[i].ID)
		}
		list = append(list, e)
	}
	return list
}

func (b *book) clone() *book {
	c := &book{bank: b.bank, entries: slices.Clone(b.entries), finished: slices.Clone(b.finished)}
	for i := range c.entries {
		c.entries[i].versions = slices.Clone(c.entries[i].versions)
	}
	return c
}

// find returns where the entry of a batch stands, or should.
func (b *book) find(batch uint64) (int, bool) {
	return slices.BinarySearchFunc(b.entries, batch, func(e entry, n uint64) int {
		switch {
		case e.batch < n:
			return -1
		case e.batch > n:
			return 1
		}
		return 0
	})
}

// learn takes over what the ledger says: batches that have ended leave, and what was
// signed before the journal was lost comes back.
func (b *book) learn(n *news) (changed bool) {
	before := len(b.entries)
	b.entries = slices.DeleteFunc(b.entries, func(e entry) bool { return n.ends[e.batch] != open })
	changed = len(b.entries) != before
	for _, r := range n.finished {
		b.finish(r)
	}
	for _, e := range n.given {
		if b.conflict(&e) != nil {
			continue
		}
		if i, ok := b.find(e.batch); !ok {
			b.entries = slices.Insert(b.entries, i, e)
			changed = true
		} else if b.entries[i].merge(&e) {
			changed = true
		}
	}
	return changed
}

// merge takes over versions of the same batch that the entry does not know.
func (e *entry) merge(other *entry) (changed bool) {
	if !slices.Equal(e.ids, other.ids) {
		return false // it was another batch
	}
	for _, v := range other.versions {
		if i, ok := e.find(v.version); !ok {
			e.versions = slices.Insert(e.versions, i, v)
			changed = true
		}
	}
	return changed
}

// find returns where a version stands, or should.
func (e *entry) find(version uint8) (int, bool) {
	return slices.BinarySearchFunc(e.versions, version, func(v signed, n uint8) int { return int(v.version) - int(n) })
}

// finish adds a range of withdrawals that are paid.
func (b *book) finish(r ids) {
	b.finished = append(b.finished, r)
	slices.SortFunc(b.finished, func(x, y ids) int {
		switch {
		case x.first < y.first:
			return -1
		case x.first > y.first:
			return 1
		}
		return 0
	})
	merged := b.finished[:1]
	for _, x := range b.finished[1:] {
		if last := &merged[len(merged)-1]; x.first <= last.last+1 {
			last.last = max(last.last, x.last)
		} else {
			merged = append(merged, x)
		}
	}
	b.finished = merged
}

// conflict tells why a batch may not be signed besides what is in the journal (W-10).
func (b *book) conflict(e *entry) error {
	for _, w := range e.ids {
		if slices.ContainsFunc(b.finished, func(r ids) bool { return r.first <= w && w <= r.last }) {
			return fmt.Errorf("%w: withdrawal %d has been paid", ErrBound, w)
		}
	}
	for i := range b.entries {
		other := &b.entries[i]
		if other.batch == e.batch {
			continue
		}
		for _, w := range e.ids {
			if slices.Contains(other.ids, w) {
				return fmt.Errorf("%w: withdrawal %d is paid by batch %d, which nothing in the ledger has ended", ErrBound, w, other.batch)
			}
		}
		for v := range e.versions {
			for _, at := range e.versions[v].inputs {
				if other.spends(at) {
					return fmt.Errorf("%w: coin %s is spent by batch %d, which nothing in the ledger has ended", ErrBound, at, other.batch)
				}
			}
		}
	}
	return nil
}

// bind notes that an order is signed. ErrBound says why it may not be.
func (b *book) bind(o *order) (changed bool, err error) {
	x := signed{version: o.version, tx: o.tx}
	for i := range o.plan.Inputs {
		x.inputs = append(x.inputs, o.plan.Inputs[i].At)
	}
	e := entry{batch: o.batch, ids: o.ids, versions: []signed{x}}
	if err := b.conflict(&e); err != nil {
		return false, err
	}
	i, ok := b.find(o.batch)
	if !ok {
		b.entries = slices.Insert(b.entries, i, e)
		return true, nil
	}
	old := &b.entries[i]
	if !slices.Equal(old.ids, e.ids) {
		return false, fmt.Errorf("%w: batch %d was another one", ErrBound, o.batch)
	}
	for i := range old.versions {
		if v := &old.versions[i]; !v.conflicts(&x) && !slices.Contains(o.news.dead, v.tx) {
			return false, fmt.Errorf("%w: batch %d must spend a coin of its version %d", ErrBound, o.batch, v.version)
		}
	}
	at, ok := old.find(o.version)
	if !ok {
		old.versions = slices.Insert(old.versions, at, x)
		return true, nil
	}
	if old.versions[at].tx != o.tx {
		return false, fmt.Errorf("%w: version %d of batch %d was another one", ErrBound, o.version, o.batch)
	}
	return false, nil
}

// encode is the file's content: all that is in it, and the hash of that.
func (b *book) encode() []byte {
	out := binary.BigEndian.AppendUint32([]byte(journalMagic), uint32(b.bank))
	out = binary.BigEndian.AppendUint32(out, uint32(len(b.finished)))
	for _, r := range b.finished {
		out = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(out, uint64(r.first)), uint64(r.last))
	}
	out = binary.BigEndian.AppendUint32(out, uint32(len(b.entries)))
	for i := range b.entries {
		e := &b.entries[i]
		out = binary.BigEndian.AppendUint64(out, e.batch)
		out = binary.BigEndian.AppendUint16(out, uint16(len(e.ids)))
		for _, w := range e.ids {
			out = binary.BigEndian.AppendUint64(out, uint64(w))
		}
		out = append(out, byte(len(e.versions)))
		for _, v := range e.versions {
			out = append(append(out, v.version), v.tx[:]...)
			out = binary.BigEndian.AppendUint16(out, uint16(len(v.inputs)))
			for _, at := range v.inputs {
				out = binary.BigEndian.AppendUint32(append(out, at.Tx[:]...), at.Index)
			}
		}
	}
	sum := sha256.Sum256(out)
	return append(out, sum[:]...)
}

// decode reads what encode made.
func decode(data []byte) (*book, error) {
	n := len(data) - sha256.Size
	if n < 0 || sha256.Sum256(data[:n]) != [sha256.Size]byte(data[n:]) {
		return nil, fmt.Errorf("%w: its end is missing, or something in it has changed", ErrJournal)
	}
	body, ok := bytes.CutPrefix(data[:n], []byte(journalMagic))
	s := cryptobyte.String(body)
	b := &book{}
	var ranges, entries uint32
	ok = ok && s.ReadUint32((*uint32)(&b.bank)) && s.ReadUint32(&ranges)
	for i := uint32(0); ok && i < ranges; i++ {
		var r ids
		ok = s.ReadUint64((*uint64)(&r.first)) && s.ReadUint64((*uint64)(&r.last)) && r.first <= r.last
		b.finished = append(b.finished, r)
	}
	ok = ok && s.ReadUint32(&entries)
	for i := uint32(0); ok && i < entries; i++ {
		var e entry
		ok = e.read(&s)
		b.entries = append(b.entries, e)
	}
	if !ok || !s.Empty() {
		return nil, fmt.Errorf("%w: it has another form", ErrJournal)
	}
	return b, nil
}

func (e *entry) read(s *cryptobyte.String) bool {
	var paid uint16
	var versions uint8
	ok := s.ReadUint64(&e.batch) && s.ReadUint16(&paid)
	for i := uint16(0); ok && i < paid; i++ {
		var w custody.ID
		ok = s.ReadUint64((*uint64)(&w))
		e.ids = append(e.ids, w)
	}
	ok = ok && s.ReadUint8(&versions)
	for i := uint8(0); ok && i < versions; i++ {
		var v signed
		var inputs uint16
		ok = s.ReadUint8(&v.version) && s.CopyBytes(v.tx[:]) && s.ReadUint16(&inputs) && inputs > 0
		for n := uint16(0); ok && n < inputs; n++ {
			var at script.Outpoint
			ok = s.CopyBytes(at.Tx[:]) && s.ReadUint32(&at.Index)
			v.inputs = append(v.inputs, at)
		}
		e.versions = append(e.versions, v)
	}
	return ok
}

// write replaces the bank's file so that after a crash at any moment the old or the
// new one is there, whole: a temporary file, written and synced, renamed, and the
// folder synced.
func (b *book) write(dir string) error {
	f, err := os.CreateTemp(dir, partPrefix)
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) //nolint:errcheck // gone after the rename, or of no use
	_, err = f.Write(b.encode())
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), filepath.Join(dir, journalPrefix+strconv.FormatUint(uint64(b.bank), 10))); err != nil {
		return err
	}
	folder, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// openBooks reads all files of a folder, and removes what a crash left.
func openBooks(dir string) (map[custody.Bank]*book, error) {
	if err := os.MkdirAll(dir, folderMode); err != nil {
		return nil, err
	}
	if err := private(dir, "chmod 700"); err != nil {
		return nil, err
	}
	list, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	books := map[custody.Bank]*book{}
	for _, file := range list {
		path := filepath.Join(dir, file.Name())
		if strings.HasPrefix(file.Name(), partPrefix) {
			if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
			continue
		}
		number, ok := strings.CutPrefix(file.Name(), journalPrefix)
		if !ok {
			continue
		}
		b, err := readBook(path)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if strconv.FormatUint(uint64(b.bank), 10) != number {
			return nil, fmt.Errorf("%s: %w: it is that of bank %d", path, ErrJournal, b.bank)
		}
		books[b.bank] = b
	}
	return books, nil
}

func readBook(path string) (*book, error) {
	if err := private(path, "chmod 600"); err != nil {
		return nil, err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return decode(data)
}

// private refuses what others may read or enter.
func private(path, remedy string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Errorf("%w: %s has mode %04o; run %s on it", ErrPermissions, path, mode, remedy)
	}
	return nil
}
