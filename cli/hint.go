package cli

import (
	"context"
	"errors"
	"io/fs"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"souk/api"
	"souk/asset"
	"souk/node"
	"souk/store/sealed"
)

// explain is an error as a user reads it: what is wrong, in words of the command
// line, and on a line of its own what to do next, if the error does not say so.
func explain(err error) string {
	text := err.Error()
	var e *api.Error
	if errors.As(err, &e) && !errors.Is(err, api.ErrServers) {
		text = strings.Replace(text, e.Error(), problem(e), 1)
	}
	if h := hint(err); h != "" {
		text += "\n" + h
	}
	return text
}

// atCommandLine are names of HTTP and what they are called here.
var atCommandLine = strings.NewReplacer(
	"/v1/markets lists them by number and name", "souk market lists them",
	"/v1/assets lists them by number and symbol", "souk market lists them",
	"/v1/fills shows", "souk fills --order shows",
	" See /v1/openapi.json.", "",
)

// problem is a server's refusal in words of the command line.
func problem(e *api.Error) string {
	text := atCommandLine.Replace(e.Detail)
	if text == "" {
		return e.Error()
	}
	if flag, ok := strings.CutPrefix(e.Field, "query."); ok {
		return "--" + flag + ": " + text
	}
	return text
}

// hint is what to do about an error whose text does not say it.
func hint(err error) string {
	switch {
	case errors.Is(err, asset.ErrSyntax):
		return "Write a plain decimal number, such as 0.01: with a point, without sign, exponent or separators."
	case errors.Is(err, asset.ErrPrecision):
		return "Leave out the last decimals; souk market shows how many each asset has."
	case errors.Is(err, asset.ErrRange):
		return "Write a smaller number."
	case errors.Is(err, node.ErrAlone), errors.Is(err, node.ErrUnconfirmed):
		return "Name servers of other members as well (--server, several times): only what a second one confirms is believed."
	case errors.Is(err, node.ErrExpired):
		return "Ask two members for the height and hash of a header of the last 14 days, and give it once: souk verify market NAME --checkpoint HEIGHT:HASH."
	case errors.Is(err, node.ErrBehind), errors.Is(err, api.ErrOld):
		return "The servers are behind, or show an old state: ask another one (--server), or try again later."
	case errors.Is(err, api.ErrUndecided):
		return "The command may still be executed until it expires, half a minute from now: look with souk order list or souk account show before you send it again."
	case errors.Is(err, api.ErrServers):
		return "Are the addresses right (--server), is the id (--id)? Wait for longer with --timeout, or try again later."
	case errors.Is(err, node.ErrConfig) && errors.Is(err, fs.ErrNotExist):
		return "There is no server in that folder: name another with --home, or make one with souk init."
	case errors.Is(err, sealed.ErrWrongPassphrase):
		return "Is it the right file (--passphrase-file)? A server's keys and a purse have passphrases of their own."
	case errors.Is(err, context.DeadlineExceeded):
		return "Wait for longer with --timeout, or try again later."
	}
	return ""
}

// minus is a negative number where the command line reads a flag.
var minus = regexp.MustCompile(`unknown shorthand flag: '[0-9.]'`)

// longFlag finds flags in what a command says of them.
var longFlag = regexp.MustCompile(`--[a-z][a-z-]+`)

// flagError is what is said of flags that are not understood.
func flagError(c *cobra.Command, err error) error {
	if minus.MatchString(err.Error()) {
		return usageError{errors.New("a number with a minus: amounts, prices and quantities are never negative")}
	}
	if name, ok := strings.CutPrefix(err.Error(), "unknown flag: --"); ok {
		all := longFlag.FindAllString(c.Flags().FlagUsages(), -1)
		if text := didYouMean("--"+name, all); text != "" {
			return usageError{errors.New(err.Error() + text + " See " + c.CommandPath() + " --help")}
		}
	}
	return usageError{errors.New(err.Error() + "; see " + c.CommandPath() + " --help")}
}

// strictArgs makes every command say how it is written when it is given too few or
// too many arguments.
func strictArgs(c *cobra.Command) {
	for _, sub := range c.Commands() {
		strictArgs(sub)
	}
	check := c.Args
	if check == nil {
		return
	}
	c.Args = func(c *cobra.Command, args []string) error {
		if err := check(c, args); err != nil {
			return usageError{errors.New("that is not how it is written: " + strings.TrimSuffix(c.UseLine(), " [flags]") + "; see " + c.CommandPath() + " --help")}
		}
		return nil
	}
}
