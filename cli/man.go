package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"souk/node"
)

func (a *app) manCommand() *cobra.Command {
	var dir, date string
	var section int
	c := &cobra.Command{
		Use: "man", Short: "Write the manual pages", Args: cobra.NoArgs,
		Long: `Write the manual pages of all commands into a folder: souk.1, souk-order-place.1 and so on. man -l shows one. They say
what --help says. With --section 5 those of the files with settings are written: souk-config.toml.5, of a
server, souk-gate.toml.5, of a gate, and souk-peer.toml.5, of a peer. The same program writes the same bytes; a date stands in them only if --date gives one.`,
		Example: "  souk man --dir /usr/local/share/man/man1\n  souk man --dir /usr/local/share/man/man5 --section 5",
		RunE: func(c *cobra.Command, _ []string) error {
			if dir == "" {
				return usageError{errors.New("--dir: say into which folder")}
			}
			if section != 1 && section != 5 {
				return usageError{fmt.Errorf("--section %d: write 1, commands, or 5, files", section)}
			}
			if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // a folder of the manual is for all
				return fmt.Errorf("write manual pages: %w", err)
			}
			var files []string
			var err error
			if section == 5 {
				files, err = writeFilePages(dir, date)
			} else {
				files, err = writePages(c.Root(), dir, date)
			}
			if err != nil {
				return err
			}
			return a.show(map[string]any{"files": files}, func(w io.Writer) { p(w, "%s in %s\n", count(len(files), "page"), dir) })
		},
	}
	c.Flags().StringVar(&dir, "dir", "", "folder to write them to")
	c.Flags().IntVar(&section, "section", 1, "section of the manual: 1, commands, or 5, files with settings")
	c.Flags().StringVar(&date, "date", "", "date that they bear, such as 2026-11-21")
	return c
}

// writePages writes the page of a command and those of its subcommands.
func writePages(c *cobra.Command, dir, date string) (files []string, err error) {
	for _, sub := range c.Commands() {
		if sub.Hidden || sub.Name() == "help" {
			continue
		}
		more, err := writePages(sub, dir, date)
		if err != nil {
			return nil, err
		}
		files = append(files, more...)
	}
	file := filepath.Join(dir, pageName(c)+".1")
	if err := os.WriteFile(file, []byte(page(c, date)), 0o644); err != nil { //nolint:gosec // as above
		return nil, fmt.Errorf("write manual page: %w", err)
	}
	return append(files, file), nil
}

// writeFilePages writes the pages of the files with settings.
func writeFilePages(dir, date string) (files []string, err error) {
	for _, f := range []struct{ name, short, path, text, see, sample string }{
		{
			"souk-config.toml", "settings of a Souk server", "DIR/config.toml",
			"The file in the home of a server; souk init writes it. souk config check tells what is wrong with it, souk config show what applies. " +
				"Some settings count as soon as the server hears SIGHUP, as it says.",
			"souk-config", string(node.SampleConfig()),
		},
		{
			"souk-gate.toml", "settings of a Souk gate", "~/.config/souk/gate/gate.toml",
			"The file in the folder of a gate; souk gate init writes it. A gate reads it when it starts.",
			"souk-gate", string(node.SampleGate()),
		},
		{
			"souk-peer.toml", "settings of a Souk peer without a server", "~/.config/souk/peer/config.toml",
			"The file in the folder of a peer; souk peer init writes it. A peer reads it when it starts.",
			"souk-peer", string(node.SamplePeer()),
		},
	} {
		var b strings.Builder
		p(&b, ".TH %s 5 %s %s %s\n", inQuotes(strings.ToUpper(f.name)), inQuotes(date), inQuotes("souk "+Version), inQuotes("Souk"))
		p(&b, ".SH NAME\n%s \\- %s\n.SH SYNOPSIS\n%s\n", roff(f.name), roff(f.short), roff(f.path))
		p(&b, ".SH DESCRIPTION\n%s\n", roff(f.text))
		p(&b, ".SH SETTINGS\nAll there are, with what each has if the file does not name it:\n.PP\n.nf\n%s\n.fi\n", roff(strings.TrimSpace(f.sample)))
		p(&b, ".SH SEE ALSO\n.BR souk (1),\n.BR %s (1)\n", roff(f.see))
		file := filepath.Join(dir, f.name+".5")
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil { //nolint:gosec // as above
			return nil, fmt.Errorf("write manual page: %w", err)
		}
		files = append(files, file)
	}
	return files, nil
}

// pageName is the name of a command's page.
func pageName(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }

// page is a command's manual page.
func page(c *cobra.Command, date string) string {
	hideUseless(c.Root(), c)
	var b strings.Builder
	p(&b, ".TH %s 1 %s %s %s\n", inQuotes(strings.ToUpper(pageName(c))), inQuotes(date), inQuotes("souk "+Version), inQuotes("Souk"))
	p(&b, ".SH NAME\n%s \\- %s\n", roff(pageName(c)), roff(c.Short))
	b.WriteString(".SH SYNOPSIS\n")
	for _, use := range strings.Split(strings.TrimSuffix(c.UseLine(), " [flags]"), "\n") {
		p(&b, "%s\n.br\n", roff(use))
	}
	b.WriteString(".SH DESCRIPTION\n")
	writeText(&b, cmp.Or(c.Long, c.Short+"."))
	writeSubcommands(&b, c)
	writeFlags(&b, "OPTIONS", c.NonInheritedFlags())
	writeFlags(&b, "SHARED OPTIONS", c.InheritedFlags())
	if c.Example != "" {
		p(&b, ".SH EXAMPLES\n.nf\n%s\n.fi\n", roff(c.Example))
	}
	if !c.HasParent() {
		b.WriteString(rootSections)
	}
	writeRelated(&b, c)
	return b.String()
}

// rootSections are sections of the page of souk itself.
const rootSections = `.SH EXIT STATUS
.TP
0
What was asked is done.
.TP
1
It is not; standard error says why and what to do. For souk doctor: something is wrong.
.TP
2
The command line is not understood, or an audit cannot tell.
.SH ENVIRONMENT
.TP
NO_COLOR
If it is not empty, souk top uses no colours.
.TP
GOMEMLIMIT
Soft limit of a server's memory; it goes before its configuration.
.SH FILES
.TP
~/.config/souk/purse
The purse: a user's sealed words or key, and which virtual server they are for.
.TP
DIR/config.toml
Settings of the server in a home; souk config init \-\-print shows all, with comments.
`

// writeSubcommands lists subcommands, by group.
func writeSubcommands(b *strings.Builder, c *cobra.Command) {
	if !c.HasAvailableSubCommands() {
		return
	}
	b.WriteString(".SH COMMANDS\n")
	list := func(group string) {
		for _, sub := range c.Commands() {
			if !sub.Hidden && sub.Name() != "help" && sub.GroupID == group {
				p(b, ".TP\n.BR %s (1)\n%s.\n", roff(pageName(sub)), roff(sub.Short))
			}
		}
	}
	for _, g := range c.Groups() {
		p(b, ".SS %s\n", inQuotes(strings.TrimSuffix(g.Title, ":")))
		list(g.ID)
	}
	if len(c.Groups()) > 0 {
		b.WriteString(".SS \"Others\"\n")
	}
	list("")
}

// writeFlags lists flags that are not hidden.
func writeFlags(b *strings.Builder, title string, flags *pflag.FlagSet) {
	if !flags.HasAvailableFlags() {
		return
	}
	p(b, ".SH %s\n", title)
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		name := "--" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		value, usage := pflag.UnquoteUsage(f)
		if value != "" {
			name += " " + value
		}
		if d := f.DefValue; d != "" && d != "false" && d != "0" && d != "[]" && d != "0s" && d != "-1" {
			usage += " (default " + d + ")"
		}
		p(b, ".TP\n.B %s\n%s\n", roff(name), roff(usage))
	})
}

// writeRelated names the pages above and beside.
func writeRelated(b *strings.Builder, c *cobra.Command) {
	var all []string
	if c.HasParent() {
		all = append(all, fmt.Sprintf(".BR %s (1)", roff(pageName(c.Parent()))))
		for _, sub := range c.Commands() {
			if !sub.Hidden {
				all = append(all, fmt.Sprintf(".BR %s (1)", roff(pageName(sub))))
			}
		}
	}
	if len(all) > 0 {
		p(b, ".SH SEE ALSO\n%s\n", strings.Join(all, ",\n"))
	}
}

// writeText writes paragraphs. Lines that are indented stay as they are.
func writeText(b *strings.Builder, text string) {
	for i, paragraph := range strings.Split(text, "\n\n") {
		if i > 0 {
			b.WriteString(".PP\n")
		}
		if strings.HasPrefix(paragraph, " ") {
			p(b, ".nf\n%s\n.fi\n", roff(paragraph))
		} else {
			p(b, "%s\n", roff(paragraph))
		}
	}
}

// roff is text as the language of manual pages has it.
func roff(text string) string {
	lines := strings.Split(strings.NewReplacer(`\`, `\e`, "-", `\-`, "\t", "    ").Replace(text), "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}

// inQuotes is text as an argument of a request.
func inQuotes(text string) string { return `"` + strings.ReplaceAll(roff(text), `"`, `\(dq`) + `"` }
