package cli

import (
	"io"

	"github.com/spf13/cobra"

	"souk/exchange"
)

// protocol is a version of the state machine's rules, in a sentence.
type protocol struct {
	Version uint32 `json:"version"`
	What    string `json:"what"`
}

// protocols are all versions that this binary executes, in order.
var protocols = []protocol{
	{1, "the first"},
	{2, "a delegate may remove itself (docs/spec/02-commands.md, remove-delegate)"},
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version, and the protocol versions that it executes", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return a.show(map[string]any{
				"version": Version, "protocol_min": exchange.ProtocolMin, "protocol_max": exchange.ProtocolMax, "protocols": protocols,
			}, func(w io.Writer) {
				p(w, "souk %s, protocol versions %d to %d\n", Version, exchange.ProtocolMin, exchange.ProtocolMax)
				for _, x := range protocols {
					begin := ""
					if x.Version == exchange.ProtocolMax {
						begin = "; new federations begin with it"
					}
					p(w, "  %d: %s%s\n", x.Version, x.What, begin)
				}
				p(w, "A federation has one version in force, as souk status shows; its members vote for the next one:\n")
				p(w, "  souk vote protocol %d HEIGHT --home DIR\n", exchange.ProtocolMax)
			})
		},
	}
}
