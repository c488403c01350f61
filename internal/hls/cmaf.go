package hls

import (
	"net/http"
	"strconv"
	"time"

	"livego/internal/hls/ladder"
	"livego/internal/hls/playlist"
	"livego/internal/http1"
	"livego/internal/media"
)

const (
	// cacheCurrent is for playlists that are asked for without a directive, and what else stands
	// for the present.
	cacheCurrent = "max-age=1"
	// blockFor is for how many target durations a request is held (RFC 8216bis 6.2.5.2).
	blockFor = 3
	// keepBlocked is for how many target durations a cache may keep the answer to a request that
	// names a segment.
	keepBlocked = 6

	noRendition = "no such rendition, or no longer"
)

// serveMultivariant serves the multivariant playlist.
func (s *Server) serveMultivariant(w http.ResponseWriter, r *http.Request, t target) {
	if l := s.await(w, r, t.name, inCMAF); l != nil {
		s.serveMultivariantOf(w, r, t, l)
	}
}

// serveMultivariantOf is serveMultivariant for who has found the life of the stream.
func (s *Server) serveMultivariantOf(w http.ResponseWriter, r *http.Request, t target, l *life) {
	if s.awaitCMAF(w, r, l) {
		return
	}
	view, reason := l.cmaf.View.Load(), l.cmaf.Refusal.Load()
	if view == nil && reason == nil && l.isReplaced() {
		s.serveMultivariant(w, r, t)
		return
	}
	if view == nil {
		s.refuseEmpty(w, l, reason)
		return
	}
	if !s.watched(w, r, l) {
		return
	}
	w.Header()["Cache-Control"] = keepCurrent
	s.writeText(w, r, view.Text(&s.gzip))
}

// awaitCMAF holds a request until the stream's CMAF side can answer. It is true if the request is
// answered already.
func (s *Server) awaitCMAF(w http.ResponseWriter, r *http.Request, l *life) bool {
	v := s.holdFor(l, w, r, s.opt.FirstSegmentWait, once(l.cmaf.Answerable))
	if v == http1.Late {
		v = http1.Ready
	}
	return s.refuseWait(w, v, time.Second, "")
}

// refuseEmpty answers a request to a stream that has nothing.
func (s *Server) refuseEmpty(w http.ResponseWriter, l *life, refusal *string) {
	switch {
	case refusal != nil:
		refuse(w, http.StatusNotFound, *refusal)
	case l.over.Load():
		refuse(w, http.StatusNotFound, "no publisher")
	default:
		retryAfter(w, s.opt.SegmentDuration)
		refuse(w, http.StatusNotFound, "no segment yet")
	}
}

// serveRendition serves a media playlist, now or when it has what the request asks for.
func (s *Server) serveRendition(w http.ResponseWriter, r *http.Request, t target) {
	d, err := playlist.ParseDirectives(r.URL.RawQuery)
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	if t.kind == framesPlaylist {
		d.Part = -1 // it has no parts
	}
	l := s.await(w, r, t.name, inCMAF)
	if l == nil {
		return
	}
	if s.awaitCMAF(w, r, l) {
		return
	}
	rendition := l.cmaf.Rendition(t.id)
	again := false
	switch {
	case rendition != nil && rendition.View.Load() != nil:
	case rendition == nil && l.cmaf.Left(t.id):
		rendition, again = s.awaitEnd(w, r, l.cmaf, t.id)
	default:
		rendition, again = s.awaitReturn(w, r, l, t.id)
	}
	if again {
		return
	}
	if l.isReplaced() {
		s.serveRendition(w, r, t)
		return
	}
	if rendition == nil || t.kind == framesPlaylist && rendition.Kind != media.Video {
		refuse(w, http.StatusNotFound, noRendition)
		return
	}
	view := rendition.View.Load()
	if view == nil {
		s.refuseEmpty(w, l, l.cmaf.Refusal.Load())
		return
	}
	// Who sees no more than key frames looks for something, or shows a small picture of the stream.
	if t.kind != framesPlaylist {
		if !s.watched(w, r, l) {
			return
		}
		l.patient.note(s, r, view, d)
	}
	if view = s.block(w, r, t, l, rendition, view, d); view != nil {
		s.writeMedia(w, r, l.cmaf.Playlist(rendition, view, formOf(t.kind, d.Skip), &s.gzip), view, d)
	}
}

func formOf(kind resource, skip bool) playlist.Form {
	switch {
	case kind == framesPlaylist && skip:
		return playlist.FramesDelta
	case kind == framesPlaylist:
		return playlist.Frames
	case skip:
		return playlist.Delta
	}
	return playlist.Full
}

// block returns the first view that has what the request asks for, from v on, or answers the
// request and returns nil. Where the next life of the stream has begun, that answers.
func (s *Server) block(w http.ResponseWriter, r *http.Request, t target, l *life, rendition *playlist.Rendition, v *playlist.View, d playlist.Directives) *playlist.View {
	if !d.Met(v) && d.TooFar(v) {
		refuse(w, http.StatusBadRequest, playlist.ErrTooFarAhead.Error())
		return nil
	}
	left, target := false, v.Target
	verdict := s.holdFor(l, w, r, blockFor*v.Target, func() <-chan struct{} {
		if d.Met(v) {
			return nil
		}
		if v, left = newer(rendition, v); left || d.Met(v) {
			return nil
		}
		return v.Replaced
	})
	if s.refuseWait(w, verdict, v.Target, "the stream stands still") {
		return nil
	}
	if !left {
		return v
	}
	if l.isReplaced() {
		s.serveRendition(w, r, t)
		return nil
	}
	ended, again := s.awaitEnd(w, r, l.cmaf, rendition.ID)
	if again {
		return nil
	}
	if ended != nil {
		if v = ended.View.Load(); v != nil && v.Ended {
			return v
		}
	}
	refuseLeft(w, ended == rendition, target)
	return nil
}

// awaitEnd waits for the end of a stream of which a rendition has left, as long as it may be near,
// and returns the rendition if it is in the ladder then. With again the request will be served
// anew.
func (s *Server) awaitEnd(w http.ResponseWriter, r *http.Request, ladder *ladder.Presentation, id string) (in *playlist.Rendition, again bool) {
	for wait := ladder.Doubt(); wait > 0 && ladder.Left(id); wait = ladder.Doubt() {
		switch s.hold(w, r, wait, once(ladder.Over)) {
		case http1.Late:
			continue
		case http1.Waiting:
			return nil, true
		}
		return ladder.Rendition(id), false
	}
	return ladder.Rendition(id), false
}

// awaitReturn waits for a rendition that players may know already, until expects says: its
// publisher may come a little after those of others. hls.js (1.7.4) never plays one again whose
// playlist was 404, and Shaka Player stands still. It returns what awaitEnd does.
func (s *Server) awaitReturn(w http.ResponseWriter, r *http.Request, l *life, id string) (in *playlist.Rendition, again bool) {
	wait := time.Until(s.expects(l, id))
	if wait > 0 && http1.Elsewhere(w) {
		return nil, true
	}
	if wait > 0 {
		s.hold(w, r, wait, func() <-chan struct{} {
			came := l.cmaf.Came() // before it is looked for
			if r := l.cmaf.Rendition(id); r != nil && r.View.Load() != nil || l.over.Load() {
				return nil
			}
			return came
		})
	}
	return l.cmaf.Rendition(id), false
}

// refuseLeft answers a request for a playlist that goes no further: its rendition left the ladder,
// or the server lets go of the stream without an end because it will be back (decision 30).
func refuseLeft(w http.ResponseWriter, interrupted bool, retry time.Duration) {
	if !interrupted {
		refuse(w, http.StatusNotFound, noRendition)
		return
	}
	retryAfter(w, retry)
	refuse(w, http.StatusServiceUnavailable, "the stream is interrupted")
}

// newer returns the rendition's present view, and whether v was the last one.
func newer(r *playlist.Rendition, v *playlist.View) (*playlist.View, bool) {
	select {
	case <-v.Replaced:
	default:
		return v, false
	}
	next := r.View.Load()
	return next, next == v
}

// once is what to wait for if it is one thing.
func once(c <-chan struct{}) func() <-chan struct{} {
	return func() <-chan struct{} {
		select {
		case <-c:
			return nil
		default:
			return c
		}
	}
}

// writeMedia writes a media playlist. The answer to a request that names a segment is the same for
// everybody, for a while (decision 28), unless the playlist ended without it: the stream's next
// life may have it.
func (s *Server) writeMedia(w http.ResponseWriter, r *http.Request, text *playlist.Text, v *playlist.View, d playlist.Directives) {
	cache := keepCurrent
	if last, _, _ := v.Last(); d.MSN >= 0 && (!v.Ended || d.MSN <= last) {
		cache = []string{"max-age=" + strconv.FormatInt(int64(keepBlocked*v.Target/time.Second), 10)}
	}
	w.Header()["Cache-Control"] = cache
	s.writeText(w, r, text)
}

// serveFile serves a segment, a part or an initialization section.
func (s *Server) serveFile(w http.ResponseWriter, r *http.Request, t target) {
	l := s.wanted(t.name, inCMAF)
	if l == nil {
		refuse(w, http.StatusNotFound, "no publisher")
		return
	}
	if last, kind := l.cmaf.LastView(t.id); last != nil {
		if pieces := piecesOf(last, t); pieces != nil {
			serveBytes(w, r, kind, t, pieces)
			return
		}
		if misses(last, t) {
			writeNothing(w, kind)
			return
		}
	}
	if pieces, kind := l.formerPieces(t); pieces != nil {
		serveBytes(w, r, kind, t, pieces)
		return
	}
	rendition := l.cmaf.Rendition(t.id)
	if rendition == nil || rendition.View.Load() == nil {
		var again bool
		if rendition, again = s.awaitReturn(w, r, l, t.id); again {
			return
		}
	}
	if rendition == nil {
		refuse(w, http.StatusNotFound, noRendition)
		return
	}
	view := rendition.View.Load()
	if t.kind == cmafPartFile && view != nil {
		var done bool
		if view, done = s.awaitPart(w, r, l, rendition, view, t); done {
			return
		}
	}
	var pieces playlist.Document
	if view != nil {
		pieces = piecesOf(view, t)
	}
	switch {
	case pieces != nil:
		serveBytes(w, r, rendition.Kind, t, pieces)
	case view != nil && misses(view, t):
		writeNothing(w, rendition.Kind)
	default:
		s.serveStored(w, r, rendition, t)
	}
}

// misses says whether the file is a segment that the playlist lists as missing (EXT-X-GAP).
func misses(v *playlist.View, t target) bool {
	if t.kind == cmafInitFile {
		return false
	}
	if s := v.Segment(t.seq); s != nil {
		return s.Gap
	}
	e := v.Stored.At(t.seq)
	return e != nil && e.Gap
}

// writeNothing serves a segment that is missing, for players that do not know EXT-X-GAP and ask for
// it (RFC 8216bis 4.4.4.7 says SHOULD NOT): an error makes them give up the playlist. Its number
// may have been that of media before a restart.
func writeNothing(w http.ResponseWriter, kind media.Kind) {
	h := w.Header()
	h.Set("Cache-Control", cacheNothing)
	h["Content-Type"] = mediaType(kind)
	h.Set("Content-Length", "0")
	w.WriteHeader(http.StatusOK)
}

// awaitPart holds the request for the part that comes next until it is there, or will not be. It
// returns the view that knows, and whether the request is answered already. Where the next life of
// the stream has begun, that answers.
func (s *Server) awaitPart(w http.ResponseWriter, r *http.Request, l *life, rendition *playlist.Rendition, v *playlist.View, t target) (*playlist.View, bool) {
	isNext := func() bool {
		seq, part, ok := v.Next()
		return ok && seq == t.seq && part == t.part
	}
	left := false
	verdict := s.holdFor(l, w, r, blockFor*v.Target, func() <-chan struct{} {
		for isNext() {
			var next *playlist.View
			if next, left = newer(rendition, v); left {
				return nil
			}
			if next == v {
				return v.Replaced
			}
			v = next
		}
		return nil
	})
	switch {
	case s.refuseWait(w, verdict, v.Target, "the stream stands still"):
	case left && l.isReplaced():
		s.serveFile(w, r, t)
	case left && l.cmaf.Rendition(t.id) == rendition: // it will be back
		refuseLeft(w, true, v.Target)
	default:
		return v, false
	}
	return nil, true
}

// piecesOf returns the bytes of a file, nil if the view does not have it.
func piecesOf(v *playlist.View, t target) playlist.Document {
	if t.kind == cmafInitFile {
		if init := v.Init(t.seq); init != nil {
			return playlist.DocumentOf(init.Data)
		}
		return nil
	}
	s := v.Segment(t.seq)
	switch {
	case s == nil:
		return nil
	case t.kind == cmafPartFile && t.part < len(s.Parts) && !s.Gap:
		return playlist.Document(s.Parts[t.part : t.part+1])
	case t.kind == cmafSegmentFile && s.Complete && !s.Gap && len(s.Parts) > 0:
		return playlist.Document(s.Parts)
	}
	return nil
}

// serveBytes serves bytes that never change: a segment is its parts.
func serveBytes(w http.ResponseWriter, r *http.Request, kind media.Kind, t target, pieces playlist.Document) {
	fileHeader(w.Header(), kind)
	f := playlist.NewFile(pieces, t.tag())
	WriteFile(w, r, &f)
}

// fileHeader is the same wherever a file comes from.
func fileHeader(h http.Header, kind media.Kind) {
	h["Cache-Control"] = keepForever
	h["Content-Type"] = mediaType(kind)
}

// tag is the entity tag of a file without quotes, which is its name.
func (t target) tag() string {
	tag := strconv.FormatInt(t.seq, 10)
	if t.kind == cmafPartFile {
		tag += "." + strconv.Itoa(t.part)
	}
	return tag
}

// conditional says whether the answer may be something else than the whole file.
func conditional(h http.Header) bool {
	return h["Range"] != nil || h["If-None-Match"] != nil || h["If-Match"] != nil
}

func mediaType(kind media.Kind) []string {
	if kind == media.Audio {
		return audioType
	}
	return videoType
}
