package hls

import (
	"slices"
	"strings"
	"testing"
	"time"

	"livego/internal/hls/hlstest"
	"livego/internal/hls/playlist"
	"livego/internal/media"
)

// refresh makes recovery points of all random access points but the first.
func refresh(units []media.AccessUnit) []media.AccessUnit {
	for i := range units {
		if u := &units[i]; u.Track.Kind == media.Video && u.RandomAccess {
			u.Recovery = u.DTS > 0
		}
	}
	return units
}

// skipping lets the first picture behind each random access point be one that is skipped if
// decoding begins there.
func skipping(units []media.AccessUnit) []media.AccessUnit {
	behind := false
	for i := range units {
		if u := &units[i]; u.Track.Kind == media.Video {
			u.Skipped, behind = behind, u.RandomAccess
		}
	}
	return units
}

// TestRecoveryPoints: segments begin at recovery points, and say the truth of them: they are no
// sync samples, no parts with such begin there, not all can be decoded from there on. The same
// holds where a segment has pictures that are skipped, but for its first picture.
func TestRecoveryPoints(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func([]media.AccessUnit) []media.AccessUnit
		// sync says that segments begin with sync samples, whole that EXT-X-INDEPENDENT-SEGMENTS is
		// true.
		sync, whole bool
	}{
		{"IDR pictures", func(u []media.AccessUnit) []media.AccessUnit { return u }, true, true},
		{"recovery points", refresh, false, false},
		{"open GOPs", skipping, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := studio{video: avcTrack(0), rate: 25, gop: 100}
			units := c.change(s.until(20 * time.Second))
			r, ts := newRig(t, Options{}), cutter(Options{})
			r.feed("", units...)
			r.finish()
			ts.feed(units).flush()
			v := r.of("v0")
			if len(v.order) != 5 || len(ts.list) != 5 {
				t.Fatalf("%s\n%s", v, ts)
			}
			var keys []time.Duration
			for _, sample := range v.samples(t, 90000) {
				if sample.key {
					keys = append(keys, sample.dts)
				}
			}
			want := []time.Duration{0}
			if c.sync {
				want = append(want, 4*time.Second, 8*time.Second, 12*time.Second, 16*time.Second)
			}
			if !slices.Equal(keys, want) {
				t.Errorf("sync samples at %v, want %v", keys, want)
			}
			w := playlist.TSWindow{Gzip: &playlist.Compressor{}, Dir: "x", ListSize: 5, Target: ts.target}
			for i, seg := range ts.list {
				s := v.segments[v.order[i]]
				if sync := i == 0 || c.sync; s.Start != time.Duration(i)*4*time.Second || s.Independent != sync || s.Parts[0].Independent != sync || s.Parts[1].Independent {
					t.Errorf("segment %d: %+v", i, s)
				}
				if seg.Independent != (c.whole || i == 0 && !c.sync) || seg.Start != s.Start {
					t.Errorf("segment %d of MPEG-TS at %v: independent %v", i, seg.Start, seg.Independent)
				}
				if !beginsRandomAccess(seg.Data) {
					t.Errorf("segment %d of MPEG-TS does not begin with a random access indicator", i)
				}
				w.Add(seg)
			}
			view, err := w.View(true)
			if err != nil {
				t.Fatal(err)
			}
			list := hlstest.Joined(view.Text().Plain.Body)
			if strings.Contains(list, "#EXT-X-INDEPENDENT-SEGMENTS") != c.whole || r.show.view.Load().Independent != c.whole {
				t.Errorf("EXT-X-INDEPENDENT-SEGMENTS is wrong: %v\n%s", r.show.view.Load().Independent, list)
			}
		})
	}
}

// beginsRandomAccess says whether the first packet of video in a segment has the random access
// indicator (ISO/IEC 13818-1 2.4.3.5), and SPS and PPS in it.
func beginsRandomAccess(data []byte) bool {
	const packet, pid = 188, 0x100
	for ; len(data) >= packet; data = data[packet:] {
		if int(data[1]&0x1f)<<8|int(data[2]) == pid && data[1]&0x40 != 0 {
			text := string(data[:packet])
			return data[3]&0x20 != 0 && data[4] > 0 && data[5]&0x40 != 0 && strings.Contains(text, "\x00\x00\x00\x01\x67")
		}
	}
	return false
}
