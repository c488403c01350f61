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

	"livego/internal/record"
	"livego/internal/server"
)

// maxAppName bounds the name of an app, in bytes.
const maxAppName = 255

// App is one entry of the server list.
type App struct {
	server.App
	// named has the keys that the entry names.
	named map[string]bool
}

// appKey is a key of an entry of the server list.
type appKey struct {
	name string
	// def is the default, written as in the file. Entries name an app by the key without one.
	def string
	// doc says what the key is for, in one line or more of at most 100 characters.
	doc string
	// everywhere says that there is an option of the same name, for all apps that do not name the
	// key, and with what there is to say of it.
	everywhere bool
	bind       func(*server.App) value
}

// appKeys is the table of the keys of an app.
var appKeys = []appKey{
	{name: "appname", doc: "first element of every URL.", bind: func(a *server.App) value { return nonEmpty(&a.Name) }},
	{name: "live", def: "false", doc: "publishing, and playing over RTMP.", bind: func(a *server.App) value { return boolean(&a.Live) }},
	{name: "hls", def: "false", doc: "playing over HLS.", bind: func(a *server.App) value { return boolean(&a.HLS) }},
	{name: "flv", def: "false", doc: "playing over HTTP-FLV and WebSocket-FLV.", bind: func(a *server.App) value { return boolean(&a.FLV) }},
	{name: "api", def: "false", doc: "kept for files of LiveGo.", bind: func(a *server.App) value { return boolean(&a.API) }},
	{name: "static_push", doc: "RTMP URLs to which every stream of the app is pushed, beside the stream's own viewers.",
		bind: func(a *server.App) value { return targets(&a.StaticPush) }},
	{name: "viewer_auth", everywhere: true,
		bind: func(a *server.App) value { return viewerAuth(&a.ViewerAuth) }},
	{name: "pull", doc: "URL from which a stream is pulled that somebody wants to watch and nobody publishes, such as\n" +
		"rtmp://origin.example.org/live or https://origin.example.org/live/{stream}/index.m3u8.",
		bind: func(a *server.App) value { return pullSource(&a.Pull) }},
	{name: "pull_idle", def: "30s", doc: "how long it stays when nobody watches.",
		bind: func(a *server.App) value { return duration(&a.PullIdle, time.Second, unbounded) }},
	{name: "publish_allow", doc: "addresses and networks that may publish; empty: all.",
		bind: func(a *server.App) value { return networks(&a.Publishers.Allow) }},
	{name: "publish_deny", doc: "those that may not.", bind: func(a *server.App) value { return networks(&a.Publishers.Deny) }},
	{name: "play_allow", doc: "addresses and networks that may watch; empty: all.",
		bind: func(a *server.App) value { return networks(&a.Viewers.Allow) }},
	{name: "play_deny", doc: "those that may not.", bind: func(a *server.App) value { return networks(&a.Viewers.Deny) }},
	{name: "max_streams", def: "0", doc: "most streams of the app on air; 0: no bound.",
		bind: func(a *server.App) value { return number(&a.MaxStreams, 0, math.MaxInt) }},
	{name: "max_viewers", def: "0", doc: "most viewers of the app; 0: no bound.",
		bind: func(a *server.App) value { return number(&a.MaxViewers, 0, math.MaxInt) }},
	{name: "run_on_stream", everywhere: true,
		bind: func(a *server.App) value { return commands(&a.RunOnStream) }},
	{name: "record", everywhere: true,
		bind: func(a *server.App) value {
			return word(&a.Record, record.Off, record.All, record.ByAPI)
		}},
	limitKey("publish_max_bit_rate", kindSize),
	limitKey("publish_max_picture", kindText),
	limitKey("publish_max_frame_rate", kindNumber),
	limitKey("publish_max_key_frame_interval", kindDuration),
	limitKey("publish_max_time", kindDuration),
	limitKey("publish_codecs", kindList),
	limitKey("publish_limits", kindText),
}

// limitKey is one of the limits of publishers, by its name.
func limitKey(name string, k kind) appKey {
	return appKey{name: name, everywhere: true, bind: func(a *server.App) value {
		return value{k, func(s string) error { return a.PublishLimits.Set(name, s) }, func() string { return a.PublishLimits.Text(name) }}
	}}
}

// findAppKey returns the row of a name.
func findAppKey(name string) (appKey, bool) {
	i := slices.IndexFunc(appKeys, func(k appKey) bool { return k.name == name })
	if i < 0 {
		return appKey{}, false
	}
	return appKeys[i], true
}

// everyApp is the option of the name of a key of apps, for all that do not name it.
func everyApp(c *Config, name string) value {
	k, _ := findAppKey(name)
	return k.bind(&c.EveryApp)
}

// newApp returns an entry that names nothing.
func newApp() App {
	a := App{named: make(map[string]bool)}
	for _, k := range appKeys {
		if k.def != "" {
			_ = k.bind(&a.App).parse(k.def)
		}
	}
	return a
}

// complete returns an app with what holds for every app where its entry says nothing. The texts
// parsed before.
func (c Config) complete(a App) server.App {
	for _, k := range appKeys {
		if k.everywhere && !a.named[k.name] {
			_ = k.bind(&a.App).parse((*c.raw)[k.name])
		}
	}
	return a.App
}

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
	app := newApp()
	f.mapping(n, "", func(key, val *yaml.Node, name string) {
		k, ok := findAppKey(name)
		if !ok {
			f.problem(f.at(key), "in an entry of server: %s", unknownKey(name, appKeyNames()))
			return
		}
		field := k.bind(&app.App)
		raw, err := f.raw(val, field.kind)
		if err == nil {
			err = field.parse(raw)
		}
		if err != nil {
			f.problem(f.at(val), "%s of an entry of server: %v", name, err)
		}
		app.named[name] = true
	})
	f.addApp(n, app)
}

func appKeyNames() []string {
	names := make([]string, len(appKeys))
	for i, k := range appKeys {
		names[i] = k.name
	}
	return names
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
