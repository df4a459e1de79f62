package node

import (
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"souk/consensus"
	"souk/consensus/comet"
	"souk/exchange"
	"souk/exchange/roster"
	"souk/merkle"
	"souk/replica"
)

// Origin is the state that an export stands for, and what proves it (S-25).
type Origin struct {
	Server exchange.ID // whose founding contract the proof begins at
	Height uint64      // of the newest block
	Root   merkle.Hash // state root after it
	Signed merkle.Hash // state root before it, which its header holds
	Time   time.Time   // of that header
	// Signers are the members who signed the block, by name; the others' power was
	// not needed.
	Signers []string
	// Members are how many there were.
	Members int
}

// Export writes the stored state of one of a stopped server's virtual servers, of
// which the id begins with a text; it may be empty if there is one only. If height is
// not zero, the newest block must be that one.
func Export(h Home, id string, height uint64, w io.Writer) (err error) {
	c, err := ReadConfig(h.Config())
	if err != nil {
		return err
	}
	all, err := h.hosts()
	if err != nil {
		return err
	}
	at, err := h.choose(all, id)
	if err != nil {
		return err
	}
	dir := filepath.Dir(h.in(c.Virtual[at].Founding))
	f := all[at].founding
	stores := newStores()
	defer stores.close()
	s, err := stores.open(dir, nil)
	if err != nil {
		return fmt.Errorf("open state: %w (is the server stopped?)", err)
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	r, err := replica.Open(replica.Config{Founding: f, Store: s})
	if err != nil {
		return fmt.Errorf("load state: %w", err)
	}
	defer func() {
		if cerr := r.Close(); !errors.Is(cerr, replica.ErrClosed) {
			err = errors.Join(err, cerr)
		}
	}()
	_, err = r.Export(w, func(newest uint64) ([]byte, error) {
		if height != 0 && newest != height {
			return nil, fmt.Errorf("the newest block here is %d, not %d", newest, height)
		}
		return comet.Prove(filepath.Join(dir, "chain"), merkle.Hash(f.ID()), founders(f), newest)
	})
	return err
}

// founders are the validators of a founding contract.
func founders(f *exchange.Founding) []consensus.Validator {
	var all []consensus.Validator
	for i := range f.Members {
		all = append(all, consensus.Validator{Key: f.Members[i].Consensus, Power: roster.FullPower})
	}
	return all
}

// verifyProof verifies the proof of an export by its founding contract.
func verifyProof(f *exchange.Founding, proof []byte) (consensus.Proven, error) {
	return comet.VerifyProof(merkle.Hash(f.ID()), founders(f), proof)
}

// Refound makes the founding contract of a virtual server that goes on from an
// export, with the members of cards, and with the rules and the protocol version
// that were in force, whatever votes had made of them. The export must be that of the
// virtual server whose id begins with a text, if it is not empty. All members must make
// it from exports of the same height and root.
func Refound(export, id, name string, cards []exchange.Card) (*exchange.Founding, *Origin, error) {
	if err := distinct(cards); err != nil {
		return nil, nil, err
	}
	o, before, err := ReadOrigin(export)
	if err != nil {
		return nil, nil, err
	}
	if !strings.HasPrefix(hex.EncodeToString(o.Server[:]), strings.ToLower(id)) {
		return nil, nil, fmt.Errorf("%w: %s is that of virtual server %x, not %s", ErrOrigin, export, o.Server[:8], id)
	}
	old := before.Founding()
	f := &exchange.Founding{
		Name: cmp.Or(name, old.Name), Protocol: before.Roster().Version(o.Height + 1), Profile: old.Profile,
		Members: slices.Clone(cards), Params: before.Params(),
		Origin: &exchange.Origin{Server: o.Server, Height: o.Height, Root: o.Root},
	}
	for i := range cards {
		f.Created = max(f.Created, cards[i].Made)
	}
	f.SortMembers()
	if err := f.Check(); err != nil {
		return nil, nil, err
	}
	// What the new servers will do with it is done once now, so that they need not find out.
	_, err = exchange.Refound(f, before.Leaves)
	return f, o, err
}

// ReadOrigin reads an export to its end and verifies it: the error says what is not
// proven in it.
func ReadOrigin(path string) (*Origin, *exchange.State, error) {
	in, err := os.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("read export: %w", err)
	}
	defer in.Close() //nolint:errcheck // nothing was written
	e, err := replica.ReadExport(in, verifyProof)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	state, err := e.State()
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	n := &e.Newest
	o := &Origin{Server: e.Founding.ID(), Height: n.Block.Height, Root: state.Root(), Signed: n.Root, Time: n.Time, Members: state.Roster().Len()}
	for _, key := range n.Signers {
		name := key.String()
		if id, ok := state.Roster().ByConsensus(key); ok {
			if m, ok := state.Roster().Member(id); ok {
				name = m.Name
			}
		}
		o.Signers = append(o.Signers, name)
	}
	slices.Sort(o.Signers)
	return o, state, nil
}
