package hls

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"livego/internal/hls/ladder"
	"livego/internal/hls/playlist"
	"livego/internal/ledger"
	"livego/internal/media"
)

// life is one stream from its first publisher to its end.
type life struct {
	name string
	// shown is what requests for MPEG-TS see. It is another one after nobody asked for a while.
	shown atomic.Pointer[tsSide]
	over  atomic.Bool
	// replaced is closed when the next life of the stream begins.
	replaced chan struct{}
	// former is the CMAF side of the life before, as long as players may have its playlists; until
	// expected its renditions are waited for.
	former   atomic.Pointer[ladder.Presentation]
	expected time.Time
	// cmaf is the CMAF side.
	cmaf *ladder.Presentation
	log  *slog.Logger

	demand *demand

	// active counts the publications, of which onAir has what is closed when they have left, by the
	// name of the rendition. The server's mu guards them. closed: no further one joins; it is set
	// with mu held.
	active int
	onAir  map[string]chan struct{}
	closed atomic.Bool
	// mu guards the packagers and the time.
	mu       sync.Mutex
	time     lifeTime
	ts       *tsPackager
	packager *ladder.Packager
	// fed: the packager of CMAF got its first units.
	fed bool

	// firstDiscontinuity is the discontinuity sequence number at the life's begin,
	// lastDiscontinuity the highest one so far.
	firstDiscontinuity int64
	lastDiscontinuity  atomic.Int64
	// reach is the latest media time so far.
	reach atomic.Int64

	// record takes what the life used, for the next one. noting guards used.
	record *ledger.Life
	noted  func(ledger.Entry)
	noting sync.Mutex
	used   ledger.Entry
	// longest is how long the longest segment was so far, listed says that one began.
	longest time.Duration
	listed  bool
	// early: the newest segment began where the one before was cut because somebody waited.
	early bool

	counts   counters
	audience audience
	patient  patient
}

// movedTime bounds the time in which the last units of a stream that moves are taken.
const movedTime = 250 * time.Millisecond

// period is half of what the estimate of viewers looks back.
func (l *life) period(target time.Duration) time.Duration { return target * playlist.MinListed / 2 }

// target is the longest target duration of the life's playlists, 0 without one.
func (l *life) target() time.Duration {
	target := l.cmaf.Target()
	if v := l.transport().view.Load(); v != nil {
		target = max(target, v.Target)
	}
	return target
}

// windowBytes is the size of what can be fetched.
func (l *life) windowBytes() int {
	bytes := int(l.counts.cmaf.Window.Load())
	if v := l.transport().view.Load(); v != nil {
		bytes += v.Bytes
	}
	return bytes
}

func (l *life) stats(now time.Time) StreamStats {
	c := &l.counts
	st := StreamStats{
		Name:        l.name,
		Ended:       l.over.Load(),
		Segments:    c.ts.Segments.Load(),
		Bytes:       c.ts.Bytes.Load(),
		Dropped:     c.dropped(),
		ForcedCuts:  c.forcedCuts(),
		Parts:       c.cmaf.Parts.Load(),
		CMAFBytes:   c.cmaf.Bytes.Load(),
		WideParts:   c.cmaf.Wide.Load(),
		WindowBytes: l.windowBytes(),
	}
	if v := l.cmaf.View.Load(); v != nil {
		st.Renditions = len(v.Renditions)
	}
	if target := l.target(); target > 0 {
		st.Viewers = l.audience.count(now, l.period(target))
	}
	return st
}

// read packages the units of a publication, in some forms, until r ends or idle returns why it
// need not go on.
func (l *life) read(ctx context.Context, pub *ladder.Publication, r media.Reader, in formSet, idle func() error) error {
	units := make([]media.AccessUnit, readBatch)
	for flushed, moved := false, false; ; {
		n, err := r.Read(ctx, units)
		refused := l.write(pub, in, units[:n])
		clear(units[:n]) // lets the bodies go
		switch {
		case refused != nil:
			return refused
		case moved && err != nil:
			l.flush(pub, in)
			return ErrMoved
		case err == nil:
			flushed = false
			if err = idle(); err != nil && !moved {
				return err
			}
		case errors.Is(err, media.ErrSuspended):
			l.flush(pub, in)
			flushed = true
		case errors.Is(err, ErrMoved):
			if flushed {
				return err
			}
			// What is there is taken: its end is that of the session.
			var stop context.CancelFunc
			ctx, stop = context.WithTimeout(context.WithoutCancel(ctx), movedTime)
			defer stop()
			moved = true
		case errors.Is(err, io.EOF):
			return err
		default:
			return fmt.Errorf("reading units: %w", err)
		}
	}
}

// write packages units of a publication. The error says why it cannot be part of the ladder.
func (l *life) write(pub *ladder.Publication, in formSet, units []media.AccessUnit) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range units {
		l.time.place(&units[i])
	}
	l.reach.Store(int64(l.time.reach))
	if in[inCMAF] { // first: where MPEG-TS refuses, CMAF must be ready to take over
		l.writeCMAF(pub, units)
	}
	if in[inTS] {
		for i := range units {
			l.ts.write(pub, &units[i])
		}
	}
	return pub.Err
}

// writeCMAF packages units as CMAF. The caller holds mu.
func (l *life) writeCMAF(pub *ladder.Publication, units []media.AccessUnit) {
	caught := pub.Behind && len(units) < readBatch
	pub.Behind = len(units) == readBatch
	for i := range units {
		l.packager.Write(pub, &units[i])
	}
	if caught {
		l.packager.Present(false)
	}
	l.fed = l.fed || len(units) > 0
	if l.fed && l.transport().refusal.Load() != nil {
		l.transport().answer()
	}
}

// flush publishes what there is of a publication whose publisher is gone.
func (l *life) flush(pub *ladder.Publication, in formSet) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if in[inTS] {
		l.ts.flush(pub)
	}
	if !in[inCMAF] {
		return
	}
	l.packager.Suspend(pub)
	time.AfterFunc(lastCall, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.packager.EndSegments()
	})
}

// discontinued notes a discontinuity sequence number.
func (l *life) discontinued(n int64) { raise(&l.lastDiscontinuity, n) }
