//go:build !never

// Package consensus is not pure: it may have clocks, floats and goroutines.
package consensus

import "time"

func Seconds(d time.Duration, done chan<- float64) { go func() { done <- d.Seconds() }() }
