package node_test

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"runtime"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"souk/exchange"
	"souk/node"
)

// FuzzParseConfig reads config files. What is taken is written and read back as the
// same.
func FuzzParseConfig(f *testing.F) {
	one := node.DefaultConfig()
	one.Virtual = []node.VirtualConfig{{Founding: "vs/x/founding", Keys: "keys", KeepBlocks: 1, SnapshotEvery: 1, HistoryDays: -1}}
	f.Add(node.ConfigText(&one))
	f.Add([]byte("[[virtual_server]]\nfounding = \"f\"\nkeep_blocks = 7\n"))
	f.Add([]byte("[chains.bitcoin-regtest]\nkind = \"rpc\"\nurl = \"http://127.0.0.1:1\"\nuser = \"u\"\npassword_file = \"p\"\n"))
	f.Add([]byte("[http]\nlisten = \"\\u0007\"\n[memory]\nlimit = \"1GiB\"\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := node.ParseConfig(data)
		if err != nil {
			return
		}
		text := node.ConfigText(&c)
		back, err := node.ParseConfig(text)
		if err != nil {
			t.Fatalf("written as\n%s\nit is not read back: %v", text, err)
		}
		if again := node.ConfigText(&back); !bytes.Equal(again, text) {
			t.Fatalf("written and read back it differs:\n%s", cmp.Diff(string(text), string(again)))
		}
	})
}

// FuzzParseTerms reads founding terms and founds with them. What comes of it is a
// contract that is read back.
func FuzzParseTerms(f *testing.F) {
	f.Add([]byte(goodTerms))
	f.Add([]byte("name = \"x\"\nprofile = \"wan\"\nfee_asset = \"BTC\"\nfee = \"0.1\"\n[[asset]]\nsymbol = \"BTC\"\n"))
	f.Add([]byte("[[banks]]\nasset = \"BTC\"\nnetwork = \"bitcoin-regtest\"\n[banks.recovery]\nkeys = 1\n"))
	cards := []exchange.Card{member("alice", 1)}
	f.Fuzz(func(t *testing.T, data []byte) {
		terms, err := node.ParseTerms(data)
		if err != nil {
			return
		}
		c, err := node.Found(&terms, cards)
		if err != nil {
			return
		}
		if _, err := exchange.ParseFounding(c.Append(nil)); err != nil {
			t.Fatalf("a contract that nobody can read: %v", err)
		}
	})
}

// tarOf is a backup file of some files, with a list that fits.
func tarOf(tb testing.TB, files ...string) []byte {
	tb.Helper()
	list := node.Backup{Version: 1, Made: 1, Member: "alice"}
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	put := func(name string, data []byte) {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(data))}); err != nil {
			tb.Fatal(err)
		}
		if _, err := w.Write(data); err != nil {
			tb.Fatal(err)
		}
	}
	for _, name := range files {
		sum := sha256.Sum256([]byte(name))
		list.Files = append(list.Files, node.BackupFile{Path: name, Size: int64(len(name)), Hash: hex.EncodeToString(sum[:])})
	}
	data, err := json.Marshal(list)
	if err != nil {
		tb.Fatal(err)
	}
	put("souk-backup.json", data)
	for _, name := range files {
		put(name, []byte(name))
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return out.Bytes()
}

// FuzzReadBackup reads backups. What is taken holds every file that its list names,
// and no more bytes than the file that it was read from.
func FuzzReadBackup(f *testing.F) {
	f.Add(tarOf(f))
	f.Add(tarOf(f, "config.toml", "card"))
	f.Add(tarOf(f, "../card"))
	f.Add(sparseTar(f, 1<<20))
	f.Fuzz(func(t *testing.T, data []byte) {
		b, content, err := node.ReadBackup(bytes.NewReader(data))
		if err != nil {
			return
		}
		size := 0
		for _, c := range content {
			size += len(c)
		}
		if size > len(data) {
			t.Fatalf("%d bytes of a file of %d", size, len(data))
		}
		for _, file := range b.Files {
			if sum := sha256.Sum256(content[file.Path]); hex.EncodeToString(sum[:]) != file.Hash {
				t.Fatalf("%s is not what the list says", file.Path)
			}
		}
	})
}

// sparseTar is a tar file of a few blocks whose one file counts as size bytes, all of
// them a hole (the old GNU form).
func sparseTar(tb testing.TB, size int64) []byte {
	tb.Helper()
	block := make([]byte, 512)
	octal := func(from, digits int, v int64) {
		for i := from + digits - 1; i >= from; i-- {
			block[i] = byte('0' + v%8)
			v /= 8
		}
	}
	copy(block, "souk-backup.json")
	octal(100, 7, 0o600)
	octal(108, 7, 0)
	octal(116, 7, 0)
	octal(124, 11, 0)
	octal(136, 11, 0)
	block[156] = 'S'
	copy(block[257:], "ustar  \x00")
	octal(386, 11, size) // a segment of no bytes at the end
	octal(398, 11, 0)
	octal(483, 11, size) // what the file counts as
	sum := int64(8 * ' ')
	for i, b := range block {
		if i < 148 || i >= 156 {
			sum += int64(b)
		}
	}
	octal(148, 6, sum)
	block[155] = ' '
	return slices.Concat(block, make([]byte, 1024))
}

// A backup is not read into more memory than it is long: holes of sparse files, which
// a few bytes can make endless, are none of ours.
func TestSparseBackup(t *testing.T) {
	data := sparseTar(t, 64<<20)
	if head, err := tar.NewReader(bytes.NewReader(data)).Next(); err != nil || head.Size != 64<<20 {
		t.Fatalf("%+v: %v", head, err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, _, err := node.ReadBackup(bytes.NewReader(data))
	runtime.ReadMemStats(&after)
	if !errors.Is(err, node.ErrBackup) {
		t.Errorf("it is taken: %v", err)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 16<<20 {
		t.Errorf("%d bytes of memory for a file of %d", used, len(data))
	}
}
