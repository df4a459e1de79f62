package node

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// parseTOML reads TOML strictly. Its errors say in which line, of which field, what
// is wrong, and what is expected there.
func parseTOML(data []byte, into any) error {
	err := toml.NewDecoder(bytes.NewReader(data)).DisallowUnknownFields().Decode(into)
	kind := reflect.TypeOf(into).Elem()
	var strict *toml.StrictMissingError
	var one *toml.DecodeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &strict):
		var all []string
		for i := range strict.Errors {
			all = append(all, unknownKey(&strict.Errors[i], kind))
		}
		return errors.New(strings.Join(all, "\n"))
	case errors.As(err, &one):
		return wrongValue(one, kind, data)
	}
	return err
}

// unknownKey is what is said of a key that there is not.
func unknownKey(e *toml.DecodeError, kind reflect.Type) string {
	line, _ := e.Position()
	key := e.Key()
	known := "there are"
	for len(key) > 1 {
		t, ok := fieldOf(kind, key[0])
		if ok {
			t = elem(t)
		}
		name, rest := key[0], key[1:]
		if ok && t.Kind() == reflect.Map && len(rest) > 1 { // of sections that have names
			name, rest, t = name+"."+rest[0], rest[1:], elem(t.Elem())
		}
		if !ok || t.Kind() != reflect.Struct {
			break
		}
		known = fmt.Sprintf("[%s] has", name)
		kind, key = t, rest
	}
	return fmt.Sprintf("line %d: unknown key %s: %s %s", line, strings.Join(e.Key(), "."), known, strings.Join(fieldNames(kind), ", "))
}

// wrongValue is what is said of a value that is not understood, or not of the kind
// that the field takes.
func wrongValue(e *toml.DecodeError, kind reflect.Type, data []byte) error {
	line, _ := e.Position()
	t, ok := kind, len(e.Key()) > 0
	for _, k := range e.Key() {
		switch t = elem(t); {
		case ok && t.Kind() == reflect.Map:
			t = t.Elem()
		case ok && t.Kind() == reflect.Struct:
			t, ok = fieldOf(t, k)
		default:
			ok = false
		}
	}
	text := strings.TrimPrefix(e.Error(), "toml: ")
	if !ok {
		said := ""
		if lines := strings.Split(string(data), "\n"); line >= 1 && line <= len(lines) {
			said = strings.TrimSpace(lines[line-1])
		}
		return fmt.Errorf("line %d: %s: %s", line, said, text)
	}
	key := strings.Join(e.Key(), ".")
	found, _, cut := strings.Cut(strings.TrimPrefix(text, "cannot decode TOML "), " into ")
	switch {
	case cut && strings.HasPrefix(text, "cannot decode"):
		return fmt.Errorf("line %d: %s: expected %s, found %s", line, key, expected(t), article(found))
	case strings.Contains(text, "cannot be stored"):
		return fmt.Errorf("line %d: %s: expected %s that is not negative and not too large", line, key, expected(t))
	}
	return fmt.Errorf("line %d: %s: %s", line, key, text)
}

func article(kind string) string {
	switch {
	case kind == "string":
		return "text in quotes"
	case strings.ContainsRune("aeiou", rune(kind[0])):
		return "an " + kind
	}
	return "a " + kind
}

// expected is what a field takes.
func expected(t reflect.Type) string {
	switch {
	case t.Kind() == reflect.String:
		return `text in quotes, such as "0.01"`
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.String:
		return `a list of texts, such as ["ETH", "NMC"]`
	case t.Kind() == reflect.Slice:
		return "a section in double brackets, [[...]], for each one"
	case elem(t).Kind() == reflect.Struct:
		return "a section in brackets, [...]"
	}
	return "a whole number without quotes"
}

func elem(t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Slice || t.Kind() == reflect.Pointer {
		return t.Elem()
	}
	return t
}

// fieldOf is the type of the field with a TOML name.
func fieldOf(t reflect.Type, name string) (reflect.Type, bool) {
	for i := range t.NumField() {
		if f := t.Field(i); f.IsExported() && f.Tag.Get("toml") == name {
			return f.Type, true
		}
	}
	return nil, false
}

func fieldNames(t reflect.Type) []string {
	var all []string
	for i := range t.NumField() {
		if f := t.Field(i); f.IsExported() {
			all = append(all, f.Tag.Get("toml"))
		}
	}
	return all
}

// lineNumbers are the lines of a TOML file's keys: of those of tables in double
// brackets by table, number from 0, and key, also if they are in a table of that table.
type lineNumbers map[string]int

// of is the line of a key; if the key is not there, that of its table; else zero.
func (l lineNumbers) of(key string) int {
	if n, ok := l[key]; ok {
		return n
	}
	if i := strings.LastIndexByte(key, '.'); i >= 0 {
		return l[key[:i]]
	}
	return 0
}

// numberLines finds the lines of keys in a file that could be read.
func numberLines(data []byte) lineNumbers {
	lines, count := lineNumbers{}, map[string]int{}
	var p unstable.Parser
	p.Reset(data)
	table := ""
	for p.NextExpression() {
		e := p.Expression()
		var names []string
		line := 0
		for it := e.Key(); it.Next(); {
			k := it.Node()
			names = append(names, string(k.Data))
			if line == 0 {
				line = p.Shape(k.Raw).Start.Line
			}
		}
		name := strings.Join(names, ".")
		switch {
		case e.Kind == unstable.ArrayTable:
			table = fmt.Sprintf("%s.%d", name, count[name])
			count[name]++
			lines[table] = line
		case e.Kind == unstable.Table:
			table = name
			if of, field, ok := strings.Cut(name, "."); ok && count[of] > 0 { // of the last table in double brackets
				table = fmt.Sprintf("%s.%d.%s", of, count[of]-1, field)
			}
			lines[table] = line
		case table != "":
			lines[table+"."+name] = line
		default:
			lines[name] = line
		}
	}
	return lines
}
