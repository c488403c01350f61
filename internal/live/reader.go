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
	// Session leaves cached GOPs out that are of sessions before the newest one.
	Session bool
	// Settled keeps back all units until the set of tracks is settled.
	Settled bool
}

// forever is longer than any reader waits.
const forever = time.Duration(1<<63 - 1)

// Reader is a cursor into a publication's ring. It never slows the publisher: a reader that the
// ring has overtaken goes on at the newest join unit, after the headers in force there. Where a
// reader begins, or goes on, sound follows the join unit that was sent before it and is to be heard
// with it, or later. One goroutine at a time may use it.
type Reader struct {
	pub   *Publication
	opt   ReaderOptions
	ready chan struct{}
	timer *time.Timer // of Read

	// Guarded by pub.mu.
	next      uint64
	joining   bool               // next is not a join unit yet
	jumped    bool               // units were skipped, and the next join unit has to say so
	begin     []media.AccessUnit // to be handed out before next: headers, a join unit, sound that was ahead of it
	suspended uint32             // suspensions reported
	dozing    bool               // only a picture wakes it: it will look by itself
	skipped   atomic.Uint64      // units lost by being overtaken
}

var _ media.Reader = (*Reader)(nil)

// NewReader adds a reader to the publication. Close it when done.
func (pub *Publication) NewReader(opt ReaderOptions) *Reader {
	r := &Reader{pub: pub, opt: opt, ready: make(chan struct{}, 1), joining: true}
	pub.mu.Lock()
	defer pub.mu.Unlock()
	r.next = pub.ring.next
	if opt.GOPs < 0 {
		pub.ring.all++
	}
	if opt.GOPs < 0 || opt.GOPs > len(pub.ring.joins) {
		pub.ring.thaw()
	}
	gops := opt.GOPs
	if gops < 0 {
		gops = len(pub.ring.joins)
	}
	if seq, ok := pub.ring.joinBack(gops); ok {
		r.next = seq
	}
	if opt.Session {
		r.next = max(r.next, pub.sessionAt)
	}
	if pub.suspended {
		r.suspended = pub.suspensions
	}
	pub.readers = append(pub.readers, r)
	r.wake()
	return r
}

// Close removes the reader from its publication.
func (r *Reader) Close() {
	pub := r.pub
	pub.mu.Lock()
	defer pub.mu.Unlock()
	for i, o := range pub.readers {
		if o == r {
			pub.readers[i] = pub.readers[len(pub.readers)-1]
			pub.readers[len(pub.readers)-1] = nil
			pub.readers = pub.readers[:len(pub.readers)-1]
			if r.opt.GOPs < 0 {
				pub.ring.all--
			}
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
	pub := r.pub
	pub.mu.Lock()
	defer pub.mu.Unlock()
	select {
	case <-r.ready: // of what is read now
	default:
	}
	if r.opt.Settled && !pub.isSettled() && !pub.ended {
		return 0, nil
	}
	r.place()
	n := copy(dst, r.begin)
	r.begin = r.begin[n:]
	if r.joining || len(r.begin) > 0 {
		return n, r.stateError(n)
	}
	for n < len(dst) && r.next < pub.ring.next {
		dst[n] = *pub.ring.at(r.next)
		n++
		r.next++
	}
	return n, r.stateError(n)
}

// Wait returns for how long a lazy reader may leave what is there to be read: 0 when there is a
// picture, when other units have waited long enough for one, and for a reader that is not lazy.
// Ready receives with the next picture, or when there was nothing with whatever comes.
func (r *Reader) Wait(now time.Time) time.Duration {
	pub := r.pub
	pub.mu.Lock()
	defer pub.mu.Unlock()
	switch {
	case !r.opt.Lazy || pub.ended || pub.suspended && r.suspended != pub.suspensions:
		return 0
	case r.next >= pub.ring.next:
		r.dozing = false
		return forever
	case r.next < max(pub.ring.first, pub.ring.pictures):
		return 0
	}
	wait, age := pub.lazyWait(now), now.Sub(time.Unix(0, pub.ring.at(r.next).Arrived))
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
	pub := r.pub
	pub.mu.Lock()
	defer pub.mu.Unlock()
	r.dozing = true
	return pub.lazyWait(now)
}

// place finds the join unit that a joining reader begins with, and moves a reader that was
// overtaken.
func (r *Reader) place() {
	ring := &r.pub.ring
	if len(r.begin) > 0 || !r.joining && r.next >= ring.first {
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
	j, ok := ring.joinFrom(r.next)
	if !ok {
		r.next = max(r.next, ring.next)
		return
	}
	r.next, r.joining = j.seq+1, false
	first := *ring.at(j.seq)
	r.begin = slices.Clone(ring.headersAt(j.seq).Units())
	for i := range r.begin {
		// They belong to the place where the reader begins: its time does not fall.
		r.begin[i].DTS, r.begin[i].PTS = first.DTS, first.DTS
	}
	ahead := ring.ahead(j)
	if r.jumped {
		r.skipped.Add(-uint64(len(ahead)))
		first.Discontinuity, r.jumped = true, false
	}
	r.begin = append(append(r.begin, first), ahead...)
}

// stateError returns what a reader is told when it has read everything.
func (r *Reader) stateError(n int) error {
	pub := r.pub
	switch {
	case n > 0:
		return nil
	case pub.ended:
		return io.EOF
	case pub.suspended && r.suspended != pub.suspensions:
		r.suspended = pub.suspensions
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
