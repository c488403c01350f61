package segmenter

import (
	"strings"
	"testing"
	"time"

	"livego/internal/hls/hlstest"
	"livego/internal/hls/playlist"
	"livego/internal/media"
)

// TestRecoveryPointsTS: segments begin at recovery points, and say the truth of them: they are no
// sync samples, no parts with such begin there, not all can be decoded from there on. The same
// holds where a segment has pictures that are skipped, but for its first picture.
func TestRecoveryPointsTS(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func([]media.AccessUnit) []media.AccessUnit
		// sync says that segments begin with IDR pictures, whole that EXT-X-INDEPENDENT-SEGMENTS is
		// true.
		sync, whole bool
	}{
		{"IDR pictures", func(u []media.AccessUnit) []media.AccessUnit { return u }, true, true},
		{"recovery points", hlstest.Refresh, false, false},
		{"open GOPs", hlstest.Skipping, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := hlstest.Source{Video: hlstest.AVCTrack(0), Rate: 25, Gop: 100}
			units := c.change(s.Until(20 * time.Second))
			ts := cutter(Options{})
			ts.feed(units).Flush()
			if len(ts.list) != 5 {
				t.Fatalf("%s", ts)
			}
			w := playlist.TSWindow{Gzip: &playlist.Compressor{}, Dir: "x", ListSize: 5, Target: ts.target}
			for i, seg := range ts.list {
				if seg.Independent != (c.whole || i == 0 && !c.sync) || seg.Start != time.Duration(i)*4*time.Second {
					t.Errorf("segment %d at %v: independent %v", i, seg.Start, seg.Independent)
				}
				if !beginsRandomAccess(seg.Data.Bytes()) {
					t.Errorf("segment %d does not begin with a random access indicator", i)
				}
				w.Add(seg)
			}
			view, err := w.View(true)
			if err != nil {
				t.Fatal(err)
			}
			list := hlstest.Joined(view.Text().Plain.Body)
			if strings.Contains(list, "#EXT-X-INDEPENDENT-SEGMENTS") != c.whole {
				t.Errorf("EXT-X-INDEPENDENT-SEGMENTS is wrong:\n%s", list)
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
