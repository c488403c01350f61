package config

import (
	"fmt"
	"slices"
	"strings"
)

// unknownKey says that a key does not exist, and which one was probably meant.
func unknownKey(name string, here []string) string {
	leaf := name[strings.LastIndexByte(name, '.')+1:]
	switch {
	case name == configFile:
		return "config_file names this file and cannot stand in it; use --config_file or CONFIG_FILE"
	case !slices.Contains(here, leaf) && slices.Contains(appKeyNames(), leaf):
		return fmt.Sprintf("%s belongs into an entry of server, write%s", name, appExample)
	case strings.Contains(name, "."):
		if _, ok := find(leaf); ok {
			return fmt.Sprintf("%s stands too deep; write %s without the spaces before it", name, leaf)
		}
	case slices.Equal(here, appKeyNames()):
		if _, ok := find(name); ok {
			return fmt.Sprintf("%s is an option of the whole server; write it without the spaces before it", name)
		}
	}
	for _, o := range options {
		if parent, child, ok := strings.Cut(o.key, "."); ok && child == leaf && name != o.key {
			return fmt.Sprintf("there is no option %s; write\n  %s:\n    %s: …", name, parent, child)
		}
	}
	if best := nearest(name, here); best != "" {
		return fmt.Sprintf("there is no option %s; did you mean %s?", name, best)
	}
	return fmt.Sprintf("there is no option %s; remove the line, livego.yaml and livego --help list all options", name)
}

// nearest returns the name that is the fewest slips away, or nothing when none is near.
func nearest(name string, names []string) string {
	plain := func(s string) string {
		return strings.NewReplacer("-", "", "_", "", ".", "", " ", "").Replace(strings.ToLower(s))
	}
	best, least := "", max(2, len(name)/3)+1
	for _, candidate := range names {
		if d := distance(plain(name), plain(candidate)); d < least {
			best, least = candidate, d
		}
	}
	return best
}

// distance is the Levenshtein distance of two texts, in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
