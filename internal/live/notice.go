package live

import "slices"

// Change is something that happens to a stream: to all its renditions together, or to one of them.
type Change uint8

// The changes of a stream, and of one of its publications, which is a rendition.
const (
	// Started: the stream's first publication began. Ended: the last one is over.
	Started Change = iota + 1
	Ended
	// Lost: all its publishers are gone, and it waits for their return. Returned: one is back.
	Lost
	Returned
	// TakenOver: another publisher took the place of one.
	TakenOver
	// Added and Removed: a rendition began, or is over.
	Added
	Removed
)

// Notice says what happened. Name is that of the stream, without rendition, but for TakenOver,
// Added and Removed.
type Notice struct {
	Change Change
	Name   Name
	// By is what PublishBy was told about the publisher that began; nil for Lost, Removed and
	// Ended.
	By any
	// Cause is why something is over: of Lost, Removed and Ended.
	Cause error
}

// notify tells what happened. The caller holds mu, so that notices come in their order.
func (h *Hub) notify(n Notice) {
	if h.opt.Notify != nil {
		h.opt.Notify(n)
	}
}

// noteBegin tells what a session's begin changed, and says whether a publication begins with it to
// be published here. The caller holds mu.
func (h *Hub) noteBegin(pub *Publication, by any, isCopy, takenOver bool) (begins bool) {
	s := h.streams[pub.name.whole()]
	switch {
	case isCopy && pub.home:
		if takenOver {
			s.onAir--
		}
		h.noteEnd(pub, s, ErrMoved)
		return false
	case isCopy:
		return false
	case takenOver && pub.home:
		h.notify(Notice{TakenOver, pub.name, by, nil})
		return false
	}
	s.onAir++
	if s.lost {
		s.lost = false
		h.notify(Notice{Returned, pub.name.whole(), by, nil})
	}
	if pub.home {
		return false
	}
	if !s.home() {
		h.notify(Notice{Started, pub.name.whole(), by, nil})
	}
	pub.home = true
	h.notify(Notice{Added, pub.name, by, nil})
	return true
}

// home says whether a member is published here.
func (s *stream) home() bool {
	return slices.ContainsFunc(s.members, func(pub *Publication) bool { return pub.home })
}

// noteLoss tells that a publisher was lost, if it was the stream's last one. The caller holds mu.
func (h *Hub) noteLoss(pub *Publication, cause error) {
	if s := h.streams[pub.name.whole()]; pub.home && s.onAir == 0 {
		s.lost = true
		h.notify(Notice{Lost, pub.name.whole(), nil, cause})
	}
}

// noteEnd tells that a publication is over, or is not published here any more. The caller holds mu.
func (h *Hub) noteEnd(pub *Publication, s *stream, cause error) {
	if !pub.home {
		return
	}
	pub.home = false
	h.notify(Notice{Removed, pub.name, nil, cause})
	if !s.home() {
		s.lost = false
		h.notify(Notice{Ended, pub.name.whole(), nil, cause})
	}
}
