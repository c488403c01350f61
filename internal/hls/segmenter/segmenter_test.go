package segmenter

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"livego/internal/hls/cut"
	"livego/internal/hls/hlstest"
	"livego/internal/media"
)

// TestCuts: which segments come of which streams. The streams run 10 s more than needed, then end.
func TestCuts(t *testing.T) {
	type step = func(e *hlstest.Encoder) []media.AccessUnit
	play := func(n int) step { return func(e *hlstest.Encoder) []media.AccessUnit { return e.Play(n) } }
	headers := func(e *hlstest.Encoder) []media.AccessUnit { return e.Headers() }
	change := func(f func(e *hlstest.Encoder)) step {
		return func(e *hlstest.Encoder) []media.AccessUnit { f(e); return nil }
	}
	newSession := change(func(e *hlstest.Encoder) { e.Epoch++; e.Video, e.Audio = hlstest.H264Track(), hlstest.AACTrack() })

	cases := []struct {
		name  string
		opt   Options
		enc   hlstest.Encoder
		steps []step
		want  string
	}{
		{"a key frame every second", Options{}, hlstest.Encoder{Video: hlstest.H264Track(), Audio: hlstest.AACTrack(), Gop: 1000}, []step{headers, play(7000)},
			"100 0s+3s\n101 3s+3s\n102 6s+1s\n"},
		{"a key frame every 2 s", Options{}, hlstest.Encoder{Video: hlstest.H264Track(), Audio: hlstest.AACTrack(), Gop: 2000}, []step{headers, play(10000)},
			"100 0s+4s\n101 4s+4s\n102 8s+2s\n"},
		{"a key frame every 10 s", Options{}, hlstest.Encoder{Video: hlstest.H264Track(), Audio: hlstest.AACTrack(), Gop: 10000}, []step{headers, play(25000)},
			"100 0s+10s\n101 10s+10s\n102 20s+5s\n"},
		{"segments of 1 s", Options{SegmentDuration: time.Second}, hlstest.Encoder{Video: hlstest.H264Track(), Audio: hlstest.AACTrack(), Gop: 1000}, []step{headers, play(3000)},
			"100 0s+1s\n101 1s+1s\n102 2s+1s\n"},
		{"video only", Options{}, hlstest.Encoder{Video: hlstest.H264Track(), Gop: 1000}, []step{headers, play(6000)},
			"100 0s+3s\n101 3s+3s\n"},
		{"audio only", Options{}, hlstest.Encoder{Audio: hlstest.AACTrack()}, []step{headers, play(6000)},
			"100 0s+3s\n101 3s+3s\n"},
		{"MP3 only", Options{}, hlstest.Encoder{Audio: hlstest.MP3Track()}, []step{headers, play(6000)},
			"100 0s+3s\n101 3s+3s\n"},
		{"one key frame only: cut by force", Options{}, hlstest.Encoder{Video: hlstest.H264Track(), Audio: hlstest.AACTrack(), Gop: 1000000}, []step{headers, play(62000)},
			"100 0s+20s\n101 20s+20.475s dependent\n102 40.475s+20.475s dependent\n103 1m0.95s+1.05s dependent\n"},
		{"key frames get rare", Options{}, hlstest.Encoder{Video: hlstest.H264Track(), Audio: hlstest.AACTrack(), Gop: 3000},
			[]step{headers, play(6000), change(func(e *hlstest.Encoder) { e.Gop = 12000 }), play(12000)},
			"100 0s+3s\n101 3s+3.475s\n102 6.475s+3.475s dependent\n103 9.95s+2.05s dependent\n104 12s+3.475s\n105 15.475s+2.525s dependent\n"},
		{"starts at a key frame", Options{}, hlstest.Encoder{Video: hlstest.H264Track(), Audio: hlstest.AACTrack(), Gop: 1000, At: 500}, []step{headers, play(3500)},
			"100 1s+3s\n"},
		{"new session", Options{}, hlstest.Encoder{Video: hlstest.H264Track(), Audio: hlstest.AACTrack(), Gop: 1000}, []step{headers, play(4000), newSession, headers, play(3000)},
			"100 0s+3s\n101 3s+1s\n102 4s+3s discontinuity\n"},
		{"new session, MP3", Options{}, hlstest.Encoder{Video: hlstest.H264Track(), Audio: hlstest.MP3Track(), Gop: 1000},
			[]step{headers, play(4000), newSession, change(func(e *hlstest.Encoder) { e.Audio = hlstest.MP3Track() }), headers, play(3000)},
			"100 0s+3s\n101 3s+1s\n102 4s+3s discontinuity\n"},
		{"new session with the old tracks", Options{}, hlstest.Encoder{Video: hlstest.H264Track(), Audio: hlstest.AACTrack(), Gop: 1000}, []step{headers, play(4000), change(func(e *hlstest.Encoder) { e.Epoch++ }), headers, play(3000)},
			"100 0s+3s\n101 3s+1s\n102 4s+3s discontinuity\n"},
		{"new session without audio", Options{}, hlstest.Encoder{Video: hlstest.H264Track(), Audio: hlstest.AACTrack(), Gop: 1000}, []step{headers, play(4000), newSession, change(func(e *hlstest.Encoder) { e.Audio = nil }), headers, play(6000)},
			"100 0s+3s\n101 3s+1s\n102 4s+3s discontinuity\n103 7s+3s\n"},
		{"jump at a key frame", Options{}, hlstest.Encoder{Video: hlstest.H264Track(), Audio: hlstest.AACTrack(), Gop: 1000}, []step{headers, play(4000), change(func(e *hlstest.Encoder) { e.Jump = true }), play(3000)},
			"100 0s+3s\n101 3s+1s\n102 4s+3s discontinuity\n"},
		{"jump within a GOP waits for the key frame", Options{}, hlstest.Encoder{Video: hlstest.H264Track(), Audio: hlstest.AACTrack(), Gop: 1000}, []step{headers, play(4200), change(func(e *hlstest.Encoder) { e.Jump = true }), play(3800)},
			"100 0s+3s\n101 3s+2s\n102 5s+3s discontinuity\n"},
		{"jump in an audio-only stream", Options{}, hlstest.Encoder{Audio: hlstest.AACTrack()}, []step{headers, play(4000), change(func(e *hlstest.Encoder) { e.Jump = true }), play(3000)},
			"100 0s+3s\n101 3s+1s\n102 4s+3s discontinuity\n"},
		{"video changes", Options{}, hlstest.Encoder{Video: hlstest.H264Track(), Audio: hlstest.AACTrack(), Gop: 1000}, []step{headers, play(4000), change(func(e *hlstest.Encoder) { e.Video = hlstest.OtherAVC() }), headers, play(3000)},
			"100 0s+3s\n101 3s+1s\n102 4s+3s discontinuity\n"},
		{"audio changes within a GOP", Options{}, hlstest.Encoder{Video: hlstest.H264Track(), Audio: hlstest.AACTrack(), Gop: 2000}, []step{headers, play(5000), change(func(e *hlstest.Encoder) { e.Audio = hlstest.Stereo() }), headers, play(5000)},
			"100 0s+4s\n101 4s+1.04s\n102 5.04s+2.96s discontinuity dependent\n103 8s+2s\n"},
		{"the same header again", Options{}, hlstest.Encoder{Video: hlstest.AVCTrack(0), Audio: hlstest.AACTrack(), Gop: 2000},
			[]step{headers, play(5000), change(func(e *hlstest.Encoder) { e.Video, e.Audio = hlstest.AVCTrack(0), hlstest.AACTrack() }), headers, play(5000)},
			"100 0s+4s\n101 4s+4s\n102 8s+2s\n"},
		{"audio changes in an audio-only stream", Options{}, hlstest.Encoder{Audio: hlstest.AACTrack()}, []step{headers, play(4000), change(func(e *hlstest.Encoder) { e.Audio = hlstest.MP3Track() }), play(3000)},
			"100 0s+3s\n101 3s+1s\n102 4s+3s discontinuity\n"},
		{"late audio in the first segment", Options{}, hlstest.Encoder{Video: hlstest.H264Track(), Audio: hlstest.MP3Track(), Gop: 1000}, []step{headers, play(6000)},
			"100 0s+3s\n101 3s+3s\n"},
		{"audio appears later", Options{}, hlstest.Encoder{Video: hlstest.H264Track(), Gop: 1000}, []step{headers, play(3500), change(func(e *hlstest.Encoder) { e.Audio = hlstest.AACTrack() }), headers, play(5500)},
			"100 0s+3s\n101 3s+3s discontinuity\n102 6s+3s\n"},
		{"video appears later", Options{}, hlstest.Encoder{Audio: hlstest.AACTrack(), Gop: 1000}, []step{headers, play(4000), change(func(e *hlstest.Encoder) { e.Video = hlstest.H264Track() }), headers, play(3000)},
			"100 0s+3s\n101 3s+1s\n102 4s+3s discontinuity\n"},
		{"a header of video and no picture", Options{}, hlstest.Encoder{Audio: hlstest.AACTrack(), Gop: 1000},
			[]step{func(e *hlstest.Encoder) []media.AccessUnit {
				return (&hlstest.Encoder{Video: hlstest.H264Track()}).Headers()
			}, headers, play(8000)},
			"100 2s+3s\n101 5s+3s\n"},
		{"a header of video and a picture after 5 s", Options{}, hlstest.Encoder{Audio: hlstest.AACTrack(), Gop: 1000},
			[]step{func(e *hlstest.Encoder) []media.AccessUnit {
				return (&hlstest.Encoder{Video: hlstest.H264Track()}).Headers()
			}, headers, play(5000),
				change(func(e *hlstest.Encoder) { e.Video = hlstest.H264Track() }), headers, play(3000)},
			"100 2s+3s\n101 5s+3s discontinuity\n"},
		{"video stops: cut by time", Options{}, hlstest.Encoder{Video: hlstest.H264Track(), Audio: hlstest.AACTrack(), Gop: 1000}, []step{headers, play(3000), change(func(e *hlstest.Encoder) { e.Video = nil }), play(6000)},
			"100 0s+5.975s\n101 5.975s+3s\n102 8.975s+25ms\n"},
		{"a pause longer than a segment may last", Options{}, hlstest.Encoder{Video: hlstest.H264Track(), Audio: hlstest.AACTrack(), Gop: 1000}, []step{headers, play(5000), change(func(e *hlstest.Encoder) { e.At += 8000 }), play(3000)},
			"100 0s+3s\n101 3s+2s\n102 13s+3s discontinuity\n"},
		{"video without audio that MPEG-TS carries", Options{}, hlstest.Encoder{Video: hlstest.H264Track(), Audio: hlstest.OpusTrack(), Gop: 1000}, []step{headers, play(3000)},
			"100 0s+3s\n"},
		{"audio without video that MPEG-TS carries", Options{}, hlstest.Encoder{Video: hlstest.AV1Track(), Audio: hlstest.AACTrack(), Gop: 1000}, []step{headers, play(3000)},
			"100 0s+3s\n"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := cutter(c.opt)
			for _, f := range c.steps {
				s.feed(f(&c.enc))
			}
			s.Flush()
			if diff := cmp.Diff(c.want, s.String()); diff != "" {
				t.Error(diff)
			}
			for _, seg := range s.list {
				hlstest.Demux(t, seg.Data.Bytes())
				if c.opt.SegmentDuration == 0 && seg.Duration > s.target+cut.Rounding {
					t.Errorf("segment %d of %v exceeds the target duration %v", seg.Seq, seg.Duration, s.target)
				}
			}
			s.checkMadeAgain(t)
		})
	}
}

// TestUnitsOut compares what the segments hold with what went in.
func TestUnitsOut(t *testing.T) {
	cases := []struct {
		name string
		enc  hlstest.Encoder
	}{
		{"H264 AAC", hlstest.Encoder{Video: hlstest.H264Track(), Audio: hlstest.AACTrack(), Gop: 1000}},
		{"H264 MP3", hlstest.Encoder{Video: hlstest.H264Track(), Audio: hlstest.MP3Track(), Gop: 1000}},
		{"H264", hlstest.Encoder{Video: hlstest.H264Track(), Gop: 2000}},
		{"AAC", hlstest.Encoder{Audio: hlstest.AACTrack()}},
		{"cut by force", hlstest.Encoder{Video: hlstest.H264Track(), Audio: hlstest.AACTrack(), Gop: 1000000}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := cutter(Options{})
			units := append(c.enc.Headers(), c.enc.Play(30000)...)
			s.feed(units).Flush()
			if diff := cmp.Diff(hlstest.Contents(units), hlstest.DemuxAll(t, s.list), cmp.AllowUnexported(hlstest.Demuxed{})); diff != "" {
				t.Error(diff)
			}
			if len(s.list) < 2 || s.counts.Dropped.Load() != 0 {
				t.Errorf("%d segments, %d units dropped", len(s.list), s.counts.Dropped.Load())
			}
			if got := s.counts.Segments.Load(); got != uint64(len(s.list)) {
				t.Errorf("%d segments counted", got)
			}
		})
	}
}

// TestBadUnits: bad units are left out and counted, the rest goes on (spec defect 23).
func TestBadUnits(t *testing.T) {
	e := hlstest.Encoder{Video: hlstest.H264Track(), Audio: hlstest.AACTrack(), Gop: 1000}
	bad := func(t *media.Track, data []byte, key bool) media.AccessUnit {
		return media.AccessUnit{Track: t, RandomAccess: key, DTS: hlstest.MS(e.At - 40), PTS: hlstest.MS(e.At - 40), Data: data}
	}
	s := cutter(Options{})
	early := []media.AccessUnit{hlstest.Picture(e.Video, 0, false, 0)} // before a key frame: dropped, not bad
	units := append(e.Headers(), e.Play(1500)...)
	s.feed(early).feed(units)
	s.feed([]media.AccessUnit{
		bad(e.Audio, nil, true),                                     // silence: legal
		bad(e.Audio, make([]byte, 10000), true),                     // too long for ADTS
		bad(e.Video, []byte{0, 0, 0, 200, 0x41}, false),             // lying length
		bad(e.Video, nil, false),                                    // empty
		{DTS: hlstest.MS(e.At)},                                     // no track
		{Track: &media.Track{Kind: media.Data}, Data: []byte{2, 3}}, // script data
	})
	rest := e.Play(4500)
	s.feed(rest).Flush()
	if got, want := s.String(), "100 0s+3s\n101 3s+3s\n"; got != want {
		t.Errorf("\n%s, want\n%s", got, want)
	}
	if n := s.counts.Dropped.Load(); n != 3 {
		t.Errorf("%d units dropped", n)
	}
	if diff := cmp.Diff(hlstest.Contents(append(units, rest...)), hlstest.DemuxAll(t, s.list), cmp.AllowUnexported(hlstest.Demuxed{})); diff != "" {
		t.Error(diff)
	}
	if n := strings.Count(s.log.String(), "\n"); n != 1 {
		t.Errorf("%d log lines:\n%s", n, &s.log)
	}
}

// TestBadKeyFrame: a segment does not begin with a key frame that cannot be packaged.
func TestBadKeyFrame(t *testing.T) {
	e := hlstest.Encoder{Video: hlstest.H264Track(), Audio: hlstest.AACTrack(), Gop: 1000}
	s := cutter(Options{})
	units := append(e.Headers(), e.Play(6000)...)
	for i := range units {
		if u := &units[i]; u.Join && (u.DTS == 0 || u.DTS == hlstest.MS(4000)) {
			u.Data = []byte{0, 0, 0, 200}
		}
	}
	s.feed(units)
	s.feed([]media.AccessUnit{{Track: e.Video, RandomAccess: true, DTS: hlstest.MS(6000), PTS: hlstest.MS(6000), Data: []byte{9}}})
	s.Flush()
	if got, want := s.String(), "100 1s+3s\n101 5s+1s\n"; got != want {
		t.Errorf("\n%s, want\n%s", got, want)
	}
}

func TestSegmentBytes(t *testing.T) {
	s := cutter(Options{MaxSegmentBytes: 1 << 20})
	track := hlstest.H264Track()
	for i := range 40 {
		u := hlstest.Picture(track, i*40, i%25 == 0, i)
		u.Data = append([]byte{0, 1, 0x86, 0xa0}, make([]byte, 100000)...)
		u.Data[4] = 0x41
		if u.RandomAccess {
			u.Data[4] = 0x65
		}
		s.Write(&u)
	}
	s.Flush()
	for _, seg := range s.list {
		if seg.Data.Size() > 1<<20 {
			t.Errorf("segment %d has %d bytes", seg.Seq, seg.Data.Size())
		}
	}
	if s.counts.Forced.Load() != 3 || len(s.list) != 4 {
		t.Errorf("%d forced cuts, %d segments", s.counts.Forced.Load(), len(s.list))
	}
	if n := strings.Count(s.log.String(), "\n"); n != 1 {
		t.Errorf("%d log lines:\n%s", n, &s.log)
	}
}

func TestTimeStandsStill(t *testing.T) {
	s := cutter(Options{})
	e := hlstest.Encoder{Audio: hlstest.AACTrack(), At: 1000}
	s.feed(e.Headers())
	for range 10 {
		e.Jump = true
		u := e.Stamp(media.AccessUnit{Track: e.Audio, RandomAccess: true, DTS: hlstest.MS(1000), Data: []byte{0x21, 1}})
		s.Write(&u)
	}
	s.Flush()
	for _, seg := range s.list {
		if seg.Duration < time.Millisecond {
			t.Errorf("segment %d lasts %v", seg.Seq, seg.Duration)
		}
	}
	if len(s.list) != 10 {
		t.Errorf("%d segments", len(s.list))
	}
}

// TestSuspension: the partial segment is published, the next session continues with a
// discontinuity.
func TestSuspension(t *testing.T) {
	s := cutter(Options{})
	e := hlstest.Encoder{Video: hlstest.H264Track(), Audio: hlstest.AACTrack(), Gop: 1000}
	s.feed(e.Headers()).feed(e.Play(4000)).Flush()
	if got, want := s.String(), "100 0s+3s\n101 3s+1s\n"; got != want {
		t.Fatalf("\n%s, want\n%s", got, want)
	}
	s.Flush()
	e.Epoch++
	e.Video, e.Audio = hlstest.H264Track(), hlstest.AACTrack()
	s.feed(e.Headers()).feed(e.Play(3000)).Flush()
	if got, want := s.String(), "100 0s+3s\n101 3s+1s\n102 4s+3s discontinuity\n"; got != want {
		t.Errorf("\n%s, want\n%s", got, want)
	}
}

// TestTargetDuration is fixed by the first segment (RFC 8216 4.3.3.1: it must not change).
func TestTargetDuration(t *testing.T) {
	for _, c := range []struct {
		first int // ms
		opt   time.Duration
		want  time.Duration
	}{
		{3000, 0, 3 * time.Second}, {4000, 0, 4 * time.Second}, {4040, 0, 5 * time.Second}, {1000, 0, 3 * time.Second}, {2500, 2500 * time.Millisecond, 3 * time.Second},
	} {
		s := cutter(Options{SegmentDuration: c.opt})
		e := hlstest.Encoder{Video: hlstest.H264Track(), Gop: c.first}
		s.feed(e.Headers()).feed(e.Play(c.first)).Flush()
		e.At = 0
		if s.target != c.want {
			t.Errorf("first segment of %d ms: target %v, want %v", c.first, s.target, c.want)
		}
	}
}

func TestWallClock(t *testing.T) {
	s := cutter(Options{})
	e := hlstest.Encoder{Video: hlstest.H264Track(), Audio: hlstest.AACTrack(), Gop: 1000}
	s.feed(e.Headers()).feed(e.Play(6000)).Flush()
	want := time.Date(2026, 3, 1, 12, 0, 3, 0, time.UTC)
	if got := s.list[1].At; !got.Equal(want) {
		t.Errorf("%v, want %v", got, want)
	}
	s = cutter(Options{})
	u := media.AccessUnit{Track: hlstest.AACTrack(), RandomAccess: true, Data: []byte{0x21}}
	s.Write(&u)
	s.Flush()
	if at := s.list[0].At; !at.IsZero() {
		t.Errorf("time %v of a unit without one", at)
	}
}

// TestMilestones: what happens a billion times is worth four lines.
func TestMilestones(t *testing.T) {
	var got []uint64
	for _, n := range []uint64{0, 1, 2, 10, 999, 1000, 1001, 2000, 100_000, 1_000_000, 999_000_000, 1_000_000_000} {
		if cut.Milestone(n) {
			got = append(got, n)
		}
	}
	if want := []uint64{1, 1000, 1_000_000, 1_000_000_000}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// TestStaleHeader: a header of an older session, which a reader may hand out first or late, brings
// no track back.
func TestStaleHeader(t *testing.T) {
	s := cutter(Options{})
	e := hlstest.Encoder{Video: hlstest.H264Track(), Gop: 1000, Epoch: 2}
	old := media.AccessUnit{Track: hlstest.AACTrack(), Header: media.SequenceHeader, Epoch: 1}
	s.feed([]media.AccessUnit{old}).feed(e.Headers()).feed([]media.AccessUnit{old}).feed(e.Play(3000)).Flush()
	if got, want := s.String(), "100 0s+3s\n"; got != want {
		t.Errorf("\n%s, want\n%s", got, want)
	}
	if s.tracks.audio != nil {
		t.Error("audio of the old session")
	}
}

// TestAllocations: a unit within a segment costs none.
func TestAllocations(t *testing.T) {
	s := cutter(Options{})
	e := hlstest.Encoder{Video: hlstest.H264Track(), Audio: hlstest.AACTrack(), Gop: 10000}
	s.feed(e.Headers()).feed(e.Play(20000)) // lets the buffer grow
	s.feed(e.Play(1000))
	units := e.Play(5000)
	if got := testing.AllocsPerRun(1, func() { s.feed(units[:len(units)/2]); units = units[len(units)/2:] }); got != 0 {
		t.Errorf("%v allocations for %d units", got, len(units))
	}
}

// TestFirstSegmentWanted: who waits for a stream's first segment gets it with the second key frame,
// and after six seconds at the latest. The segments after it are as they always are.
func TestFirstSegmentWanted(t *testing.T) {
	for _, c := range []struct {
		gop  int
		want string
		// target is the target duration.
		target time.Duration
	}{
		{1000, "100 0s+1s\n101 1s+3s\n102 4s+3s\n", 3 * time.Second},
		{2000, "100 0s+2s\n101 2s+4s\n102 6s+4s\n", 4 * time.Second},
		{4000, "100 0s+4s\n101 4s+4s\n102 8s+4s\n", 4 * time.Second},
		{9000, "100 0s+5.48s\n101 5.48s+3.52s dependent\n102 9s+9s\n", 10 * time.Second},
		{20000, "100 0s+5.48s\n101 5.48s+10.48s dependent\n102 15.96s+4.04s dependent\n103 20s+10.475s\n", 10 * time.Second},
	} {
		s := cutter(Options{})
		s.Wanted = func() bool { return true }
		e := &hlstest.Encoder{Video: hlstest.H264Track(), Audio: hlstest.AACTrack(), Gop: c.gop}
		if c.gop == 1000 || c.gop == 2000 {
			s.feed(e.Headers()).feed(e.Play(10_100))
		} else {
			s.feed(e.Headers()).feed(e.Play(40_100))
		}
		got := s.String()
		if !strings.HasPrefix(got, c.want) || s.target != c.target {
			t.Errorf("key frames each %d ms: target %v\n%swant\n%s", c.gop, s.target, got, c.want)
		}
	}
}
