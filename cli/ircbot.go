package cli

import (
	"errors"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"souk/node"
)

func (a *app) ircBotCommand() *cobra.Command {
	b := node.IRCBot{Log: slog.New(slog.NewTextHandler(a.err, nil))}
	c := &cobra.Command{
		Use: "irc-bot HOST:PORT...", Short: "Give the voice of an IRC channel to peers, as the operator of its servers", Args: cobra.MinimumNArgs(1),
		Long: `Join a channel of one or more IRC servers where peers meet, and give its voice to those that have been there
longest, one of each ring: nobody else can write to a moderated channel. The bot is the servers' operator; its
name and password stand in a file of one line that only you can read. Write tls: before a server that wants
TLS. It runs until it is stopped.`,
		Example: "  souk irc-bot irc.example.org:6667 tls:irc.example.net:6697 --channel '#souk' --operator-file ./operator",
		RunE: func(c *cobra.Command, args []string) error {
			if b.OperatorFile == "" {
				return usageError{errors.New("--operator-file: say where the operator's name and password stand")}
			}
			b.Servers = args
			return b.Run(c.Context())
		},
	}
	c.Flags().StringVar(&b.Channel, "channel", "#souk", "channel where peers meet")
	c.Flags().StringVar(&b.Nick, "nick", "soukbot", "nick of the bot")
	c.Flags().StringVar(&b.OperatorFile, "operator-file", "", "file with the name and the password of the operator, that only you can read")
	c.Flags().DurationVar(&b.Age, "age", time.Hour, "how long a peer must have been on the channel")
	c.Flags().StringVar(&b.SOCKS, "socks", "", "host:port of a SOCKS proxy, such as tor's, to reach the servers through")
	return c
}
