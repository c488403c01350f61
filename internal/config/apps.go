package config

import (
	"fmt"
	"math"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"livego/internal/server"
)

// maxAppName bounds the name of an app, in bytes.
const maxAppName = 255

// appKeys are the options of an entry of the server list.
var appKeys = []string{"appname", "live", "hls", "flv", "api", "static_push", "viewer_auth",
	"pull", "pull_idle", "publish_allow", "publish_deny", "play_allow", "play_deny", "max_streams", "max_viewers",
	"run_on_stream", "record",
	"publish_max_bit_rate", "publish_max_picture", "publish_max_frame_rate", "publish_max_key_frame_interval", "publish_max_time", "publish_codecs", "publish_limits"}

// appExample is what to write for the server list.
const appExample = "\n  server:\n  - appname: live\n    live: true\n    hls: true\n    flv: true"

// apps reads the server list, which replaces the default app.
func (f *fileReader) apps(key, val *yaml.Node) {
	if val.Kind != yaml.SequenceNode || len(val.Content) == 0 {
		f.problem(f.at(key), "server must be a list with at least one app; leave it out for the default app live, or write%s", appExample)
		return
	}
	f.cfg.Apps = nil
	for _, item := range val.Content {
		item = resolve(item)
		if item.Kind != yaml.MappingNode {
			f.problem(f.at(item), "an entry of server must name an app, write%s", appExample)
			continue
		}
		f.app(item)
	}
}

func (f *fileReader) app(n *yaml.Node) {
	var app App
	f.mapping(n, "", func(key, val *yaml.Node, name string) {
		var field value
		switch name {
		case "appname":
			field = nonEmpty(&app.Name)
		case "live":
			field = boolean(&app.Live)
		case "hls":
			field = boolean(&app.HLS)
		case "flv":
			field = boolean(&app.FLV)
		case "api":
			field = boolean(&app.API)
		case "static_push":
			field = targets(&app.StaticPush)
		case "run_on_stream":
			field = commands(&app.RunOnStream)
		case "pull":
			field = pullSource(&app.Pull)
		case "pull_idle":
			field = duration(&app.PullIdle, time.Second, unbounded)
		case "publish_allow":
			field = networks(&app.PublishAllow)
		case "publish_deny":
			field = networks(&app.PublishDeny)
		case "play_allow":
			field = networks(&app.PlayAllow)
		case "play_deny":
			field = networks(&app.PlayDeny)
		case "max_streams":
			field = number(&app.MaxStreams, 0, math.MaxInt)
		case "max_viewers":
			field = number(&app.MaxViewers, 0, math.MaxInt)
		case "viewer_auth":
			field = word(&app.ViewerAuth, authWords()...)
		case "record":
			field = recordMode(&app.Record)
		default:
			if !slices.Contains(server.PublishLimitNames(), name) {
				f.problem(f.at(key), "in an entry of server: %s", unknownKey(name, appKeys))
				return
			}
			field = appLimit(&app, name)
		}
		raw, err := f.raw(val, field.kind)
		if err == nil {
			err = field.parse(raw)
		}
		if err != nil {
			f.problem(f.at(val), "%s of an entry of server: %v", name, err)
		}
	})
	f.addApp(n, app)
}

func (f *fileReader) addApp(n *yaml.Node, app App) {
	if err := checkAppName(app.Name); err != nil {
		f.problem(f.at(n), "%v; write appname: live", err)
		return
	}
	if slices.ContainsFunc(f.cfg.Apps, func(a App) bool { return a.Name == app.Name }) {
		f.problem(f.at(n), "app %q stands twice in server; merge the entries", app.Name)
		return
	}
	f.cfg.Apps = append(f.cfg.Apps, app)
}

// checkAppName admits what can be the first element of every URL without escapes getting in the
// way.
func checkAppName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("an entry of server has no appname")
	case len(name) > maxAppName:
		return fmt.Errorf("an appname has more than %d bytes", maxAppName)
	case !utf8.ValidString(name), strings.ContainsAny(name, "/\\?#%&"), strings.ContainsFunc(name, unprintable):
		return fmt.Errorf("appname %q holds a character that cannot stand in the name of an app (/ \\ ? # %% & or a space)", name)
	case strings.HasPrefix(name, "."):
		return fmt.Errorf("appname %q begins with a dot", name)
	case strings.HasPrefix(name, "~"):
		return fmt.Errorf("appname %q begins with ~, as tokens of viewers do in URLs", name)
	}
	return nil
}

func unprintable(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }

// defaultPullIdle is how long a stream that is pulled on demand stays without viewers.
const defaultPullIdle = 30 * time.Second

// pullSource is a URL below which streams are. It may hold a password, and is not repeated.
func pullSource(p *string) value {
	parse := func(s string) error {
		u, err := url.Parse(s)
		if err != nil || !slices.Contains([]string{"rtmp", "rtmps", "http", "https"}, u.Scheme) || u.Host == "" || strings.Trim(u.Path, "/") == "" {
			return fmt.Errorf("must be a URL such as rtmp://example.org/live, to which the stream's name is added")
		}
		*p = s
		return nil
	}
	return value{kindText, parse, func() string { return shownURL(*p) }}
}

// targets is a list of RTMP URLs.
func targets(p *[]string) value {
	parse := func(s string) error {
		list := words(s)
		for _, word := range list {
			// The URL is not repeated: it often holds a stream key.
			if u, err := url.Parse(word); err != nil || (u.Scheme != "rtmp" && u.Scheme != "rtmps") || u.Host == "" {
				return fmt.Errorf("must be URLs such as rtmp://example.org/app")
			}
		}
		*p = list
		return nil
	}
	return value{kindList, parse, func() string { return fmt.Sprintf("%d URLs", len(*p)) }}
}
