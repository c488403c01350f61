package ladder

import (
	"bytes"
	"testing"
	"time"

	"pgregory.net/rapid"

	"livego/internal/hls/hlstest"
	"livego/internal/hls/playlist"
	"livego/internal/media"
)

// TestJoined: the playlist of both has each segment that both have, each part of the pictures with
// the sound of its time, and all of either, wherever frames are missing or sound begins late.
func TestJoined(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := hlstest.SoundOf(rapid.SampledFrom([]media.Codec{media.AAC, media.Opus, media.MP3}).Draw(rt, "codec"))
		if rapid.Bool().Draw(rt, "long frames") {
			s = hlstest.Encoders(25, 50)[0]
			s.Audio = hlstest.AAC(24000)
			s.Audio.SamplesPerFrame, s.AudioEvery = 2048, 2048./24000
		}
		s.Reorder = rapid.Bool().Draw(rt, "B-frames")
		units := s.Until(14 * time.Second)
		if late := time.Duration(rapid.IntRange(0, 3000).Draw(rt, "late")) * time.Millisecond; rapid.Bool().Draw(rt, "sound is late") {
			units = hlstest.Without(units, 0, late)
		}
		for range rapid.IntRange(0, 2).Draw(rt, "holes") {
			from := time.Duration(rapid.IntRange(4000, 12000).Draw(rt, "from")) * time.Millisecond
			away := time.Duration(rapid.IntRange(20, 3000).Draw(rt, "away")) * time.Millisecond
			units = hlstest.Without(units, from, from+away)
		}
		r := newRig(t, Options{Joined: true, ListSize: 20})
		r.feed("", units...)
		r.finish()
		video, sound, both := r.of("v0"), r.of("a0"), r.of("v0a0")
		joined := 0
		for _, seq := range video.order {
			v, a, j := video.segments[seq], sound.segments[seq], both.segments[seq]
			if a == nil {
				if j != nil {
					rt.Errorf("segment %d has no sound, but is listed", seq)
				}
				continue
			}
			if j == nil || j.Duration != v.Duration || j.Gap != (v.Gap || a.Gap) || !j.Complete {
				rt.Errorf("segment %d of pictures and sound is %+v", seq, j)
				continue
			}
			joined++
			if !j.Gap {
				checkJoined(rt, v, a, j)
			}
		}
		if list := r.show.View.Load().Renditions; joined < 2 || len(list) != 1 || list[0].ID != "v0a0" || r.broken > 0 || t.Failed() {
			rt.Fatalf("%d segments, %d renditions, %d hints that were wrong\n%s", joined, len(list), r.broken, both)
		}
	})
}

// checkJoined holds a segment of both against those of each alone.
func checkJoined(t *rapid.T, v, a, j *playlist.Segment) {
	heard, last := 0, j.Parts[len(j.Parts)-1]
	for i, p := range j.Parts {
		rest, end := p.Data.Bytes(), a.Start
		if i < len(v.Parts) {
			own := v.Parts[i].Data.Bytes()
			if !bytes.HasPrefix(rest, own) || p.Duration != v.Parts[i].Duration || p.Independent != v.Parts[i].Independent {
				t.Errorf("part %d of segment %d is not that of the pictures", i, j.Seq)
				return
			}
			rest, end = rest[len(own):], p.Start+p.Duration
		}
		for len(rest) > 0 && heard < len(a.Parts) && bytes.HasPrefix(rest, a.Parts[heard].Data.Bytes()) {
			part := &a.Parts[heard]
			if off := part.Start + part.Duration/2 - end; off > 0 && p.Start != last.Start {
				t.Errorf("sound of segment %d comes %v early", j.Seq, off)
			}
			rest, heard = rest[part.Data.Size():], heard+1
		}
		if len(rest) > 0 {
			t.Errorf("part %d of segment %d has %d other bytes", i, j.Seq, len(rest))
			return
		}
		if heard < len(a.Parts) && p.Start != last.Start {
			if next := &a.Parts[heard]; next.Start+next.Duration < end {
				t.Errorf("sound of segment %d at %v is missing before %v", j.Seq, next.Start, end)
			}
		}
	}
	if heard < len(a.Parts) {
		t.Errorf("%d parts of the sound of segment %d are missing", len(a.Parts)-heard, j.Seq)
	}
}
