package comet

import (
	"context"
	"sync"
	"time"

	"github.com/cometbft/cometbft/consensus"
	cstypes "github.com/cometbft/cometbft/consensus/types"
	"github.com/cometbft/cometbft/libs/bits"
	"github.com/cometbft/cometbft/p2p"
	cmtcons "github.com/cometbft/cometbft/proto/tendermint/consensus"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	"github.com/cometbft/cometbft/store"
	"github.com/cometbft/cometbft/types"
)

const (
	// pushParts is the largest block, in parts of 64 KB, whose parts the proposer
	// sends to everybody himself. Parts of larger ones travel by CometBFT's own
	// gossip, in which servers pass them on to each other.
	pushParts = 8
	// partsWait is how long the proposer waits for his own proposal to go through
	// his write-ahead log before he sends it; partsPoll how often he looks.
	partsWait = 200 * time.Millisecond
	partsPoll = 100 * time.Microsecond
	// lagging is how many heights a peer must be behind to be helped at once.
	lagging = 2
	// ownHeights is for how many heights this server's votes are kept for pushing.
	ownHeights = 2
)

// pusher sends this server's votes and proposals when they are made. CometBFT
// has each peer's goroutine look every few milliseconds whether there is anything
// to send, so that a block waits for three such looks; pushing leaves those looks
// to what gets lost and to networks where not everybody is connected with everybody.
//
// It is CometBFT's reactor with an ear on what peers say of themselves, and keeps
// to the reactor's own notes of what each peer has, so that nothing is sent twice.
type pusher struct {
	*consensus.Reactor
	state  *consensus.State
	blocks *store.BlockStore
	// size is the number of validators at a height.
	size func(height int64) int
	ctx  context.Context // the engine's life
	wg   sync.WaitGroup

	mu       sync.Mutex
	votes    []*types.Vote // own, of the newest heights
	proposal *types.Proposal
	parts    *types.PartSet
	peers    map[p2p.ID]chan struct{}
	sought   chan *cmtproto.Proposal
}

var _ p2p.Reactor = (*pusher)(nil)

func newPusher(ctx context.Context, r *consensus.Reactor, s *consensus.State, blocks *store.BlockStore, size func(int64) int) *pusher {
	p := &pusher{
		Reactor: r, state: s, blocks: blocks, size: size, ctx: ctx,
		peers: make(map[p2p.ID]chan struct{}), sought: make(chan *cmtproto.Proposal, 1),
	}
	p.wg.Go(p.seekLoop)
	return p
}

// AddPeer implements p2p.Reactor.
func (p *pusher) AddPeer(peer p2p.Peer) {
	p.Reactor.AddPeer(peer)
	state, ok := peer.Get(types.PeerStateKey).(*consensus.PeerState)
	if !ok {
		return
	}
	poke := make(chan struct{}, 1)
	p.mu.Lock()
	p.peers[peer.ID()] = poke
	p.mu.Unlock()
	p.wg.Go(func() {
		for {
			select {
			case <-p.ctx.Done():
				return
			case <-peer.Quit():
				return
			case <-poke:
				p.push(peer, state)
			}
		}
	})
}

// RemovePeer implements p2p.Reactor.
func (p *pusher) RemovePeer(peer p2p.Peer, reason any) {
	p.mu.Lock()
	delete(p.peers, peer.ID())
	p.mu.Unlock()
	p.Reactor.RemovePeer(peer, reason)
}

// Receive implements p2p.Reactor. A peer that has moved on may need something now.
func (p *pusher) Receive(e p2p.Envelope) {
	p.Reactor.Receive(e)
	switch e.Message.(type) {
	case *cmtcons.NewRoundStep, *cmtcons.NewValidBlock:
		p.mu.Lock()
		poke := p.peers[e.Src.ID()]
		p.mu.Unlock()
		wake(poke)
	}
}

func wake(poke chan struct{}) {
	select {
	case poke <- struct{}{}:
	default: // also when nil
	}
}

// wakeAll has every peer looked at.
func (p *pusher) wakeAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, poke := range p.peers {
		wake(poke)
	}
}

// voted is called with every vote this server signs.
func (p *pusher) voted(pb *cmtproto.Vote) {
	v, err := types.VoteFromProto(pb)
	if err != nil {
		return
	}
	v.Extension, v.ExtensionSignature = nil, nil
	p.mu.Lock()
	keep := p.votes[:0]
	for _, old := range p.votes {
		if old.Height > v.Height-ownHeights {
			keep = append(keep, old)
		}
	}
	clear(p.votes[len(keep):])
	p.votes = append(keep, v)
	p.mu.Unlock()
	p.wakeAll()
}

// proposed is called with every proposal this server signs, from within the
// consensus goroutine: the block's parts have to be sought elsewhere.
func (p *pusher) proposed(pb *cmtproto.Proposal) {
	again := *pb
	select {
	case p.sought <- &again:
	default:
	}
}

// seekLoop finds the parts of proposals made here.
func (p *pusher) seekLoop() {
	for {
		select {
		case <-p.ctx.Done():
			return
		case pb := <-p.sought:
			p.seek(pb)
		}
	}
}

func (p *pusher) seek(pb *cmtproto.Proposal) {
	proposal, err := types.ProposalFromProto(pb)
	if err != nil || proposal.POLRound >= 0 || proposal.BlockID.PartSetHeader.Total > pushParts {
		return
	}
	for end := time.Now().Add(partsWait); time.Now().Before(end) && p.ctx.Err() == nil; time.Sleep(partsPoll) {
		rs := p.state.GetRoundState()
		if rs.Height > proposal.Height || rs.Height == proposal.Height && rs.Round > proposal.Round {
			return
		}
		if rs.Proposal == nil || rs.Height != proposal.Height || rs.Round != proposal.Round || rs.ProposalBlockParts == nil ||
			!rs.ProposalBlockParts.HasHeader(proposal.BlockID.PartSetHeader) || !rs.ProposalBlockParts.BitArray().IsFull() {
			continue
		}
		p.mu.Lock()
		p.proposal, p.parts = rs.Proposal, rs.ProposalBlockParts
		p.mu.Unlock()
		p.wakeAll()
		return
	}
}

// push sends a peer what it lacks of what this server made.
func (p *pusher) push(peer p2p.Peer, state *consensus.PeerState) {
	p.mu.Lock()
	votes := append([]*types.Vote(nil), p.votes...)
	proposal, parts := p.proposal, p.parts
	p.mu.Unlock()
	at := state.GetRoundState()
	if at.Height <= 0 {
		return
	}
	if proposal != nil && at.Height == proposal.Height && at.Round == proposal.Round {
		p.pushProposal(peer, state, proposal, parts)
	}
	for _, v := range votes {
		if v.Height != at.Height {
			continue
		}
		if n := p.size(v.Height); n > int(v.ValidatorIndex) && state.PickVoteToSend(single{v, n}) != nil {
			p.sendVote(peer, state, v)
		}
	}
	if at.Height <= p.blocks.Height()-lagging {
		p.catchUp(peer, state, at)
	}
}

func (p *pusher) sendVote(peer p2p.Peer, state *consensus.PeerState, v *types.Vote) {
	if peer.TrySend(p2p.Envelope{ChannelID: consensus.VoteChannel, Message: &cmtcons.Vote{Vote: v.ToProto()}}) {
		state.SetHasVote(v)
	}
}

func (p *pusher) pushProposal(peer p2p.Peer, state *consensus.PeerState, proposal *types.Proposal, parts *types.PartSet) {
	at := state.GetRoundState()
	if !at.Proposal {
		if !peer.TrySend(p2p.Envelope{
			ChannelID: consensus.DataChannel, Message: &cmtcons.Proposal{Proposal: *proposal.ToProto()},
		}) {
			return
		}
		state.SetHasProposal(proposal)
		at = state.GetRoundState()
	}
	p.sendParts(state, at, parts)
}

// sendParts sends the parts that a peer is not known to have.
func (p *pusher) sendParts(state *consensus.PeerState, at *cstypes.PeerRoundState, parts *types.PartSet) {
	if at.ProposalBlockParts == nil || !parts.HasHeader(at.ProposalBlockPartSetHeader) {
		return
	}
	for i := range int(parts.Total()) {
		if !at.ProposalBlockParts.GetIndex(i) {
			state.SendPartSetHasPart(parts.GetPart(i), at)
		}
	}
}

// catchUp helps a peer that is heights behind, at the pace at which it follows:
// first to the votes that decided its height, and when it says that it knows which
// block that is, to the block.
func (p *pusher) catchUp(peer p2p.Peer, state *consensus.PeerState, at *cstypes.PeerRoundState) {
	commit := p.blocks.LoadBlockCommit(at.Height)
	meta := p.blocks.LoadBlockMeta(at.Height)
	if commit == nil || meta == nil {
		return
	}
	all := commit.WrappedExtendedCommit()
	for range all.Size() {
		v := state.PickVoteToSend(all)
		if v == nil {
			break
		}
		p.sendVote(peer, state, v)
	}
	header := meta.BlockID.PartSetHeader
	if header.Total > pushParts || at.ProposalBlockParts == nil || !header.Equals(at.ProposalBlockPartSetHeader) {
		return
	}
	for i := range int(header.Total) {
		if at.ProposalBlockParts.GetIndex(i) {
			continue
		}
		if part := p.blocks.LoadBlockPart(at.Height, i); part != nil {
			state.SendPartSetHasPart(part, at)
		}
	}
}

// stop waits for the goroutines; ctx must be done.
func (p *pusher) stop() { p.wg.Wait() }

// single is one vote as CometBFT's set of votes.
type single struct {
	vote *types.Vote
	size int
}

var _ types.VoteSetReader = single{}

// GetHeight implements types.VoteSetReader.
func (s single) GetHeight() int64 { return s.vote.Height }

// GetRound implements types.VoteSetReader.
func (s single) GetRound() int32 { return s.vote.Round }

// Type implements types.VoteSetReader.
func (s single) Type() byte { return byte(s.vote.Type) }

// Size implements types.VoteSetReader.
func (s single) Size() int { return s.size }

// IsCommit implements types.VoteSetReader.
func (single) IsCommit() bool { return false }

// BitArray implements types.VoteSetReader.
func (s single) BitArray() *bits.BitArray {
	b := bits.NewBitArray(s.size)
	b.SetIndex(int(s.vote.ValidatorIndex), true)
	return b
}

// GetByIndex implements types.VoteSetReader.
func (s single) GetByIndex(int32) *types.Vote { return s.vote }
