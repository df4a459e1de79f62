package cli

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"souk/exchange"
	"souk/node"
)

func (a *app) backupCommand() *cobra.Command {
	var home string
	c := &cobra.Command{
		Use: "backup DIR|FILE", Short: "Copy all that an operator must keep of a home into one file", Args: cobra.ExactArgs(1),
		Long: `Copy all that an operator must keep of a home into one file: keys, which are sealed and stay so, cards,
configuration, founding contracts, signing journals. In a folder the file gets the member's name and the
date. The server may be running. Passphrases, passwords of nodes, cookies and TLS keys are not copied: keep
them elsewhere. State and blocks come from the other members.

Back up when keys or cards have changed, that is after souk init, card new, card bank-keys and restore.`,
		Example: "  souk backup /mnt/safe --home ./home\n  souk backup alice.tar --home ./home",
		RunE: func(_ *cobra.Command, args []string) error {
			now := time.Now()
			path := args[0]
			if info, err := os.Stat(path); err == nil && info.IsDir() {
				card, err := node.Home(home).Card()
				if err != nil {
					return err
				}
				path = filepath.Join(path, fmt.Sprintf("souk-%s-%s.tar", card.Name, now.UTC().Format("20060102-150405")))
			}
			if strings.HasSuffix(path, string(filepath.Separator)) {
				return usageError{fmt.Errorf("there is no folder %s: make it first, or name a file without the %c", path, filepath.Separator)}
			}
			f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
			if err != nil {
				return fmt.Errorf("backup: %w", err)
			}
			b, err := node.Home(home).Backup(f, now)
			if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
				return errors.Join(err, os.Remove(path))
			}
			if err := node.Home(home).NoteBackup(&b); err != nil {
				return err
			}
			return a.show(map[string]any{"file": path, "backup": b}, func(w io.Writer) {
				p(w, "%s holds %d files of %s; the passphrase is not in it: keep it elsewhere\n", path, len(b.Files), b.Member)
				for _, id := range b.Alone {
					p(w, "NOBODY ELSE HAS THE STATE OF %.16s: keep the file of souk export --id %.16s too, made while the server is stopped\n", id, id)
				}
			})
		},
	}
	homeFlag(c, &home)
	return c
}

func (a *app) restoreCommand() *cobra.Command {
	var home string
	var s node.RestoreSetup
	c := &cobra.Command{
		Use: "restore FILE", Short: "Make a home out of a backup, whose server is lost", Args: cobra.ExactArgs(1),
		Long: `Make a new home out of a backup, after a server or its disk was lost for good. The operator's key and the
keys for banks are the old ones. Server, consensus and node keys are new: nobody knows what the old consensus
key has signed since the backup, and a key that signs twice has its member barred. So the other members must
vote for the new card that this prints; from then on the old server, should it come back, is nobody's.

It refuses while the old server answers, or while another member is connected with it; and if no other member
can be asked, unless you say that it is gone. If only the state was lost and the folder vs/ID/chain/sign is
there, do not restore: docs/operations.md, Replace a lost disk.`,
		Example: "  souk restore alice.tar --home ./home2 --p2p 192.0.2.8:26600",
		RunE: func(c *cobra.Command, args []string) error {
			in, err := os.Open(args[0])
			if err != nil {
				return fmt.Errorf("restore: %w", err)
			}
			defer in.Close() //nolint:errcheck // nothing was written
			s.Pass, s.Work, s.Now = a.pass.get("Passphrase of the keys in the backup: ", false), a.work, time.Now()
			r, err := node.Restore(c.Context(), node.Home(home), in, s)
			if err != nil {
				return err
			}
			value := map[string]any{"home": home, "member": r.Backup.Member, "cards": r.Cards, "joined": ids(r.Joined), "not_restored": ids(r.Lost)}
			return a.show(value, func(w io.Writer) { printRestored(w, home, &r) })
		},
	}
	homeFlag(c, &home)
	c.Flags().StringVar(&s.P2P, "p2p", "", "address under which the other servers reach it now (default: as before)")
	c.Flags().StringVar(&s.URL, "url", "", "base URL under which clients reach it now (default: as before)")
	c.Flags().BoolVar(&s.Gone, "old-server-is-gone", false, "nobody can be asked, and the old server runs nowhere and never will")
	c.Flags().BoolVar(&s.StateSync, "state-sync", false, "join from a copy of the state instead of executing all blocks")
	return c
}

func ids(all []exchange.ID) []string {
	texts := []string{}
	for _, id := range all {
		texts = append(texts, hex.EncodeToString(id[:]))
	}
	return texts
}

func printRestored(w io.Writer, home string, r *node.Restored) {
	p(w, "%s has the operator's key of %s and his keys for banks, and new keys for everything else\n", home, r.Backup.Member)
	for i := range r.Cards {
		p(w, "new card, which is in %s too:\n%s\n", r.Cards[i].File, r.Cards[i].Text)
	}
	for range r.Joined {
		p(w, "every other member now votes: souk vote replace-member %s CARD --home ...\n", r.Backup.Member)
		break
	}
	for _, id := range r.Joined {
		p(w, "virtual server %x: start with souk serve --home %s\n", id[:8], home)
	}
	for _, id := range r.Lost {
		p(w, "virtual server %x had this member alone: found it anew from an export (souk federation refound)\n", id[:8])
	}
	p(w, "passwords of nodes, TLS keys and passphrase files are not in a backup: put them where config.toml names them; then souk doctor --home %s\n", home)
}
