package repair

import (
	"time"

	"livego/internal/media"
	"livego/internal/nal"
)

// Messages are not always pictures: what belongs to one picture is put together, and several are
// taken apart.

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

// appendUnits appends what becomes of the NAL units of a message.
func (p *pictures) appendUnits(dst []media.AccessUnit, u *media.AccessUnit) []media.AccessUnit {
	slices, others := false, false
	for i := range p.message.units {
		x := &p.message.units[i]
		slices = slices || x.kind.IsSlice() || x.kind == nal.PictureHeader
		others = others || x.kind == nal.Other && (!p.known || nal.Above(p.track.codec, x.b))
	}
	switch {
	case !slices && !p.message.rewrite && measure(p.message.units) == len(u.Data) && others: // of a layer above
		return p.pass(dst, u)
	case !slices && !p.known && (others || len(p.message.units) == 0): // it may be that others know what this is
		p.track.report(faultUnreadable)
		p.track.headers.refuse(faultUnreadable)
		return p.pass(dst, u)
	case len(p.message.units) == 0:
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
	units := p.message.units
	if len(p.ahead) > 0 {
		p.joined = append(append(p.joined[:0], p.ahead...), units...)
		units = p.joined
		clear(p.ahead)
		p.ahead, p.aheadBytes = p.ahead[:0], 0
	}
	dst = p.appendPieces(dst, u, units)
	clear(p.joined)
	p.message.looked = true
	return dst
}

// wait lets units without a picture wait for the next one. Of those that belong to the picture
// before there is nothing to keep.
func (p *pictures) wait() {
	p.track.report(faultAlone)
	for _, x := range p.message.units {
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
	for _, x := range p.message.units {
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
	if !k.there || k.bytes+len(u.Data) > maxPicture || len(k.units)+len(p.message.units) > maxUnits {
		return dst
	}
	k.units = append(k.units, p.message.units...)
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
		pic.touched = several || p.message.rewrite || pic.bytes != len(u.Data)
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
