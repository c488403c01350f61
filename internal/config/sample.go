package config

import (
	"fmt"
	"slices"
	"strings"
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

# The first element of every URL. Without this list there is the app live with everything on; with it, what an entry does not
# name is off. live: publishing, and playing over RTMP. hls, flv: playing over HLS and HTTP-FLV. api: kept for files of LiveGo.
# static_push: RTMP URLs to which every stream of the app is pushed, beside the stream's own viewers.
# viewer_auth: who may watch the app's streams, if it differs from the viewer_auth above.
# run_on_stream: commands beside the app's streams, if they differ from those of run_on_stream above.
# pull: URL from which a stream is pulled that somebody wants to watch and nobody publishes, such as rtmp://origin.example.org/live
# or https://origin.example.org/live/{stream}/index.m3u8; pull_idle: how long it stays when nobody watches (30s).
# publish_allow, publish_deny, play_allow, play_deny: addresses and networks that may publish and watch, or may not.
# max_streams, max_viewers: bounds of the app.
# publish_max_bit_rate, publish_max_picture and the other limits of publishers: if they differ from those above.
# record: which of the app's streams are recorded, if that differs from the record above.
# Put names in quotes that YAML takes for something else: appname: "off", appname: "123".
server:
- appname: live
  live: true
  hls: true
  flv: true
  api: true
  #static_push: []
  #publish_allow: []
  #publish_deny: []
  #play_allow: []
  #play_deny: []
  #max_streams: 0
  #max_viewers: 0
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
	b.WriteString(sampleApps)
	return []byte(b.String())
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
