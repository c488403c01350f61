package hls

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mp4/codecs"

	"livego/internal/media"
)

// change is a stream in which sequence headers come at a time.
type change struct {
	name         string
	video, audio *media.Track // new ones, nil: that header does not come
	// at is when, on the pictures' timeline. The sound is delivered by ahead earlier than the
	// pictures.
	at, ahead time.Duration
	// together: both headers stand at one place of the stream, else each before the first unit of
	// its time.
	together bool
}

// otherAVC is a track of another level.
func otherAVC() *media.Track {
	t := avcTrack(0)
	t.Config[3]++
	t.ParameterSets[0][3]++
	return t
}

func stereo() *media.Track {
	t := soundTrack(media.AAC, "1190", 48000, 1024)
	t.Channels = 2
	return t
}

func mono44() *media.Track { return soundTrack(media.AAC, "1208", 44100, 1024) }

// changes are all that are tried: which header, where, how the sound lies.
func changes() (all []change) {
	for _, c := range []struct {
		name         string
		video, audio func() *media.Track
	}{
		{"video", otherAVC, nil}, {"audio", nil, stereo}, {"audio of another rate", nil, mono44}, {"both", otherAVC, mono44},
		{"the same audio", nil, func() *media.Track { return aac(48000) }},
		{"the same of both", func() *media.Track { return avcTrack(0) }, func() *media.Track { return aac(48000) }},
	} {
		for _, at := range []time.Duration{6 * time.Second, 8 * time.Second, 6800 * time.Millisecond, 300 * time.Millisecond} {
			for _, ahead := range []int{0, 40, 80, 200, -40, -80, -200} {
				for _, together := range []bool{false, true} {
					x := change{name: fmt.Sprintf("%s/at %v, sound ahead by %d ms, together %v", c.name, at, ahead, together), at: at, ahead: ms(ahead), together: together}
					if c.video != nil {
						x.video = c.video()
					}
					if c.audio != nil {
						x.audio = c.audio()
					}
					all = append(all, x)
				}
			}
		}
	}
	return all
}

// units makes the stream, in the order of delivery.
func (c *change) units(end time.Duration) []media.AccessUnit {
	type delivered struct {
		media.AccessUnit
		at time.Duration
	}
	var all []delivered
	video, audio := avcTrack(0), aac(48000)
	pictures := studio{video: video, rate: 25, gop: 50}
	for _, u := range pictures.until(end) {
		all = append(all, delivered{u, u.DTS})
	}
	turn := c.at
	if c.together {
		turn += c.ahead
	}
	begin, every := time.Duration(0), 1024.0/48000
	sound := studio{audio: audio, audioEvery: every}
	for _, u := range sound.until(end + c.ahead) {
		if c.audio != nil && u.DTS >= turn {
			begin = u.DTS
			break
		}
		all = append(all, delivered{u, max(0, u.DTS-c.ahead)})
	}
	if c.audio != nil {
		next := studio{audio: c.audio, audioEvery: 1024 / float64(c.audio.SampleRate), begin: begin, samples: 0}
		for _, u := range next.until(end + c.ahead - begin) {
			u.Data = append(bytes.Clone(u.Data), "of the new one"...)
			all = append(all, delivered{u, max(0, u.DTS-c.ahead)})
		}
	}
	slices.SortStableFunc(all, func(a, b delivered) int { return cmp.Compare(a.at, b.at) })
	header := func(t *media.Track, at time.Duration) media.AccessUnit {
		return media.AccessUnit{Track: t, Header: media.SequenceHeader, DTS: at, PTS: at}
	}
	units := []media.AccessUnit{header(video, 0), header(audio, 0)}
	announced, turned := false, c.video == nil
	for _, d := range all {
		u := d.AccessUnit
		var headers []*media.Track
		if c.together && !announced && d.at >= c.at {
			announced = true
			headers = []*media.Track{c.video, c.audio}
		}
		if !turned && u.Track == video && u.DTS >= c.at {
			turned = true
			if !c.together {
				headers = []*media.Track{c.video}
			}
		}
		if !c.together && u.Track == c.audio && u.DTS == begin {
			headers = []*media.Track{c.audio}
		}
		for _, t := range headers {
			if t != nil {
				units = append(units, header(t, u.DTS))
			}
		}
		if turned && c.video != nil && u.Track == video {
			u.Track = c.video
		}
		units = append(units, u)
	}
	return units
}

// atKey says that the headers come where pictures may begin, atNone that the sound does not,
// because its header comes alone and behind the picture.
func (c *change) atKey() bool { return c.at%(2*time.Second) == 0 }

func (c *change) same() bool {
	return (c.video == nil || bytes.Equal(c.video.Config, avcTrack(0).Config)) && (c.audio == nil || bytes.Equal(c.audio.Config, aac(48000).Config))
}

// TestHeaderTS: where a sequence header comes, and however the sound lies against the pictures, all
// sound comes out, and all pictures that can be decoded. Frames of another header begin a segment,
// with a discontinuity.
func TestHeaderTS(t *testing.T) {
	for _, c := range changes() {
		t.Run(c.name, func(t *testing.T) {
			s := cutter(Options{})
			units := c.units(20 * time.Second)
			s.feed(units).flush()
			got := demuxAll(t, s.list)
			want := contents(units)
			if !slices.Equal(got.audio, want.audio) {
				t.Errorf("sound: %s", firstDifference(got.audio, want.audio))
			}
			if c.video == nil || c.atKey() {
				if !slices.Equal(got.video, want.video) {
					t.Errorf("pictures: %s", firstDifference(got.video, want.video))
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
				for j, a := range adtsOf(t, seg.Data) {
					head := *a
					head.AU = nil
					if i+j > 0 && (head.SampleRate != before.SampleRate || head.ChannelConfig != before.ChannelConfig) && !(j == 0 && seg.Discontinuity) {
						t.Errorf("segment %d changes its sound at frame %d", seg.Seq, j)
					}
					before = head
				}
			}
			wantDiscontinuities, wantDependent := 1, 0
			if c.same() {
				wantDiscontinuities = 0
			}
			if !c.same() && c.audio != nil && (!c.atKey() || c.video == nil) {
				wantDependent = 1
				if c.video != nil {
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

// firstDifference says where two lists differ.
func firstDifference(got, want []string) string {
	for i := range want {
		if i >= len(got) || got[i] != want[i] {
			return fmt.Sprintf("%d of %d, differ at %d", len(got), len(want), i)
		}
	}
	return fmt.Sprintf("%d of %d", len(got), len(want))
}

// TestHeaderCMAF: the same. Sound begins a segment with another initialization section, and its
// frames do not overlap.
func TestHeaderCMAF(t *testing.T) {
	for _, c := range changes() {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, Options{})
			units := c.units(20 * time.Second)
			r.feed("", units...)
			r.finish()
			v, a := r.of("v0"), r.of("a0")
			frames := framesOf(t, a)
			var want []media.AccessUnit
			for _, u := range units {
				if u.Header == media.Sample && u.Track.Kind == media.Audio {
					want = append(want, u)
				}
			}
			if len(frames) != len(want) {
				t.Errorf("%d frames of %d", len(frames), len(want))
			}
			for i := range min(len(frames), len(want)) {
				f, w := frames[i], want[i]
				if f.data != string(w.Data) || (f.start-w.DTS).Abs() > 25*time.Millisecond || f.rate != w.Track.SampleRate || f.channels != w.Track.Channels {
					t.Fatalf("frame %d: %q at %v (%d Hz, %d), want %q at %v", i, f.data, f.start, f.rate, f.channels, w.Data, w.DTS)
				}
				if i > 0 && f.start < frames[i-1].end-time.Microsecond*25 {
					t.Errorf("frame %d at %v, the one before ends at %v", i, f.start, frames[i-1].end)
				}
				if i > 0 && f.start > frames[i-1].end+20*time.Millisecond {
					t.Errorf("frame %d at %v, the one before ends at %v: a hole", i, f.start, frames[i-1].end)
				}
			}
			if c.video == nil || c.atKey() {
				pictures := samplesOf(units, units[0].Track)
				if c.video != nil {
					pictures = append(pictures, samplesOf(units, c.video)...)
				}
				sameSamples(t, v.samples(t, 90000), pictures, 0)
			}
			discontinuities, dependent := 0, 0
			for _, seq := range v.order {
				if v.segments[seq].Discontinuity {
					discontinuities++
				}
				if !v.segments[seq].Independent {
					dependent++
				}
			}
			wantDiscontinuities, wantDependent := 0, 0
			if !c.same() && c.video != nil {
				wantDiscontinuities = 1
			}
			if !c.same() && c.audio != nil && (c.at%(2*time.Second) != 0 || c.video == nil) {
				wantDependent = 1
			}
			if discontinuities != wantDiscontinuities || dependent > wantDependent {
				t.Errorf("%d discontinuities, %d dependent", discontinuities, dependent)
			}
			if t.Failed() {
				t.Log("\nvideo\n" + v.String() + "sound\n" + a.String() + r.log.String())
			}
		})
	}
}

// frameOut is a frame of sound as a player gets it.
type frameOut struct {
	data           string
	start, end     time.Duration
	rate, channels int
}

// soundOf reads all frames of a rendition of AAC, by the initialization section of their segment.
func framesOf(t *testing.T, rec *record) (out []frameOut) {
	t.Helper()
	for _, seq := range rec.order {
		s := rec.segments[seq]
		var init fmp4.Init
		if err := init.Unmarshal(bytes.NewReader(s.Init.Data)); err != nil {
			t.Fatal(err)
		}
		scale := int64(init.Tracks[0].TimeScale)
		rate, channels := configOf(t, init.Tracks[0])
		for _, p := range s.Parts {
			var parts fmp4.Parts
			if err := parts.Unmarshal(p.Data); err != nil {
				t.Fatal(err)
			}
			for _, fragment := range parts {
				at := int64(fragment.Tracks[0].BaseTime)
				for _, x := range fragment.Tracks[0].Samples {
					f := frameOut{data: string(x.Payload), start: ticks(at, scale), end: ticks(at+int64(x.Duration), scale)}
					f.rate, f.channels = rate, channels
					out = append(out, f)
					at += int64(x.Duration)
				}
			}
		}
	}
	return out
}

// configOf is what an initialization section says of AAC.
func configOf(t *testing.T, track *fmp4.InitTrack) (rate, channels int) {
	t.Helper()
	c, ok := track.Codec.(*codecs.MPEG4Audio)
	if !ok {
		t.Fatalf("%T", track.Codec)
	}
	return c.Config.SampleRate, int(c.Config.ChannelConfig)
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

// TestRestlessHeader: sound that gets another header with each frame makes no more than a segment a
// second, and as many in MPEG-TS as that has patience for.
func TestRestlessHeader(t *testing.T) {
	r, ts := newRig(t, Options{}), cutter(Options{})
	s := studio{video: avcTrack(0), audio: aac(48000), audioEvery: 1024.0 / 48000, rate: 25, gop: 250}
	for i, u := range s.until(20 * time.Second) {
		if u.Track.Kind == media.Audio && i%2 == 0 {
			u.Track = stereo()
		}
		r.feed("", u)
		ts.write(&u)
	}
	r.finish()
	ts.flush()
	if n := len(r.of("v0").order); n > 25 {
		t.Errorf("%d segments", n)
	}
	if n := len(ts.list); n > 85 {
		t.Errorf("%d segments of MPEG-TS", n)
	}
}
