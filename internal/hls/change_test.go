package hls

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"time"

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

// restless is a stream whose sound gets another header with each frame.
func restless() (units []media.AccessUnit) {
	s := studio{video: avcTrack(0), audio: aac(48000), audioEvery: 1024.0 / 48000, rate: 25, gop: 250}
	for i, u := range s.until(20 * time.Second) {
		if u.Track.Kind == media.Audio && i%2 == 0 {
			u.Track = stereo()
		}
		units = append(units, u)
	}
	return units
}
