package cli

import (
	"strings"

	"github.com/spf13/cobra"
)

// Flags that many commands share, by what they are for.
const (
	flagsOfPurse  = "purse"
	flagsToServer = "server id timeout"
	flagsToSign   = "account"
	flagsOfSecret = "passphrase-file passphrase-fd"
)

// sharedFlags are the shared flags that matter to commands, by the words of the
// command or the first of them; those with none have all. --output matters to all.
var sharedFlags = map[string]string{
	"account":           flagsOfPurse + " " + flagsToServer + " " + flagsToSign + " " + flagsOfSecret,
	"account new":       flagsOfPurse + " " + flagsToServer + " " + flagsOfSecret,
	"account recover":   flagsOfPurse + " " + flagsToServer + " " + flagsOfSecret,
	"account import":    flagsOfPurse + " " + flagsToServer + " " + flagsOfSecret,
	"account connect":   flagsOfPurse + " " + flagsToServer,
	"account use":       flagsOfPurse,
	"key show":          flagsOfPurse + " " + flagsOfSecret,
	"escrow secret":     "",
	"book":              flagsOfPurse + " " + flagsToServer,
	"trades":            flagsOfPurse + " " + flagsToServer,
	"market":            flagsOfPurse + " " + flagsToServer,
	"bank":              flagsOfPurse + " " + flagsToServer,
	"status":            flagsOfPurse + " " + flagsToServer,
	"top":               flagsOfPurse + " " + flagsToServer,
	"audit":             flagsOfPurse + " " + flagsToServer,
	"vote":              flagsOfPurse + " " + flagsToServer + " " + flagsOfSecret,
	"init":              flagsOfSecret,
	"card":              flagsOfSecret,
	"recovery-key":      "",
	"recovery":          "",
	"federation":        "",
	"federation rotate": flagsOfPurse + " " + flagsToServer + " " + flagsOfSecret,
	"config":            "",
	"log":               "timeout",
	"serve":             flagsOfSecret,
	"doctor":            flagsOfSecret + " timeout",
	"export":            flagsOfSecret + " id",
	"backup":            "",
	"restore":           flagsOfSecret,
	"demo":              "timeout",
	"version":           "",
	"man":               "",
	"completion":        "",
}

// helpful makes help pages show only those shared flags that matter to the command.
func helpful(root *cobra.Command) {
	plain := root.HelpFunc()
	root.SetHelpFunc(func(c *cobra.Command, args []string) {
		hideUseless(root, c)
		plain(c, args)
	})
}

// hideUseless hides the shared flags that do not matter to a command.
func hideUseless(root, c *cobra.Command) {
	words := strings.Fields(c.CommandPath())[1:]
	for n := min(len(words), 2); n > 0; n-- {
		shown, ok := sharedFlags[strings.Join(words[:n], " ")]
		if !ok {
			continue
		}
		for _, name := range strings.Fields(flagsOfPurse + " " + flagsToServer + " " + flagsToSign + " " + flagsOfSecret) {
			root.PersistentFlags().Lookup(name).Hidden = !strings.Contains(" "+shown+" ", " "+name+" ")
		}
		return
	}
	for _, name := range strings.Fields(flagsOfPurse + " " + flagsToServer + " " + flagsToSign + " " + flagsOfSecret) {
		root.PersistentFlags().Lookup(name).Hidden = false
	}
}
