package config

import (
	"errors"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"livego/internal/server"
	"livego/internal/ticket"
)

// viewerAuth says who may watch.
func viewerAuth(p *server.ViewerAuth) value {
	words := []string{server.AllViewers: "off", server.ViewersWithToken: "token", server.ViewersByHook: "hook"}
	var chosen string
	v := word(&chosen, words...)
	parse := v.parse
	v.parse = func(s string) error {
		if err := parse(s); err != nil {
			return err
		}
		*p = server.ViewerAuth(slices.Index(words, chosen))
		return nil
	}
	v.print = func() string { return words[*p] }
	return v
}

// errViewerKeys repeats nothing of what was written: it holds secrets.
var errViewerKeys = errors.New("must be a list of keys, such as [{kid: a, algorithm: HS256, secret: SECRET}, {kid: b, algorithm: ES256, file: b.pem}]")

// viewerKey is one of the keys of viewers' tokens, as it is written.
type viewerKey struct {
	KID       string `yaml:"kid"`
	Algorithm string `yaml:"algorithm"`
	Secret    string `yaml:"secret"`
	File      string `yaml:"file"`
}

// viewerKeys is a list of keys for tokens, as YAML or JSON.
func viewerKeys(p *[]ticket.KeyOptions) value {
	parse := func(s string) error {
		var list []viewerKey
		decoder := yaml.NewDecoder(strings.NewReader(s))
		decoder.KnownFields(true)
		if err := decoder.Decode(&list); err != nil && strings.TrimSpace(s) != "" {
			return errViewerKeys
		}
		if slices.ContainsFunc(list, func(k viewerKey) bool { return k.Algorithm == "" || (k.Secret == "") == (k.File == "") }) {
			return errViewerKeys
		}
		*p = nil
		for _, k := range list {
			*p = append(*p, ticket.KeyOptions{ID: k.KID, Algorithm: k.Algorithm, Secret: k.Secret, File: k.File})
		}
		return nil
	}
	return value{kindYAML, parse, func() string {
		var names []string
		for _, k := range *p {
			names = append(names, k.ID+" "+k.Algorithm)
		}
		return strings.Join(names, ",")
	}}
}

// viewersNeed says whether some app asks viewers in a way.
func (c Config) viewersNeed(way server.ViewerAuth) bool {
	return slices.ContainsFunc(c.Apps, func(a App) bool { return c.complete(a).ViewerAuth == way })
}

func (l *loader) checkViewers() {
	if l.cfg.viewersNeed(server.ViewersByHook) && l.cfg.Hooks.ViewURL == "" {
		l.problem(l.origin["viewer_auth"], "viewer_auth: hook needs viewer_auth_url, for example viewer_auth_url: https://example.org/may-watch")
	}
	if l.cfg.viewersNeed(server.ViewersWithToken) && len(l.cfg.Tickets.Keys) == 0 {
		l.problem(l.origin["viewer_auth"], "viewer_auth: token needs viewer_keys, for example viewer_keys: [{kid: a, algorithm: HS256, secret: SECRET}] "+
			"with a secret from openssl rand -hex 32")
	}
}
