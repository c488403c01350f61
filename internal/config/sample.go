package config

import (
	"fmt"
	"slices"
	"strings"

	"livego/internal/server"
)

const sampleHead = `# livego.yaml: every option with its default. This file, as it is, changes nothing.
#
# To change an option, remove the # before its name. A flag (--rtmp_addr) is stronger than an environment variable (RTMP_ADDR), which is
# stronger than this file. Both are called like the option here, jwt.secret is --jwt_secret and JWT_SECRET.
# Times are whole seconds (10) or have a unit (1.5s, 250ms, 2m). Sizes are bytes or have a unit (512KiB, 64MiB).
# An unknown name or a wrong value stops the start; livego check-config says what is wrong.
`

const sampleApps = `
# Apps

# Without this list there is the app live with everything on; with it, what an entry does not name is off. Put names in quotes
# that YAML takes for something else: appname: "off", appname: "123". What an entry may name:
`

// sampleApp is the entry that the default app has.
const sampleApp = `server:
- appname: live
  live: true
  hls: true
  flv: true
  api: true
`

// Sample returns a configuration file that shows every option with its unit and default, and that
// changes none of them.
func Sample() []byte {
	var b strings.Builder
	b.WriteString(sampleHead)
	parent := ""
	for _, o := range options {
		if i := slices.IndexFunc(topics, func(t topic) bool { return t.first == o.key }); i >= 0 {
			fmt.Fprintf(&b, "\n# %s\n", topics[i].title)
		}
		group, leaf, nested := strings.Cut(o.key, ".")
		indent := ""
		switch {
		case !nested:
			parent, leaf = "", o.key
		case group != parent:
			fmt.Fprintf(&b, "\n#%s:\n", group)
			parent = group
			fallthrough
		default:
			indent = "  "
		}
		writeSample(&b, o, leaf, indent)
	}
	writeSampleApps(&b)
	return []byte(b.String())
}

// writeSampleApps writes what the keys of an app are for, and the default app with those that
// could be added.
func writeSampleApps(b *strings.Builder) {
	b.WriteString(sampleApps)
	var everywhere []string
	for _, k := range appKeys {
		if k.everywhere {
			everywhere = append(everywhere, k.name)
			continue
		}
		fmt.Fprintf(b, "# %s: %s\n", k.name, strings.ReplaceAll(k.doc, "\n", "\n# "))
	}
	fmt.Fprintf(b, "# What stands above for all apps, for this one: %s.\n", wrapped(everywhere))
	b.WriteString(sampleApp)
	for _, k := range appKeys {
		switch v := k.bind(new(server.App)); {
		case k.everywhere: // as above, unless it is named
		case v.kind == kindList:
			fmt.Fprintf(b, "  #%s: []\n", k.name)
		case v.kind != kindBool && k.def != "":
			fmt.Fprintf(b, "  #%s: %s\n", k.name, k.def)
		}
	}
}

// wrapped is a list of names, six on a line of a comment.
func wrapped(names []string) string {
	var lines []string
	for line := range slices.Chunk(names, 6) {
		lines = append(lines, strings.Join(line, ", "))
	}
	return strings.Join(lines, ",\n# ")
}

func writeSample(b *strings.Builder, o option, leaf, indent string) {
	if indent == "" {
		b.WriteByte('\n')
	}
	doc := o.doc
	for line := range strings.SplitSeq(doc, "\n") {
		fmt.Fprintf(b, "# %s\n", line)
	}
	fmt.Fprintf(b, "#%s%s: %s\n", indent, leaf, o.yaml())
}
