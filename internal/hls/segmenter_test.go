package hls

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"livego/internal/media"
)

// TestCuts: which segments come of which streams. The streams run 10 s more than needed, then end.
func TestCuts(t *testing.T) {
	type step = func(e *encoder) []media.AccessUnit
	play := func(n int) step { return func(e *encoder) []media.AccessUnit { return e.play(n) } }
	headers := func(e *encoder) []media.AccessUnit { return e.headers() }
	change := func(f func(e *encoder)) step {
		return func(e *encoder) []media.AccessUnit { f(e); return nil }
	}
	newSession := change(func(e *encoder) { e.epoch++; e.video, e.audio = h264Track(), aacTrack() })

	cases := []struct {
		name  string
		opt   tsOptions
		enc   encoder
		steps []step
		want  string
	}{
		{"a key frame every second", tsOptions{}, encoder{video: h264Track(), audio: aacTrack(), gop: 1000}, []step{headers, play(7000)},
			"100 0s+3s\n101 3s+3s\n102 6s+1s\n"},
		{"a key frame every 2 s", tsOptions{}, encoder{video: h264Track(), audio: aacTrack(), gop: 2000}, []step{headers, play(10000)},
			"100 0s+4s\n101 4s+4s\n102 8s+2s\n"},
		{"a key frame every 10 s", tsOptions{}, encoder{video: h264Track(), audio: aacTrack(), gop: 10000}, []step{headers, play(25000)},
			"100 0s+10s\n101 10s+10s\n102 20s+5s\n"},
		{"segments of 1 s", tsOptions{SegmentDuration: time.Second}, encoder{video: h264Track(), audio: aacTrack(), gop: 1000}, []step{headers, play(3000)},
			"100 0s+1s\n101 1s+1s\n102 2s+1s\n"},
		{"video only", tsOptions{}, encoder{video: h264Track(), gop: 1000}, []step{headers, play(6000)},
			"100 0s+3s\n101 3s+3s\n"},
		{"audio only", tsOptions{}, encoder{audio: aacTrack()}, []step{headers, play(6000)},
			"100 0s+3s\n101 3s+3s\n"},
		{"MP3 only", tsOptions{}, encoder{audio: mp3Track()}, []step{headers, play(6000)},
			"100 0s+3s\n101 3s+3s\n"},
		{"one key frame only: cut by force", tsOptions{}, encoder{video: h264Track(), audio: aacTrack(), gop: 1000000}, []step{headers, play(62000)},
			"100 0s+20s\n101 20s+20.475s dependent\n102 40.475s+20.475s dependent\n103 1m0.95s+1.05s dependent\n"},
		{"key frames get rare", tsOptions{}, encoder{video: h264Track(), audio: aacTrack(), gop: 3000},
			[]step{headers, play(6000), change(func(e *encoder) { e.gop = 12000 }), play(12000)},
			"100 0s+3s\n101 3s+3.475s\n102 6.475s+3.475s dependent\n103 9.95s+2.05s dependent\n104 12s+3.475s\n105 15.475s+2.525s dependent\n"},
		{"starts at a key frame", tsOptions{}, encoder{video: h264Track(), audio: aacTrack(), gop: 1000, at: 500}, []step{headers, play(3500)},
			"100 1s+3s\n"},
		{"new session", tsOptions{}, encoder{video: h264Track(), audio: aacTrack(), gop: 1000}, []step{headers, play(4000), newSession, headers, play(3000)},
			"100 0s+3s\n101 3s+1s\n102 4s+3s discontinuity\n"},
		{"new session, MP3", tsOptions{}, encoder{video: h264Track(), audio: mp3Track(), gop: 1000},
			[]step{headers, play(4000), newSession, change(func(e *encoder) { e.audio = mp3Track() }), headers, play(3000)},
			"100 0s+3s\n101 3s+1s\n102 4s+3s discontinuity\n"},
		{"new session with the old tracks", tsOptions{}, encoder{video: h264Track(), audio: aacTrack(), gop: 1000}, []step{headers, play(4000), change(func(e *encoder) { e.epoch++ }), headers, play(3000)},
			"100 0s+3s\n101 3s+1s\n102 4s+3s discontinuity\n"},
		{"new session without audio", tsOptions{}, encoder{video: h264Track(), audio: aacTrack(), gop: 1000}, []step{headers, play(4000), newSession, change(func(e *encoder) { e.audio = nil }), headers, play(6000)},
			"100 0s+3s\n101 3s+1s\n102 4s+3s discontinuity\n103 7s+3s\n"},
		{"jump at a key frame", tsOptions{}, encoder{video: h264Track(), audio: aacTrack(), gop: 1000}, []step{headers, play(4000), change(func(e *encoder) { e.jump = true }), play(3000)},
			"100 0s+3s\n101 3s+1s\n102 4s+3s discontinuity\n"},
		{"jump within a GOP waits for the key frame", tsOptions{}, encoder{video: h264Track(), audio: aacTrack(), gop: 1000}, []step{headers, play(4200), change(func(e *encoder) { e.jump = true }), play(3800)},
			"100 0s+3s\n101 3s+2s\n102 5s+3s discontinuity\n"},
		{"jump in an audio-only stream", tsOptions{}, encoder{audio: aacTrack()}, []step{headers, play(4000), change(func(e *encoder) { e.jump = true }), play(3000)},
			"100 0s+3s\n101 3s+1s\n102 4s+3s discontinuity\n"},
		{"video changes", tsOptions{}, encoder{video: h264Track(), audio: aacTrack(), gop: 1000}, []step{headers, play(4000), change(func(e *encoder) { e.video = otherAVC() }), headers, play(3000)},
			"100 0s+3s\n101 3s+1s\n102 4s+3s discontinuity\n"},
		{"audio changes within a GOP", tsOptions{}, encoder{video: h264Track(), audio: aacTrack(), gop: 2000}, []step{headers, play(5000), change(func(e *encoder) { e.audio = stereo() }), headers, play(5000)},
			"100 0s+4s\n101 4s+1.04s\n102 5.04s+2.96s discontinuity dependent\n103 8s+2s\n"},
		{"the same header again", tsOptions{}, encoder{video: avcTrack(0), audio: aacTrack(), gop: 2000},
			[]step{headers, play(5000), change(func(e *encoder) { e.video, e.audio = avcTrack(0), aacTrack() }), headers, play(5000)},
			"100 0s+4s\n101 4s+4s\n102 8s+2s\n"},
		{"audio changes in an audio-only stream", tsOptions{}, encoder{audio: aacTrack()}, []step{headers, play(4000), change(func(e *encoder) { e.audio = mp3Track() }), play(3000)},
			"100 0s+3s\n101 3s+1s\n102 4s+3s discontinuity\n"},
		{"late audio in the first segment", tsOptions{}, encoder{video: h264Track(), audio: mp3Track(), gop: 1000}, []step{headers, play(6000)},
			"100 0s+3s\n101 3s+3s\n"},
		{"audio appears later", tsOptions{}, encoder{video: h264Track(), gop: 1000}, []step{headers, play(3500), change(func(e *encoder) { e.audio = aacTrack() }), headers, play(5500)},
			"100 0s+3s\n101 3s+3s discontinuity\n102 6s+3s\n"},
		{"video appears later", tsOptions{}, encoder{audio: aacTrack(), gop: 1000}, []step{headers, play(4000), change(func(e *encoder) { e.video = h264Track() }), headers, play(3000)},
			"100 0s+3s\n101 3s+1s\n102 4s+3s discontinuity\n"},
		{"a header of video and no picture", tsOptions{}, encoder{audio: aacTrack(), gop: 1000},
			[]step{func(e *encoder) []media.AccessUnit { return (&encoder{video: h264Track()}).headers() }, headers, play(8000)},
			"100 2s+3s\n101 5s+3s\n"},
		{"a header of video and a picture after 5 s", tsOptions{}, encoder{audio: aacTrack(), gop: 1000},
			[]step{func(e *encoder) []media.AccessUnit { return (&encoder{video: h264Track()}).headers() }, headers, play(5000),
				change(func(e *encoder) { e.video = h264Track() }), headers, play(3000)},
			"100 2s+3s\n101 5s+3s discontinuity\n"},
		{"video stops: cut by time", tsOptions{}, encoder{video: h264Track(), audio: aacTrack(), gop: 1000}, []step{headers, play(3000), change(func(e *encoder) { e.video = nil }), play(6000)},
			"100 0s+5.975s\n101 5.975s+3s\n102 8.975s+25ms\n"},
		{"a pause longer than a segment may last", tsOptions{}, encoder{video: h264Track(), audio: aacTrack(), gop: 1000}, []step{headers, play(5000), change(func(e *encoder) { e.at += 8000 }), play(3000)},
			"100 0s+3s\n101 3s+2s\n102 13s+3s discontinuity\n"},
		{"video without audio that MPEG-TS carries", tsOptions{}, encoder{video: h264Track(), audio: opusTrack(), gop: 1000}, []step{headers, play(3000)},
			"100 0s+3s\n"},
		{"audio without video that MPEG-TS carries", tsOptions{}, encoder{video: av1Track(), audio: aacTrack(), gop: 1000}, []step{headers, play(3000)},
			"100 0s+3s\n"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := cutter(c.opt)
			for _, f := range c.steps {
				s.feed(f(&c.enc))
			}
			s.flush()
			if diff := cmp.Diff(c.want, s.String()); diff != "" {
				t.Error(diff)
			}
			for _, seg := range s.list {
				demux(t, seg.Data)
				if c.opt.SegmentDuration == 0 && seg.Duration > s.target+rounding {
					t.Errorf("segment %d of %v exceeds the target duration %v", seg.Seq, seg.Duration, s.target)
				}
			}
		})
	}
}

// TestUnitsOut compares what the segments hold with what went in.
func TestUnitsOut(t *testing.T) {
	cases := []struct {
		name string
		enc  encoder
	}{
		{"H264 AAC", encoder{video: h264Track(), audio: aacTrack(), gop: 1000}},
		{"H264 MP3", encoder{video: h264Track(), audio: mp3Track(), gop: 1000}},
		{"H264", encoder{video: h264Track(), gop: 2000}},
		{"AAC", encoder{audio: aacTrack()}},
		{"cut by force", encoder{video: h264Track(), audio: aacTrack(), gop: 1000000}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := cutter(tsOptions{})
			units := append(c.enc.headers(), c.enc.play(30000)...)
			s.feed(units).flush()
			if diff := cmp.Diff(contents(units), demuxAll(t, s.list), cmp.AllowUnexported(demuxed{})); diff != "" {
				t.Error(diff)
			}
			if len(s.list) < 2 || s.counts.dropped.Load() != 0 {
				t.Errorf("%d segments, %d units dropped", len(s.list), s.counts.dropped.Load())
			}
			if got := s.counts.segments.Load(); got != uint64(len(s.list)) {
				t.Errorf("%d segments counted", got)
			}
		})
	}
}

// TestTracksOut: audio that turns up late or is unsupported is in the tables when it is in the
// segment.
func TestTracksOut(t *testing.T) {
	s := cutter(tsOptions{})
	e := encoder{video: h264Track(), gop: 1000}
	s.feed(e.headers()).feed(e.play(3500))
	e.audio = aacTrack()
	late := slices.Concat(e.headers(), e.play(2500))
	s.feed(late).flush()
	if got := demux(t, s.list[0].Data); len(got.audio) != 0 {
		t.Errorf("audio before there was any: %q", got.audio)
	}
	if got := demux(t, s.list[1].Data); !slices.Equal(got.audio, contents(late).audio) {
		t.Errorf("late audio: %d frames of %d", len(got.audio), len(contents(late).audio))
	}
}

// TestBadUnits: bad units are left out and counted, the rest goes on (spec defect 23).
func TestBadUnits(t *testing.T) {
	e := encoder{video: h264Track(), audio: aacTrack(), gop: 1000}
	bad := func(t *media.Track, data []byte, key bool) media.AccessUnit {
		return media.AccessUnit{Track: t, RandomAccess: key, DTS: ms(e.at - 40), PTS: ms(e.at - 40), Data: data}
	}
	s := cutter(tsOptions{})
	early := []media.AccessUnit{picture(e.video, 0, false, 0)} // before a key frame: dropped, not bad
	units := append(e.headers(), e.play(1500)...)
	s.feed(early).feed(units)
	s.feed([]media.AccessUnit{
		bad(e.audio, nil, true),                                     // silence: legal
		bad(e.audio, make([]byte, 10000), true),                     // too long for ADTS
		bad(e.video, []byte{0, 0, 0, 200, 0x41}, false),             // lying length
		bad(e.video, nil, false),                                    // empty
		{DTS: ms(e.at)},                                             // no track
		{Track: &media.Track{Kind: media.Data}, Data: []byte{2, 3}}, // script data
	})
	rest := e.play(4500)
	s.feed(rest).flush()
	if got, want := s.String(), "100 0s+3s\n101 3s+3s\n"; got != want {
		t.Errorf("\n%s, want\n%s", got, want)
	}
	if n := s.counts.dropped.Load(); n != 3 {
		t.Errorf("%d units dropped", n)
	}
	if diff := cmp.Diff(contents(append(units, rest...)), demuxAll(t, s.list), cmp.AllowUnexported(demuxed{})); diff != "" {
		t.Error(diff)
	}
	if n := strings.Count(s.log.String(), "\n"); n != 1 {
		t.Errorf("%d log lines:\n%s", n, &s.log)
	}
}

// TestBadKeyFrame: a segment does not begin with a key frame that cannot be packaged.
func TestBadKeyFrame(t *testing.T) {
	e := encoder{video: h264Track(), audio: aacTrack(), gop: 1000}
	s := cutter(tsOptions{})
	units := append(e.headers(), e.play(6000)...)
	for i := range units {
		if u := &units[i]; u.Join && (u.DTS == 0 || u.DTS == ms(4000)) {
			u.Data = []byte{0, 0, 0, 200}
		}
	}
	s.feed(units)
	s.feed([]media.AccessUnit{{Track: e.video, RandomAccess: true, DTS: ms(6000), PTS: ms(6000), Data: []byte{9}}})
	s.flush()
	if got, want := s.String(), "100 1s+3s\n101 5s+1s\n"; got != want {
		t.Errorf("\n%s, want\n%s", got, want)
	}
}

func TestSegmentBytes(t *testing.T) {
	s := cutter(tsOptions{MaxSegmentBytes: 1 << 20})
	track := h264Track()
	for i := range 40 {
		u := picture(track, i*40, i%25 == 0, i)
		u.Data = append([]byte{0, 1, 0x86, 0xa0}, make([]byte, 100000)...)
		u.Data[4] = 0x41
		if u.RandomAccess {
			u.Data[4] = 0x65
		}
		s.write(&u)
	}
	s.flush()
	for _, seg := range s.list {
		if len(seg.Data) > 1<<20 {
			t.Errorf("segment %d has %d bytes", seg.Seq, len(seg.Data))
		}
	}
	if s.counts.forced.Load() != 3 || len(s.list) != 4 {
		t.Errorf("%d forced cuts, %d segments", s.counts.forced.Load(), len(s.list))
	}
	if n := strings.Count(s.log.String(), "\n"); n != 1 {
		t.Errorf("%d log lines:\n%s", n, &s.log)
	}
}

func TestTimeStandsStill(t *testing.T) {
	s := cutter(tsOptions{})
	e := encoder{audio: aacTrack(), at: 1000}
	s.feed(e.headers())
	for range 10 {
		e.jump = true
		u := e.stamp(media.AccessUnit{Track: e.audio, RandomAccess: true, DTS: ms(1000), Data: []byte{0x21, 1}})
		s.write(&u)
	}
	s.flush()
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
	s := cutter(tsOptions{})
	e := encoder{video: h264Track(), audio: aacTrack(), gop: 1000}
	s.feed(e.headers()).feed(e.play(4000)).flush()
	if got, want := s.String(), "100 0s+3s\n101 3s+1s\n"; got != want {
		t.Fatalf("\n%s, want\n%s", got, want)
	}
	s.flush()
	e.epoch++
	e.video, e.audio = h264Track(), aacTrack()
	s.feed(e.headers()).feed(e.play(3000)).flush()
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
		s := cutter(tsOptions{SegmentDuration: c.opt})
		e := encoder{video: h264Track(), gop: c.first}
		s.feed(e.headers()).feed(e.play(c.first)).flush()
		e.at = 0
		if s.target != c.want {
			t.Errorf("first segment of %d ms: target %v, want %v", c.first, s.target, c.want)
		}
	}
}

func TestWallClock(t *testing.T) {
	s := cutter(tsOptions{})
	e := encoder{video: h264Track(), audio: aacTrack(), gop: 1000}
	s.feed(e.headers()).feed(e.play(6000)).flush()
	want := time.Date(2026, 3, 1, 12, 0, 3, 0, time.UTC)
	if got := s.list[1].At; !got.Equal(want) {
		t.Errorf("%v, want %v", got, want)
	}
	s = cutter(tsOptions{})
	u := media.AccessUnit{Track: aacTrack(), RandomAccess: true, Data: []byte{0x21}}
	s.write(&u)
	s.flush()
	if at := s.list[0].At; !at.IsZero() {
		t.Errorf("time %v of a unit without one", at)
	}
}

// TestMilestones: what happens a billion times is worth four lines.
func TestMilestones(t *testing.T) {
	var got []uint64
	for _, n := range []uint64{0, 1, 2, 10, 999, 1000, 1001, 2000, 100_000, 1_000_000, 999_000_000, 1_000_000_000} {
		if milestone(n) {
			got = append(got, n)
		}
	}
	if want := []uint64{1, 1000, 1_000_000, 1_000_000_000}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestUnsupported(t *testing.T) {
	cases := []struct {
		name    string
		enc     encoder
		refusal []string
		logs    int
	}{
		{"AV1 and Opus", encoder{video: av1Track(), audio: opusTrack(), gop: 1000}, []string{"AV1 and Opus", "RTMP or HTTP-FLV"}, 2},
		{"unknown codec", encoder{audio: &media.Track{Kind: media.Audio, Name: "11"}}, []string{"codec 11"}, 1},
		{"unreadable header", encoder{video: &media.Track{Kind: media.Video, Codec: media.H264}, gop: 1000}, []string{"H264 with such a header"}, 1},
		{"a header with a reason", encoder{video: &media.Track{Kind: media.Video, Codec: media.H264, Err: "no sequence header yet"}, gop: 1000},
			[]string{"H264 (no sequence header yet)"}, 1},
		{"H264 and Opus", encoder{video: h264Track(), audio: opusTrack(), gop: 1000}, nil, 1},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := cutter(tsOptions{})
			s.feed(c.enc.headers())
			if s.refusal != "" {
				t.Error("refused before there was media")
			}
			s.feed(c.enc.play(3000)).flush()
			if len(c.refusal) == 0 && s.refusal != "" || (len(s.list) == 0) != (len(c.refusal) > 0) {
				t.Errorf("refusal %q, %d segments", s.refusal, len(s.list))
			}
			for _, part := range c.refusal {
				if !strings.Contains(s.refusal, part) {
					t.Errorf("refusal %q lacks %q", s.refusal, part)
				}
			}
			if n := strings.Count(s.log.String(), "left out"); n != c.logs {
				t.Errorf("%d log lines:\n%s", n, &s.log)
			}
		})
	}
}

// TestFlappingTracks: an encoder that changes codec all the time costs bounded memory and few log
// lines.
func TestFlappingTracks(t *testing.T) {
	s := cutter(tsOptions{})
	e := encoder{video: h264Track(), audio: aacTrack(), gop: 1000}
	for i := range 1000 {
		switch i % 3 {
		case 0:
			e.audio = aacTrack()
		case 1:
			e.audio = &media.Track{Kind: media.Audio, ID: uint8(i), Name: strings.Repeat("x", i%50)}
		case 2:
			e.audio = opusTrack()
		}
		s.feed(e.headers()).feed(e.play(100))
	}
	s.flush()
	if n := strings.Count(s.log.String(), "\n"); n > maxTrackLogs {
		t.Errorf("%d log lines", n)
	}
	if len(s.want.logged) > maxTrackLogs || len(s.want.leftOut) > maxTrackLogs {
		t.Errorf("%d and %d entries", len(s.want.logged), len(s.want.leftOut))
	}
	if len(s.list) < 30 {
		t.Errorf("%d segments", len(s.list))
	}
}

func TestSecondTrack(t *testing.T) {
	s := cutter(tsOptions{})
	e := encoder{video: h264Track(), gop: 1000}
	second := h264Track()
	second.ID = 1
	units := append(e.headers(), media.AccessUnit{Track: second, Header: media.SequenceHeader})
	for _, u := range e.play(3000) {
		other := u
		other.Track = second
		units = append(units, u, other)
	}
	s.feed(units).flush()
	if got, want := s.String(), "100 0s+3s\n"; got != want {
		t.Errorf("\n%s, want\n%s", got, want)
	}
	if got := demux(t, s.list[0].Data); len(got.video) != 75 {
		t.Errorf("%d pictures", len(got.video))
	}
}

// TestStaleHeader: a header of an older session, which a reader may hand out first or late, brings
// no track back.
func TestStaleHeader(t *testing.T) {
	s := cutter(tsOptions{})
	e := encoder{video: h264Track(), gop: 1000, epoch: 2}
	old := media.AccessUnit{Track: aacTrack(), Header: media.SequenceHeader, Epoch: 1}
	s.feed([]media.AccessUnit{old}).feed(e.headers()).feed([]media.AccessUnit{old}).feed(e.play(3000)).flush()
	if got, want := s.String(), "100 0s+3s\n"; got != want {
		t.Errorf("\n%s, want\n%s", got, want)
	}
	if s.tracks.audio != nil {
		t.Error("audio of the old session")
	}
}

// TestAllocations: a unit within a segment costs none.
func TestAllocations(t *testing.T) {
	s := cutter(tsOptions{})
	e := encoder{video: h264Track(), audio: aacTrack(), gop: 10000}
	s.feed(e.headers()).feed(e.play(20000)) // lets the buffer grow
	s.feed(e.play(1000))
	units := e.play(5000)
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
		s := cutter(tsOptions{})
		s.Wanted = func() bool { return true }
		e := &encoder{video: h264Track(), audio: aacTrack(), gop: c.gop}
		if c.gop == 1000 || c.gop == 2000 {
			s.feed(e.headers()).feed(e.play(10_100))
		} else {
			s.feed(e.headers()).feed(e.play(40_100))
		}
		got := s.String()
		if !strings.HasPrefix(got, c.want) || s.target != c.target {
			t.Errorf("key frames each %d ms: target %v\n%swant\n%s", c.gop, s.target, got, c.want)
		}
	}
}
