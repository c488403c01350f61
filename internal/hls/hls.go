// Package hls packages streams as HLS and serves them: MPEG-TS segments (RFC 8216), and CMAF with
// partial segments (Low-Latency HLS, draft-pantos-hls-rfc8216bis), where the tracks and
// publications of a stream make an adaptive ladder.
//
// One goroutine per publication, in what Server.Begin returns, turns access units into segments;
// each is made once and shared by all requests. What requests see is immutable and replaced as a
// whole: they take no lock that packaging takes, and no number of viewers slows it down.
//
//	media.Reader → segmenter.Segmenter → playlist.TSWindow → playlist.TSView  ← ServeHTTP
//	            └→ ladder.Packager, by one timeline      → playlist.View    ←
package hls

import (
	"log/slog"
	"time"

	"livego/internal/hls/ladder"
	"livego/internal/ledger"
	"livego/internal/spool"
)

// Options configures a Server. The zero value of a field means the default in parentheses.
type Options struct {
	// SegmentDuration (3 s) is the least length of a segment that is cut at a random access point.
	SegmentDuration time.Duration
	// PartDuration (200 ms) is about the length of a partial segment of Low-Latency HLS: the
	// nearest whole number of pictures.
	PartDuration time.Duration
	// ListSize (3) is the least number of segments in a playlist. It holds at least three target
	// durations too.
	ListSize int
	// KeepAfterEnd keeps an ended playlist until the stream's next life, instead of three target
	// durations.
	KeepAfterEnd bool
	// CMAF packages CMAF segments beside MPEG-TS, at more work and memory. Without it there is no
	// rewinding, for Spool keeps CMAF segments.
	CMAF bool
	// Joined presents the CMAF of a stream that has one video and one sound in one playlist, which
	// has half as many files. With Spool it does nothing.
	Joined bool
	// FirstSegmentWait (10 s) is how long a request for the playlist waits for the first segment of
	// a stream that is on air.
	FirstSegmentWait time.Duration

	// ReturnWait (none) is for how long from NewServer on a request for the playlist of a stream
	// that is not there waits for it: a former process may have had it, and its publisher comes
	// back in a moment.
	ReturnWait time.Duration
	// Admit, if set, says whether a stream may have one more viewer. It is called from many
	// goroutines.
	Admit func(stream string) bool
	// Bring, if set, is called when a playlist is asked for of a stream ("app/stream") that is not
	// there, or has ended and is left for a while. It has the stream brought from elsewhere, if
	// that can be, without waiting, and returns for how long requests wait for it; 0: they get what
	// is there. It is called from many goroutines.
	Bring func(stream string, ended bool) time.Duration

	// WriteTimeout (1 min) bounds the time that a response takes once it is known: a request that
	// was held has half of it at least.
	WriteTimeout time.Duration
	// MaxWaiting (32768) bounds the requests of all clients that are held until there is what they
	// ask for, at some 20 KiB each. One client address gets at most half of what the others leave.
	MaxWaiting int

	// MaxSegmentBytes (64 MiB) bounds a segment: 10 s at 50 Mbit/s. A longer one is cut wherever it
	// is.
	MaxSegmentBytes int
	// MaxStreamBytes (256 MiB) bounds the segments kept of one stream: those of MPEG-TS, and again
	// those of all CMAF renditions together.
	MaxStreamBytes int
	// MaxKept (100) and MaxKeptBytes (256 MiB) bound the ended streams that KeepAfterEnd keeps; the
	// oldest go first.
	MaxKept, MaxKeptBytes int

	// Spool keeps segments on disk, for rewinding and for the time after a restart. Nil: there is
	// none. The Server does not close it.
	Spool *spool.Store

	// PartDelay, if set, is told of each part how long after its last unit came players could have
	// it. It must not wait.
	PartDelay func(time.Duration)
	// Recorder is told of all CMAF segments. Nil: nobody is.
	Recorder Recorder

	// Ledger keeps the numbers that streams used. Nil: one that forgets them with the Server. The
	// Server does not close it.
	Ledger *ledger.Ledger
	// Noted, if set, is told what goes into the ledger, for servers that may have a stream next. It
	// must not wait.
	Noted func(stream string, e ledger.Entry)

	// Log gets one line per event of a stream, never one per access unit. Nil: nothing is logged.
	Log *slog.Logger
	// Now (time.Now) is the wall clock: all that is dated, counted or noted goes by it. Only how
	// long requests wait goes by timers.
	Now func() time.Time
}

func (o Options) withDefaults() Options {
	defaults(&o.SegmentDuration, 3*time.Second)
	defaults(&o.PartDuration, 200*time.Millisecond)
	defaults(&o.ListSize, 3)
	defaults(&o.FirstSegmentWait, 10*time.Second)
	defaults(&o.WriteTimeout, time.Minute)
	defaults(&o.MaxWaiting, 1<<15)
	defaults(&o.MaxSegmentBytes, 64<<20)
	defaults(&o.MaxStreamBytes, 256<<20)
	defaults(&o.MaxKept, 100)
	defaults(&o.MaxKeptBytes, 256<<20)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

func defaults[T int | time.Duration](v *T, value T) {
	if *v <= 0 {
		*v = value
	}
}

// cmaf is what of o concerns the packaging of CMAF.
func (o *Options) cmaf() ladder.Options {
	return ladder.Options{
		SegmentDuration: o.SegmentDuration, PartDuration: o.PartDuration, ListSize: o.ListSize, Joined: o.Joined,
		MaxSegmentBytes: o.MaxSegmentBytes, MaxStreamBytes: o.MaxStreamBytes, PartDelay: o.PartDelay, Now: o.Now,
	}
}
