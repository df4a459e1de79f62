package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"sync"

	"souk/api"
	"souk/asset"
	"souk/exchange"
	"souk/exchange/custody"
	"souk/exchange/market"
	"souk/exchange/roster"
	"souk/merkle"
	"souk/node"
	"souk/purse"
)

// trust is what a session has proof of, and how it gets more. Nothing is signed but
// on its word (H-90).
type trust struct {
	checkpoint string // that the user names instead of what the purse remembers

	mu       sync.Mutex
	light    *node.Light
	verifier *api.Verifier
	catalog  *api.Catalog
}

// remembered is what the purse remembers, if it is of the session's virtual server.
func (s *session) remembered() (purse.Book, bool) {
	if !s.stored {
		return purse.Book{}, false
	}
	book, err := s.purse.Book()
	if err != nil {
		return purse.Book{}, false
	}
	id, err := book.ID()
	return book, err == nil && id == s.id
}

// proofs is the session's verifier. It begins to follow headers where the purse ended.
func (s *session) proofs(ctx context.Context) (*api.Verifier, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.verifier != nil {
		return s.verifier, nil
	}
	if !s.pinned {
		return nil, errNotPinned
	}
	book, _ := s.remembered()
	light, err := node.NewLight(ctx, s.client, node.LightOptions{Saved: book.Checkpoint, Checkpoint: s.checkpoint})
	if err != nil {
		return nil, err
	}
	s.light, s.verifier = light, api.NewVerifier(light)
	return s.verifier, nil
}

var errNotPinned = errors.New("nothing to trust: the virtual server is not pinned; give --id, or once and for all: souk account connect --server URL --id ID")

// names is the session's catalog of what names mean.
func (s *session) names() (*api.Catalog, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.catalog != nil {
		return s.catalog, nil
	}
	if !s.pinned {
		return nil, errNotPinned
	}
	book, _ := s.remembered()
	k, err := api.NewCatalog(s.client, book.Proven, s.proofs)
	if err != nil {
		return nil, fmt.Errorf("%w; remove the lines of proven from purse.toml", err)
	}
	s.catalog = k
	return k, nil
}

// keep makes the purse remember what was proven. What it cannot write it says.
func (s *session) keep(errw io.Writer) {
	book, ok := s.remembered()
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	changed := false
	if s.light != nil {
		if saved, err := s.light.Save(); err == nil && s.newer(book.Checkpoint, saved) {
			book.Checkpoint, changed = saved, true
		}
	}
	if s.catalog != nil {
		if lines := s.catalog.Save(); len(lines) > 1 && !slices.Equal(lines, book.Proven) {
			book.Proven, changed = lines, true
		}
	}
	if !changed {
		return
	}
	err := s.note(func(b *purse.Book) {
		if b.Server == book.Server {
			b.Proven = book.Proven
			if s.newer(b.Checkpoint, book.Checkpoint) { // another souk may have gone further
				b.Checkpoint = book.Checkpoint
			}
		}
	})
	if err != nil {
		p(errw, "the purse does not remember what was proven: %v\n", err)
	}
}

// newer tells whether a checkpoint is of a later block than another.
func (s *session) newer(than, checkpoint string) bool {
	if than == "" || checkpoint == "" {
		return checkpoint != ""
	}
	old, err := node.SavedHeight(s.id, than)
	if err != nil {
		return false
	}
	height, err := node.SavedHeight(s.id, checkpoint)
	return err == nil && height > old
}

// listed is an asset that a user names, proven.
func listed(ctx context.Context, s *session, name string) (api.Listing, error) {
	k, err := s.names()
	if err != nil {
		return api.Listing{}, err
	}
	return k.Asset(ctx, name)
}

// provenPair is a market that a user names, proven.
func provenPair(ctx context.Context, s *session, name string) (api.Pair, error) {
	k, err := s.names()
	if err != nil {
		return api.Pair{}, err
	}
	return k.Pair(ctx, name)
}

// keptBy is the asset that a bank keeps, proven.
func keptBy(ctx context.Context, s *session, id custody.Bank) (asset.ID, error) {
	v, err := s.proofs(ctx)
	if err != nil {
		return 0, fmt.Errorf("the asset of bank %d is %w: %w", id, api.ErrUnproven, err)
	}
	key := custody.BankKey(id)
	leaves, err := s.client.VerifiedLeaves(ctx, v, []merkle.Key{key})
	if err != nil {
		return 0, err
	}
	if leaves.Values[0] == nil {
		return 0, fmt.Errorf("bank %d: %w", id, api.ErrUnlisted)
	}
	b, err := custody.ParseBank(key, leaves.Values[0])
	return b.Asset, err
}

// nameless tells whether an error says that there is no such asset or market, which
// is not proven and need not be: nothing is signed for it.
func nameless(err error) bool {
	return errors.Is(err, api.ErrUnlisted) || api.IsNotFound(err) && !errors.Is(err, api.ErrServers)
}

// ordered proves that an order that is about to be amended is one of the user's own
// and in the market he named, in whose units its new quantity is counted (H-92).
func ordered(ctx context.Context, s *session, who *api.Signer, pair *api.Pair, t exchange.Target) (market.Order, error) {
	id := t.Order
	if t.Client != "" {
		o, err := s.client.OrderByClient(ctx, who, t.Client)
		switch {
		case err != nil:
			return market.Order{}, unreadable(err)
		case o == nil:
			return market.Order{}, fmt.Errorf("you have no live order client:%s, as far as the server knows", t.Client)
		}
		id = market.OrderID(o.ID)
	}
	v, err := s.proofs(ctx)
	if err != nil {
		return market.Order{}, fmt.Errorf("the market of order %d is %w: %w", id, api.ErrUnproven, err)
	}
	o, _, err := s.client.VerifiedOrder(ctx, v, who, id)
	switch {
	case errors.Is(err, api.ErrAbsent), api.IsNotFound(err) && !errors.Is(err, api.ErrServers):
		return o, fmt.Errorf("you have no live order %d: souk order list shows those that you have", id)
	case err != nil:
		return o, unreadable(err)
	case o.Market != pair.ID:
		name := strconv.FormatUint(uint64(o.Market), 10)
		if other, err := provenPair(ctx, s, name); err == nil {
			name = other.Symbol()
		}
		return o, fmt.Errorf("order %d is one of market %s, not %s", id, name, pair.Symbol())
	case t.Client != "" && o.Client != t.Client:
		return o, fmt.Errorf("order %d, which a server says is client:%s, has another client order id: ask another server (--server)", id, t.Client)
	}
	return o, nil
}

// unreadable says what to do where the key may not read the order.
func unreadable(err error) error {
	var e *api.Error
	if errors.As(err, &e) && e.Code == api.NotAllowed {
		return fmt.Errorf("%w\nTo amend, the key has to read the order: its owner can let it (souk key add --scope read,trade). Or cancel the order and place another", err)
	}
	return err
}

// provenMember tells whether a member's number is proven to go with his name, as it is
// where the founding contract names him: numbers and names stay.
func provenMember(ctx context.Context, s *session, m *api.Member) error {
	f, err := s.client.Founding(ctx)
	if err != nil {
		return err
	}
	if i := int(m.ID) - 1; f.Origin == nil && i >= 0 && i < len(f.Members) && f.Members[i].Name == m.Name {
		return nil
	}
	return usageError{fmt.Errorf("which number %s has is not in the founding contract, and this server says %d: ask the other members, and write no.%d if they say so too", m.Name, m.ID, m.ID)}
}

// rateOf are a market's present rates, proven, for a vote that leaves some as they are.
func rateOf(ctx context.Context, s *session, id uint32) (roster.SetMarket, error) {
	v, err := s.proofs(ctx)
	if err != nil {
		return roster.SetMarket{}, fmt.Errorf("what the rates are now is %w: %w\nName them all: --maker-ppm, --taker-ppm, --reserve-ppm and --band-ppm", api.ErrUnproven, err)
	}
	m, _, err := s.client.VerifiedMarket(ctx, v, market.ID(id))
	return roster.SetMarket{Market: id, MakerPPM: m.MakerPPM, TakerPPM: m.TakerPPM, ReservePPM: m.ReservePPM, BandPPM: m.BandPPM}, err
}
