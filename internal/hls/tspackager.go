package hls

import (
	"path"
	"slices"
	"time"

	"livego/internal/hls/ladder"
	"livego/internal/hls/playlist"
	"livego/internal/hls/segmenter"
	"livego/internal/ledger"
	"livego/internal/media"
)

// tsPackager is the MPEG-TS side of a life. It packages one publication at a time: the first one,
// and when that is over the next.
type tsPackager struct {
	life   *life
	cut    *segmenter.Segmenter
	window *playlist.TSWindow
	// pubs are those on air; the first is packaged.
	pubs []*ladder.Publication
}

func newTSPackager(s *Server, l *life, first int64) *tsPackager {
	w := &playlist.TSWindow{
		Dir:      path.Base(l.name),
		ListSize: s.opt.ListSize, MaxBytes: s.opt.MaxStreamBytes,
		Gzip:             &s.gzip,
		DiscontinuitySeq: l.firstDiscontinuity,
	}
	discontinuities := l.firstDiscontinuity
	cut := segmenter.New(segmenter.Options{
		SegmentDuration: s.opt.SegmentDuration, MaxSegmentBytes: s.opt.MaxSegmentBytes, CMAF: s.opt.CMAF, First: first,
		Publish: func(seg *playlist.TSSegment, target time.Duration) {
			w.Target = target
			w.Add(seg)
			s.used(seg.Seq)
			if seg.Discontinuity {
				discontinuities++
				l.discontinued(discontinuities)
			}
			l.note(func(e *ledger.Entry) { e.Next = seg.Seq + 1 })
			l.show(l.log, w, false)
		},
		Refuse: func(reason string) {
			l.refusal.Store(&reason)
			l.demand.wake(inCMAF) // which may carry more
			if l.fed || !s.opt.CMAF {
				l.answer()
			}
		},
		Wanted: l.demand.asked,
		Log:    l.log, Counts: &l.counts.ts,
	})
	return &tsPackager{life: l, cut: cut, window: w}
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
		t.life.show(t.life.log, t.window, true)
	}
}
