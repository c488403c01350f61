package segmenter

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"

	"livego/internal/hls/hlstest"
)

// TestHeaderTS: where a sequence header comes, and however the sound lies against the pictures, all
// sound comes out, and all pictures that can be decoded. Frames of another header begin a segment,
// with a discontinuity.
func TestHeaderTS(t *testing.T) {
	for _, c := range hlstest.Changes() {
		t.Run(c.Name, func(t *testing.T) {
			s := cutter(Options{})
			units := c.Units(13 * time.Second)
			s.feed(units).Flush()
			s.checkMadeAgain(t)
			got := hlstest.DemuxAll(t, s.list)
			want := hlstest.Contents(units)
			if !slices.Equal(got.Audio, want.Audio) {
				t.Errorf("sound: %s", firstDifference(got.Audio, want.Audio))
			}
			if c.Video == nil || c.AtKey() {
				if !slices.Equal(got.Video, want.Video) {
					t.Errorf("pictures: %s", firstDifference(got.Video, want.Video))
				}
			}
			discontinuities, dependent := 0, 0
			var before mpeg4audio.ADTSPacket
			for i, seg := range s.list {
				if seg.Discontinuity {
					discontinuities++
				}
				if !seg.Independent {
					dependent++
				}
				for j, a := range adtsOf(t, seg.Data.Bytes()) {
					head := *a
					head.AU = nil
					if i+j > 0 && (head.SampleRate != before.SampleRate || head.ChannelConfig != before.ChannelConfig) && !(j == 0 && seg.Discontinuity) {
						t.Errorf("segment %d changes its sound at frame %d", seg.Seq, j)
					}
					before = head
				}
			}
			wantDiscontinuities, wantDependent := 1, 0
			if c.Same() {
				wantDiscontinuities = 0
			}
			if !c.Same() && c.Audio != nil && (!c.AtKey() || c.Video == nil) {
				wantDependent = 1
				if c.Video != nil {
					wantDiscontinuities = 2
				}
			}
			if discontinuities != wantDiscontinuities || dependent > wantDependent {
				t.Errorf("%d discontinuities, %d dependent:\n%s", discontinuities, dependent, s)
			}
			if t.Failed() {
				t.Log("\n" + s.String() + s.log.String())
			}
		})
	}
}

// TestEndBehindHeader: a stream that ends while what follows a header still waits loses no sound.
func TestEndBehindHeader(t *testing.T) {
	for _, c := range hlstest.Changes() {
		for _, behind := range []int{60, 210} {
			units := c.Units(c.At + hlstest.MS(behind))
			s := cutter(Options{})
			s.feed(units).Flush()
			var got []string
			for _, seg := range s.list {
				for _, a := range adtsOf(t, seg.Data.Bytes()) {
					got = append(got, string(a.AU))
				}
			}
			if want := hlstest.Contents(units).Audio; !slices.Equal(got, want) {
				t.Errorf("%s, the end %d ms behind it: %s", c.Name, behind, firstDifference(got, want))
			}
		}
	}
}

// firstDifference says where two lists differ.
func firstDifference(got, want []string) string {
	for i := range want {
		if i >= len(got) || got[i] != want[i] {
			return fmt.Sprintf("%d of %d, differ at %d", len(got), len(want), i)
		}
	}
	return fmt.Sprintf("%d of %d", len(got), len(want))
}

// adtsOf reads the frames of sound of a segment with their headers.
func adtsOf(t *testing.T, data []byte) mpeg4audio.ADTSPackets {
	t.Helper()
	const packet, pid, pesHeader = 188, 0x101, 9
	var stream []byte
	for ; len(data) >= packet; data = data[packet:] {
		if int(data[1]&0x1f)<<8|int(data[2]) != pid {
			continue
		}
		at := 4
		if data[3]&0x20 != 0 {
			at += 1 + int(data[4])
		}
		if data[1]&0x40 != 0 {
			at += pesHeader + int(data[at+pesHeader-1])
		}
		stream = append(stream, data[at:packet]...)
	}
	var frames mpeg4audio.ADTSPackets
	if err := frames.Unmarshal(stream); err != nil && len(stream) > 0 {
		t.Fatal(err)
	}
	return frames
}

// TestRestlessHeader: sound that gets another header with each frame makes as many segments as
// there is patience for.
func TestRestlessHeader(t *testing.T) {
	s, ts := hlstest.Restless(), cutter(Options{})
	for i := range s {
		ts.Write(&s[i])
	}
	ts.Flush()
	if n := len(ts.list); n > 85 {
		t.Errorf("%d segments", n)
	}
}
