package repair

import (
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"

	"livego/internal/bits"
	"livego/internal/codec"
	"livego/internal/media"
)

// The faults of AAC.
const (
	faultADTS       = "AAC with ADTS headers; they were taken off"
	faultADTSBroken = "AAC with ADTS headers that lie about the length of frames; what is whole was kept"
	faultLOAS       = "AAC in LOAS (LATM); it was taken out"
	faultNoFrame    = "frames of sound of no bytes; they were left out"
)

const (
	// maxFrames bounds the frames of one message: a second and more of sound.
	maxFrames = 128
	// adtsHeader and adtsCRC are the lengths of an ADTS header and the checksum behind it.
	adtsHeader, adtsCRC = 7, 2
)

// aacFrames is the form of a track of AAC: raw frames, one in each message.
type aacFrames struct {
	track *track
	// core is what the header says of the core coder, as ADTS does; nothing if there is none.
	core adtsCore
	// mux is the configuration of LATM in force.
	mux    *mpeg4audio.StreamMuxConfig
	frames [][]byte
}

// adtsCore is what an ADTS header says of its frames (ISO/IEC 14496-3 §1.A.2.2.1).
type adtsCore struct{ object, rate, channels byte }

func (*aacFrames) flush(dst []media.AccessUnit) []media.AccessUnit { return dst }

func (*aacFrames) release(dst []media.AccessUnit, _ *media.AccessUnit) []media.AccessUnit { return dst }

func (*aacFrames) waits() time.Duration { return 0 }

func (p *aacFrames) begin(t *media.Track) {
	p.core, p.mux = adtsCore{}, nil
	if t.Parsed {
		p.core = coreOf(t.Config)
	}
}

// record makes an AudioSpecificConfig of an ADTS header in its place.
func (p *aacFrames) record(t *media.Track) ([]byte, bool) {
	core, _, _, ok := readADTS(t.Config)
	if !ok || core.channels == 0 {
		return nil, false
	}
	p.core = core
	return core.config(), true
}

// coreOf reads the beginning of an AudioSpecificConfig. Nothing is the answer where ADTS could not
// say it.
func coreOf(config []byte) (c adtsCore) {
	r := bits.NewReader(config)
	a := codec.ReadAACConfig(&r)
	rate, ok := codec.AACRateIndex(a.Rate)
	if r.Bad || !ok || a.Written || a.Object >= 31 {
		return adtsCore{}
	}
	return adtsCore{byte(a.Object), byte(rate), byte(a.Layout)}
}

// config returns an AudioSpecificConfig.
func (c adtsCore) config() []byte {
	return []byte{c.object<<3 | c.rate>>1, c.rate<<7 | c.channels<<3}
}

// readADTS reads an ADTS header (ISO/IEC 14496-3 §1.A.2.2): how long it is, and how long its frame
// is with it. It is false for anything else.
//
//	syncword 12 | id 1 | layer 2 = 0 | no CRC 1 | profile 2 | index 4 | private 1 | channels 3 | original 1 |
//	home 1 | copyright 2 | frame length 13 | fullness 11 | blocks - 1 2
func readADTS(b []byte) (c adtsCore, header, frame int, ok bool) {
	const rates = 13
	if len(b) < adtsHeader || b[0] != 0xFF || b[1]&0xF6 != 0xF0 {
		return c, 0, 0, false
	}
	header = adtsHeader
	if b[1]&1 == 0 {
		header += adtsCRC
	}
	c = adtsCore{b[2]>>6 + 1, b[2] >> 2 & 15, b[2]&1<<2 | b[3]>>6}
	frame = int(b[3]&3)<<11 | int(b[4])<<3 | int(b[5])>>5
	return c, header, frame, c.rate < rates && frame >= header
}

func (p *aacFrames) append(dst []media.AccessUnit, u *media.AccessUnit) []media.AccessUnit {
	switch b := u.Data; {
	case p.track.leavesOut(u):
		return dst
	case len(b) < adtsHeader:
	case b[0] == 0xFF && b[1]&0xF6 == 0xF0:
		return p.adts(dst, u)
	case b[0] == 0x56 && b[1]&0xE0 == 0xE0:
		return p.loas(dst, u)
	}
	return p.track.pass(dst, u)
}

// adts takes a message of ADTS frames. A raw frame can begin like one only if it is nothing but its
// end, and then its length does not fit.
func (p *aacFrames) adts(dst []media.AccessUnit, u *media.AccessUnit) []media.AccessUnit {
	core, _, _, ok := readADTS(u.Data)
	if !ok {
		return p.track.pass(dst, u)
	}
	p.frames = p.frames[:0]
	rest := u.Data
	for len(rest) > 0 && len(p.frames) < maxFrames {
		_, header, n, ok := readADTS(rest)
		if ok && n > len(rest) && len(p.frames) == 0 { // it cannot be but one frame
			p.track.report(faultADTSBroken)
			n = len(rest)
		}
		if !ok || n > len(rest) {
			break
		}
		if n > header {
			p.frames = append(p.frames, rest[header:n:n])
		}
		rest = rest[n:]
	}
	switch {
	case len(p.frames) == 0:
		return p.track.pass(dst, u)
	case len(rest) > 0:
		p.track.report(faultADTSBroken)
	}
	p.track.report(faultADTS)
	if core != p.core && core.channels > 0 {
		dst = p.settle(dst, u, core.config())
		p.core = core
	}
	return p.track.appendFrames(dst, u, p.frames)
}

// loas takes a message of LOAS frames (ISO/IEC 14496-3 §1.7.2).
func (p *aacFrames) loas(dst []media.AccessUnit, u *media.AccessUnit) []media.AccessUnit {
	var stream mpeg4audio.AudioSyncStream
	if stream.Unmarshal(u.Data) != nil || len(stream.AudioMuxElements) > maxFrames {
		return p.track.pass(dst, u)
	}
	p.frames = p.frames[:0]
	var config []byte
	for _, b := range stream.AudioMuxElements {
		e := mpeg4audio.AudioMuxElement{MuxConfigPresent: true, StreamMuxConfig: p.mux}
		if e.Unmarshal(b) != nil || len(e.StreamMuxConfig.Programs) == 0 || len(e.StreamMuxConfig.Programs[0].Layers) == 0 {
			break
		}
		p.mux = e.StreamMuxConfig
		if asc := p.mux.Programs[0].Layers[0].AudioSpecificConfig; asc != nil {
			config, _ = asc.Marshal()
		}
		for _, frame := range e.Payloads {
			if len(frame) > 0 && len(frame[0]) > 0 && len(frame[0][0]) > 0 && len(p.frames) < maxFrames {
				p.frames = append(p.frames, frame[0][0])
			}
		}
	}
	if len(p.frames) == 0 {
		return p.track.pass(dst, u)
	}
	p.track.report(faultLOAS)
	if out := p.track.headers.out; config != nil && string(config) != string(out.Config) {
		dst = p.settle(dst, u, config)
	}
	return p.track.appendFrames(dst, u, p.frames)
}

// settle appends a sequence header of a configuration that the frames name, if that parses.
func (p *aacFrames) settle(dst []media.AccessUnit, u *media.AccessUnit, config []byte) []media.AccessUnit {
	h := &p.track.headers
	fault := faultContradicts
	if !h.out.Parsed {
		fault = faultNoHeader
	}
	if !h.adopt(config) {
		return dst
	}
	p.track.report(fault)
	return p.track.appendOwnHeader(dst, u)
}

// leavesOut says that a message has a header and no frame, which players take for one. A message of
// no bytes at all says that there is no sound (E-RTMP v2, AudioPacketType).
func (t *track) leavesOut(u *media.AccessUnit) bool {
	if len(u.Data) > 0 || len(u.Body) == 0 || u.Multitrack {
		return false
	}
	t.changed = true
	t.report(faultNoFrame)
	return true
}

// appendFrames appends the frames of a message, one after the other.
func (t *track) appendFrames(dst []media.AccessUnit, u *media.AccessUnit, frames [][]byte) []media.AccessUnit {
	length := time.Duration(0)
	if out := t.headers.out; out.SampleRate > 0 {
		length = time.Duration(out.SamplesPerFrame) * time.Second / time.Duration(out.SampleRate)
	}
	for i, frame := range frames {
		v := *u
		v.DTS += (time.Duration(i) * length).Truncate(time.Millisecond)
		v.PTS, v.Data = v.DTS, frame
		dst = t.replace(dst, u, &v)
	}
	clear(frames)
	return dst
}
