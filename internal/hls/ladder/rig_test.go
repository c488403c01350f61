package ladder

import (
	"bytes"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4"

	"livego/internal/hls/cut"
	"livego/internal/hls/hlstest"
	"livego/internal/hls/playlist"
	"livego/internal/media"
)

// rig is a packager with what it published so far.
type rig struct {
	t testing.TB
	*Packager
	counts Counts
	show   *Presentation
	log    bytes.Buffer
	seen   map[string]*record
	// broken counts the parts that were hinted and never came, abrupt the segments whose end came
	// together with their last part.
	broken, abrupt int
	pubs           map[string]*Publication
}

// record is the history of a rendition.
type record struct {
	view     *playlist.View
	segments map[int64]*playlist.Segment
	order    []int64
}

func newRig(t testing.TB, opt Options) *rig {
	r := &rig{t: t, show: NewPresentation(), seen: make(map[string]*record), pubs: make(map[string]*Publication)}
	start := startOf(r.show)
	start.Log, start.Counts = slog.New(slog.NewTextHandler(&r.log, nil)), &r.counts
	r.Packager = New(full(opt), start)
	return r
}

// full are options of which those that are not set are the usual ones.
func full(opt Options) Options {
	for _, d := range []struct {
		v     *time.Duration
		usual time.Duration
	}{{&opt.SegmentDuration, 3 * time.Second}, {&opt.PartDuration, 200 * time.Millisecond}} {
		if *d.v == 0 {
			*d.v = d.usual
		}
	}
	for _, n := range []struct {
		v     *int
		usual int
	}{{&opt.ListSize, 3}, {&opt.MaxSegmentBytes, 64 << 20}, {&opt.MaxStreamBytes, 256 << 20}} {
		if *n.v == 0 {
			*n.v = n.usual
		}
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	return opt
}

// startOf is the begin of a life that counts from 1000 on.
func startOf(show *Presentation) Start {
	return Start{
		First: 1000, FirstDiscontinuity: 1000, Announce: func(*Boundary) {}, Show: show, Wanted: func() bool { return false }, Patient: func() bool { return false },
		Log: slog.New(slog.DiscardHandler), Counts: &Counts{},
	}
}

func (r *rig) publication(name string) *Publication {
	if r.pubs[name] == nil {
		r.pubs[name] = &Publication{Rendition: name}
		r.Enter(r.pubs[name])
	}
	return r.pubs[name]
}

// feed packages units of a publication and looks at what is published after each.
func (r *rig) feed(name string, units ...media.AccessUnit) {
	for i := range units {
		r.Write(r.publication(name), &units[i])
		r.look()
	}
}

// finish ends the stream.
func (r *rig) finish() {
	r.End(true)
	r.look()
	r.Seal()
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
		} else if len(old.Parts) > len(s.Parts) || old.Complete && old != s || !slices.Equal(old.Parts, s.Parts[:len(old.Parts)]) {
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
		size += len(p.Data.Bytes())
		longest = max(longest, p.Duration)
	}
	wide := longest == v.PartTarget && sum < s.Duration // they last longer than they may be listed
	switch {
	case s.Gap != (size == 0):
		r.t.Errorf("%s: segment %d has %d parts, gap %v", id, s.Seq, len(s.Parts), s.Gap)
	case longest > v.PartTarget:
		r.t.Errorf("%s: segment %d has a part of %v, the target is %v", id, s.Seq, longest, v.PartTarget)
	case !s.Gap && sum != s.Duration && !wide && s.Duration != v.Target+cut.Rounding || size != s.Size:
		r.t.Errorf("%s: segment %d: parts last %v and have %d bytes, of %v and %d", id, s.Seq, sum, size, s.Duration, s.Size)
	case s.Duration.Round(time.Second) > v.Target || s.Duration <= 0:
		r.t.Errorf("%s: segment %d of %v exceeds %v", id, s.Seq, s.Duration, v.Target)
	case !s.Gap && (s.Init == nil || len(s.Init.Data) == 0):
		r.t.Errorf("%s: segment %d without init", id, s.Seq)
	}
	if s.Key > 0 {
		var first fmp4.Parts
		if err := first.Unmarshal(s.Parts[0].Data.Bytes()[:s.Key]); err != nil || len(first) != 1 || len(first[0].Tracks[0].Samples) != 1 {
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

// samples reads all that a history holds, with the library.
func (rec *record) samples(t testing.TB, scale int64) []hlstest.Sample {
	t.Helper()
	var out []hlstest.Sample
	for _, seq := range rec.order {
		for _, p := range rec.segments[seq].Parts {
			var parts fmp4.Parts
			if err := parts.Unmarshal(p.Data.Bytes()); err != nil {
				t.Fatalf("segment %d: %v", seq, err)
			}
			for _, fragment := range parts {
				at := int64(fragment.Tracks[0].BaseTime)
				for _, s := range fragment.Tracks[0].Samples {
					out = append(out, hlstest.Sample{
						Data: string(s.Payload), Key: !s.IsNonSyncSample,
						DTS: hlstest.Ticks(at, scale), PTS: hlstest.Ticks(at+int64(s.PTSOffset), scale),
					})
					at += int64(s.Duration)
				}
			}
		}
	}
	return out
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

// interleave feeds units of several publications; pick chooses whose next unit comes, among those
// at most skew ahead of the slowest.
func (r *rig) interleave(feeds [][]media.AccessUnit, skew time.Duration, pick func(n int) int) {
	for i := range feeds {
		r.publication(hlstest.NameOf(i))
	}
	for {
		slowest := time.Duration(1<<63 - 1)
		for _, units := range feeds {
			if len(units) > 0 {
				slowest = min(slowest, units[0].DTS)
			}
		}
		var ready []int
		for i, units := range feeds {
			if len(units) > 0 && units[0].DTS <= slowest+skew {
				ready = append(ready, i)
			}
		}
		if len(ready) == 0 {
			return
		}
		i := ready[pick(len(ready))]
		r.feed(hlstest.NameOf(i), feeds[i][0])
		feeds[i] = feeds[i][1:]
	}
}

func (r *rig) histories() string {
	var b strings.Builder
	for _, id := range []string{"v0", "v1", "a0", "720p.v0", "720p.v1", "360p.v0"} {
		if rec := r.seen[id]; rec != nil {
			fmt.Fprintf(&b, "%s\n%s", id, rec)
		}
	}
	return b.String()
}

// seams returns the numbers of the segments of a rendition that begin with a discontinuity.
func (rec *record) seams() (seams []int64) {
	for _, seq := range rec.order {
		if rec.segments[seq].Discontinuity {
			seams = append(seams, seq)
		}
	}
	return seams
}

// inits returns the segments that have another initialization section than the one before.
func (rec *record) inits() (inits []int64) {
	for i, seq := range rec.order {
		if i > 0 && rec.segments[seq].Init != rec.segments[rec.order[i-1]].Init {
			inits = append(inits, seq)
		}
	}
	return inits
}
