package record

import (
	"crypto/rand"
	"strings"
	"time"

	"livego/internal/event"
	"livego/internal/hls"
)

// life is one life of a stream.
type life struct {
	recorder *Recorder
	stream   string
	// newest is the highest number so far.
	newest int64
	// recording takes its segments, older those before a number too.
	recording, older *recording
	// stopped: it is not to be recorded.
	stopped bool
}

var _ hls.Sink = (*life)(nil)

// Begin implements hls.Recorder.
func (r *Recorder) Begin(stream string) hls.Sink {
	l := &life{recorder: r, stream: stream}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lives[stream] = l
	return l
}

// Segment implements hls.Sink.
func (l *life) Segment(s hls.Segment) {
	r := l.recorder
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	now := time.Now()
	rec := l.find(&s, now)
	l.newest = max(l.newest, s.Seq)
	if rec != nil {
		r.take(rec, &s, now)
	}
}

// End implements hls.Sink.
func (l *life) End() {
	r := l.recorder
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lives[l.stream] == l {
		delete(r.lives, l.stream)
	}
	for _, rec := range []*recording{l.recording, l.older} {
		if rec == nil || rec.life != l {
			continue
		}
		rec.life, rec.flush = nil, true
		if rec.ending() || r.opt.Join <= 0 {
			r.finish(rec)
			continue
		}
		rec.deadline = time.Now().Add(r.opt.Join)
	}
	r.wake()
}

// find returns the recording that takes a segment, nil if there is none. The caller holds mu.
func (l *life) find(s *hls.Segment, now time.Time) *recording {
	r := l.recorder
	if l.older != nil && s.Seq < l.older.until {
		return l.older
	}
	if l.recording == nil && !l.stopped {
		l.join(s)
	}
	if rec := l.recording; rec != nil && rec.full() && s.Seq > l.newest {
		r.end(rec, "it goes on in another one, after 24 hours")
		l.older = rec
		l.recording = r.begin(l, rec.Manual, s.Seq, now)
	}
	if l.recording == nil && !l.stopped && r.opt.Mode(appOf(l.stream)) == All {
		l.recording = r.begin(l, false, 0, now)
	}
	return l.recording
}

// join goes on with the recording of an earlier life.
func (l *life) join(s *hls.Segment) {
	r := l.recorder
	rec := r.active[l.stream]
	switch {
	case rec == nil || rec.life != nil:
	case s.Seq <= rec.timeline.newest: // a clock was set back
		r.finish(rec)
	default:
		l.recording = rec
		rec.life, rec.deadline = l, time.Time{}
	}
}

func appOf(stream string) string {
	app, _, _ := strings.Cut(stream, "/")
	return app
}

// begin begins a recording with the segment that has a number. The caller holds mu.
func (r *Recorder) begin(l *life, manual bool, from int64, now time.Time) *recording {
	app, name, _ := strings.Cut(l.stream, "/")
	id := strings.ToLower(rand.Text()[:13])
	e := entry{
		Recording: Recording{ID: id, Stream: l.stream, Started: now.UTC(), State: Live, Renditions: []Rendition{}},
		To:        r.opt.To, Name: r.opt.Name.Name(app, name, id, now), Manual: manual,
	}
	if r.named(e.Name) {
		e.Name += "-" + id
	}
	rec := r.newRecording(&e, r.buckets[e.To])
	rec.life, rec.timeline.from = l, from
	r.active[l.stream], r.open[id], r.order = rec, rec, nil
	rec.log.Info("recording", "to", rec.Name)
	r.tell(event.RecordingStarted, rec)
	return rec
}

// named says whether a recording has a name.
func (r *Recorder) named(name string) bool {
	for _, rec := range r.open {
		if rec.Name == name {
			return true
		}
	}
	for _, e := range r.done {
		if e.Name == name {
			return true
		}
	}
	return false
}

// end lets a recording take no more than its renditions have up to where the first one is. The
// caller holds mu.
func (r *Recorder) end(rec *recording, reason string) {
	rec.until, rec.Reason = rec.timeline.newest+1, reason
	rec.deadline = time.Now().Add(settling)
	if r.active[rec.Stream] == rec {
		delete(r.active, rec.Stream)
	}
}

// finish closes a recording as soon as what it has is stored. The caller holds mu.
func (r *Recorder) finish(rec *recording) {
	if rec.closing {
		return
	}
	if l := rec.life; l != nil && l.recording == rec {
		l.recording = nil
	} else if l != nil && l.older == rec {
		l.older = nil
	}
	rec.closing, rec.life, rec.deadline = true, nil, time.Time{}
	if r.active[rec.Stream] == rec {
		delete(r.active, rec.Stream)
	}
	r.wake()
}
