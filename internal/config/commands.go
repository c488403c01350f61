package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxCommands bounds the commands beside one stream.
const maxCommands = 16

// errCommands repeats nothing of what was written: it may hold secrets.
var errCommands = errors.New(`must be a list of commands, each a list of a program and its arguments, such as [[ffmpeg, -i, "{rtmp_url}", -f, flv, "{publish_url}?rendition=480p"]]`)

// commands is a list of lists of texts, as YAML or JSON.
func commands(p *[][]string) value {
	parse := func(s string) error {
		var list [][]string
		if err := yaml.NewDecoder(strings.NewReader(s)).Decode(&list); err != nil && strings.TrimSpace(s) != "" {
			return errCommands
		}
		if len(list) > maxCommands {
			return fmt.Errorf("has %d commands, at most %d", len(list), maxCommands)
		}
		if slices.ContainsFunc(list, func(args []string) bool { return len(args) == 0 || args[0] == "" }) {
			return errCommands
		}
		*p = list
		if len(list) == 0 {
			*p = nil
		}
		return nil
	}
	return value{kindYAML, parse, func() string {
		var names []string
		for _, args := range *p {
			names = append(names, args[0])
		}
		return strings.Join(names, ",")
	}}
}
