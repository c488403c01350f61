// Package relay moves streams between this server and others: pushes take a stream from here to
// another server, pulls bring one from there. Each goes on until it is stopped: it waits for its
// source, and connects again when a connection breaks. Nothing here ever waits for a relay.
package relay

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"livego/internal/live"
	"livego/internal/rtmp"
)

const (
	// minBackoff and maxBackoff bound the time between two tries; goodTime is how long a connection
	// holds that worked, after which the next try is early again.
	minBackoff = time.Second
	maxBackoff = 30 * time.Second
	goodTime   = 30 * time.Second
	// connectTimeout bounds dialling, handshake and the answers to commands, ioTimeout each write,
	// and the silence of a server that plays.
	connectTimeout = 10 * time.Second
	ioTimeout      = 10 * time.Second
	// maxRelays bounds the relays of a server, maxPerStream the pushes of one stream.
	maxRelays    = 4096
	maxPerStream = 128
	// maxURL bounds a URL in bytes.
	maxURL = 2048
)

// Errors of Start and Stop.
var (
	ErrBadURL  = errors.New("bad relay URL")
	ErrRunning = errors.New("the relay runs already")
	ErrUnknown = errors.New("no such relay")
	ErrTooMany = fmt.Errorf("there are %d relays, or %d of the stream, more are not possible", maxRelays, maxPerStream)
	ErrStopped = errors.New("relay was stopped")
)

// Direction says which way a relay goes.
type Direction string

// The directions of a relay.
const (
	Push Direction = "push"
	Pull Direction = "pull"
)

// Relay names a relay. Two are the same if all of it is.
type Relay struct {
	Direction Direction `json:"direction"`
	// App and Stream are the stream here, as everybody knows it.
	App    string `json:"app"`
	Stream string `json:"stream"`
	// URL is where it goes or comes from: rtmp, rtmps, and http or https for pulls: a playlist of
	// HLS if its path ends with .m3u8, else FLV. It may hold a password or a key.
	URL string `json:"url"`
}

// name is that of the stream here.
func (r Relay) name() live.Name { return live.Name{App: r.App, Stream: r.Stream} }

// String is for logs: without what is secret in the URL.
func (r Relay) String() string {
	return string(r.Direction) + ":" + r.App + "/" + r.Stream
}

// State says what a relay does.
type State string

// The states of a relay.
const (
	// Waiting: the stream is not on air. Connecting: to the other server. Running: media flow.
	// Failed: it waits for the next try.
	Waiting    State = "waiting"
	Connecting State = "connecting"
	Running    State = "running"
	Failed     State = "failed"
)

// Status is how a relay is.
type Status struct {
	Relay
	State State `json:"state"`
	// Since is the time of the last change of State.
	Since time.Time `json:"since"`
	// Error is why the last connection ended, empty if none did.
	Error string `json:"error,omitempty"`
	// Tries is how often it connected or tried to. Bytes are of media, in all connections.
	Tries uint64 `json:"tries"`
	Bytes uint64 `json:"bytes"`
	// Skipped counts access units that a slow server did not take.
	Skipped uint64 `json:"skipped,omitempty"`
	// Static: it stands in the configuration.
	Static bool `json:"static,omitempty"`
}

// Check says whether a relay can be.
func Check(r Relay) error {
	if len(r.URL) > maxURL {
		return fmt.Errorf("%w: more than %d bytes", ErrBadURL, maxURL)
	}
	scheme, _, _ := strings.Cut(r.URL, "://")
	switch {
	case scheme == "rtmp" || scheme == "rtmps":
		u, err := rtmp.ParseURL(r.URL)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrBadURL, err)
		}
		if u.Name == "" {
			return fmt.Errorf("%w: it names an app and no stream: %.64s", ErrBadURL, u.App)
		}
		return nil
	case r.Direction == Pull && (scheme == "http" || scheme == "https"):
		if hostOf(r.URL) == "" {
			return fmt.Errorf("%w: no host", ErrBadURL)
		}
		return nil
	}
	return fmt.Errorf("%w: the scheme %.16q cannot be relayed", ErrBadURL, scheme)
}

// hostOf is the host of a URL, for logs: the rest may be a key or a password.
func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Host
}

// Shown is a URL as lists show it: with what may be a key or a password left out.
func Shown(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	path := strings.Split(strings.Trim(u.Path, "/"), "/")
	if len(path) > 1 && strings.HasPrefix(u.Scheme, "rtmp") {
		path = append(path[:1], "…")
	}
	return u.Scheme + "://" + u.Host + "/" + strings.Join(path, "/")
}
