package config

import "livego/internal/server"

// limitKinds are how the limits of publishers are written.
var limitKinds = map[string]kind{
	"publish_max_frame_rate": kindNumber, "publish_max_bit_rate": kindSize,
	"publish_max_key_frame_interval": kindDuration, "publish_max_time": kindDuration,
	"publish_max_picture": kindText, "publish_codecs": kindList, "publish_limits": kindText,
}

// limit is one of the limits of publishers, by its name.
func limit(l *server.PublishLimits, name string) value {
	return value{limitKinds[name], func(s string) error { return l.Set(name, s) }, func() string { return l.Text(name) }}
}

// appLimit is a limit of an app.
func appLimit(app *App, name string) value {
	v := limit(new(server.PublishLimits), name)
	parse := v.parse
	v.parse = func(s string) error {
		if app.PublishLimits == nil {
			app.PublishLimits = make(map[string]string)
		}
		app.PublishLimits[name] = s
		return parse(s)
	}
	return v
}

// limitsOf are the limits of an app's publishers; their texts parsed before.
func (c Config) limitsOf(a App) server.PublishLimits {
	l := c.PublishLimits
	for name, text := range a.PublishLimits {
		_ = l.Set(name, text)
	}
	return l
}
