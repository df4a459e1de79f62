package ledger

import (
	"fmt"

	"souk/merkle"
)

// Reencode loads one leaf by itself and encodes it again.
func Reencode(key merkle.Key, value []byte) ([]byte, error) {
	s := New()
	if err := s.Load(key, value); err != nil {
		return nil, err
	}
	_, id, symbol, _ := keyParts(&key)
	switch {
	case symbol != "":
		again, _ := s.Leaf(key)
		return again, nil
	case id != 0:
		return s.assets[0].append(nil), nil
	}
	return s.appendAccount(nil, s.loading[0], s.accounts.at(1)), nil
}

// BitmapsInUse is how many windows have gaps.
func (s *State) BitmapsInUse() int { return len(s.bitmaps.all) - len(s.bitmaps.free) }

// CheckWindows tells whether a bitmap is kept that says nothing.
func (s *State) CheckWindows() error {
	for i := range s.accounts.n {
		acc := s.accounts.at(Number(i + 1))
		windows := []window{acc.window}
		if x := s.extras.get(acc); x != nil {
			for _, d := range x.delegates {
				windows = append(windows, d.window)
			}
		}
		for _, w := range windows {
			if w.gaps != 0 && s.bitmaps.get(w.gaps).empty() {
				return fmt.Errorf("account %d keeps an empty bitmap", i+1)
			}
		}
	}
	return nil
}
