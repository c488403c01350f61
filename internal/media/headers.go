package media

import (
	"bytes"
	"slices"
)

// Headers is the set of header units in force at one point of a stream: for each track the latest
// sequence header, multichannel configuration and colour information, and the latest metadata. A
// Headers is immutable; nil is the empty set.
type Headers struct {
	epoch uint32
	units []AccessUnit
}

// maxHeaders bounds a set: 64 tracks of each kind with three headers is more than any encoder
// sends.
const maxHeaders = 512

// After returns the set in force after u: h itself unless u changes it. Units of a new epoch start
// an empty set.
func (h *Headers) After(u *AccessUnit) *Headers {
	if h != nil && h.epoch != u.Epoch {
		h = nil
	}
	if u.Header == Sample || u.Header == SequenceEnd || u.Header == Command {
		if h == nil {
			return &Headers{epoch: u.Epoch}
		}
		return h
	}
	at := -1
	for i, o := range h.Units() {
		if o.Header == u.Header && sameTrack(o.Track, u.Track) {
			if bytes.Equal(o.Body, u.Body) && o.Track == u.Track {
				return h
			}
			at = i
			break
		}
	}
	next := &Headers{epoch: u.Epoch, units: append(make([]AccessUnit, 0, len(h.Units())+1), h.Units()...)}
	switch {
	case at >= 0 && next.units[at].Multitrack:
		// The message of the old one may hold headers of other tracks that are in force still. It
		// has to come before the new one.
		next.units = append(slices.Delete(next.units, at, at+1), *u)
	case at >= 0:
		next.units[at] = *u
	case len(next.units) >= maxHeaders:
		return h
	case u.Header == Metadata:
		next.units = slices.Insert(next.units, 0, *u)
	default:
		next.units = append(next.units, *u)
	}
	return next
}

// Units returns the header units: metadata first, then in the order of their first appearance,
// those of multitrack messages of their last one. The caller must not change them.
func (h *Headers) Units() []AccessUnit {
	if h == nil {
		return nil
	}
	return h.units
}

func sameTrack(a, b *Track) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Kind == b.Kind && a.ID == b.ID
}
