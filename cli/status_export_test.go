package cli

import (
	"strings"

	"souk/api"
)

// ShowStatus is the table of a status.
func ShowStatus(s *api.Status) string {
	var b strings.Builder
	showStatus(&b, s, "")
	return b.String()
}

// ShowStatusOf is the table of a status for a member whose own server does not answer.
func ShowStatusOf(s *api.Status, mine string) string {
	var b strings.Builder
	showStatus(&b, s, mine)
	return b.String()
}
