package v1

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"livego/internal/keys"
)

// Recordings keeps what was streamed.
type Recordings interface {
	Recordings() List[Recording]
	// RecordingOf returns the one of a stream that is under way, and whether there is one.
	RecordingOf(stream string) (Recording, bool)
	// StartRecording begins one where the stream is, or returns the one that is under way. It fails
	// with ErrNotRecorded or ErrNotPackaged.
	StartRecording(stream string) (Recording, error)
	// StopRecording ends one, and says whether there was one.
	StopRecording(stream string) (Recording, bool)
	// DeleteRecording deletes one with its files. It fails with ErrNoRecording,
	// ErrRecordingGoesOn or ErrNodeSilent.
	DeleteRecording(id string) error
}

// What happens instead.
var (
	ErrNotRecorded     = errors.New("streams of this app are not recorded: set record to api or all")
	ErrNotPackaged     = errors.New("the stream is not packaged as Low-Latency HLS now, so there is nothing to record")
	ErrNoRecording     = errors.New("there is no such recording")
	ErrRecordingGoesOn = errors.New("the recording is not complete: stop it first")
)

// Recording is a recording of a stream.
type Recording struct {
	ID         string               `json:"id" example:"k3v5q7x2m4p6a"`
	Stream     string               `json:"stream" doc:"app/room" example:"live/movie"`
	State      string               `json:"state" enum:"live,complete,broken" doc:"live: it goes on, or may go on. broken: there is nothing to play."`
	Reason     string               `json:"reason,omitempty" doc:"Why it ended, if not because the stream did, or why it is broken."`
	Started    time.Time            `json:"started"`
	Ended      time.Time            `json:"ended,omitzero" doc:"When the last segment was listed."`
	Duration   float64              `json:"duration" doc:"Seconds, with what is missing."`
	Bytes      int64                `json:"bytes" doc:"Of all segments."`
	Lost       int                  `json:"lost" doc:"Segments that are missing because disks or buckets did not take them."`
	Path       string               `json:"path" doc:"Its playlist on the HLS port. clip.m3u8 and clip.mp4 beside it take from and to." example:"/rec/live/movie/k3v5q7x2m4p6a/index.m3u8"`
	Renditions []RecordingRendition `json:"renditions" nullable:"false"`
	Node       string               `json:"node,omitempty" doc:"The node of the cluster that has it; not there if the server is alone."`
}

// RecordingRendition is one rendition of a recording.
type RecordingRendition struct {
	ID        string  `json:"id" example:"v0"`
	Kind      string  `json:"kind" enum:"video,audio"`
	Codecs    string  `json:"codecs" doc:"As in RFC 6381."`
	Width     int     `json:"width,omitempty"`
	Height    int     `json:"height,omitempty"`
	FrameRate float64 `json:"frame_rate,omitempty" doc:"Pictures per second, measured."`
	Channels  int     `json:"channels,omitempty"`
	Bandwidth int     `json:"bandwidth" doc:"bit/s, highest of a segment."`
}

// key sorts recordings, the oldest first.
func (r Recording) key() string { return fmt.Sprintf("%020d %s", r.Started.UnixNano(), r.ID) }

// RecordingPath names a recording.
type RecordingPath struct {
	ID string `path:"id" maxLength:"64"`
}

// RecordingAnswer is a recording.
type RecordingAnswer struct{ Body Recording }

func (a *API) recordings() {
	const tag, one, of = "Recordings", "/recordings/{id}", "/streams/{name}/recording"
	huma.Register(a.api, operation("listRecordings", http.MethodGet, "/recordings", tag, "What was recorded, the oldest first"),
		func(_ context.Context, in *struct {
			Paging
			Stream string `query:"stream" maxLength:"1024" doc:"app/room" example:"live/movie"`
		}) (*Listing[Recording], error) {
			all := a.opt.Recordings.Recordings().only(func(r Recording) bool { return in.Stream == "" || r.Stream == keys.Normal(in.Stream) })
			return page(in.Paging, "recordings", all, Recording.key)
		})
	huma.Register(a.api, operation("getRecording", http.MethodGet, one, tag, "One recording", http.StatusNotFound),
		func(_ context.Context, in *RecordingPath) (*RecordingAnswer, error) {
			r, ok := a.opt.Recordings.Recordings().find(func(r Recording) bool { return r.ID == in.ID })
			if !ok {
				return nil, problem(http.StatusNotFound, "path.id", ErrNoRecording.Error())
			}
			return &RecordingAnswer{r}, nil
		})
	huma.Register(a.api, operation("deleteRecording", http.MethodDelete, one, tag, "Delete a recording and its files",
		http.StatusNotFound, http.StatusConflict, http.StatusServiceUnavailable),
		func(_ context.Context, in *RecordingPath) (*struct{}, error) {
			return nil, a.recordingChanged("deleted", in.ID, a.opt.Recordings.DeleteRecording(in.ID))
		})
	huma.Register(a.api, operation("getRecordingOfStream", http.MethodGet, of, tag, "The recording of a stream that is under way", http.StatusNotFound),
		func(_ context.Context, in *StreamPath) (*RecordingAnswer, error) {
			r, ok := a.opt.Recordings.RecordingOf(keys.Normal(in.Name))
			return recordingAnswer(r, ok)
		})
	start := operation("startRecording", http.MethodPut, of, tag, "Record a stream from the next segment on, or show that it is being recorded", http.StatusConflict)
	huma.Register(a.api, start, func(_ context.Context, in *StreamPath) (*RecordingAnswer, error) {
		r, err := a.opt.Recordings.StartRecording(keys.Normal(in.Name))
		return &RecordingAnswer{r}, a.recordingChanged("started", r.ID, err)
	})
	huma.Register(a.api, operation("stopRecording", http.MethodDelete, of, tag, "End the recording of a stream; it is not recorded again before its next life",
		http.StatusNotFound), func(_ context.Context, in *StreamPath) (*struct{}, error) {
		r, ok := a.opt.Recordings.StopRecording(keys.Normal(in.Name))
		if !ok {
			_, err := recordingAnswer(r, ok)
			return nil, err
		}
		return nil, a.recordingChanged("stopped", r.ID, nil)
	})
}

func recordingAnswer(r Recording, ok bool) (*RecordingAnswer, error) {
	if !ok {
		return nil, problem(http.StatusNotFound, "path.name", "the stream is not being recorded")
	}
	return &RecordingAnswer{r}, nil
}

// recordingChanged logs what a caller did, or says why it could not be done.
func (a *API) recordingChanged(what, id string, err error) error {
	switch {
	case err == nil:
		a.opt.Log.Info("recording "+what+" by the API", "recording", trimmed(id, 64))
		return nil
	case errors.Is(err, ErrNoRecording):
		return problem(http.StatusNotFound, "path.id", err.Error())
	case errors.Is(err, ErrNodeSilent):
		return problem(http.StatusServiceUnavailable, "path.id", err.Error())
	case errors.Is(err, ErrNotRecorded), errors.Is(err, ErrNotPackaged), errors.Is(err, ErrRecordingGoesOn):
		return problem(http.StatusConflict, "", err.Error())
	}
	return a.failed("changing the recording", err)
}
