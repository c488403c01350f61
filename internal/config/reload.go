package config

import (
	"maps"
	"reflect"
)

// Reloaded returns the configuration that holds when a server that runs by c takes over next: c
// with what can change while the server runs. taken names the options in which next differs and
// which are taken over, left those that need a new start.
func (c Config) Reloaded(next Config) (merged Config, taken, left []string) {
	merged = c
	raw := maps.Clone(*c.raw)
	merged.File, merged.raw = next.File, &raw
	for _, o := range options {
		same := c.same(&next, o)
		switch {
		case o.reload:
			// Also if it is written as before: what stands in a file that it names may have
			// changed.
			raw[o.key] = (*next.raw)[o.key]
			_ = o.bind(&merged).parse(raw[o.key])
			if !same {
				taken = append(taken, o.key)
			}
		case !same:
			left = append(left, o.key)
		}
	}
	if !reflect.DeepEqual(c.Apps, next.Apps) {
		merged.Apps = next.Apps
		taken = append(taken, serverKey)
	}
	return merged, taken, left
}

// same says whether two configurations agree on an option, however it is written.
func (c *Config) same(other *Config, o option) bool {
	if (*c.raw)[o.key] == (*other.raw)[o.key] {
		return true
	}
	a, b := o.bind(c), o.bind(other)
	switch a.kind {
	case kindBool, kindNumber, kindDuration, kindSize: // print shows all of them
		return a.print() == b.print()
	}
	return false
}
