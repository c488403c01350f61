package ladder

import (
	"testing"
	"time"

	"livego/internal/hls/hlstest"
	"livego/internal/media"
)

// oddities are what encoders do to the times of their units, or to which of them they send.
var oddities = []struct {
	name   string
	Source hlstest.Source
	// change returns whether a unit is sent, and may move it. n counts the units of its track.
	change func(u *media.AccessUnit, n int) bool
	// short: not all parts can be as long as they should.
	short bool
}{
	{"times 3 ms late at most", hlstest.Source{}, func(u *media.AccessUnit, n int) bool { return delay(u, n*7919%4) }, false},
	{"times 10 ms late at most", hlstest.Source{}, func(u *media.AccessUnit, n int) bool { return delay(u, n*7919%11) }, false},
	{"sound 10 ms late at most", hlstest.Source{}, func(u *media.AccessUnit, n int) bool {
		return u.Track.Kind == media.Video || delay(u, n*7919%11)
	}, false},
	{"each 17th picture missing", hlstest.Source{}, func(u *media.AccessUnit, n int) bool {
		return u.Track.Kind == media.Audio || u.RandomAccess || n%17 != 3
	}, false},
	{"half a second without pictures, then a key frame", hlstest.Source{}, func(u *media.AccessUnit, n int) bool {
		return u.Track.Kind == media.Audio || u.RandomAccess || u.DTS%(4*time.Second) < 3500*time.Millisecond
	}, true},
	{"half a second without pictures", hlstest.Source{}, func(u *media.AccessUnit, n int) bool {
		at := u.DTS % (6 * time.Second)
		return u.Track.Kind == media.Audio || u.RandomAccess || at < 4300*time.Millisecond || at > 4800*time.Millisecond
	}, true},
	{"key frames only", hlstest.Source{}, func(u *media.AccessUnit, n int) bool {
		return u.Track.Kind == media.Audio || u.RandomAccess || u.DTS < 7*time.Second
	}, true},
	{"the camera is off for six seconds", hlstest.Source{}, func(u *media.AccessUnit, n int) bool {
		return u.Track.Kind == media.Audio || u.DTS < 7*time.Second || u.DTS > 13*time.Second
	}, true},
	{"a third of the pictures from then on", hlstest.Source{}, func(u *media.AccessUnit, n int) bool {
		return u.Track.Kind == media.Audio || u.RandomAccess || u.DTS < 7*time.Second || n%3 == 0
	}, true},
	{"pictures when something changes", hlstest.Source{}, func(u *media.AccessUnit, n int) bool {
		return u.Track.Kind == media.Audio || u.RandomAccess || n%(7+n/90) == 0
	}, true},
	{"one picture a second", hlstest.Source{Rate: 1, Gop: 2}, nil, false},
	{"a picture each five seconds", hlstest.Source{Rate: 0.2, Gop: 1}, nil, false},
	{"seven pictures a second", hlstest.Source{Rate: 7, Gop: 14}, nil, false},
	{"120 pictures a second", hlstest.Source{Rate: 120, Gop: 240}, nil, false},
	{"all are key frames", hlstest.Source{Rate: 25, Gop: 1}, nil, false},
	{"pictures join late", hlstest.Source{}, func(u *media.AccessUnit, n int) bool {
		return u.Track.Kind == media.Audio || u.DTS >= 6*time.Second
	}, false},
	{"24 pictures a second join late", hlstest.Source{Rate: 24, Gop: 48, Video: ratedTrack(24)}, func(u *media.AccessUnit, n int) bool {
		return u.Track.Kind == media.Audio || u.DTS >= 6*time.Second
	}, false},
	{"60 pictures a second join late", hlstest.Source{Rate: 60, Gop: 120, Video: ratedTrack(60)}, func(u *media.AccessUnit, n int) bool {
		return u.Track.Kind == media.Audio || u.DTS >= 6*time.Second
	}, false},
	{"pictures join late beside frames of 46 ms", hlstest.Source{Audio: hlstest.AAC(22050), AudioEvery: 1024.0 / 22050}, func(u *media.AccessUnit, n int) bool {
		return u.Track.Kind == media.Audio || u.DTS >= 6*time.Second
	}, false},
	{"frames of 11 ms", hlstest.Source{Audio: hlstest.AAC(96000), AudioEvery: 1024.0 / 96000}, nil, false},
	{"sound only, frames of 11 ms", hlstest.Source{Video: noTrack, Audio: hlstest.AAC(96000), AudioEvery: 1024.0 / 96000}, nil, false},
	{"sound only, frames of 46 ms", hlstest.Source{Video: noTrack, Audio: hlstest.AAC(22050), AudioEvery: 1024.0 / 22050}, nil, false},
	{"sound only, 10 ms late at most", hlstest.Source{Video: noTrack}, func(u *media.AccessUnit, n int) bool { return delay(u, n*7919%11) }, false},
	{"sound joins late", hlstest.Source{Audio: hlstest.AAC(44100), AudioEvery: 1024.0 / 44100}, func(u *media.AccessUnit, n int) bool {
		return u.Track.Kind == media.Video || u.DTS > 5*time.Second
	}, false},
	{"frames of 46 ms", hlstest.Source{Audio: hlstest.AAC(22050), AudioEvery: 1024.0 / 22050}, nil, false},
	{"frames of 46 ms join late", hlstest.Source{Audio: hlstest.AAC(22050), AudioEvery: 1024.0 / 22050}, func(u *media.AccessUnit, n int) bool {
		return u.Track.Kind == media.Video || u.DTS > 5*time.Second
	}, false},
	{"frames of 128 ms", hlstest.Source{Audio: hlstest.AAC(8000), AudioEvery: 1024.0 / 8000}, nil, false},
	{"frames of 60 ms", hlstest.Source{Audio: hlstest.SoundTrack(media.FLAC, flacHeader, 48000, 2880), AudioEvery: 0.06}, nil, false},
	{"sound only, with holes that cannot be filled", hlstest.Source{Video: noTrack, Audio: hlstest.SoundTrack(media.FLAC, flacHeader, 48000, 1152), AudioEvery: 0.024},
		func(u *media.AccessUnit, n int) bool { return n%200 < 180 }, true},
}

var noTrack = &media.Track{}

// ratedTrack is a track of H.264 whose header says how many pictures a second it has.
func ratedTrack(rate float64) *media.Track {
	t := *hlstest.AVCTrack(0)
	t.FrameRate = rate
	return &t
}

const flacHeader = "664c6143" + "80000022" + "0b400b40000000000000" + "0bb800f000000000" + "00000000000000000000000000000000"

func delay(u *media.AccessUnit, ms int) bool {
	u.DTS += time.Duration(ms) * time.Millisecond
	u.PTS += time.Duration(ms) * time.Millisecond
	return true
}

// sent are the units of an encoder with an oddity.
func sent(s hlstest.Source, change func(u *media.AccessUnit, n int) bool, d time.Duration) (units []media.AccessUnit) {
	if s.Video == nil {
		s.Video = hlstest.AVCTrack(0)
	}
	if s.Rate == 0 {
		s.Rate, s.Gop = 25, 50
	}
	if s.Audio == nil {
		s.Audio, s.AudioEvery = hlstest.AAC(48000), 1024.0/48000
	}
	if s.Video == noTrack {
		s.Video = nil
	}
	var n [3]int
	newest := map[*media.Track]time.Duration{}
	for _, u := range s.Until(d) {
		n[u.Track.Kind]++
		if change == nil || change(&u, n[u.Track.Kind]) {
			u.DTS = max(u.DTS, newest[u.Track])
			newest[u.Track] = u.DTS
			units = append(units, u)
		}
	}
	return units
}

// TestPartsOfOddEncoders: whatever encoders send, no part is listed as longer than the part target
// duration, which rig checks. None that need not be is shorter than 85 % of it, segments are as
// long as their media, and nothing is lost.
func TestPartsOfOddEncoders(t *testing.T) {
	for _, odd := range oddities {
		t.Run(odd.name, func(t *testing.T) {
			r := newRig(t, Options{})
			units := sent(odd.Source, odd.change, 40*time.Second)
			r.feed("", units...)
			abrupt := r.abrupt
			r.finish()
			for id, rec := range r.seen {
				short, parts := rec.short()
				if short > 0 && !odd.short || parts < 8 {
					t.Errorf("%s: %d of %d parts are too short, target %v\n%s", id, short, parts, rec.view.PartTarget, rec)
				}
				for i, seq := range rec.order[1:] {
					a, b := rec.segments[rec.order[i]], rec.segments[seq]
					if off := b.Start - a.Start - a.Duration; off.Abs() > 100*time.Millisecond && seq == a.Seq+1 {
						t.Errorf("%s: segment %d begins %v after the end of the one before\n%s%s", id, seq, off, rec, &r.log)
					}
				}
				if 3*rec.view.PartTarget > rec.view.PartHoldBack {
					t.Errorf("%s: PART-HOLD-BACK is %v, the part target duration %v", id, rec.view.PartHoldBack, rec.view.PartTarget)
				}
			}
			if abrupt > 0 && !odd.short && r.line.longestPart < shortPart || r.counts.Dropped.Load() > 0 {
				t.Errorf("%d segments ended with their last part, %d units dropped\n%s", abrupt, r.counts.Dropped.Load(), &r.log)
			}
		})
	}
}

// TestPartsToBeginWith: players begin with the first part of a segment, or with one so far behind
// it that hls.js does not take the segment for buffered without those before. It is so where
// pictures are so few that a part has one.
func TestPartsToBeginWith(t *testing.T) {
	for _, c := range []struct {
		length time.Duration
		source hlstest.Source
	}{
		{length: 80 * time.Millisecond}, {length: 200 * time.Millisecond}, {length: 500 * time.Millisecond},
		{source: hlstest.Source{Rate: 7, Gop: 14}},
		{source: hlstest.Source{Rate: 6.5, Gop: 13, Audio: hlstest.AAC(44100), AudioEvery: 1024.0 / 44100}},
		{source: hlstest.Source{Rate: 7, Gop: 14, Audio: hlstest.AAC(44100), AudioEvery: 1024.0 / 44100}},
		{source: hlstest.Source{Rate: 6, Gop: 12}}, {source: hlstest.Source{Rate: 5, Gop: 10}}, {source: hlstest.Source{Rate: 2.5, Gop: 5}},
		{source: hlstest.Source{Audio: hlstest.AAC(32000), AudioEvery: 1024.0 / 32000}},
	} {
		r := newRig(t, Options{PartDuration: c.length})
		r.feed("", sent(c.source, nil, 20*time.Second)...)
		r.finish()
		parts := 0
		for seq, s := range r.seen["a0"].segments {
			at := time.Duration(0)
			for i, part := range s.Parts {
				if want := at == 0 || at > 250*time.Millisecond; part.Independent != want {
					t.Errorf("%v pictures a second, parts of %v: one may begin with part %d of segment %d, %v behind its start: %v",
						c.source.Rate, part.Duration, i, seq, at, part.Independent)
				}
				at += part.Duration
				parts++
			}
		}
		if parts < 30 {
			t.Errorf("%v pictures a second, parts of %v: there are %d", c.source.Rate, c.length, parts)
		}
	}
}

// short counts the parts that are shorter than 85 % of the part target duration and must not be
// (RFC 8216bis 4.4.4.9), of how many.
func (rec *record) short() (short, all int) {
	for _, s := range rec.segments {
		for i, p := range s.Parts {
			all++
			if i < len(s.Parts)-1 && !p.Independent && 100*p.Duration < 85*rec.view.PartTarget {
				short++
			}
		}
	}
	return short, all
}
