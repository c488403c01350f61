package watch

import (
	"net/http"
	"net/url"
	"strconv"

	"livego/internal/pages"
)

// State is how a stream is.
type State string

const (
	// Offline: nobody publishes the stream.
	Offline State = "offline"
	// Starting: there is a publisher, but nothing to see yet.
	Starting State = "starting"
	// Live: there is something to see.
	Live State = "live"
	// Interrupted: the publisher was lost and is waited for.
	Interrupted State = "interrupted"
	// Ended: the stream is over; its last seconds can still be had.
	Ended State = "ended"
)

// Status is what everybody may know of a stream.
type Status struct {
	// Stream is "app/stream".
	Stream string `json:"stream"`
	State  State  `json:"state"`
	// Time is the server's clock in ms since 1970, by which pages know how far behind they are.
	Time int64 `json:"time,omitempty"`
	// Viewers is how many watch now, over all protocols; those of HLS are an estimate.
	Viewers int     `json:"viewers"`
	Tracks  []Track `json:"tracks,omitempty"`
	// Playlists are those of HLS, the best one first, relative to the page.
	Playlists []string `json:"playlists,omitempty"`
	// Packaged: they are there, or will be as soon as somebody asks. Until then a request for one
	// waits.
	Packaged bool `json:"packaged,omitempty"`
	// Still: the last key frame is at poster.mp4, relative to the page.
	Still bool `json:"still,omitempty"`
	// Rewind is how many seconds viewers may go back, 0 if that is not kept.
	Rewind int `json:"rewind,omitempty"`
	// Poster is a picture of the stream, relative to the page; empty: there is none.
	Poster string `json:"poster,omitempty"`
	// URLs are those of the other protocols by their names, as this client may reach them. They are
	// made of the name by which the client calls the server.
	URLs map[string]string `json:"urls,omitempty"`

	// Settles is in how many seconds a browser plays HLS safely by itself, 0: now.
	Settles int `json:"-"`
}

// Track is one track of a publication.
type Track struct {
	// Kind is video or audio.
	Kind string `json:"kind"`
	// ID numbers the tracks of a kind in a publication.
	ID uint8 `json:"id"`
	// Rendition is the publication's name, empty for the one without.
	Rendition string `json:"rendition,omitempty"`
	// Codec is the codec's name, Codecs as in RFC 6381, empty where HLS does not carry it.
	Codec  string `json:"codec"`
	Codecs string `json:"codecs,omitempty"`
	Width  int    `json:"width,omitempty"`
	Height int    `json:"height,omitempty"`
	// FrameRate is pictures per second, 0 where the header does not say.
	FrameRate float64 `json:"frameRate,omitempty"`
	Channels  int     `json:"channels,omitempty"`
}

// The names of protocols in URLs.
const (
	HTTPFLV      = "http-flv"
	WebSocketFLV = "ws-flv"
	RTMP         = "rtmp"
	RTMPS        = "rtmps"
)

// Door is where a stream is served over another protocol than HLS.
type Door struct {
	// Protocol is its name.
	Protocol string
	Scheme   string
	Port     int
	// Suffix comes after the stream's name.
	Suffix string
}

// url is the address of a stream, or of all without one, for those who call the server host and may
// have a token.
func (d Door) url(host, stream, token string) string {
	u := url.URL{Scheme: d.Scheme, Host: host + ":" + strconv.Itoa(d.Port)}
	if stream != "" {
		u.Path = "/" + stream + d.Suffix
	}
	if token != "" {
		u.RawQuery = url.Values{"token": {token}}.Encode()
	}
	return u.String()
}

// secure says whether pages that came by TLS may use the door.
func (d Door) secure() bool { return d.Scheme == "https" || d.Scheme == "wss" }

// urls are the addresses of a stream for a client, by protocol: of several the one as safe as the
// client's own way here.
func (h *Handler) urls(r *http.Request, name string) map[string]string {
	host := pages.Hostname(r.Host)
	if host == "" {
		return nil
	}
	urls := make(map[string]string)
	secure := scheme(r) == "https"
	for _, d := range h.opt.Streams.Doors(name) {
		if _, there := urls[d.Protocol]; there && d.secure() != secure {
			continue
		}
		urls[d.Protocol] = d.url(host, name, tokenOf(r))
	}
	return urls
}
