package cli

import (
	"context"
	"errors"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"souk/node"
)

func (a *app) configCommand() *cobra.Command {
	c := &cobra.Command{Use: "config", Short: "Write, show or check a server's configuration", Args: cobra.NoArgs}
	var home string
	var origin bool
	show := &cobra.Command{
		Use: "show", Short: "Show what applies, and with --origin where it comes from", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			settings, err := node.Settings(node.Home(home))
			if err != nil {
				return err
			}
			return a.show(settings, func(w io.Writer) {
				for _, s := range settings {
					if origin {
						p(w, "%s\t= %s\t%s\n", s.Name, s.Value, s.Origin)
					} else {
						p(w, "%s\t= %s\n", s.Name, s.Value)
					}
				}
			})
		},
	}
	homeFlag(show, &home)
	show.Flags().BoolVar(&origin, "origin", false, "say which line or default a value comes from")
	c.AddCommand(show, a.configInit(), a.configCheck())
	return c
}

func (a *app) configInit() *cobra.Command {
	var home string
	var out bool
	c := &cobra.Command{
		Use: "init", Short: "Write a configuration with every setting and what it is for", Args: cobra.NoArgs,
		Long: `Write a configuration with every setting, what it is for, and its default, into a home that has none: souk init
does that for a new server, this for one whose config.toml is lost. Then join its virtual servers again. With --print it is
printed instead.`,
		RunE: func(*cobra.Command, []string) error {
			if out {
				_, err := a.out.Write(node.SampleConfig())
				return err
			}
			h := node.Home(home)
			if err := node.WriteSample(h); err != nil {
				return err
			}
			return a.show(map[string]string{"file": h.Config()}, func(w io.Writer) { p(w, "%s\n", h.Config()) })
		},
	}
	homeFlag(c, &home)
	c.Flags().BoolVar(&out, "print", false, "print it, and write nothing")
	return c
}

func (a *app) configCheck() *cobra.Command {
	var home string
	c := &cobra.Command{
		Use: "check", Short: "Tell what is wrong with a configuration and the files that it names", Args: cobra.NoArgs,
		Long: `Tell what is wrong with a configuration and the files that it names, before a server is started with it. The exit
status is 1 if anything is. souk doctor looks at more.`,
		RunE: func(*cobra.Command, []string) error {
			h := node.Home(home)
			if err := node.CheckConfig(h); err != nil {
				return err
			}
			return a.show(map[string]any{"file": h.Config(), "ok": true}, func(w io.Writer) { p(w, "%s can be used\n", h.Config()) })
		},
	}
	homeFlag(c, &home)
	return c
}

func (a *app) logCommand() *cobra.Command {
	c := &cobra.Command{Use: "log", Short: "Change what a running server logs", Args: cobra.NoArgs}
	var home string
	level := &cobra.Command{
		Use: "level [LEVELS]", Short: "Show or change from which level on a running server logs", Args: cobra.MaximumNArgs(1),
		Long: `Show or change from which level on a running server logs: debug, info, warn or error, and behind it exceptions for its
parts (` + strings.Join(node.Subsystems(), ", ") + `). It counts until the server ends, or reads config.toml again because of SIGHUP.`,
		Example: "  souk log level --home ./home\n  souk log level info,consensus=debug,web=warn --home ./home",
		RunE: func(c *cobra.Command, args []string) error {
			text := ""
			if len(args) == 1 {
				if text = args[0]; text == "" {
					return usageError{errors.New("write levels such as info,consensus=debug")}
				}
			}
			ctx, cancel := context.WithTimeout(c.Context(), a.timeout)
			defer cancel()
			levels, err := node.LogLevels(ctx, node.Home(home), text)
			if err != nil {
				return err
			}
			return a.show(map[string]string{"level": levels}, func(w io.Writer) { p(w, "%s\n", levels) })
		},
	}
	homeFlag(level, &home)
	c.AddCommand(level)
	return c
}
