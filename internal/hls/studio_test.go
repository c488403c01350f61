package hls

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4"

	"livego/internal/hls/playlist"
	"livego/internal/media"
)

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

// avcTrack is what libx264 makes of 192 x 108 pictures.
func avcTrack(id uint8) *media.Track {
	c := unhex("0164000bffe100196764000bacd9430ffbc044000003000400000300c83c50a65801000468ef8fcbfdf8f800")
	return &media.Track{Kind: media.Video, ID: id, Codec: media.H264, Config: c, Parsed: true, Width: 192, Height: 108, NALLengthSize: 4,
		ParameterSets: [][]byte{c[8:33]}}
}

func soundTrack(codec media.Codec, config string, rate, samples int) *media.Track {
	return &media.Track{Kind: media.Audio, Codec: codec, Config: unhex(config), Parsed: true, SampleRate: rate, Channels: 1, SamplesPerFrame: samples}
}

func aac(rate int) *media.Track { return soundTrack(media.AAC, "118856e500", rate, 1024) }

func opus48() *media.Track {
	return soundTrack(media.Opus, "4f70757348656164010138"+"0180bb0000000000", 48000, 0)
}

// studio makes units of exact rates, with times in milliseconds as RTMP has them.
type studio struct {
	video, audio *media.Track
	// rate is pictures per second, gop pictures from one random access point to the next, reorder
	// makes B-frames.
	rate    float64
	gop     int
	reorder bool
	// audioEvery is the length of an audio frame in seconds.
	audioEvery float64
	// begin is the time of the first unit.
	begin             time.Duration
	epoch             uint32
	pictures, samples int
	bytes             int
}

func millis(s float64) time.Duration { return time.Duration(math.Round(s*1000)) * time.Millisecond }

// until makes all units up to a time after begin, in the order of their times.
func (s *studio) until(end time.Duration) []media.AccessUnit {
	var units []media.AccessUnit
	for {
		v, a := time.Duration(math.MaxInt64), time.Duration(math.MaxInt64)
		if s.video != nil {
			v = millis(float64(s.pictures) / s.rate)
		}
		if s.audio != nil {
			a = millis(float64(s.samples) * s.audioEvery)
		}
		if min(a, v) >= end {
			return units
		}
		if v <= a {
			units = append(units, s.picture(v))
		} else {
			units = append(units, s.sound(a))
		}
	}
}

func (s *studio) stamp(u media.AccessUnit) media.AccessUnit {
	u.DTS += s.begin
	u.PTS += s.begin
	u.Epoch = s.epoch
	u.Arrived = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).Add(u.DTS).UnixNano()
	return u
}

func (s *studio) picture(at time.Duration) media.AccessUnit {
	key := s.pictures%s.gop == 0
	u := picture(s.video, int(at/time.Millisecond), key, s.pictures)
	if s.bytes > 0 {
		u.Data = append(binary.BigEndian.AppendUint32(nil, uint32(s.bytes)), make([]byte, s.bytes)...)
	}
	if s.reorder {
		u.PTS += millis(float64([]int{1, 3, 0, 1}[s.pictures%4]) / s.rate)
	}
	s.pictures++
	return s.stamp(u)
}

func (s *studio) sound(at time.Duration) media.AccessUnit {
	data := audioFrame(s.audio, s.samples)
	if s.audio.Codec == media.Opus {
		data = append([]byte{0xfc}, data...) // 20 ms
	}
	s.samples++
	return s.stamp(media.AccessUnit{Track: s.audio, RandomAccess: true, DTS: at, PTS: at, Data: data})
}

// rig is a packager with what it published so far.
type rig struct {
	t testing.TB
	*packager
	counts counters
	show   *presentation
	log    bytes.Buffer
	seen   map[string]*record
	// broken counts the parts that were hinted and never came, abrupt the segments whose end came
	// together with their last part.
	broken, abrupt int
	pubs           map[string]*publication
}

// record is the history of a rendition.
type record struct {
	view     *playlist.View
	segments map[int64]*playlist.Segment
	order    []int64
}

func newRig(t testing.TB, opt Options) *rig {
	r := &rig{t: t, show: newPresentation(), seen: make(map[string]*record), pubs: make(map[string]*publication)}
	opt = opt.withDefaults()
	r.packager = newPackager(&opt, slog.New(slog.NewTextHandler(&r.log, nil)), &r.counts, r.show, lineFrom(&opt))
	return r
}

func (r *rig) publication(name string) *publication {
	if r.pubs[name] == nil {
		r.pubs[name] = &publication{rendition: name}
		r.enter(r.pubs[name])
	}
	return r.pubs[name]
}

// feed packages units of a publication and looks at what is published after each.
func (r *rig) feed(name string, units ...media.AccessUnit) {
	for i := range units {
		r.write(r.publication(name), &units[i])
		r.look()
	}
}

// finish ends the stream.
func (r *rig) finish() {
	r.end(true)
	r.look()
}

// look notes new views, and checks them.
func (r *rig) look() {
	r.t.Helper()
	for id, rend := range r.show.renditions {
		v := rend.View.Load()
		rec := r.seen[id]
		if rec == nil {
			rec = &record{segments: make(map[int64]*playlist.Segment)}
			r.seen[id] = rec
		}
		if v == nil || v == rec.view {
			continue
		}
		r.check(id, rec, v)
		rec.view = v
	}
}

// check holds a new view against the rules, and against the view before it.
func (r *rig) check(id string, rec *record, v *playlist.View) {
	r.t.Helper()
	if old := rec.view; old != nil && !old.Ended {
		select {
		case <-old.Replaced:
		default:
			r.t.Errorf("%s: replaced view %d is not closed", id, old.Version)
		}
	}
	if old := rec.view; old != nil {
		if seq, part, ok := old.Next(); ok {
			if s := v.Segment(seq); s != nil && s.Complete && len(s.Parts) <= part {
				r.broken++
			}
		}
		seq, part, _ := old.Last()
		if s := v.Segment(seq); s != nil && s.Complete && len(s.Parts) > part+1 {
			r.abrupt++
		}
	}
	listed := time.Duration(0)
	for i, s := range v.Segments {
		last := i == len(v.Segments)-1
		if i > 0 && s.Seq != v.Segments[i-1].Seq+1 {
			r.t.Errorf("%s: segment %d after %d", id, s.Seq, v.Segments[i-1].Seq)
		}
		if !s.Complete && (!last || v.Ended) {
			r.t.Errorf("%s: open segment %d", id, s.Seq)
		}
		r.checkSegment(id, s, v)
		if i >= v.Listed {
			listed += s.Duration
		}
		old := rec.segments[s.Seq]
		if old == nil {
			rec.order = append(rec.order, s.Seq)
		} else if len(old.Parts) > len(s.Parts) || old.Complete && old != s {
			r.t.Errorf("%s: segment %d changed", id, s.Seq)
		}
		rec.segments[s.Seq] = s
	}
	if first := v.Segments[0].Seq; v.Listed > 0 && listed < playlist.MinListed*v.Target && len(v.Segments)-v.Listed < playlist.MaxListed {
		r.t.Errorf("%s: %v listed from %d on", id, listed, first)
	}
}

func (r *rig) checkSegment(id string, s *playlist.Segment, v *playlist.View) {
	r.t.Helper()
	sum, size, longest := time.Duration(0), 0, time.Duration(0)
	for _, p := range s.Parts {
		sum += p.Duration
		size += len(p.Data)
		longest = max(longest, p.Duration)
	}
	wide := longest == v.PartTarget && sum < s.Duration // they last longer than they may be listed
	switch {
	case s.Gap != (size == 0):
		r.t.Errorf("%s: segment %d has %d parts, gap %v", id, s.Seq, len(s.Parts), s.Gap)
	case longest > v.PartTarget:
		r.t.Errorf("%s: segment %d has a part of %v, the target is %v", id, s.Seq, longest, v.PartTarget)
	case !s.Gap && sum != s.Duration && !wide && s.Duration != v.Target+rounding || size != s.Size:
		r.t.Errorf("%s: segment %d: parts last %v and have %d bytes, of %v and %d", id, s.Seq, sum, size, s.Duration, s.Size)
	case s.Duration.Round(time.Second) > v.Target || s.Duration <= 0:
		r.t.Errorf("%s: segment %d of %v exceeds %v", id, s.Seq, s.Duration, v.Target)
	case s.Init == nil || len(s.Init.Data) == 0:
		r.t.Errorf("%s: segment %d without init", id, s.Seq)
	}
	if s.Key > 0 {
		var first fmp4.Parts
		if err := first.Unmarshal(s.Parts[0].Data[:s.Key]); err != nil || len(first) != 1 || len(first[0].Tracks[0].Samples) != 1 {
			r.t.Errorf("%s: the first picture of segment %d is no fragment of its own: %v", id, s.Seq, err)
		}
	}
}

// of returns the history of a rendition.
func (r *rig) of(id string) *record {
	r.t.Helper()
	if r.seen[id] == nil {
		r.t.Fatalf("no rendition %s; log:\n%s", id, &r.log)
	}
	return r.seen[id]
}

// String lists the segments of a history.
func (rec *record) String() string {
	var b strings.Builder
	for _, seq := range rec.order {
		s := rec.segments[seq]
		fmt.Fprintf(&b, "%d %v+%v parts %d", s.Seq, s.Start, s.Duration.Round(time.Millisecond), len(s.Parts))
		for _, w := range []struct {
			on   bool
			word string
		}{{s.Discontinuity, "discontinuity"}, {!s.Independent, "dependent"}, {s.Gap, "gap"}, {!s.Complete, "open"}} {
			if w.on {
				b.WriteString(" " + w.word)
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// sample is what a player gets of a unit.
type sample struct {
	data     string
	dts, pts time.Duration
	key      bool
}

// samples reads all that a history holds, with the library.
func (rec *record) samples(t testing.TB, scale int64) []sample {
	t.Helper()
	var out []sample
	for _, seq := range rec.order {
		for _, p := range rec.segments[seq].Parts {
			var parts fmp4.Parts
			if err := parts.Unmarshal(p.Data); err != nil {
				t.Fatalf("segment %d: %v", seq, err)
			}
			for _, fragment := range parts {
				at := int64(fragment.Tracks[0].BaseTime)
				for _, s := range fragment.Tracks[0].Samples {
					out = append(out, sample{
						data: string(s.Payload), key: !s.IsNonSyncSample,
						dts: ticks(at, scale), pts: ticks(at+int64(s.PTSOffset), scale),
					})
					at += int64(s.Duration)
				}
			}
		}
	}
	return out
}

func ticks(n, scale int64) time.Duration {
	return time.Duration(math.Round(float64(n) / float64(scale) * 1e9))
}

// samplesOf is what samples should find of units.
func samplesOf(units []media.AccessUnit, t *media.Track) []sample {
	var out []sample
	for _, u := range units {
		if u.Track == t && u.Header == media.Sample {
			out = append(out, sample{string(u.Data), u.DTS, u.PTS, u.RandomAccess})
		}
	}
	return out
}

// sameSamples compares what came out with what went in: bytes, order, and times to within a
// tolerance.
func sameSamples(t testing.TB, got, want []sample, tolerance time.Duration) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%d samples of %d", len(got), len(want))
	}
	for i := range min(len(got), len(want)) {
		g, w := got[i], want[i]
		if g.data != w.data || g.key != w.key || (g.pts-w.pts).Abs() > tolerance {
			t.Fatalf("sample %d: %q at %v (%v), want %q at %v (%v)", i, g.data, g.pts, g.key, w.data, w.pts, w.key)
		}
	}
}

// durations of all parts but the last of each segment.
func (rec *record) durations() []time.Duration {
	var all []time.Duration
	for _, seq := range rec.order {
		parts := rec.segments[seq].Parts
		for i := range max(0, len(parts)-1) {
			all = append(all, parts[i].Duration)
		}
	}
	slices.Sort(all)
	return all
}

// lineFrom is a timeline that counts from 1000 on.
func lineFrom(opt *Options) timeline {
	return timeline{opt: opt, first: 1000, next: 1000, firstDiscontinuity: 1000, announce: func(*boundary) {}}
}
