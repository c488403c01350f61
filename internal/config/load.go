package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"
)

// Sources is where a configuration comes from.
type Sources struct {
	// Flags was given to AddFlags and then parsed; nil means no flags.
	Flags *pflag.FlagSet
	// Environ holds NAME=VALUE entries, as os.Environ returns them.
	Environ []string
	// ReadFile reads the configuration file; nil means os.ReadFile.
	ReadFile func(name string) ([]byte, error)
}

// Load reads and checks the configuration. The warnings are for the operator's eyes at the start.
// The error joins all that is wrong, each with the place where it stands.
func Load(s Sources) (Config, []string, error) {
	if s.ReadFile == nil {
		s.ReadFile = os.ReadFile
	}
	l := loader{origin: map[string]string{}, cfg: Config{raw: &written{}}}
	for _, o := range options {
		l.set(o, o.def, "default")
	}
	l.cfg.Apps = defaultApps()
	env := environment(s.Environ)
	l.readFile(s, env)
	l.readEnvironment(env)
	l.readFlags(s.Flags)
	if len(l.problems) == 0 {
		l.validate()
	}
	if err := errors.Join(l.problems...); err != nil {
		return Config{}, l.warnings, err
	}
	return l.cfg, l.warnings, nil
}

// Default returns the configuration that holds when no source says anything.
func Default() Config {
	cfg, _, _ := Load(Sources{ReadFile: func(string) ([]byte, error) { return nil, fs.ErrNotExist }})
	return cfg
}

func defaultApps() []App {
	a := newApp()
	a.Name, a.Live, a.HLS, a.FLV, a.API = "live", true, true, true, true
	return []App{a}
}

// loader collects a configuration and what is wrong with it.
type loader struct {
	cfg      Config
	origin   map[string]string // where an option's value came from, by key
	problems []error
	warnings []string
}

func (l *loader) problem(place, format string, args ...any) {
	l.problems = append(l.problems, fmt.Errorf("%s: %s", place, fmt.Sprintf(format, args...)))
}

func (l *loader) warn(format string, args ...any) {
	l.warnings = append(l.warnings, fmt.Sprintf(format, args...))
}

// set gives an option a value that was written at the place.
func (l *loader) set(o option, raw, place string) {
	if err := o.bind(&l.cfg).parse(raw); err != nil {
		l.problem(place, "%s: %v", o.key, err)
		return
	}
	(*l.cfg.raw)[o.key] = raw
	l.origin[o.key] = place
}

// given says whether somebody set the option, and so whether its default was not wanted.
func (l *loader) given(key string) bool { return l.origin[key] != "default" }

func (l *loader) readFile(s Sources, env map[string]string) {
	name, explicit := fileName(s.Flags, env)
	if name == "" {
		return
	}
	if strings.EqualFold(filepath.Ext(name), ".toml") {
		l.problem(name, "TOML is not read; write the same keys as YAML, for example: livego.yaml")
		return
	}
	data, err := s.ReadFile(name)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !explicit:
	case err != nil:
		l.problems = append(l.problems, fmt.Errorf("reading the configuration: %w", err))
	default:
		l.cfg.File = name
		l.parseFile(name, data)
	}
}

// fileName returns which file to read, and whether somebody asked for it. Named as nothing, no file
// is read.
func fileName(flags *pflag.FlagSet, env map[string]string) (name string, explicit bool) {
	if flags != nil {
		if f := flags.Lookup(configFile); f != nil && f.Changed {
			return f.Value.String(), true
		}
	}
	if name, ok := env[strings.ToUpper(configFile)]; ok {
		return name, true
	}
	return defaultConfigFile, false
}

func environment(entries []string) map[string]string {
	env := make(map[string]string, len(entries))
	for _, entry := range entries {
		if name, val, ok := strings.Cut(entry, "="); ok {
			env[name] = val
		}
	}
	return env
}

func (l *loader) readEnvironment(env map[string]string) {
	for _, o := range options {
		raw, ok := env[o.env()]
		if !ok {
			continue
		}
		place := "environment variable " + o.env()
		switch k := o.bind(&l.cfg).kind; {
		case raw == "" && (k == kindNumber || k == kindDuration || k == kindSize):
			l.problem(place, "is set but empty; unset it or give it a value, for example %s=%s", o.env(), o.def)
		default:
			l.set(o, raw, place)
		}
	}
	if _, ok := env["SERVER"]; ok {
		l.warn("environment variable SERVER is ignored: a list of apps can only stand in the configuration file, under server")
	}
}

func (l *loader) readFlags(flags *pflag.FlagSet) {
	if flags == nil {
		return
	}
	for _, o := range options {
		f := flags.Lookup(o.flag())
		if f == nil || !f.Changed {
			continue
		}
		held, ok := f.Value.(*flagValue)
		if !ok {
			continue
		}
		l.set(o, held.raw, "flag --"+o.flag())
		if held.kind == kindSecret || held.kind == kindYAML {
			l.warn("--%s on a command line can be read by every user of this machine; better put it into the file or into %s", o.flag(), o.env())
		}
	}
}
