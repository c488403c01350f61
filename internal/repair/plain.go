package repair

import (
	"time"

	"livego/internal/media"
)

// plain is the form of codecs in whose samples nothing is repaired.
type plain struct{ track *track }

func (plain) begin(*media.Track) {}

func (plain) record(*media.Track) ([]byte, bool) { return nil, false }

func (plain) flush(dst []media.AccessUnit) []media.AccessUnit { return dst }

func (plain) release(dst []media.AccessUnit, _ *media.AccessUnit) []media.AccessUnit { return dst }

func (plain) waits() time.Duration { return 0 }

// append passes a sample. Opus without a header is taken for Opus with an empty one, which means
// stereo (E-RTMP v2, ExAudioTagBody), as decoders make stereo of mono.
func (p plain) append(dst []media.AccessUnit, u *media.AccessUnit) []media.AccessUnit {
	if p.track.kind == media.Audio && p.track.leavesOut(u) {
		return dst
	}
	if h := &p.track.headers; p.track.codec == media.Opus && !h.out.Parsed && len(h.in.Config) == 0 && h.adopt(nil) {
		p.track.report(faultNoHeader)
		dst = p.track.appendOwnHeader(dst, u)
	}
	return p.track.pass(dst, u)
}
