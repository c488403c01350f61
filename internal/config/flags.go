package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// AddFlags registers a flag for every option. Names may be written with underscores, as in LiveGo,
// or with dashes.
func AddFlags(flags *pflag.FlagSet) {
	flags.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		return pflag.NormalizedName(strings.NewReplacer("-", "_", ".", "_").Replace(name))
	})
	flags.String(configFile, defaultConfigFile, "Configuration file, YAML or JSON. Named, it must exist.")
	for _, o := range options {
		held := &flagValue{option: o, raw: o.def, kind: o.bind(new(Config)).kind}
		flags.Var(held, o.flag(), o.doc)
		if held.kind == kindBool {
			flags.Lookup(o.flag()).NoOptDefVal = "true"
		}
	}
}

// flagValue checks what is given to a flag at once, and keeps it until Load.
type flagValue struct {
	option option
	kind   kind
	raw    string
	given  bool
}

var _ pflag.Value = (*flagValue)(nil)

func (f *flagValue) Set(raw string) error {
	if err := f.option.bind(new(Config)).parse(raw); err != nil {
		return err
	}
	if f.kind == kindList && f.given {
		raw = f.raw + "," + raw
	}
	f.raw, f.given = raw, true
	return nil
}

func (f *flagValue) String() string {
	if f.kind == kindSecret || f.kind == kindYAML {
		return ""
	}
	return f.raw
}

func (f *flagValue) Type() string { return string(f.kind) }

// FlagHelp describes all flags for a help text, by topic.
func FlagHelp() string {
	var b strings.Builder
	b.WriteString("The configuration file:\n")
	writeFlag(&b, configFile+" file", "YAML or JSON; named, it must exist.", fmt.Sprintf("%s; env %s", defaultConfigFile, strings.ToUpper(configFile)))
	for _, o := range options {
		if i := slices.IndexFunc(topics, func(t topic) bool { return t.first == o.key }); i >= 0 {
			fmt.Fprintf(&b, "\n%s:\n", topics[i].title)
		}
		name := o.flag()
		if k := o.bind(new(Config)).kind; k != kindBool {
			name += " " + string(k)
		}
		writeFlag(&b, name, o.doc, cmp.Or(o.def, "empty")+"; env "+o.env())
	}
	return b.String()
}

func writeFlag(b *strings.Builder, name, doc, def string) {
	fmt.Fprintf(b, "  --%s\n        %s\n        (%s)\n", name, strings.ReplaceAll(doc, "\n", "\n        "), def)
}
