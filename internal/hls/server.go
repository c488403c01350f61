package hls

import (
	"context"
	"errors"
	"hash/maphash"
	"io"
	"path"
	"sync"
	"sync/atomic"
	"time"

	"livego/internal/hls/cut"
	"livego/internal/hls/ladder"
	"livego/internal/hls/playlist"
	"livego/internal/http1"
	"livego/internal/ledger"
	"livego/internal/media"
)

// readBatch is how many units are read at a time: about a second of video with audio.
const readBatch = 64

// ErrMoved is the cause of the end of a publication's context when what follows is packaged by
// another server, which begins where this one ends: Options.Noted is told all that it needs. Read
// must have ErrSuspended at the end.
var ErrMoved = errors.New("another server packages the stream now")

// Server packages streams and serves them. Its methods may be called at the same time.
type Server struct {
	opt     Options
	seed    maphash.Seed
	gzip    playlist.Compressor
	holds   *http1.Holds
	answers answers
	// returnBy is until when, by the clock of timers, streams may come back that a former process
	// had.
	returnBy time.Time

	// lastSeq is the highest sequence number that any stream used: a bound for each of them that
	// needs no memory of their names.
	lastSeq atomic.Int64

	mu    sync.RWMutex
	lives map[string]*life
	// kept are the ended lives that KeepAfterEnd keeps, oldest first.
	kept []*life
	// past sums up the lives that are gone.
	past Totals
	// awaited are the streams for which requests wait.
	awaited map[string]*awaited
	// inherited is what other servers noted of streams that begin here in a moment.
	inherited map[string]ledger.Entry
	// held are the streams that are packaged although nobody watches.
	held map[string]bool
}

// NewServer makes a server without streams.
func NewServer(opt Options) *Server {
	if opt.Ledger == nil {
		opt.Ledger = ledger.Open(ledger.Options{Now: opt.Now})
	}
	opt = opt.withDefaults()
	return &Server{
		opt:       opt,
		holds:     http1.NewHolds(opt.MaxWaiting, opt.WriteTimeout),
		seed:      maphash.MakeSeed(),
		returnBy:  time.Now().Add(opt.ReturnWait),
		lives:     make(map[string]*life),
		awaited:   make(map[string]*awaited),
		inherited: make(map[string]ledger.Entry),
		held:      make(map[string]bool),
	}
}

// Begin puts a publication of the stream name ("app/stream") on air: from now on requests for it
// wait for its first segment. Several publications, each with a rendition name ("" is the stream's
// default one), share the stream's life and make one ladder. The function that Begin returns must
// be called, once; it packages the publication until r ends. If others of the stream go on then,
// its renditions leave the ladder. At io.EOF of the last one the playlists get their ENDLIST, stay
// for three target durations or as KeepAfterEnd says, and the function returns nil. With any other
// error, and when ctx ends, they get no ENDLIST, for viewers may survive a restart of the server,
// and go after three target durations. A new life of the same name replaces the old one. The error
// wraps ErrMisaligned if the publication cannot be part of the ladder; its text is for who runs the
// encoder.
func (s *Server) Begin(name, rendition string) func(ctx context.Context, r media.Reader) error {
	pub := &ladder.Publication{Rendition: rendition}
	begun := s.begin(name, pub)
	return func(ctx context.Context, r media.Reader) error { return s.run(ctx, begun(ctx), pub, r) }
}

// run packages a publication of the life l.
func (s *Server) run(ctx context.Context, l *life, pub *ladder.Publication, r media.Reader) error {
	return s.finish(ctx, l, pub, l.read(ctx, pub, r, formSet{inTS: true, inCMAF: s.opt.CMAF}, func() error { return nil }))
}

// finish takes a publication whose reader ended with err out of its life, and returns the error
// that its caller should see.
func (s *Server) finish(ctx context.Context, l *life, pub *ladder.Publication, err error) error {
	proper := errors.Is(err, io.EOF)
	if proper {
		err = nil
	}
	if !s.leave(ctx, l, pub, proper) {
		return err
	}
	st := l.stats(s.opt.Now())
	l.log.Info("HLS packaging ended", "segments", st.Segments, "bytes", st.Bytes, "parts", st.Parts, "cmaf_bytes", st.CMAFBytes,
		"dropped", st.Dropped, "forced_cuts", st.ForcedCuts)
	return err
}

// lastCall is for how long the playlists of a stream that is over list all there is without an end:
// players ask for the last parts meanwhile. It is less than the least time after which hls.js
// (1.7.4) gives up a request that is held, 0.8 s.
const lastCall = 700 * time.Millisecond

// leave takes a publication out of its life, and says whether that was the end of it. Then it gives
// players the time to load what came last. If another publisher comes meanwhile, the CMAF
// playlists get no end: players go on with the next life.
//
// hls.js (1.7.4, getFragmentAtPosition) loads no further parts of a segment once the playlist has
// ended, and waits for them for good.
func (s *Server) leave(ctx context.Context, l *life, pub *ladder.Publication, proper bool) bool {
	s.mu.Lock()
	l.active--
	last := l.active == 0
	if last {
		l.closed.Store(true)
	}
	s.mu.Unlock()
	listed := false
	l.mu.Lock()
	if proper {
		l.ts.flush(pub)
	}
	l.ts.exit(pub, last)
	if !last {
		if proper {
			l.packager.Suspend(pub)
		}
		l.packager.Exit(pub)
	} else {
		if proper {
			l.ts.end()
		}
		listed = l.packager.End(proper)
		if errors.Is(context.Cause(ctx), ErrMoved) {
			l.noteMove()
		} else {
			l.noteEnd(false)
		}
	}
	l.mu.Unlock()
	s.gone(l, pub.Rendition)
	if !last {
		return false
	}
	if listed && l.demand.askedFor(inCMAF)() {
		l.cmaf.Suspect(lastCall + cut.Departure)
		select {
		case <-time.After(lastCall):
		case <-l.replaced:
		case <-ctx.Done():
		}
	}
	s.end(l, proper && l.seal())
	return true
}

// seal puts the end into the CMAF playlists, unless the next life has begun.
func (l *life) seal() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.isReplaced() {
		l.packager.Abandon()
		return false
	}
	l.packager.Seal()
	l.noteEnd(true)
	return true
}

// isReplaced says that the next life of the stream has begun.
func (l *life) isReplaced() bool {
	select {
	case <-l.replaced:
		return true
	default:
		return false
	}
}

// leaveTime bounds the time for which a publication waits for one that has ended and whose place it
// takes.
const leaveTime = 2 * time.Second

// begin adds a publication to the life of its stream, which begins if need be. What it returns must
// be called, once, and returns the life. A publication of the same name may not have left yet,
// which an encoder that is back at once ended a moment ago: then it is waited for there, and the
// life ends with it, instead of a rendition that leaves the ladder and comes back.
func (s *Server) begin(name string, pub *ladder.Publication) func(context.Context) *life {
	l, leaving := s.enter(name, pub.Rendition, false)
	if leaving == nil {
		l.add(pub)
		return func(context.Context) *life { return l }
	}
	return func(ctx context.Context) *life {
		select {
		case <-leaving:
		case <-ctx.Done():
		case <-time.After(leaveTime):
		}
		l, _ := s.enter(name, pub.Rendition, true)
		l.add(pub)
		return l
	}
}

// add gives a publication to the packagers.
func (l *life) add(pub *ladder.Publication) {
	l.mu.Lock() // not with the server's: requests need that, and packaging takes its time
	defer l.mu.Unlock()
	l.packager.Enter(pub)
	l.ts.enter(pub)
}

// enter counts one more publication into the life of a stream. If one of the same name is there it
// returns what is closed when that has left instead, unless it must not.
func (s *Server) enter(name, rendition string, always bool) (l *life, leaving <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l = s.lives[name]
	if l == nil || l.closed.Load() {
		last := l
		if last != nil {
			s.forget(last)
			close(last.replaced)
		}
		l = s.newLife(name)
		if last != nil {
			s.succeed(l, last)
		}
		s.lives[name] = l
		s.announce(name)
	}
	if there := l.onAir[rendition]; there != nil && !always {
		return nil, there
	}
	l.active++
	l.onAir[rendition] = make(chan struct{})
	return l, nil
}

// gone says that a publication has left its life.
func (s *Server) gone(l *life, rendition string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if there := l.onAir[rendition]; there != nil {
		close(there)
		delete(l.onAir, rendition)
	}
}

// newLife makes a life that follows the last one of the stream.
func (s *Server) newLife(name string) *life {
	record, last, known := s.lastLife(name)
	first := s.numbersAfter(&last, known)
	l := &life{
		name: name, onAir: make(map[string]chan struct{}), demand: newDemand(), log: s.opt.Log.With("stream", name), replaced: make(chan struct{}),
		cmaf:               ladder.NewPresentation(),
		firstDiscontinuity: last.Discontinuity, record: record, noted: s.noted(name), used: last,
	}
	l.used.Over, l.used.Follows = false, false
	l.lastDiscontinuity.Store(l.firstDiscontinuity)
	l.time = lifeTime{now: s.opt.Now, floor: endOfNoted(&last, s.opt.Now()), follows: first.follows}
	l.ts = newTSPackager(s, l, first.ts, l.firstDiscontinuity)
	start := ladder.Start{
		First: first.cmaf, Lost: first.lost, Follows: first.follows, Longest: first.longest, FirstDiscontinuity: l.firstDiscontinuity,
		Announce: func(b *ladder.Boundary) {
			s.used(b.Seq)
			if b.Discontinuity {
				l.discontinued(b.Before + 1)
			}
			l.noteSegment(b)
		},
		Show: l.cmaf, Wanted: l.demand.askedFor(inCMAF), Patient: func() bool { return l.patient.waits(s.opt.Now()) }, Log: l.log, Counts: &l.counts.cmaf,
	}
	l.time.floor = max(l.time.floor, s.rewind(name, last.Segment+1, &start))
	if s.opt.Recorder != nil && s.opt.CMAF {
		start.Sink = s.opt.Recorder.Begin(name)
	}
	l.packager = ladder.New(s.opt.cmaf(), start)
	l.demand.hold(s.held[name] || start.Stored != nil)
	if first.follows { // who watched goes on
		l.demand.resume(&last, s.opt.Now())
	}
	if !s.opt.CMAF {
		l.cmaf.Refuse("this server packages no CMAF segments (hls_cmaf is false): " + path.Base(name) + playlist.PlaylistSuffix + " has MPEG-TS")
	}
	return l
}

// used notes a sequence number.
func (s *Server) used(seq int64) { raise(&s.lastSeq, seq) }

// raise makes v at least n.
func raise(v *atomic.Int64, n int64) {
	for {
		last := v.Load()
		if n <= last || v.CompareAndSwap(last, n) {
			return
		}
	}
}

// end lets go of a life that gets no more segments, now or in time. proper says that its playlist
// ended.
func (s *Server) end(l *life, proper bool) {
	l.over.Store(true)
	l.transport().answer()
	l.cmaf.Finish(proper)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lives[l.name] != l {
		return
	}
	target := l.target()
	switch {
	case target == 0:
		s.forget(l)
	case s.opt.KeepAfterEnd && proper:
		s.kept = append(s.kept, l)
		s.trimKept()
	default:
		time.AfterFunc(playlist.MinListed*target, func() {
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
		bytes += l.windowBytes()
	}
	for len(s.kept) > s.opt.MaxKept || bytes > s.opt.MaxKeptBytes {
		oldest := s.kept[0]
		bytes -= oldest.windowBytes()
		s.forget(oldest)
	}
}

// forget removes a life if it is still in place. The caller holds mu.
func (s *Server) forget(l *life) {
	if s.lives[l.name] != l {
		return
	}
	delete(s.lives, l.name)
	s.past.add(&l.counts)
	l.noteEnd(false)
	for i, k := range s.kept {
		if k == l {
			s.kept = append(s.kept[:i:i], s.kept[i+1:]...)
			return
		}
	}
}

// Has says whether a stream is packaged, or was a short while ago. Requests for it wait for nothing
// but its own media.
func (s *Server) Has(name string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.lives[name] != nil
}

// find returns the life of a stream, nil if there is none.
func (s *Server) find(name string) *life {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.lives[name]
}

// wanted is find for who asks for something of a form.
func (s *Server) wanted(name string, f form) *life {
	l := s.find(name)
	if l != nil {
		l.demand.ask(f, s.opt.Now())
	}
	return l
}
