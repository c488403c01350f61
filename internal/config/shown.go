package config

import (
	"cmp"
	"strings"

	v1 "livego/internal/api/v1"
	"livego/internal/record"
)

// Shown is the configuration as the API shows it: without secrets.
func (c Config) Shown() v1.Config {
	shown := v1.Config{File: c.File, Options: make([]v1.Option, len(options)), Apps: make([]v1.App, len(c.Apps))}
	for i, o := range options {
		shown.Options[i] = v1.Option{
			Name: o.key, Value: o.bind(&c).print(), Default: o.def, Doc: strings.ReplaceAll(o.doc, "\n", " "), Reload: o.reload,
		}
	}
	for i, a := range c.Apps {
		app := c.complete(a)
		shown.Apps[i] = v1.App{
			Name: app.Name, Live: app.Live, HLS: app.HLS, FLV: app.FLV, StaticPush: len(app.StaticPush), ViewerAuth: viewerAuth(&app.ViewerAuth).print(),
			Record: string(cmp.Or(app.Record, record.Off)),
		}
	}
	return shown
}
