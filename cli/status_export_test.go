package cli

import (
	"strings"

	"souk/api"
)

// ShowStatus is the table of a status.
func ShowStatus(s *api.Status) string {
	var b strings.Builder
	showStatus(&b, s)
	return b.String()
}
