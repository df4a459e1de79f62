package merkle_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"flag"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"souk/merkle"
)

var update = flag.Bool("update", false, "write the vectors in testdata anew")

// TestSpecification checks the worked examples of docs/spec/01-values.md: every
// hash stands there, and is what the code computes.
func TestSpecification(t *testing.T) {
	text, err := os.ReadFile("../docs/spec/01-values.md")
	if err != nil {
		t.Fatal(err)
	}
	stands := func(what string, h merkle.Hash) {
		t.Helper()
		if !strings.Contains(string(text), h.String()) {
			t.Errorf("%s is %v, which the specification does not say", what, h)
		}
	}
	order := func(n uint64) (k merkle.Key) {
		k[0] = 5
		binary.BigEndian.PutUint64(k[1:], n)
		return k
	}
	values := [][]byte{[]byte("one"), []byte("two"), []byte("three")}
	var changes []merkle.Change
	var leaves []merkle.Hash
	for i, v := range values {
		c := merkle.Change{Key: order(uint64(i) + 1), Value: v}
		changes = append(changes, c)
		leaves = append(leaves, merkle.New().Update([]merkle.Change{c}))
		stands("value hash", sha256.Sum256(v))
		stands("leaf", leaves[i])
	}
	m := merkle.New()
	right, root := merkle.New().Update(changes[1:]), m.Update(changes)
	stands("right", right)
	stands("root", root)

	key2, hash2 := order(2), sha256.Sum256(values[1])
	want := slices.Concat(key2[:], hash2[:], []byte{0x46}, leaves[0][:], []byte{0x47}, leaves[2][:])
	if got := m.Prove(key2).Encode(); !bytes.Equal(got, want) {
		t.Errorf("proof of number 2 is %x, want %x", got, want)
	}
	key1, hash1 := order(1), sha256.Sum256(values[0])
	want = slices.Concat(key1[:], hash1[:], []byte{0x46}, right[:])
	if got := m.Prove(order(0)).Encode(); !bytes.Equal(got, want) {
		t.Errorf("proof of number 0 is %x, want %x", got, want)
	}

	item := func(i int) merkle.Hash { return sum([]byte{2}, values[i]) }
	item0, item1, item2 := item(0), item(1), item(2)
	pair := sum([]byte{3}, item0[:], item1[:])
	top := sum([]byte{3}, pair[:], item2[:])
	for i, h := range []merkle.Hash{item0, item1, item2, pair, top, merkle.Root(values)} {
		stands("hash "+string(rune('a'+i)), h)
	}
	var l merkle.List
	for _, v := range values {
		l.Append(v)
	}
	want = slices.Concat([]byte{0, 0, 0, 1, 0, 0, 0, 3}, item2[:], item0[:])
	if got := l.Prove(1).Encode(); !bytes.Equal(got, want) {
		t.Errorf("proof of item 1 is %x, want %x", got, want)
	}
}

// vectorFile is what other implementations check themselves against.
type vectorFile struct {
	Source string       `json:"source"`
	Maps   []mapVector  `json:"maps"`
	Lists  []listVector `json:"lists"`
}

type mapVector struct {
	Entries [][2]string `json:"entries"` // key, value
	Root    string      `json:"root"`
	Proofs  [][2]string `json:"proofs"` // key, proof; present if the key is among the entries
}

type listVector struct {
	Values []string `json:"values"`
	Root   string   `json:"root"`
	Proofs []string `json:"proofs"` // by index
}

// V-20 to V-27: the vectors for other implementations. With -update they are
// written from the model and the proofs of this implementation.
func TestVectors(t *testing.T) {
	made := makeVectors()
	data, err := json.MarshalIndent(made, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	data = append(data, '\n')
	const name = "testdata/vectors.json"
	if *update {
		if err := os.WriteFile(name, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	stored, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(stored, data) {
		t.Errorf("%s is not what this implementation makes", name)
	}
}

func makeVectors() vectorFile {
	file := vectorFile{Source: "souk, docs/spec/01-values.md V-20 to V-27"}
	rng := rand.New(rand.NewPCG(7, 8))
	for _, n := range []int{0, 1, 2, 3, 20} {
		contents, m := model{}, merkle.New()
		var changes []merkle.Change
		for i := range n {
			changes = append(changes, merkle.Change{Key: stateKey(rng, i), Value: bytes.Repeat([]byte{byte(i)}, i)})
			if i == 0 {
				changes[0].Value = []byte{}
			}
		}
		slices.SortFunc(changes, func(a, b merkle.Change) int { return a.Key.Compare(b.Key) })
		contents.apply(changes)
		m.Update(changes)
		v := mapVector{Entries: [][2]string{}, Root: contents.root().String()}
		for _, c := range changes {
			v.Entries = append(v.Entries, [2]string{c.Key.String(), hex.EncodeToString(c.Value)})
		}
		for i := range n + 3 {
			k := stateKey(rng, 2*i+1)
			if i < n {
				k = changes[i].Key
			}
			v.Proofs = append(v.Proofs, [2]string{k.String(), hex.EncodeToString(m.Prove(k).Encode())})
		}
		file.Maps = append(file.Maps, v)
	}
	for _, n := range []int{0, 1, 2, 3, 7} {
		var l merkle.List
		var values [][]byte
		v := listVector{Values: []string{}, Proofs: []string{}}
		for i := range n {
			values = append(values, bytes.Repeat([]byte{byte(i)}, i))
			l.Append(values[i])
			v.Values = append(v.Values, hex.EncodeToString(values[i]))
		}
		for i := range n {
			v.Proofs = append(v.Proofs, hex.EncodeToString(l.Prove(i).Encode()))
		}
		v.Root = listModel(values).String()
		file.Lists = append(file.Lists, v)
	}
	return file
}
