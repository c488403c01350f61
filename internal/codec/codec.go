// Package codec knows the headers of codecs: it reads decoder configuration records into tracks,
// makes records from what stands in the bitstream, and finds what pictures and frames say of their
// track beside it.
package codec

import (
	"bytes"

	"livego/internal/media"
)

// Configure fills a new track from its decoder configuration record, as ISO BMFF stores it: see
// media.Track. The record must not change afterwards: the track keeps it. What does not parse
// leaves the reason in Err.
func Configure(t *media.Track, config []byte) {
	var err error
	t.Config = config
	switch t.Codec {
	case media.H264:
		err = parseAVC(t)
	case media.HEVC:
		err = parseHEVC(t)
	case media.VVC:
		err = parseVVC(t)
	case media.AV1:
		err = parseAV1(t)
	case media.VP8, media.VP9:
		err = parseVPC(t)
	case media.AAC:
		err = parseAAC(t)
	case media.Opus:
		err = parseOpus(t)
	case media.FLAC:
		err = parseFLAC(t)
	default: // the codec defines no header: let the frames tell
		t.Config = nil
		return
	}
	if err != nil {
		t.Err = err.Error()
		return
	}
	t.Parsed, t.Err = true, ""
}

// Useless says that nothing can be made of a track's decoder configuration record: it is empty,
// ends before what it announces, has no parameter sets, or is none at all. One that is in the form
// of the bitstream, which begins with a start code or a length, is of use to those who read that.
func Useless(t *media.Track) bool {
	switch t.Err {
	case errCutOff.Error(), errNoSPS.Error(), errNoSequence.Error(), errNoObject.Error():
		return true
	case errVersion.Error():
		return !bytes.HasPrefix(t.Config, []byte{0, 0})
	}
	return false
}
