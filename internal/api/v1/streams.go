package v1

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"livego/internal/keys"
)

// Streams are what is on air, or waits for the return of its encoder.
type Streams interface {
	Streams() List[Stream]
	Stream(name string) (Stream, bool)
	// BitRateOut is what all viewers get, in bit/s, those of HLS too, in a cluster those of all
	// nodes.
	BitRateOut() uint64
	// EndStream ends a stream at once, with all its renditions, and says whether there was one. The
	// reason reaches the encoders.
	EndStream(name, reason string) bool
}

// Stream is one stream with all its renditions.
type Stream struct {
	Name  string    `json:"name" doc:"app/room" example:"live/movie"`
	State string    `json:"state" enum:"starting,live,interrupted" doc:"starting: nothing to see yet. interrupted: the encoder was lost, and is waited for."`
	Since time.Time `json:"since" doc:"When the oldest of its publications came on air."`
	// Publications are its renditions.
	Publications []Publication `json:"publications" nullable:"false" doc:"One for each rendition."`
	Viewers      Viewers       `json:"viewers"`
	Node         string        `json:"node,omitempty" doc:"The node of the cluster that has it; not there if the server is alone."`
	BitRate      uint64        `json:"bit_rate" doc:"Sum of what the encoders send now, in bit/s, mean of 5 s."`
}

// Publication is one rendition of a stream. Without an encoder, those fields are missing that say
// something of it.
type Publication struct {
	Rendition   string  `json:"rendition" doc:"Empty for the one without a name."`
	Encoder     string  `json:"encoder,omitempty" doc:"What the encoder calls itself."`
	Address     string  `json:"address,omitempty" doc:"The encoder's address and port."`
	Protocol    string  `json:"protocol,omitempty" example:"rtmp"`
	Session     string  `json:"session,omitempty" doc:"Its entry in /sessions."`
	Uptime      float64 `json:"uptime,omitempty" doc:"Seconds since the encoder began."`
	Bytes       uint64  `json:"bytes,omitempty" doc:"Payload since then."`
	BitRate     uint64  `json:"bit_rate" doc:"bit/s, mean of 5 s."`
	MeanBitRate uint64  `json:"mean_bit_rate" doc:"bit/s since the encoder began."`
	FrameRate   float64 `json:"frame_rate,omitempty" doc:"Pictures per second, measured over 5 s."`
	// KeyFrameInterval and GOP are of the last whole group of pictures.
	KeyFrameInterval float64  `json:"key_frame_interval,omitempty" doc:"Seconds between the last two key frames."`
	GOP              int      `json:"gop,omitempty" doc:"Pictures from one key frame to the next."`
	TimeJumps        uint64   `json:"time_jumps" doc:"How often the encoder's time jumped."`
	ClockDrift       *float64 `json:"clock_drift,omitempty" doc:"By how many parts per million the encoder's clock runs fast; known after a minute."`
	Tracks           []Track  `json:"tracks" nullable:"false"`
	Faults           []Fault  `json:"faults,omitempty" doc:"What the encoder sends otherwise than it should, as the log says it too."`
}

// Fault is something that an encoder should send in another way.
type Fault struct {
	Kind  string `json:"kind" enum:"video,audio"`
	Track uint8  `json:"track" doc:"The track's id."`
	What  string `json:"what" doc:"What is wrong, and what became of it." example:"empty NAL units; they were left out"`
	Times uint64 `json:"times" doc:"How often, since the encoder began."`
}

// Track is one track of a publication.
type Track struct {
	Kind       string  `json:"kind" enum:"video,audio"`
	ID         uint8   `json:"id" doc:"Numbers the tracks of a kind."`
	Codec      string  `json:"codec" example:"H264"`
	Profile    string  `json:"profile,omitempty" example:"High"`
	Codecs     string  `json:"codecs,omitempty" doc:"As in RFC 6381, where HLS carries it." example:"avc1.640028"`
	Width      int     `json:"width,omitempty"`
	Height     int     `json:"height,omitempty"`
	FrameRate  float64 `json:"frame_rate,omitempty" doc:"What the header says."`
	SampleRate int     `json:"sample_rate,omitempty" doc:"Hz"`
	Channels   int     `json:"channels,omitempty"`
}

// Viewers counts who watches.
type Viewers struct {
	Total      int            `json:"total"`
	BitRate    uint64         `json:"bit_rate" doc:"What those over connections of their own get, in bit/s, in the last second."`
	ByProtocol map[string]int `json:"by_protocol" doc:"rtmp, rtmps, http-flv, ws-flv, hls. Those of hls are an estimate."`
	ByNode     map[string]int `json:"by_node,omitempty" doc:"Of the nodes of a cluster, by name; not there if the server is alone."`
}

// StreamPath names a stream in a path.
type StreamPath struct {
	Name string `path:"name" maxLength:"1024" doc:"app/room as one segment: live%2Froom" example:"live%2Fmovie"`
}

// StreamAnswer is a stream.
type StreamAnswer struct{ Body Stream }

func (a *API) streams() {
	const tag = "Streams"
	huma.Register(a.api, operation("listStreams", http.MethodGet, "/streams", tag, "What is on air, by name, at all nodes"),
		func(_ context.Context, in *Paging) (*Listing[Stream], error) {
			return page(*in, "streams", a.opt.Streams.Streams(), func(s Stream) string { return s.Name })
		})
	huma.Register(a.api, operation("getStream", http.MethodGet, "/streams/{name}", tag, "One stream", http.StatusNotFound),
		func(_ context.Context, in *StreamPath) (*StreamAnswer, error) {
			s, ok := a.opt.Streams.Stream(keys.Normal(in.Name))
			if !ok {
				return nil, noStream()
			}
			return &StreamAnswer{s}, nil
		})
	end := operation("endStream", http.MethodDelete, "/streams/{name}", tag, "End a stream now", http.StatusNotFound)
	end.Description = "Viewers see the end at once, and the encoders are disconnected. An encoder that connects again by itself begins a new stream: " +
		"reset the room's key to keep it out."
	huma.Register(a.api, end, func(_ context.Context, in *struct {
		StreamPath
		Why
	}) (*struct{}, error) {
		name := keys.Normal(in.Name)
		if !a.opt.Streams.EndStream(name, in.text()) {
			return nil, noStream()
		}
		a.opt.Log.Info("stream ended by the API", "stream", name, "reason", in.text())
		return nil, nil
	})
}

func noStream() error {
	return problem(http.StatusNotFound, "path.name", "this stream is not on air")
}

// Why is the reason of an operator.
type Why struct {
	Reason string `query:"reason" maxLength:"200" doc:"For the log, for events, and for the client where its protocol can say it."`
}

func (w Why) text() string { return trimmed(w.Reason, 200) }
