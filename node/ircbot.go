package node

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"souk/transport/irc"
)

// IRCBot is the bot that gives the voice of a channel to peers, on one or more IRC servers.
type IRCBot struct {
	Servers      []string // host:port, or tls:host:port
	Channel      string
	Nick         string
	OperatorFile string // one line: the name of the servers' operator and its password
	Age          time.Duration
	SOCKS        string // host:port of a proxy; none if empty
	Log          *slog.Logger
}

// Run works on all servers until the context ends. Its error is what is wrong with the
// configuration; a server that is lost is tried again.
func (b *IRCBot) Run(ctx context.Context) error {
	name, password, err := readOperator(b.OperatorFile)
	if err != nil {
		return err
	}
	var bots []*irc.Bot
	for _, server := range b.Servers {
		cfg := irc.BotConfig{
			Server: server, Channel: b.Channel, Nick: b.Nick, Operator: name, Password: password, Age: b.Age,
			Log: b.Log.With(slog.String("server", server)),
		}
		if b.SOCKS != "" {
			cfg.Dial = irc.ThroughSOCKS(b.SOCKS)
		}
		bot, err := irc.NewBot(cfg)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrConfig, err)
		}
		bots = append(bots, bot)
	}
	var wg sync.WaitGroup
	for _, bot := range bots {
		wg.Go(func() { _ = bot.Run(ctx) }) // it ends with the context alone
	}
	wg.Wait()
	return nil
}

// readOperator reads a file that nobody else may read: there is a password in it.
func readOperator(path string) (name, password string, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", "", fmt.Errorf("%w: operator file: %w", ErrConfig, err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return "", "", fmt.Errorf("%w: operator file %s: others may read it (chmod 600)", ErrConfig, path)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return "", "", fmt.Errorf("%w: operator file: %w", ErrConfig, err)
	}
	fields := strings.Fields(string(data))
	if len(fields) != 2 {
		return "", "", fmt.Errorf("%w: operator file %s: write one line, the operator's name and his password", ErrConfig, path)
	}
	return fields[0], fields[1], nil
}
