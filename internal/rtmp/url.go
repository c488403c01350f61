package rtmp

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
)

const (
	defaultPort    = "1935"
	defaultTLSPort = "443"
)

// URL is an RTMP URL taken apart.
type URL struct {
	// TLS: the scheme is rtmps.
	TLS bool
	// Host is the host name or address without brackets, for certificates. Addr is host and port,
	// to dial.
	Host, Addr string
	// User and Password are those of the URL, empty if it has none.
	User, Password string
	// App is the first element of the path.
	App string
	// Name is the rest of the path with the query, as it is sent in publish and play. It is empty
	// if there is no rest.
	Name string
	// TCURL is the URL without the name.
	TCURL string
}

// ParseURL takes an rtmp or rtmps URL apart: scheme://host[:port]/app[/name][?query], with
// user:password@ before the host for servers that ask for it. Path and query are left as they are,
// escapes included.
func ParseURL(raw string) (URL, error) {
	u, err := url.Parse(raw)
	if err != nil {
		// The text of url.Error repeats the URL, which holds a channel key.
		var parse *url.Error
		if errors.As(err, &parse) {
			err = parse.Err
		}
		return URL{}, fmt.Errorf("rtmp url: %w", err)
	}
	port := defaultPort
	switch u.Scheme {
	case "rtmp":
	case "rtmps":
		port = defaultTLSPort
	default:
		return URL{}, fmt.Errorf("rtmp url: scheme %q is neither rtmp nor rtmps", u.Scheme)
	}
	if u.Hostname() == "" {
		return URL{}, errors.New("rtmp url: no host")
	}
	if u.Port() != "" {
		port = u.Port()
	}
	app, name, _ := strings.Cut(strings.TrimPrefix(u.EscapedPath(), "/"), "/")
	if app == "" {
		return URL{}, errors.New("rtmp url: no app")
	}
	if u.RawQuery != "" {
		if name == "" {
			app += "?" + u.RawQuery
		} else {
			name += "?" + u.RawQuery
		}
	}
	password, _ := u.User.Password()
	return URL{
		TLS:  u.Scheme == "rtmps",
		Host: u.Hostname(),
		Addr: net.JoinHostPort(u.Hostname(), port),
		User: u.User.Username(), Password: password,
		App:   app,
		Name:  name,
		TCURL: u.Scheme + "://" + u.Host + "/" + app,
	}, nil
}
