package server

import (
	"net/url"
	"slices"
	"strings"

	"livego/internal/keys"
	"livego/internal/rtmp"
)

const (
	// defaultApp is meant by clients that name no app.
	defaultApp = "live"
	// instance is the default instance of an app on Flash Media Server. Wowza's users write it too.
	instance = "_definst_"
)

// address is where a client publishes or plays: what it put into two fields, the app and the name,
// put together again. Encoders cut a URL in different places, and people fill in what they have.
type address struct {
	app string
	// path is what follows the app: a channel key, or the elements of a stream's name.
	path  []string
	query string
}

// addressOf reads the app of a connection.
func (s *Server) addressOf(r *rtmp.ConnectRequest) address {
	app, _ := withoutServer(r.App)
	a := address{path: elements(app), query: r.Query}
	if len(a.path) == 0 {
		a.app = s.unnamedApp()
		return a
	}
	a.app, a.path = a.path[0], a.path[1:]
	if len(a.path) > 0 && a.path[0] == instance {
		a.path = a.path[1:]
	}
	return a
}

// unnamedApp is the app of clients that name none.
func (s *Server) unnamedApp() string {
	if names := s.appNames(); len(names) == 1 {
		return names[0]
	}
	return defaultApp
}

// join adds the name of a stream, and its query.
func (a address) join(name, query string) address {
	if a.query != "" && len(a.path) > 0 {
		// FFmpeg cuts a URL at its last slash, which here was in the query: /live/KEY?token=a and
		// b.
		if name != "" {
			a.query += "/" + name
		}
		if query != "" {
			a.query += "?" + query
		}
		return a
	}
	name, whole := withoutServer(name)
	path := elements(withoutType(name))
	if whole && len(path) > 0 && path[0] == a.app {
		path = path[1:]
	}
	a.path = slices.Concat(a.path, path)
	if query != "" { // what it says comes before what the app's says
		a.query = strings.TrimSuffix(query+"&"+a.query, "&")
	}
	return a
}

// name is the path as the name of a stream.
func (a address) name() string { return strings.Join(a.path, "/") }

// elements splits a path: percent-encoding is undone, and slashes, blanks and line breaks around
// each element are left out.
func elements(path string) []string {
	var all []string
	for element := range strings.SplitSeq(unescaped(path), "/") {
		if element = strings.TrimSpace(keys.Normal(element)); element != "" {
			all = append(all, element)
		}
	}
	return all
}

// unescaped undoes percent-encoding where there is some.
func unescaped(text string) string {
	if plain, err := url.PathUnescape(text); err == nil {
		return plain
	}
	return text
}

// withoutServer leaves out the server where a whole URL stands in a field, and says whether one
// does.
func withoutServer(field string) (path string, whole bool) {
	scheme, rest, found := strings.Cut(field, "://")
	if scheme = strings.ToLower(strings.TrimSpace(scheme)); !found || scheme != "rtmp" && scheme != "rtmps" {
		return field, false
	}
	_, path, _ = strings.Cut(rest, "/")
	return path, true
}

// withoutType leaves out what Flash Media Server has before a name for the type of a file.
func withoutType(name string) string {
	name = strings.TrimLeft(name, " /")
	for _, prefix := range []string{"mp4:", "flv:", "f4v:", "mp3:"} {
		if rest, ok := strings.CutPrefix(name, prefix); ok {
			return rest
		}
	}
	return name
}
