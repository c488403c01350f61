package hls

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

// multivariant returns the multivariant playlist.
func (v *presentationView) multivariant(gzip *compressor) *lazyText {
	return v.text.get(gzip, func() (rendered, error) {
		m := newMultivariant(v)
		m.render(v)
		return rendered{head: m.b}, nil
	})
}

// audioGroup is the audio renditions of one codec.
type audioGroup struct {
	id      string
	members []*renditionInfo
	// codecs are all that occur in it, peak and average the highest bit rates.
	codecs        []string
	peak, average int
}

// multivariantRenderer writes a multivariant playlist (RFC 8216bis 4.4.6).
type multivariantRenderer struct {
	b []byte
	// prefix is what the names of media playlists begin with.
	prefix   string
	videos   []*renditionInfo
	groups   []*audioGroup
	captions captionSet
}

func newMultivariant(v *presentationView) *multivariantRenderer {
	m := &multivariantRenderer{b: make([]byte, 0, 256+512*len(v.renditions)), prefix: indexPrefix}
	for i := range v.renditions {
		r := &v.renditions[i]
		switch r.kind {
		case media.Video:
			m.videos = append(m.videos, r)
			m.captions.channels |= r.captions.channels
			m.captions.services |= r.captions.services
		case media.Audio:
			m.group(r)
		}
	}
	return m
}

// group adds an audio rendition to the group of its codec.
func (m *multivariantRenderer) group(r *renditionInfo) {
	id := strings.ToLower(string(r.track.Codec))
	i := slices.IndexFunc(m.groups, func(g *audioGroup) bool { return g.id == id })
	if i < 0 {
		i = len(m.groups)
		m.groups = append(m.groups, &audioGroup{id: id})
	}
	g := m.groups[i]
	g.members = append(g.members, r)
	g.peak, g.average = max(g.peak, r.peak), max(g.average, r.average)
	if !slices.Contains(g.codecs, r.codecs) {
		g.codecs = append(g.codecs, r.codecs)
	}
}

func (m *multivariantRenderer) render(v *presentationView) {
	version := multivariantVersion
	if m.captions.services != 0 {
		version = servicesVersion
	}
	m.b = append(m.b, "#EXTM3U\n#EXT-X-VERSION:"+version+"\n"...)
	if v.independent {
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
		m.uriLine(g.members[0].id)
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
		if n := r.track.Channels; n > 0 {
			m.quoted("CHANNELS", strconv.Itoa(n))
		}
		m.quoted("URI", m.prefix+r.id+playlistSuffix)
		m.b = append(m.b, '\n')
	}
}

// name is what a player shows, the same for the same track of each codec.
func (r *renditionInfo) name() string { return "Audio " + strconv.Itoa(int(r.track.ID)+1) }

// captionMedia names the captions inside the video (RFC 8216bis 4.4.6.1).
func (m *multivariantRenderer) captionMedia() {
	for i := range 4 {
		if m.captions.channels&(1<<i) != 0 {
			m.caption("CC" + strconv.Itoa(i+1))
		}
	}
	for set := m.captions.services; set != 0; set &= set - 1 {
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
func (m *multivariantRenderer) variant(video *renditionInfo, g *audioGroup) {
	peak, average, codecs := video.peak, video.average, video.codecs
	if g != nil {
		peak, average = peak+g.peak, average+g.average
		codecs += "," + strings.Join(g.codecs, ",")
	}
	m.b = append(m.b, "#EXT-X-STREAM-INF:BANDWIDTH="...)
	m.rates(peak, average)
	m.quoted("CODECS", codecs)
	m.video(video)
	if video.frameRate > 0 {
		m.b = append(m.b, ",FRAME-RATE="...)
		m.b = strconv.AppendFloat(m.b, video.frameRate, 'f', 3, 64)
	}
	if g != nil {
		m.quoted("AUDIO", g.id)
	}
	if m.captions == (captionSet{}) {
		m.b = append(m.b, ",CLOSED-CAPTIONS=NONE"...)
	} else {
		m.quoted("CLOSED-CAPTIONS", captionGroup)
	}
	m.uriLine(video.id)
}

// video writes the attributes that variants and I-frame streams share.
func (m *multivariantRenderer) video(r *renditionInfo) {
	if r.supplemental != "" {
		m.quoted("SUPPLEMENTAL-CODECS", r.supplemental)
	}
	if r.width > 0 && r.height > 0 {
		m.b = append(m.b, ",RESOLUTION="...)
		m.b = strconv.AppendInt(m.b, int64(r.width), 10)
		m.b = append(m.b, 'x')
		m.b = strconv.AppendInt(m.b, int64(r.height), 10)
	}
	if r.videoRange != "" {
		m.b = append(m.b, ",VIDEO-RANGE="...)
		m.b = append(m.b, r.videoRange...)
	}
}

// frames writes the I-frame stream of a video (RFC 8216bis 4.4.6.3).
func (m *multivariantRenderer) frames(r *renditionInfo) {
	v := r.view.Load()
	if v == nil {
		return
	}
	peak, average := v.frameRates()
	if peak == 0 {
		return
	}
	m.b = append(m.b, "#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH="...)
	m.rates(peak, average)
	m.quoted("CODECS", r.codecs)
	m.video(r)
	m.quoted("URI", m.prefix+r.id+framesSuffix+playlistSuffix)
	m.b = append(m.b, '\n')
}

// frameRates returns the bit rates of a playlist that has the first pictures of the segments only.
func (v *renditionView) frameRates() (peak, average int) {
	size, length := 0, time.Duration(0)
	for _, s := range v.segments[v.listed:] {
		if s.complete && s.independent && s.key > 0 {
			peak = max(peak, bitRate(s.key, s.duration))
			size += s.key
			length += s.duration
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
	m.b = append(m.b, playlistSuffix+"\n"...)
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

func (i *renditionInfo) description() Description {
	return Description{
		ID: i.id, Kind: i.kind, Track: i.track.ID, Channels: i.track.Channels, Codec: i.track.Codec,
		Codecs: i.codecs, Supplemental: i.supplemental, VideoRange: i.videoRange,
		Width: i.width, Height: i.height, FrameRate: i.frameRate, Peak: i.peak, Average: i.average,
		Channels608: i.captions.channels, Services708: i.captions.services,
	}
}

func (d *Description) info() renditionInfo {
	return renditionInfo{
		rendition:    &rendition{id: d.ID, kind: d.Kind},
		track:        &media.Track{Kind: d.Kind, ID: d.Track, Codec: d.Codec, Channels: d.Channels},
		codecs:       d.Codecs,
		supplemental: d.Supplemental, videoRange: d.VideoRange,
		width: d.Width, height: d.Height, frameRate: d.FrameRate, peak: d.Peak, average: d.Average,
		captions: captionSet{channels: d.Channels608, services: d.Services708},
	}
}

// Multivariant returns a multivariant playlist of renditions in the order in which it is to name
// them. The media playlist of each is ID.m3u8. independent says that each segment begins with a
// random access point.
func Multivariant(renditions []Description, independent bool) []byte {
	v := &presentationView{independent: independent}
	for i := range renditions {
		v.renditions = append(v.renditions, renditions[i].info())
	}
	m := newMultivariant(v)
	m.prefix = ""
	m.render(v)
	return m.b
}
