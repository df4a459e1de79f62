package exchange

// Kind says what a command does. Numbers are append-only (docs/spec/02-commands.md).
type Kind uint8

// Command kinds.
const (
	KindTransfer       Kind = 1
	KindPlace          Kind = 2
	KindPlaceOCO       Kind = 3
	KindCancel         Kind = 4
	KindCancelAll      Kind = 5
	KindCancelAllAfter Kind = 6
	KindAmend          Kind = 7
	KindAddDelegate    Kind = 8
	KindRemoveDelegate Kind = 9
	KindRotate         Kind = 10
	KindCancelRotation Kind = 11
	KindIssue          Kind = 12
	KindMint           Kind = 13
	KindBurn           Kind = 14
	KindLock           Kind = 15
	KindClaim          Kind = 16
	KindRefund         Kind = 17
	KindDispute        Kind = 18
	KindResolve        Kind = 19
	KindVote           Kind = 20
	KindReturn         Kind = 21
)

// Phase is the part of a block in which a kind of command takes effect
// (docs/spec/03-block.md, table of phases).
type Phase uint8

// Phases, in the order in which a block goes through them.
const (
	PhaseDue     Phase = iota // due items: no commands
	PhaseAdmit                // nonces and fees of all commands
	PhaseKeys                 // votes and keys
	PhaseCancel               // cancels and amends
	PhaseDebit                // debits and transfers, assets, escrow
	PhaseOrder                // order admission
	PhaseAuction              // one auction per market: no commands
	PhasePost                 // credits to others: no commands
	phaseNone
)

// kindTable gives every kind its name and phase.
var kindTable = [...]struct {
	name  string
	phase Phase
}{
	0:                  {"", phaseNone},
	KindTransfer:       {"transfer", PhaseDebit},
	KindPlace:          {"place", PhaseOrder},
	KindPlaceOCO:       {"place-oco", PhaseOrder},
	KindCancel:         {"cancel", PhaseCancel},
	KindCancelAll:      {"cancel-all", PhaseCancel},
	KindCancelAllAfter: {"cancel-all-after", PhaseCancel},
	KindAmend:          {"amend", PhaseCancel},
	KindAddDelegate:    {"add-delegate", PhaseKeys},
	KindRemoveDelegate: {"remove-delegate", PhaseKeys},
	KindRotate:         {"rotate", PhaseKeys},
	KindCancelRotation: {"cancel-rotation", PhaseKeys},
	KindIssue:          {"issue", PhaseDebit},
	KindMint:           {"mint", PhaseDebit},
	KindBurn:           {"burn", PhaseDebit},
	KindLock:           {"lock", PhaseDebit},
	KindClaim:          {"claim", PhaseDebit},
	KindRefund:         {"refund", PhaseDebit},
	KindDispute:        {"dispute", PhaseDebit},
	KindResolve:        {"resolve", PhaseDebit},
	KindVote:           {"vote", PhaseKeys},
	KindReturn:         {"return", PhaseKeys},
}

// Known tells whether this binary knows the kind.
func (k Kind) Known() bool { return int(k) < len(kindTable) && kindTable[k].phase != phaseNone }

// Phase is the phase in which commands of this kind take effect. k must be known.
func (k Kind) Phase() Phase { return kindTable[k].phase }

// String is the kind's name in JSON and on the command line.
func (k Kind) String() string {
	if !k.Known() {
		return "unknown"
	}
	return kindTable[k].name
}

// Kinds are all known kinds in ascending order.
func Kinds() []Kind {
	var all []Kind
	for k := range Kind(len(kindTable)) {
		if k.Known() {
			all = append(all, k)
		}
	}
	return all
}
