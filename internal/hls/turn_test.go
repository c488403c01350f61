package hls

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"

	"livego/internal/media"
)

// change is a stream in which sequence headers come at a time.
type change struct {
	name         string
	video, audio *media.Track // new ones, nil: that header does not come
	// at is when, on the pictures' timeline. The sound is delivered by ahead earlier than the pictures.
	at, ahead time.Duration
	// together: both headers stand at one place of the stream, else each before the first unit of its time.
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

// atKey says that the headers come where pictures may begin, atNone that the sound does not, because its header comes alone and behind the picture.
func (c *change) atKey() bool { return c.at%(2*time.Second) == 0 }

func (c *change) same() bool {
	return (c.video == nil || bytes.Equal(c.video.Config, avcTrack(0).Config)) && (c.audio == nil || bytes.Equal(c.audio.Config, aac(48000).Config))
}

// TestHeaderTS: where a sequence header comes, and however the sound lies against the pictures, all sound comes out, and all pictures that can
// be decoded. Frames of another header begin a segment, with a discontinuity.
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
				if seg.discontinuity {
					discontinuities++
				}
				if !seg.independent {
					dependent++
				}
				for j, a := range adtsOf(t, seg.data) {
					head := *a
					head.AU = nil
					if i+j > 0 && (head.SampleRate != before.SampleRate || head.ChannelConfig != before.ChannelConfig) && !(j == 0 && seg.discontinuity) {
						t.Errorf("segment %d changes its sound at frame %d", seg.seq, j)
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
