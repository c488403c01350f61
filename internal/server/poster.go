package server

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"path"
	"strings"
	"time"

	"livego/internal/fmp4"
	"livego/internal/live"
	"livego/internal/media"
)

const (
	// posterJPEG is the picture of a stream that a command makes, posterMP4 its last key frame.
	posterJPEG = "poster.jpg"
	posterMP4  = "poster.mp4"
	// maxPoster bounds a picture, in bytes: 4K at a good quality.
	maxPoster = 2 << 20
	// maxPosters bounds the streams that have one.
	maxPosters = 1024
	// stillWait bounds the time until a key frame is there.
	stillWait = 2 * time.Second
)

// posterStream returns the stream of which a path is a picture, "" if it is none.
func posterStream(urlPath string) string {
	dir, file := path.Split(urlPath)
	if file != posterJPEG && file != posterMP4 {
		return ""
	}
	name := strings.Trim(dir, "/")
	if app, stream, ok := strings.Cut(name, "/"); !ok || app == "" || stream == "" {
		return ""
	}
	return name
}

// servePoster serves the pictures of a stream, and takes them from its commands.
func (s *Server) servePoster(w http.ResponseWriter, r *http.Request, stream string) {
	h := w.Header()
	h.Set(allowOrigin, "*")
	h.Set("X-Content-Type-Options", "nosniff")
	isJPEG := path.Base(r.URL.Path) == posterJPEG
	switch r.Method {
	case http.MethodGet, http.MethodHead:
	case http.MethodPut, http.MethodPost:
		s.takePoster(w, r, stream, isJPEG)
		return
	default:
		h.Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	var picture []byte
	var made time.Time
	var err error
	if isJPEG {
		picture, made, err = s.posterOf(stream)
	} else if picture, err = s.still(r.Context(), nameOf(stream)); err == nil {
		h.Set("Content-Type", "video/mp4")
	}
	if err != nil {
		h.Set("Cache-Control", "no-store")
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	h.Set("Cache-Control", "public, max-age=5")
	http.ServeContent(w, r, path.Base(r.URL.Path), made, bytes.NewReader(picture))
}

// errNoPoster says what to do for a picture.
var errNoPoster = errors.New("there is no picture of this stream: let a command of run_on_stream make one, as examples/poster shows; " +
	"poster.mp4 beside it has the last key frame, for a video element")

// poster is a picture of a stream that a command beside it made.
type poster struct {
	jpeg []byte
	of   *commanded
}

func (s *Server) posterOf(stream string) (jpeg []byte, made time.Time, err error) {
	p, made, ok := s.posters.get(stream)
	if !ok {
		return nil, made, errNoPoster
	}
	return p.jpeg, made, nil
}

// putPoster keeps a picture, unless its stream's life is over. Then it is false.
func (s *Server) putPoster(p poster) bool {
	if p.of.isOver() {
		return false // the next life may have one
	}
	s.posters.put(p.of.name.Key(), p)
	if p.of.isOver() {
		s.forgetPoster(p.of)
		return false
	}
	return true
}

// endPoster ends the life of a stream for pictures: what there is of it goes, and none comes any
// more.
func (s *Server) endPoster(of *commanded) {
	close(of.over)
	s.forgetPoster(of)
}

func (s *Server) forgetPoster(of *commanded) {
	s.posters.forgetIf(of.name.Key(), func(p poster) bool { return p.of == of })
}

// takePoster takes a picture from a command of the stream, which has a key for that.
func (s *Server) takePoster(w http.ResponseWriter, r *http.Request, stream string, isJPEG bool) {
	of := s.now().access.lent.life(queryToken(r.URL.RawQuery))
	if of == nil || of.name.Key() != stream || !isJPEG {
		http.Error(w, "only commands of run_on_stream may send the picture of their stream, to {poster_url}", http.StatusForbidden)
		return
	}
	jpeg, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxPoster))
	switch {
	case err != nil:
		http.Error(w, "the picture is not whole, or too large", http.StatusRequestEntityTooLarge)
	case !bytes.HasPrefix(jpeg, []byte{0xFF, 0xD8, 0xFF}):
		http.Error(w, "this is no JPEG", http.StatusUnsupportedMediaType)
	case !s.putPoster(poster{jpeg, of}):
		http.Error(w, "the stream is over", http.StatusGone)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

// errNoStill: there is no picture that could stand alone.
var errNoStill = errors.New("this stream has no key frame now, or one of a codec that MP4 does not carry")

// still returns the last key frame of a stream as MP4 with one picture.
func (s *Server) still(ctx context.Context, name live.Name) ([]byte, error) {
	pub, ok := s.hub.Lookup(name)
	if !ok {
		return nil, errNoStill
	}
	ctx, cancel := context.WithTimeout(ctx, stillWait)
	defer cancel()
	reader := pub.NewReader(live.ReaderOptions{GOPs: 1})
	defer reader.Close()
	var units [16]media.AccessUnit
	for {
		n, err := reader.Read(ctx, units[:])
		if err != nil {
			return nil, errNoStill
		}
		for _, u := range units[:n] {
			if u.Header == media.Sample && u.Track.Kind == media.Video && u.RandomAccess {
				return onePicture(u)
			}
		}
	}
}

// onePicture returns a picture as MP4.
func onePicture(u media.AccessUnit) ([]byte, error) {
	w, err := fmp4.NewWriter(u.Track)
	if err != nil {
		return nil, errNoStill
	}
	text, err := fmp4.AppendInit(nil, u.Track, u.Data)
	if err != nil {
		return nil, errNoStill
	}
	u.DTS, u.PTS = 0, 0
	if text, _, err = w.Append(text, &fmp4.Fragment{Units: []media.AccessUnit{u}, Next: time.Second}); err != nil {
		return nil, errNoStill
	}
	return text, nil
}
