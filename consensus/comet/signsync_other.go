//go:build !linux

package comet

import "os"

// dataSync syncs a file.
type dataSync struct{ *os.File }
