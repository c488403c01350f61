package config

import (
	"fmt"
	"io/fs"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
)

// given is one start of the server: what stands in livego.yaml, in the environment and on the
// command line.
type given struct {
	file  string // empty: there is none
	env   []string
	flags []string
}

func (g given) load(t *testing.T) (Config, []string, error) {
	t.Helper()
	flags := pflag.NewFlagSet("livego", pflag.ContinueOnError)
	AddFlags(flags)
	if err := flags.Parse(g.flags); err != nil {
		return Config{}, nil, err
	}
	return Load(Sources{Flags: flags, Environ: g.env, ReadFile: func(name string) ([]byte, error) {
		if g.file == "" || !strings.HasPrefix(name, "livego.") {
			return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
		}
		return []byte(g.file), nil
	}})
}

func (g given) mustLoad(t *testing.T) (Config, []string) {
	t.Helper()
	cfg, warnings, err := g.load(t)
	if err != nil {
		t.Fatal(err)
	}
	return cfg, warnings
}

// prefixes lets go-cmp compare networks, which have unexported fields.
func prefixes() cmp.Option { return cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }) }

// printed has the options of a configuration, and its apps, as they are printed.
func printed(cfg Config) map[string]string {
	all := make(map[string]string)
	for _, o := range options {
		all[o.key] = o.bind(&cfg).print()
	}
	for i, a := range cfg.Apps {
		for _, k := range appKeys {
			all[fmt.Sprint("app ", i, " ", k.name)] = k.bind(&a.App).print()
		}
	}
	return all
}
