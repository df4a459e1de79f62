package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"souk/node"
)

// peerFlag adds --home for commands that a running peer is asked by.
func peerFlag(c *cobra.Command, home *string) {
	c.PersistentFlags().StringVar(home, "home", "", "folder of the peer, or of the server that is one (default: souk/peer in the user's config folder)")
}

// peerHome is the folder of a peer.
func peerHome(home string) (node.Home, error) {
	if home != "" {
		return node.Home(home), nil
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("find the peer's folder: %w; name one with --home", err)
	}
	return node.Home(filepath.Join(dir, "souk", "peer")), nil
}

// peerArg names a peer's folder, if it is not the default one.
func peerArg(h node.Home) string {
	if d, err := peerHome(""); err == nil && d == h {
		return ""
	}
	return " --home " + quoted(string(h))
}

// asking runs something with a peer's folder and the time limit.
func (a *app) asking(ctx context.Context, home *string, run func(context.Context, node.Home) error) error {
	h, err := peerHome(*home)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	return run(ctx, h)
}

func (a *app) peerCommand() *cobra.Command {
	var home string
	c := &cobra.Command{
		Use: "peer", Short: "Take part in the network of peers without a server, for mail", Args: cobra.NoArgs,
		Long: `A peer of your own, in a folder of its own: it finds other peers, carries mail and has your mailbox. A server can be
one as well ([network] in its config.toml), and then needs none of these commands.`,
		Example: "  souk peer init --peer KEY@/ip4/192.0.2.7/tcp/4001\n  souk peer serve\n  souk mail card",
	}
	peerFlag(c, &home)
	c.AddCommand(a.peerInit(&home), a.peerServe(&home))
	return c
}

func (a *app) peerInit(home *string) *cobra.Command {
	var s node.PeerSetup
	var listen []string
	var dials bool
	c := &cobra.Command{
		Use: "init", Short: "Make a peer: its keys and its config.toml", Args: cobra.NoArgs,
		Long: `Make a peer: a key that is the peer, the keys of a mailbox, which are others, both sealed under a passphrase, and a
config.toml with every setting. Say with --peer who is there already: KEY@ADDRESS, as souk peers shows it on that
machine; or look in the local network, or on servers of IRC.`,
		RunE: func(c *cobra.Command, _ []string) error {
			h, err := peerHome(*home)
			if err != nil {
				return err
			}
			if c.Flags().Changed("listen") || dials {
				s.Listen = append([]string{}, listen...)
			}
			s.Pass, s.Work = a.pass.get("New passphrase of the peer: ", true), a.work
			key, err := node.InitPeer(h, &s)
			if err != nil {
				return err
			}
			return a.show(map[string]string{"home": string(h), "peer": key.String()}, func(w io.Writer) {
				p(w, "the peer in %s is %s\n", h, key)
				if len(s.Peers)+len(s.IRC) == 0 && !s.Local {
					p(w, "It knows nobody yet: name a peer in network.find.peers of its config.toml.\n")
				}
				p(w, "Next:\n\n  souk peer serve%s\n", peerArg(h))
			})
		},
	}
	f := c.Flags()
	f.StringArrayVar(&s.Peers, "peer", nil, "a peer that is there already: KEY@ADDRESS; may be given several times")
	f.BoolVar(&s.Local, "local", false, "look for peers in the local network, and be seen there")
	f.StringArrayVar(&s.IRC, "irc", nil, "a server of IRC where peers meet: host:port, or tls:host:port; may be given several times")
	f.BoolVar(&s.Tor, "tor", false, "through the tor of this machine, and nothing else")
	f.StringArrayVar(&listen, "listen", nil, "where others reach it, such as /ip4/0.0.0.0/tcp/4001; may be given several times")
	f.BoolVar(&dials, "dial-only", false, "listen nowhere")
	f.BoolVar(&s.Full, "full", false, "carry all mail, and keep it for those who are away")
	f.BoolVar(&s.Prompt, "prompt", false, "letters and receipts leave at once, and whoever watches the network may see when")
	return c
}

func (a *app) peerServe(home *string) *cobra.Command {
	return &cobra.Command{
		Use: "serve", Short: "Run the peer", Args: cobra.NoArgs,
		Long: "Run the peer of a folder until it is ended by SIGTERM or SIGINT.",
		RunE: func(c *cobra.Command, _ []string) error {
			h, err := peerHome(*home)
			if err != nil {
				return err
			}
			return a.servePeer(c.Context(), h)
		},
	}
}

func (a *app) servePeer(ctx context.Context, h node.Home) error {
	config, err := node.ReadPeer(h)
	if err != nil {
		return err
	}
	levels, err := config.Log.Levels(a.err)
	if err != nil {
		return err
	}
	log := levels.Logger("network")
	config.Memory.Apply(log)
	n, err := node.OpenPeer(h, node.Options{Pass: a.pass.get("Passphrase of the peer: ", false), Log: log, Software: Version, Work: a.work})
	if err != nil {
		return err
	}
	p(a.err, "the peer runs\n")
	for _, addr := range n.Addresses() {
		p(a.err, "others find it at %s\n", addr)
	}
	boss := overseen()
	defer boss.stop()
	_ = boss.say("READY=1") // nobody may listen
	for {
		select {
		case <-ctx.Done():
			_ = boss.say("STOPPING=1")
			return n.Close()
		case err := <-n.Done():
			_ = boss.say("STOPPING=1")
			return errors.Join(err, n.Close())
		case <-boss.ticks:
			_ = boss.say("WATCHDOG=1")
		}
	}
}

func (a *app) peersCommand() *cobra.Command {
	var home string
	c := &cobra.Command{
		Use: "peers", Short: "Show who is in the network of peers: how far, how well behaved, who is banned and why", Args: cobra.NoArgs,
		Long: `Show the peers that the running peer of a folder knows: those of its ring and its neighbours first, with the shortest
measured round trip, and how they behaved (0 is neutral, below it bad); those who are banned last. The first line is
how others find this one.`,
		Example: "  souk peers\n  souk peers --home ./home -o json\n  souk peers ban 3fa8 --for 7d --why 'sends rubbish'",
		RunE: func(c *cobra.Command, _ []string) error {
			return a.asking(c.Context(), &home, func(ctx context.Context, h node.Home) error {
				all, err := node.Peers(ctx, h)
				if err != nil {
					return err
				}
				return a.show(all, func(w io.Writer) { peersTable(w, &all) })
			})
		},
	}
	peerFlag(c, &home)
	c.AddCommand(a.peersBan(&home), a.peersUnban(&home))
	return c
}

func peersTable(w io.Writer, all *node.NetPeers) {
	for _, addr := range all.Self.Addresses {
		p(w, "this peer is %s\n", addr)
	}
	if len(all.Self.Addresses) == 0 {
		p(w, "this peer is %s, and only dials\n", all.Self.Peer)
	}
	p(w, "%s connected, by %s\n\n", count(all.Self.Connected, "peer"), all.Self.Transport)
	if len(all.Peers) == 0 {
		return
	}
	p(w, "PEER\tROUND TRIP\tSCORE\tWHAT\tADDRESS\n")
	for i := range all.Peers {
		x := &all.Peers[i]
		if x.Banned != 0 {
			p(w, "%s\t\t\tbanned until %s\t%s\n", x.Key[:16], when(x.Banned)[:16], clean(x.Why))
			continue
		}
		trip, addr := "", ""
		if x.RoundTrip > 0 {
			trip = (time.Duration(x.RoundTrip) * time.Microsecond).Round(10 * time.Microsecond).String()
		}
		if len(x.Addresses) > 0 {
			addr = clean(x.Addresses[len(x.Addresses)-1])
		}
		p(w, "%s\t%s\t%.1f\t%s\t%s\n", x.Key[:16], trip, x.Score, peerRole(x), addr)
	}
}

func peerRole(x *node.NetPeer) string {
	switch {
	case x.Ring:
		return "ring"
	case x.Neighbour && x.Connected:
		return "neighbour"
	case x.Connected:
		return "connected"
	}
	return "away"
}

func (a *app) peersBan(home *string) *cobra.Command {
	lasts, why := length(24*time.Hour), "by the operator"
	c := &cobra.Command{
		Use: "ban KEY", Short: "Shut a peer out for some time", Args: cobra.ExactArgs(1),
		Long: "Shut a peer out, by its key or the beginning of it: it is cut, and neither dialled nor let in until the time is over. The ban survives a restart.",
		RunE: func(c *cobra.Command, args []string) error {
			return a.asking(c.Context(), home, func(ctx context.Context, h node.Home) error {
				until := time.Now().Add(time.Duration(lasts))
				key, err := node.BanPeer(ctx, h, args[0], until, why)
				if err != nil {
					return err
				}
				ms := uint64(until.UnixMilli())
				return a.show(map[string]any{"peer": key, "banned_until": ms, "why": why}, func(w io.Writer) { p(w, "%s is banned until %s\n", key, when(ms)) })
			})
		},
	}
	c.Flags().Var(&lasts, "for", "how long, such as 12h or 30d")
	c.Flags().StringVar(&why, "why", why, "what souk peers says of it")
	return c
}

func (a *app) peersUnban(home *string) *cobra.Command {
	return &cobra.Command{
		Use: "unban KEY", Short: "Let a banned peer in again", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.asking(c.Context(), home, func(ctx context.Context, h node.Home) error {
				key, err := node.BanPeer(ctx, h, args[0], time.Time{}, "")
				if err != nil {
					return err
				}
				return a.show(map[string]string{"peer": key}, func(w io.Writer) { p(w, "%s is not banned\n", key) })
			})
		},
	}
}

func (a *app) netCommand() *cobra.Command {
	var home string
	c := &cobra.Command{Use: "net", Short: "The network of peers", Args: cobra.NoArgs}
	peerFlag(c, &home)
	c.AddCommand(&cobra.Command{
		Use: "doctor", Short: "Look for what could keep a peer from working, and say what to do", Args: cobra.NoArgs,
		Long: `Look for what could keep the peer of a folder, or of a server's home, from working: its configuration and files, tor, the
ways to find others and what came of them, who can reach it, mail, and the clock. It changes nothing; the exit
status is 1 if something is BAD. A note is no fault.`,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.asking(c.Context(), &home, func(ctx context.Context, h node.Home) error {
				return a.showFindings(node.NetDoctor(ctx, h))
			})
		},
	})
	return c
}
