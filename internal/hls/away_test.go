package hls

import (
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bluenviron/gohlslib/v2/pkg/playlist"

	"livego/internal/hls/hlstest"
	"livego/internal/media"
)

func speex() *media.Track {
	return &media.Track{Kind: media.Audio, Codec: media.Unknown, Name: "Speex", SampleRate: 16000, Channels: 1}
}

func numbered(t *media.Track, id uint8) *media.Track {
	t.ID = id
	return t
}

// onset is when the tracks of a publication begin.
type onset struct {
	track *media.Track
	at    time.Duration
}

// recording makes ten seconds of a publication, unit by unit.
func recording(tracks []onset) (units []media.AccessUnit) {
	for _, o := range tracks {
		one := &hlstest.Source{Rate: 25, Gop: 5, AudioEvery: 0.02, Begin: 10 * time.Millisecond}
		if o.track.Kind == media.Video {
			one.Video, one.Begin = o.track, 0
		} else {
			one.Audio = o.track
		}
		header := one.Stamp(media.AccessUnit{Track: o.track, Header: media.SequenceHeader})
		for _, u := range append([]media.AccessUnit{header}, one.Until(10*time.Second)...) {
			if u.DTS >= o.at || u.Header != media.Sample {
				u.DTS, u.PTS = max(u.DTS, o.at), max(u.PTS, o.at)
				units = append(units, u)
			}
		}
	}
	slices.SortStableFunc(units, func(a, b media.AccessUnit) int { return int(a.DTS - b.DTS) })
	return units
}

// TestWhereToWatch: the MPEG-TS playlist is served where it has all that a viewer expects, else it
// leads to CMAF: for a player that asks before there is anything as well as for one that asks
// later.
func TestWhereToWatch(t *testing.T) {
	const ts, cmaf = "200", "302 movie/index.m3u8"
	video, quick := onset{hlstest.AVCTrack(0), 0}, Options{CMAF: true, SegmentDuration: 100 * time.Millisecond}
	cases := []struct {
		name         string
		opt          Options
		pubs         map[string][]onset
		first, later string
	}{
		{"AAC", Options{CMAF: true}, map[string][]onset{"": {video, {hlstest.AAC(48000), 0}}}, ts, ts},
		{"Opus", Options{CMAF: true}, map[string][]onset{"": {video, {hlstest.Opus48(), 0}}}, cmaf, cmaf},
		{"Opus alone", Options{CMAF: true}, map[string][]onset{"": {{hlstest.Opus48(), 0}}}, cmaf, cmaf},
		{"Opus, no CMAF", Options{}, map[string][]onset{"": {video, {hlstest.Opus48(), 0}}}, ts, ts},
		{"what CMAF cannot carry either", Options{CMAF: true}, map[string][]onset{"": {video, {speex(), 0}}}, ts, ts},
		{"Opus as the first of two tracks", Options{CMAF: true}, map[string][]onset{"": {video, {hlstest.Opus48(), 0}, {numbered(hlstest.AAC(48000), 1), 0}}}, cmaf, cmaf},
		{"Opus as the first of two tracks, and later", Options{CMAF: true}, map[string][]onset{"": {video, {numbered(hlstest.AAC(48000), 1), 0}, {hlstest.Opus48(), 0}}}, cmaf, cmaf},
		{"Opus as the second track", Options{CMAF: true}, map[string][]onset{"": {video, {hlstest.AAC(48000), 0}, {numbered(hlstest.Opus48(), 1), 0}}}, ts, ts},
		{"Opus as the second track, and first", Options{CMAF: true}, map[string][]onset{"": {video, {numbered(hlstest.Opus48(), 1), 0}, {hlstest.AAC(48000), 0}}}, ts, ts},
		{"two videos and Opus", Options{CMAF: true}, map[string][]onset{"": {video, {hlstest.AVCTrack(1), 0}, {hlstest.Opus48(), 0}}}, cmaf, cmaf},
		{"renditions with Opus", Options{CMAF: true}, map[string][]onset{"": {video, {hlstest.Opus48(), 0}}, "720p": {{hlstest.AVCTrack(0), 0}, {hlstest.Opus48(), 0}}}, cmaf, cmaf},
		{"a further rendition with Opus", Options{CMAF: true}, map[string][]onset{"": {video, {hlstest.AAC(48000), 0}}, "720p": {{hlstest.AVCTrack(0), 0}, {hlstest.Opus48(), 0}}}, ts, ts},
		{"Opus comes when a segment is due", quick, map[string][]onset{"": {video, {hlstest.Opus48(), 400 * time.Millisecond}}}, cmaf, cmaf},
		{"Opus comes very late", Options{CMAF: true}, map[string][]onset{"": {video, {hlstest.Opus48(), 7 * time.Second}}}, ts, cmaf},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := NewServer(c.opt)
				var readers []*fakeReader
				var queues [][]media.AccessUnit
				done := make(chan error, len(c.pubs))
				for _, name := range []string{"", "720p"} {
					if tracks, ok := c.pubs[name]; ok {
						r, run := newFakeReader(), s.Begin("live/movie", name)
						readers, queues = append(readers, r), append(queues, recording(tracks))
						go func() { done <- run(t.Context(), r) }()
					}
				}
				answer := func() string {
					r := ask(s, "GET", "/live/movie.m3u8")
					return strings.TrimSpace(r.Status[:3] + " " + r.Header.Get("Location"))
				}
				first := make(chan string, 1)
				go func() { first <- answer() }()
				synctest.Wait()
				for i := range queues[0] { // one by one, so that a wrong answer shows
					for n, r := range readers {
						if i < len(queues[n]) {
							r.feed <- queues[n][i : i+1]
							synctest.Wait()
						}
					}
				}
				if got := <-first; got != c.first {
					t.Errorf("the first answer is %s, want %s", got, c.first)
				}
				if got := answer(); got != c.later {
					t.Errorf("a later answer is %s, want %s", got, c.later)
				}
				for _, r := range readers {
					r.feed <- io.EOF
					if err := <-done; err != nil {
						t.Error(err)
					}
				}
				if got := answer(); got != c.later {
					t.Errorf("after the end the answer is %s, want %s", got, c.later)
				}
				time.Sleep(time.Minute)
			})
		})
	}
}

// TestBackFromCMAF: the next session has what MPEG-TS carries, and gets it, behind a discontinuity.
func TestBackFromCMAF(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(Options{})
		st := &hlstest.Source{Video: hlstest.AVCTrack(0), Audio: hlstest.AAC(48000), Rate: 25, Gop: 25, AudioEvery: 0.02}
		feed, end := onAirAs(t, s, "", st)
		feed(8 * time.Second)
		st.Audio, st.Epoch = hlstest.Opus48(), 1
		feed(12 * time.Second)
		if r := ask(s, "GET", "/live/movie.m3u8"); r.StatusCode != 302 {
			t.Errorf("with Opus: %d", r.StatusCode)
		}
		st.Audio, st.Epoch = hlstest.AAC(48000), 2
		feed(20 * time.Second)
		p := (&station{t: t, s: s}).playlist()
		if n := len(p.Segments); n < 3 || !slices.ContainsFunc(p.Segments, func(seg *playlist.MediaSegment) bool { return seg.Discontinuity }) {
			t.Errorf("%+v", p)
		}
		if err := end(io.EOF); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute)
	})
}
