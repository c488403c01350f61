package repair

import (
	"bytes"
	"time"

	"livego/internal/codec"
	"livego/internal/media"
)

// The faults of MP3 and AC-3.
const (
	faultFrames  = "several frames of sound in one message; they were taken apart"
	faultNoSound = "messages of sound without a frame, or with something before it; that was left out"
)

// maxSkip bounds what is looked through for a frame, in bytes.
const maxSkip = 4 << 10

// soundFrames is the form of a track of MP3 or AC-3: one frame in each message. The headers of
// frames say how long they are.
type soundFrames struct {
	track *track
	// known: a message of the track was a whole frame, or several.
	known  bool
	frames [][]byte
}

func (*soundFrames) begin(*media.Track) {}

func (*soundFrames) record(*media.Track) ([]byte, bool) { return nil, false }

func (*soundFrames) flush(dst []media.AccessUnit) []media.AccessUnit { return dst }

func (*soundFrames) release(dst []media.AccessUnit, _ *media.AccessUnit) []media.AccessUnit {
	return dst
}

func (*soundFrames) waits() time.Duration { return 0 }

func (p *soundFrames) append(dst []media.AccessUnit, u *media.AccessUnit) []media.AccessUnit {
	size := codec.FrameSize(p.track.codec, u.Data)
	switch {
	case p.track.leavesOut(u):
		return dst
	case size > 0 && size >= len(u.Data), len(u.Data) == 0: // one, which may be cut off, or silence
		p.known = p.known || size > 0 && size == len(u.Data)
		return p.track.pass(dst, u)
	case size > 0:
		p.frames, _ = p.split(u.Data)
		if len(p.frames) == 1 {
			return p.track.pass(dst, u) // and some bytes behind it
		}
		p.track.report(faultFrames)
	case !p.known: // of no fixed bit rate, or nobody knows what
		return p.track.pass(dst, u)
	default:
		p.track.report(faultNoSound)
		p.skip(u.Data)
	}
	p.known = true
	p.track.changed = true
	return p.track.appendFrames(dst, u, p.frames)
}

// split takes the frames apart with which b begins, and says whether they are all there is.
func (p *soundFrames) split(b []byte) (frames [][]byte, all bool) {
	frames = p.frames[:0]
	for len(b) > 0 && len(frames) < maxFrames {
		n := codec.FrameSize(p.track.codec, b)
		if n == 0 || n > len(b) {
			return frames, false
		}
		frames, b = append(frames, b[:n:n]), b[n:]
	}
	return frames, len(b) == 0
}

// skip looks for frames that b ends with, behind something else.
func (p *soundFrames) skip(b []byte) {
	first := byte(0xFF) // of an MP3 frame
	if p.track.codec == media.AC3 {
		first = 0x0B
	}
	p.frames = p.frames[:0]
	for at := 1; at < min(len(b), maxSkip); at++ {
		next := bytes.IndexByte(b[at:], first)
		if next < 0 {
			return
		}
		at += next
		if frames, all := p.split(b[at:]); all {
			p.frames = frames
			return
		}
	}
}
