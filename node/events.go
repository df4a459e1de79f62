package node

import (
	"fmt"
	"time"
)

// Events says how long what blocks did is kept for those who follow it.
type Events struct {
	Keep string `toml:"keep"`
}

// duration is for how much block time; 0: in memory only, negative: for ever.
func (e Events) duration() (time.Duration, error) {
	switch e.Keep {
	case "0":
		return 0, nil
	case "forever":
		return -1, nil
	}
	d, err := time.ParseDuration(e.Keep)
	if err != nil || d < time.Minute {
		return 0, fmt.Errorf("%q: write a duration of a minute or more, such as 24h, 0 for what is in memory, or forever", e.Keep)
	}
	return d, nil
}
