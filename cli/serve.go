package cli

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"souk/node"
	"souk/store/sealed"
)

// homeFlag adds --home.
func homeFlag(c *cobra.Command, home *string) {
	c.Flags().StringVar(home, "home", defaultHome, "folder of the server")
}

func (a *app) serveCommand() *cobra.Command {
	var home string
	var f serveGate
	c := &cobra.Command{
		Use: "serve", Short: "Run the server of a home", Args: cobra.NoArgs,
		Long: `Run the server of a home, until it is ended by SIGTERM or SIGINT. SIGHUP has it read config.toml again: levels
of the log and the certificate count at once, the rest from the next start on, and the log says what that is.

With --gate a gate of the operator's own account runs in the same process, for a server that belongs to
one person; its passphrase comes from a file of its own.`,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.serve(c.Context(), node.Home(home), &f)
		},
	}
	homeFlag(c, &home)
	c.Flags().StringVar(&f.home, "gate", "", "folder of a gate to open as well, made with souk gate init")
	c.Flags().StringVar(&f.pass, "gate-passphrase-file", "", "file whose first line is the passphrase of that gate")
	return c
}

// serveGate says which gate runs beside a server.
type serveGate struct{ home, pass string }

// open opens the gate; nil if there is none.
func (f *serveGate) open(a *app) (*node.Gate, error) {
	if f.home == "" {
		return nil, nil //nolint:nilnil // none is wanted
	}
	if f.pass == "" {
		return nil, usageError{errors.New("--gate needs --gate-passphrase-file")}
	}
	g, err := a.openGate(node.GateHome(f.home), sealed.FromFile(f.pass), "")
	if err == nil {
		p(a.err, "the gate listens at %s, and is open when its record is up to date\n", g.URL())
	}
	return g, err
}

// mostSilent is how long a part of a server may be busy with itself before the service
// manager is not told any more that all is well.
const mostSilent = 2 * time.Minute

func (a *app) serve(ctx context.Context, home node.Home, f *serveGate) error {
	config, err := node.ReadConfig(home.Config())
	if err != nil {
		return err
	}
	if len(config.Virtual) == 0 {
		return fmt.Errorf("%s names no virtual server: found one with souk federation create, or join one with souk federation join", home.Config())
	}
	levels, err := config.Log.Levels(a.err)
	if err != nil {
		return err
	}
	log := levels.Logger("node")
	config.Memory.Apply(log)
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	n, err := node.Open(home, node.Options{
		Pass: a.pass.get("Passphrase of the server's keys: ", false), Levels: levels, Software: Version,
	})
	if err != nil {
		return err
	}
	p(a.err, "serving on %s\n", n.Addr())
	g, err := f.open(a)
	if err != nil {
		return errors.Join(err, n.Close())
	}
	gateEnded := g.Done()
	boss := overseen()
	defer boss.stop()
	tell := func(words string) {
		if err := boss.say(words); err != nil {
			log.WarnContext(ctx, "the service manager does not listen", slog.Any("error", err))
		}
	}
	tell("READY=1\nSTATUS=serving on " + n.Addr())
	for {
		select {
		case <-ctx.Done():
			tell("STOPPING=1")
			return errors.Join(g.Close(), n.Close())
		case err := <-n.Done():
			tell("STOPPING=1")
			return errors.Join(err, g.Close(), n.Close())
		case err := <-gateEnded: // which is no reason to end the server
			log.ErrorContext(ctx, "the gate has ended", slog.Any("error", err))
			gateEnded = nil
		case <-boss.ticks:
			if n.Alive(mostSilent) { // else it ends this process, and starts another
				tell("WATCHDOG=1")
			}
		case <-hangup:
			if err := n.Reload(); err != nil {
				log.ErrorContext(ctx, "the configuration cannot be used; nothing has changed", slog.Any("error", err))
			}
		}
	}
}

func (a *app) exportCommand() *cobra.Command {
	var home, out string
	var height uint64
	c := &cobra.Command{
		Use: "export", Short: "Write the state of a stopped server, and its proof, to a file", Args: cobra.NoArgs,
		Long: `Write the state of a stopped server's virtual server to a file: that after its newest block, with the
signatures that prove it by the founding contract. The file is what souk federation refound begins with, and
whoever reads it checks the proof. Of several virtual servers, --id says which one.`,
		RunE: func(*cobra.Command, []string) error {
			f, err := os.OpenFile(out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
			if err != nil {
				return fmt.Errorf("export: %w", err)
			}
			err = errors.Join(node.Export(node.Home(home), a.id, height, f), f.Sync(), f.Close())
			var o *node.Origin
			if err == nil {
				o, _, err = node.ReadOrigin(out) // as all will who are given it
			}
			if err != nil {
				return errors.Join(err, os.Remove(out))
			}
			value := originValue(o)
			value["file"] = out
			return a.show(value, func(w io.Writer) {
				p(w, "%s holds the state after block %d, root %s\n", filepath.Base(out), o.Height, o.Root)
				printOrigin(w, o)
			})
		},
	}
	homeFlag(c, &home)
	c.Flags().StringVar(&out, "out", "souk-export", "file to write")
	c.Flags().Uint64Var(&height, "height", 0, "refuse unless the newest block is this one, so that several members export the same; 0: whichever it is")
	return c
}

// originValue is what an export proves, for programs.
func originValue(o *node.Origin) map[string]any {
	return map[string]any{
		"from": hex.EncodeToString(o.Server[:]), "height": o.Height, "root": o.Root.String(),
		"signed_root": o.Signed.String(), "signed_at": o.Time.UTC().Format(time.RFC3339), "signers": o.Signers, "members": o.Members,
	}
}

// printOrigin says what proves an export.
func printOrigin(w io.Writer, o *node.Origin) {
	p(w, "proven by the founding contract of virtual server %x: block %d, on the state with root %s, was signed by %s (of %d members) on %s, %s ago\n",
		o.Server[:], o.Height, o.Signed, strings.Join(o.Signers, ", "), o.Members, o.Time.UTC().Format("2006-01-02 15:04:05 UTC"), elapsed(o.Time))
}

// elapsed is how long ago a time was, roughly.
func elapsed(t time.Time) string {
	d := max(time.Since(t), 0)
	if days := int(d / (24 * time.Hour)); days > 1 {
		return fmt.Sprintf("%d days", days)
	}
	return d.Round(time.Second).String()
}

func (a *app) doctorCommand() *cobra.Command {
	var home, gate string
	c := &cobra.Command{
		Use: "doctor", Short: "Look for what could keep a server from working, or a gate", Args: cobra.NoArgs,
		Long: `Look for what could keep the server of a home from working: configuration, keys, disk, ports, certificate, the
other members, banks, chains and the archive. With --gate it looks at the gate in that folder instead. It changes
nothing, and needs no passphrase; the exit status is 1 if something is BAD. A note is no fault.`,
		Example: "  souk doctor --home ./home\n  souk doctor --gate ~/.config/souk/gate",
		RunE: func(c *cobra.Command, _ []string) error {
			if gate != "" && c.Flags().Changed("home") {
				return usageError{errors.New("--home is a server's folder, --gate a gate's: look at one after the other")}
			}
			var findings []node.Finding
			if gate != "" {
				findings = node.GateDoctor(c.Context(), node.GateHome(gate))
			} else {
				findings = node.Doctor(c.Context(), node.Home(home))
			}
			return a.showFindings(findings)
		},
	}
	homeFlag(c, &home)
	c.Flags().StringVar(&gate, "gate", "", "folder of a gate, to look at that")
	return c
}

// showFindings shows what a doctor found, and complains if something is bad.
func (a *app) showFindings(findings []node.Finding) error {
	bad := 0
	for _, f := range findings {
		if f.Bad {
			bad++
		}
	}
	err := a.show(findings, func(w io.Writer) {
		for _, f := range findings {
			mark := "ok"
			switch {
			case f.Bad:
				mark = "BAD"
			case f.Note:
				mark = "note"
			}
			p(w, "%s\t%s\t%s\n", mark, f.What, f.Detail)
		}
	})
	if err == nil && bad > 0 {
		err = fmt.Errorf("%d of %d checks failed", bad, len(findings))
	}
	return err
}
