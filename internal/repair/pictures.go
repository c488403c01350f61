package repair

import (
	"time"

	"livego/internal/media"
	"livego/internal/nal"
)

const (
	// maxUnits bounds the NAL units of a picture. HEVC level 6.2 allows 600 slices; a few more
	// units are parameter sets and SEI.
	maxUnits = 1024
	// maxRead bounds the units that are looked at in one message, among which there may be empty
	// ones.
	maxRead = 4 * maxUnits
	// maxPicture bounds a picture that is put together of several messages, in bytes: one message
	// may have 8 MiB.
	maxPicture = 16 << 20
	// maxAhead bounds the units that wait for their picture, in bytes.
	maxAhead = 64 << 10
	// maxPieces bounds the pictures that one message is taken apart into.
	maxPieces = 64
	// sameTime is how far the times of messages may differ that hold parts of one picture.
	sameTime = 10 * time.Millisecond
	// firstFor and splitFor are how long a picture waits for the rest of it if nothing else comes:
	// the first one, and one of a track whose pictures come in several messages.
	firstFor = 250 * time.Millisecond
	splitFor = time.Second
	// recoverAfter is after how long without a random access point a recovery point is one, and
	// anyAfter any picture, if there was none at all.
	recoverAfter = 5 * time.Second
	anyAfter     = 10 * time.Second
	// syncedFor is for how long after an IDR picture none that is predicted from others is a random
	// access point, unless it says that it is a recovery point.
	syncedFor = 30 * time.Second
	// wholes is after how many pictures, each of one message, nothing is kept back any more.
	wholes = 120
	// usualStep is the distance of pictures of one message where nothing else is known.
	usualStep = 40 * time.Millisecond
	// lengthSize is the size of lengths that are written here.
	lengthSize = 4
)

// The faults of pictures.
const (
	faultEmpty      = "empty NAL units; they were left out"
	faultZeros      = "zeros behind NAL units; they were left out"
	faultStray      = "bytes behind the NAL units of a picture; they were left out"
	faultBroken     = "a NAL unit that is longer than its picture; what is whole before it was kept"
	faultNoise      = "units that are no NAL units; they were left out"
	faultUnreadable = "its pictures cannot be read; they are passed on as they are"
	faultNoPicture  = "pictures without a whole NAL unit; they were left out"
	faultStream     = "NAL units with start codes; they were given lengths"
	faultLengths    = "NAL units with lengths of less than 4 bytes; they were given such"
	faultDelimiter  = "access unit delimiters and ends of sequence in the middle of pictures; they were left out"
	faultMany       = "too many NAL units in a picture; the last ones were left out"
	faultAlone      = "messages without a picture; what they hold was put before the next one"
	faultSlices     = "pictures in several messages; they were put together"
	faultPieces     = "several pictures in one message; they were taken apart"
	faultUnmarked   = "key frames that are not marked as such; they were marked"
	faultMarked     = "pictures that are predicted from others are marked as key frames; players do not begin there"
	faultRecovery   = "recovery points and no IDR pictures (intra refresh, open GOPs): browsers that come later show nothing; let it send IDR pictures (x264: intra-refresh=0, open-gop=0)"
	faultNoAccess   = "neither key frames nor recovery points: players begin anywhere, with wrong pictures"
)

// pictures is the form of a track of H.264, HEVC or VVC. One that is right passes as it came.
//
// What it looks at of a picture that is right are the lengths of its NAL units, and the first and
// the last bytes of each.
type pictures struct {
	track *track
	sets  parameterSets
	// message reads the NAL units of the message in hand.
	message unitReader
	// known: a picture of the track could be read.
	known bool
	// interlaced: a picture may be a field, so that two of them belong to one message.
	interlaced bool
	// alone: the message in hand has no other unit.
	alone bool

	// ahead waits for the next picture: parameter sets and the like that came in messages of their
	// own.
	ahead      []unit
	aheadBytes int

	// kept is the newest picture if more of it may come: always the first one, and all while
	// pictures come in several messages (split), until so many came in one (whole).
	kept  picture
	split bool
	whole int
	// last is the time of the newest picture that was handed on, valid once started, and step the
	// last known distance of two. opened: decoding could begin with one of them.
	last, step      time.Duration
	started, opened bool
	// access is the time of the newest random access point, or of the first picture as long as
	// there was none, sync that of the newest IDR picture or its like. met: there was a picture, so
	// that they hold. idr: there was an IDR picture.
	access, sync time.Duration
	met, idr     bool
	// recovery and skipped are what the picture in hand is, if it is right.
	recovery, skipped bool

	joined  []unit
	scratch []byte
}

func (p *pictures) begin(t *media.Track) {
	p.message.begin(p.track, t.NALLengthSize)
	p.known = false
	p.sets = parameterSets{codec: p.track.codec}
	p.sets.replace(t.ParameterSets)
	p.interlaced = p.track.codec == media.H264 && p.sets.interlaced()
}

func (p *pictures) waits() time.Duration {
	switch {
	case !p.kept.there:
		return 0
	case p.split:
		return splitFor
	}
	return firstFor
}

// append takes the sample of one message.
func (p *pictures) append(dst []media.AccessUnit, u *media.AccessUnit) []media.AccessUnit {
	if p.right(u) {
		return p.pass(dst, u)
	}
	p.message.read(u.Data)
	dst = p.appendUnits(dst, u)
	p.message.done()
	return dst
}

// right says whether a sample is one whole picture in the right form, with nothing in it that its
// header does not have.
func (p *pictures) right(u *media.AccessUnit) bool {
	if !p.message.plain() || p.split || !p.opened || len(p.ahead) > 0 || u.RandomAccess && p.sets.changed {
		return false
	}
	c := p.track.codec
	begun, slices, sync, count := false, false, false, 0
	inter, recovers := false, false // of what is marked
	p.recovery, p.skipped = false, false
	for rest := u.Data; len(rest) > 0; {
		b, tail, ok := nal.Next(rest, lengthSize)
		if !ok {
			return false
		}
		kind, valid := nal.KindOf(c, b)
		if count++; !valid || count > maxUnits || b[0] == 0 && (c == media.H264 || nal.HasStartCode(b)) || b[len(b)-1] == 0 && kind != nal.Other {
			return false
		}
		switch kind {
		case nal.Slice, nal.SyncSlice, nal.RecoverySlice, nal.SkippedSlice, nal.PictureHeader:
			if begins := nal.BeginsPicture(c, kind, b); begins == begun && !(begins && p.interlaced) {
				return false // a second picture, or the rest of one
			}
			begun, slices, sync = true, slices || kind.IsSlice(), sync || kind == nal.SyncSlice
			p.skipped = kind == nal.SkippedSlice
			inter = inter || u.RandomAccess && nal.Inter(c, kind, b)
			if recovers = recovers || kind == nal.RecoverySlice; recovers && p.starves(u) {
				return false
			}
		case nal.Delimiter:
			if count > 1 {
				return false
			}
		case nal.SEI:
			if starves := p.starves(u); starves || u.RandomAccess {
				_, point := nal.RecoveryPoint(c, b)
				if recovers = recovers || point; point && starves {
					return false
				}
			}
		case nal.End:
			if !slices {
				return false
			}
		case nal.VPS, nal.SPS, nal.PPS:
			if !p.sets.has(kind, b) {
				return false
			}
		}
		rest = tail
	}
	p.recovery = u.RandomAccess && !sync
	return slices && (u.RandomAccess || !sync) && !(p.recovery && inter && !recovers && p.synced(u.DTS))
}

// synced says that there was an IDR picture or its like not long ago, so that a picture that is
// predicted from others is none to begin with, whatever it is marked as.
func (p *pictures) synced(dts time.Duration) bool {
	return p.idr && (dts-p.sync).Abs() < syncedFor
}

// starves says that u is not marked as random access point, and none came for so long that a
// recovery point is one.
func (p *pictures) starves(u *media.AccessUnit) bool {
	return !u.RandomAccess && p.met && (u.DTS-p.access).Abs() >= recoverAfter
}

// pass hands a sample on as it came.
func (p *pictures) pass(dst []media.AccessUnit, u *media.AccessUnit) []media.AccessUnit {
	dst = p.flush(dst)
	p.note(u.DTS)
	n := len(dst)
	dst = p.track.pass(dst, u)
	dst[n].Recovery, dst[n].Skipped = p.recovery, p.skipped
	if u.RandomAccess {
		p.noteAccess(&dst[n])
	}
	return dst
}

// noteAccess takes notice of a random access point.
func (p *pictures) noteAccess(u *media.AccessUnit) {
	if !u.Recovery {
		p.sync, p.idr = u.DTS, true
	} else if !p.opened || (u.DTS-p.sync).Abs() >= recoverAfter {
		p.track.report(faultRecovery)
	}
	p.access = u.DTS
}

// note takes notice of the time of a picture.
func (p *pictures) note(dts time.Duration) {
	if step := dts - p.last; p.started && step > 0 && step <= time.Second {
		p.step = step
	}
	p.last, p.started = dts, true
}
