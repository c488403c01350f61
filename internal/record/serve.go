package record

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"livego/internal/bucket"
)

const (
	// Path is what the paths of recordings begin with.
	Path = "/rec/"

	clipPlaylist = "clip" + playlistSuffix
	clipFile     = "clip" + initSuffix
	listName     = "recordings.json"
	// maxID bounds the name of a rendition in a path, in bytes.
	maxID = 64
	// serveTimeout bounds how long a client may take for a file, and for each segment of a clip.
	serveTimeout = time.Minute
	// maxClips bounds the clips that are made at a time: each has a segment in memory.
	maxClips = 16

	allowedMethods = "GET, HEAD, OPTIONS"
)

// place is a path of a recording taken apart.
type place struct{ stream, id, file string }

// parsePath reads /rec/{app}/{stream}/{id}/{file}, where the stream may have slashes and a file of
// a rendition has one, and /rec/{app}/{stream}/recordings.json.
func parsePath(path string) (p place, ok bool) {
	rest, ok := strings.CutPrefix(path, Path)
	if !ok {
		return p, false
	}
	elements := strings.Split(rest, "/")
	n := len(elements) - 1
	if p.file = elements[n]; p.file == listName {
		p.stream = strings.Join(elements[:n], "/")
		return p, n >= 2
	}
	if _, is := number(p.file); is && n > 0 {
		n--
		p.file = elements[n] + "/" + p.file
	}
	if n < 3 {
		return p, false
	}
	p.id, p.stream = elements[n-1], strings.Join(elements[:n-1], "/")
	return p, validFile(p.file) && elements[0] != "" && elements[1] != ""
}

// validFile says that a recording may have a file of that name.
func validFile(name string) bool {
	id, _, isMedia := strings.Cut(name, "/")
	if !isMedia {
		var isPlaylist bool
		if id, isPlaylist = strings.CutSuffix(name, playlistSuffix); !isPlaylist {
			return name == recordingName || name == clipFile
		}
	}
	return id != "" && id[0] != '.' && len(id) <= maxID && !strings.ContainsFunc(id, func(r rune) bool {
		return r != '_' && r != '-' && r != '.' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	})
}

// Names returns of which stream ("app/stream") and of which recording a path of ServeHTTP is, for
// checks before it. The recording is empty for the list of a stream, both are for other paths.
func Names(path string) (stream, id string) {
	p, ok := parsePath(path)
	if !ok {
		return "", ""
	}
	return p.stream, p.id
}

// ServeHTTP serves, below /rec/APP/STREAM/ID/, the files of a recording with ranges, and clips of
// it:
//
//	clip.m3u8?from=&to=   a playlist from one moment to another, in seconds or as a time of RFC 3339
//	clip.mp4?from=&to=    the same as a file: the best video, or that which rendition= names, and the first sound
//
// and, with Options.List, /rec/APP/STREAM/recordings.json, the list of a stream's recordings.
func (r *Recorder) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("X-Content-Type-Options", "nosniff")
	switch req.Method {
	case http.MethodGet, http.MethodHead:
		h.Set("Access-Control-Expose-Headers", "Content-Length, Content-Range, ETag")
		r.serve(w, req)
	case http.MethodOptions:
		h.Set("Allow", allowedMethods)
		h.Set("Access-Control-Allow-Methods", allowedMethods)
		h.Set("Access-Control-Allow-Headers", "*, Authorization")
		h.Set("Access-Control-Max-Age", "86400")
		w.WriteHeader(http.StatusNoContent)
	default:
		h.Set("Allow", allowedMethods)
		refuse(w, http.StatusMethodNotAllowed, "method not allowed")
	}
}

func (r *Recorder) serve(w http.ResponseWriter, req *http.Request) {
	p, ok := parsePath(req.URL.Path)
	switch {
	case !ok:
		refuse(w, http.StatusNotFound, "not found: a recording is at /rec/APP/STREAM/ID/index.m3u8")
		return
	case p.file == listName:
		r.serveList(w, p.stream)
		return
	}
	at, err := r.place(p)
	if err == nil {
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(serveTimeout)) // where there is none, there is none
		err = r.serveFile(w, req, at, p.file)
	}
	r.answer(w, err)
}

// storedAt is where a recording is.
type storedAt struct {
	bucket.Bucket
	name string
}

// place finds a recording.
func (r *Recorder) place(p place) (at storedAt, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.done[p.id]
	if rec := r.open[p.id]; rec != nil {
		e = &rec.entry
	}
	if e == nil || e.Stream != p.stream {
		return at, ErrNotFound
	}
	at.name = e.Name
	at.Bucket, err = r.bucketAt(e.To)
	return at, err
}

// badRequest is what the client should know of its mistake.
type badRequest struct {
	status int
	error
}

// answer says why there is nothing to be had.
func (r *Recorder) answer(w http.ResponseWriter, err error) {
	var bad badRequest
	switch {
	case err == nil:
	case errors.As(err, &bad):
		refuse(w, bad.status, bad.Error())
	case errors.Is(err, bucket.ErrNotFound), errors.Is(err, ErrNotFound):
		refuse(w, http.StatusNotFound, "no such recording, or no such file of it")
	default:
		r.log.Error("recording not served", "err", err)
		refuse(w, http.StatusBadGateway, "the recording cannot be read now")
	}
}

func (r *Recorder) serveFile(w http.ResponseWriter, req *http.Request, at storedAt, name string) error {
	q := req.URL.Query()
	switch {
	case name == clipPlaylist:
		return at.serveClip(w, req, q.Get("from"), q.Get("to"))
	case name == clipFile:
		return r.serveClipFile(w, req, at, q.Get("from"), q.Get("to"), q.Get("rendition"))
	case strings.HasSuffix(name, playlistSuffix) && q.Has("span"):
		return at.servePart(w, req, name, q.Get("span"))
	}
	f, err := at.Open(req.Context(), at.full(name))
	if err != nil {
		return err
	}
	defer f.Close()
	as, h := metaOf(name), w.Header()
	h.Set("Content-Type", as.ContentType)
	h.Set("Cache-Control", as.CacheControl)
	modified := f.Modified
	if as.CacheControl == cacheForever {
		h.Set("Etag", `"`+name+`"`)
		modified = time.Time{}
	}
	http.ServeContent(w, req, "", modified, f)
	return nil
}

// read reads a playlist of a recording.
func (at storedAt) read(ctx context.Context, name string) ([]byte, error) {
	f, err := at.Open(ctx, at.full(name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if f.Size > maxPlaylist {
		return nil, fmt.Errorf("%w: it has %d bytes", errPlaylist, f.Size)
	}
	return io.ReadAll(io.LimitReader(f, maxPlaylist))
}

// maxSegmentBytes bounds a segment: twice what the packager makes.
const maxSegmentBytes = 128 << 20

// file reads a segment, or an initialization section.
func (at storedAt) file(ctx context.Context, name string) ([]byte, error) {
	if !validFile(name) {
		return nil, errPlaylist
	}
	f, err := at.Open(ctx, at.full(name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if f.Size > maxSegmentBytes {
		return nil, fmt.Errorf("%w: it has %d bytes", errMP4, f.Size)
	}
	data := make([]byte, f.Size)
	_, err = io.ReadFull(f, data)
	return data, err
}

func (at storedAt) media(ctx context.Context, id string) (p mediaPlaylist, err error) {
	text, err := at.read(ctx, id+playlistSuffix)
	if err != nil {
		return p, err
	}
	return readMedia(text)
}

// about reads recording.json.
func (at storedAt) about(ctx context.Context) (rec Recording, err error) {
	text, err := at.read(ctx, recordingName)
	if err != nil {
		return rec, err
	}
	return rec, json.Unmarshal(text, &rec)
}

// leading is the rendition by which clips are cut: the best video, else the first sound.
func leading(all []Rendition) (id string, ok bool) {
	best := -1
	for i := range all {
		if best < 0 || all[i].Kind == "video" && (all[best].Kind != "video" || all[i].Bandwidth > all[best].Bandwidth) {
			best = i
		}
	}
	if best < 0 {
		return "", false
	}
	return all[best].ID, true
}

// span finds a clip.
func (at storedAt) span(ctx context.Context, from, to string) (s span, rec Recording, err error) {
	if rec, err = at.about(ctx); err != nil {
		return s, rec, err
	}
	id, ok := leading(rec.Renditions)
	if !ok {
		return s, rec, ErrNotFound
	}
	p, err := at.media(ctx, id)
	if err != nil {
		return s, rec, err
	}
	if s, err = p.cut(from, to); err != nil {
		err = badRequest{http.StatusUnprocessableEntity, err}
	}
	return s, rec, err
}

// serveClip serves the multivariant playlist of a clip.
func (at storedAt) serveClip(w http.ResponseWriter, req *http.Request, from, to string) error {
	s, _, err := at.span(req.Context(), from, to)
	if err != nil {
		return err
	}
	index, err := at.read(req.Context(), indexName)
	if err != nil {
		return err
	}
	writeText(w, req, withQuery(index, "span="+s.String()))
	return nil
}

// servePart serves a media playlist of a clip.
func (at storedAt) servePart(w http.ResponseWriter, req *http.Request, name, text string) error {
	s, err := parseSpan(text)
	if err != nil {
		return badRequest{http.StatusUnprocessableEntity, err}
	}
	p, err := at.media(req.Context(), strings.TrimSuffix(name, playlistSuffix))
	if err != nil {
		return err
	}
	body, err := p.render(s)
	if err != nil {
		return badRequest{http.StatusNotFound, err}
	}
	writeText(w, req, body)
	return nil
}

func writeText(w http.ResponseWriter, req *http.Request, text []byte) {
	h := w.Header()
	h.Set("Content-Type", metaOf(indexName).ContentType)
	h.Set("Cache-Control", cacheNever)
	http.ServeContent(w, req, "", time.Time{}, bytes.NewReader(text))
}

// serveList lists the recordings of a stream.
func (r *Recorder) serveList(w http.ResponseWriter, stream string) {
	if !r.opt.List {
		refuse(w, http.StatusNotFound, "not found")
		return
	}
	all := slices.DeleteFunc(r.List(stream), func(rec Recording) bool { return rec.State == Broken })
	text, err := json.Marshal(map[string]any{"recordings": all})
	if err != nil {
		r.answer(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "public, max-age=1")
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	_, _ = w.Write(text) // the client is gone if this fails
}

func refuse(w http.ResponseWriter, status int, text string) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(text)+1))
	h.Del("Etag")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text + "\n")) // the client is gone if this fails
}
