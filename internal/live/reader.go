package live

import (
	"context"
	"io"
	"slices"
	"sync/atomic"
	"time"

	"livego/internal/media"
)

// ReaderOptions says where a Reader begins and how it is woken.
type ReaderOptions struct {
	// GOPs is how many cached GOPs the reader begins with: 0 waits for the next join unit, negative
	// takes all that the ring holds.
	GOPs int
	// Lazy wakes the reader with pictures, not with every unit (for few, larger writes to many
	// players): other units wait for the next picture, at most 1.5 mean picture intervals and never
	// over 50 ms; without video all units wait up to 60 ms. Who polls has to look at Wait and Doze.
	Lazy bool
	// Settled keeps back all units until the set of tracks is settled.
	Settled bool
}

// forever is longer than any reader waits.
const forever = time.Duration(1<<63 - 1)

// Reader is a cursor into a stream's ring. It never slows the publisher: a reader that the ring has
// overtaken goes on at the newest join unit, after the headers in force there. One goroutine at a
// time may use it.
type Reader struct {
	stream *Stream
	opt    ReaderOptions
	ready  chan struct{}
	timer  *time.Timer // of Read

	// Guarded by stream.mu.
	next      uint64
	joining   bool               // next is not a join unit yet
	jumped    bool               // units were skipped, and the next sample has to say so
	headers   []media.AccessUnit // to be handed out before next
	suspended uint32             // suspensions reported
	dozing    bool               // only a picture wakes it: it will look by itself
	skipped   atomic.Uint64      // units lost by being overtaken
}

var _ media.Reader = (*Reader)(nil)

// NewReader adds a reader to the stream. Close it when done.
func (s *Stream) NewReader(opt ReaderOptions) *Reader {
	r := &Reader{stream: s, opt: opt, ready: make(chan struct{}, 1), joining: true}
	s.mu.Lock()
	defer s.mu.Unlock()
	r.next = s.ring.next
	gops := opt.GOPs
	if gops < 0 {
		gops = len(s.ring.joins)
	}
	if seq, ok := s.ring.joinBack(gops); ok {
		r.next = seq
	}
	if s.suspended {
		r.suspended = s.suspensions
	}
	s.readers = append(s.readers, r)
	r.wake()
	return r
}

// Close removes the reader from its stream.
func (r *Reader) Close() {
	s := r.stream
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, o := range s.readers {
		if o == r {
			s.readers[i] = s.readers[len(s.readers)-1]
			s.readers[len(s.readers)-1] = nil
			s.readers = s.readers[:len(s.readers)-1]
			return
		}
	}
}

// Ready returns a channel that receives when Poll may have something new.
func (r *Reader) Ready() <-chan struct{} { return r.ready }

// Skipped returns how many units the reader lost because it was too slow.
func (r *Reader) Skipped() uint64 { return r.skipped.Load() }

// Poll is Read without waiting: it returns 0 and no error when there is nothing to read yet. Ready
// receives again only after something new came, so a caller polls until then.
func (r *Reader) Poll(dst []media.AccessUnit) (int, error) {
	s := r.stream
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-r.ready: // of what is read now
	default:
	}
	if r.opt.Settled && !s.isSettled() && !s.ended {
		return 0, nil
	}
	r.place()
	n := copy(dst, r.headers)
	r.headers = r.headers[n:]
	if r.joining || len(r.headers) > 0 {
		return n, r.stateError(n)
	}
	for n < len(dst) && r.next < s.ring.next {
		dst[n] = *s.ring.at(r.next)
		if r.jumped && dst[n].Header == media.Sample {
			dst[n].Discontinuity, r.jumped = true, false
		}
		n++
		r.next++
	}
	return n, r.stateError(n)
}

// Wait returns for how long a lazy reader may leave what is there to be read: 0 when there is a
// picture, when other units have waited long enough for one, and for a reader that is not lazy.
// Ready receives with the next picture, or when there was nothing with whatever comes.
func (r *Reader) Wait(now time.Time) time.Duration {
	s := r.stream
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !r.opt.Lazy || s.ended || s.suspended && r.suspended != s.suspensions:
		return 0
	case r.next >= s.ring.next:
		r.dozing = false
		return forever
	case r.next < max(s.ring.first, s.ring.pictures):
		return 0
	}
	wait, age := s.lazyWait(now), now.Sub(time.Unix(0, s.ring.at(r.next).Arrived))
	if age < 0 || age >= wait { // less than 0 when the clock was set back
		return 0
	}
	r.dozing = true
	return wait - age
}

// Doze is what a reader that has read everything does: Ready receives with the next picture if it
// is lazy, and it looks at Wait by itself after the time that Doze returns.
func (r *Reader) Doze(now time.Time) time.Duration {
	if !r.opt.Lazy {
		return forever
	}
	s := r.stream
	s.mu.Lock()
	defer s.mu.Unlock()
	r.dozing = true
	return s.lazyWait(now)
}

// place finds the join unit that a joining reader begins with, and moves a reader that was
// overtaken.
func (r *Reader) place() {
	ring := &r.stream.ring
	if !r.joining && r.next >= ring.first {
		return
	}
	if !r.joining {
		r.joining, r.jumped = true, true
		at, ok := ring.joinBack(1)
		if !ok {
			at = ring.next
		}
		r.skipped.Add(at - r.next)
		r.next = at
	}
	seq, ok := ring.joinFrom(r.next)
	if !ok {
		r.next = max(r.next, ring.next)
		return
	}
	r.next, r.joining = seq, false
	r.headers = slices.Clone(ring.headersAt(seq).Units())
	for i := range r.headers {
		// They belong to the place where the reader begins: its time does not fall.
		r.headers[i].DTS = ring.at(seq).DTS
		r.headers[i].PTS = r.headers[i].DTS
	}
}

// stateError returns what a reader is told when it has read everything.
func (r *Reader) stateError(n int) error {
	s := r.stream
	switch {
	case n > 0:
		return nil
	case s.ended:
		return io.EOF
	case s.suspended && r.suspended != s.suspensions:
		r.suspended = s.suspensions
		return media.ErrSuspended
	}
	return nil
}

// Read implements media.Reader.
func (r *Reader) Read(ctx context.Context, dst []media.AccessUnit) (int, error) {
	if r.timer == nil {
		r.timer = time.NewTimer(forever)
	}
	for {
		now := time.Now()
		wait := r.Wait(now)
		if wait == 0 {
			if n, err := r.Poll(dst); n > 0 || err != nil {
				return n, err
			}
			wait = r.Doze(now)
		}
		r.timer.Reset(wait)
		select {
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		case <-r.ready:
		case <-r.timer.C:
		}
	}
}

func (r *Reader) wake() {
	select {
	case r.ready <- struct{}{}:
	default:
	}
}
