package comet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/cometbft/cometbft/light"
	"github.com/cometbft/cometbft/types"

	"souk/consensus"
	"souk/merkle"
)

const (
	// TrustPeriod is how long a verified header can vouch for newer ones: less than
	// it takes until a removed member's key may be sold or stolen unnoticed.
	TrustPeriod = 14 * 24 * time.Hour
	// maxDrift is how far a header's time may be ahead of the client's clock.
	maxDrift = 10 * time.Second
	// maxHops bounds the blocks fetched to get from a trusted header to another.
	maxHops = 256
	// maxTrusted is how many verified blocks are remembered.
	maxTrusted = 128
	// confirmWait is how long the other sources have to confirm a header; once one
	// has, the rest have confirmRest.
	confirmWait = 3 * time.Second
	confirmRest = 300 * time.Millisecond
	confirmPoll = 50 * time.Millisecond
)

// Errors of light clients.
var (
	// ErrExpired is returned when everything the client trusts is older than the
	// trust period. It goes on after Reset with a checkpoint that two members confirm.
	ErrExpired = errors.New("trust has expired: a checkpoint confirmed by two members is needed")
	// ErrFork is wrapped by ForkError.
	ErrFork = errors.New("two conflicting blocks are properly signed")
	// ErrUnconfirmed is returned when no second source confirms what the first says.
	ErrUnconfirmed = errors.New("no other server confirms the block")
	// ErrUnverified is returned when no source has a block of the height that verifies.
	ErrUnverified = errors.New("no server has a block that verifies")
	// ErrCheckpoint is returned for a checkpoint that too few sources confirm.
	ErrCheckpoint = errors.New("checkpoint is not confirmed")

	errLie = errors.New("block does not verify")
)

// ForkError tells of two blocks of one height that are both signed as they must
// be: either a third of the members have signed twice, or the keys of former
// members are abused. Nothing may be believed until people have sorted it out.
type ForkError struct {
	Height  uint64
	Sources [2]string
	// Blocks are the two light blocks; Engine.Report takes them as evidence.
	Blocks [2][]byte
}

// Error implements error.
func (e *ForkError) Error() string {
	return fmt.Sprintf("%v: height %d, from %s and %s", ErrFork, e.Height, e.Sources[0], e.Sources[1])
}

// Unwrap returns ErrFork.
func (*ForkError) Unwrap() error { return ErrFork }

// Source is a server that a light client asks. Sources should belong to different members.
type Source struct {
	Name  string
	Fetch Fetch
}

// Trust is where a light client's trust begins: at the genesis, of which the
// virtual server's id and the first validators are known, or at a checkpoint that
// its user was told.
type Trust struct {
	// Validators are those of the genesis; used when Height is zero.
	Validators []consensus.Validator
	// Height and Hash are a checkpoint: the hash of the header of that height.
	Height uint64
	Hash   merkle.Hash
}

// LightConfig says what a light client trusts and whom it asks.
type LightConfig struct {
	// ID is the virtual server's.
	ID    merkle.Hash
	Trust Trust
	// Saved continues from what LightClient.Save answered; Trust is not used then.
	Saved []byte
	// Sources are asked in this order. Every block is confirmed by a second one.
	Sources []Source
	// Alone allows for a single source: a virtual server of one server, whose word
	// nobody can check against another's.
	Alone bool
	// Now is the clock. Nil: time.Now.
	Now func() time.Time
}

// Verified is what a verified header says.
type Verified struct {
	Height uint64
	// Time is the median of the clocks of the validators who decided the block before.
	Time time.Time
	// Root is the application's state root after the block before this one.
	Root merkle.Hash
	// Hash is the header's, which makes a checkpoint together with Height.
	Hash merkle.Hash
}

// LightClient follows a chain by its signed headers, believing a header only when
// the validators it trusts have signed it and a second source has the same. It may
// be used by several goroutines.
type LightClient struct {
	cfg   LightConfig
	chain string
	now   func() time.Time

	verify sync.Mutex // one verification at a time

	mu      sync.Mutex
	trusted []*lightBlock // by height
	faulty  map[string]string
}

// NewLightClient begins with what cfg trusts. It returns ErrExpired, ErrCheckpoint,
// ErrUnverified, ErrUnconfirmed, a ForkError, or ErrConfig.
func NewLightClient(ctx context.Context, cfg LightConfig) (*LightClient, error) {
	if n := len(cfg.Sources); n == 0 || n == 1 && !cfg.Alone {
		return nil, fmt.Errorf("%w: a light client needs two servers to ask", ErrConfig)
	}
	c := &LightClient{cfg: cfg, chain: ChainID(cfg.ID), now: cfg.Now, faulty: make(map[string]string)}
	if c.now == nil {
		c.now = time.Now
	}
	switch {
	case cfg.Saved != nil:
		b, err := decodeLightBlock(c.chain, cfg.Saved)
		if err != nil {
			return nil, fmt.Errorf("saved trust: %w", err)
		}
		c.trusted = []*lightBlock{b}
		return c, nil
	case cfg.Trust.Height > 0:
		return c, c.Reset(ctx, cfg.Trust.Height, cfg.Trust.Hash)
	default:
		return c, c.begin(ctx)
	}
}

// VerifyLight verifies one light block by another that is trusted already and of
// a lower height, without asking anybody. It fails with ErrExpired, ErrLightBlock,
// or ErrUnverified, also when too many validators have changed in between.
func VerifyLight(id merkle.Hash, trusted, block []byte, now time.Time) (Verified, error) {
	from, err := decodeLightBlock(ChainID(id), trusted)
	if err != nil {
		return Verified{}, fmt.Errorf("trusted: %w", err)
	}
	to, err := decodeLightBlock(ChainID(id), block)
	if err != nil {
		return Verified{}, err
	}
	if err := hop(from, to, now); err != nil {
		if errors.Is(err, ErrExpired) {
			return Verified{}, err
		}
		return Verified{}, fmt.Errorf("%w: %w", ErrUnverified, err)
	}
	return to.verified(), nil
}

func (b *lightBlock) verified() Verified {
	v := Verified{Height: uint64(b.Height), Time: b.Time, Hash: merkle.Hash(b.Hash())}
	copy(v.Root[:], b.AppHash)
	return v
}

// ReadSaved answers what LightClient.Save wrote, without asking anybody whether
// it still holds.
func ReadSaved(id merkle.Hash, saved []byte) (Verified, error) {
	b, err := decodeLightBlock(ChainID(id), saved)
	if err != nil {
		return Verified{}, fmt.Errorf("saved trust: %w", err)
	}
	return b.verified(), nil
}

// hop verifies a block by one that is trusted. The error is ErrExpired, wraps
// light.ErrNewValSetCantBeTrusted where a block in between would help, or errLie.
func hop(trusted, to *lightBlock, now time.Time) error {
	if to.Height <= trusted.Height {
		return fmt.Errorf("height %d is not above %d: %w", to.Height, trusted.Height, errLie)
	}
	err := light.Verify(trusted.SignedHeader, trusted.ValidatorSet, to.SignedHeader, to.ValidatorSet,
		TrustPeriod, now, maxDrift, light.DefaultTrustLevel)
	var expired light.ErrOldHeaderExpired
	var gap light.ErrNewValSetCantBeTrusted
	switch {
	case err == nil:
		return nil
	case errors.As(err, &expired):
		return fmt.Errorf("%w: %w", ErrExpired, err)
	case errors.As(err, &gap):
		return err
	}
	return fmt.Errorf("%w: %w", errLie, err)
}

// Save returns what to continue from another day: the newest verified block.
func (c *LightClient) Save() ([]byte, error) { return c.newest().encode() }

// Trusted returns the newest verified header.
func (c *LightClient) Trusted() Verified { return c.newest().verified() }

// Faulty names the sources that have sent blocks that do not verify, and why.
func (c *LightClient) Faulty() map[string]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make(map[string]string, len(c.faulty))
	for name, why := range c.faulty {
		out[name] = why
	}
	return out
}

// Head verifies the newest block that at least two sources have.
func (c *LightClient) Head(ctx context.Context) (Verified, error) {
	c.verify.Lock()
	defer c.verify.Unlock()
	heads := c.fetchAll(ctx, c.cfg.Sources, 0)
	slices.SortStableFunc(heads, func(a, b answer) int { return sign(b.block.Height - a.block.Height) })
	if len(heads) > 1 { // the highest comes last: it may be a lie, or not have reached the others
		heads = append(heads[1:], heads[0])
	}
	newest := c.newest()
	for _, h := range heads {
		if h.block.Height < newest.Height || h.block.Height == newest.Height && bytes.Equal(h.block.Hash(), newest.Hash()) {
			if c.expired(newest) {
				return Verified{}, ErrExpired
			}
			return newest.verified(), nil
		}
		b, err := c.accept(ctx, h)
		if err == nil {
			return b.verified(), nil
		}
		if !errors.Is(err, errLie) && !errors.Is(err, ErrUnverified) {
			return Verified{}, err
		}
	}
	return Verified{}, ErrUnverified
}

// Newest answers the newest block that any source shows with the signatures it must
// have; never one below what was verified before. Nobody else has confirmed it, so
// nothing it states may be believed: it tells what is out of date (C-67).
func (c *LightClient) Newest(ctx context.Context) (Verified, error) {
	c.verify.Lock()
	defer c.verify.Unlock()
	heads := c.fetchAll(ctx, c.cfg.Sources, 0)
	if len(heads) == 0 {
		return Verified{}, fmt.Errorf("%w: no answer", ErrUnverified)
	}
	slices.SortStableFunc(heads, func(a, b answer) int { return sign(b.block.Height - a.block.Height) })
	newest := c.newest()
	for _, h := range heads {
		if h.block.Height <= newest.Height {
			break
		}
		_, err := c.reach(ctx, h.source, h.block)
		switch {
		case err == nil:
			return h.block.verified(), nil
		case errors.Is(err, errLie):
			_ = c.blame(h.source, err)
		case !errors.Is(err, ErrUnverified):
			return Verified{}, err
		}
	}
	if c.expired(newest) {
		return Verified{}, ErrExpired
	}
	return newest.verified(), nil
}

// At verifies the block of a height.
func (c *LightClient) At(ctx context.Context, height uint64) (Verified, error) {
	b, err := c.at(ctx, height)
	if err != nil {
		return Verified{}, err
	}
	return b.verified(), nil
}

func (c *LightClient) at(ctx context.Context, height uint64) (*lightBlock, error) {
	if b := c.known(int64(height)); b != nil {
		return b, nil
	}
	c.verify.Lock()
	defer c.verify.Unlock()
	var last error
	for _, s := range c.cfg.Sources {
		b, err := c.fetch(ctx, s, height)
		if err != nil {
			last = err
			continue
		}
		b, err = c.accept(ctx, answer{s, b})
		if err == nil || !errors.Is(err, errLie) && !errors.Is(err, ErrUnverified) {
			return b, err
		}
		last = err
	}
	return nil, fmt.Errorf("%w: height %d: %w", ErrUnverified, height, last)
}

// Reset begins anew from a checkpoint, which at least two sources must confirm.
func (c *LightClient) Reset(ctx context.Context, height uint64, hash merkle.Hash) error {
	c.verify.Lock()
	defer c.verify.Unlock()
	var found *lightBlock
	confirmed := 0
	for _, a := range c.fetchAll(ctx, c.cfg.Sources, height) {
		if !bytes.Equal(a.block.Hash(), hash[:]) || uint64(a.block.Height) != height || c.signed(a.block) != nil {
			continue
		}
		found = a.block
		confirmed++
	}
	if need := min(2, len(c.cfg.Sources)); confirmed < need {
		return fmt.Errorf("%w: %d of %d servers have it", ErrCheckpoint, confirmed, len(c.cfg.Sources))
	}
	if c.expired(found) {
		return fmt.Errorf("checkpoint of %v: %w", found.Time, ErrExpired)
	}
	c.mu.Lock()
	c.trusted = []*lightBlock{found}
	c.mu.Unlock()
	return nil
}

// Claim is what one source says is the newest block. It is not verified.
type Claim struct {
	Source string
	Verified
}

// Claims asks every source for its newest block, for a user who has to compare
// before he names a checkpoint.
func (c *LightClient) Claims(ctx context.Context) []Claim {
	var out []Claim
	for _, a := range c.fetchAll(ctx, c.cfg.Sources, 0) {
		out = append(out, Claim{a.source.Name, a.block.verified()})
	}
	return out
}

// begin trusts the block of height 1 that the first validators have signed.
func (c *LightClient) begin(ctx context.Context) error {
	c.verify.Lock()
	defer c.verify.Unlock()
	vs := make([]*types.Validator, len(c.cfg.Trust.Validators))
	for i, v := range c.cfg.Trust.Validators {
		if v.Power <= 0 {
			return fmt.Errorf("%w: genesis validator with power %d", ErrConfig, v.Power)
		}
		vs[i] = types.NewValidator(cometKey(v.Key), v.Power)
	}
	if len(vs) == 0 {
		return fmt.Errorf("%w: neither genesis validators nor a checkpoint", ErrConfig)
	}
	first := types.NewValidatorSet(vs).Hash()
	last := errors.New("no answer")
	for _, a := range c.firstBlocks(ctx) {
		switch {
		case a.block.Height != 1 || !bytes.Equal(a.block.ValidatorsHash, first):
			last = c.blame(a.source, fmt.Errorf("its first block has other validators: %w", errLie))
			continue
		case c.expired(a.block):
			return ErrExpired
		}
		if err := c.signed(a.block); err != nil {
			last = c.blame(a.source, err)
			continue
		}
		err := c.confirm(ctx, a, func(_ Source, other *lightBlock) error {
			if !bytes.Equal(other.ValidatorsHash, first) {
				return errLie
			}
			return c.signed(other)
		})
		if err == nil {
			c.keep(a.block)
		}
		return err
	}
	return fmt.Errorf("%w: height 1: %w", ErrUnverified, last)
}

// firstBlocks asks for the first block, and again if nobody has it: a chain that was
// founded a moment ago is about to.
func (c *LightClient) firstBlocks(ctx context.Context) []answer {
	ctx, cancel := context.WithTimeout(ctx, confirmWait)
	defer cancel()
	for {
		if found := c.fetchAll(ctx, c.cfg.Sources, 1); len(found) > 0 {
			return found
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(confirmPoll):
		}
	}
}

// signed checks that more than two thirds of a block's own validators signed it.
func (c *LightClient) signed(b *lightBlock) error {
	if err := b.ValidatorSet.VerifyCommitLight(c.chain, b.Commit.BlockID, b.Height, b.Commit); err != nil {
		return fmt.Errorf("%w: %w", errLie, err)
	}
	return nil
}

// accept verifies a block and has it confirmed. The caller holds verify.
func (c *LightClient) accept(ctx context.Context, a answer) (*lightBlock, error) {
	if b := c.known(a.block.Height); b != nil {
		if bytes.Equal(b.Hash(), a.block.Hash()) {
			return b, nil
		}
		if c.signed(a.block) == nil && bytes.Equal(b.ValidatorsHash, a.block.ValidatorsHash) {
			return nil, c.fork(answer{Source{Name: "an earlier answer"}, b}, a)
		}
		return nil, c.blame(a.source, fmt.Errorf("another block than the verified one of height %d: %w", b.Height, errLie))
	}
	path, err := c.reach(ctx, a.source, a.block)
	if err != nil {
		if errors.Is(err, errLie) {
			return nil, c.blame(a.source, err)
		}
		return nil, err
	}
	err = c.confirm(ctx, a, func(s Source, other *lightBlock) error {
		_, err := c.reach(ctx, s, other)
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, b := range path {
		c.keep(b)
	}
	return a.block, nil
}

// reach verifies a block by those trusted, fetching blocks in between from its
// source where needed. It returns the blocks verified on the way, the last is b.
func (c *LightClient) reach(ctx context.Context, s Source, b *lightBlock) ([]*lightBlock, error) {
	from := c.below(b.Height)
	if from == nil {
		return c.backwards(ctx, s, b)
	}
	path, ahead := []*lightBlock{}, []*lightBlock{b}
	for range maxHops {
		to := ahead[len(ahead)-1]
		err := hop(from, to, c.now())
		var gap light.ErrNewValSetCantBeTrusted
		switch {
		case err == nil:
			path, from, ahead = append(path, to), to, ahead[:len(ahead)-1]
			if len(ahead) == 0 {
				return path, nil
			}
			continue
		case !errors.As(err, &gap):
			return nil, err
		case to.Height == from.Height+1:
			return nil, fmt.Errorf("%w: %w", errLie, err)
		}
		middle, err := c.between(ctx, s, from.Height, to.Height)
		if err != nil {
			return nil, err
		}
		ahead = append(ahead, middle)
	}
	return nil, fmt.Errorf("more than %d steps: %w", maxHops, errLie)
}

// between gets a block between two heights of which the members differ: the
// middle one, or where the source has forgotten that, one where members changed.
func (c *LightClient) between(ctx context.Context, s Source, from, to int64) (*lightBlock, error) {
	for low, high := from, to; high-low > 1; {
		ask := low + (high-low)/2
		b, err := c.fetchNear(ctx, s, uint64(ask))
		switch {
		case err != nil:
			return nil, fmt.Errorf("%w: on the way from height %d to %d: %w", ErrUnverified, from, to, err)
		case b.Height > from:
			return b, nil
		}
		low = ask // no change between from and there
	}
	return nil, fmt.Errorf("%w: %s has nothing between height %d and %d", ErrUnverified, s.Name, from, to)
}

// backwards verifies a block below all that are trusted by the chain of hashes.
func (c *LightClient) backwards(ctx context.Context, s Source, b *lightBlock) ([]*lightBlock, error) {
	c.mu.Lock()
	above := c.trusted[0]
	c.mu.Unlock()
	if above.Height-b.Height > maxHops {
		return nil, fmt.Errorf("%w: height %d is too far below %d", ErrUnverified, b.Height, above.Height)
	}
	for above.Height > b.Height {
		below := b
		if above.Height-1 > b.Height {
			var err error
			if below, err = c.fetch(ctx, s, uint64(above.Height-1)); err != nil {
				return nil, fmt.Errorf("%w: on the way down from height %d: %w", ErrUnverified, above.Height, err)
			}
		}
		if err := light.VerifyBackwards(below.Header, above.Header); err != nil {
			return nil, fmt.Errorf("%w: %w", errLie, err)
		}
		above = below
	}
	return []*lightBlock{b}, nil
}

// confirm asks all other sources for a block of the same height. At least one
// must have the same block; one that verifies and is different is a fork.
func (c *LightClient) confirm(ctx context.Context, a answer, verify func(Source, *lightBlock) error) error {
	others := slices.DeleteFunc(slices.Clone(c.cfg.Sources), func(s Source) bool { return s.Name == a.source.Name })
	if len(others) == 0 && c.cfg.Alone {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, confirmWait)
	defer cancel()
	answers := make(chan answer, len(others))
	for _, s := range others {
		go func() {
			b, err := c.fetchWaiting(ctx, s, uint64(a.block.Height))
			if err != nil {
				b = nil
			}
			answers <- answer{s, b}
		}()
	}
	confirmed := false
	rest := time.NewTimer(confirmWait)
	defer rest.Stop()
	for range others {
		var other answer
		select {
		case other = <-answers:
		case <-rest.C:
			return confirmedOr(confirmed)
		}
		switch {
		case other.block == nil:
		case bytes.Equal(other.block.Hash(), a.block.Hash()):
			if !confirmed {
				confirmed = true
				rest.Reset(confirmRest)
			}
		case verify(other.source, other.block) == nil:
			return c.fork(a, other)
		default:
			_ = c.blame(other.source, fmt.Errorf("height %d: %w", a.block.Height, errLie))
		}
	}
	return confirmedOr(confirmed)
}

func confirmedOr(confirmed bool) error {
	if confirmed {
		return nil
	}
	return ErrUnconfirmed
}

func (c *LightClient) fork(a, b answer) error {
	e := &ForkError{Height: uint64(a.block.Height), Sources: [2]string{a.source.Name, b.source.Name}}
	for i, block := range []*lightBlock{a.block, b.block} {
		raw, err := block.encode()
		if err != nil {
			return errors.Join(ErrFork, err)
		}
		e.Blocks[i] = raw
	}
	return e
}

// answer is a source's light block.
type answer struct {
	source Source
	block  *lightBlock
}

// fetch gets the block of a height from a source.
func (c *LightClient) fetch(ctx context.Context, s Source, height uint64) (*lightBlock, error) {
	b, err := c.fetchNear(ctx, s, height)
	if err == nil && height != 0 && uint64(b.Height) != height {
		return nil, fmt.Errorf("%s has forgotten height %d", s.Name, height)
	}
	return b, err
}

// fetchNear gets the block of a height or, where the source has forgotten it, the
// next below that it has kept.
func (c *LightClient) fetchNear(ctx context.Context, s Source, height uint64) (*lightBlock, error) {
	raw, err := s.Fetch(ctx, height)
	if err != nil {
		return nil, fmt.Errorf("ask %s for height %d: %w", s.Name, height, err)
	}
	b, err := decodeLightBlock(c.chain, raw)
	if err == nil && height != 0 && uint64(b.Height) > height {
		err = fmt.Errorf("height %d, not %d: %w", b.Height, height, ErrLightBlock)
	}
	if err != nil {
		return nil, c.blame(s, fmt.Errorf("%w: %w", errLie, err))
	}
	return b, nil
}

// fetchWaiting fetches a block that may not have reached the source yet.
func (c *LightClient) fetchWaiting(ctx context.Context, s Source, height uint64) (*lightBlock, error) {
	for {
		b, err := c.fetch(ctx, s, height)
		if err == nil || errors.Is(err, errLie) {
			return b, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(confirmPoll):
		}
	}
}

// fetchAll asks several sources at once and returns what they answered in time.
func (c *LightClient) fetchAll(ctx context.Context, sources []Source, height uint64) []answer {
	ctx, cancel := context.WithTimeout(ctx, confirmWait)
	defer cancel()
	blocks := make([]*lightBlock, len(sources))
	var wg sync.WaitGroup
	for i, s := range sources {
		wg.Go(func() {
			if b, err := c.fetch(ctx, s, height); err == nil {
				blocks[i] = b
			}
		})
	}
	wg.Wait()
	var out []answer
	for i, b := range blocks {
		if b != nil {
			out = append(out, answer{sources[i], b})
		}
	}
	return out
}

// blame notes that a source has sent something false, and returns the error.
func (c *LightClient) blame(s Source, err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faulty[s.Name] = clip(err.Error())
	return err
}

func (c *LightClient) expired(b *lightBlock) bool {
	return light.HeaderExpired(b.SignedHeader, TrustPeriod, c.now())
}

func (c *LightClient) newest() *lightBlock {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.trusted[len(c.trusted)-1]
}

func (c *LightClient) known(height int64) *lightBlock {
	c.mu.Lock()
	defer c.mu.Unlock()
	i, ok := slices.BinarySearchFunc(c.trusted, height, func(b *lightBlock, h int64) int { return sign(b.Height - h) })
	if !ok {
		return nil
	}
	return c.trusted[i]
}

// below returns the trusted block nearest below a height, or nil.
func (c *LightClient) below(height int64) *lightBlock {
	c.mu.Lock()
	defer c.mu.Unlock()
	i, _ := slices.BinarySearchFunc(c.trusted, height, func(b *lightBlock, h int64) int { return sign(b.Height - h) })
	if i == 0 {
		return nil
	}
	return c.trusted[i-1]
}

// keep remembers a verified block, and forgets the oldest but not the newest.
func (c *LightClient) keep(b *lightBlock) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i, ok := slices.BinarySearchFunc(c.trusted, b.Height, func(t *lightBlock, h int64) int { return sign(t.Height - h) })
	if ok {
		return
	}
	c.trusted = slices.Insert(c.trusted, i, b)
	if len(c.trusted) > maxTrusted {
		c.trusted = slices.Delete(c.trusted, 0, 1)
	}
}
