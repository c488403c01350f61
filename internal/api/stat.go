package api

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"livego/internal/keys"
)

// Sessions lists who is connected now.
type Sessions interface {
	Sessions() []Session
}

// HLSViewers may be implemented by Sessions too.
type HLSViewers interface {
	// HLSViewers estimates how many clients watch each stream (app/stream) over HLS.
	HLSViewers() map[string]int
}

// Session is a publisher, or a player over a connection of its own (RTMP, HTTP-FLV, WebSocket-FLV).
// HLS has none.
type Session struct {
	Publisher bool
	// Key is app/stream. It never holds a channel key.
	Key string
	// Rendition is the rendition of the stream that is published or played, empty for the one
	// without name.
	Rendition string
	// ID is 16 characters of URL-safe base64, unique in the server's life.
	ID string
	// URL is how the client called the stream: tcUrl/name, or the path and query of a request. For
	// a publisher, with the stream's name in place of the channel key. Tokens in it are left out of
	// answers.
	URL string
	// Protocol is rtmp, rtmps, http-flv or ws-flv.
	Protocol   string
	RemoteAddr string
	// StreamID is the message stream id of RTMP, 0 for others.
	StreamID uint32
	// VideoBytes and AudioBytes count payload; data messages count as audio, as in LiveGo.
	VideoBytes, AudioBytes uint64
	// VideoKbps and AudioKbps are present rates in kbit/s.
	VideoKbps, AudioKbps uint64
	Start                time.Time
	// VideoCodec and AudioCodec are names of codecs, empty without such a track.
	VideoCodec, AudioCodec string
	// Jumps counts how often a player was moved forward because it had fallen behind, or the time
	// of a publisher's encoder jumped.
	Jumps uint64
}

// session is a Session in JSON: first LiveGo's fields, then ours.
type session struct {
	Key             string `json:"key"`
	URL             string `json:"url"`
	StreamID        uint32 `json:"stream_id"`
	VideoTotalBytes uint64 `json:"video_total_bytes"`
	VideoSpeed      uint64 `json:"video_speed"`
	AudioTotalBytes uint64 `json:"audio_total_bytes"`
	AudioSpeed      uint64 `json:"audio_speed"`

	ID         string `json:"id"`
	Rendition  string `json:"rendition,omitempty"`
	Protocol   string `json:"protocol"`
	RemoteAddr string `json:"remote_addr"`
	StartTime  string `json:"start_time"`
	VideoCodec string `json:"video_codec"`
	AudioCodec string `json:"audio_codec"`
}

type publisher struct {
	session
	PlayerCount int `json:"player_count"`
	HLSViewers  int `json:"hls_viewers"`
}

type player struct {
	session
	Jumps uint64 `json:"jumps"`
}

// statistics is the data of /stat/livestat. Lists without entries are empty, not null.
type statistics struct {
	Publishers []publisher `json:"publishers"`
	Players    []player    `json:"players"`
	// HLSViewers is the sum over the streams that are listed.
	HLSViewers int `json:"hls_viewers"`
}

func livestat(source Sessions) endpoint {
	return func(r *http.Request) answer {
		sessions, viewers := source.Sessions(), map[string]int{}
		if v, ok := source.(HLSViewers); ok {
			viewers = v.HLSViewers()
		}
		if room := keys.Normal(r.Form.Get("room")); room != "" {
			key, problem := resolve(room, sessions)
			if problem != "" {
				return answer{http.StatusNotFound, problem}
			}
			sessions = slices.DeleteFunc(slices.Clone(sessions), func(s Session) bool { return s.Key != key })
			viewers = map[string]int{key: viewers[key]}
		}
		return answer{http.StatusOK, statisticsOf(sessions, viewers)}
	}
}

// resolve returns the key of a stream that is named app/stream, or only stream where one app has
// it.
func resolve(room string, sessions []Session) (key, problem string) {
	for _, s := range sessions {
		if s.Key == room {
			return room, ""
		}
		if _, name, _ := strings.Cut(s.Key, "/"); name != room || s.Key == key {
			continue
		}
		if key != "" {
			problem = "room is active in several apps, write app/room"
		}
		key = s.Key
	}
	if key == "" {
		problem = "room not found or inactive"
	}
	return key, problem
}

func statisticsOf(sessions []Session, viewers map[string]int) statistics {
	stats := statistics{Publishers: []publisher{}, Players: []player{}}
	type publication struct{ key, rendition string }
	count := map[publication]int{}
	for _, s := range inOrder(sessions) {
		if s.Publisher {
			stats.Publishers = append(stats.Publishers, publisher{session: toJSON(s), HLSViewers: viewers[s.Key]})
			continue
		}
		count[publication{s.Key, s.Rendition}]++
		stats.Players = append(stats.Players, player{toJSON(s), s.Jumps})
	}
	for i := range stats.Publishers {
		p := &stats.Publishers[i]
		p.PlayerCount = count[publication{p.Key, p.Rendition}]
	}
	for _, n := range viewers {
		stats.HLSViewers += n
	}
	return stats
}

// inOrder sorts by stream, by rendition, then by age, so that answers can be compared.
func inOrder(sessions []Session) []Session {
	return slices.SortedStableFunc(slices.Values(sessions), func(a, b Session) int {
		return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.Rendition, b.Rendition), a.Start.Compare(b.Start), cmp.Compare(a.ID, b.ID))
	})
}

func toJSON(s Session) session {
	return session{
		Key: s.Key, URL: withoutTokens(s.URL), StreamID: s.StreamID,
		VideoTotalBytes: s.VideoBytes, VideoSpeed: s.VideoKbps,
		AudioTotalBytes: s.AudioBytes, AudioSpeed: s.AudioKbps,
		ID: s.ID, Rendition: s.Rendition, Protocol: s.Protocol, RemoteAddr: s.RemoteAddr, StartTime: s.Start.UTC().Format(time.RFC3339),
		VideoCodec: s.VideoCodec, AudioCodec: s.AudioCodec,
	}
}

// tokenParameters are the names under which clients put credentials into URLs.
var tokenParameters = []string{"jwt", "token", "access_token", "key", "secret", "password"}

// withoutTokens drops credentials from a URL: user info, and parameters that hold tokens. Such URLs
// are made of what a client said (tcUrl?query/name?query), so a second ? begins parameters too.
func withoutTokens(raw string) string {
	raw, query, _ := strings.Cut(raw, "?")
	if scheme, rest, ok := strings.Cut(raw, "://"); ok {
		authority, path, slash := strings.Cut(rest, "/")
		authority = authority[strings.LastIndexByte(authority, '@')+1:]
		if raw = scheme + "://" + authority; slash {
			raw += "/" + path
		}
	}
	var kept []string
	for parameter := range strings.FieldsFuncSeq(query, func(r rune) bool { return strings.ContainsRune("&?;", r) }) {
		name, _, _ := strings.Cut(parameter, "=")
		if decoded, err := url.QueryUnescape(name); err == nil {
			name = decoded
		}
		if !slices.Contains(tokenParameters, strings.ToLower(name)) {
			kept = append(kept, parameter)
		}
	}
	if len(kept) == 0 {
		return raw
	}
	return raw + "?" + strings.Join(kept, "&")
}
