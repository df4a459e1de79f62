package comet

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"

	dbm "github.com/cometbft/cometbft-db"
	cmtstate "github.com/cometbft/cometbft/proto/tendermint/state"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	sm "github.com/cometbft/cometbft/state"
	"github.com/cometbft/cometbft/store"
	"github.com/cometbft/cometbft/types"
	"github.com/syndtr/goleveldb/leveldb/filter"
	"github.com/syndtr/goleveldb/leveldb/opt"
)

const (
	// keepSets is how many validator sets stay in memory.
	keepSets = 16
	// setCheckpoint is the distance of heights whose validator set is kept whole,
	// beside those where it changed. Between two of them priorities are found by stepping.
	setCheckpoint = 1000
	// libraryCheckpoint is the distance of CometBFT's own, coarser checkpoints.
	libraryCheckpoint = 100_000
)

// logBuffer is how much is gathered before it goes to a table; blocks are large.
const logBuffer = 8 << 20

// openDB opens a chain's database with caches sized for a log that is written once
// and seldom read: several chains share a process.
func openDB(dir string) (dbm.DB, error) {
	db, err := dbm.NewGoLevelDBWithOpts("chain", dir, &opt.Options{
		BlockCacheCapacity:     1 << 20,
		WriteBuffer:            logBuffer,
		CompactionTableSize:    logBuffer,
		CompactionTotalSize:    10 * logBuffer,
		OpenFilesCacheCapacity: 64,
		// Most of a block is signatures, which do not compress, and most blocks are
		// pruned before merging their table with others would have paid.
		Compression:            opt.NoCompression,
		CompactionL0Trigger:    12,
		WriteL0SlowdownTrigger: 24,
		WriteL0PauseTrigger:    36,
		Filter:                 filter.NewBloomFilter(10),
	})
	if err != nil {
		return nil, err
	}
	return &lateDB{DB: db}, nil
}

// lateDB is a database that finds nothing once it is closed. Goroutines of the
// library outlive their engine by seconds and panic when a database fails.
type lateDB struct {
	dbm.DB
	mu     sync.RWMutex
	closed bool
}

// Get implements dbm.DB.
func (d *lateDB) Get(key []byte) ([]byte, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.closed {
		return nil, nil
	}
	return d.DB.Get(key)
}

// Has implements dbm.DB.
func (d *lateDB) Has(key []byte) (bool, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.closed {
		return false, nil
	}
	return d.DB.Has(key)
}

// Close implements dbm.DB.
func (d *lateDB) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil
	}
	d.closed = true
	return d.DB.Close()
}

// stores are the block store and the state store of one chain. Both are in one
// database, whose log is written in one order: when a block is synced, so is the
// state after the block before, which needs no sync of its own. A loss of power
// leaves the state at most one block behind the blocks, and replay makes that up.
type stores struct {
	db     dbm.DB
	blocks *store.BlockStore
	state  *stateStore
}

func openStores(dir string) (*stores, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make %s: %w", dir, err)
	}
	db, err := openDB(dir)
	if err != nil {
		return nil, fmt.Errorf("open block store in %s: %w", dir, err)
	}
	return &stores{
		db:     db,
		blocks: store.NewBlockStore(dbm.NewPrefixDB(db, []byte("b/"))),
		state:  newStateStore(dbm.NewPrefixDB(db, []byte("s/"))),
	}, nil
}

func (s *stores) Close() error { return s.db.Close() }

// unsyncedDB is a database that never waits for the disk.
type unsyncedDB struct{ dbm.DB }

// SetSync implements dbm.DB.
func (d unsyncedDB) SetSync(key, value []byte) error { return d.Set(key, value) }

// DeleteSync implements dbm.DB.
func (d unsyncedDB) DeleteSync(key []byte) error { return d.Delete(key) }

// NewBatch implements dbm.DB.
func (d unsyncedDB) NewBatch() dbm.Batch { return unsyncedBatch{d.DB.NewBatch()} }

type unsyncedBatch struct{ dbm.Batch }

// WriteSync implements dbm.Batch.
func (b unsyncedBatch) WriteSync() error { return b.Write() }

// stateStore is CometBFT's state store with exact validator sets. The library
// finds the set of an old height by advancing the last one it stored, in one leap
// of up to 100,000 turns, and does so for every block; and a leap may end on other
// proposer priorities than the steps that live replicas took (rescaling happens
// once per call). Here the sets of recent heights are remembered as consensus
// used them, and older ones are reached in the same single steps.
type stateStore struct {
	sm.Store
	db dbm.DB // one whose syncs are real

	mu   sync.Mutex
	last sm.State // the newest saved; validator sets in it are never changed
	sets map[int64]*types.ValidatorSet
}

var _ sm.Store = (*stateStore)(nil)

func newStateStore(db dbm.DB) *stateStore {
	return &stateStore{
		Store: sm.NewStore(unsyncedDB{db}, sm.StoreOptions{DiscardABCIResponses: true}),
		db:    db, sets: make(map[int64]*types.ValidatorSet),
	}
}

// Load implements sm.Store.
func (s *stateStore) Load() (sm.State, error) {
	state, err := s.Store.Load()
	if err == nil && !state.IsEmpty() {
		s.remember(state)
	}
	return state, err
}

// LoadFromDBOrGenesisDoc implements sm.Store.
func (s *stateStore) LoadFromDBOrGenesisDoc(doc *types.GenesisDoc) (sm.State, error) {
	state, err := s.Store.LoadFromDBOrGenesisDoc(doc)
	if err == nil {
		s.remember(state)
	}
	return state, err
}

// Save implements sm.Store.
func (s *stateStore) Save(state sm.State) error {
	if err := s.checkpoint(state.LastBlockHeight+2, state.NextValidators); err != nil {
		return err
	}
	if err := s.Store.Save(state); err != nil {
		return err
	}
	s.remember(state)
	return nil
}

// Bootstrap implements sm.Store. No block follows soon that would sync it.
func (s *stateStore) Bootstrap(state sm.State) error {
	if err := s.Store.Bootstrap(state); err != nil {
		return err
	}
	if err := s.db.SetSync([]byte("soukBootstrap"), []byte{1}); err != nil {
		return fmt.Errorf("sync the state: %w", err)
	}
	s.remember(state)
	return nil
}

// PruneStates implements sm.Store.
func (s *stateStore) PruneStates(from, to, evidence int64) error {
	for h := from - from%setCheckpoint; h < to-setCheckpoint; h += setCheckpoint {
		if err := s.db.Delete(checkpointKey(h)); err != nil {
			return fmt.Errorf("forget validators of height %d: %w", h, err)
		}
	}
	return s.Store.PruneStates(from, to, evidence)
}

// newest returns the state after the newest block.
func (s *stateStore) newest() sm.State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

func (s *stateStore) remember(state sm.State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = state
	h := state.LastBlockHeight
	put := func(height int64, set *types.ValidatorSet) {
		if height > 0 && !set.IsNilOrEmpty() {
			s.sets[height] = set.Copy()
		}
	}
	put(h, state.LastValidators)
	put(h+1, state.Validators)
	put(h+2, state.NextValidators)
	delete(s.sets, h-keepSets)
	if len(s.sets) > 2*keepSets {
		clear(s.sets) // heights jumped: begin anew
	}
}

func (s *stateStore) recent(height int64) *types.ValidatorSet {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sets[height]
}

// LoadValidators implements sm.Store. The set is the caller's own.
func (s *stateStore) LoadValidators(height int64) (*types.ValidatorSet, error) {
	if set := s.recent(height); set != nil {
		return set.Copy(), nil
	}
	set, at, err := s.stored(height)
	if err != nil {
		return nil, err
	}
	for ; at < height; at++ {
		set.IncrementProposerPriority(1)
	}
	return set, nil
}

// LoadValidatorsFast is LoadValidators for callers who do not look at priorities.
func (s *stateStore) LoadValidatorsFast(height int64) (*types.ValidatorSet, error) {
	if set := s.recent(height); set != nil {
		return set.Copy(), nil
	}
	set, _, err := s.stored(height)
	return set, err
}

// stored returns the nearest whole set at or below height that has the members of
// height, and its height.
func (s *stateStore) stored(height int64) (*types.ValidatorSet, int64, error) {
	info, err := s.info(height)
	if err != nil {
		return nil, 0, err
	}
	at := height
	if info.ValidatorSet == nil {
		at = max(info.LastHeightChanged, height-height%libraryCheckpoint)
		if near := height - height%setCheckpoint; near > at {
			raw, err := s.db.Get(checkpointKey(near))
			if err != nil {
				return nil, 0, fmt.Errorf("validators of height %d: %w", near, err)
			}
			if len(raw) > 0 {
				set, err := decodeSet(raw)
				return set, near, err
			}
		}
		if info, err = s.info(at); err != nil {
			return nil, 0, err
		}
	}
	set, err := types.ValidatorSetFromProto(info.ValidatorSet)
	if err != nil {
		return nil, 0, fmt.Errorf("validators of height %d: %w", at, err)
	}
	return set, at, nil
}

// checkpoint keeps the whole set of a height that is a multiple of setCheckpoint.
func (s *stateStore) checkpoint(height int64, set *types.ValidatorSet) error {
	if height%setCheckpoint != 0 || set.IsNilOrEmpty() {
		return nil
	}
	raw, err := encodeSet(set)
	if err != nil {
		return err
	}
	return s.db.Set(checkpointKey(height), raw)
}

func (s *stateStore) info(height int64) (*cmtstate.ValidatorsInfo, error) {
	raw, err := s.db.Get(fmt.Appendf(nil, "validatorsKey:%v", height))
	if err != nil {
		return nil, fmt.Errorf("validators of height %d: %w", height, err)
	}
	if len(raw) == 0 {
		return nil, sm.ErrNoValSetForHeight{Height: height}
	}
	info := new(cmtstate.ValidatorsInfo)
	if err := info.Unmarshal(raw); err != nil {
		return nil, fmt.Errorf("validators of height %d: %w", height, err)
	}
	return info, nil
}

func checkpointKey(height int64) []byte { return fmt.Appendf(nil, "soukValidators:%d", height) }

func encodeSet(set *types.ValidatorSet) ([]byte, error) {
	pb, err := set.ToProto()
	if err != nil {
		return nil, fmt.Errorf("encode validators: %w", err)
	}
	return pb.Marshal()
}

func decodeSet(raw []byte) (*types.ValidatorSet, error) {
	var pb cmtproto.ValidatorSet
	if err := pb.Unmarshal(raw); err != nil {
		return nil, fmt.Errorf("decode validators: %w", err)
	}
	set, err := types.ValidatorSetFromProto(&pb)
	if err != nil {
		return nil, fmt.Errorf("decode validators: %w", err)
	}
	return set, nil
}

// blockDir and walFile are where a chain's log stands below its folder.
func blockDir(dir string) string { return filepath.Join(dir, "chain") }
func walFile(dir string) string  { return filepath.Join(dir, "wal", "wal") }
