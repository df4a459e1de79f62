// Package recovery owns how the holders of a bank's recovery keys get its coins back
// when too many of its members' keys are lost for ever. No server takes part: from the
// keys of the bank's series it derives every address, finds with somebody's own chain
// backend what is there (Find), plans transactions of what may be spent (Plan), keeps
// them in a file that goes from holder to holder (File), and passes
// on what enough of them have signed (Send, Watch).
//
// What is signed is made by threshold, scripts by script. Words and private keys come
// from who calls, who also says where the coins go. The rules are
// docs/spec/18-recovery.md. This is floor 3; it has no goroutine or clock of its own.
package recovery

import (
	"errors"
	"fmt"

	"souk/asset"
	"souk/chain"
	"souk/script"
)

// Errors.
var (
	// ErrBank is returned for a bank that cannot be looked for: a series without a
	// recovery, two series with one number.
	ErrBank = errors.New("bank that cannot be recovered")
	// ErrEmpty is returned by Plan when no coin was found.
	ErrEmpty = errors.New("no coins were found")
	// ErrLocked is returned by Plan when every coin is locked still.
	ErrLocked = errors.New("no coin can be spent yet")
	// ErrSmall is returned by Plan when the coins are worth less than it costs to spend them.
	ErrSmall = errors.New("the coins are worth less than the fee to spend them")
	// ErrFile is returned for a file that is no plan of a recovery.
	ErrFile = errors.New("not a plan of a recovery")
	// ErrOther is returned by Merge for a file of another plan.
	ErrOther = errors.New("another plan")
	// ErrStranger is returned by Sign for a key that is none of the recovery's.
	ErrStranger = errors.New("the key has no part in this plan")
	// ErrEarly is returned by Send for a transaction whose coins are locked still.
	ErrEarly = errors.New("it is too early")
	// ErrUnsigned is returned by Combine and Send while signatures are missing.
	ErrUnsigned = errors.New("signatures are missing")
	// ErrTaken is returned by Watch when something else spends the coins.
	ErrTaken = errors.New("another transaction has spent the coins")
)

// maxSeries bounds numbers of series. A bank gets one by each vote for new keys.
const maxSeries = 100_000

// Series is a series of a bank. Each must have a recovery.
type Series struct {
	Number uint32
	*script.Series
	// Allotted is how many deposit addresses the series is known to have given out,
	// zero if it is not known. What was found beyond it counts as well.
	Allotted uint32
}

// Bank is what must be known of a bank to find its coins.
type Bank struct {
	Network *script.Network
	Series  []Series
	Wallets uint8
	Start   chain.Point // block behind which it begins; the zero value stands before block 1
	// MinDeposit is the least deposit that members credit; zero if it is not known.
	MinDeposit asset.Amount
}

// check tells whether a bank's coins can be looked for.
func (b *Bank) check() error {
	switch {
	case b.Network == nil:
		return fmt.Errorf("no network: %w", ErrBank)
	case b.Wallets > 128:
		return fmt.Errorf("%d wallets, at most 128: %w", b.Wallets, ErrBank)
	}
	return checkSeries(b.Series)
}

func checkSeries(list []Series) error {
	if len(list) == 0 {
		return fmt.Errorf("no series: %w", ErrBank)
	}
	seen := map[uint32]bool{}
	for i := range list {
		s := &list[i]
		switch {
		case s.Number >= maxSeries:
			return fmt.Errorf("series %d, numbers are below %d: %w", s.Number, maxSeries, ErrBank)
		case seen[s.Number]:
			return fmt.Errorf("series %d is given twice: %w", s.Number, ErrBank)
		case s.Series == nil:
			return fmt.Errorf("series %d has no keys: %w", s.Number, ErrBank)
		}
		seen[s.Number] = true
		if err := s.Check(); err != nil {
			return fmt.Errorf("series %d: %w: %w", s.Number, err, ErrBank)
		}
		if s.Recovery == nil {
			return fmt.Errorf("series %d has no recovery: its coins move with the members' keys alone: %w", s.Number, ErrBank)
		}
	}
	return nil
}

// byNumber are series as threshold wants them. Numbers that are not known are nil.
func byNumber(list []Series) []*script.Series {
	var all []*script.Series
	for i := range list {
		for uint64(len(all)) <= uint64(list[i].Number) {
			all = append(all, nil)
		}
		all[list[i].Number] = list[i].Series
	}
	return all
}
