package playlist

import (
	"cmp"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"time"

	"livego/internal/media"
)

const (
	// multivariantVersion is what the media playlists need for EXT-X-MAP; servicesVersion is the
	// least that allows CEA-708 services (RFC 8216bis 8).
	multivariantVersion, servicesVersion = "6", "7"
	captionGroup                         = "cc"
)

// Text returns the multivariant playlist.
func (v *Multivariant) Text(gzip *Compressor) *Text {
	return v.text.get(gzip, func() (rendered, error) {
		m := newMultivariant(v)
		m.render(v)
		return rendered{head: m.b}, nil
	})
}

// audioGroup is the audio renditions of one codec.
type audioGroup struct {
	id      string
	members []*Info
	// codecs are all that occur in it, peak and average the highest bit rates.
	codecs        []string
	peak, average int
}

// multivariantRenderer writes a multivariant playlist (RFC 8216bis 4.4.6).
type multivariantRenderer struct {
	b []byte
	// prefix is what the names of media playlists begin with.
	prefix   string
	videos   []*Info
	groups   []*audioGroup
	captions Captions
}

func newMultivariant(v *Multivariant) *multivariantRenderer {
	m := &multivariantRenderer{b: make([]byte, 0, 256+512*len(v.Renditions)), prefix: IndexPrefix}
	for i := range v.Renditions {
		r := &v.Renditions[i]
		switch r.Kind {
		case media.Video:
			m.videos = append(m.videos, r)
			m.captions.Channels |= r.Captions.Channels
			m.captions.Services |= r.Captions.Services
		case media.Audio:
			m.group(r)
		}
	}
	return m
}

// group adds an audio rendition to the group of its codec.
func (m *multivariantRenderer) group(r *Info) {
	id := strings.ToLower(string(r.Track.Codec))
	i := slices.IndexFunc(m.groups, func(g *audioGroup) bool { return g.id == id })
	if i < 0 {
		i = len(m.groups)
		m.groups = append(m.groups, &audioGroup{id: id})
	}
	g := m.groups[i]
	g.members = append(g.members, r)
	g.peak, g.average = max(g.peak, r.Peak), max(g.average, r.Average)
	if !slices.Contains(g.codecs, r.Codecs) {
		g.codecs = append(g.codecs, r.Codecs)
	}
}

func (m *multivariantRenderer) render(v *Multivariant) {
	version := multivariantVersion
	if m.captions.Services != 0 {
		version = servicesVersion
	}
	m.b = append(m.b, "#EXTM3U\n#EXT-X-VERSION:"+version+"\n"...)
	if v.Independent {
		m.b = append(m.b, "#EXT-X-INDEPENDENT-SEGMENTS\n"...)
	}
	if len(m.videos) == 0 {
		m.audioOnly()
		return
	}
	for _, g := range m.groups {
		m.audio(g)
	}
	m.captionMedia()
	for _, video := range m.videos {
		if len(m.groups) == 0 {
			m.variant(video, nil)
		}
		for _, g := range m.groups {
			m.variant(video, g)
		}
	}
	for _, video := range m.videos {
		m.frames(video)
	}
}

// audioOnly writes one variant for each codec. A group is only needed where there is a choice.
func (m *multivariantRenderer) audioOnly() {
	for _, g := range m.groups {
		if len(g.members) > 1 {
			m.audio(g)
		}
	}
	for _, g := range m.groups {
		m.b = append(m.b, "#EXT-X-STREAM-INF:BANDWIDTH="...)
		m.rates(g.peak, g.average)
		m.quoted("CODECS", strings.Join(g.codecs, ","))
		if len(g.members) > 1 {
			m.quoted("AUDIO", g.id)
		}
		m.uriLine(g.members[0].ID)
	}
}

// audio writes the members of a group. The first is what players choose by themselves.
func (m *multivariantRenderer) audio(g *audioGroup) {
	for i, r := range g.members {
		m.b = append(m.b, `#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="`...)
		m.b = append(m.b, g.id...)
		m.b = append(m.b, '"')
		m.quoted("NAME", r.name())
		if i == 0 {
			m.b = append(m.b, ",DEFAULT=YES,AUTOSELECT=YES"...)
		} else {
			m.b = append(m.b, ",DEFAULT=NO,AUTOSELECT=NO"...)
		}
		if n := r.Track.Channels; n > 0 {
			m.quoted("CHANNELS", strconv.Itoa(n))
		}
		m.quoted("URI", m.prefix+r.ID+PlaylistSuffix)
		m.b = append(m.b, '\n')
	}
}

// name is what a player shows, the same for the same track of each codec.
func (r *Info) name() string { return "Audio " + strconv.Itoa(int(r.Track.ID)+1) }

// captionMedia names the captions inside the video (RFC 8216bis 4.4.6.1).
func (m *multivariantRenderer) captionMedia() {
	for i := range 4 {
		if m.captions.Channels&(1<<i) != 0 {
			m.caption("CC" + strconv.Itoa(i+1))
		}
	}
	for set := m.captions.Services; set != 0; set &= set - 1 {
		if n := bits.TrailingZeros64(set); n > 0 {
			m.caption("SERVICE" + strconv.Itoa(n))
		}
	}
}

func (m *multivariantRenderer) caption(id string) {
	m.b = append(m.b, `#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID="`+captionGroup+`"`...)
	m.quoted("NAME", id)
	m.quoted("INSTREAM-ID", id)
	m.b = append(m.b, '\n')
}

// variant writes a video with an audio group, nil for none. All variants have the captions of all
// videos: NONE is for all or for none of them (RFC 8216bis 4.4.6.2).
func (m *multivariantRenderer) variant(video *Info, g *audioGroup) {
	peak, average, codecs := video.Peak, video.Average, video.Codecs
	if g != nil {
		peak, average = peak+g.peak, average+g.average
		codecs += "," + strings.Join(g.codecs, ",")
	}
	m.b = append(m.b, "#EXT-X-STREAM-INF:BANDWIDTH="...)
	m.rates(peak, average)
	m.quoted("CODECS", codecs)
	m.video(video)
	if video.FrameRate > 0 {
		m.b = append(m.b, ",FRAME-RATE="...)
		m.b = strconv.AppendFloat(m.b, video.FrameRate, 'f', 3, 64)
	}
	if g != nil {
		m.quoted("AUDIO", g.id)
	}
	if m.captions == (Captions{}) {
		m.b = append(m.b, ",CLOSED-CAPTIONS=NONE"...)
	} else {
		m.quoted("CLOSED-CAPTIONS", captionGroup)
	}
	m.uriLine(video.ID)
}

// video writes the attributes that variants and I-frame streams share.
func (m *multivariantRenderer) video(r *Info) {
	if r.Supplemental != "" {
		m.quoted("SUPPLEMENTAL-CODECS", r.Supplemental)
	}
	if r.Width > 0 && r.Height > 0 {
		m.b = append(m.b, ",RESOLUTION="...)
		m.b = strconv.AppendInt(m.b, int64(r.Width), 10)
		m.b = append(m.b, 'x')
		m.b = strconv.AppendInt(m.b, int64(r.Height), 10)
	}
	if r.VideoRange != "" {
		m.b = append(m.b, ",VIDEO-RANGE="...)
		m.b = append(m.b, r.VideoRange...)
	}
}

// frames writes the I-frame stream of a video (RFC 8216bis 4.4.6.3).
func (m *multivariantRenderer) frames(r *Info) {
	v := r.View.Load()
	if v == nil {
		return
	}
	peak, average := v.frameRates()
	if peak == 0 {
		return
	}
	m.b = append(m.b, "#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH="...)
	m.rates(peak, average)
	m.quoted("CODECS", r.Codecs)
	m.video(r)
	m.quoted("URI", m.prefix+r.ID+FramesSuffix+PlaylistSuffix)
	m.b = append(m.b, '\n')
}

// frameRates returns the bit rates of a playlist that has the first pictures of the segments only.
func (v *View) frameRates() (peak, average int) {
	size, length := 0, time.Duration(0)
	for _, s := range v.Segments[v.Listed:] {
		if s.Complete && s.Independent && s.Key > 0 {
			peak = max(peak, bitRate(s.Key, s.Duration))
			size += s.Key
			length += s.Duration
		}
	}
	return peak, bitRate(size, length)
}

func bitRate(size int, d time.Duration) int {
	if d <= 0 {
		return 0
	}
	return int(float64(size) * 8 / d.Seconds())
}

// rates writes the values of BANDWIDTH, which must be there, and AVERAGE-BANDWIDTH.
func (m *multivariantRenderer) rates(peak, average int) {
	m.b = strconv.AppendInt(m.b, int64(cmp.Or(peak, average, 1)), 10)
	if average > 0 {
		m.b = append(m.b, ",AVERAGE-BANDWIDTH="...)
		m.b = strconv.AppendInt(m.b, int64(average), 10)
	}
}

func (m *multivariantRenderer) quoted(name, value string) {
	m.b = append(m.b, ',')
	m.b = append(m.b, name...)
	m.b = append(m.b, `="`...)
	m.b = append(m.b, value...)
	m.b = append(m.b, '"')
}

func (m *multivariantRenderer) uriLine(id string) {
	m.b = append(m.b, "\n"+m.prefix...)
	m.b = append(m.b, id...)
	m.b = append(m.b, PlaylistSuffix+"\n"...)
}

// Description is what a multivariant playlist says of a rendition (RFC 8216bis 4.4.6).
type Description struct {
	// ID names the rendition among those of its stream: "v0", "720p.v0", "a1".
	ID   string
	Kind media.Kind
	// Track is the number of the track in its publication, Channels how many it has, if it is of
	// sound.
	Track    uint8
	Channels int
	Codec    media.Codec
	// Codecs is as in RFC 6381, Supplemental as in RFC 8216bis 4.4.6.2. VideoRange is SDR, PQ or
	// HLG.
	Codecs, Supplemental, VideoRange string
	Width, Height                    int
	// FrameRate is measured, in pictures per second, Peak and Average in bits per second. 0: not
	// known.
	FrameRate     float64
	Peak, Average int
	// Channels608 has a bit for each of CC1 to CC4, Services708 one for each service of CEA-708.
	Channels608 uint8
	Services708 uint64
}

// Description is what a multivariant playlist says of i.
func (i *Info) Description() Description {
	return Description{
		ID: i.ID, Kind: i.Kind, Track: i.Track.ID, Channels: i.Track.Channels, Codec: i.Track.Codec,
		Codecs: i.Codecs, Supplemental: i.Supplemental, VideoRange: i.VideoRange,
		Width: i.Width, Height: i.Height, FrameRate: i.FrameRate, Peak: i.Peak, Average: i.Average,
		Channels608: i.Captions.Channels, Services708: i.Captions.Services,
	}
}

func (d *Description) info() Info {
	return Info{
		Rendition:    &Rendition{ID: d.ID, Kind: d.Kind},
		Track:        &media.Track{Kind: d.Kind, ID: d.Track, Codec: d.Codec, Channels: d.Channels},
		Codecs:       d.Codecs,
		Supplemental: d.Supplemental, VideoRange: d.VideoRange,
		Width: d.Width, Height: d.Height, FrameRate: d.FrameRate, Peak: d.Peak, Average: d.Average,
		Captions: Captions{Channels: d.Channels608, Services: d.Services708},
	}
}

// RenderMultivariant returns a multivariant playlist of renditions in the order in which it is to
// name them. The media playlist of each is ID.m3u8. independent says that each segment begins with
// a random access point.
func RenderMultivariant(renditions []Description, independent bool) []byte {
	v := &Multivariant{Independent: independent}
	for i := range renditions {
		v.Renditions = append(v.Renditions, renditions[i].info())
	}
	m := newMultivariant(v)
	m.prefix = ""
	m.render(v)
	return m.b
}
