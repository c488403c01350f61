package config

import (
	"errors"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"livego/internal/server"
	"livego/internal/ticket"
)

// authWords are the values of viewer_auth.
func authWords() []string { return []string{"off", "token", "hook"} }

// viewerAuth is what those words mean.
func viewerAuth(word string) server.ViewerAuth {
	return map[string]server.ViewerAuth{"token": server.ViewersWithToken, "hook": server.ViewersByHook}[word]
}

// errViewerKeys repeats nothing of what was written: it holds secrets.
var errViewerKeys = errors.New("must be a list of keys, such as [{kid: a, algorithm: HS256, secret: SECRET}, {kid: b, algorithm: ES256, file: b.pem}]")

// ViewerKey is one of the keys of viewers' tokens.
type ViewerKey struct {
	KID       string `yaml:"kid"`
	Algorithm string `yaml:"algorithm"`
	Secret    Secret `yaml:"secret"`
	File      string `yaml:"file"`
}

// viewerKeys is a list of keys for tokens, as YAML or JSON.
func viewerKeys(p *[]ViewerKey) value {
	parse := func(s string) error {
		var list []ViewerKey
		decoder := yaml.NewDecoder(strings.NewReader(s))
		decoder.KnownFields(true)
		if err := decoder.Decode(&list); err != nil && strings.TrimSpace(s) != "" {
			return errViewerKeys
		}
		if slices.ContainsFunc(list, func(k ViewerKey) bool { return k.Algorithm == "" || (k.Secret == "") == (k.File == "") }) {
			return errViewerKeys
		}
		*p = append([]ViewerKey(nil), list...)
		return nil
	}
	return value{kindYAML, parse, func() string {
		var names []string
		for _, k := range *p {
			names = append(names, k.KID+" "+k.Algorithm)
		}
		return strings.Join(names, ",")
	}}
}

// TicketOptions returns the options of what checks and makes viewers' tokens.
func (c Config) TicketOptions() ticket.Options {
	o := ticket.Options{SessionMax: c.ViewerSessionMax}
	for _, k := range c.ViewerKeys {
		o.Keys = append(o.Keys, ticket.KeyOptions{ID: k.KID, Algorithm: k.Algorithm, Secret: k.Secret.Reveal(), File: k.File})
	}
	return o
}

// viewersNeed says whether some app asks viewers in a way.
func (c Config) viewersNeed(way string) bool {
	return slices.ContainsFunc(c.Apps, func(a App) bool { return c.viewerAuthOf(a) == way })
}

// viewerAuthOf is how an app asks viewers.
func (c Config) viewerAuthOf(a App) string {
	if a.ViewerAuth != "" {
		return a.ViewerAuth
	}
	return c.ViewerAuth
}

func (l *loader) checkViewers() {
	if l.cfg.viewersNeed("hook") && l.cfg.ViewerAuthURL == "" {
		l.problem(l.origin["viewer_auth"], "viewer_auth: hook needs viewer_auth_url, for example viewer_auth_url: https://example.org/may-watch")
	}
	if l.cfg.viewersNeed("token") && len(l.cfg.ViewerKeys) == 0 {
		l.problem(l.origin["viewer_auth"], "viewer_auth: token needs viewer_keys, for example viewer_keys: [{kid: a, algorithm: HS256, secret: SECRET}] "+
			"with a secret from openssl rand -hex 32")
	}
}
