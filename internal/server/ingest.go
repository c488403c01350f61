package server

import (
	"log/slog"
	"sync"
	"time"

	"livego/internal/flv"
	"livego/internal/live"
	"livego/internal/media"
	"livego/internal/repair"
	"livego/internal/stamps"
)

const (
	// maxTrackLines bounds the log lines of a session about its tracks: those of a ladder, and some
	// changes.
	maxTrackLines = 12
	// maxFaults bounds the kinds of fault of a session that the log is told of.
	maxFaults = 32
)

// ingest takes the units of one publisher session into its stream, whatever protocol they came by.
// It is the one place between demuxers and streams: what encoders send otherwise than the standards
// ask is put right here, and the log is told what there is. write has one user at a time.
type ingest struct {
	pub   *live.Publisher
	gauge *gauge
	watch *limitWatch // nil: the publisher may send anything
	log   *slog.Logger

	mu     sync.Mutex
	clocks stamps.Session
	repair repair.Session
	timed  []media.AccessUnit // of the write in hand, with the times that are meant
	out    []media.AccessUnit
	placed []live.Fault // what the stream put right of the write in hand
	// timer ends the wait for the rest of a picture.
	timer *time.Timer
	over  bool

	tracks map[trackID]*media.Track
	// trackLines counts what there was to say about tracks.
	trackLines int
	faults     map[repair.Fault]*rarely
	// jumps are those of the encoder's time, jumped how many there were at the last write.
	jumps  rarely
	jumped uint64
	now    time.Time // of the write in hand
}

type trackID struct {
	kind media.Kind
	id   uint8
}

func newIngest(pub *live.Publisher, g *gauge, watch *limitWatch, log *slog.Logger) *ingest {
	i := &ingest{pub: pub, gauge: g, watch: watch, log: log, tracks: make(map[trackID]*media.Track), faults: make(map[repair.Fault]*rarely)}
	i.clocks = stamps.Session{Body: flv.BodyLike, Report: func(f stamps.Fault) { i.noteFault(repair.Fault(f)) }}
	i.repair = repair.Session{Body: flv.BodyLike, Report: i.noteFault}
	return i
}

// write takes the units of one message as a demuxer gave them, and when they arrived, here or at
// another node. The error is that of the publisher.
func (i *ingest) write(units []media.AccessUnit, now, arrived time.Time) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.now = now
	for at := range units {
		units[at].Arrived = arrived.UnixNano()
		i.gauge.note(&units[at])
	}
	i.out = i.out[:0]
	i.timed = i.clocks.Append(i.timed[:0], units)
	i.mend()
	if wait := max(i.clocks.Waits(), i.repair.Waits()); wait > 0 {
		i.await(wait)
	}
	return i.hand()
}

// mend puts the units right whose times are known. Those of one message stay together.
func (i *ingest) mend() {
	for rest := i.timed; len(rest) > 0; {
		n := 1
		for n < len(rest) && rest[n].Shared {
			n++
		}
		i.out = i.repair.Append(i.out, rest[:n])
		rest = rest[n:]
	}
	clear(i.timed)
}

// await lets what is kept back go when nothing more of it comes.
func (i *ingest) await(wait time.Duration) {
	if i.timer == nil {
		i.timer = time.AfterFunc(wait, i.release)
		return
	}
	i.timer.Reset(wait)
}

// release hands on what was kept back.
func (i *ingest) release() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.over {
		return
	}
	i.now = time.Now()
	i.out = i.out[:0]
	i.timed = i.clocks.Flush(i.timed[:0])
	i.mend()
	i.out = i.repair.Flush(i.out)
	_ = i.hand() // the next write has the error
}

// end hands on what was kept back. Nothing is written any more.
func (i *ingest) end() {
	i.release()
	i.mu.Lock()
	defer i.mu.Unlock()
	i.over = true
	if i.timer != nil {
		i.timer.Stop()
	}
}

// hand writes the units that are ready to the stream.
func (i *ingest) hand() error {
	if len(i.out) == 0 {
		return nil
	}
	for at := range i.out {
		if u := &i.out[at]; u.Header == media.Sample || u.Header == media.SequenceHeader && u.Track.Parsed {
			if err := i.watch.admit(i.now, u.Track); err != nil {
				clear(i.out)
				return err
			}
			i.noteTrack(u.Track) // what a header does not say, the first frame may
		}
	}
	err := i.pub.Write(i.out)
	if n := i.pub.Jumps(); n != i.jumped {
		if i.jumped = n; i.jumps.due(i.now) {
			i.log.Warn("the encoder's time jumps", "time", i.out[0].DTS, "times", n)
		}
	}
	clear(i.out)
	i.placed = i.pub.Faults(i.placed[:0])
	for _, f := range i.placed {
		i.noteFault(repair.Fault(f))
	}
	return err
}

// noteFault logs what was put right, at first and again rarely while it lasts.
func (i *ingest) noteFault(f repair.Fault) {
	r := i.faults[f]
	if r == nil {
		if len(i.faults) >= maxFaults {
			return
		}
		r = new(rarely)
		i.faults[f] = r
	}
	i.gauge.noteFault(f)
	if r.due(i.now) {
		i.log.Warn("the encoder sends media in the wrong form", "kind", f.Kind.String(), "track", f.Track, "fault", f.What, "times", r.times)
	}
}

// rarely says when something that happens again and again is worth a line of the log: at first,
// after a minute, and then less and less often, down to once an hour.
type rarely struct {
	times uint64
	next  time.Time
	pause time.Duration
}

func (r *rarely) due(now time.Time) bool {
	if r.times++; now.Before(r.next) {
		return false
	}
	r.pause = min(max(5*r.pause, time.Minute), time.Hour)
	r.next = now.Add(r.pause)
	return true
}

// noteTrack logs tracks and their changes.
func (i *ingest) noteTrack(t *media.Track) {
	if t == nil || t.Kind == media.Data {
		return
	}
	id := trackID{t.Kind, t.ID}
	if i.tracks[id] == t {
		return
	}
	before := i.tracks[id]
	i.tracks[id] = t
	if i.trackLines++; i.trackLines >= maxTrackLines {
		if i.trackLines == maxTrackLines {
			i.log.Warn("many tracks or changes of tracks; further ones are not logged")
		}
		return
	}
	if before != nil && before.Codec == t.Codec && before.Parsed == t.Parsed {
		i.log.Debug("track changed", "kind", t.Kind.String(), "codec", codecName(t))
		return
	}
	switch {
	case t.Kind == media.Video:
		i.log.Info("track", "kind", "video", "track", t.ID, "codec", codecName(t), "width", t.Width, "height", t.Height)
	default:
		i.log.Info("track", "kind", "audio", "track", t.ID, "codec", codecName(t), "rate", t.SampleRate, "channels", t.Channels)
	}
	if !t.Parsed && (t.Err != "" || t.Codec == media.Unknown) {
		i.log.Warn("track is passed on to RTMP and FLV only", "kind", t.Kind.String(), "codec", codecName(t), "reason", t.Err)
	}
}
