package exchange

import "souk/exchange/ledger"

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

	// Of banks; without one nobody is entitled to them.
	KindAttest           Kind = 22
	KindSign             Kind = 23
	KindAnnounceKey      Kind = 24
	KindSetWithdrawals   Kind = 25
	KindCancelWithdrawal Kind = 26
	KindNewAddress       Kind = 27
	KindWithdraw         Kind = 28
	KindDonate           Kind = 29
	KindAdmit            Kind = 30
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

// kindTable gives every kind its name, its phase, and the scope that a delegate needs for it.
var kindTable = [...]struct {
	name  string
	phase Phase
	scope ledger.Scope
}{
	0:                  {"", phaseNone, 0},
	KindTransfer:       {"transfer", PhaseDebit, ledger.Transfer},
	KindPlace:          {"place", PhaseOrder, ledger.Trade},
	KindPlaceOCO:       {"place-oco", PhaseOrder, ledger.Trade},
	KindCancel:         {"cancel", PhaseCancel, ledger.Trade},
	KindCancelAll:      {"cancel-all", PhaseCancel, ledger.Trade},
	KindCancelAllAfter: {"cancel-all-after", PhaseCancel, ledger.Trade},
	KindAmend:          {"amend", PhaseCancel, ledger.Trade},
	KindAddDelegate:    {"add-delegate", PhaseKeys, ledger.Owner},
	KindRemoveDelegate: {"remove-delegate", PhaseKeys, ledger.Owner},
	KindRotate:         {"rotate", PhaseKeys, ledger.Owner},
	KindCancelRotation: {"cancel-rotation", PhaseKeys, ledger.Owner},
	KindIssue:          {"issue", PhaseDebit, ledger.Owner},
	KindMint:           {"mint", PhaseDebit, ledger.Owner},
	KindBurn:           {"burn", PhaseDebit, ledger.Owner},
	KindLock:           {"lock", PhaseDebit, ledger.Transfer},
	KindClaim:          {"claim", PhaseDebit, ledger.Transfer},
	KindRefund:         {"refund", PhaseDebit, ledger.Transfer},
	KindDispute:        {"dispute", PhaseDebit, ledger.Transfer},
	KindResolve:        {"resolve", PhaseDebit, ledger.Transfer},
	KindVote:           {"vote", PhaseKeys, ledger.Owner},
	KindReturn:         {"return", PhaseKeys, ledger.Server},

	KindAttest:           {"attest", PhaseKeys, ledger.Server},
	KindSign:             {"sign", PhaseKeys, ledger.Server},
	KindAnnounceKey:      {"announce-key", PhaseKeys, ledger.Server},
	KindSetWithdrawals:   {"set-withdrawals", PhaseKeys, ledger.Owner},
	KindCancelWithdrawal: {"cancel-withdrawal", PhaseCancel, ledger.Withdraw},
	KindNewAddress:       {"new-address", PhaseDebit, ledger.Transfer},
	KindWithdraw:         {"withdraw", PhaseDebit, ledger.Withdraw},
	KindDonate:           {"donate", PhaseDebit, ledger.Transfer},
	KindAdmit:            {"admit", PhaseDebit, ledger.Server},
}

// ofBank tells whether commands of the kind are about banks.
func (k Kind) ofBank() bool { return k >= KindAttest && k <= KindAdmit }

// MaxBody is the largest body of a command of this kind in bytes.
func (k Kind) MaxBody() int {
	if k == KindAttest || k == KindSign {
		return MaxMemberBody
	}
	return MaxBody
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
