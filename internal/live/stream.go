package live

import (
	"slices"
	"sync"
	"time"

	"livego/internal/media"
)

const (
	// settleTime is how long after its first media a session's set of tracks is open if its
	// metadata names tracks that do not come.
	settleTime = 500 * time.Millisecond
	// nameTime is for how long after its first media a session's metadata is believed that names a
	// kind of media which does not come.
	nameTime = 6 * time.Second
	// maxPictureWait bounds the time for which other units wait for the next picture, audioWait the
	// time without video.
	maxPictureWait = 50 * time.Millisecond
	audioWait      = 60 * time.Millisecond
	// audioJoinInterval is the least time between two join units of a stream without video.
	audioJoinInterval = time.Second
	// takeoverWindow, maxTakeovers: more takeovers than that within the window look like two
	// encoders that share a key.
	takeoverWindow = 30 * time.Second
	maxTakeovers   = 3
)

// Stream is the life of one publication: a stream, or one rendition of a stream that has several,
// from its first publisher until the grace time after its last one is over. The publications of a
// stream share its time, and nothing else. Its methods may be called from any goroutine.
type Stream struct {
	name     Name
	hub      *Hub
	timeline *timeline
	done     chan struct{}
	settled  chan struct{}
	named    chan struct{}
	begun    time.Time
	gauges   gauges
	home     bool // it is published here, and no copy; guarded by the hub's mu

	mu          sync.Mutex
	ring        ring
	readers     []*Reader
	publisher   *Publisher     // nil in grace
	lost        *Publisher     // the last one that was lost
	tracks      []*media.Track // of the last session that was settled and is over
	epoch       uint32
	last        time.Duration              // largest DTS sent
	frame       time.Duration              // last known distance of two units of the leading track
	lastOut     map[trackKey]time.Duration // largest DTS sent per track
	multitrack  bool                       // a message of a form for several tracks came
	suspended   bool
	suspensions uint32
	ended       bool
	cause       error // why it ended
	takeovers   []time.Time
	refuseUntil time.Time
	grace       *time.Timer
	settle      *time.Timer

	// What lazy readers wait for.
	lastPicture  time.Time
	pictureEvery time.Duration // smoothed
}

type trackKey struct {
	kind media.Kind
	id   uint8
}

func newStream(h *Hub, name Name, t *timeline) *Stream {
	return &Stream{
		name: name, hub: h, timeline: t, begun: time.Now(),
		done: make(chan struct{}), settled: make(chan struct{}), named: make(chan struct{}),
		ring:    newRing(h.opt.Memory, h.opt.GOPs),
		lastOut: make(map[trackKey]time.Duration),
	}
}

// Name returns the stream's name.
func (s *Stream) Name() Name { return s.name }

// Begun returns when its life began.
func (s *Stream) Begun() time.Time { return s.begun }

// Done is closed when the stream has ended: nothing will be added to it.
func (s *Stream) Done() <-chan struct{} { return s.done }

// Cause says why the stream has ended, nil before Done is closed.
func (s *Stream) Cause() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cause
}

// Settled is closed when the first session's set of tracks is known: all tracks that its metadata
// names have appeared, or 500 ms have passed since its first media.
func (s *Stream) Settled() <-chan struct{} { return s.settled }

// Named is closed when it is known which kinds of media there are: Settled is closed, or the first
// session's metadata names both.
func (s *Stream) Named() <-chan struct{} { return s.named }

// Kinds says which kinds of media the stream has, or will have: also those which the present
// session's metadata names, unless they have not come for 6 s.
func (s *Stream) Kinds() (video, audio bool) {
	video, audio = s.present()
	if s.Awaits() > 0 {
		s.mu.Lock()
		defer s.mu.Unlock()
		if p := s.publisher; p != nil {
			video, audio = video || p.video > 0, audio || p.audio > 0
		}
	}
	return video, audio
}

// present says which kinds of media the stream has.
func (s *Stream) present() (video, audio bool) {
	for _, t := range s.Tracks() {
		video = video || t.Kind == media.Video
		audio = audio || t.Kind == media.Audio
	}
	return video, audio
}

// Awaits returns for how long it is still believed that kinds of media will come which the
// metadata names and the stream does not have, 0 if there are none.
func (s *Stream) Awaits() time.Duration {
	video, audio := s.present()
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.publisher
	switch {
	case p == nil || (video || p.video == 0) && (audio || p.audio == 0):
		return 0
	case p.began.IsZero():
		return nameTime
	}
	return max(0, nameTime-time.Since(p.began))
}

// Readers returns how many readers the stream has.
func (s *Stream) Readers() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.readers)
}

// OnAir says whether there is a publisher now.
func (s *Stream) OnAir() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.publisher != nil
}

// Tracks returns the tracks of the current session, in the order of their appearance; until those
// are settled, and after a loss, the tracks of the session before.
func (s *Stream) Tracks() []*media.Track {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.publisher; p != nil && (p.settled || s.tracks == nil) {
		return p.currentTracks()
	}
	return slices.Clone(s.tracks)
}

// Multitrack says whether messages of a form for several tracks have come since the publication's
// life began.
func (s *Stream) Multitrack() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.multitrack
}

// keepTracks notes the tracks of a session that is over.
func (s *Stream) keepTracks(p *Publisher) {
	if p != nil && (p.settled || s.tracks == nil) {
		s.tracks = p.currentTracks()
	}
}

// Bytes returns how much memory the ring accounts for.
func (s *Stream) Bytes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ring.bytes
}

func (s *Stream) isSettled() bool {
	select {
	case <-s.settled:
		return true
	default:
		return false
	}
}

func (s *Stream) setSettled() {
	if !s.isSettled() {
		close(s.settled)
	}
	s.setNamed()
	s.wakeAll()
}

// append puts a unit that is ready for readers into the ring.
func (s *Stream) append(u media.AccessUnit) {
	s.last = max(s.last, u.DTS)
	if u.Track != nil {
		s.lastOut[trackKey{u.Track.Kind, u.Track.ID}] = u.DTS
	}
	s.ring.push(u)
}

// notify wakes the readers after units were appended. picture says that a picture was among them.
func (s *Stream) notify(now time.Time, picture bool) {
	if picture {
		s.tick(now)
	}
	for _, r := range s.readers {
		if picture || !r.dozing {
			r.wake()
		}
	}
}

// tick keeps the smoothed interval of pictures.
func (s *Stream) tick(now time.Time) {
	if !s.lastPicture.IsZero() {
		gap := min(now.Sub(s.lastPicture), maxPictureWait)
		if s.pictureEvery == 0 {
			s.pictureEvery = gap
		}
		s.pictureEvery += (gap - s.pictureEvery) / 8
	}
	s.lastPicture = now
}

// lazyWait is how long lazy readers wait for the next picture.
func (s *Stream) lazyWait(now time.Time) time.Duration {
	if s.lastPicture.IsZero() || now.Sub(s.lastPicture) > time.Second {
		return audioWait
	}
	if s.pictureEvery == 0 {
		return maxPictureWait
	}
	return min(s.pictureEvery*3/2, maxPictureWait)
}

func (s *Stream) setNamed() {
	select {
	case <-s.named:
	default:
		close(s.named)
	}
}

func (s *Stream) wakeAll() {
	for _, r := range s.readers {
		r.wake()
	}
}

// endLocked ends the stream. The caller holds s.mu and takes it out of the hub.
func (s *Stream) endLocked(cause error) {
	if s.ended {
		return
	}
	s.keepTracks(s.publisher)
	s.ended, s.cause, s.suspended, s.publisher = true, cause, false, nil
	s.gauges.onAir.Store(false)
	s.timeline.leave(s)
	for _, t := range []*time.Timer{s.grace, s.settle} {
		if t != nil {
			t.Stop()
		}
	}
	close(s.done)
	s.wakeAll()
}
