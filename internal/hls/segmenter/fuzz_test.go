package segmenter

import (
	"slices"
	"testing"
	"time"

	"livego/internal/fmp4"
	"livego/internal/hls/cut"
	"livego/internal/hls/hlstest"
	"livego/internal/media"
)

// FuzzSegmenter runs streams of all shapes: tracks, sessions and times change at will, units are
// malformed. Each segment must be a transport stream by itself, durations lie within the target,
// and every unit that was not dropped comes out once.
func FuzzSegmenter(f *testing.F) {
	f.Add([]byte{0, 1, 10, 1, 10, 1, 10, 40, 10, 41, 200, 0, 10, 1})
	f.Add([]byte("headers, pictures, frames and changes in no order"))
	f.Add([]byte{2, 3, 4, 5, 6, 7, 0, 1, 8, 9, 0xff, 0xfe, 0, 0, 1, 1, 2, 2, 3, 3})
	f.Fuzz(func(t *testing.T, script []byte) {
		s := cutter(Options{SegmentDuration: time.Second})
		e := hlstest.Encoder{Video: hlstest.H264Track(), Audio: hlstest.MP3Track(), Gop: 1000}
		taken := 0
		feed := func(units []media.AccessUnit) {
			for i := range units {
				s.Write(&units[i])
				if u := &units[i]; u.Header == media.Sample && *s.want.of(u.Track.Kind) == u.Track {
					taken++
				}
			}
		}
		for _, op := range script {
			switch op % 16 {
			case 0:
				feed(e.Headers())
			case 1:
				e.Video = hlstest.H264Track()
			case 2:
				e.Audio = hlstest.OpusTrack()
			case 3:
				e.Audio = hlstest.MP3Track()
			case 4:
				e.Epoch++
			case 5:
				e.Jump = true
			case 6:
				e.At += 5 * int(op)
			case 7:
				s.Flush()
			case 8:
				feed([]media.AccessUnit{e.Stamp(media.AccessUnit{Track: e.Video, RandomAccess: op > 127, DTS: hlstest.MS(e.At), Data: []byte{0, 0, 0, op}})})
			case 9:
				e.Gop = 40 * (1 + int(op))
			default:
				feed(e.Play(int(op) * 5))
			}
		}
		s.Flush()
		s.checkMadeAgain(t)
		all := 0
		silence, _ := fmp4.Silence(hlstest.MP3Track(), nil)
		for i, seg := range s.list {
			d := hlstest.Demux(t, seg.Data.Bytes())
			all += len(d.Video) + len(slices.DeleteFunc(d.Audio, func(data string) bool { return data == string(silence) }))
			if seg.Seq != int64(100+i) || seg.Duration <= 0 || seg.Duration > s.target+cut.Rounding {
				t.Errorf("segment %d: number %d, %v of %v", i, seg.Seq, seg.Duration, s.target)
			}
			if i > 0 && seg.Start < s.list[i-1].Start {
				t.Errorf("segment %d starts at %v after %v", i, seg.Start, s.list[i-1].Start)
			}
		}
		if taken -= int(s.counts.Dropped.Load()); all != taken {
			t.Errorf("%d units came out of %d", all, taken)
		}
	})
}
