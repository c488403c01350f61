package hlstest

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
	Name         string
	Video, Audio *media.Track // new ones, nil: that header does not come
	// At is when, on the pictures' timeline. The sound is delivered by ahead earlier than the
	// pictures.
	At, ahead time.Duration
	// together: both headers stand at one place of the stream, else each before the first unit of
	// its time.
	together bool
}

// OtherAVC is a track of another level.
func OtherAVC() *media.Track {
	t := AVCTrack(0)
	t.Config[3]++
	t.ParameterSets[0][3]++
	return t
}

// Stereo is AAC of two channels.
func Stereo() *media.Track {
	t := SoundTrack(media.AAC, "1190", 48000, 1024)
	t.Channels = 2
	return t
}

func mono44() *media.Track { return SoundTrack(media.AAC, "1208", 44100, 1024) }

// Changes are all that are tried: which header, where, how the sound lies.
func Changes() (all []change) {
	for _, c := range []struct {
		name         string
		video, audio func() *media.Track
	}{
		{"video", OtherAVC, nil}, {"audio", nil, Stereo}, {"audio of another rate", nil, mono44}, {"both", OtherAVC, mono44},
		{"the same audio", nil, func() *media.Track { return AAC(48000) }},
		{"the same of both", func() *media.Track { return AVCTrack(0) }, func() *media.Track { return AAC(48000) }},
	} {
		for _, at := range []time.Duration{6 * time.Second, 8 * time.Second, 6800 * time.Millisecond, 300 * time.Millisecond} {
			for _, ahead := range []int{0, 40, 80, 200, -40, -80, -200} {
				for _, together := range []bool{false, true} {
					x := change{Name: fmt.Sprintf("%s/at %v, sound ahead by %d ms, together %v", c.name, at, ahead, together), At: at, ahead: MS(ahead), together: together}
					if c.video != nil {
						x.Video = c.video()
					}
					if c.audio != nil {
						x.Audio = c.audio()
					}
					all = append(all, x)
				}
			}
		}
	}
	return all
}

// Units makes the stream, in the order of delivery.
func (c *change) Units(end time.Duration) []media.AccessUnit {
	type delivered struct {
		media.AccessUnit
		at time.Duration
	}
	var all []delivered
	video, audio := AVCTrack(0), AAC(48000)
	pictures := Source{Video: video, Rate: 25, Gop: 50}
	for _, u := range pictures.Until(end) {
		all = append(all, delivered{u, u.DTS})
	}
	from := c.At
	if c.together {
		from += c.ahead
	}
	begin, every := time.Duration(0), 1024.0/48000
	sound := Source{Audio: audio, AudioEvery: every}
	for _, u := range sound.Until(end + c.ahead) {
		if c.Audio != nil && u.DTS >= from {
			begin = u.DTS
			break
		}
		all = append(all, delivered{u, max(0, u.DTS-c.ahead)})
	}
	if c.Audio != nil && begin > 0 {
		next := Source{Audio: c.Audio, AudioEvery: 1024 / float64(c.Audio.SampleRate), Begin: begin, Samples: 0}
		for _, u := range next.Until(end + c.ahead - begin) {
			u.Data = append(bytes.Clone(u.Data), "of the new one"...)
			all = append(all, delivered{u, max(0, u.DTS-c.ahead)})
		}
	}
	slices.SortStableFunc(all, func(a, b delivered) int { return cmp.Compare(a.at, b.at) })
	header := func(t *media.Track, at time.Duration) media.AccessUnit {
		return media.AccessUnit{Track: t, Header: media.SequenceHeader, DTS: at, PTS: at}
	}
	units := []media.AccessUnit{header(video, 0), header(audio, 0)}
	announced, changed := false, c.Video == nil
	for _, d := range all {
		u := d.AccessUnit
		var headers []*media.Track
		if c.together && !announced && d.at >= c.At {
			announced = true
			headers = []*media.Track{c.Video, c.Audio}
		}
		if !changed && u.Track == video && u.DTS >= c.At {
			changed = true
			if !c.together {
				headers = []*media.Track{c.Video}
			}
		}
		if !c.together && u.Track == c.Audio && u.DTS == begin {
			headers = []*media.Track{c.Audio}
		}
		for _, t := range headers {
			if t != nil {
				units = append(units, header(t, u.DTS))
			}
		}
		if changed && c.Video != nil && u.Track == video {
			u.Track = c.Video
		}
		units = append(units, u)
	}
	return units
}

// AtKey says that the headers come where pictures may begin, atNone that the sound does not,
// because its header comes alone and behind the picture.
func (c *change) AtKey() bool { return c.At%(2*time.Second) == 0 }

// Same says that the new headers say what the old ones did.
func (c *change) Same() bool {
	return (c.Video == nil || bytes.Equal(c.Video.Config, AVCTrack(0).Config)) && (c.Audio == nil || bytes.Equal(c.Audio.Config, AAC(48000).Config))
}

// Restless is a stream whose sound gets another header with each frame.
func Restless() (units []media.AccessUnit) {
	s := Source{Video: AVCTrack(0), Audio: AAC(48000), AudioEvery: 1024.0 / 48000, Rate: 25, Gop: 250}
	for i, u := range s.Until(20 * time.Second) {
		if u.Track.Kind == media.Audio && i%2 == 0 {
			u.Track = Stereo()
		}
		units = append(units, u)
	}
	return units
}
