package cli

import (
	"io"

	"github.com/spf13/cobra"

	"souk/node"
)

func (a *app) practiceCommand() *cobra.Command {
	c := &cobra.Command{Use: "practice", Short: "Let a server give play money to whoever asks", Args: cobra.NoArgs}
	var home string
	key := &cobra.Command{
		Use: "key", Short: "Make the key with which a server gives play money", Args: cobra.NoArgs,
		Long: `Make the key with which a server gives play money, or show its public half. It is sealed with the passphrase of the
server's other keys. The money comes out of an account of somebody, who lets the key act with the scope transfer, and
puts nothing else in there; [practice] in config.toml says which account that is and what is given. It counts from the
server's next start on. Have an asset for it whose symbol nobody takes for a coin, such as PLAYBTC, and say in its
contract that it is worth nothing.`,
		Example: "  souk practice key --home ./home\n  souk key add PUBLICKEY --scope transfer",
		RunE: func(*cobra.Command, []string) error {
			public, err := node.NewPracticeKey(node.Home(home), a.pass.get("Passphrase of the server's keys: ", false), a.work)
			if err != nil {
				return err
			}
			return a.show(map[string]string{"key": public.String()}, func(w io.Writer) {
				p(w, "%s\n", public)
				p(a.err, "let it act for the account with the play money: souk key add %s --scope transfer; then write [practice] in %s\n", public, node.Home(home).Config())
			})
		},
	}
	homeFlag(key, &home)
	c.AddCommand(key)
	return c
}
