package repair

import (
	"bytes"
	"encoding/binary"
	"time"

	"livego/internal/codec"
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
	// size is that of the lengths that come, 0 while there is no header that says it.
	size int
	// known: a picture of the track could be read.
	known bool
	// stream: the last picture that was not right came as a byte stream.
	stream bool
	// nested: start codes stand within what the lengths say are NAL units. looked says that the
	// first picture told.
	nested, looked bool
	// interlaced: a picture may be a field, so that two of them belong to one message.
	interlaced bool
	// alone: the message in hand has no other unit. rewrite: its NAL units came in another form.
	alone, rewrite bool

	// units are those of the message in hand.
	units []unit
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
	// that they hold.
	access, sync time.Duration
	met          bool
	// recovery and skipped are what the picture in hand is, if it is right.
	recovery, skipped bool

	joined  []unit
	scratch []byte
}

// unit is a NAL unit.
type unit struct {
	b    []byte
	kind nal.Kind
}

// picture is a picture that is kept back.
type picture struct {
	there bool
	// like is the unit that it came in, the first of them.
	like  media.AccessUnit
	units []unit
	bytes int
	// touched: it is not as it came. merged: it came in several messages.
	touched, merged bool
}

func (p *pictures) begin(t *media.Track) {
	p.size, p.known, p.stream, p.nested, p.looked = t.NALLengthSize, false, false, false, false
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
	p.units, p.rewrite = p.units[:0], false
	p.read(u.Data)
	dst = p.appendUnits(dst, u)
	clear(p.units)
	return dst
}

// right says whether a sample is one whole picture in the right form, with nothing in it that its
// header does not have.
func (p *pictures) right(u *media.AccessUnit) bool {
	if p.size != lengthSize || p.nested || p.split || !p.opened || len(p.ahead) > 0 || u.RandomAccess && p.sets.changed {
		return false
	}
	c := p.track.codec
	begun, slices, sync, count := false, false, false, 0
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
			if kind == nal.RecoverySlice && p.starves(u) {
				return false
			}
		case nal.Delimiter:
			if count > 1 {
				return false
			}
		case nal.SEI:
			if p.starves(u) {
				if _, ok := nal.RecoveryPoint(c, b); ok {
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
	return slices && (u.RandomAccess || !sync)
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
		p.sync = u.DTS
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

// appendUnits appends what becomes of the NAL units of a message.
func (p *pictures) appendUnits(dst []media.AccessUnit, u *media.AccessUnit) []media.AccessUnit {
	slices, others := false, false
	for i := range p.units {
		k := p.units[i].kind
		slices, others = slices || k.IsSlice() || k == nal.PictureHeader, others || k == nal.Other
	}
	switch {
	case !slices && !p.rewrite && measure(p.units) == len(u.Data) && others: // of a layer above, or metadata
		return p.pass(dst, u)
	case !slices && !p.known && (others || len(p.units) == 0): // it may be that others know what this is
		p.track.report(faultUnreadable)
		p.track.headers.refuse(faultUnreadable)
		return p.pass(dst, u)
	case len(p.units) == 0:
		p.track.changed = true
		p.track.report(faultNoPicture)
		return dst
	case !slices && !others:
		p.track.changed = true
		p.wait()
		return dst
	}
	if !p.known {
		p.known = true
		p.track.headers.refuse("")
	}
	if p.continues(u) {
		return p.merge(dst, u)
	}
	dst = p.flush(dst)
	units := p.units
	if len(p.ahead) > 0 {
		p.joined = append(append(p.joined[:0], p.ahead...), p.units...)
		units = p.joined
		clear(p.ahead)
		p.ahead, p.aheadBytes = p.ahead[:0], 0
	}
	dst = p.appendPieces(dst, u, units)
	clear(p.joined)
	p.looked = true
	return dst
}

// wait lets units without a picture wait for the next one. Of those that belong to the picture
// before there is nothing to keep.
func (p *pictures) wait() {
	p.track.report(faultAlone)
	for _, x := range p.units {
		size := lengthSize + len(x.b)
		if x.kind == nal.SuffixSEI || x.kind == nal.Filler || x.kind == nal.End || p.aheadBytes+size > maxAhead || len(p.ahead) >= maxUnits/2 {
			continue
		}
		p.ahead = append(p.ahead, x)
		p.aheadBytes += size
	}
}

// continues says whether the units of a message are the rest of the picture before.
func (p *pictures) continues(u *media.AccessUnit) bool {
	for _, x := range p.units {
		if x.kind.IsSlice() || x.kind == nal.PictureHeader {
			before := p.last
			if p.kept.there {
				before = p.kept.like.DTS
			}
			return !nal.BeginsPicture(p.track.codec, x.kind, x.b) && len(p.ahead) == 0 && (p.kept.there || p.started) &&
				(u.DTS-before).Abs() <= sameTime
		}
	}
	return false
}

// merge adds the units of a message to the picture that is kept back. If that is gone already, they
// are lost, but the next picture is waited for.
func (p *pictures) merge(dst []media.AccessUnit, u *media.AccessUnit) []media.AccessUnit {
	p.track.changed = true
	p.track.report(faultSlices)
	p.split, p.whole = true, 0
	k := &p.kept
	if !k.there || k.bytes+len(u.Data) > maxPicture || len(k.units)+len(p.units) > maxUnits {
		return dst
	}
	k.units = append(k.units, p.units...)
	k.bytes += len(u.Data)
	k.touched, k.merged = true, true
	k.like.RandomAccess = k.like.RandomAccess || u.RandomAccess
	return dst
}

// appendPieces appends the pictures that units are: one, as a rule. The last one may be kept back.
func (p *pictures) appendPieces(dst []media.AccessUnit, u *media.AccessUnit, units []unit) []media.AccessUnit {
	several := p.end(units) < len(units)
	if several {
		p.track.report(faultPieces)
	}
	anySync := false
	for i := range units {
		anySync = anySync || units[i].kind == nal.SyncSlice
	}
	like := *u
	for n := 0; len(units) > 0 && n < maxPieces; n++ {
		end := p.end(units)
		piece := p.order(units[:end])
		units = units[end:]
		pic := picture{there: true, like: like, units: piece, bytes: measure(piece)}
		pic.touched = several || p.rewrite || pic.bytes != len(u.Data)
		if several && (anySync || n > 0) {
			pic.like.RandomAccess = isSync(piece)
		}
		if len(units) == 0 && (p.split || !p.opened && p.alone) {
			p.keep(&pic)
			return dst
		}
		dst = p.hand(dst, &pic)
		like.DTS, like.PTS = like.DTS+p.interval(), like.PTS+p.interval()
	}
	return dst
}

// interval is the time between two pictures of one message.
func (p *pictures) interval() time.Duration {
	if rate := p.track.headers.out.FrameRate; rate >= 1 && rate <= 1000 {
		return time.Duration(float64(time.Second) / rate).Round(time.Millisecond)
	}
	if p.step > 0 {
		return p.step
	}
	return usualStep
}

// end returns where the first picture of units ends: before the second that begins, and what
// belongs to it (ITU-T H.264 §7.4.1.2.3, H.265 §7.4.2.4.4, H.266 §7.4.2.4.3).
func (p *pictures) end(units []unit) int {
	begun, next := false, -1
	for i := range units {
		x := &units[i]
		switch k := x.kind; {
		case k.IsSlice() || k == nal.PictureHeader:
			if begun && !p.interlaced && nal.BeginsPicture(p.track.codec, k, x.b) {
				if next >= 0 {
					return next
				}
				return i
			}
			begun, next = true, -1
		case begun && next < 0 && (k == nal.Delimiter || k.IsParameterSet() || k == nal.SEI):
			next = i
		}
	}
	return len(units)
}

// order leaves out of a picture what stands in the wrong place.
func (p *pictures) order(units []unit) []unit {
	kept, slices := units[:0], false
	for _, x := range units {
		if x.kind == nal.Delimiter && len(kept) > 0 || x.kind == nal.End && !slices {
			p.track.report(faultDelimiter)
			continue
		}
		slices = slices || x.kind.IsSlice()
		kept = append(kept, x)
	}
	return kept
}

// measure returns how long units are with their lengths.
func measure(units []unit) (n int) {
	for i := range units {
		n += lengthSize + len(units[i].b)
	}
	return n
}

// isSync says whether decoding may begin with a picture.
func isSync(units []unit) (sync bool) {
	for i := range units {
		if k := units[i].kind; k == nal.SyncSlice {
			sync = true
		} else if k.IsSlice() {
			return false
		}
	}
	return sync
}

// keep keeps a picture back.
func (p *pictures) keep(pic *picture) {
	units := append(p.kept.units[:0], pic.units...)
	p.kept = *pic
	p.kept.units = units
	p.track.changed = true
}

// release hands on the first picture before units of other tracks that are not before it, so that
// those who join there get them.
func (p *pictures) release(dst []media.AccessUnit, next *media.AccessUnit) []media.AccessUnit {
	ahead := next.DTS - p.kept.like.DTS
	if p.split || ahead <= sameTime && (next.Track.Kind == p.track.kind || ahead < 0) {
		return dst
	}
	return p.flush(dst)
}

// flush hands on the picture that was kept back.
func (p *pictures) flush(dst []media.AccessUnit) []media.AccessUnit {
	if !p.kept.there {
		return dst
	}
	if p.whole++; p.kept.merged {
		p.whole = 0
	} else if p.whole >= wholes {
		p.split = false
	}
	dst = p.hand(dst, &p.kept)
	clear(p.kept.units)
	p.kept = picture{units: p.kept.units[:0]}
	return dst
}

// hand hands a picture on, with a new sequence header before it if it says something else than the
// one in force.
func (p *pictures) hand(dst []media.AccessUnit, pic *picture) []media.AccessUnit {
	u := &pic.like
	like := *u
	if !p.met {
		p.met, p.access, p.sync = true, u.DTS, u.DTS
	}
	p.mark(pic)
	p.sets.learn(pic.units)
	if u.RandomAccess {
		p.noteAccess(u)
		p.opened = true
		dst = p.settle(dst, &like)
	}
	p.note(u.DTS)
	if !pic.touched {
		return p.track.pass(dst, u)
	}
	b := p.scratch[:0]
	for i := range pic.units {
		x := &pic.units[i]
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(x.b))), x.b...)
	}
	p.scratch, u.Data = b, b
	if u.RandomAccess {
		p.track.headers.look(b)
	}
	return p.track.replace(dst, &like, u)
}

// mark says of a picture whether decoding may begin with it, where that is not marked or not quite
// true.
func (p *pictures) mark(pic *picture) {
	u := &pic.like
	sync, recovers := false, false
	for i := range pic.units {
		x := &pic.units[i]
		sync, recovers = sync || x.kind == nal.SyncSlice, recovers || x.kind == nal.RecoverySlice
		u.Skipped = u.Skipped || x.kind == nal.SkippedSlice
		if x.kind == nal.SEI && !recovers {
			_, recovers = nal.RecoveryPoint(p.track.codec, x.b)
		}
	}
	switch {
	case u.RandomAccess:
		u.Recovery = !sync
		return
	case isSync(pic.units):
		p.track.report(faultUnmarked)
	case recovers && p.starves(u):
		u.Recovery = true
	case !p.opened && (u.DTS-p.access).Abs() >= anyAfter:
		p.track.report(faultNoAccess)
		u.Recovery = true
	default:
		return
	}
	u.RandomAccess, pic.touched = true, true
}

// settle appends a sequence header of the parameter sets in force, if they are others than those of
// the header in force.
func (p *pictures) settle(dst []media.AccessUnit, like *media.AccessUnit) []media.AccessUnit {
	h := &p.track.headers
	if !p.sets.changed {
		return dst
	}
	config, err := codec.Record(p.track.codec, p.sets.units())
	if err != nil || h.own != nil && bytes.Equal(config, h.own.Config) {
		return dst
	}
	fault := faultContradicts
	switch {
	case !h.out.Parsed:
		fault = faultNoHeader
	case p.started:
		fault = faultChanges
	}
	if !h.adopt(config) {
		return dst
	}
	p.track.report(fault)
	p.sets.changed = false
	p.interlaced = p.track.codec == media.H264 && p.sets.interlaced()
	return p.track.appendOwnHeader(dst, like)
}

// read finds the NAL units of a sample, in whatever form they are.
func (p *pictures) read(data []byte) {
	c := p.track.codec
	size := p.size
	if size == 0 {
		size = lengthSize
	}
	fits := walks(c, data, size)
	if stream := p.isStream(data, size, fits); stream {
		p.stream = true
		p.track.report(faultStream)
		p.readStream(data)
		return
	}
	if !fits {
		p.stream = false
		if first, _, ok := nal.Next(data, size); !ok || !valid(c, first) {
			size = p.guess(data, size)
		}
	}
	if size != lengthSize {
		p.rewrite = true
		p.track.report(faultLengths)
	}
	p.size = size
	rest := data
	for n := 0; len(rest) > 0; n++ {
		b, tail, ok := nal.Next(rest, size)
		if !ok {
			break
		}
		if n == maxRead {
			p.track.report(faultMany)
			return
		}
		rest = tail
		p.add(b)
	}
	switch {
	case len(rest) == 0:
	case len(nal.TrimZeros(rest)) == 0:
		p.track.report(faultZeros)
	case len(rest) < size:
		p.track.report(faultStray)
	default:
		p.track.report(faultBroken)
	}
}

// isStream says whether data are a byte stream. That a start code stands in front does not tell
// alone: it may be a length of 256 to 511 bytes, or one behind empty units. Where both can be, data
// that lengths take up (fits) have lengths, and others the form of the one before.
func (p *pictures) isStream(data []byte, size int, fits bool) bool {
	if !nal.HasStartCode(data) {
		return false
	}
	first, _, _ := nal.NextInStream(data)
	stream, lengths := p.plausible(first), false
	for rest := data; ; {
		b, tail, ok := nal.Next(rest, size)
		if !ok {
			break
		}
		if rest = tail; len(b) > 0 {
			lengths = p.plausible(b) && !nal.HoldsStartCode(b)
			break
		}
	}
	if stream == lengths {
		return p.stream && !fits
	}
	return stream
}

// plausible says whether b looks like a NAL unit of a kind that is known. In H.264 some kinds are
// referred to by others and some are not (nal_ref_idc, §7.4.1).
func (p *pictures) plausible(b []byte) bool {
	kind, ok := nal.KindOf(p.track.codec, b)
	if !ok || kind == nal.Other || len(b) <= nal.HeaderSize(p.track.codec) && kind != nal.End {
		return false
	}
	if p.track.codec == media.H264 && kind != nal.Slice { // H.264 has no other slices
		const referred = 0x60
		return (kind == nal.SyncSlice || kind.IsParameterSet()) == (b[0]&referred != 0)
	}
	return true
}

// guess returns the size of the lengths in data if another one than size is evident.
func (p *pictures) guess(data []byte, size int) int {
	for _, other := range [...]int{4, 3, 2, 1} {
		if other != size && walks(p.track.codec, data, other) {
			return other
		}
	}
	return size
}

// walks says whether data are NAL units with lengths of that size and nothing else.
func walks(c media.Codec, data []byte, size int) bool {
	if len(data) == 0 {
		return false
	}
	for len(data) > 0 {
		b, rest, ok := nal.Next(data, size)
		if !ok || !valid(c, b) {
			return false
		}
		data = rest
	}
	return true
}

func valid(c media.Codec, b []byte) bool {
	_, ok := nal.KindOf(c, b)
	return ok
}

// readStream finds the NAL units of a byte stream.
func (p *pictures) readStream(b []byte) {
	p.rewrite = true
	for range maxRead {
		unit, rest, ok := nal.NextInStream(b)
		if !ok {
			return
		}
		b = rest
		if len(unit) > 0 { // empty ones are zeros between start codes
			p.addUnit(unit)
		}
	}
}

// add takes what a length says is a NAL unit.
func (p *pictures) add(b []byte) {
	switch trimmed := nal.TrimZeros(b); {
	case len(b) == 0:
		p.track.report(faultEmpty)
	case len(trimmed) == 0:
		p.track.report(faultZeros)
	case nal.HasStartCode(b) || (!p.looked || p.nested) && nal.HoldsStartCode(b):
		p.nested = p.nested || !p.looked
		p.track.report(faultStream)
		p.readStream(b)
	default:
		p.addUnit(b)
	}
}

// addUnit takes a NAL unit, which is not empty.
func (p *pictures) addUnit(b []byte) {
	kind, ok := nal.KindOf(p.track.codec, b)
	switch {
	case !ok:
		p.track.report(faultNoise)
		return
	case len(p.units) >= maxUnits:
		p.track.report(faultMany)
		return
	}
	if trimmed := nal.TrimZeros(b); kind != nal.Other && len(trimmed) < len(b) {
		p.track.report(faultZeros)
		if b = trimmed; !valid(p.track.codec, b) {
			return
		}
	}
	p.units = append(p.units, unit{b, kind})
}
