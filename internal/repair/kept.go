package repair

import (
	"bytes"
	"encoding/binary"

	"livego/internal/codec"
	"livego/internal/media"
	"livego/internal/nal"
)

// A picture that may be of more messages is kept back; one that is whole is handed on, with what
// its parameter sets say.

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
	sync, recovers, inter := false, false, false
	for i := range pic.units {
		x := &pic.units[i]
		sync, recovers = sync || x.kind == nal.SyncSlice, recovers || x.kind == nal.RecoverySlice
		u.Skipped, inter = u.Skipped || x.kind == nal.SkippedSlice, inter || nal.Inter(p.track.codec, x.kind, x.b)
		if x.kind == nal.SEI && !recovers {
			_, recovers = nal.RecoveryPoint(p.track.codec, x.b)
		}
	}
	switch {
	case u.RandomAccess && inter && !sync && !recovers && p.synced(u.DTS):
		p.track.report(faultMarked)
		u.RandomAccess, pic.touched = false, true
		return
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
