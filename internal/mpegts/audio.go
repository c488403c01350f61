package mpegts

import (
	"fmt"
	"time"

	"livego/internal/media"
)

const (
	// maxGroupTime is the most audio that one PES packet holds: it saves most of the overhead, and
	// a clock reference at each packet of an audio-only stream is still in time.
	maxGroupTime = 100 * time.Millisecond
	// maxGroupSize is what a PES packet with a length can hold, less its header (ISO/IEC 13818-1
	// 2.4.3.7).
	maxGroupSize = 0xffff - pesHeaderPTSDTS
)

// audioGroup gathers the audio frames of one PES packet, each as it goes out.
type audioGroup struct {
	buf    []byte
	frames int
	// first is the decode time of the first frame.
	first time.Duration
	// frame is how long one frame lasts; 0 when that is not known, then each goes out alone.
	frame time.Duration
	adts  *adtsFormat
}

func (g *audioGroup) setTrack(t *media.Track) {
	switch t.Codec {
	case media.AAC:
		g.adts, _ = parseAudioSpecificConfig(t.Config)
	case media.MP3:
	default:
		// AC-3 frames are long, and receivers want each with its own time stamp.
		return
	}
	if t.SampleRate > 0 && t.SamplesPerFrame > 0 {
		g.frame = time.Duration(t.SamplesPerFrame) * time.Second / time.Duration(t.SampleRate)
	}
}

// size is what a frame takes in the PES packet, or an error.
func (g *audioGroup) size(data []byte) (int, error) {
	size := len(data)
	if size == 0 {
		return 0, fmt.Errorf("empty audio frame: %w", ErrData)
	}
	limit := maxGroupSize
	if g.adts != nil {
		size += g.adts.overhead(data)
		limit = maxADTSFrame
	}
	if size > limit {
		return 0, fmt.Errorf("audio frame of %d bytes: %w", len(data), ErrData)
	}
	return size, nil
}

// takes says whether a frame at dts continues the group: it fits, and its time is where the frames
// before it end. Encoders round times to milliseconds.
func (g *audioGroup) takes(dts time.Duration, size int) bool {
	off := dts - (g.first + time.Duration(g.frames)*g.frame)
	return len(g.buf)+size <= maxGroupSize && off.Abs() <= g.frame/2
}

func (g *audioGroup) full() bool {
	return time.Duration(g.frames+1)*g.frame > maxGroupTime || g.frame == 0
}

// waitsAt says that frames have waited long enough when the other track is at dts.
func (g *audioGroup) waitsAt(dts time.Duration) bool {
	return g.frames > 0 && dts-g.first >= maxGroupTime
}

func (g *audioGroup) add(u *media.AccessUnit) {
	if g.frames == 0 {
		g.first = u.DTS
	}
	g.frames++
	if g.adts != nil {
		g.buf = g.adts.appendHeader(g.buf, u.Data)
	}
	g.buf = append(g.buf, u.Data...)
}

func (m *Muxer) appendAudio(dst []byte, u *media.AccessUnit) ([]byte, error) {
	if err := m.audio.accept(u); err != nil {
		return dst, err
	}
	g := &m.group
	size, err := g.size(u.Data)
	if err != nil {
		return dst, err
	}
	m.audio.lastDTS, m.audio.started = u.DTS, true
	if g.frames > 0 && !g.takes(u.DTS, size) {
		dst = m.flushAudio(dst)
	}
	if m.video.track != nil {
		dst = m.keepClockWithout(dst, u.DTS)
	}
	g.add(u)
	if g.full() {
		dst = m.flushAudio(dst)
	}
	return dst, nil
}

// flushAudio writes the frames that wait as one PES packet.
func (m *Muxer) flushAudio(dst []byte) []byte {
	g := &m.group
	if g.frames == 0 {
		return dst
	}
	pts, pcr, alone := ticks(g.first), int64(noPCR), m.video.track == nil
	if alone {
		dst = m.keepClock(dst, pts)
		pcr = m.clock.reference(pts)
	}
	w := startPES(dst, &m.audio, pts, pts, pcr, alone, len(g.buf))
	w.put(g.buf)
	g.buf, g.frames = g.buf[:0], 0
	return w.dst
}
