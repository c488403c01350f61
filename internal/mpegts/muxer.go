// Package mpegts writes MPEG transport streams (ISO/IEC 13818-1) from access units, for HLS.
//
// A Muxer turns one video and one audio track into transport packets at the end of a caller's
// buffer. It allocates nothing per access unit, reads no clock and keeps no media but the audio
// frames that wait for their PES packet.
package mpegts

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"livego/internal/media"
)

// What Append says of an access unit that it leaves out. The texts that wrap them hold the numbers.
var (
	// ErrTrack: the unit is no sample of a track that the muxer was made for.
	ErrTrack = errors.New("not a sample of a track of this transport stream")
	// ErrTime: decode time falls within the track, or a time lies outside of what the format can
	// say.
	ErrTime = errors.New("time out of range")
	// ErrData: the sample is empty, too long, or its NAL units do not fill it.
	ErrData = errors.New("malformed access unit")
)

const (
	// timeOffset is added to all times, so that a presentation time before the stream's start does
	// not fall below zero. Ten seconds is where Apple's own segmenters begin.
	timeOffset = 10 * time.Second
	// maxAhead and maxBehind bound presentation minus decode time: sixteen pictures, the most that
	// H.264 and HEVC reorder, at two pictures a second, and at eight for encoders that write
	// negative composition times.
	maxAhead  = 8 * time.Second
	maxBehind = 2 * time.Second
	// maxTime keeps sums of times far away from overflow: 146 years.
	maxTime = time.Duration(1) << 62
)

// Packet identifiers. Those of video and audio are LiveGo's.
const (
	pidPAT   = 0x0000
	pidVideo = 0x0100
	pidAudio = 0x0101
	pidPMT   = 0x1000
)

// Muxer writes one transport stream of at most one video and one audio track. Continuity counters
// and the clock run on for its whole life, over segments and changes of tracks. It has one user at
// a time.
type Muxer struct {
	video, audio elementary
	nal          nalFormat
	group        audioGroup
	clock        clock
	patCC, pmtCC uint8
	// pmtVersion rises with a change of tracks after its tables were written.
	pmtVersion    uint8
	tablesWritten bool
	// reorder is how far decode times are moved back so that none lies after its presentation time.
	reorder time.Duration
	// firstPicture says that the next picture is the first of its segment. It has the parameter
	// sets with it, also where it is no random access point: hls.js (1.7.4) otherwise takes a
	// segment that it begins with for one without pictures, and gives up at the next one.
	firstPicture bool
}

// elementary is one elementary stream. Without a track it is absent from the program.
type elementary struct {
	track       *media.Track
	pid         uint16
	streamID    byte
	streamType  byte
	descriptors []byte
	cc          uint8
	// lastDTS is the decode time of the last unit taken, valid once started.
	lastDTS time.Duration
	started bool
	// lastTicks is the decode time last written.
	lastTicks int64
}

// NewMuxer makes a muxer for the first video and the first audio track that MPEG-TS can carry;
// others are left out.
func NewMuxer(tracks ...*media.Track) *Muxer {
	m := &Muxer{}
	m.SetTracks(tracks...)
	return m
}

// Clone returns a muxer that writes from here on what m would write.
func (m *Muxer) Clone() *Muxer {
	c := *m
	c.group.buf = bytes.Clone(m.group.buf)
	return &c
}

// SetTracks changes the tracks, chosen as by NewMuxer. Audio frames that wait are lost if their
// track goes: Flush first.
func (m *Muxer) SetTracks(tracks ...*media.Track) {
	var video, audio *media.Track
	for _, t := range tracks {
		switch {
		case !Supports(t):
		case t.Kind == media.Video && video == nil:
			video = t
		case t.Kind == media.Audio && audio == nil:
			audio = t
		}
	}
	for _, change := range [...]struct {
		es *elementary
		to *media.Track
	}{{&m.video, video}, {&m.audio, audio}} {
		if SameStream(change.es.track, change.to) {
			change.es.track = change.to
		}
	}
	if m.tablesWritten && (video != m.video.track || audio != m.audio.track) {
		m.pmtVersion = (m.pmtVersion + 1) & 0x1f
		m.tablesWritten = false
	}
	m.setVideo(video)
	m.setAudio(audio)
}

func (m *Muxer) setVideo(t *media.Track) {
	if t == m.video.track {
		return
	}
	m.video = elementary{track: t, pid: pidVideo, cc: m.video.cc}
	m.nal, m.reorder, m.firstPicture = nalFormat{}, 0, true
	if t != nil {
		m.video.streamID = streamIDVideo
		m.video.streamType, m.video.descriptors = streamType(t)
		m.nal = newNALFormat(t)
	}
}

func (m *Muxer) setAudio(t *media.Track) {
	if t == m.audio.track {
		return
	}
	m.audio = elementary{track: t, pid: pidAudio, cc: m.audio.cc}
	m.group = audioGroup{buf: m.group.buf[:0]}
	if t != nil {
		m.audio.streamID = streamIDAudio
		if t.Codec == media.AC3 || t.Codec == media.EAC3 {
			m.audio.streamID = streamIDPrivate1
		}
		m.audio.streamType, m.audio.descriptors = streamType(t)
		m.group.setTrack(t)
	}
}

// Supports says whether a transport stream can carry the track, with what its header tells.
func Supports(t *media.Track) bool {
	if t == nil {
		return false
	}
	if kind, _ := streamType(t); kind == 0 {
		return false
	}
	switch t.Codec {
	case media.H264, media.HEVC:
		return t.Kind == media.Video && validLengthSize(t.NALLengthSize)
	case media.AAC:
		_, ok := parseAudioSpecificConfig(t.Config)
		return t.Kind == media.Audio && ok
	}
	return t.Kind == media.Audio
}

// SameStream says whether a transport stream goes on with b as it did with a, without anything in
// it that says so: the tables are the same, and what stands before the pictures and frames. Of
// video the sequence header is the same; what else is known of it, its colour and Dolby Vision, is
// in no table that is written here. Of AAC a header may be another one that says the same in ADTS.
func SameStream(a, b *media.Track) bool {
	switch {
	case a == nil || b == nil || a.Kind != b.Kind || a.Codec != b.Codec || a.ID != b.ID:
		return false
	case a.Kind == media.Video:
		return len(a.Config) > 0 && bytes.Equal(a.Config, b.Config)
	case a.SampleRate != b.SampleRate || a.Channels != b.Channels || a.SamplesPerFrame != b.SamplesPerFrame:
		return false
	case a.Codec != media.AAC:
		return true
	}
	f, ok := parseAudioSpecificConfig(a.Config)
	g, ok2 := parseAudioSpecificConfig(b.Config)
	return ok && ok2 && f.profile == g.profile && f.rate == g.rate && f.channels == g.channels && bytes.Equal(f.pce, g.pce)
}

// Append adds the transport packets of one access unit to dst, which it may move, and returns it.
// Audio frames may wait inside for up to a tenth of a second until they share a PES packet. With an
// error, dst comes back as it was, the unit is left out, and the muxer goes on as if it had never
// been there.
func (m *Muxer) Append(dst []byte, u *media.AccessUnit) ([]byte, error) {
	if u.Track == nil || u.Header != media.Sample {
		return dst, ErrTrack
	}
	switch u.Track {
	case m.video.track:
		return m.appendVideo(dst, u)
	case m.audio.track:
		return m.appendAudio(dst, u)
	}
	return dst, ErrTrack
}

// Flush adds the audio frames that wait and ends a segment: the next access unit comes with a clock
// reference before it, the next picture with its parameter sets.
func (m *Muxer) Flush(dst []byte) []byte {
	dst = m.flushAudio(dst)
	m.clock.due, m.firstPicture = true, true
	return dst
}

// accept checks the times of a unit against its track.
func (es *elementary) accept(u *media.AccessUnit) error {
	switch {
	case u.DTS < 0 || u.DTS > maxTime:
		return fmt.Errorf("decode time %v: %w", u.DTS, ErrTime)
	case es.started && u.DTS < es.lastDTS:
		return fmt.Errorf("decode time %v after %v: %w", u.DTS, es.lastDTS, ErrTime)
	case u.PTS < u.DTS-maxBehind || u.PTS > u.DTS+maxAhead:
		return fmt.Errorf("presentation time %v at decode time %v: %w", u.PTS, u.DTS, ErrTime)
	}
	return nil
}

// ticks converts a time on the stream's timeline to the 90 kHz clock of the transport stream,
// before it wraps at 33 bits.
func ticks(d time.Duration) int64 {
	return int64((d+timeOffset)/time.Microsecond) * ticksPerMS / 1000
}
