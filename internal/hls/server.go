package hls

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"log/slog"
	"path"
	"sync"
	"sync/atomic"
	"time"

	"livego/internal/media"
)

// readBatch is how many units are read at a time: about a second of video with audio.
const readBatch = 64

// Server packages streams, each in its own Run, and serves them. Its methods may be called at the same time.
type Server struct {
	opt  Options
	page page
	seed maphash.Seed
	gzip compressor
	// waiting counts the requests that are held.
	waiting atomic.Int64

	// lastSeq is the highest sequence number that any stream used: a bound for each of them that needs no memory of their names.
	lastSeq atomic.Int64

	mu    sync.RWMutex
	lives map[string]*life
	// kept are the ended lives that KeepAfterEnd keeps, oldest first.
	kept []*life
}

// NewServer makes a server without streams.
func NewServer(opt Options) *Server {
	return &Server{
		opt:   opt.withDefaults(),
		page:  newPage(),
		seed:  maphash.MakeSeed(),
		lives: make(map[string]*life),
	}
}

// life is one stream from its first publisher to its end.
type life struct {
	name string
	// answerable is closed when a request need not wait: there is a segment, a refusal, or the stream is over.
	answerable chan struct{}
	open       sync.Once
	// view is nil until the first segment.
	view atomic.Pointer[snapshot]
	// refusal says why nothing of the stream can be packaged.
	refusal atomic.Pointer[string]
	over    atomic.Bool
	// cmaf is the CMAF side.
	cmaf *presentation

	// firstDiscontinuity is the discontinuity sequence number at the life's begin, lastDiscontinuity the highest one so far.
	firstDiscontinuity int64
	lastDiscontinuity  atomic.Int64

	counts   counters
	audience audience
}

func (l *life) answer() { l.open.Do(func() { close(l.answerable) }) }

// period is half of what the estimate of viewers looks back.
func (l *life) period(target time.Duration) time.Duration { return target * minListed / 2 }

// target is the target duration of the playlists that there are, 0 for none.
func (l *life) target() time.Duration {
	if v := l.view.Load(); v != nil {
		return v.target
	}
	return l.cmaf.target()
}

func (l *life) stats(now time.Time) StreamStats {
	st := StreamStats{
		Name:       l.name,
		Ended:      l.over.Load(),
		Segments:   l.counts.segments.Load(),
		Bytes:      l.counts.bytes.Load(),
		Dropped:    l.counts.dropped.Load(),
		ForcedCuts: l.counts.forced.Load(),
	}
	if v := l.view.Load(); v != nil {
		st.WindowBytes = v.bytes
	}
	if target := l.target(); target > 0 {
		st.Viewers = l.audience.count(now, l.period(target))
	}
	return st
}

// Run packages one life of the stream name ("app/stream") until r ends: it is Begin and what that returns.
func (s *Server) Run(ctx context.Context, name string, r media.Reader) error {
	return s.Begin(name)(ctx, r)
}

// Begin puts the stream name ("app/stream") on air: from now on requests for it wait for its first segment. The function that it
// returns must be called, once; it packages the stream's life until r ends. At io.EOF the playlist gets its ENDLIST, stays for three target
// durations or as KeepAfterEnd says, and the function returns nil. With any other error, and when ctx ends, it gets no ENDLIST, for viewers may
// survive a restart of the server, and goes after three target durations. A new life of the same name replaces the old one.
func (s *Server) Begin(name string) func(ctx context.Context, r media.Reader) error {
	l, first := s.begin(name)
	return func(ctx context.Context, r media.Reader) error { return s.run(ctx, l, first, r) }
}

// run packages the life l, whose first segment gets the number first.
func (s *Server) run(ctx context.Context, l *life, first int64, r media.Reader) error {
	log := s.opt.Log.With("stream", l.name)
	w := &window{
		dir:      path.Base(l.name),
		listSize: s.opt.ListSize, maxBytes: s.opt.MaxStreamBytes,
		gzip:             &s.gzip,
		discontinuitySeq: l.firstDiscontinuity,
	}
	g := newSegmenter(&s.opt, log, &l.counts, first)
	g.publish = func(seg *segment) {
		w.target = g.target
		w.add(seg)
		s.used(seg.seq)
		if seg.discontinuity {
			l.lastDiscontinuity.Add(1)
		}
		l.show(log, w, false)
	}
	g.refuse = func(reason string) {
		l.refusal.Store(&reason)
		l.answer()
	}
	err := g.run(ctx, r)
	if errors.Is(err, io.EOF) {
		if len(w.segments) > 0 {
			l.show(log, w, true)
		}
		err = nil
	}
	s.end(l, err == nil)
	st := l.stats(s.opt.Now())
	log.Info("HLS packaging ended", "segments", st.Segments, "bytes", st.Bytes, "dropped", st.Dropped, "forced_cuts", st.ForcedCuts)
	return err
}

// run feeds the segmenter until r ends.
func (g *segmenter) run(ctx context.Context, r media.Reader) error {
	units := make([]media.AccessUnit, readBatch)
	for {
		n, err := r.Read(ctx, units)
		for i := range units[:n] {
			g.write(&units[i])
		}
		clear(units[:n]) // lets the bodies go
		switch {
		case err == nil:
		case errors.Is(err, media.ErrSuspended):
			g.flush()
		case errors.Is(err, io.EOF):
			g.flush()
			return err
		default:
			return fmt.Errorf("reading units: %w", err)
		}
	}
}

// show makes the window visible to requests.
func (l *life) show(log *slog.Logger, w *window, ended bool) {
	v, err := w.snapshot(ended)
	if err != nil {
		log.Error("playlist not updated", "error", err)
		return
	}
	l.view.Store(v)
	l.refusal.Store(nil)
	l.answer()
}

// begin puts a new life in place and returns its first sequence number.
func (s *Server) begin(name string) (*life, int64) {
	l := &life{name: name, answerable: make(chan struct{}), cmaf: newPresentation()}
	s.mu.Lock()
	defer s.mu.Unlock()
	last := int64(-1)
	if old := s.lives[name]; old != nil {
		last = old.lastDiscontinuity.Load()
		s.forget(old)
	}
	l.firstDiscontinuity = firstDiscontinuity(s.opt.Now(), last)
	l.lastDiscontinuity.Store(l.firstDiscontinuity)
	s.lives[name] = l
	return l, max(s.lastSeq.Load()+1, s.opt.Now().Unix())
}

// used notes a sequence number.
func (s *Server) used(seq int64) {
	for {
		last := s.lastSeq.Load()
		if seq <= last || s.lastSeq.CompareAndSwap(last, seq) {
			return
		}
	}
}

// end lets go of a life that gets no more segments, now or in time. proper says that its playlist ended.
func (s *Server) end(l *life, proper bool) {
	l.over.Store(true)
	l.answer()
	l.cmaf.answer()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lives[l.name] != l {
		return
	}
	view := l.view.Load()
	switch {
	case view == nil:
		s.forget(l)
	case s.opt.KeepAfterEnd && proper:
		s.kept = append(s.kept, l)
		s.trimKept()
	default:
		time.AfterFunc(minListed*view.target, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.forget(l)
		})
	}
}

// trimKept holds the ended streams within their bounds. The caller holds mu.
func (s *Server) trimKept() {
	bytes := 0
	for _, l := range s.kept {
		bytes += l.view.Load().bytes
	}
	for len(s.kept) > s.opt.MaxKept || bytes > s.opt.MaxKeptBytes {
		oldest := s.kept[0]
		bytes -= oldest.view.Load().bytes
		s.forget(oldest)
	}
}

// forget removes a life if it is still in place. The caller holds mu.
func (s *Server) forget(l *life) {
	if s.lives[l.name] != l {
		return
	}
	delete(s.lives, l.name)
	for i, k := range s.kept {
		if k == l {
			s.kept = append(s.kept[:i:i], s.kept[i+1:]...)
			return
		}
	}
}

// startSegments is how many segments a stream has when browsers play it safely: with fewer, Chromium's own HLS player sometimes
// gives up.
const startSegments = 3

// settlesIn estimates in how many seconds the stream will have that many segments, 0: it has them.
func (l *life) settlesIn(segment time.Duration) int {
	view := l.view.Load()
	if view == nil {
		return int((startSegments*segment + time.Second - 1) / time.Second)
	}
	missing := max(startSegments-len(view.segments), 0)
	return missing * int(view.target/time.Second)
}

// find returns the life of a stream, nil if there is none.
func (s *Server) find(name string) *life {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.lives[name]
}
