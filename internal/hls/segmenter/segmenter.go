// Package segmenter cuts the units of one publication into MPEG-TS segments (RFC 8216).
package segmenter

import (
	"bytes"
	"cmp"
	"log/slog"
	"sync/atomic"
	"time"

	"livego/internal/codec"
	"livego/internal/hls/cut"
	"livego/internal/hls/playlist"
	"livego/internal/media"
	"livego/internal/mpegts"
)

const (
	// minFirstSegment and maxFirstWait bound the segment that fixes the target duration where
	// somebody waits: 6 s at most, with what it takes until it is seen.
	minFirstSegment = 500 * time.Millisecond
	maxFirstWait    = 5500 * time.Millisecond
	// announcedFor is how long sound waits for the first picture of a video whose header came.
	announcedFor = 2 * time.Second
	// unitOverhead is room for what the transport stream adds to an access unit, beside 1/16 of its
	// size.
	unitOverhead = 16 << 10
	// settleTime is for how long, in media time, the tracks of a publisher session may turn up one
	// by one.
	settleTime = 500 * time.Millisecond
	// spareCapacity is how much longer than the last segment the buffer may stay.
	spareCapacity = 1 << 20
)

// Options configures a segmenter. All fields must be set.
type Options struct {
	// SegmentDuration is the least length of a segment that is cut at a random access point,
	// MaxSegmentBytes the size at which one is cut wherever it is.
	SegmentDuration time.Duration
	MaxSegmentBytes int
	// CMAF: viewers can be sent to CMAF.
	CMAF bool
	// First is the number of the first segment.
	First int64
	// Publish takes each finished segment, and the target duration. Refuse is told why there are
	// none.
	Publish func(s *playlist.TSSegment, target time.Duration)
	Refuse  func(reason string)
	// Wanted says that somebody waits for the first segment.
	Wanted func() bool
	Log    *slog.Logger
	Counts *Counts
}

// Segmenter cuts the units of one stream life into segments. It has one user.
type Segmenter struct {
	Options

	// want is the tracks to package, tracks those of the segment under way and of mux.
	want   selection
	tracks pair
	mux    *mpegts.Muxer
	// buf holds the segment under way, beginning with room for the tables: they are written last,
	// when all tracks are known.
	buf []byte
	// units is how many units the last segment had.
	units int
	// current is the segment under way, nil while waiting for a unit that one may start with.
	current *draft

	// video and audio estimate where the units of a track end.
	video, audio cut.Pace
	// sound counts what was taken of the audio. late is by how much it came behind the video
	// lately, soundAt when it last came, in ns since 1970, and quiet the time before which there is
	// silence.
	sound       cut.SoundCount
	late, quiet time.Duration
	soundAt     int64
	// epoch is the publisher session, valid once started. Its media begin at since, valid once
	// heard.
	epoch          uint32
	started, heard bool
	since          time.Duration
	// discontinuity: the next segment begins with one.
	discontinuity bool
	// target is the target duration, 0 until the first segment is complete.
	target  time.Duration
	nextSeq int64
	clock   cut.Clock
	// refused is how many codecs the last refusal named; unfit counts units that could not be
	// muxed.
	refused int
	unfit   uint64
	// aside: viewers were sent to CMAF, and there was no segment since.
	aside bool
	// announced: there is a header of video, and no picture yet.
	announced bool
	// lastKey is the video's last random access point, negative before the first, gop about how far
	// they are apart.
	lastKey, gop time.Duration
	// pending is what waits because of a new header.
	pending pendingHeader
}

// draft is a segment under way.
type draft struct {
	start         time.Duration
	units         int
	discontinuity bool
	// pictures: it has video. sound: it has audio. independent: all that it has can be decoded from
	// its first picture on.
	pictures, sound, independent bool
	// newHeader: it began because of another header.
	newHeader bool
	// recipe has what it is made of.
	recipe recipe
}

// New makes a segmenter.
func New(opt Options) *Segmenter {
	return &Segmenter{
		Options: opt,
		want:    selection{log: opt.Log, cmaf: opt.CMAF},
		mux:     mpegts.NewMuxer(),
		nextSeq: opt.First,
		lastKey: -1,
	}
}

// Next returns the number of the next segment.
func (g *Segmenter) Next() int64 { return g.nextSeq }

// HasBegun says whether anything of a publication was packaged.
func (g *Segmenter) HasBegun() bool { return g.started }

// Write takes the stream's next unit. Units that cannot be packaged are counted and left out.
func (g *Segmenter) Write(u *media.AccessUnit) {
	g.follow(u)
	switch {
	case u.Epoch != g.epoch:
		return // the last metadata or header of a session that is over
	case u.Track == nil || u.Header != media.Sample && u.Header != media.SequenceHeader:
		return
	}
	if !g.heard && u.Header == media.Sample {
		g.heard, g.since = true, u.DTS
	}
	if g.announces(u) {
		return
	}
	if g.headerAgain(u) {
		if g.current.newHeader && u.DTS-g.current.start < cut.HeaderInterval {
			g.Counts.Dropped.Add(1)
			return
		}
		g.beginPending()
	}
	switch carried := g.want.note(u.Track); {
	case g.want.away && g.settled(u):
		g.stepAside()
		return
	case !carried:
		g.refuseIfEmpty(u)
		return
	}
	if before := *g.tracks.of(u.Track.Kind); before != u.Track && mpegts.SameStream(before, u.Track) {
		tracks := g.tracks
		*tracks.of(u.Track.Kind) = u.Track
		g.setTracks(tracks)
	}
	if u.Header != media.Sample || len(u.Data) == 0 {
		return // an empty audio message is silence (Enhanced RTMP v2)
	}
	if !g.waits(u) && g.fillHole(u) {
		g.place(u)
	}
}

// announces says whether u is the header of the first video: that is wanted from its first picture
// on, for none may ever come. Sound does not wait for one longer than announcedFor.
func (g *Segmenter) announces(u *media.AccessUnit) bool {
	if u.Track.Kind != media.Video {
		return false
	}
	g.announced = u.Header == media.SequenceHeader && g.want.video == nil && mpegts.Supports(u.Track)
	return g.announced
}

// place puts a unit into the segment to which it belongs.
func (g *Segmenter) place(u *media.AccessUnit) {
	if g.current == nil {
		if !g.mayStart(u) {
			g.Counts.Dropped.Add(1)
			return
		}
		g.begin(u, g.want.pair)
	} else if g.mustCut(u) {
		if u.Track.Kind == media.Video {
			g.endWithSilence(u)
		}
		g.finish(u.DTS, false)
		g.begin(u, g.want.pair)
	}
	g.put(u)
}

// put puts a unit into the segment under way.
func (g *Segmenter) put(u *media.AccessUnit) {
	if u.Track.Kind == media.Audio {
		g.sound.Take(u, cmp.Or(codec.FrameLength(u), g.audio.Step))
	}
	g.append(u)
}

// follow notices new publisher sessions and jumps of time.
func (g *Segmenter) follow(u *media.AccessUnit) {
	if g.started && u.Epoch > g.epoch {
		g.beginPending()
		g.discontinuity = true
		g.forget()
	}
	g.epoch, g.started = max(g.epoch, u.Epoch), true
	g.discontinuity = g.discontinuity || u.Discontinuity
}

// Restart lets the units of another publication follow, with sessions of its own.
func (g *Segmenter) Restart() {
	g.discontinuity, g.started, g.epoch = true, false, 0
	g.forget()
}

// forget lets go of what is known of a publisher session.
func (g *Segmenter) forget() {
	g.want.reset()
	g.refused, g.heard, g.announced = 0, false, false
}

// refuseIfEmpty tells viewers that nothing of the stream can be packaged, as soon as that is
// certain.
func (g *Segmenter) refuseIfEmpty(u *media.AccessUnit) {
	if g.settled(u) && g.want.pair == (pair{}) && len(g.want.leftOut) > g.refused {
		g.refused = len(g.want.leftOut)
		g.Refuse(g.want.refusal())
	}
}

// settled says whether the session's tracks are known. It decides who gets MPEG-TS and who CMAF:
// nothing is published or refused before.
func (g *Segmenter) settled(u *media.AccessUnit) bool { return g.heard && u.DTS-g.since >= settleTime }

// stepAside leaves a stream of which CMAF carries more to CMAF. What is under way is never shown: a
// segment without sound would be the wrong answer to those who wait for the first one.
func (g *Segmenter) stepAside() {
	if g.aside {
		return
	}
	g.aside, g.discontinuity, g.current, g.pending = true, true, nil, pendingHeader{}
	g.setTracks(pair{})
	g.Refuse(g.want.refusal())
}

func (g *Segmenter) paceOf(u *media.AccessUnit) *cut.Pace {
	if u.Track.Kind == media.Video {
		return &g.video
	}
	return &g.audio
}

// begin starts a segment with u.
func (g *Segmenter) begin(u *media.AccessUnit, tracks pair) {
	if g.tracks != tracks {
		g.discontinuity = true
		g.setTracks(tracks)
	}
	g.current = &draft{start: u.DTS, discontinuity: g.discontinuity, independent: true, recipe: newRecipe(g.mux, g.units)}
	g.discontinuity = false
	g.buf = append(g.buf[:0], make([]byte, mpegts.TablesSize)...)
	if g.clock == (cut.Clock{}) {
		g.clock = cut.Clock{Arrived: u.Arrived, DTS: u.DTS}
	}
}

func (g *Segmenter) setTracks(p pair) {
	g.tracks = p
	g.mux.SetTracks(p.video, p.audio)
	if g.current != nil {
		g.current.recipe.tracks(p)
	}
}

// append adds u to the segment under way.
func (g *Segmenter) append(u *media.AccessUnit) {
	if !g.admit(u.Track) {
		g.Counts.Dropped.Add(1)
		return
	}
	buf, err := g.mux.Append(g.buf, u)
	if err != nil {
		g.drop(u, err)
		return
	}
	g.buf = buf
	g.current.units++
	g.current.recipe.add(u)
	g.paceOf(u).Mark(u.DTS)
	if u.Track.Kind == media.Video {
		if u.RandomAccess {
			g.measure(u)
		}
		g.current.independent = g.current.independent && !u.Skipped && (g.current.pictures || u.RandomAccess && !u.Recovery)
		g.current.pictures = true
	} else {
		g.current.sound = true
	}
}

// admit says whether the segment under way has the track. Audio that it has no frame of yet is
// added to it, also in the place of another track: its tables are not written yet. Any other new
// track waits for the next segment.
func (g *Segmenter) admit(t *media.Track) bool {
	if *g.tracks.of(t.Kind) == t {
		return true
	}
	if t.Kind != media.Audio || g.current.sound {
		return false
	}
	g.setTracks(pair{g.tracks.video, t})
	g.current.discontinuity = true
	return true
}

// drop leaves out a unit that cannot be muxed. Without its first unit a segment does not begin.
func (g *Segmenter) drop(u *media.AccessUnit, err error) {
	g.Counts.Dropped.Add(1)
	if g.unfit++; cut.Milestone(g.unfit) {
		g.Log.Warn("access unit left out of HLS", "kind", u.Track.Kind, "codec", u.Track.Codec, "dts", u.DTS, "error", err, "times", g.unfit)
	}
	if g.current.units == 0 {
		g.discontinuity = g.discontinuity || g.current.discontinuity
		g.current = nil
	}
}

// Flush publishes the segment under way, though it is short: there is nothing to follow soon.
func (g *Segmenter) Flush() {
	g.beginPending()
	if g.current != nil {
		g.finish(g.lastEnd(), false)
	}
}

// lastEnd estimates where the last unit ends.
func (g *Segmenter) lastEnd() time.Duration {
	return max(g.video.Last+g.video.Step, g.audio.Last+g.audio.Step)
}

// finish publishes the segment under way. end is where the next one begins, early that this is
// before the next random access point, though the segment has no limit yet.
func (g *Segmenter) finish(end time.Duration, early bool) {
	d := g.current
	g.current, g.aside = nil, false
	g.buf = g.mux.Flush(g.buf)
	g.mux.AppendTables(g.buf[:0])

	duration := end - d.start
	if limit := g.limit(); duration > limit {
		// The stream paused for longer than a segment may last: the playlist leaves the hole out.
		duration = min(limit, g.lastEnd()-d.start)
		g.discontinuity = true
	}
	duration = max(duration, cut.MinDuration)
	first, forced := g.target == 0, early || g.Wanted() && duration >= maxFirstWait-cut.MaxStep
	if first {
		g.target = g.firstTarget(duration, forced)
	}
	s := &playlist.TSSegment{
		Seq: g.nextSeq, Start: d.start, Duration: duration, At: g.clock.At(d.start),
		Discontinuity: d.discontinuity && !first, Independent: d.independent,
		Data: playlist.NewTSMedia(bytes.Clone(g.buf), d.recipe.make(len(g.buf))),
	}
	g.nextSeq++
	g.units = d.units
	g.Counts.Segments.Add(1)
	g.Counts.Bytes.Add(uint64(len(g.buf)))
	if cap(g.buf) > 2*len(g.buf)+spareCapacity {
		g.buf = nil
	}
	g.Publish(s, g.target)
}

// Counts are written by who packages and read by anyone.
type Counts struct {
	// segments and bytes count what was published, Dropped units that were left out, forced
	// segments that begin without a random access point.
	Segments, Bytes, Dropped, Forced atomic.Uint64
}
