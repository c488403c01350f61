package hls

import (
	"path"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"livego/internal/hls/ladder"
	"livego/internal/hls/playlist"
	"livego/internal/hls/segmenter"
	"livego/internal/ledger"
	"livego/internal/media"
)

// tsSide is what requests see of the MPEG-TS side of a life.
type tsSide struct {
	// answerable is closed when a request need not wait: there is a segment, a refusal, or the
	// stream is over.
	answerable chan struct{}
	open       sync.Once
	// view is nil until the first segment.
	view atomic.Pointer[playlist.TSView]
	// refusal says why the stream is not packaged with MPEG-TS: nothing of it can be, or CMAF
	// carries more of it.
	refusal atomic.Pointer[string]
}

func (t *tsSide) answer() { t.open.Do(func() { close(t.answerable) }) }

// transport returns what a request for MPEG-TS sees.
func (l *life) transport() *tsSide { return l.shown.Load() }

// tsPackager is the MPEG-TS side of a life. It packages one publication at a time: the first one,
// and when that is over the next.
type tsPackager struct {
	life   *life
	shown  *tsSide
	cut    *segmenter.Segmenter
	window *playlist.TSWindow
	// pubs are those on air; the first is packaged.
	pubs []*ladder.Publication
	// discontinuities is the discontinuity sequence number of the newest segment.
	discontinuities int64
}

// newTSPackager makes one that goes on with these numbers, and shows nothing yet.
func newTSPackager(s *Server, l *life, first, discontinuities int64) *tsPackager {
	w := &playlist.TSWindow{
		Dir:      path.Base(l.name),
		ListSize: s.opt.ListSize, MaxBytes: s.opt.MaxStreamBytes,
		Gzip:             &s.gzip,
		DiscontinuitySeq: discontinuities,
	}
	t := &tsPackager{life: l, shown: &tsSide{answerable: make(chan struct{})}, window: w, discontinuities: discontinuities}
	t.cut = segmenter.New(segmenter.Options{
		SegmentDuration: s.opt.SegmentDuration, MaxSegmentBytes: s.opt.MaxSegmentBytes, CMAF: s.opt.CMAF, First: first,
		Publish: func(seg *playlist.TSSegment, target time.Duration) {
			w.Target = target
			w.Add(seg)
			s.used(seg.Seq)
			if seg.Discontinuity {
				t.discontinuities++
				l.discontinued(t.discontinuities)
			}
			l.note(func(e *ledger.Entry) { e.Next = seg.Seq + 1 })
			t.show(false)
		},
		Refuse: func(reason string) {
			t.shown.refusal.Store(&reason)
			l.demand.wake(inCMAF) // which may carry more
			if l.fed || !s.opt.CMAF {
				t.shown.answer()
			}
		},
		Wanted: l.demand.askedFor(inTS),
		Log:    l.log, Counts: &l.counts.ts,
	})
	l.shown.Store(t.shown)
	return t
}

// show makes the window visible to requests.
func (t *tsPackager) show(ended bool) {
	v, err := t.window.View(ended)
	if err != nil {
		t.life.log.Error("playlist not updated", "error", err)
		return
	}
	t.shown.view.Store(v)
	if !ended {
		t.shown.refusal.Store(nil)
	}
	t.shown.answer()
}

// rest lets go of what was packaged with MPEG-TS while the stream goes on, unless somebody has
// asked meanwhile, and says whether it did. With the next request it begins anew, as in another
// life: with numbers behind those that it had, for players that come back.
func (s *Server) rest(l *life) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := s.opt.Now()
	if !l.demand.rest(inTS, now, s.patience(l)) {
		return false
	}
	first := max(l.ts.cut.Next(), firstNumber(now, s.opt.SegmentDuration))
	fresh := newTSPackager(s, l, first, l.ts.discontinuities)
	fresh.pubs, l.ts = l.ts.pubs, fresh
	return true
}

// enter adds a publication. The default one is the first, unless another one is packaged already.
func (t *tsPackager) enter(pub *ladder.Publication) {
	at := len(t.pubs)
	if pub.Rendition == "" && !t.cut.HasBegun() {
		at = 0
	}
	t.pubs = slices.Insert(t.pubs, at, pub)
}

func (t *tsPackager) write(pub *ladder.Publication, u *media.AccessUnit) {
	if t.pubs[0] == pub {
		t.cut.Write(u)
	}
}

// flush publishes the segment under way if it is the publication's.
func (t *tsPackager) flush(pub *ladder.Publication) {
	if t.pubs[0] == pub {
		t.cut.Flush()
	}
}

// exit removes a publication. The next one goes on in its place.
func (t *tsPackager) exit(pub *ladder.Publication, last bool) {
	for i, o := range t.pubs {
		if o != pub {
			continue
		}
		t.pubs = append(t.pubs[:i:i], t.pubs[i+1:]...)
		if i == 0 && !last {
			t.cut.Flush()
			t.cut.Restart()
		}
		return
	}
}

// end shows the last playlist.
func (t *tsPackager) end() {
	if len(t.window.Segments) > 0 {
		t.show(true)
	}
}
