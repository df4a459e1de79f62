package node

import (
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"

	"github.com/pelletier/go-toml/v2"
)

// Setting is one value of a configuration as it applies.
type Setting struct {
	Name   string `json:"name"`
	Value  string `json:"value"`  // as TOML
	Origin string `json:"origin"` // config.toml:LINE, or default
}

// tomlValue is a value as it stands in a config file.
func tomlValue(v any) string {
	switch v := v.(type) {
	case string:
		return fmt.Sprintf("%q", v)
	case []string:
		return tomlList(v)
	}
	return fmt.Sprint(v)
}

// Settings are all values of a home's configuration as they apply.
func Settings(h Home) ([]Setting, error) {
	c, err := ReadConfig(h.Config())
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(h.Config())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	var said map[string]any
	if err := toml.Unmarshal(data, &said); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	lines := numberLines(data)
	section := func(name, table string, value any, said map[string]any) []Setting {
		var all []Setting
		v := reflect.ValueOf(value)
		for i := range v.NumField() {
			if v.Field(i).Kind() == reflect.Struct {
				continue // a table of its own
			}
			key := v.Type().Field(i).Tag.Get("toml")
			s := Setting{Name: name + "." + key, Value: tomlValue(v.Field(i).Interface()), Origin: "default"}
			if _, ok := said[key]; ok {
				s.Origin = h.Config()
				if line := lines.of(table + "." + key); line != 0 {
					s.Origin = fmt.Sprintf("%s:%d", h.Config(), line)
				}
			}
			all = append(all, s)
		}
		return all
	}
	table := func(name string) map[string]any {
		m, _ := said[name].(map[string]any)
		return m
	}
	all := section("http", "http", c.HTTP, table("http"))
	all = append(all, section("admin", "admin", c.Admin, table("admin"))...)
	all = append(all, section("log", "log", c.Log, table("log"))...)
	all = append(all, section("memory", "memory", c.Memory, table("memory"))...)
	all = append(all, section("events", "events", c.Events, table("events"))...)
	all = append(all, section("archive", "archive", c.Archive, table("archive"))...)
	all = append(all, section("practice", "practice", c.Practice, table("practice"))...)
	all = append(all, section("network", "network", c.Network, table("network"))...)
	for _, sub := range []struct {
		name  string
		value any
	}{{"find", c.Network.Find}, {"tor", c.Network.Tor}, {"darknet", c.Network.Darknet}, {"mail", c.Network.Mail}} {
		m, _ := table("network")[sub.name].(map[string]any)
		all = append(all, section("network."+sub.name, "network."+sub.name, sub.value, m)...)
	}
	chains := table("chains")
	for _, network := range slices.Sorted(maps.Keys(c.Chains)) {
		m, _ := chains[network].(map[string]any)
		all = append(all, section("chains."+network, "chains."+network, c.Chains[network], m)...)
	}
	list, _ := said["virtual_server"].([]any)
	for i := range c.Virtual {
		var m map[string]any
		if i < len(list) {
			m, _ = list[i].(map[string]any)
		}
		all = append(all, section(fmt.Sprintf("virtual_server.%d", i+1), fmt.Sprintf("virtual_server.%d", i), c.Virtual[i], m)...)
	}
	return all, nil
}
