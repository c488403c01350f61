package hls

import (
	"slices"
	"testing"
	"time"

	"livego/internal/fmp4"
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
		s := cutter(tsOptions{SegmentDuration: time.Second})
		e := encoder{video: h264Track(), audio: mp3Track(), gop: 1000}
		taken := 0
		feed := func(units []media.AccessUnit) {
			for i := range units {
				s.write(&units[i])
				if u := &units[i]; u.Header == media.Sample && *s.want.of(u.Track.Kind) == u.Track {
					taken++
				}
			}
		}
		for _, op := range script {
			switch op % 16 {
			case 0:
				feed(e.headers())
			case 1:
				e.video = h264Track()
			case 2:
				e.audio = opusTrack()
			case 3:
				e.audio = mp3Track()
			case 4:
				e.epoch++
			case 5:
				e.jump = true
			case 6:
				e.at += 5 * int(op)
			case 7:
				s.flush()
			case 8:
				feed([]media.AccessUnit{e.stamp(media.AccessUnit{Track: e.video, RandomAccess: op > 127, DTS: ms(e.at), Data: []byte{0, 0, 0, op}})})
			case 9:
				e.gop = 40 * (1 + int(op))
			default:
				feed(e.play(int(op) * 5))
			}
		}
		s.flush()
		all := 0
		silence, _ := fmp4.Silence(mp3Track(), nil)
		for i, seg := range s.list {
			d := demux(t, seg.Data)
			all += len(d.video) + len(slices.DeleteFunc(d.audio, func(data string) bool { return data == string(silence) }))
			if seg.Seq != int64(100+i) || seg.Duration <= 0 || seg.Duration > s.target+rounding {
				t.Errorf("segment %d: number %d, %v of %v", i, seg.Seq, seg.Duration, s.target)
			}
			if i > 0 && seg.Start < s.list[i-1].Start {
				t.Errorf("segment %d starts at %v after %v", i, seg.Start, s.list[i-1].Start)
			}
		}
		if taken -= int(s.counts.dropped.Load()); all != taken {
			t.Errorf("%d units came out of %d", all, taken)
		}
	})
}
